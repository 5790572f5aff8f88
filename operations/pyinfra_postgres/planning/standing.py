"""What stands against a plan once all of it is known."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import suppress
from typing import Any

from ..catalog.catalog import Forecast
from ..errors import DeclarationError
from ..objects.dependents import Dependent, of_columns
from ..objects.sequence_users import users
from ..plan.order import column_of
from ..plan.plan import Plan, Refusal, Stage
from ..syntax.names import Name, quoted
from ..syntax.parse import column_names, tree
from .conditions import freeing
from .consent import contradicted, unseen
from .questions import Questions
from .readings import unreadable
from .session import Session

# What stops a column from being dropped; the rest goes with it.
_STOPPING = frozenset(
    (
        *("view", "materialized_view", "policy", "trigger", "function", "procedure"),
        *("publication", "other"),
    )
)


def refusals(session: Session, plan: Plan) -> Iterator[Refusal]:
    """What stands against a plan once all of it is known."""
    yield from _unfit(plan)
    yield from _held_domains(plan, session.catalog())
    yield from _contradicted_domains(session, plan)
    yield from _held_columns(session, plan)
    yield from _held_sequences(session, plan)
    yield from _held_foreign_keys(plan, session.catalog())
    yield from _hidden_rows(plan, session.catalog())
    yield from _missing_rows(session, plan)
    yield from unreadable(session, plan)


def _missing_rows(session: Session, plan: Plan) -> Iterator[Refusal]:
    """The rows that what the plan creates would need, where it has none for it."""
    catalog = session.catalog()
    ask = Questions(session, catalog, plan.is_renaming)
    doubts, catalog.doubts = catalog.doubts, []
    for operation, title, doubt in doubts if not catalog.rows_change and ask.in_time else ():
        for reason in contradicted(doubt, ask):
            yield Refusal(operation, title, reason)


def _unfit(plan: Plan) -> Iterator[Refusal]:
    """What can't be made anew as it was, and nothing declares otherwise."""
    for change in plan.changes:
        marks = [one.remakes.obstacle for one in change.statements if one.remakes]
        if obstacles := list(filter(None, dict.fromkeys(marks))):
            yield Refusal(
                change.operation,
                change.title,
                f"it can be made anew only with {', '.join(obstacles)}: declare that to be "
                "otherwise in the same block, or remove it before",
            )


def _held_domains(plan: Plan, catalog: Forecast) -> Iterator[Refusal]:
    """The domains that are checked after the transaction, when another type holds them."""
    for change in dict.fromkeys(change for change, _ in plan.of(Stage.AFTER)):
        if change.key[0] != "domain":
            continue
        array = f"{Name(*change.key[1:])}[]"
        for key, one in catalog.objects.items():
            columns = getattr(one, "columns", None) if key[0] == "table" else None
            for column in columns or ():
                if column.type == array:
                    yield Refusal(
                        change.operation,
                        change.title,
                        f"PostgreSQL can't check the values within {quoted(column.name)} of "
                        f"{Name(*key[1:])}, an array of it: let a run before this one change it, "
                        "or declare another domain for one of them",
                    )


def _contradicted_domains(session: Session, plan: Plan) -> Iterator[Refusal]:
    """The domains that are against values which columns have by then."""
    catalog = session.catalog()
    ask = Questions(session, catalog, plan.is_renaming)
    for change in plan.changes if ask.in_time and not catalog.rows_change else ():
        one: Any = catalog.objects.get(change.key) if change.key[0] == "domain" else None
        for doubt in one.contradictions(catalog) if one else ():
            # The rows of a table are not read where that might run what others own.
            with suppress(DeclarationError):
                for reason in contradicted(doubt, ask):
                    yield Refusal(change.operation, change.title, reason)


