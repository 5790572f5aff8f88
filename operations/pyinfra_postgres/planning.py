"""From declarations to a plan.

Nothing here changes a server; it is asked only what the catalog can't answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress
from itertools import chain
from typing import Any

from attrs import define, evolve, field
from typing_extensions import override

from .answer import Answer
from .catalog import FULL_NAMES, Catalog, Declared
from .compare import NO_COLUMN, Comparison, Textual
from .dependents import Dependent, of_columns
from .errors import DeclarationError, HostError
from .kind import Ask, Key, Object, Reading, Same, difference, guard
from .names import Name, quoted
from .parse import Reference, column_names, tree
from .plan import Action, Change, Gap, Hazard, Lack, Loss, Plan, Refusal, Stage, Statement
from .renames import Rename, spoken
from .rewrite import as_stored
from .rights import Need, usage
from .session import ALLOW, Draft, Item, Session
from .stored import USERS_PATH


def add(session: Session, draft: Draft, items: Sequence[Item]) -> set[str]:
    """Add to a plan what declarations would change, and to the catalog how it will be then.

    Returns the declared fragments of which a standby can't tell whether they differ.
    """
    catalog = session.catalog()
    same = Comparison(catalog, session.read)

    def steps_of(item: Item) -> list[Step]:
        return [Step(item, one) for one in item.declaration.expand(catalog)]

    renames = [tuple(_renamed(item, catalog, draft.plan)) for item in items]
    ask = Questions(session, catalog, any(renames) or draft.plan.is_renaming)
    prepared = [steps_of(item) for item in items]
    every = list(chain.from_iterable(prepared))
    for step in every:
        step.look(catalog, same, ask)
        for one in step.readings():
            same.read(one)
    # All that only the server can compare or read, in one batch.
    if (same.pending or same.new) and same.settle():
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
            change = _change(session, step, renamed, same, catalog, draft.plan, ask)
            if change:
                draft.plan.changes.append(evolve(change, batch=len(draft.batches)))
    draft.batches.append(items)
    return same.unknown


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
    """The columns that a plan drops, and that something uses which it leaves as it is."""
    catalog = session.catalog()
    ask = Questions(session, catalog, plan.is_renaming)
    dropped, catalog.dropped = catalog.dropped, {}
    for table, columns in dropped.items() if ask.in_time else ():
        found = of_columns(table, sorted(columns), catalog, ask).all
        users = sorted(one.title for one in found if _stops(one, columns, catalog))
        if users:
            names = ", ".join(map(quoted, sorted(columns)))
            reason = f"its {names} is used by {', '.join(users)}: remove or change that too"
            yield Refusal("plan", f"table {table}", reason)


def _stops(one: Dependent, columns: Set[str], catalog: Catalog) -> bool:
    """Whether what depends on columns stands against dropping them, when the plan has run."""
    table: Any = one.key and catalog.objects.get(one.key)
    match one.kind:
        case "foreign_key":
            return any(key.name == one.facts[2] for key in getattr(table, "constraints", ()))
        case "generated":
            known = (each for each in getattr(table, "columns", None) or ())
            texts = [each.generated for each in known if each.name == one.facts[2]]
            names = (name for text in texts if text for name in column_names(tree(text)))
            return not columns.isdisjoint(names)
    return one.kind in _STOPPING and one.key not in catalog.changed


@define
class Questions(Ask):
    """Asks the server, as far as it can be asked before the plan has run.

    Rows are read under the names that their relations have: nobody waits for that. What the system
    catalogs have under the new names they are asked with these names given, for the moment that
    this takes; then that is rolled back.
    """

    session: Session
    catalog: Catalog
    renaming: bool
    """Whether the plan gives other names."""
    answers: dict[str, list[Any]] = field(factory=dict)

    @property
    def in_time(self) -> bool:
        """Whether it is time to ask about changes: not before an earlier block has given names."""
        return self.renaming or not self.catalog.renames

    @override
    def __call__(self, query: str) -> list[Any]:
        if query not in self.answers:
            stored = as_stored(query, self.catalog.server_names())
            self.answers[query] = self.session.ask(stored, self.catalog.renaming(unlocked=True))
        return self.answers[query]

    @override
    def renamed(self, query: str) -> list[Any]:
        if not self.renaming:
            return self(query)
        answer = self.attempt([FULL_NAMES, query])
        if answer.failure:
            raise HostError(str(answer.failure), answer.failure.sqlstate)
        return answer.values()

    @override
    def attempt(self, statements: Sequence[str]) -> Answer:
        if not self.renaming:
            return self.session.attempt(statements)
        renames = self.catalog.renaming()
        script = [*renames, *statements]
        answer = self.session.attempt(script, _MOMENT)
        for pause in _PAUSES:
            if not answer.failure or answer.failure.sqlstate != _NO_LOCK:
                break
            time.sleep(pause)
            answer = self.session.attempt(script, _MOMENT)
        failure = answer.failure
        if failure and (0 <= failure.index < len(renames) or failure.sqlstate == _NO_LOCK):
            raise DeclarationError(
                "what the change touches is read under the new names, which are given for a "
                f"moment and taken back, and {script[failure.index]} fails: {failure}; run it "
                "again, or let a run before this one do the rename"
            )
        moved = failure and evolve(failure, index=failure.index - len(renames))
        return evolve(answer, failure=moved)


_MOMENT = "200ms"
"""How long names that are given for a moment wait for their locks, and others behind them."""
_PAUSES = (0.2, 0.5, 1.0, 2.0)
_NO_LOCK = "55P03"


@define
class Step:
    """One object's way through the making of a plan."""

    item: Item
    declaration: Object
    current: Object | None = None
    target: Object | None = None
    error: str = ""
    closed: list[Need] = field(factory=list)
    """What it takes to find what it names, and the role lacks."""

    def readings(self) -> Iterator[Reading]:
        """What the server can read of it before the plan runs."""
        if self.target is not None and self.target is not self.current and not self.closed:
            yield from self.target.readings(self.current)

    def look(self, catalog: Catalog, same: Same, ask: Ask) -> None:
        """Find the object as it is, and as it is declared to be."""
        one = self.declaration
        self.error, self.target = "", None
        self.closed = usage(one, catalog)
        if self.closed:
            same, ask = Textual(), _Unanswered()
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
                if self.target is not None and self.target.exists:
                    _check_names(self.target, catalog)
            if self.target is not None and self.target is not self.current:
                self.target.check_columns(catalog)
        except DeclarationError as error:
            self.error = str(error)


