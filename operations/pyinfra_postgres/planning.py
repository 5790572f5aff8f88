"""From declarations to a plan.

Nothing here changes a server; it is asked only what the catalog can't answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define, evolve

from .catalog import Catalog, Declared
from .compare import Comparison
from .errors import DeclarationError
from .kind import Ask, Object, difference
from .plan import Action, Change, Gap, Hazard, Plan, Refusal, Statement
from .session import ALLOW, Draft, Item, Session


def add(session: Session, draft: Draft, items: Sequence[Item]) -> set[str]:
    """Add to a plan what declarations would change, and to the catalog how it will be then.

    Returns the declared fragments of which a standby can't tell whether they differ.
    """
    catalog = session.catalog()
    asked: dict[str, list[Any]] = {}

    def ask(query: str) -> list[Any]:
        if query not in asked:
            asked[query] = session.ask(query)
        return asked[query]

    same = Comparison(catalog, session.read)

    def steps_of(item: Item) -> list[Step]:
        singles = item.declaration.expand(catalog)
        steps = [Step(evolve(item, declaration=one)) for one in singles]
        for step in steps:
            step.look(catalog, same, ask)
        return steps

    prepared = [steps_of(item) for item in items]
    # All comparisons that only the server can make, in one batch.
    if same.pending and same.settle():
        prepared = [steps_of(item) for item in items]
    before = len(draft.plan.changes)
    for item, steps in zip(items, prepared, strict=True):
        # What an earlier declaration changes, a later one may stand for or look at.
        if len(draft.plan.changes) > before:
            steps = steps_of(item)
        for step in steps:
            if len(draft.plan.changes) > before:
                step.look(catalog, same, ask)
            change = _change(session, step, same, catalog, draft.plan, ask)
            if change:
                draft.plan.changes.append(change)
    draft.items += items
    return same.unknown


@define
class Step:
    """One object's way through the making of a plan."""

    item: Item
    current: Object | None = None
    target: Object | None = None
    error: str = ""

    def look(self, catalog: Catalog, same: Comparison, ask: Ask) -> None:
        """Find the object as it is, and as it is declared to be."""
        one = self.item.declaration
        self.error, self.target = "", None
        self.current = None
        try:
            self.current = one.find(catalog, ask)
            if not self.item.present:
                self.target = one.withdrawn(self.current) if self.current else None
            elif self.current and one.is_beside:
                self.target = one.beside(self.current)
            elif self.current:
                self.target = one.aligned(self.current, same, catalog)
            else:
                self.target = one.completed(catalog)
        except DeclarationError as error:
            self.error = str(error)


def _change(
    session: Session, step: Step, same: Comparison, catalog: Catalog, plan: Plan, ask: Any
) -> Change | None:
    """What one declaration changes; the catalog is left as it will be."""
    item, one = step.item, step.item.declaration
    current, target = step.current, step.target

    def refuse(reason: str) -> None:
        plan.refusals.append(Refusal(item.operation, one.title, reason))

    if step.error:
        refuse(step.error)
        return None
    if current is None and target is None:
        return None
    try:
        if current is not None and target is not None and not one.is_beside:
            target = target.informed(current, catalog, ask)
        statements = tuple(one.diff(current, target))
    except DeclarationError as error:
        refuse(str(error))
        return None
    if item.present:
        known = catalog.declared.setdefault(one.key(), [])
        known.append(Declared(item.operation, one, target))
        if target is not None and target.key() != one.key():
            catalog.declared.setdefault(target.key(), []).append(known[-1])
    if not statements:
        return None
    if not item.present and current:
        guards: list[Statement] = []
        for guard in one.guarded(current, catalog, ask):
            if isinstance(guard, Statement):
                guards.append(guard)
            elif not _is_allowed(session, one):
                refuse(_with_consent(guard, one))
        statements = (*guards, *statements)
    if target is not None and not one.is_beside:
        plan.gaps += [
            Gap(item.operation, one.title, reference) for reference in session.missing(one, catalog)
        ]
    definition = "\n".join(one.lines())
    for text in [text for text in same.errors if text in definition]:
        refuse(f"{same.errors.pop(text)} in {text!r}")
    _refuse_losses(session, item, statements, plan)
    change = Change(
        item.operation,
        one.title,
        _action(current, target),
        tuple(difference(current, target)),
        tuple(_fitting(statement, one, catalog) for statement in statements),
    )
    if target is not None:
        target.store(catalog, current)
        if item.present and catalog.objects.get(one.key()) is target:
            for operation in _contradicted(current, target, known, same, catalog):
                refuse(f"operation {operation!r} declares it otherwise in the same run")
    elif current is not None:
        current.erase(catalog)
    return change


def _contradicted(
    current: Object | None,
    target: Object,
    known: Sequence[Declared],
    same: Comparison,
    catalog: Catalog,
) -> Iterator[str]:
    """The operations whose declarations of the same object held, and no longer do."""

    def holds(declaration: Object, one: Object) -> bool:
        return not tuple(declaration.diff(one, declaration.aligned(one, same, catalog)))

    for operation, other, _ in known[:-1]:
        if current and holds(other, current) and not holds(other, target):
            yield operation


def _fitting(statement: Statement, one: Object, catalog: Catalog) -> Statement:
    """The statement as far as the server can follow it before the plan has run."""
    locks = tuple(
        lock
        for lock in statement.locks
        if lock.relation not in catalog.created
        and catalog.relation_kinds.get(lock.relation) in {"r", "p"}
    )
    statement = evolve(statement, locks=locks)
    if statement.publishes and any(ref.name in catalog.created for ref in one.provides()):
        statement = evolve(statement, publishes=None)
    return statement


def _action(current: Object | None, target: Object | None) -> Action:
    if target is not None and target.runs:
        return Action.RUN
    if target is None or not target.exists:
        return Action.REMOVE
    return Action.CHANGE if current and current.exists else Action.CREATE


_NEEDS_CONSENT = {
    Hazard.LOSES_DATA: "would lose data",
    Hazard.REWRITES: "would rewrite the table, and lose what the new type can't hold",
}


def _refuse_losses(
    session: Session, item: Item, statements: Sequence[Statement], plan: Plan
) -> None:
    one = item.declaration
    if _is_allowed(session, one):
        return
    for hazard, what in _NEEDS_CONSENT.items():
        found = [statement.shown for statement in statements if hazard in statement.hazards]
        if found:
            others = f", and {len(found) - 1} more," if found[1:] else ""
            reason = _with_consent(f"{found[0]}{others} {what}", one)
            plan.refusals.append(Refusal(item.operation, one.title, reason))


def _is_allowed(session: Session, one: Object) -> bool:
    """Whether the run names it, with or without its kind and the schema `public`."""
    kind, _, name = one.title.partition(" ")
    short = name.removeprefix("public.")
    return bool(session.allowed() & {name, short, f"{kind} {name}", f"{kind} {short}"})


def _with_consent(reason: str, one: Object) -> str:
    name = one.title.partition(" ")[2]
    return f"{reason}; to allow it, run with --data '{ALLOW}={name}'"
