"""Random tables with all that can be on them.

Columns of one name have types that convert into one another, so that most changes are possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple, TypeVar

from attrs import field, frozen
from hypothesis import strategies as st

from pyinfra_postgres.syntax.names import quoted

from .calls import Call

_T = TypeVar("_T")

ROLES = ("law_reader", "law writer")
OWNERS = ("postgres", "law_owner")
SCHEMAS = ("public", 'law "two"')


class Type(NamedTuple):
    """A type, with what is valid for a column `{}` of it that holds the value."""

    name: str
    value: str
    defaults: tuple[str, ...]
    checks: tuple[str, ...]
    elements: tuple[str, ...]


_NUMBERS = (
    Type("integer", "7", ("41 + 1", "7"), ("{} > 0", "half({}) >= 0"), ("{}", "half({})")),
    Type("bigint", "7", ("42",), ("{} BETWEEN 1 AND 1000",), ("{} DESC",)),
    Type("numeric(10,2)", "7", ("0.5",), ("{} >= 0",), ("{} NULLS FIRST",)),
    Type("positive", "7", ("1",), ("{} < 100",), ("{}",)),
)
_TEXTS = (
    Type(
        "text", "'calm'", ("'x'", "NULL"), ("{} IN ('calm', 'y')",), ("lower({})", '{} COLLATE "C"')
    ),
    Type("varchar(30)", "'calm'", ("'it''s'",), ("length({}) < 30",), ("{} varchar_pattern_ops",)),
    Type("mood", "'calm'", ("'calm'",), ("{} <> 'wild'",), ("{}",)),
    Type("temper", "'calm'", ("'calm'",), ("{}::text <> 'wild'", "{} IS NOT NULL"), ("{}",)),
)
_TIMES = (
    Type(
        "timestamptz",
        "'2025-05-05 00:00+00'",
        ("now()",),
        ("{} > '2000-01-01'",),
        ("{} DESC NULLS LAST",),
    ),
    Type("date", "'2025-05-05'", ("CURRENT_DATE",), ("{} >= DATE '2000-01-01'",), ("{}",)),
)
_OTHERS = (
    Type("boolean", "true", ("false",), ("{} IS NOT NULL",), ("{}",)),
    Type("uuid", "gen_random_uuid()", ("gen_random_uuid()",), ("{} IS NOT NULL",), ("{}",)),
    Type("text[]", "'{calm}'", ("ARRAY['a', 'b']",), ("cardinality({}) < 9",), ("{}",)),
    Type("mood[]", "'{calm}'", ("'{}'",), ("'wild' <> ALL ({})",), ("{}",)),
    Type("tempers", "'{calm}'", ("'{}'",), ("cardinality({}) < 9",), ("{}",)),
    Type("temper[]", "'{calm}'", ("'{}'",), ("cardinality({}) < 9",), ("{}",)),
)  # fmt: skip
_JSON = (Type("jsonb", "'{}'", ("'{}'",), ("jsonb_typeof({}) = 'object'",), ("({} ->> 'k')",)),)
FAMILIES: dict[str, tuple[Type, ...]] = {
    "a": _NUMBERS,
    "b": _TEXTS,
    "c": _TIMES,
    "d": _NUMBERS + _TEXTS,
    "j": _JSON,
    'odd "name"': _OTHERS,
}
TABLES = (("public", "one"), (SCHEMAS[1], "two"), ("public", 'third "t"'))
KEY = "id"
"""The column of the key that foreign keys of other tables need."""


@frozen
class Names:
    """The names of a database's objects."""

    renamed: Set[str]
    """The kinds of those that have a former name, which they have in another database."""
    types: dict[str, str] = field(factory=dict)
    """The types that the database has for its own, as SQL has them."""

    def of(self, kind: str, name: str, schema: str = "") -> tuple[str, dict[str, Any]]:
        """A name as SQL has it, and the former one as the argument that declares it."""
        prefix = f"{quoted(schema)}." if schema else ""
        before = f"{prefix}{quoted(name)}"
        if kind not in self.renamed:
            return before, {}
        return f"{prefix}{quoted(f'new_{name}')}", {"renamed_from": before}

    def label(self, text: str) -> str:
        """An expression with the enum's labels as they are called."""
        return text.replace("'wild'", "'fierce'") if "label" in self.renamed else text