def _check_names(one: Object, catalog: Catalog) -> None:
    """Raise DeclarationError where something else has a name that a new object needs."""
    kind, *name = one.key()
    wanted = [reference for reference in one.provides() if reference.kind in {"table", "type"}]
    if kind == "index":
        wanted.append(Reference(kind, Name(*name)))
    for reference in wanted:
        if holder := catalog.holder(reference):
            raise DeclarationError(f"{holder} {reference.name} has its name: rename or drop that")


def _renamed(item: Item, catalog: Catalog, plan: Plan) -> Iterator[Rename]:
    """The renames that a declaration asks for and that are still to be done, done in the catalog.

    They come before all else: what remains to be changed is then found under the new names.
    """
    one = item.declaration
    closed = usage(one, catalog)
    for rename in one.renames(catalog) if item.present else ():
        if rename.old != rename.new:
            catalog.former.setdefault(rename.old, item.operation)
        if reason := _obstacle(rename, catalog):
            plan.refusals.append(Refusal(item.operation, one.title, reason))
        elif catalog.holds(rename.old) and closed:
            _lack(item, one, closed, plan)
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
    """Asks nobody: the role may not use what it would ask about."""

    @override
    def __call__(self, query: str) -> list[Any]:
        return self.attempt([query]).values()

    @override
    def renamed(self, query: str) -> list[Any]:
        return self(query)

    @override
    def attempt(self, statements: Sequence[str]) -> Answer:
        raise DeclarationError("the role may not use what it names")


