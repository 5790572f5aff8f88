"""How what is blocked would fail, in PostgreSQL's own words: each object is tried by itself.

Each is tried in a subtransaction of a transaction that is rolled back. Only what writes to the
catalog is, so that no rows are read and nobody's code runs; of what locks a table that is there,
only what holds the lock for the moment in which the server says no, and does not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

from attrs import frozen

from ..errors import DeclarationError, HostError
from ..hidden import within
from ..plan.plan import Action, Change, Stage, Statement
from ..planning.session import Draft, Session
from ..syntax.names import literal
from ..syntax.parse import statement
from ..transport.answer import condition, read
from .facts import Attempt
from .questions import speaks_of_names

_LOCK_TIMEOUT = "10ms"
_SETTING = "pyinfra_postgres.said"
_WENT_THROUGH = "PG004"
"""The SQLSTATE with which what goes through is rolled back."""
_OF_OTHERS = ("08", "25006", "40", "53", "55P03", "57", "58", "XX")
"""The SQLSTATEs, or their beginnings, that come from others or from the server's state."""
_OF_A_MOMENT = frozenset(
    {
        *("CommentStmt", "CreateFunctionStmt", "CreatePolicyStmt", "CreateTrigStmt", "GrantStmt"),
        *("AlterOwnerStmt", "ViewStmt"),
    }
)
"""What writes to the catalog alone, though a table that it is about has rows."""
_OF_CATALOGS = _OF_A_MOMENT | {
    *("AlterTableStmt", "CompositeTypeStmt", "CreateDomainStmt", "CreateEnumStmt"),
    *("CreateRangeStmt", "CreateSchemaStmt", "CreateSeqStmt", "CreateStatsStmt", "CreateStmt"),
    *("GrantRoleStmt", "IndexStmt"),
}
"""The same of tables that are not there."""


@frozen
class _Trial:
    """The statements of one change."""

    change: Change
    statements: tuple[Statement, ...]


def attempts(session: Session, drafts: Iterable[Draft], blocked: Set[str]) -> tuple[Attempt, ...]:
    """What the server says of objects that are blocked, by their titles. Raises HostError."""
    if session.catalog().standby:
        return ()
    trials = [
        one
        for draft in drafts
        for change in draft.plan.changes
        if change.title in blocked and change.action is Action.CREATE
        for one in [_Trial(change, tuple(_harmless(session, change)))]
        if one.statements
    ]
    if not trials:
        return ()
    script = [sql for one in trials for sql in (_tried(one), _ANSWER)]
    answer = session.attempt(["SET LOCAL statement_timeout = '10s'", *script], _LOCK_TIMEOUT)
    if answer.failure:
        raise HostError(str(answer.failure), answer.failure.sqlstate)
    found = zip(trials, map(read, answer.rows), strict=True)
    return tuple(each for one, said in found for each in _said(one, *said))


def _harmless(session: Session, change: Change) -> Iterator[Statement]:
    """The statements that can be tried, up to the first that can't."""
    for one in change.statements:
        kinds = _OF_CATALOGS if change.is_quiet else _OF_A_MOMENT
        try:
            fits = set(statement(one.sql)) <= kinds
        except DeclarationError:
            fits = False
        if not fits or one.stage is not Stage.MAIN or one.hidden or within(one.sql):
            return
        if any(session.calls().objections([one.path.local, one.sql])):
            return
        yield one


def _tried(one: _Trial) -> str:
    """Tries statements in a subtransaction, and keeps what the server has said for a moment."""
    lines = [
        f"at := {place}; EXECUTE {literal(each.path.local)}; EXECUTE {literal(each.sql)};"
        for place, each in enumerate(one.statements)
    ]
    body = "\n".join(
        [
            "DECLARE at int; state text; said text;",
            "BEGIN BEGIN",
            *lines,
            f"RAISE EXCEPTION USING ERRCODE = '{_WENT_THROUGH}';",
            "EXCEPTION WHEN OTHERS THEN",
            "GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT;",
            "END;",
            f"PERFORM set_config('{_SETTING}', json_build_array(at, state, said)::text, true);",
            "END",
        ]
    )
    return f"DO {literal(body)}"


_ANSWER = f"SELECT current_setting('{_SETTING}')"


def _said(one: _Trial, at: int, sqlstate: str, message: str) -> Iterator[Attempt]:
    if sqlstate == _WENT_THROUGH or sqlstate.startswith(_OF_OTHERS):
        return
    change = one.change
    told = message if speaks_of_names(sqlstate) else condition(sqlstate)
    sql = one.statements[at].shown
    yield Attempt(change.title, change.operation.place, sql, sqlstate, told)