def _hidden_rows(plan: Plan, catalog: Forecast) -> Iterator[Refusal]:
    """What would fail after the transaction, on rows that row security hides by then."""
    told = {(one.operation, one.title) for one in plan.refusals}
    for change, statement in plan.of(Stage.AFTER):
        for reason in unseen([statement], catalog):
            if (change.operation, change.title) not in told:
                yield Refusal(change.operation, change.title, reason)


def _held_foreign_keys(plan: Plan, catalog: Forecast) -> Iterator[Refusal]:
    """The foreign keys that a plan changes or removes, and puts back after the transaction."""
    for change, statement in plan.of(Stage.AFTER):
        for table, name, definition in statement.puts_back:
            stored = catalog.constraints_of(table)
            if not any(one.name == name and one.definition() == definition for one in stored):
                yield Refusal(
                    change.operation,
                    change.title,
                    f"the foreign key {quoted(name)} of {table} is put back after the transaction, "
                    "with the key on which it stands, and the transaction changes or removes it: "
                    "let a block before this one do that",
                )


def _held_columns(session: Session, plan: Plan) -> Iterator[Refusal]:
    """The columns that a plan drops, and that something uses which it leaves as it is.

    What of that the plan changes or removes has let go of them before.
    """
    catalog = session.catalog()
    ask = Questions(session, catalog, plan.is_renaming)
    dropped, catalog.dropped = catalog.dropped, {}
    for table, columns in dropped.items() if ask.in_time else ():
        found = of_columns(table, sorted(columns), catalog, ask).all
        others = {one.key for one in found} - {("table", *table)}
        freed = [column_of(table, name) for name in columns]
        plan.changes = [
            freeing(change, freed) if change.key in others else change for change in plan.changes
        ]
        users = sorted(one.title for one in found if _stops(one, table, columns, catalog))
        if users:
            names = ", ".join(map(quoted, sorted(columns)))
            reason = f"its {names} is used by {', '.join(users)}: remove or change that too"
            yield Refusal(plan.operation_of(("table", *table)), f"table {table}", reason)


def _held_sequences(session: Session, plan: Plan) -> Iterator[Refusal]:
    """The sequences that a plan leaves to a column of a table with another owner, and those that
    go with columns and that something else uses.
    """
    catalog = session.catalog()
    ask = Questions(session, catalog, plan.is_renaming)
    for _, *name in sorted(key for key in catalog.changed if key[0] == "sequence"):
        one: Any = catalog.objects.get(("sequence", *name))
        title, by = f"sequence {Name(*name)}", plan.operation_of(("sequence", *name))
        table = getattr(getattr(one, "owned_by", None), "table", None)
        if one is None and ask.in_time and (found := users(Name(*name), catalog, ask)):
            yield Refusal(by, title, f"it is used by {', '.join(found)}: change that too")
        if table in catalog.relation_kinds:
            owner = catalog.acls["SEQUENCE", *name].owner
            theirs = catalog.acls["TABLE", *table].owner
            if owner != theirs:
                reason = (
                    f"its owner is {quoted(owner)}, and {quoted(theirs)} owns {table}: a sequence "
                    "and the table of its column have one owner, so declare the same for both"
                )
                yield Refusal(by, title, reason)


def _stops(one: Dependent, table: Name, columns: Set[str], catalog: Forecast) -> bool:
    """Whether what depends on columns stands against dropping them, when the plan has run."""
    stored: Any = one.key and catalog.objects.get(one.key)
    match one.kind:
        case "foreign_key":
            return any(key.name == one.facts[2] for key in getattr(stored, "constraints", ()))
        case "generated":
            known = (each for each in getattr(stored, "columns", None) or ())
            texts = [each.generated for each in known if each.name == one.facts[2]]
            names = (name for text in texts if text for name in column_names(tree(text)))
            return not columns.isdisjoint(names)
    # What the plan changes may use them all the same.
    stays = one.key not in catalog.changed or (stored is not None and stored.uses(table, columns))
    return one.kind in _STOPPING and stays