def _change(
    session: Session,
    step: Step,
    renamed: Sequence[Rename],
    same: Comparison,
    catalog: Catalog,
    plan: Plan,
    ask: Questions,
) -> Change | None:
    """What one declaration changes; the catalog is left as it will be.

    `renamed` are its own renames.
    """
    item, one = step.item, step.declaration
    current, target = step.current, step.target

    def refuse(reason: str) -> None:
        plan.refusals.append(Refusal(item.operation, one.title, reason))

    if step.closed and (step.error or current != target):
        _lack(item, one, step.closed, plan)
        return None
    denied = list(_denied(item, one, catalog))
    for operation in denied:
        refuse(f"operation {operation!r} declares it otherwise in the same run")
    if step.error:
        if not denied:
            refuse(step.error)
        return None
    if item.present and one.key() in catalog.gone:
        refuse(f"operation {catalog.gone[one.key()]!r} takes it away: declare it in that block")
        return None
    if not item.present:
        catalog.absent.setdefault(one.key(), []).append(Declared(item.operation, one))
    if current is None and target is None:
        return None
    users: list[str] = []
    try:
        if current is not None and target is not None and ask.in_time and not one.is_beside:
            target = target.informed(current, catalog, ask)
        elif current is not None and target is None and ask.in_time:
            users = current.used_by(catalog, ask)
        # An aligned declaration that is the current object itself does not differ from it.
        changes = () if current is target else tuple(one.diff(current, target))
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
        for key in one.names() if catalog.taken else ():
            if key in catalog.taken:
                refuse(
                    f"operation {catalog.taken[key]!r} declares the same under another name, and "
                    f"gives it to {spoken(key)}: declare this one before that"
                )
    if not changes and not renamed:
        return None
    if users:
        refuse(f"it is used by {', '.join(users)}: remove or change that before")
    statements = tuple(_weighed(changes, catalog, ask))
    catalog.prepared += [one.sql for one in statements if one.prepares]
    named = (sql for rename in renamed for sql in rename.statements)
    statements = (*(evolve(sql, prepares=True) for sql in named), *statements)
    is_checked = target is not None and not one.is_beside
    missing = list(session.missing(one, catalog)) if is_checked else []
    plan.gaps += [Gap(item.operation, one.title, reference) for reference in missing]
    statements = (*_let_in(step, catalog, plan), *statements)
    for reading in step.readings() if same.lacking and not missing else ():
        state, said = same.lacking.get(reading.text or "", ("", ""))
        if state and same.is_readable(reading) and not _brings(state, catalog):
            refuse(f"PostgreSQL refuses it: {said} (SQLSTATE {state})")
    if same.errors:
        definition = "\n".join(one.lines())
        for text in [text for text in same.errors if text in definition]:
            refuse(f"{same.errors.pop(text)} in {text!r}")
    # What a gap hides is not known yet.
    for reason in _unallowed(statements, one, session, catalog) if not missing else ():
        refuse(reason)
    if target is not None and ask.in_time and not catalog.rows_change:
        for reason in _objections(target, current, catalog, ask):
            refuse(reason)
    action = _action(current, target)
    change = Change(
        item.operation,
        one.title,
        action,
        (*_renaming(renamed, catalog), *difference(current, target)),
        tuple(_fitting(statement, one, catalog) for statement in statements),
        bool(renamed),
        not renamed and _is_quiet(one, action, statements, catalog),
        (current or one).uses_columns,
    )
    if not changes:
        return change  # Another name alone is in the catalog already.
    if target is not None:
        for key in _taken(current, target) if current else ():
            catalog.taken.setdefault(key, item.operation)
        target.store(catalog, current)
        if item.present and catalog.objects.get(one.key()) is target:
            for operation in _contradicted(current, target, known, same, catalog):
                refuse(f"operation {operation!r} declares it otherwise in the same run")
    elif current is not None:
        current.erase(catalog)
    return change


def _taken(current: Object, target: Object) -> Iterator[Key]:
    """What is the same as something declared under another name, and gets that."""
    if current.key() != target.key():
        yield current.key()
    for one in getattr(target, "constraints", ()):
        if one.way.renames:
            yield ("constraint", *target.key()[1:], one.way.instead.name)


_GROUND = frozenset({"domain", "enum", "function"})
"""Kinds on which the meaning of an expression may stand, though it does not name them."""


def _brings(state: str, catalog: Catalog) -> bool:
    """Whether the plan may bring what an expression lacks."""
    changed = any(key[0] in _GROUND for key in catalog.changed)
    # A text may be the name of something: nextval('counter').
    created = bool(catalog.created) and state != NO_COLUMN
    return changed or created or bool(catalog.extended) or catalog.rows_change


def _let_in(step: Step, catalog: Catalog, plan: Plan) -> Iterator[Statement]:
    """Have the role join those that it may give away and that a change needs it in.

    What else it lacks becomes a gap.
    """
    one = step.declaration
    for need in one.needs(step.current, step.target, catalog):
        if need.group in catalog.rights.gives:
            catalog.rights.join(need.group)
            # Of a role that the plan creates there is nothing yet that a statement was made for.
            yield Statement(need.remedy, prepares=("role", need.group) not in catalog.changed)
        else:
            _lack(step.item, one, [need], plan)


