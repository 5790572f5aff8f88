"""Columns of tables.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import attrgetter, eq
from typing import Any, Protocol

from attrs import evolve, field, fields, frozen

from ...comparison.asking import Same
from ...errors import DeclarationError
from ...plan.plan import Lock, Mode, Statement
from ...syntax import given
from ...syntax.names import (
    Exact,
    Name,
    check_length,
    identifier,
    optional_identifier,
    quoted,
    split,
)
from ...syntax.naming import joined
from ...syntax.parse import (
    Reference,
    closed,
    declared_references,
    default_expression,
    dotted_name,
    is_serial,
    optional_expression,
    tree,
    type_name,
    type_references,
)
from ..constraints.clauses import target
from ..constraints.constraints import NotNull
from ..kind import aligned_type, comment, either


def read_collation(text: str | Name | None) -> Name | None:
    if text is None or isinstance(text, Name):
        return text
    # Collations are called C, en_US or de-x-icu: without quotes they are taken as they are.
    if not set(given.text("collation", text)) & set('."'):
        check_length(text)
        return Name("pg_catalog", text)
    parts = split(text)
    return dotted_name(parts) if len(parts) > 1 else Name("pg_catalog", parts[0])


def _identity(text: str | None) -> str | None:
    return None if text is None else given.word("identity", text, ("ALWAYS", "BY DEFAULT"))


def _references(text: str | None) -> str | None:
    if text is not None:
        target(text)
    return text


def _statistics(value: int | None) -> int | None:
    return None if value is None else given.number("statistics", value, -1, 10000)


_ALWAYS = (
    "type", "default", "nullable", "unvalidated", "identity", "generated", "virtual", "serial",
)  # fmt: skip
_OPTIONAL = ("not_null", "collation", "storage", "compression", "statistics", "comment")
_always, _optional = attrgetter(*_ALWAYS), attrgetter(*_OPTIONAL, "renamed_from")
_stored = attrgetter(*_ALWAYS, *_OPTIONAL)
_NOTHING = (None,) * (len(_OPTIONAL) + 1)
_BARE: dict[str, Any] = {"primary_key": False, "unique": False, "references": None}
_KINDS = ("a default", "an identity", "a generated expression", "serial")


_STORAGES = ("PLAIN", "EXTERNAL", "EXTENDED", "MAIN")
_COMPRESSIONS = ("default", "pglz", "lz4")


def _storage(text: str | None) -> str | None:
    return None if text is None else given.word("storage", text, _STORAGES)


def _compression(text: str | None) -> str | None:
    return None if text is None else given.word("compression", text, _COMPRESSIONS)


@frozen
class Column:
    """A column: its name and type, and what PostgreSQL knows of it.

    + default: an expression; without one there is no default
    + nullable: whether it may be null; columns of a primary key may not, and those of a
      `pg.NotNull` among the table's constraints, which has a name
    + identity: ALWAYS or BY DEFAULT
    + generated: the expression of a generated column
    + virtual: whether a generated column is computed when it is read, not stored (PostgreSQL 18)
    + collation: its collation, `default` for the type's own
    + using: how a value of another type becomes one of this type, where it has to be converted
    + storage: PLAIN, EXTERNAL, EXTENDED or MAIN, for values that are stored from now on
    + compression: pglz, lz4, or default for the server's own, in the same way
    + statistics: how many values ANALYZE keeps in detail, -1 for the server's default
    + comment: its comment, "" for none
    + renamed_from: its former name
    + primary_key, unique, references: short for a constraint of this column alone
    + present: whether it exists; for one that is to go its name is enough
    """

    name: Exact = field(converter=identifier)
    type: str = field(default="")
    default: str | None = field(default=None, converter=default_expression, kw_only=True)
    nullable: bool = field(default=True, kw_only=True)
    identity: str | None = field(default=None, converter=_identity, kw_only=True)
    generated: str | None = field(default=None, converter=optional_expression, kw_only=True)
    virtual: bool = field(default=False, kw_only=True)
    collation: Name | None = field(default=None, converter=read_collation, kw_only=True)
    using: str | None = field(default=None, converter=optional_expression, eq=False, kw_only=True)
    storage: str | None = field(default=None, converter=_storage, kw_only=True)
    compression: str | None = field(default=None, converter=_compression, kw_only=True)
    statistics: int | None = field(default=None, converter=_statistics, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    primary_key: bool = field(default=False, kw_only=True)
    unique: bool = field(default=False, kw_only=True)
    references: str | None = field(default=None, converter=_references, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )
    present: bool = field(default=True, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.type, Exact):
            given.check_plain(f"column {self.name}", self)
        if not self.present:
            return
        if not self.type:
            raise DeclarationError(f"column {self.name} needs a type")
        is_word = is_serial(self.type) is not None
        text = Exact(self.type.strip().lower()) if is_word else type_name(self.type)
        object.__setattr__(self, "type", text)
        kinds = (self.default, self.identity, self.generated, self.is_serial or None)
        if kinds.count(None) < len(kinds) - 1:
            several = [name for name, one in zip(_KINDS, kinds, strict=True) if one is not None]
            raise DeclarationError(f"column {self.name} has {' and '.join(several)}: choose one")
        if self.identity:
            object.__setattr__(self, "nullable", False)
        if self.virtual and self.generated is None:
            raise DeclarationError(f"column {self.name}: virtual is for a generated one")

    @property
    def is_serial(self) -> bool:
        """Whether it is an integer with a sequence of its own."""
        return is_serial(self.type) is not None


@frozen
class TableColumn(Column):
    """A column as a table has it, or is to have it."""

    not_null: Exact | None = field(default=None, kw_only=True)
    """The name of its NOT NULL, where that is not named after it."""
    unvalidated: bool = field(default=False, kw_only=True)
    """Whether that is NOT VALID: rows from before it may still have nulls."""
    inherited: bool = field(default=False, eq=False, kw_only=True)
    """Whether the table has it from one that it inherits from."""
    is_kept: bool = field(default=True, eq=False, kw_only=True)
    """Whether it stays where it goes there."""
    usual_storage: str | None = field(default=None, eq=False, kw_only=True)
    """The storage that its type brings, where the server has told."""
    serial: bool = field(default=False, kw_only=True)
    """Whether it was declared as serial: an integer with a sequence of its own."""

    @classmethod
    def of(cls, column: Column) -> TableColumn:
        """A column as it is declared, in its table."""
        if isinstance(column, TableColumn):
            return column
        return cls(**{one.name: getattr(column, one.name) for one in fields(Column)})

    def __attrs_post_init__(self) -> None:
        if base := is_serial(self.type):
            object.__setattr__(self, "serial", True)
            object.__setattr__(self, "nullable", False)
            object.__setattr__(self, "type", Exact(base))
        super().__attrs_post_init__()

    @property
    def is_serial(self) -> bool:
        return self.serial

    def bare(self, keyed: bool) -> TableColumn:
        """Itself without its own constraints, which its table has; not null in a primary key."""
        nullable = self.nullable and not keyed
        name = None if nullable else self.not_null
        is_bare = not (self.primary_key or self.unique or self.references)
        if is_bare and (nullable, name) == (self.nullable, self.not_null):
            return self
        return evolve(self, nullable=nullable, not_null=name, **_BARE)

    def strict(self, rule: NotNull, keyed: bool) -> TableColumn:
        """Itself with a NOT NULL that its table declares."""
        if not rule.validated and (keyed or self.identity or self.serial):
            raise DeclarationError(
                f"{rule.written()} can't be with validated=False: no row of an identity, a serial "
                "or a primary key has nulls"
            )
        return evolve(self, nullable=False, not_null=rule.name, unvalidated=not rule.validated)

    def not_null_of(self, table: Name) -> Exact:
        """The name of its NOT NULL as PostgreSQL 18 has it."""
        return self.not_null or Exact(joined(table.name, self.name, "not_null"))

    def requires(self) -> Iterator[Reference]:
        """The types and functions that it names."""
        yield from type_references(self.type)
        yield from declared_references(self.default, self.generated, self.using)

    def definition(self, name: str | None = None) -> str:
        """Its definition, as CREATE TABLE has it; its NOT NULL may be told to have a name."""
        type_ = _SERIAL_OF[self.type] if self.serial else self.type
        parts = [quoted(self.name), type_]
        if self.collation:
            parts.append(f"COLLATE {collation_sql(self.collation)}")
        if self.generated is not None:
            how = "VIRTUAL" if self.virtual else "STORED"
            parts.append(f"GENERATED ALWAYS AS ({closed(self.generated)}) {how}")
        if self.identity:
            parts.append(f"GENERATED {self.identity} AS IDENTITY")
        if self.default is not None and not self.serial:
            # In parentheses, because a bare default may not be any expression.
            parts.append(f"DEFAULT {default_sql(self.default)}")
        if not self.nullable:
            called = name or self.not_null
            parts.append(f"CONSTRAINT {quoted(called)} NOT NULL" if called else "NOT NULL")
        return " ".join(parts)

    def lines(self) -> Iterator[str]:
        """Its definition for people, a line for each thing that can differ."""
        yield self.definition() + (" NOT VALID" if self.unvalidated else "")
        usual = (self.usual_storage, "default", -1, "")
        for what, unset in zip(
            ("storage", "compression", "statistics", "comment"), usual, strict=True
        ):
            if (value := getattr(self, what)) not in {None, unset}:
                shown = repr(value) if what == "comment" else value
                yield f"{what} on {quoted(self.name)} {shown}"

    @property
    def fragments(self) -> tuple[str | None, ...]:
        """The SQL in its definition."""
        return self.default, self.generated

    def beside(self, table: Name, current: TableColumn | None) -> Iterator[Statement]:
        """The statements that set what CREATE TABLE and ADD COLUMN leave out."""
        alter = f"ALTER TABLE {table} ALTER COLUMN {quoted(self.name)}"
        # Another type brings its own storage, and the server's compression.
        before = current if current and current.type == self.type else None
        compression = (before and before.compression) or "default"
        for what, value, known in (
            ("STORAGE", self.storage, before and before.storage),
            ("COMPRESSION", self.compression, compression),
        ):
            if value is not None and value != known:
                lock = Lock(table, only=what == "COMPRESSION")
                yield Statement(f"{alter} SET {what} {value}", locks=lock)
        if self.statistics is not None and self.statistics != (
            current.statistics if current else -1
        ):
            locks = Lock(table, Mode.SHARE_UPDATE_EXCLUSIVE)
            yield Statement(f"{alter} SET STATISTICS {self.statistics}", locks=locks)
        yield from comment(f"COLUMN {table}.{quoted(self.name)}", current, self, table)

    def aligned(self, current: TableColumn, same: Same, table: Name) -> TableColumn:
        """Itself, with what equals the current column written as it is there."""
        if _always(self) == _always(current) and _optional(self) == _NOTHING:
            return current
        type_ = aligned_type(self.type, current.type, same)
        changes: dict[str, Any] = {
            "type": type_,
            "comment": either(self.comment, current.comment),
            "collation": collated(self, current),
            "storage": either(self.storage, current.storage if type_ == current.type else None),
            "compression": either(self.compression, current.compression),
            "unvalidated": self.unvalidated and (current.nullable or current.unvalidated),
            "statistics": either(self.statistics, current.statistics),
            "inherited": current.inherited,
            "is_kept": current.is_kept,
        }
        named_so = not current.nullable and self.not_null == current.not_null_of(table)
        changes["not_null"] = (
            current.not_null if named_so else either(self.not_null, current.not_null)
        )
        if self.serial:
            if draws(current):
                changes |= {"default": current.default, "serial": False}
        elif is_null(self.default) and current.default is None:
            changes["default"] = None  # PostgreSQL does not keep it.
        elif type_ == current.type and same_value(type_, self.default, current.default, same):
            changes["default"] = current.default
        if self.generated is not None:
            given = self.generated, current.generated
            if same_value(current.type, *given, same, f" FROM ONLY {table}", table):
                changes["generated"] = current.generated
        aligned = (changes.get(name, getattr(self, name)) for name in (*_ALWAYS, *_OPTIONAL))
        if not self.renamed_from and all(map(eq, aligned, _stored(current))):
            return current
        if type_ == current.type:
            changes["usual_storage"] = current.usual_storage
        return evolve(self, **_BARE, **changes)


def draws(one: TableColumn) -> bool:
    """Whether a column takes its default from a sequence."""
    return bool(one.default and re.match(r"nextval\('", one.default))


class Collated(Protocol):
    """What has a type, and a collation of it."""

    @property
    def type(self) -> str:
        """Its type."""

    @property
    def collation(self) -> Name | None:
        """Its collation; None where that is the type's own, or not declared."""


