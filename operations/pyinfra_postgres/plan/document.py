"""A plan as JSON: what is reviewed is what runs.

Pure. The same plan gives the same bytes, and read again it is the same plan. plan.schema.json
describes a document: the plans of a host's transactions in their order, for all databases that have
the same. Its id is a digest of all that it says. https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import AttrsInstance, asdict, evolve, fields, frozen

from ..hidden import masked
from ..syntax.names import Name
from ..syntax.paths import SearchPath
from .order import Condition, in_order
from .plan import (
    Action,
    Change,
    Hazard,
    Lock,
    Loss,
    Mode,
    Operation,
    Plan,
    Stage,
    Statement,
    Undeclared,
    Waiting,
)
from .sealed import Json, digest, sealed, unsealed

VERSION = "1.1"
"""Of the format: a minor version only adds."""


@frozen
class Identity:
    """What tells one database from all others."""

    system_identifier: str
    oid: int
    name: str
    neon_branch: str = ""
    """Which branch of Neon's it is, as far as that can be told; those share all the rest."""


def plan_id(plan: Plan) -> str:
    """What tells one plan from another: the same for equal plans, wherever the deploy has them."""
    said = encoded(plan)
    said.pop("waiting")
    return digest({**said, "operations": [one["name"] for one in said["operations"]]})


def operations_of(plan: Plan) -> list[Operation]:
    """The operations that a plan has changes of, in their order."""
    return list({id(one.operation): one.operation for one in plan.changes}.values())


def in_run_order(plan: Plan) -> Iterator[tuple[int, int, Statement]]:
    """The statements in the order in which they run: of which change, and the how many-th."""
    every = [
        (change, part, one)
        for change, each in enumerate(plan.changes)
        for part, one in enumerate(each.statements)
    ]
    for stage in Stage:
        found = [one for one in every if one[2].stage is stage]
        yield from (found[place] for place in in_order([one for *_, one in found]))


def is_whole(one: Statement) -> bool:
    """Whether nothing in a statement is hidden."""
    return masked(one.sql, one.hidden) == one.sql


def encoded(plan: Plan) -> Json:
    """A plan as JSON, with its statements in the order in which they run."""
    operations = operations_of(plan)
    numbers = {id(one): number for number, one in enumerate(operations)}
    actions = [
        {"change": change, "part": part, **_action(one, plan.changes[change].title)}
        for change, part, one in in_run_order(plan)
    ]
    return {
        "operations": [
            _shown({"name": str(one), "place": one.place, "phase": one.phase}) for one in operations
        ],
        "changes": [_change(one, numbers[id(one.operation)]) for one in plan.changes],
        "actions": actions,
        "locks": [_lock(one) for one in plan.locks()],
        "undeclared": [_shown(asdict(one)) for one in plan.undeclared],
        "waiting": [
            {
                **_shown({"phase": one.phase, "problems": list(one.plan.problems())}),
                "plan": encoded(one.plan),
            }
            for one in plan.waiting
        ],
    }


def _change(one: Change, operation: int) -> Json:
    return {
        "operation": operation,
        **_shown(
            {
                "object": one.title,
                "key": list(one.key),
                "action": one.action.value,
                "is_renamed": one.is_renamed,
                "difference": list(one.lines),
                "before": list(one.before),
                "after": list(one.after),
            }
        ),
    }


def _action(one: Statement, title: str) -> Json:
    return _shown(
        {
            "stage": one.stage.value,
            "statement": one.sql,
            "summary": one.summary,
            "is_whole": is_whole(one),
            "search_path": one.path.name.lower(),
            "again": one.again,
            "reads": list(one.reads) if one.reads else None,
            "needs": _conditions(one.needs),
            "gives": _conditions(one.gives),
            "takes": _conditions(one.takes),
            "frees": _conditions(one.frees),
            "locks": [_lock(lock) for lock in one.locks],
            "has_lock_timeout": one.stage is Stage.MAIN or bool(one.waits_for),
            "hazards": [hazard.name.lower() for hazard in one.hazards],
            "losses": [
                {
                    **asdict(loss, recurse=False),
                    "relation": list(loss.relation),
                    "path": loss.path.name.lower(),
                }
                for loss in one.losses
            ],
            "permissions": list(dict.fromkeys(name for name, _ in one.risks(title))),
            "drops_with_it": list(one.also),
        },
        one.hidden,
    )