def _lack(item: Item, one: Object, needs: Sequence[Need], plan: Plan) -> None:
    """Say what the role lacks, once for all that needs it."""
    told = {gap.need for gap in plan.gaps if isinstance(gap, Lack)}
    plan.gaps += [Lack(item.operation, one.title, need) for need in needs if need not in told]


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
        if not item.present and other.claims and one.withdrawn(other) != other:
            yield operation
    for operation, other, _ in catalog.absent.get(one.key(), ()) if item.present else ():
        if one.claims and other.withdrawn(one) != one:
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


def _is_quiet(
    one: Object, action: Action, statements: Iterable[Statement], catalog: Catalog
) -> bool:
    """Whether a change locks no relation that was there before the plan."""
    if one.locks_nothing:
        return True
    holder = one.belongs_to()
    own = [ref.name for ref in (*one.provides(), *([holder] if holder else []))]
    if action is not Action.CREATE and catalog.created.isdisjoint(own):
        return False
    there = catalog.relation_kinds.keys() - catalog.created
    return action is not Action.RUN and not any(
        lock.relation in there for statement in statements for lock in statement.locks
    )


def _action(current: Object | None, target: Object | None) -> Action:
    if target is not None and target.runs:
        return Action.RUN
    if target is None or not target.exists:
        return Action.REMOVE
    return Action.CHANGE if current and current.exists else Action.CREATE


def _weighed(statements: Iterable[Statement], catalog: Catalog, ask: Ask) -> Iterator[Statement]:
    """The statements with what they lose; what would lose nothing yet is seen to do so."""
    for one in statements:
        losses = [_counted(loss, catalog, ask) for loss in one.losses]
        for loss in losses:
            if not loss.told:
                message = f"{loss.title} has {loss.unit}s by now that would be lost"
                yield guard(f"SELECT FROM {loss.rows}", message, loss.relation)
        yield evolve(one, losses=tuple(loss for loss in losses if loss.told)) if losses else one


def _counted(loss: Loss, catalog: Catalog, ask: Ask) -> Loss:
    """With how much is lost."""
    table: Any = catalog.objects.get(("table", *loss.relation))
    # Forced row security hides rows from the table's owner.
    empty = table and loss.relation not in catalog.filled and not table.force_row_security
    if loss.told is not None or empty:
        return evolve(loss, told=loss.told or "")
    try:
        (count,) = ask(f"SELECT count(*) FROM {loss.rows}")
    except HostError as error:
        return evolve(loss, told=f"{loss.unit}s, which can't be counted: {error}")
    return evolve(loss, told=f"{count} {loss.unit}{'s' if count > 1 else ''}" if count else "")


_NEEDS_CONSENT = {
    Hazard.REWRITES: "would rewrite the table, which nobody can read or write meanwhile",
    Hazard.LOCKS_OUT: "would block reads and writes while it reads all rows",
}


def _unallowed(
    statements: Iterable[Statement], one: Object, session: Session, catalog: Catalog
) -> Iterator[str]:
    """What statements need permission for and the run does not allow by name."""
    found: dict[tuple[tuple[str, str], ...], list[Statement]] = {}
    for statement in statements:
        risks = [
            (f"table {statement.reads}", f"{what} of {statement.reads}")
            if statement.reads
            else (one.title, what)
            for hazard, what in _NEEDS_CONSENT.items()
            if hazard in statement.hazards
        ]
        risks += [(loss.title, f"would lose {loss.told}") for loss in statement.losses]
        needed = tuple(risk for risk in risks if not _is_allowed(risk[0], session, catalog))
        if needed:
            found.setdefault(needed, []).append(statement)
    for needed, alike in found.items():
        others = f", and {len(alike) - 1} more," if alike[1:] else ""
        whats = ", and ".join(what for _, what in needed)
        instead = next((f"; {each.instead}" for each in alike if each.instead), "")
        names = ",".join(dict.fromkeys(title.partition(" ")[2] for title, _ in needed))
        yield (
            f"{alike[0].shown}{others} {whats}{instead}; to allow it, run with "
            f"--data '{ALLOW}={names}'"
        )


def _is_allowed(title: str, session: Session, catalog: Catalog) -> bool:
    """Whether the run names it, with or without its kind and the schema `public`."""
    kind, _, name = title.partition(" ")
    short = name.removeprefix("public.")
    names = {name, title, f"{kind} {short}"}
    # A column's may be the name of a relation in another schema.
    if short not in map(str, catalog.relation_kinds):
        names.add(short)
    return bool(session.allowed() & names)
