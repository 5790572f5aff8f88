"""What a declaration changes, in view of what those before it change.

Nothing here changes a server; it is asked only what the catalog can't answer.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain

from attrs import define, evolve

from ..catalog.catalog import Declared, Forecast
from ..catalog.entry import Key
from ..catalog.renames import Rename, spoken
from ..comparison.calls import Calls
from ..comparison.compare import NO_COLUMN, NO_RELATION, PENDING, Comparison
from ..errors import DeclarationError, HostError, UnreachableError
from ..hidden import MASK, holds, within
from ..objects.kind import Copies, Object, difference
from ..plan.plan import Action, Change, Gap, Lock, Operation, Plan, Refusal, Stage, Statement
from ..syntax.parse import Reference
from ..transport.answer import withheld
from ..transport.troubles import advised
from . import copies, renaming
from .candidates import Candidate
from .conditions import bound, joining, naming, unbound
from .consent import contradicted, left_open, unallowed, unseen, weighed
from .contradictions import denied, no_longer_true
from .questions import Questions
from .session import Item, Session


@contextmanager
def _named(operation: Operation) -> Iterator[None]:
    """Have errors name the operation and its place."""
    try:
        yield
    except UnreachableError:
        raise
    except (HostError, DeclarationError) as error:
        state = getattr(error, "sqlstate", "")
        raise HostError(operation.placed(f"{operation}: {error}"), state) from None


@define
class Planner:
    """Makes changes of declarations, each in view of what those before it change."""

    session: Session
    catalog: Forecast
    plan: Plan
    same: Comparison
    ask: Questions

    def add(self, items: Sequence[Item], renames: Mapping[int, Sequence[Rename]]) -> None:
        """Add what declarations would change; `renames` are theirs, by their identity."""
        catalog, plan, same = self.catalog, self.plan, self.same
        prepared = [self._steps(item) for item in items]
        several = chain.from_iterable(prepared)
        catalog.named.update(key for step in several for key in step.declaration.names())
        coming = {one for item in items if item.present for one in item.declaration.provides()}
        every = [step for step in chain.from_iterable(prepared) if not self._waits(step, coming)]
        for step in every:
            with _named(step.item.operation):
                self._look(step)
                for one in step.readings():
                    same.read(one)
        # All that only the server can compare or read, in one batch.
        if (same.pending or same.new) and same.settle():
            for step in every:
                self._look(step)
        before = len(plan.changes)
        for item, steps in zip(items, prepared, strict=True):
            # What an earlier declaration changes, a later one may stand for or look at.
            if len(plan.changes) > before:
                steps = self._steps(item)
            for step in steps:
                with _named(step.item.operation):
                    if len(plan.changes) > before or not step.seen:
                        self._look(step)
                        if same.pending and same.settle():
                            self._look(step)
                    if change := self.change(step, renames.get(id(item), ())):
                        plan.add(change)

    def _look(self, step: Candidate) -> None:
        """Find the object as it is and as it is declared, and remember what that has asked."""
        self.same.asked = step.asked
        step.look(self.catalog, self.same, self.ask)

    def _waits(self, step: Candidate, coming: Container[Reference]) -> bool:
        """Whether it needs what the plan is still to create: nothing can be asked about it yet."""
        if step.declaration.asks_rows:
            return True
        with suppress(DeclarationError):
            for one in step.declaration.requires():
                if one in coming and not self.catalog.has(one):
                    return True
        return False

    def _steps(self, item: Item) -> list[Candidate]:
        return [Candidate(item, one) for one in item.declaration.expand(self.catalog)]

    def change(self, step: Candidate, renamed: Sequence[Rename]) -> Change | None:
        """What one declaration changes; the catalog is left as it will be.

        `renamed` are its own renames.
        """
        one = step.declaration
        if step.closed and (step.error or step.current != step.target):
            self.plan.lack(step.item.operation, one.title, step.closed)
            return None
        if self._refuse(step, self._contradictions(step)):
            self.catalog.promised.update(one.provides() if step.item.present else ())
            return None
        if not step.item.present:
            absent = self.catalog.absent.setdefault(one.key(), [])
            absent.append(Declared(step.item.operation, one))
        if step.current is None and step.target is None:
            return None
        try:
            anew = self._anew(step)
            users = self._users(step, bool(renamed)) if anew is None else []
            changes = self._dropped_once(anew or tuple(step.statements()))
        except DeclarationError as error:
            self._refuse(step, [str(error)])
            self.catalog.promised.update(one.provides() if step.item.present else ())
            return None
        self._refuse(step, self._noted(step))
        if not changes and not renamed:
            return None
        if users:
            self._refuse(step, [f"it is used by {', '.join(users)}: remove or change that before"])
        if self._refuse(step, self._foreign(step, changes)):
            return None
        is_dropped = step.target is None and self._is_dropped(step, changes)
        weighed = self._weighed(step, () if is_dropped else changes)
        own = bound(weighed, step.current, step.target, self.plan)
        missing = self._missing(step)
        statements = (*self._let_in(step), *_giving(renamed), *own)
        self._refuse(step, self._doubts(step, statements, bool(missing)))
        hides = holds(one)
        action = _action(step.current, step.target)
        change = Change(
            step.item.operation,
            one.title,
            action,
            (*renaming.shown(renamed, self.catalog), *_differences(step, hides)),
            tuple(_fitting(_covered(each), one, self.catalog) for each in statements),
            bool(renamed),
            not renamed and _is_quiet(one, action, statements, self.catalog),
            (step.current or one).key(),
            *(_definition(each, hides) for each in (step.current, step.target)),
        )
        if changes:  # Another name alone is in the catalog already.
            self._refuse(step, self._stored(step))
        return change

    def _refuse(self, step: Candidate, reasons: Iterable[str]) -> bool:
        """Refuse a plan for these reasons; whether there are any."""
        one = step.declaration
        found = [Refusal(step.item.operation, one.title, reason) for reason in reasons]
        self.plan.refusals += found
        return bool(found)

    def _contradictions(self, step: Candidate) -> Iterator[str]:
        """Why a declaration can't be looked at any further."""
        one, gone = step.declaration, self.catalog.gone
        deniers = [*denied(step.item, one, self.catalog)]
        for operation in deniers:
            yield f"operation {operation!r} declares it otherwise in the same run"
        if step.error and not deniers:
            yield step.error
        if step.item.present and one.key() in gone and not step.error:
            yield f"operation {gone[one.key()]!r} takes it away: declare it in that block"
        if step.item.present and not step.error:
            yield from left_open(one, step.current, self.session, self.catalog)

    def _users(self, step: Candidate, is_renamed: bool) -> list[str]:
        """What still uses an object that goes; of one that stays, the facts are gathered."""
        one, current, target = step.declaration, step.current, step.target
        asks = self.ask.in_time and not (one.is_beside and current and target)
        ask = self.ask if asks else None
        if current is not target or is_renamed:
            step.facts = one.facts(current, target, self.catalog, self.same, ask)
        if target is None and current is not None and self.ask.in_time:
            return current.used_by(self.catalog, self.ask)
        return []

    def _anew(self, step: Candidate) -> tuple[Statement, ...] | None:
        """What creates as it is declared what the plan has dropped and would make anew as it was.

        None where it does neither, or what creates it is the same.
        """
        current, target = step.current, step.target
        if current is None or target is None or current is target:
            return None
        key = current.key()
        if not self.plan.remakes(key):
            return None
        creating = tuple(target.diff(None, target))
        is_later = any(each.stage is Stage.AFTER for each in creating)
        if is_later or creating[0] == next(iter(current.diff(None, current))):
            return None
        own, others = self.plan.released(key)
        # They may be printed with other casts, and call nothing that they have not called.
        checks = dict.fromkeys(one.remakes.check for one in others if one.remakes)
        stored = [evolve(unbound(one), remakes=None) for one in own]
        return (
            *target.made_anew(stored, self.catalog),
            *map(unbound, others),
            *filter(None, checks),
        )

    def _dropped_once(self, changes: Sequence[Statement]) -> tuple[Statement, ...]:
        """The statements without what the plan has dropped before, and makes anew only here.

        What runs before all other changes finds everything as the server has it.
        """
        marks = [one.remakes for one in changes if one.remakes and not one.is_for_what_is_found]
        twice = {mark.key for mark in marks if mark.is_drop and self.plan.remakes(mark.key)}
        obstacles: dict[Key, str] = {}
        for key in twice:
            for one in chain(*self.plan.released(key)):
                if one.remakes and one.remakes.obstacle:
                    obstacles[one.remakes.key] = one.remakes.obstacle
        found = []
        for one in changes:
            mark = one.remakes
            if mark and mark.is_drop and mark.key in twice:
                continue
            if mark and not mark.obstacle and mark.key in obstacles:
                one = evolve(one, remakes=evolve(mark, obstacle=obstacles[mark.key]))
            found.append(one)
        return tuple(found)

    def _is_dropped(self, step: Candidate, changes: Iterable[Statement]) -> bool:
        """Whether the plan has dropped what goes to make it anew, which it then leaves."""
        one = step.current
        if one is None or any(each.stage is not Stage.MAIN for each in changes):
            return False
        own, _ = self.plan.released(one.key())
        return bool(own)

    def _noted(self, step: Candidate) -> Iterator[str]:
        """Note what is declared. Yields what stands against the names that it has."""
        if not step.item.present:
            return
        one, target, catalog = step.declaration, step.target, self.catalog
        noted = Declared(step.item.operation, one, target)
        for key in {one.key(), (target or one).key()}:
            catalog.declared.setdefault(key, []).append(noted)
        for key in one.names() if catalog.former else ():
            if key in catalog.former:
                yield f"operation {catalog.former[key]!r} gives {spoken(key)} another name"
        for key in one.names() if catalog.taken else ():
            if key in catalog.taken:
                yield (
                    f"operation {catalog.taken[key]!r} declares the same under another name, and "
                    f"gives it to {spoken(key)}: declare this one before that"
                )

    def _foreign(self, step: Candidate, changes: Iterable[Statement]) -> Iterator[str]:
        """What others own and the statements would run."""
        calls = Calls(self.catalog.foreign, self.session.read)
        readings = [one for one in step.readings() if self.same.is_readable(one)]
        yield from calls.objections(
            [sql for one in changes for sql in (one.path.local, *(one.parts or (one.sql,)))],
            readings,
            # A script may switch row level security on, or become another role.
            policies=step.declaration.runs,
            owner=getattr(step.target, "owner", None),
        )

    def _weighed(self, step: Candidate, changes: Iterable[Statement]) -> list[Statement]:
        """The statements with what they lose; what is asked later finds the ground prepared."""
        statements = list(weighed(changes, self.catalog, self.ask))
        if step.declaration.is_ground and step.current is None:
            self.catalog.prepared += [one.sql for one in statements]
        return statements

    def _missing(self, step: Candidate) -> list[Reference]:
        """What a declaration names and nothing provides, which become gaps."""
        one = step.declaration
        if step.target is None or one.is_beside:
            return []
        missing = list(self.session.missing(one, self.catalog))
        operation = step.item.operation
        if missing and holds(one):
            self._refuse(step, ["what it names is not all there, and what that is, is hidden"])
            return missing
        former = {key[1:]: by for key, by in self.catalog.former.items()}
        for reference in missing:
            if reference in self.catalog.promised:
                continue
            if by := former.get(reference.name):
                reason = f"operation {by!r} gives {reference} another name: use that here too"
                self._refuse(step, [reason])
            else:
                self.plan.gaps.append(Gap(operation, one.title, reference))
        return missing

    def _let_in(self, step: Candidate) -> list[Statement]:
        """Have the role join those that it may give away and that a change needs it in.

        What else it lacks becomes a gap.
        """
        one, catalog = step.declaration, self.catalog
        statements = []
        for need in one.needs(step.current, step.target, catalog):
            if need.group in catalog.rights.gives:
                catalog.rights.join(need.group)
                statements.append(joining(need.group, need.remedy, self.plan))
            else:
                self.plan.lack(step.item.operation, one.title, [need])
        return statements

    def _doubts(
        self, step: Candidate, statements: Sequence[Statement], is_lacking: bool
    ) -> Iterator[str]:
        """What the server, the rows and the run's permissions have against a change.

        What a gap hides is not known yet.
        """
        one, catalog = step.declaration, self.catalog
        said = list(self._unreadable(step, is_lacking))
        yield from said
        if not said and not is_lacking:
            yield from self._refused_on_copy(step)
        if not is_lacking:
            yield from unallowed(statements, one, self.session, catalog)
            at_once = (each for each in statements if each.stage is not Stage.AFTER)
            yield from unseen(at_once, catalog)
        if step.target is not None and self.ask.in_time and not catalog.rows_change:
            for doubt in step.target.objections(step.current, step.facts, catalog):
                if doubt.waits:
                    catalog.doubts.append((step.item.operation, one.title, doubt))
                else:
                    yield from contradicted(doubt, self.ask)

    def _unreadable(self, step: Candidate, is_lacking: bool) -> Iterator[str]:
        """What the server says of the SQL in a declaration."""
        same = self.same
        for reading in step.readings() if same.lacking and not is_lacking else ():
            state, said = same.objections(reading)
            if state and not _brings(state, self.catalog):
                yield advised(f"PostgreSQL refuses it: {said} (SQLSTATE {state})", state)
        for fragment in (one for one in same.errors if one in step.asked):
            yield f"{same.errors[fragment]} in {fragment.text!r}"

    def _refused_on_copy(self, step: Candidate) -> Iterator[str]:
        """What the server has against a change of what exists, tried on an empty copy of it."""
        catalog, one = self.catalog, step.declaration
        if step.current is None or step.target is None or catalog.standby:
            return
        copied = None if one.is_beside else step.target.copied(step.current, step.facts, catalog)
        found = copies.failure(copied, self.ask) if copied else None
        # A body may name a relation that has the name only once the plan has run.
        if found and catalog.stored and found.sqlstate in {NO_COLUMN, NO_RELATION}:
            return
        if copied and found and found.sqlstate in PENDING and _brings(found.sqlstate, catalog):
            plain = copied.plain() if _is_settled(copied, catalog) else None
            found = copies.failure(plain, self.ask) if plain else None
        if found:
            said = str(withheld(found)) if holds(one) else found.explained
            yield f"PostgreSQL refuses it: {said}{found.advice}"

    def _stored(self, step: Candidate) -> Iterator[str]:
        """Have the catalog be as it will be. Yields which declarations no longer hold then."""
        one, current, target, catalog = step.declaration, step.current, step.target, self.catalog
        if target is None:
            if current is not None:
                current.erase(catalog)
            return
        for key in _taken(current, target) if current else ():
            catalog.taken.setdefault(key, step.item.operation)
        target.store(catalog, current, step.facts)
        stored: Object | None = catalog.objects.get(one.key())
        is_declared = step.item.present and step.item.result is not None
        if is_declared and stored is target:
            known = catalog.declared[one.key()]
            for operation in no_longer_true(current, target, known, self.same, catalog):
                yield f"operation {operation!r} declares it otherwise in the same run"


