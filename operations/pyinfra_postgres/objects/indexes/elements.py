"""The columns and expressions of indexes, partition keys, exclusion constraints and statistics.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from functools import lru_cache
from typing import Any, NamedTuple

from ...comparison.asking import Same
from ...errors import DeclarationError
from ...syntax.fragments import Rule
from ...syntax.given import refused, shown
from ...syntax.names import Exact, Name, literal, quoted
from ...syntax.parse import Node, closing, column_names, items, sliced, tokens, tree

_ELEMENT = Rule(
    "index column",
    "CREATE INDEX ON t ({})",
    "c",
    "indexParams",
    "it as in SQL, like updated_at DESC or lower(email)",
)


class Element(NamedTuple):
    """A column or an expression of an index, with how it is sorted."""

    column: str | None
    expression: str | None
    collation: tuple[str, ...]
    operator_class: str | None
    descending: bool
    nulls_first: bool
    default_class: str | None = None
    """The name of the stored operator class where it is the type's default."""
    default_collation: str | None = None
    """The name of the stored collation where it is the column's or the expression's own."""
    class_schema: str | None = None
    """The schema of the operator class, unless it is PostgreSQL's own or `public`."""
    default_class_schema: str | None = None
    """That of the stored operator class where it is the type's default."""
    class_options: tuple[tuple[str, str], ...] = ()
    """The options of the operator class and their values, sorted."""

    @staticmethod
    def parse(text: str | Element) -> Element:
        """Read `updated_at DESC` or `lower(email) text_pattern_ops`."""
        if isinstance(text, Element):
            return text
        if not isinstance(text, str):
            raise refused("an index column", "SQL in quotes", text)
        return _parsed(text)

    @property
    def label(self) -> str:
        """What PostgreSQL calls it in the default name of an index."""
        if self.column is not None:
            return self.column
        node = tree(self.expression or "")
        return (
            str(node["FuncCall"]["funcname"][-1]["String"]["sval"])
            if "FuncCall" in node
            else "expr"
        )

    @property
    def fragments(self) -> tuple[str | None, ...]:
        """The SQL in it that names functions, operators, collations or operator classes."""
        return self.expression, self.operator_class, *self.collation

    def __str__(self) -> str:
        parts = [quoted(self.column) if self.column else f"({self.expression})"]
        if self.collation:
            parts.append(f"COLLATE {'.'.join(map(quoted, self.collation))}")
        # Options can only be given to a class that is named.
        class_ = self.operator_class or (self.class_options and self.default_class)
        if class_:
            prefix = f"{quoted(self.class_schema)}." if self.class_schema else ""
            parts.append(prefix + quoted(class_))
        if self.class_options:
            given = (f"{quoted(name)} = {literal(value)}" for name, value in self.class_options)
            parts.append(f"({', '.join(given)})")
        if self.descending:
            parts.append("DESC")
        if self.nulls_first != self.descending:
            parts.append("NULLS FIRST" if self.nulls_first else "NULLS LAST")
        return " ".join(parts)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Element:
    node = _as_column(_element(text))
    descending = node.get("ordering") == "SORTBY_DESC"
    nulls = node.get("nulls_ordering", "SORTBY_NULLS_DEFAULT")
    names = [part["String"]["sval"] for part in node.get("opclass", ())]
    return Element(
        node.get("name"),
        None if "name" in node else _expression_text(text),
        collation_of(node),
        names[-1] if names else None,
        descending,
        descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls == "SORTBY_NULLS_FIRST",
        class_schema=class_schema_of(names[0]) if len(names) > 1 else None,
        class_options=tuple(sorted(map(_option, node.get("opclassopts", ())))),
    )


def _option(node: Node) -> tuple[str, str]:
    """An option of an operator class and its value, as PostgreSQL keeps them."""
    option = node["DefElem"]
    ((kind, value),) = option.get("arg", {"String": {"sval": "true"}}).items()
    match kind:
        case "TypeName":
            text = value["names"][-1]["String"]["sval"]
        case "Integer":
            text = value.get("ival", 0)
        case _:
            (text,) = value.values()
    return option["defname"], str(text)


def class_schema_of(schema: str) -> str | None:
    """The schema of an operator class where its name needs it."""
    return None if schema in {"pg_catalog", "public"} else schema


