"""Triggers: CREATE TRIGGER, ALTER TABLE ... ENABLE TRIGGER, DROP TRIGGER.

https://www.postgresql.org/docs/current/sql-createtrigger.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...catalog.snapshot import USER_SCHEMA, Snapshot
from ...comparison.asking import Ask, Reading, Same
from ...errors import DeclarationError
from ...plan.plan import Lock, Mode, Statement
from ...syntax import given
from ...syntax.fragments import Rule
from ...syntax.names import (
    Exact,
    Name,
    identifier,
    optional_identifier,
    optional_name,
    parse_name,
    quoted,
)
from ...syntax.parse import (
    Node,
    Reference,
    closed,
    closing,
    declared_references,
    optional_expression,
    statement,
    tokens,
)
from ...syntax.paths import SearchPath
from ..kind import Object, Row, comment, either
from ..tables.heirs import inheriting
from ..tables.known_columns import check_columns

_WHEN = Rule(
    "time of a trigger",
    "CREATE TRIGGER t {} ON t EXECUTE FUNCTION f()",
    "BEFORE INSERT",
    "timing events columns",
    "it like BEFORE INSERT OR UPDATE OF email",
)
_FUNCTION = Rule(
    "call of a trigger function",
    "CREATE TRIGGER t BEFORE INSERT ON t EXECUTE FUNCTION {}",
    "f()",
    "funcname args",
    "it like touch() or touch('updated_at')",
)
_REFERENCING = Rule(
    "list of transition tables",
    "CREATE TRIGGER t AFTER INSERT ON t REFERENCING {} EXECUTE FUNCTION f()",
    "NEW TABLE AS n",
    "transitionRels",
    "it like NEW TABLE AS added",
)


def _when(text: str | None) -> str | None:
    return _fragment(_WHEN, text)


def _function(text: str | None) -> str | None:
    return _fragment(_FUNCTION, text)


def _referencing(text: str | None) -> str | None:
    return _fragment(_REFERENCING, text)


def _fragment(rule: Rule, text: str | None) -> str | None:
    if text is None or isinstance(text, Exact):
        return text
    rule.read(text)
    return closed(text)


def _level(text: str) -> str:
    return given.word("for_each", text, ("ROW", "STATEMENT"))


_ENABLED: dict[bool | str, str] = {
    True: "ENABLE",
    False: "DISABLE",
    "always": "ENABLE ALWAYS",
    "replica": "ENABLE REPLICA",
}
_STORED: dict[str, bool | str] = {"O": True, "D": False, "A": "always", "R": "replica"}
_ON_DELETE = 8
"""The bit of DELETE in a trigger's events."""


def _enabled(value: bool | str) -> bool | str:
    if not isinstance(value, bool | str) or value not in _ENABLED:
        raise given.refused("enabled", "True, False, 'always' or 'replica'", value)
    return value


@frozen
class TriggerDetails:
    """What a catalog knows of a trigger beside what may be declared."""

    inherited: bool = False
    """Whether the table has it from the one that it is a part of."""