def _conditions(given: frozenset[Condition]) -> list[Json]:
    return [{**one._asdict(), "name": list(one.name)} for one in sorted(given)]


def _lock(one: Lock) -> Json:
    return {"relation": list(one.relation), "mode": one.mode.value, "only": one.only}


def _shown(said: Json, hidden: Sequence[str] = ()) -> Json:
    """What is said, without what must not be shown."""

    def shown(value: Any) -> Any:
        match value:
            case str():
                return masked(value, hidden)
            case dict():
                return {name: shown(one) for name, one in value.items()}
            case list():
                return list(map(shown, value))
        return value

    return {name: shown(value) for name, value in said.items()}


@frozen
class Restored:
    """A statement with all that is hidden in it."""

    sql: str
    hidden: tuple[str, ...]


def decoded(
    said: Json, operations: Sequence[Operation], restored: Mapping[int, Restored] | None = None
) -> Plan:
    """The plan that is `said`, of these operations, with what is `restored` by its place."""
    statements: list[list[Statement]] = [[] for _ in said["changes"]]
    places = range(len(said["actions"]))
    for place in sorted(places, key=lambda place: said["actions"][place]["part"]):
        one = _statement(said["actions"][place])
        if restored and (found := restored.get(place)):
            one = evolve(one, sql=found.sql, hidden=found.hidden, summary=one.shown)
        statements[said["actions"][place]["change"]].append(one)
    changes = [
        Change(
            operations[one["operation"]],
            one["object"],
            Action(one["action"]),
            tuple(one["difference"]),
            tuple(own),
            one["is_renamed"],
            key=tuple(one["key"]),
            before=tuple(one["before"]),
            after=tuple(one["after"]),
        )
        for one, own in zip(said["changes"], statements, strict=True)
    ]
    waiting = [
        Waiting(one["phase"], decoded(one["plan"], _operations(one["plan"])))
        for one in said["waiting"]
    ]
    undeclared = [Undeclared(**one) for one in said["undeclared"]]
    return Plan(changes, undeclared=undeclared, waiting=waiting)


def _operations(said: Json) -> list[Operation]:
    return [Operation(one["name"], one["place"], one["phase"]) for one in said["operations"]]


def _statement(said: Json) -> Statement:
    needs, gives, takes, frees = (
        frozenset(Condition(one["word"], tuple(one["name"]), one["number"]) for one in said[name])
        for name in ("needs", "gives", "takes", "frees")
    )
    return Statement(
        said["statement"],
        Stage(said["stage"]),
        _path(said["search_path"]),
        tuple(Hazard[name.upper()] for name in said["hazards"]),
        tuple(
            Lock(Name(*one["relation"]), Mode(one["mode"]), one["only"]) for one in said["locks"]
        ),
        needs=needs,
        gives=gives,
        takes=takes,
        frees=frees,
        reads=Name(*said["reads"]) if said["reads"] else None,
        losses=tuple(
            Loss(**{**one, "relation": Name(*one["relation"]), "path": _path(one["path"])})
            for one in said["losses"]
        ),
        also=tuple(said["drops_with_it"]),
        again=said["again"],
        summary=said["summary"],
    )


def _path(name: str) -> SearchPath:
    return SearchPath[name.upper()]


@frozen
class Declared:
    """What an operation of a transaction declares."""

    title: str
    digest: str
    """What tells it from any other declaration of the same object."""
    operation: int | None = None
    """Which operation of the plan it is; None where that has no changes of it."""
    is_conditional: bool = False
    """Whether `_if` decides about it while the plan is applied."""