def collated(declared: Collated, current: Collated) -> Name | None:
    """The declared collation; what is not declared stays where the type can have one."""
    if declared.collation is None:
        keeps = declared.type == current.type or _COLLATABLE.match(declared.type)
        return current.collation if keeps else None
    if declared.collation == _TYPES_OWN and current.collation is None:
        return None
    # Without a schema it may be one of `public` as well.
    theirs = Name("public", declared.collation.name)
    unqualified = declared.collation.schema == _TYPES_OWN.schema
    return theirs if unqualified and current.collation == theirs else declared.collation


def cast_template(type_: str) -> str:
    """Where the server reads a default of a column of a type."""
    return f"SELECT CAST(({{}}) AS {type_})"


def same_value(
    type_: str,
    declared: str | None,
    stored: str | None,
    same: Same,
    source: str = "",
    on: Name | None = None,
) -> bool:
    """Whether two expressions are the same as the value of a column of a type.

    A cast decides what the elements of ARRAY[...] are, and an assignment does not: so such a one is
    read without the cast too.
    """
    as_cast = same(f"{cast_template(type_)}{source}", declared, stored, on)
    if as_cast or declared is None or "A_ArrayExpr" not in tree(declared):
        return as_cast
    return same(f"SELECT ({{}}){source}", declared, stored, on)


def is_null(expression: str | None) -> bool:
    """Whether an expression is NULL, whatever it is cast to."""
    if expression is None or "null" not in expression.lower():
        return False
    node = tree(expression)
    while node and "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    return bool(node and node.get("A_Const", {}).get("isnull"))


_SERIAL_OF = {"bigint": "bigserial", "integer": "serial", "smallint": "smallserial"}
_TYPES_OWN = Name("pg_catalog", "default")
_COLLATABLE = re.compile(r"text|character|bpchar")


def default_sql(text: str) -> str:
    """The expression after DEFAULT."""
    return f"({closed(text)})" if _needs_parentheses(text) else text


def _needs_parentheses(text: str) -> bool:
    return not re.fullmatch(
        r"'[^'\\]*'|-?[\d.]+|\w+(\.\w+)?\(\)|true|false|CURRENT_TIMESTAMP", text
    )


def collation_sql(name: Name) -> str:
    """The collation after COLLATE."""
    return quoted(name.name) if name.schema == "pg_catalog" else str(name)