@frozen
class Drawn:
    """A table, what belongs to it, and the values of a row."""

    place: int
    name: str
    """As SQL has it."""
    names: Names
    columns: dict[str, Call] = field(factory=dict)
    values: dict[str, str] = field(factory=dict)
    same: dict[str, str] = field(factory=dict)
    """The columns by family, however they are called."""
    types: dict[str, str] = field(factory=dict)
    """Their types by family, however those are called."""
    constraints: list[Call] = field(factory=list)
    foreign: list[Call] = field(factory=list)
    extras: list[Call] = field(factory=list)
    options: dict[str, Any] = field(factory=dict)

    @property
    def whole(self) -> Call:
        """The declaration of it all in one."""
        constraints = [*self.constraints, *self.foreign]
        return Call(
            "table", self.name, [*self.columns.values()], constraints=constraints, **self.options
        )

    @property
    def first(self) -> Call:
        """Its declaration without foreign keys."""
        return Call(
            "table",
            self.name,
            [*self.columns.values()],
            constraints=self.constraints,
            **self.options,
        )


def either(*values: Any) -> Any:
    return st.sampled_from(values)


def rarely(draw: st.DrawFn) -> bool:
    return bool(draw(st.integers(0, 4)) == 4)


COMMENTS = either("", "", "why", "it's")


def mostly(draw: st.DrawFn, values: Iterable[_T]) -> list[_T]:
    """Most of them."""
    return [one for one in values if not rarely(draw)]


@frozen
class Outline:
    """What a table is in most databases: its columns with what is on them, and on the table."""

    columns: Mapping[str, tuple[Type, Sequence[Callable[[At], None]]]]
    further: Sequence[Callable[[st.DrawFn, Drawn], None]]


@st.composite
def outlines(draw: st.DrawFn) -> Outline:
    """An outline of a table."""
    families = draw(st.lists(st.sampled_from(sorted(FAMILIES)), max_size=3, unique=True))
    on_column = st.lists(st.sampled_from(_ON_COLUMNS), max_size=3, unique=True)
    columns = {one: (draw(st.sampled_from(FAMILIES[one])), draw(on_column)) for one in families}
    return Outline(columns, draw(st.lists(st.sampled_from(_ON_TABLES), max_size=2, unique=True)))


@st.composite
def tables(draw: st.DrawFn, place: int, outline: Outline, names: Names) -> Drawn:
    """A table, with what is on its columns."""
    schema, base = TABLES[place]
    name, former = names.of("table", base, schema)
    if former and rarely(draw):
        # It moves too.
        name = name.replace(quoted(schema), quoted(SCHEMAS[schema == "public"]), 1)
    drawn = Drawn(place, name, names)
    drawn.options.update(former)
    drawn.options.update(
        {
            "comment": draw(COMMENTS),
            "row_security": draw(st.booleans()),
            "force_row_security": rarely(draw),
            "owner": draw(either(*OWNERS)),
        }
    )
    if draw(st.booleans()):
        drawn.columns[KEY] = Call(
            "Column", KEY, "bigint", nullable=False, default="1", comment=draw(COMMENTS)
        )
        drawn.values[KEY] = "1"
        key, renamed = names.of("constraint", f"key_{place}")
        kind = "PrimaryKey" if place else "Unique"
        drawn.constraints.append(Call(kind, KEY, name=key, **renamed))
    found = []
    for family in mostly(draw, outline.columns):
        type_, _ = outline.columns[family]
        type_ = draw(st.sampled_from(FAMILIES[family])) if rarely(draw) else type_
        found.append(_column(draw, drawn, family, type_))
    numbers = [at.name for at in found if at.type.name in {"integer", "bigint"}]
    halves = [f"half({at.name})" for at in found if at.type.name == "integer"]
    if numbers and rarely(draw):
        text = draw(either(f"{numbers[0]} * 2", f"{numbers[0]} * 3", *halves))
        # One that is not stored has no functions of users.
        virtual = text not in halves and draw(st.booleans())
        column = "gv" if virtual else "gs"
        drawn.columns[column] = Call("Column", column, "bigint", generated=text, virtual=virtual)
    if not former and rarely(draw):
        drawn.columns["n"] = draw(either(
            Call("Column", "n", "serial"),
            Call("Column", "n", "bigint", identity="ALWAYS"),
            Call("Column", "n", "bigint", identity="BY DEFAULT"),
            Call("Column", "n", "integer", default="5"),
            Call("Column", "n", "varchar(30)", default="'5'"),
        ))  # fmt: skip
    for at in found:
        for add in mostly(draw, outline.columns[at.family][1]):
            add(at)
    for further in mostly(draw, outline.further):
        further(draw, drawn)
    return drawn


@frozen
class At:
    """A column, for what can be on it."""

    draw: st.DrawFn
    drawn: Drawn
    family: str
    name: str
    """As SQL has it."""
    type: Type

    def filled(self, text: str) -> str:
        """An expression of the column."""
        return self.drawn.names.label(text).replace("{}", self.name)

    def named(self, what: str, kind: str = "") -> tuple[str, dict[str, Any]]:
        """A name for what is on it, and the former one."""
        name = f"{what}_{self.drawn.place}_{sorted(FAMILIES).index(self.family)}"
        return self.drawn.names.of(kind or what, name)

    def add(self, what: str, /, *arguments: Any, **keywords: Any) -> None:
        """Declare something with a comment that is the table's."""
        comment = self.draw(COMMENTS)
        self.drawn.extras.append(Call(what, *arguments, comment=comment, **keywords))

    def grant(self, privileges: Any, on: str) -> None:
        """Declare privileges on something."""
        _grant_of(self.draw, self.drawn, privileges, on)


