"""From declarations to a plan.

Nothing here changes a server; it is asked only what the catalog can't answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from attrs import define, evolve, field
from typing_extensions import override

from .answer import Answer
from .catalog import Catalog, Declared
from .compare import Comparison
from .errors import DeclarationError, HostError
from .kind import Ask, Key, Object, difference
from .parse import Reference
from .plan import Action, Change, Gap, Hazard, Lack, Loss, Plan, Refusal, Stage, Statement
from .renames import Rename, spoken
from .rewrite import as_stored
from .session import ALLOW, Draft, Item, Session
from .stored import USERS_PATH


def add(session: Session, draft: Draft, items: Sequence[Item]) -> set[str]:
    """Add to a plan what declarations would change, and to the catalog how it will be then.

    Returns the declared fragments of which a standby can't tell whether they differ.
    """
    catalog = session.catalog()
    ask = Questions(session, catalog)
    same = Comparison(catalog, session.read)

    def steps_of(item: Item) -> list[Step]:
        return [Step(item, one) for one in item.declaration.expand(catalog)]

    renames = [tuple(_renamed(item, catalog, draft.plan)) for item in items]
    renaming = any(renames) or any(change.is_renamed for change in draft.plan.changes)
    prepared = [steps_of(item) for item in items]
    every = list(chain.from_iterable(prepared))
    for step in every:
        step.look(catalog, same, ask)
    # All comparisons that only the server can make, in one batch.
    if same.pending and same.settle():
        for step in every:
            step.look(catalog, same, ask)
    catalog.named.update(key for step in every for key in step.declaration.names())
    before = len(draft.plan.changes)
    for item, renamed, steps in zip(items, renames, prepared, strict=True):
        # What an earlier declaration changes, a later one may stand for or look at.
        if len(draft.plan.changes) > before:
            steps = steps_of(item)
        for step in steps:
            if len(draft.plan.changes) > before:
                step.look(catalog, same, ask)
            change = _change(session, step, renamed, renaming, same, catalog, draft.plan, ask)
            if change:
                draft.plan.changes.append(change)
    draft.items += items
    return same.unknown


@define
class Questions:
    """Asks the server, each question once, with the names that it knows."""

    session: Session
    catalog: Catalog
    answers: dict[str, list[Any]] = field(factory=dict)

    def __call__(self, query: str) -> list[Any]:
        """The rows of a query, each a JSON value. Raises HostError."""
        if query not in self.answers:
            stored = as_stored(query, self.catalog.server_names())
            self.answers[query] = self.session.ask(stored)
        return self.answers[query]

    def attempt(self, statements: Sequence[str]) -> Answer:
        """What statements answer in a transaction that is rolled back."""
        return self.session.attempt(statements)


@define
class Step:
    """One object's way through the making of a plan."""

    item: Item
    declaration: Object
    current: Object | None = None
    target: Object | None = None
    error: str = ""

    def look(self, catalog: Catalog, same: Comparison, ask: Ask) -> None:
        """Find the object as it is, and as it is declared to be."""
        one = self.declaration
        self.error, self.target = "", None
        self.current = None
        try:
            self.current = one.find(catalog, ask)
            if self.current is None and self.item.present:
                self.current = one.twin(catalog, same)
            if not self.item.present:
                self.target = one.withdrawn(self.current) if self.current else None
            elif self.current and one.is_beside:
                self.target = one.beside(self.current)
            elif self.current:
                self.target = one.aligned(self.current, same, catalog)
            else:
                self.target = one.completed(catalog, same)
            if self.target is not None and self.target is not self.current:
                self.target.check_columns(catalog)
        except DeclarationError as error:
            self.error = str(error)


def _renamed(item: Item, catalog: Catalog, plan: Plan) -> Iterator[Rename]:
    """The renames that a declaration asks for and that are still to be done, done in the catalog.

    They come before all else: what remains to be changed is then found under the new names.
    """
    one = item.declaration
    for rename in one.renames(catalog) if item.present else ():
        if rename.old != rename.new:
            catalog.former.setdefault(rename.old, item.operation)
        if reason := _obstacle(rename, catalog):
            plan.refusals.append(Refusal(item.operation, one.title, reason))
        elif catalog.holds(rename.old):
            catalog.rename(rename)
            yield rename


def _obstacle(rename: Rename, catalog: Catalog) -> str:
    """Why something can't have another name."""
    old, new = spoken(rename.old), spoken(rename.new)
    if rename.old == rename.new:
        return f"its former name is the one that it has, {new}: leave renamed_from out"
    is_old, is_new = catalog.holds(rename.old), catalog.holds(rename.new)
    if not is_old:
        elsewhere = None if is_new else _elsewhere(rename, catalog)
        if elsewhere is None:
            return ""
        return (
            f"{old}, its former name, does not exist, but {spoken(elsewhere)} does: name its schema"
        )
    for known in catalog.declared.values():
        for operation, other, _ in known:
            if rename.old in other.names():
                return f"operation {operation!r} declares {old}, its former name, in the same run"
    if is_new:
        return (
            f"{old} and {new} are both there: move what is needed into {new} and drop {old}, or "
            "leave the former name out"
        )
    for _, name in rename.things:
        if isinstance(name, Reference) and name.kind in {"table", "type"} and catalog.has(name):
            return f"{old} can't become {new}: something else has that name"
    return ""