@frozen
class Transaction:
    """The plan of a transaction, with what it follows from."""

    name: str
    is_single: bool
    """Whether it is an operation outside a block."""
    exact: tuple[str, ...]
    declared: tuple[Declared, ...]
    lock_timeout: int
    """Milliseconds."""
    plan: Json
    id: str
    hidden: tuple[Json, ...] = ()
    """The statements in which something is hidden, in parts."""
    inverse: Json | None = None
    """How it is undone."""
    undoes: str = ""
    """The run of which it takes back what that has changed."""

    @property
    def operations(self) -> list[Operation]:
        """The operations that change something."""
        return _operations(self.plan)

    @property
    def conditional(self) -> list[Operation]:
        """The operations about which `_if` decides while the plan is applied."""
        numbers = {one.operation for one in self.declared if one.is_conditional}
        return [one for number, one in enumerate(self.operations) if number in numbers]

    @property
    def decoded(self) -> Plan:
        """The plan."""
        return decoded(self.plan, self.operations)

    @classmethod
    def read(cls, said: Json) -> Transaction:
        """From JSON."""
        declared = tuple(Declared(**_known(Declared, one)) for one in said["declared"])
        given = {**said, "exact": tuple(said["exact"]), "declared": declared}
        given["hidden"] = tuple(said["hidden"])
        return cls(**_known(cls, given))


@frozen
class Database:
    """A host with its database."""

    host: str
    identity: Identity


@frozen
class Document:
    """The plan of a host's deploy, for all databases that have the same."""

    tool: str
    """The version of this package."""
    server: int
    """The version of the server, like 170002."""
    role: str
    today: str
    """The date from which it counts, in ISO 8601."""
    source: str
    """The fingerprint of the catalog that it is for."""
    sections: dict[str, str]
    """What tells each section of that catalog from another."""
    target: str | None
    """The one that it leaves, where that is known."""
    transactions: tuple[Transaction, ...] = ()
    databases: tuple[Database, ...] = ()
    history: tuple[str, ...] | None = None
    """The roles that the run trusts, where the databases record what runs there."""
    id: str = ""
    """What tells it from any other: a digest of all that it says."""

    def __attrs_post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", digest(self.body))

    @property
    def body(self) -> Json:
        """All that it says, but for its id."""
        said = asdict(self)
        del said["id"]
        return {"format_version": VERSION, **said}

    def revised(self, **changes: Any) -> Document:
        """The same with changes, and an id of its own."""
        return evolve(self, id="", **changes)

    @property
    def is_whole(self) -> bool:
        """Whether nothing in it is hidden, so that it can be run from the file alone."""
        return all(one["is_whole"] for each in self.transactions for one in each.plan["actions"])

    def text(self) -> str:
        """The document as it is written."""
        return sealed(self.body)

    @classmethod
    def read(cls, text: str) -> Document:
        """From what was written. Raises HostError where that is anything else."""
        return unsealed(text, "plan", _unknown, cls._built)

    @classmethod
    def _built(cls, id_: str, said: Json) -> Document:
        transactions = tuple(map(Transaction.read, said["transactions"]))
        databases = tuple(
            Database(one["host"], Identity(**_known(Identity, one["identity"])))
            for one in said["databases"]
        )
        trusted = said.get("history")
        history = None if trusted is None else tuple(map(str, trusted))
        known = {"transactions": transactions, "databases": databases, "history": history}
        given = {**said, **known, "id": id_}
        return cls(**_known(cls, given))


def _unknown(version: str) -> str:
    """What is wrong with a version of the format."""
    if version.partition(".")[0] == VERSION.partition(".")[0]:
        return ""
    return f"its format is {version}, and {VERSION} is known here"


def _known(kind: type[AttrsInstance], said: Json) -> Json:
    """What is said of a kind of value, as far as it is known here."""
    return {one.name: said[one.name] for one in fields(kind) if one.name in said}
