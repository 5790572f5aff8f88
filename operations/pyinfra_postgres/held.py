"""What stands against a plan once all of it is known."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from .catalog import Catalog
from .consent import unseen
from .dependents import Dependent, of_columns
from .names import Name, quoted
from .parse import column_names, tree
from .plan import Plan, Refusal, Stage
from .questions import Questions
from .session import Session

# What stops a column from being dropped; the rest goes with it.
_STOPPING = frozenset(
    (
        *("view", "materialized_view", "policy", "trigger", "function", "procedure"),
        *("publication", "other"),
    )
)


def held(session: Session, plan: Plan) -> Iterator[Refusal]:
    """What stands against a plan once all of it is known."""
    yield from _held_columns(session, plan)
    yield from _held_foreign_keys(plan, session.catalog())
    yield from _hidden_rows(plan, session.catalog())


def _hidden_rows(plan: Plan, catalog: Catalog) -> Iterator[Refusal]:
    """What would fail after the transaction, on rows that row security hides by then."""
    told = {(one.operation, one.title) for one in plan.refusals}
    for change, statement in plan.of(Stage.AFTER):
        for reason in unseen([statement], catalog):
            if (change.operation, change.title) not in told:
                yield Refusal(change.operation, change.title, reason)


def _held_foreign_keys(plan: Plan, catalog: Catalog) -> Iterator[Refusal]:
    """The foreign keys that a plan changes or removes, and puts back after the transaction."""
    for change, statement in plan.of(Stage.AFTER):
        for table, name, definition in statement.puts_back:
            stored = getattr(catalog.objects.get(("table", *table)), "constraints", ())
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

    The plan is told what uses them, so that what of that goes too goes before.
    """
    catalog = session.catalog()
    ask = Questions(session, catalog, plan.is_renaming)
    dropped, catalog.dropped = catalog.dropped, {}
    for table, columns in dropped.items() if ask.in_time else ():
        found = of_columns(table, sorted(columns), catalog, ask).all
        plan.users.update(one.key for one in found if one.key and one.key != ("table", *table))
        users = sorted(one.title for one in found if _stops(one, table, columns, catalog))
        if users:
            names = ", ".join(map(quoted, sorted(columns)))
            reason = f"its {names} is used by {', '.join(users)}: remove or change that too"
            yield Refusal("plan", f"table {table}", reason)


def _stops(one: Dependent, table: Name, columns: Set[str], catalog: Catalog) -> bool:
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