def _elsewhere(rename: Rename, catalog: Catalog) -> Key | None:
    """What has the former name in the schema of the new one, where that is another schema."""
    kind, schema, name = (*rename.old, "", "")[:3]
    here = (kind, rename.new[1], name, *rename.old[3:])
    return here if schema != rename.new[1] and catalog.holds(here) else None


def _renaming(renames: Sequence[Rename], catalog: Catalog) -> Iterator[str]:
    """What a person reads of renames: the names, and who still has the former ones."""
    for rename in renames:
        yield from rename.lines()
        for one in catalog.objects.values():
            if one.key() not in catalog.declared and rename.is_in(getattr(one, "body", None)):
                yield f"! {one.title} has the former name in its body, where PostgreSQL leaves it"


class _Unanswered(Ask):
    """Asks nobody: what the server would tell has the names that the plan changes first."""

    @override
    def __call__(self, query: str) -> list[Any]:
        return self.attempt([query]).values()

    @override
    def attempt(self, statements: Sequence[str]) -> Answer:
        raise DeclarationError(
            "this run gives something another name first, and what depends on it has to be read "
            "after that: let a run before this one do the rename"
        )


def _change(
    session: Session,
    step: Step,
    renamed: Sequence[Rename],
    renaming: bool,
    same: Comparison,
    catalog: Catalog,
    plan: Plan,
    ask: Any,
) -> Change | None:
    """What one declaration changes; the catalog is left as it will be.

    `renamed` are its own renames; `renaming` says whether the plan has any.
    """
    item, one = step.item, step.declaration
    current, target = step.current, step.target

    def refuse(reason: str) -> None:
        plan.refusals.append(Refusal(item.operation, one.title, reason))

    if step.error:
        refuse(step.error)
        return None
    if item.present and one.key() in catalog.gone:
        refuse(f"operation {catalog.gone[one.key()]!r} takes it away: declare it in that block")
        return None
    for operation in _denied(item, one, catalog):
        refuse(f"operation {operation!r} declares it otherwise in the same run")
    if not item.present:
        catalog.absent.setdefault(one.key(), []).append(Declared(item.operation, one))
    if current is None and target is None:
        return None
    try:
        # What an earlier block renames is not asked about before that has run.
        askable = not one.is_beside and (renaming or not catalog.renames)
        if current is not None and target is not None and askable:
            target = target.informed(current, catalog, _Unanswered() if renaming else ask)
        # An aligned declaration that is the current object itself does not differ from it.
        statements = () if current is target else tuple(one.diff(current, target))
    except DeclarationError as error:
        refuse(str(error))
        return None
    if item.present:
        known = catalog.declared.setdefault(one.key(), [])
        known.append(Declared(item.operation, one, target))
        if target is not None and target.key() != one.key():
            catalog.declared.setdefault(target.key(), []).append(known[-1])
        for key in one.names() if catalog.former else ():
            if key in catalog.former:
                refuse(f"operation {catalog.former[key]!r} gives {spoken(key)} another name")
    if not statements and not renamed:
        return None
    going = current if target is None and not catalog.renames else None
    if users := going.used_by(catalog, ask) if going else []:
        refuse(f"it is used by {', '.join(users)}: remove or change that before")
    if current:
        guards: list[Statement] = []
        lost: list[Loss] = []
        for guard in one.guarded(current, target, catalog, ask):
            if isinstance(guard, Statement):
                guards.append(guard)
            elif not _is_allowed(session, guard.kind, guard.name):
                refuse(_with_consent(guard.reason, guard.name))
            else:
                lost.append(guard)
        statements = (*guards, *_losing(statements, lost))
    statements = (*(sql for rename in renamed for sql in rename.statements), *statements)
    is_checked = target is not None and not one.is_beside
    missing = list(session.missing(one, catalog)) if is_checked else []
    plan.gaps += [Gap(item.operation, one.title, reference) for reference in missing]
    statements = (*_let_in(step, catalog, plan), *statements)
    if same.errors:
        definition = "\n".join(one.lines())
        for text in [text for text in same.errors if text in definition]:
            refuse(f"{same.errors.pop(text)} in {text!r}")
    # What a gap hides is not known yet.
    if not missing:
        _refuse_losses(session, step, statements, plan)
    if target is not None and not (catalog.renames or catalog.rows_change):
        for reason in _objections(target, current, catalog, ask):
            refuse(reason)
    change = Change(
        item.operation,
        one.title,
        _action(current, target),
        (*_renaming(renamed, catalog), *difference(current, target)),
        tuple(_fitting(statement, one, catalog) for statement in statements),
        bool(renamed),
    )
    if target is not None:
        target.store(catalog, current)
        if item.present and catalog.objects.get(one.key()) is target:
            for operation in _contradicted(current, target, known, same, catalog):
                refuse(f"operation {operation!r} declares it otherwise in the same run")
    elif current is not None:
        current.erase(catalog)
    return change


