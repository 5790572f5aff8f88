"""What a server answers to a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen
from psycopg import errors

from ..errors import HostError
from ..foreign import ForeignError, parsed
from ..syntax.names import literal
from .troubles import advice

NO_ENCODING = "22021"
"""The SQLSTATE of text that is in no valid encoding."""
NO_PRIVILEGE = "42501"
"""The SQLSTATE of what the role may not do."""
_OF_SQL = ("0A", "22", "42")
"""The classes of SQLSTATEs that are about the SQL itself."""
_TRANSACTION = "pyinfra-postgres transaction "
# The processes are others after any crash, but have the same numbers in a container's next life.
_LIFE = """concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()),
      (SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity
        WHERE datid IS NULL AND usesysid IS NULL))"""
"""What tells the time between two crashes of a server from others."""
TELL_TRANSACTION = f"""RAISE INFO '{_TRANSACTION}% %', pg_current_xact_id(), {_LIFE};
    PERFORM pg_stat_clear_snapshot()"""
"""In PL/pgSQL, has the server tell at once which transaction a script is in."""


@frozen
class Failure:
    """Why a script failed."""

    message: str
    sqlstate: str = ""
    index: int = 0
    """Which of the script's statements failed, or is the last that is known to have begun."""
    detail: str = ""
    lost: bool = False
    """Whether the connection went away before the server could say how the script ended."""
    reach: int = 0
    """Where it was lost, the last statement that may have begun."""
    unreachable: bool = False
    """Whether there was no session with the database at all."""
    routine: str = ""
    """The server's own function that failed: its messages are in many languages."""

    @property
    def hides_rows(self) -> bool:
        """Whether row level security would have hidden rows from what was asked."""
        return (self.sqlstate, self.routine) == (NO_PRIVILEGE, "check_enable_rls")

    @property
    def explained(self) -> str:
        """What happened, with what the server says of it besides."""
        return f"{self}. {self.detail.rstrip('.')}" if self.detail else str(self)

    @property
    def advice(self) -> str:
        """Cause and way out, behind a full stop, where they are known."""
        found = advice(self.message, self.sqlstate)
        return f". {found}" if found and found not in self.message else ""

    def __str__(self) -> str:
        state = f" (SQLSTATE {self.sqlstate})" if self.sqlstate else ""
        return f"{self.message}{state}"


def withheld(failure: Failure) -> Failure:
    """The failure of what is hidden: the server's words may quote it, its code can't."""
    return evolve(failure, message=f"{condition(failure.sqlstate)} in what is hidden", detail="")


def is_of_sql(sqlstate: str) -> bool:
    """Whether a SQLSTATE says that the SQL itself can't run, whoever runs it."""
    return sqlstate.startswith(_OF_SQL) and sqlstate != NO_PRIVILEGE


def condition(sqlstate: str) -> str:
    """What psycopg calls a SQLSTATE."""
    try:
        return errors.lookup(sqlstate).__name__
    except KeyError:
        return "an error"


def read(row: str, **options: Any) -> Any:
    """The JSON of a row. Raises HostError."""
    try:
        return parsed(row, **options)
    except ForeignError as error:
        raise HostError(f"the server answered with {error}") from None


PROGRESS = "PG002"
"""The SQLSTATE of what a statement that takes long tells in between."""


@frozen
class Answer:
    """What a script printed, or why it failed."""

    rows: tuple[str, ...] = ()
    failure: Failure | None = None
    transaction: str = ""
    """What tells its transaction from others, where the script told that."""

    def values(self) -> list[Any]:
        """The JSON that it printed, a value for each row. Raises HostError."""
        return list(map(read, self.rows))


def told_transaction(notices: Sequence[str]) -> str:
    """What TELL_TRANSACTION told, if anything."""
    told = (line.partition(_TRANSACTION)[2] for line in notices)
    return next(filter(None, told), "")


def transaction_status(told: str) -> str:
    """A query for what became of a transaction that is known to have ended; null where nobody
    knows.

    After a crash others get its number, unless it was committed to disk. So only that such a
    number was committed does not say that it was this one's.
    """
    number, _, life = told.partition(" ")
    given = f"{literal(number or None)}::xid8"
    return f"""
    SELECT CASE
      WHEN {given} >= pg_snapshot_xmax(pg_current_snapshot()) THEN 'aborted'
      WHEN {_LIFE} = {literal(life)} THEN pg_xact_status({given})
      WHEN pg_xact_status({given}) <> 'committed' THEN 'aborted' END"""