def _definition(one: Object | None, hides: bool) -> tuple[str, ...]:
    return () if hides or one is None else tuple(one.lines())


def _differences(step: Candidate, hides: bool) -> Iterable[str]:
    """What differs; what is there may be what was hidden before."""
    return ["! its definition is hidden"] if hides else difference(step.current, step.target)


def _covered(statement: Statement) -> Statement:
    """The statement, of which nothing is shown where something in it is hidden."""
    return evolve(statement, summary=MASK) if within(statement.sql) else statement


def _giving(renames: Iterable[Rename]) -> Iterator[Statement]:
    """The statements that give other names, before everything else."""
    for rename in renames:
        yield from map(naming, rename.statements)


def _taken(current: Object, target: Object) -> Iterator[Key]:
    """What is the same as something declared under another name, and gets that."""
    if current.key() != target.key():
        yield current.key()
    for one in getattr(target, "constraints", ()):
        if one.build.renames:
            yield ("constraint", *target.key()[1:], one.build.instead.name)


def _is_settled(copied: Copies, catalog: Forecast) -> bool:
    """Whether nothing that the plan brings can be a type of copies, or what converts one."""
    if catalog.extended or catalog.rows_change:
        return False
    changed = {key[1:] for key in catalog.changed}
    named = (*copied.before.requires(), *copied.after.requires())
    return not any(one.kind == "type" and one.name in changed for one in named)