def _let_in(step: Step, catalog: Catalog, plan: Plan) -> Iterator[Statement]:
    """Have the role join those that it may give away and that a change needs it in.

    What else it lacks becomes a gap.
    """
    one = step.declaration
    for need in one.needs(step.current, step.target, catalog):
        if need.group in catalog.rights.gives:
            catalog.rights.join(need.group)
            yield Statement(need.remedy)
        else:
            plan.gaps.append(Lack(step.item.operation, one.title, need))


_PATIENCE = "SET LOCAL statement_timeout = '10s';\n"
"""How long rows are read before the change is tried without knowing."""


def _objections(
    target: Object, current: Object | None, catalog: Catalog, ask: Ask
) -> Iterator[str]:
    """What rows say against a change, as far as the server can tell beforehand."""
    for one in target.objections(current, catalog):
        with suppress(HostError):
            (count,) = ask(_PATIENCE + USERS_PATH + one.query)
            if count:
                rows = f"{count} row{'s' if count > 1 else ''}"
                yield f"{one.rule} does not hold for {rows}{one.detail}: {one.remedy}"


def _denied(item: Item, one: Object, catalog: Catalog) -> Iterator[str]:
    """The operations whose declarations can't be true together with this one."""
    for operation, other, _ in catalog.declared.get(one.key(), ()):
        # One without a name may stand under that of what it has found.
        if other.key() != one.key():
            continue
        if item.present and one.contradicts(other):
            yield operation
        # What only takes parts away doesn't ask for the rest.
        if not item.present and other.is_whole and one.withdrawn(other) != other:
            yield operation
    for operation, other, _ in catalog.absent.get(one.key(), ()) if item.present else ():
        if one.is_whole and other.withdrawn(one) != one:
            yield operation


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
    # They are taken at the start, before any rename.
    names = catalog.stored if statement.stage is not Stage.AFTER else {}
    locks = tuple(
        evolve(lock, relation=names.get(lock.relation, lock.relation))
        for lock in statement.locks
        if lock.relation not in catalog.created
        # Of what waits for the transaction's locks; an index can't be locked ahead.
        and (
            catalog.relation_kinds.get(lock.relation) in {"r", "p"}
            or statement.stage is Stage.AFTER
        )
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
    Hazard.REWRITES: "would rewrite the table, which nobody can read or write meanwhile",
    Hazard.LOCKS_OUT: "would block reads and writes while it reads all rows",
}


def _losing(statements: Sequence[Statement], lost: Sequence[Loss]) -> Iterator[Statement]:
    """The statements, with what they lose that the run allows."""
    known = {one.sql: one for one in lost}
    for one in statements:
        loss = known.get(one.sql)
        if loss is None:
            yield one
        else:
            hazards = (Hazard.LOSES_DATA, *one.hazards)
            yield evolve(one, hazards=hazards, losses=loss.losses, is_allowed=True)


def _refuse_losses(
    session: Session, step: Step, statements: Sequence[Statement], plan: Plan
) -> None:
    kind, _, name = step.declaration.title.partition(" ")
    if _is_allowed(session, kind, name):
        return
    reasons: dict[str, list[str]] = {}
    instead: dict[str, str] = {}
    for hazard, what in _NEEDS_CONSENT.items():
        found = [one for one in statements if hazard in one.hazards and not one.is_allowed]
        if found:
            others = f", and {len(found) - 1} more," if found[1:] else ""
            lost = found[0].losses if hazard is Hazard.LOSES_DATA else ""
            told = f"{found[0].shown}{others}"
            reasons.setdefault(told, []).append(f"{what}{lost and f' of {lost}'}")
            instead[told] = next((f"; {one.instead}" for one in found if one.instead), "")
    for told, whats in reasons.items():
        reason = _with_consent(f"{told} {', and '.join(whats)}{instead[told]}", name)
        plan.refusals.append(Refusal(step.item.operation, step.declaration.title, reason))


def _is_allowed(session: Session, kind: str, name: str) -> bool:
    """Whether the run names it, with or without its kind and the schema `public`."""
    short = name.removeprefix("public.")
    return bool(session.allowed() & {name, short, f"{kind} {name}", f"{kind} {short}"})


def _with_consent(reason: str, name: str) -> str:
    return f"{reason}; to allow it, run with --data '{ALLOW}={name}'"