def name_any(columns: Set[str], elements: Iterable[Element], texts: Iterable[str | None]) -> bool:
    """Whether elements or expressions name one of these columns."""
    several = list(elements)
    names = {element.column for element in several}
    for text in (*texts, *(element.expression for element in several)):
        if text is not None:
            names.update(column_names(tree(text)))
    return not names.isdisjoint(columns)


def expression_template(table: Name) -> str:
    """Where the server reads an expression over a table's columns."""
    return f"SELECT ({{}}) FROM ONLY {table}"


def condition_template(table: Name) -> str:
    """Where the server reads a condition over a table's columns."""
    return f"SELECT 1 FROM ONLY {table} WHERE ({{}})"


def aligned_element(declared: Element, current: Element, same: Same, table: Name) -> Element:
    """A declared element, with what equals the stored one written as it is there."""
    changes: dict[str, Any] = {}
    if same(expression_template(table), declared.expression, current.expression, table):
        changes["expression"] = current.expression
    own = not current.collation and declared.collation[-1:] in {(), (current.default_collation,)}
    if own or declared.collation[-1:] == current.collation[-1:]:
        changes["collation"] = current.collation
        changes["default_collation"] = current.default_collation
    default = current.operator_class is None and declared.operator_class in {
        None,
        current.default_class,
    }
    stored_schema = current.class_schema or current.default_class_schema
    elsewhere = declared.class_schema not in {None, stored_schema}
    if not elsewhere and (default or declared.operator_class == current.operator_class):
        changes["operator_class"] = current.operator_class
        changes["class_schema"] = current.class_schema
        changes["default_class"] = current.default_class
        changes["default_class_schema"] = current.default_class_schema
    return declared._replace(**changes)


_PARTITION_KEY = Rule(
    "partition key",
    "CREATE TABLE t (c int) PARTITION BY {}",
    "LIST (c)",
    "partspec",
    "it as in SQL, like RANGE (created_at)",
)


def partitioning(text: str | None) -> str | None:
    """Check what PARTITION BY says, if it does."""
    if text is not None and not isinstance(text, Exact):
        _PARTITION_KEY.read(text)
    return text


def key_elements(text: str) -> tuple[str, tuple[Element, ...]]:
    """The strategy and the columns of a partition key like `RANGE (lower(name), id)`."""
    found = tokens(text)
    return found[0].text, tuple(Element.parse(sliced(text, one)) for one in items(found, 1))


def with_defaults(stored: Element, names: tuple[str, bool, str | None, str]) -> Element:
    """A stored element, with the operator class and collation that are not printed.

    `names` has its operator class, whether that is the default, its collation, and the schema of
    the class.
    """
    operator_class, is_default, collation, schema = names
    unprinted = is_default and not stored.operator_class
    return stored._replace(
        expression=None if stored.expression is None else Exact(stored.expression),
        default_class=operator_class if unprinted else None,
        default_class_schema=class_schema_of(schema) if unprinted else None,
        default_collation=None if stored.collation else collation,
    )


def _element(text: str) -> Node:
    elements = _ELEMENT.read(text)["IndexStmt"]["indexParams"]
    if len(elements) > 1:
        raise DeclarationError(f"{shown(text)} is more than an index column: give each by itself")
    return elements[0]["IndexElem"]  # type: ignore[no-any-return]


def _as_column(node: Node) -> Node:
    """An expression that is only a column, which PostgreSQL keeps as that column."""
    match node.get("expr"):
        case {"CollateClause": {"arg": {"ColumnRef": column}, "collname": collation}}:
            node = {"collation": collation} | node
        case {"ColumnRef": column}:
            pass
        case _:
            return node
    return node | {"name": column["fields"][-1]["String"]["sval"]}


def _expression_text(text: str) -> str:
    """The expression of an index element, without collation, operator class and order.

    It is a call of a function or in parentheses, so it ends with a parenthesis.
    """
    found = tokens(text)
    opening = next((place for place, token in enumerate(found) if token.text == "("), None)
    if opening is None:
        raise DeclarationError(f"{shown(text)} is an expression: put it in parentheses")
    end = found[closing(found, opening)].end
    inner = text[:end].strip()
    return inner[1:-1].strip() if opening == 0 else inner


def collation_of(node: Node) -> tuple[str, ...]:
    """The collation that an element asks for."""
    return tuple(part["String"]["sval"] for part in node.get("collation", ()))
