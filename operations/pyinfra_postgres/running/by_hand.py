"""A plan as an SQL file, which psql runs with the effect that applying the plan has.

It is the session of the plan, statement for statement. https://www.postgresql.org/docs/current/app-psql.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from ..catalog.snapshot import Fingerprint
from ..errors import DeclarationError
from ..plan.document import Database, Document, decoded
from ..plan.plan import Plan
from ..syntax.names import literal
from ..syntax.parse import tokens
from ..syntax.paths import SearchPath
from ..terminal import line
from . import steps
from .history import CREATING, about
from .record import Record
from .steps import Part, Step

_WHAT = {
    Part.LOCK: "The lock of a deploy",
    Part.CATALOG: "The catalog is the one that the plan is for",
    Part.BEFORE: "Before the transaction",
    Part.BEGIN: "The transaction: settings, locks, and that the catalog is still the same",
    Part.COMMIT: "The end of the transaction",
    Part.SETTINGS: "After the transaction",
    Part.STARTED: "The row of the history",
    Part.ENDED: "How it ended",
}
_SETTINGS = (
    "SET client_encoding = 'UTF8'",
    "SET standard_conforming_strings = on",
    SearchPath.OWN.session,
)


def sql(plan: Document) -> str:
    """The file."""
    return "\n".join([*_head(plan), *_session(plan), ""])


def _head(plan: Document) -> Iterator[str]:
    yield line(f"-- Plan {plan.id} of pyinfra-postgres {plan.tool}, for:")
    for one in plan.databases:
        yield line(f"--   {one.host}: database {one.identity.name}")
    yield "-- psql --no-psqlrc --file=THIS_FILE DATABASE  (psql 14 or newer; not through a pooler)"
    yield r"\set ON_ERROR_STOP on"
    yield r"\set AUTOCOMMIT on"
    yield from map(_statement, _SETTINGS)
    if any(one.identity.neon_branch.startswith(_ENDPOINT) for one in plan.databases):
        yield f"SELECT set_config('{_HOST}', :'HOST', false);"
    yield _statement(_unless(_is_one_of(plan.databases), "this plan is for other databases"))
    if plan.history is not None:
        yield _statement(_NAMED)
    if not plan.is_whole:
        yield _statement(
            _unless("false", "this plan has hidden values, which are in no file: apply it")
        )


_ENDPOINT = "endpoint "
_TIMELINE = "timeline "
_HOST = "pyinfra_postgres.host"
_RUN = "pyinfra_postgres.run"
_NAMED = (
    f"SELECT set_config('{_RUN}', to_char(clock_timestamp() AT TIME ZONE 'UTC', "
    "'YYYYMMDD-HH24MISS-') || left(md5(random()::text), 6), false)"
)
"""Gives the run a name, as one of pyinfra's has it."""


def _is_one_of(databases: Iterable[Database]) -> str:
    """The condition that the session's database is one of these."""
    return " OR ".join(f"EXISTS ({_is(one)})" for one in databases) or "false"


def _is(one: Database) -> str:
    branch = one.identity.neon_branch
    name = one.identity.name
    query = (
        "SELECT FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()"
        f" AND d.datname = {literal(name)} AND d.oid = {one.identity.oid}"
        f" AND c.system_identifier = {literal(one.identity.system_identifier)}::int8"
    )
    if branch.startswith(_TIMELINE):
        timeline = literal(branch.removeprefix(_TIMELINE))
        setting = "SELECT setting FROM pg_settings WHERE name = 'neon.timeline_id'"
        return f"{query} AND ({setting}) = {timeline}"
    if branch.startswith(_ENDPOINT):
        endpoint = literal(branch.removeprefix(_ENDPOINT))
        return f"{query} AND split_part(current_setting('{_HOST}'), '.', 1) = {endpoint}"
    return query


def _unless(condition: str, message: str) -> str:
    body = (
        f"BEGIN IF NOT ({condition}) THEN\n"
        f"  RAISE EXCEPTION USING MESSAGE = {literal(message)};\nEND IF; END"
    )
    return f"DO {literal(body)}"


def _session(plan: Document) -> Iterator[str]:
    fingerprint: Fingerprint | None = Fingerprint(plan.source)
    for number, one in enumerate(plan.transactions, 1):
        operations = one.operations
        yield ""
        yield line(f"-- {one.name}, plan {one.id}")
        conditional = {each.operation for each in one.declared if each.is_conditional}
        leaving = {id(operations[each]) for each in conditional if each is not None}
        whole = decoded(one.plan, operations)
        record = _record(plan, number, whole)
        session = steps.reviewed(whole, fingerprint, one.lock_timeout, record)
        yield from _steps((step for each in session for step in each), leaving)
        fingerprint = None


def _record(plan: Document, block: int, of: Plan) -> Record | None:
    """What the history has of a transaction: who runs the file is known only then."""
    if plan.history is None or not of.changes:
        return None
    one = plan.transactions[block - 1]
    inverse = None if one.inverse is None else json.dumps(one.inverse, ensure_ascii=False)
    values = {
        **about(of),
        "plan": plan.id,
        "version": plan.tool,
        "inverse": inverse,
        "undoes": one.undoes or None,
    }
    computed = {
        "run": f"current_setting('{_RUN}')",
        "host": _host(plan.databases),
        "fingerprint_before": "current_setting('pyinfra_postgres.catalog')",
        "account": "session_user",
        "controller": "coalesce(host(inet_client_addr()), 'the server''s machine')",
    }
    trusted = frozenset(plan.history)
    return Record(("", "", block), values, trusted, Fingerprint(), CREATING, computed)


def _host(databases: Iterable[Database]) -> str:
    """SQL for the name of the host whose database the session has."""
    cases = " ".join(f"WHEN EXISTS ({_is(one)}) THEN {literal(one.host)}" for one in databases)
    return f"(CASE {cases} END)"


def _steps(session: Iterable[Step], conditional: set[int]) -> Iterator[str]:
    """The statements, with what they are for; `conditional` are operations that `_if` may leave
    out.
    """
    before: object = None
    for step in session:
        if step.part is Part.LEFT:
            continue
        what: object = (step.part, step.change) if step.change else step.part
        if what != before and (step.change or step.part in _WHAT):
            before = what
            yield from ("", line("-- ", _what(step)))
            if step.change and id(step.change.operation) in conditional:
                yield "-- Only where the deploy's _if holds"
        yield _statement(step.sql)


def _what(step: Step) -> str:
    """What a statement is for."""
    if step.change is None:
        return _WHAT[step.part]
    return step.change.operation.placed(f"{step.change.title}, {step.change.action.value}")


def _statement(text: str) -> str:
    """A statement as psql takes it: none of its colons is of a variable of psql's."""
    end = "\n;" if "--" in text.rpartition("\n")[2] else ";"
    if ":" in text:
        try:
            found = tokens(text)
        except DeclarationError:
            found = []
        for one in reversed(found):
            if one.text == ":":
                text = f"{text[: one.end]} {text[one.end :]}"
    return text + end
