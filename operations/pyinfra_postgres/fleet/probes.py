"""Probes: what is asked of the databases of a wave before the next one begins.

A probe passes, fails, or can't tell; one that could not be asked has not passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from attrs import field, frozen
from pyinfra.api.host import Host
from typing_extensions import override

from ..errors import DeclarationError, HostError, InventoryError, deploy_line
from ..operations import query
from ..transport.answer import Answer, read
from ..transport.scripts import run
from ..transport.watch import Patience


class Verdict(StrEnum):
    """What a probe says."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Finding(NamedTuple):
    """A verdict, and what it follows from."""

    verdict: Verdict
    detail: str


def refused(text: str) -> InventoryError:
    """What is wrong with a wave or a probe, with the inventory's line that has it."""
    return InventoryError(f"{text} ({deploy_line()})")


def _not_negative(probe: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        name = f"{type(probe).__name__}({attribute.name}=...)"
        raise refused(f"{name} takes a number that is not negative, not {value!r}")


class Probe:
    """What is asked of a host when its wave begins, and again when its wave has ended."""

    query: ClassVar[str]
    """Its one row is an array of numbers."""

    def about(self) -> str:
        """What it is about, for people."""
        raise NotImplementedError

    def ask(self, host: Host) -> Any:
        """What the host's database answers, as JSON has it. Raises HostError."""
        answer: Answer = run(host, ["BEGIN READ ONLY", self.query, "ROLLBACK"])
        if answer.failure:
            raise HostError(str(answer.failure))
        (row,) = answer.values()
        return row

    def judge(self, before: Any, now: Any) -> Finding:
        """What follows from the answers when the wave began and now."""
        raise NotImplementedError


@frozen
class LockWaiters(Probe):
    """How many sessions of the database wait for a lock of another one."""

    most: int = field(default=0, validator=_not_negative)
    seconds: float = field(default=1, validator=_not_negative)
    """Who has waited for less than that does not count."""

    query = """
        SELECT coalesce(json_agg(extract(epoch FROM clock_timestamp() - waitstart)), '[]') FROM (
          SELECT l.pid, min(l.waitstart) AS waitstart
            FROM pg_locks l JOIN pg_stat_activity a USING (pid)
           WHERE NOT l.granted AND a.datname = current_database() GROUP BY l.pid) AS waiting"""

    @override
    def about(self) -> str:
        return "lock waiters"

    @override
    def judge(self, before: Any, now: Any) -> Finding:
        # Who has only just begun to wait has no time yet.
        long = [one for one in now if (one or 0) >= self.seconds]
        found = f"{len(long)} sessions wait for locks for {self.seconds:g} s or more"
        return Finding(Verdict.PASS if len(long) <= self.most else Verdict.FAIL, found)


@frozen
class Deadlocks(Probe):
    """How many deadlocks the database has had since the wave began."""

    most: int = field(default=0, validator=_not_negative)

    query = """
        SELECT json_build_array(deadlocks, stats_reset) FROM pg_stat_database
         WHERE datname = current_database()"""

    @override
    def about(self) -> str:
        return "deadlocks"

    @override
    def judge(self, before: Any, now: Any) -> Finding:
        if before is None or before[1] != now[1]:
            why = "nobody counted when the wave began" if before is None else "the count was reset"
            return Finding(Verdict.INCONCLUSIVE, why)
        more = now[0] - before[0]
        return Finding(
            Verdict.PASS if more <= self.most else Verdict.FAIL,
            f"{more} deadlocks since the wave began",
        )


@frozen
class ReplicationLag(Probe):
    """How far standbys are behind the server."""

    seconds: float = field(default=10, validator=_not_negative)
    megabytes: float = field(default=64, validator=_not_negative)

    query = """
        SELECT json_build_array(count(*), count(replay_lsn),
                 max(extract(epoch FROM replay_lag)),
                 max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                     ELSE pg_current_wal_lsn() END, replay_lsn)) / 1048576)
          FROM pg_stat_replication"""

    @override
    def about(self) -> str:
        return "replication lag"

    @override
    def judge(self, before: Any, now: Any) -> Finding:
        standbys, seen, seconds, megabytes = now
        if before is None or standbys < before[0]:
            why = "nobody looked when the wave began" if before is None else "a standby has gone"
            return Finding(Verdict.INCONCLUSIVE, why)
        if seen < standbys:
            return Finding(
                Verdict.INCONCLUSIVE,
                "a standby has told no place yet, or the role needs pg_monitor",
            )
        if not standbys:
            return Finding(Verdict.PASS, "no standby is connected")
        behind = (seconds or 0) > self.seconds or (megabytes or 0) > self.megabytes
        found = f"{seconds or 0:.1f} s and {megabytes or 0:.1f} MB behind"
        return Finding(Verdict.FAIL if behind else Verdict.PASS, found)


@frozen
class Query(Probe):
    """A query of one's own: true passes, false fails, null and no row can't tell."""

    title: str
    sql: str
    """One value."""

    @override
    def about(self) -> str:
        return self.title

    def check(self) -> None:
        """Raise InventoryError where it is no query."""
        try:
            if query.Query.read(self.sql) is None:
                raise refused(f"probe {self.title}: it takes one query that only reads")
        except DeclarationError as error:
            raise refused(f"probe {self.title}: {error.args[0]}") from None

    @override
    def ask(self, host: Host) -> Any:
        found = query.Query.read(self.sql)
        assert found
        rows = found.ask(host, Patience.ANSWER).rows
        return read(rows[0])[0] if rows else None

    @override
    def judge(self, before: Any, now: Any) -> Finding:
        match now:
            case True:
                return Finding(Verdict.PASS, "true")
            case False:
                return Finding(Verdict.FAIL, "false")
        said = "null, or no row" if now is None else f"{now!r}, which is no boolean"
        return Finding(Verdict.INCONCLUSIVE, said)


@frozen
class Verify:
    """The scripts after the deploy's, run once more."""


def asked(probes: Sequence[Probe | Verify], host: Host) -> list[Any]:
    """What a host answers to each probe: a pair of the answer, and why there is none."""
    found: list[Any] = []
    for one in probes:
        if isinstance(one, Probe):
            try:
                found.append([one.ask(host), ""])
            except HostError as error:
                found.append([None, str(error)])
    return found


def judged(
    probes: Sequence[Probe | Verify], before: Sequence[Any] | None, now: Sequence[Any]
) -> list[tuple[str, Finding]]:
    """The verdict of each probe, with its title."""
    found = []
    for place, one in enumerate(one for one in probes if isinstance(one, Probe)):
        answer, error = now[place]
        earlier = before[place][0] if before else None
        finding = Finding(Verdict.INCONCLUSIVE, error) if error else one.judge(earlier, answer)
        found.append((one.about(), finding))
    return found