def _brings(state: str, catalog: Forecast) -> bool:
    """Whether the plan may bring what an expression lacks."""
    # A text may be the name of something: nextval('counter').
    created = bool(catalog.created) and state != NO_COLUMN
    return catalog.means_other or created or bool(catalog.extended) or catalog.rows_change


def _fitting(statement: Statement, one: Object, catalog: Forecast) -> Statement:
    """The statement as far as the server can follow it before the plan has run."""
    # They are taken at the start, before any rename.
    names = catalog.stored if statement.stage is not Stage.AFTER else {}
    locks = tuple(
        evolve(
            lock,
            relation=names.get(lock.relation, lock.relation),
            only=lock.only or (lock.spares_heirs and _kind(lock, catalog) != "p"),
            spares_heirs=False,
        )
        for lock in statement.locks
        if lock.relation not in catalog.created
        # Of what waits for the transaction's locks; an index can't be locked ahead.
        and (_kind(lock, catalog) in {"r", "p"} or statement.stage is Stage.AFTER)
    )
    statement = evolve(statement, locks=locks)
    if statement.has_to_commit and any(ref.name in catalog.created for ref in one.provides()):
        statement = evolve(statement, has_to_commit=False)
    return statement


def _kind(lock: Lock, catalog: Forecast) -> str | None:
    """What is locked, in pg_class's letters."""
    return catalog.relation_kinds.get(lock.relation)


def _is_quiet(
    one: Object, action: Action, statements: Iterable[Statement], catalog: Forecast
) -> bool:
    """Whether a change locks no relation that was there before the plan."""
    if one.locks_nothing:
        return True
    holder = one.belongs_to()
    own = [ref.name for ref in (*one.provides(), *([holder] if holder else []))]
    if action is not Action.CREATE and catalog.created.isdisjoint(own):
        return False
    locked = (lock.relation for statement in statements for lock in statement.locks)
    return action is not Action.RUN and not any(
        relation in catalog.relation_kinds and relation not in catalog.created
        for relation in locked
    )


def _action(current: Object | None, target: Object | None) -> Action:
    if target is not None and target.runs:
        return Action.RUN
    if target is None or not target.exists:
        return Action.REMOVE
    return Action.CHANGE if current and current.exists else Action.CREATE