@frozen
class Trigger(Object):
    """A trigger of a table."""

    kind: ClassVar[str] = "trigger"
    word: ClassVar[str] = "triggers"
    essence: ClassVar[str] = "when"

    name: Exact = field(converter=identifier)
    table: Name = field(converter=parse_name)
    when: str | None = field(default=None, converter=_when, kw_only=True)
    function: str | None = field(default=None, converter=_function, kw_only=True)
    for_each: str = field(default="ROW", converter=_level, kw_only=True)
    condition: str | None = field(default=None, converter=optional_expression, kw_only=True)
    referencing: str | None = field(default=None, converter=_referencing, kw_only=True)
    constraint: bool = field(default=False, kw_only=True)
    deferrable: bool = field(default=False, kw_only=True)
    initially_deferred: bool = field(default=False, kw_only=True)
    referenced: Name | None = field(default=None, converter=optional_name, kw_only=True)
    enabled: bool | str = field(default=True, converter=_enabled, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if self.initially_deferred:
            object.__setattr__(self, "deferrable", True)
        if not self.constraint and (self.deferrable or self.referenced):
            raise DeclarationError(
                f"trigger {self.name}: only a constraint trigger is deferrable or has a "
                "referenced table"
            )
        if self.when is not None:
            if self.function is None:
                raise DeclarationError(f"trigger {self.name}: declare its function too")
            self._parsed()

    @property
    def title(self) -> str:
        return f"trigger {quoted(self.name)} on {self.table}"

    @property
    def address(self) -> str:
        return f"TRIGGER {quoted(self.name)} ON {self.table}"

    @property
    def locked(self) -> Lock:
        return Lock(self.table, spares_heirs=True)

    def key(self) -> Key:
        return (self.kind, *self.table, self.name)

    def lines(self) -> Iterator[str]:
        yield f"{self.when} for each {self.for_each.lower()} execute {self.function}"
        if self.referencing:
            yield f"referencing {self.referencing}"
        if self.constraint:
            yield f"constraint{self._timing()}"
        if self.condition is not None:
            yield f"when ({self.condition})"
        if self.enabled is not True:
            yield f"enabled {self.enabled}" if self.enabled else "disabled"
        if self.comment:
            yield f"comment {self.comment!r}"

    def sql(self, condition: str | None = None) -> str:
        """The CREATE TRIGGER statement."""
        create = "CREATE CONSTRAINT" if self.constraint else "CREATE OR REPLACE"
        parts = [
            f"{create} TRIGGER {quoted(self.name)} {self.when} ON {self.table}{self._timing()}"
        ]
        if self.referencing:
            parts.append(f"REFERENCING {self.referencing}")
        parts.append(f"FOR EACH {self.for_each}")
        if condition is not None:
            parts.append(f"WHEN ({closed(condition)})")
        return " ".join([*parts, f"EXECUTE FUNCTION {self.function}"])

    def _timing(self) -> str:
        referenced = f" FROM {self.referenced}" if self.referenced else ""
        deferrable = " DEFERRABLE" if self.deferrable else ""
        deferred = " INITIALLY DEFERRED" if self.initially_deferred else ""
        return f"{referenced}{deferrable}{deferred}"

    def _parsed(self) -> Node:
        try:
            node: Node = statement(self.sql())["CreateTrigStmt"]
        except (DeclarationError, KeyError):
            raise DeclarationError(
                f"trigger {self.name}: PostgreSQL has no {self.when} with referencing "
                f"{self.referencing!r} for each {self.for_each}"
            ) from None
        return node

    def shape(self) -> Node:
        """What of the parse tree matters, but for the function's schema."""
        node = {key: value for key, value in self._parsed().items() if key != "replace"}
        node["funcname"] = self._function().name
        node["transitionRels"] = sorted(map(str, node.get("transitionRels", ())))
        return node

    def _function(self) -> Name:
        """The function; without a schema it may be PostgreSQL's own."""
        names = [part["String"]["sval"] for part in self._parsed()["funcname"]]
        return Name(names[0], names[1]) if len(names) > 1 else Name("", names[0])

    def _like(self, current: Trigger) -> bool:
        """Whether it fires as the current one does, which names its function in full."""
        schema = self._function().schema
        schemas = {"": {"", "public"}, "pg_catalog": {""}}.get(schema, {schema})
        return self.shape() == current.shape() and current._function().schema in schemas

    def fires_on_delete(self) -> bool:
        """Whether a deleted row fires it in an ordinary session."""
        return self.enabled in {True, "always"} and bool(self._parsed()["events"] & _ON_DELETE)

    def is_part(self, catalog: Snapshot) -> bool:
        # One of the whole table is the partition's with that.
        details = catalog.details.get(self.key())
        return isinstance(details, TriggerDetails) and details.inherited

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)
        yield Reference("function", self._function())
        if self.referenced:
            yield Reference("table", self.referenced)
        yield from declared_references(self.condition)

    def completed(self, catalog: Forecast, same: Same) -> Self:
        if self.when is None or self.function is None:
            raise DeclarationError("it does not exist: declare its when and function")
        return self

    @property
    def _template(self) -> str:
        return f"SELECT 1 FROM {self.table} old, {self.table} new WHERE ({{}})"

    def readings(self, current: Self | None) -> Iterator[Reading]:
        yield Reading(self._template, self.condition, self.table)

    def facts(
        self,
        current: Trigger | None,
        target: Trigger | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> tuple[Trigger, ...] | None:
        """The triggers that the table's partitions have from the current one."""
        if current is None:
            return None
        if target is None and catalog.details_of(current, TriggerDetails).inherited:
            raise DeclarationError("its table has it as a partition: remove it from the whole")
        names = inheriting(current.table, catalog)
        parts = (catalog.objects.get((current.kind, *one, current.name)) for one in names)
        return tuple(
            one for one in parts if one and catalog.details_of(one, TriggerDetails).inherited
        )

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        changes: dict[str, Any] = {"comment": either(self.comment, current.comment)}
        if same(self._template, self.condition, current.condition, self.table):
            changes["condition"] = current.condition
        if self.when is None or self._like(current):
            changes |= {name: getattr(current, name) for name in _SHAPE}
        return evolve(self, **changes)

    def check_columns(self, catalog: Forecast) -> None:
        updated = [part["String"]["sval"] for part in self._parsed().get("columns", ())]
        check_columns(self.table, catalog, updated, [self.condition], rows={"old", "new"})

    @staticmethod
    def diff(
        current: Trigger | None, declared: Trigger | None, parts: Iterable[Trigger] = ()
    ) -> Iterator[Statement]:
        """CREATE, replace in place or DROP a trigger; PostgreSQL can't replace constraint ones."""
        if declared is None:
            assert current
            yield Statement(
                f"DROP TRIGGER {quoted(current.name)} ON {current.table}", locks=current.locked
            )
            return
        name, table = quoted(declared.name), declared.table
        lock = Lock(table, Mode.SHARE_ROW_EXCLUSIVE, spares_heirs=True)
        path = SearchPath.of(declared.condition, declared.when, declared.function)
        create = Statement(declared.sql(declared.condition), path=path, locks=lock)
        before = current
        if current is None:
            yield create
        elif evolve(current, enabled=declared.enabled, comment=declared.comment) == declared:
            pass
        elif current.constraint or declared.constraint:
            yield Statement(f"DROP TRIGGER {name} ON {table}", locks=declared.locked)
            yield create
            current = None
        else:
            yield create
            # Replacing it has switched it on.
            current = evolve(current, enabled=True)
        if declared.enabled != (current.enabled if current else True):
            verb = _ENABLED[declared.enabled]
            yield Statement(f"ALTER TABLE {table} {verb} TRIGGER {name}", locks=lock)
        if before and before != evolve(declared, comment=before.comment):
            yield from _kept_by_parts(before, parts, is_new=current is None)
        target = f"TRIGGER {name} ON {table}"
        yield from comment(target, current, declared)


def _kept_by_parts(before: Trigger, parts: Iterable[Trigger], is_new: bool) -> Iterator[Statement]:
    """What gives the triggers of partitions the states of their own, which have followed.

    Those of a new one have lost their comments too.
    """
    for part in parts:
        if part.enabled != before.enabled:
            verb = f"{_ENABLED[part.enabled]} TRIGGER {quoted(part.name)}"
            lock = Lock(part.table, Mode.SHARE_ROW_EXCLUSIVE, only=True)
            yield Statement(f"ALTER TABLE ONLY {part.table} {verb}", locks=lock)
        if is_new:
            yield from comment(part.address, None, part, part.table)


_SHAPE = (
    *("when", "function", "for_each", "referencing"),
    *("constraint", "deferrable", "initially_deferred", "referenced"),
)

QUERIES = {
    "triggers": f"""
        SELECT json_build_array(t.tgrelid::regclass, t.tgname, pg_get_triggerdef(t.oid),
                 t.tgenabled, d.description, t.tgparentid <> 0)
          FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
          JOIN pg_trigger t ON t.tgrelid = c.oid
          LEFT JOIN pg_description d ON d.objoid = t.oid AND d.classoid = 'pg_trigger'::regclass
         WHERE {USER_SCHEMA} AND NOT t.tgisinternal"""
}


def read(sections: dict[str, list[Row]], catalog: Snapshot) -> None:
    for table, name, definition, enabled, remark, inherited in sections["triggers"] or ():
        trigger = Trigger(
            Exact(name),
            catalog.relations[table],
            enabled=_STORED[enabled],
            comment=remark,
            **_clauses(definition),
        )
        catalog.objects[trigger.key()] = trigger
        if inherited:
            catalog.details[trigger.key()] = TriggerDetails(inherited)


def _clauses(definition: str) -> dict[str, Any]:
    """The clauses of a CREATE TRIGGER statement, sliced from its text."""
    found = tokens(definition)
    words = [token.text for token in found]

    def between(first: int, last: int) -> Exact:
        return Exact(definition[found[first].start : found[last - 1].end])

    # CREATE [CONSTRAINT] TRIGGER name when ON table [FROM ...] [[NOT] DEFERRABLE INITIALLY ...]
    # [REFERENCING ...] FOR EACH ROW [WHEN (...)] EXECUTE ...
    constraint = words[1] == "constraint"
    first = 4 if constraint else 3
    on = words.index("on", first)
    each = next(
        place for place in range(on, len(words)) if words[place : place + 2] == ["for", "each"]
    )
    execute = len(words) - 1 - words[::-1].index("execute")
    clauses: dict[str, Any] = {
        "when": between(first, on),
        "for_each": words[each + 2],
        "function": Exact(definition[found[execute + 2].start :]),
    }
    # The table's name, always in full, is the three tokens after ON.
    if constraint:
        options = words[on + 4 : each]
        clauses |= {
            "constraint": True,
            "deferrable": "deferrable" in options and "not" not in options,
            "initially_deferred": "deferred" in options,
        }
        if options[:1] == ["from"]:
            clauses["referenced"] = between(on + 5, on + 8)
    if words[on + 4] == "referencing":
        clauses["referencing"] = between(on + 5, each)
    if words[each + 3] == "when":
        end = closing(found, each + 4)
        clauses["condition"] = Exact(definition[found[each + 4].end : found[end].start].strip())
        rest = found[end + 1]
        execute = found.index(rest)
        clauses["function"] = definition[found[execute + 2].start :]
    return clauses