def _column(draw: st.DrawFn, drawn: Drawn, family: str, type_: Type) -> At:
    name, former = drawn.names.of("column", family)
    default = draw(either(None, None, *type_.defaults))
    options: dict[str, Any] = {"comment": draw(COMMENTS), "statistics": draw(either(-1, -1, 100))}
    if default is not None:
        # Rows that are there when it comes need a value.
        options |= {"default": default, "nullable": default == "NULL" or draw(st.booleans())}
    if type_.name in {"text", "varchar(30)"}:
        options["collation"] = draw(either('"default"', '"default"', '"C"'))
        options["storage"] = draw(either("EXTENDED", "EXTENDED", "EXTERNAL"))
    written = drawn.names.types.get(type_.name, type_.name)
    drawn.columns[name] = Call("Column", name, written, **options, **former)
    drawn.values[name] = type_.value
    drawn.same[family] = name
    drawn.types[family] = type_.name
    return At(draw, drawn, family, name, type_)


def _check(at: At) -> None:
    text = at.filled(at.draw(st.sampled_from(at.type.checks)))
    name, former = at.named("check", "constraint")
    at.drawn.constraints.append(Call("Check", text, name=name, **former))


def _unique(at: At) -> None:
    options: dict[str, Any] = at.draw(
        either({}, {"nulls_not_distinct": True}, {"deferrable": True, "initially_deferred": True})
    )
    others = [one for one in at.drawn.values if one != at.name]
    if others and rarely(at.draw):
        options = {"include": [others[0]]}
    name, former = at.named("unique", "constraint")
    at.drawn.constraints.append(Call("Unique", at.name, name=name, **options, **former))


def _exclude(at: At) -> None:
    if at.type.name == "temper":
        return  # Domains of enums have no operators.
    where = at.draw(either(None, f"{at.name} IS NOT NULL"))
    method = at.draw(either("btree", "hash"))
    name, former = at.named("exclude", "constraint")
    at.drawn.constraints.append(
        Call("Exclude", (at.name, "="), using=method, where=where, name=name, **former)
    )


def _index(at: At) -> None:
    element = at.filled(at.draw(st.sampled_from(at.type.elements)))
    condition = at.draw(either(f"{at.name} IS NOT NULL", at.filled(at.type.checks[-1])))
    options: dict[str, Any] = at.draw(either(
        {}, {"where": condition}, {"unique": True, "nulls_not_distinct": True},
        {"unique": True, "where": condition}, {"unique": True, "include": [at.name]},
        {"include": [at.name]}, {"parameters": {"fillfactor": 70}},
    ))  # fmt: skip
    if at.type.name in {"text[]", "mood[]", "jsonb"} and at.draw(st.booleans()):
        element, options = at.name, {"method": "gin"}
    name, former = at.named("index")
    at.add("index", name, at.drawn.name, [element], **options, **former)


def _policy(at: At) -> None:
    text = at.filled(at.draw(either("{} IS NOT NULL", *at.type.checks)))
    options: dict[str, Any] = at.draw(either(
        {"using": text}, {"using": text, "check": "true"}, {"command": "SELECT", "using": text},
        {"command": "INSERT", "check": text}, {"permissive": False, "using": text},
    ))  # fmt: skip
    roles = at.draw(either("PUBLIC", (quoted(ROLES[0]),), tuple(map(quoted, ROLES))))
    name, former = at.named("policy")
    at.add("policy", name, at.drawn.name, roles=roles, **options, **former)


def _view(at: At) -> None:
    name, former = at.named("view")
    query = f"SELECT {at.name} AS it FROM {at.drawn.name}"
    if at.draw(st.booleans()):
        query += f" WHERE {at.filled(at.draw(either('{} IS NOT NULL', *at.type.checks)))}"
    options = {"security_invoker": at.draw(st.booleans()), "owner": at.draw(either(*OWNERS))}
    at.add("view", name, query, **options, **former)
    if at.draw(st.booleans()):
        over, former = at.named("over", "view")
        at.add("view", over, f"SELECT count(it) AS n FROM {name}", **former)
    if at.draw(st.booleans()):
        at.grant(at.draw(either("SELECT", "ALL", "SELECT (it)")), name)


