"""What stands against a plan once all of it is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..catalog.catalog import Forecast
from ..catalog.entry import Key
from ..errors import DeclarationError
from ..objects.dependents import of_columns
from ..objects.kind import Object
from ..plan.order import column_of
from ..plan.plan import Change, Operation, Plan, Refusal, Stage
from ..syntax.names import Name, quoted
from ..syntax.parse import Reference
from .conditions import freeing
from .consent import contradicted, unseen
from .questions import Questions
from .readings import unreadable
from .session import Session


def refusals(session: Session, plan: Plan) -> Iterator[Refusal]:
    """What stands against a plan once all of it is known."""
    yield from _unfit(plan)
    yield from _groundless(plan, session.catalog())
    yield from _too_late(plan, session.catalog())
    yield from _contradicted(session, plan)
    yield from _held_columns(session, plan)
    yield from _unfit_or_missed(session, plan)
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


def _groundless(plan: Plan, catalog: Forecast) -> Iterator[Refusal]:
    """What is declared to be there, and needs or belongs to what the plan takes away."""
    gone: dict[Reference, Key] = {}
    for key, removed in catalog.removed.items():
        for reference in removed.provides():
            gone[reference] = key
            if reference.kind == "table":  # and the type of its rows
                gone[Reference("type", reference.name)] = key
            if reference.kind == "function" and reference.name.schema == "public":
                gone[Reference("function", Name("", reference.name.name))] = key
    told = {(one.operation, one.title) for one in (*plan.refusals, *plan.gaps)}
    for operation, one in _declared(catalog) if gone else ():
        if one.lets_go or (operation, one.title) in told:
            continue
        needed = [one.belongs_to()]
        with suppress(DeclarationError):  # One that tells only what else it has says no more.
            needed += one.requires()
        for reference in filter(None, needed):
            if reference in gone and not catalog.has(reference):
                by = plan.operation_of(gone[reference])
                reason = f"it needs {reference}, which operation {by!r} takes away in the same run"
                yield Refusal(operation, one.title, reason)
                break


def _declared(catalog: Forecast) -> Iterator[tuple[Operation, Object]]:
    """What the run declares to be there, once each."""
    for key, several in catalog.declared.items():
        for operation, one, _ in several:
            if one.key() == key:
                yield operation, one


def _too_late(plan: Plan, catalog: Forecast) -> Iterator[Refusal]:
    """What can't be changed after the transaction, for what the plan has made by then."""
    for change in dict.fromkeys(change for change, _ in plan.of(Stage.AFTER)):
        for reason in _left(change, catalog).too_late(catalog):
            yield Refusal(change.operation, change.title, reason)


def _left(change: Change, catalog: Forecast) -> Object:
    """What a change leaves; an object that is nothing, where that is nothing."""
    found: Object | None = catalog.objects.get(change.key)
    return found or Object()


def _contradicted(session: Session, plan: Plan) -> Iterator[Refusal]:
    """What the plan brings, and rows are against as they are by then."""
    catalog = session.catalog()
    ask = Questions(session, catalog, plan.is_renaming)
    for change in plan.changes if ask.in_time and not catalog.rows_change else ():
        for doubt in _left(change, catalog).contradictions(catalog):
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
        own = ("table", *table)
        others = {one.key for one in found} - {own}
        freed = [column_of(table, name) for name in columns]
        plan.changes = [
            freeing(change, freed) if change.key in others else change for change in plan.changes
        ]
        users = sorted(one.title for one in found if one.stops(table, columns, catalog))
        if users:
            names = ", ".join(map(quoted, sorted(columns)))
            reason = f"its {names} is used by {', '.join(users)}: remove or change that too"
            yield Refusal(plan.operation_of(own), f"table {table}", reason)


def _unfit_or_missed(session: Session, plan: Plan) -> Iterator[Refusal]:
    """What can't be as the plan leaves it, and what is gone by it and something else uses."""
    catalog = session.catalog()
    ask = Questions(session, catalog, plan.is_renaming)
    for key in sorted(catalog.changed):
        one, removed = catalog.objects.get(key), catalog.removed.get(key)
        if one is not None:
            for reason in one.unfit(catalog):
                yield Refusal(plan.operation_of(key), one.title, reason)
        elif removed is not None and ask.in_time and (found := removed.missed(catalog, ask)):
            reason = f"it is used by {', '.join(found)}: change that too"
            yield Refusal(plan.operation_of(key), removed.title, reason)
