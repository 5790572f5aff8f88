"""Random tables with all that can be on them.

Columns of one name have types that convert into one another, so that most changes are possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from attrs import field, frozen
from hypothesis import strategies as st

from pyinfra_postgres.names import quoted

from .calls import Call

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
    Type("integer", "7", ("41 + 1", "7"), ("{} > 0", "half({}) >= 0"), ("{}", "abs({})")),
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
    Type("text[]", "'{a}'", ("ARRAY['a', 'b']",), ("cardinality({}) < 9",), ("{}",)),
    Type("mood[]", "'{calm}'", ("'{}'",), ("'wild' <> ALL ({})",), ("{}",)),
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
TABLES = ("one", "two", 'third "t"')
KEY = "id"
"""The column of the key that foreign keys of other tables need."""


@frozen
class Drawn:
    """A table, what belongs to it, and the values of a row."""

    place: int
    name: str
    """As SQL has it."""
    columns: dict[str, Call]
    values: dict[str, str]
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


@st.composite
def tables(draw: st.DrawFn, place: int, spelled: Mapping[str, str], former: bool) -> Drawn:
    """A table; `spelled` has the names of types that the database has for its own."""
    base = TABLES[place]
    is_moved = former and place == 0
    name = quoted("renamed") if is_moved else quoted(base)
    drawn = Drawn(place, name, {}, {})
    if is_moved:
        drawn.options["renamed_from"] = quoted(base)
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
        kind = "PrimaryKey" if place else "Unique"
        drawn.constraints.append(Call(kind, KEY, name=f"key_{place}"))
    names = draw(st.lists(st.sampled_from(sorted(FAMILIES)), max_size=3, unique=True))
    types = {one: draw(st.sampled_from(FAMILIES[one])) for one in names}
    for one, type_ in types.items():
        _column(draw, drawn, one, type_, spelled)
    numbers = [one for one, type_ in types.items() if type_.name in {"integer", "bigint"}]
    if numbers and rarely(draw):
        virtual = draw(st.booleans())
        text = f"{quoted(numbers[0])} * {draw(either(2, 3))}"
        column = "gv" if virtual else "gs"
        drawn.columns[column] = Call("Column", column, "bigint", generated=text, virtual=virtual)
    if not is_moved and rarely(draw):
        drawn.columns["n"] = draw(either(
            Call("Column", "n", "serial"),
            Call("Column", "n", "bigint", identity="ALWAYS"),
            Call("Column", "n", "bigint", identity="BY DEFAULT"),
            Call("Column", "n", "integer", default="5"),
            Call("Column", "n", "varchar(30)", default="'5'"),
        ))  # fmt: skip
    for one, type_ in types.items():
        at = At(draw, drawn, one, type_)
        for add in draw(st.lists(st.sampled_from(_ON_COLUMNS), max_size=2, unique=True)):
            add(at)
    for further in draw(st.lists(st.sampled_from(_ON_TABLES), max_size=2, unique=True)):
        further(draw, drawn)
    return drawn


def _column(
    draw: st.DrawFn, drawn: Drawn, name: str, type_: Type, spelled: Mapping[str, str]
) -> None:
    default = draw(either(None, None, *type_.defaults))
    options: dict[str, Any] = {"comment": draw(COMMENTS), "statistics": draw(either(-1, -1, 100))}
    if default is not None:
        # Rows that are there when it comes need a value.
        options |= {"default": default, "nullable": default == "NULL" or draw(st.booleans())}
    if type_.name in {"text", "varchar(30)"}:
        options["collation"] = draw(either('"default"', '"default"', '"C"'))
        options["storage"] = draw(either("EXTENDED", "EXTENDED", "EXTERNAL"))
    written = spelled.get(type_.name, type_.name)
    drawn.columns[name] = Call("Column", quoted(name), written, **options)
    drawn.values[name] = type_.value


@frozen
class At:
    """A column, for what can be on it."""

    draw: st.DrawFn
    drawn: Drawn
    column: str
    type: Type

    @property
    def name(self) -> str:
        """The column, as SQL has it."""
        return quoted(self.column)

    def label(self, what: str) -> str:
        """A name for what is on it."""
        return f"{what}_{self.drawn.place}_{sorted(FAMILIES).index(self.column)}"


def _check(at: At) -> None:
    text = at.draw(st.sampled_from(at.type.checks)).replace("{}", at.name)
    at.drawn.constraints.append(Call("Check", text, name=at.label("check")))


def _unique(at: At) -> None:
    options: dict[str, Any] = at.draw(
        either({}, {"nulls_not_distinct": True}, {"deferrable": True, "initially_deferred": True})
    )
    others = [one for one in at.drawn.values if one != at.column]
    if others and rarely(at.draw):
        options = {"include": [quoted(others[0])]}
    label = at.label("unique")
    at.drawn.constraints.append(Call("Unique", at.name, name=label, **options))


def _exclude(at: At) -> None:
    where = at.draw(either(None, f"{at.name} IS NOT NULL"))
    method = at.draw(either("btree", "hash"))
    elements = (at.name, "=")
    label = at.label("exclude")
    at.drawn.constraints.append(Call("Exclude", elements, using=method, where=where, name=label))


def _index(at: At) -> None:
    element = at.draw(st.sampled_from(at.type.elements)).replace("{}", at.name)
    options: dict[str, Any] = at.draw(either(
        {}, {"where": f"{at.name} IS NOT NULL"}, {"unique": True, "nulls_not_distinct": True},
        {"include": [at.name]}, {"parameters": {"fillfactor": 70}},
    ))  # fmt: skip
    if at.type.name in {"text[]", "mood[]", "jsonb"} and at.draw(st.booleans()):
        element, options = at.name, {"method": "gin"}
    label = at.label("index")
    comment = at.draw(COMMENTS)
    at.drawn.extras.append(
        Call("index", label, at.drawn.name, [element], comment=comment, **options)
    )


def _policy(at: At) -> None:
    text = f"{at.name} IS NOT NULL"
    options: dict[str, Any] = at.draw(either(
        {"using": text}, {"using": text, "check": "true"}, {"command": "SELECT", "using": text},
        {"command": "INSERT", "check": text}, {"permissive": False, "using": text},
    ))  # fmt: skip
    roles = at.draw(either((), (quoted(ROLES[0]),), tuple(map(quoted, ROLES))))
    label = at.label("policy")
    comment = at.draw(COMMENTS)
    at.drawn.extras.append(
        Call("policy", label, at.drawn.name, roles=roles, comment=comment, **options)
    )


def _view(at: At) -> None:
    label = at.label("view")
    query = f"SELECT {at.name} AS it FROM {at.drawn.name}"
    if at.draw(st.booleans()):
        query += f" WHERE {at.name} IS NOT NULL"
    options = {"security_invoker": at.draw(st.booleans()), "comment": at.draw(COMMENTS)}
    at.drawn.extras.append(Call("view", label, query, owner=at.draw(either(*OWNERS)), **options))
    if at.draw(st.booleans()):
        at.drawn.extras.append(Call("view", f"{label}_2", f"SELECT count(it) AS n FROM {label}"))
    if at.draw(st.booleans()):
        privileges = at.draw(either("SELECT", "ALL", "SELECT (it)"))
        at.drawn.extras.append(
            Call("grant", privileges, on=label, to=quoted(at.draw(either(*ROLES))))
        )


def _materialized(at: At) -> None:
    label = at.label("stored")
    query = f"SELECT {at.name} AS it, 1 AS one FROM {at.drawn.name}"
    comment = at.draw(COMMENTS)
    at.drawn.extras.append(Call("materialized_view", label, query, comment=comment))
    at.drawn.extras.append(Call("index", f"{label}_one", label, ["one"]))


def _trigger(at: At) -> None:
    options: dict[str, Any] = at.draw(either(
        {"when": f"BEFORE UPDATE OF {at.name}"},
        {"when": "BEFORE UPDATE", "condition": f"OLD.{at.name} IS DISTINCT FROM NEW.{at.name}"},
        {"when": f"AFTER INSERT OR UPDATE OF {at.name}", "constraint": True, "deferrable": True},
        {"when": "AFTER DELETE", "for_each": "STATEMENT", "enabled": False},
    ))  # fmt: skip
    label = at.label("trigger")
    comment = at.draw(COMMENTS)
    at.drawn.extras.append(
        Call("trigger", label, at.drawn.name, function="touched()", comment=comment, **options)
    )


def _column_grant(at: At) -> None:
    privileges = at.draw(either(f"SELECT ({at.name})", f"UPDATE ({at.name})"))
    at.drawn.extras.append(
        Call("grant", privileges, on=at.drawn.name, to=quoted(at.draw(either(*ROLES))))
    )


def _function(at: At) -> None:
    label = at.label("count")
    query = f"SELECT count({at.name}) FROM {at.drawn.name}"
    body = at.draw(either(query, f"RETURN ({query})", f"BEGIN ATOMIC {query}; END"))
    options = {"returns": "bigint", "volatility": "STABLE", "body": body}
    at.drawn.extras.append(Call("function", label, comment=at.draw(COMMENTS), **options))


_ON_COLUMNS = [
    _check, _unique, _exclude, _index, _policy, _view, _materialized, _trigger, _column_grant,
    _function,
]  # fmt: skip


def _grant(draw: st.DrawFn, drawn: Drawn) -> None:
    role = draw(either(quoted(ROLES[0]), quoted(ROLES[1]), "PUBLIC"))
    privileges = draw(either("SELECT", "ALL", ["INSERT", "DELETE"]))
    drawn.extras.append(Call("grant", privileges, on=drawn.name, to=role))


def _statistics(draw: st.DrawFn, drawn: Drawn) -> None:
    usable = [one for one in sorted(drawn.values) if one != "j"]
    if len(usable) > 1:
        on = [quoted(one) for one in usable[:2]]
        label = f"statistics_{drawn.place}"
        comment = draw(COMMENTS)
        drawn.extras.append(Call("statistics", label, drawn.name, on, comment=comment))


def _primary_key(draw: st.DrawFn, drawn: Drawn) -> None:
    usable = [one for one in sorted(drawn.columns) if one not in {"j", "gv"}]
    if usable and KEY not in drawn.columns:
        on = [quoted(one) for one in usable[: draw(either(1, 2))]]
        drawn.constraints.append(Call("PrimaryKey", *on, name=f"key_{drawn.place}"))


_ON_TABLES = [_grant, _statistics, _primary_key]


def add_foreign_keys(draw: st.DrawFn, drawn: list[Drawn]) -> None:
    """Foreign keys among tables, in circles too."""
    keyed = [one for one in drawn if KEY in one.columns]
    for one in drawn:
        if bool(keyed) and draw(st.booleans()):
            target = draw(st.sampled_from(keyed))
            ref = f"ref_{target.place}"
            one.columns[ref] = Call("Column", ref, "bigint")
            options = draw(either({}, {"on_delete": "CASCADE"}, {"deferrable": True}))
            reference = f"{target.name}({KEY})"
            label = f"foreign_{one.place}"
            one.foreign.append(Call("ForeignKey", ref, references=reference, name=label, **options))