def _materialized(at: At) -> None:
    name, former = at.named("stored", "materialized view")
    query = f"SELECT {at.name} AS it, 1 AS one FROM {at.drawn.name}"
    # It is filled as its owner, who has to be able to read the table.
    owner = at.drawn.options.get("owner", OWNERS[0])
    at.add("materialized_view", name, query, owner=owner, **former)
    index, former = at.named("one", "index")
    at.add("index", index, name, ["one"], unique=at.draw(st.booleans()), **former)
    if at.draw(st.booleans()):
        at.grant(at.draw(either("SELECT", "SELECT (it)")), name)


def _trigger(at: At) -> None:
    check, name = at.draw(st.sampled_from(at.type.checks)), at.name
    options: dict[str, Any] = at.draw(either(
        {"when": f"BEFORE UPDATE OF {at.name}"},
        {"when": "BEFORE UPDATE", "condition": f"OLD.{name}::text < NEW.{name}::text"},
        {"when": "BEFORE INSERT", "condition": at.filled(check.replace("{}", "NEW.{}"))},
        {"when": f"AFTER INSERT OR UPDATE OF {at.name}", "constraint": True, "deferrable": True},
        {"when": "AFTER DELETE", "for_each": "STATEMENT", "enabled": False},
    ))  # fmt: skip
    name, former = at.named("trigger")
    at.add("trigger", name, at.drawn.name, function="touched()", **options, **former)


def _column_grant(at: At) -> None:
    name = at.name
    what = either(f"SELECT ({name})", f"UPDATE ({name})", [f"SELECT ({name})", "INSERT"])
    at.grant(at.draw(what), at.drawn.name)


def _function(at: At) -> None:
    name, former = at.named("count", "function")
    query = f"SELECT count({at.name}) FROM {at.drawn.name}"
    body = at.draw(either(query, f"RETURN ({query})", f"BEGIN ATOMIC {query}; END"))
    at.add("function", name, returns="bigint", volatility="STABLE", body=body, **former)


_ON_COLUMNS = [
    _check, _unique, _exclude, _index, _policy, _view, _materialized, _trigger, _column_grant,
    _function,
]  # fmt: skip


def _grant_of(draw: st.DrawFn, drawn: Drawn, privileges: Any, on: str) -> None:
    role = draw(either(quoted(ROLES[0]), quoted(ROLES[1]), "PUBLIC"))
    options = {"grant_option": role != "PUBLIC" and rarely(draw)}
    drawn.extras.append(Call("grant", privileges, on=on, to=role, **options))


def _grant(draw: st.DrawFn, drawn: Drawn) -> None:
    _grant_of(draw, drawn, draw(either("SELECT", "ALL", ["INSERT", "DELETE"])), drawn.name)


def _statistics(draw: st.DrawFn, drawn: Drawn) -> None:
    usable = [one for one in sorted(drawn.values) if one not in {"j", "new_j"}]
    if len(usable) > 1:
        name, former = drawn.names.of("statistics", f"statistics_{drawn.place}")
        on = [*usable[:2], *draw(either((), (f"({usable[0]} IS NULL)",)))]
        options = {"kinds": draw(either(None, "mcv", ["ndistinct", "dependencies"]))}
        options |= {"owner": draw(either(*OWNERS)), "comment": draw(COMMENTS)}
        drawn.extras.append(Call("statistics", name, drawn.name, on, **options, **former))


def _primary_key(draw: st.DrawFn, drawn: Drawn) -> None:
    usable = [one for one in sorted(drawn.columns) if one not in {"j", "new_j", "gv"}]
    if usable and KEY not in drawn.columns:
        name, former = drawn.names.of("constraint", f"key_{drawn.place}")
        on, others = usable[: draw(either(1, 2))], [one for one in usable[2:] if one != "gs"]
        options: dict[str, Any] = draw(
            either({}, {}, {"deferrable": True}, {"include": others[:1]})
        )
        drawn.constraints.append(Call("PrimaryKey", *on, name=name, **options, **former))


_ON_TABLES = [_grant, _statistics, _primary_key]


def add_foreign_keys(draw: st.DrawFn, drawn: list[Drawn]) -> None:
    """Foreign keys among tables, in circles too."""
    keyed = [one for one in drawn if KEY in one.columns]
    for one in drawn:
        if bool(keyed) and draw(st.booleans()):
            target = draw(st.sampled_from(keyed))
            ref = f"ref_{target.place}"
            one.columns[ref] = Call("Column", ref, "bigint")
            options = draw(either(
                {}, {"on_delete": "CASCADE"}, {"deferrable": True},
                {"on_delete": f"SET NULL ({ref})", "on_update": "CASCADE"},
            ))  # fmt: skip
            reference = f"{target.name}({KEY})"
            name, former = one.names.of("constraint", f"foreign_{one.place}")
            one.foreign.append(
                Call("ForeignKey", ref, references=reference, name=name, **options, **former)
            )
