"""A deploy's way through the waves of an inventory.

Nothing is kept of it: the catalogs tell which hosts are after, so the same command line goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from attrs import define, evolve, field

from .jobs import Ended, Job, Outcome, Planned, Status, Target, Task
from .probes import Verdict
from .progress import Listener, Pace
from .slices import Stop, Workers

_EVERY = 60.0
"""Seconds after which probes are asked again while a wave bakes."""
_VERIFY = "verify"


class End(StrEnum):
    """How a wave, or a rollout, has ended."""

    DONE = "done"
    FAILED = "failed"
    PAUSED = "paused"
    """Probes can't tell: a person has to."""
    INTERRUPTED = "interrupted"
    NOT_BEGUN = "not begun"


@define
class Waves:
    """What is rolled out, and how far it is."""

    target: Target
    waves: Sequence[Planned]
    workers: Workers
    stop: Stop
    listener: Listener
    accepted: frozenset[str] = frozenset()
    """The waves of which a person says that they are good, where probes can't tell."""
    outcomes: dict[str, Outcome] = field(factory=dict)
    ends: dict[str, End] = field(factory=dict)
    worked: float = 0
    """Seconds that hosts were worked on."""

    def run(self) -> End:
        """Let one wave come after another, until one has not gone well."""
        for wave in self.waves:
            ready = all(self.ends[one] is End.DONE for one in wave.depends_on)
            self.ends[wave.name] = self._run(wave) if ready and not self._over else End.NOT_BEGUN
        return next((one for one in self.ends.values() if one is not End.DONE), End.DONE)

    @property
    def _over(self) -> bool:
        """Whether no other wave may begin."""
        return any(
            end in {End.PAUSED, End.INTERRUPTED} or (end is End.FAILED and not wave.goes_on)
            for wave, end in ((one, self.ends.get(one.name)) for one in self.waves)
        )

    def _run(self, wave: Planned) -> End:
        if not wave.hosts:
            return End.DONE
        self.listener.wave(wave)
        end = self._ended(wave)
        self.listener.wave_ended(wave, end, self._pace())
        return end

    def _ended(self, wave: Planned) -> End:
        before = {name: answers for name, (answers, _) in self._asked(wave, {}).items()}
        if not self._deployed(wave):
            return End.INTERRUPTED if self.stop.number else End.FAILED
        changed = any(self.outcomes[one].status is Status.CHANGED for one in wave.hosts)
        until = time.monotonic() + (wave.bake if changed else 0)
        verdict = Verdict.PASS
        while True:
            self._bake(wave, until)
            if self.stop.number:
                return End.INTERRUPTED
            verdict = self._probed(wave, before)
            if verdict is Verdict.FAIL or time.monotonic() >= until:
                break
        if verdict is Verdict.INCONCLUSIVE and wave.name not in self.accepted:
            return End.PAUSED
        return End.FAILED if verdict is Verdict.FAIL else End.DONE

    def _deployed(self, wave: Planned) -> bool:
        """Run the scripts on the hosts of a wave. Whether all of them are after."""
        began = time.monotonic()

        def wanted() -> bool:
            return not self.stop.number and (wave.goes_on or self._are_after(wave))

        def told(job: Job, ended: Ended) -> None:
            for one in ended.outcomes(job):
                self.outcomes[one.host] = one
                self.listener.host(wave, one, self._pace(time.monotonic() - began))

        self._each(wave, Job(Task.DEPLOY, self.target, stops=not wave.goes_on), told, wanted)
        self.worked += time.monotonic() - began
        return all(one in self.outcomes for one in wave.hosts) and self._are_after(wave)

    def _are_after(self, wave: Planned) -> bool:
        """Whether all of its hosts that have come to an end are after."""
        found = (self.outcomes.get(one) for one in wave.hosts)
        return all(one is None or one.status.is_after for one in found)

    def _pace(self, working: float = 0) -> Pace:
        waiting = [one for one in self.waves if one.name not in self.ends]
        return Pace(
            len(self.outcomes),
            sum(len(one.hosts) for one in self.waves),
            self.worked + working,
            sum(one.bake for one in waiting),
        )

    def _each(
        self,
        wave: Planned,
        job: Job,
        told: Callable[[Job, Ended], None],
        wanted: Callable[[], bool],
    ) -> None:
        """Do a job for all hosts of a wave, in slices; what only asks is done for many at once."""
        parallel = len(wave.hosts) if job.task is Task.PROBE else wave.parallel
        slices, at_once = self.workers.slices(wave.hosts, parallel)
        jobs = [evolve(job, hosts=one) for one in slices]
        for one, ended in self.workers.each(jobs, at_once, wanted):
            told(one, ended)

    def _bake(self, wave: Planned, until: float) -> None:
        """Leave a wave alone, for a while or to the end of it."""
        now = time.monotonic()
        end = min(until, now + _EVERY)
        if end > now:
            self.listener.bake(wave, until - now)
        while (left := end - time.monotonic()) > 0 and not self.stop.number:
            time.sleep(min(left, 0.2))

    def _probed(self, wave: Planned, before: Mapping[str, Any]) -> Verdict:
        """The worst that the probes of a wave say."""
        found: dict[str, dict[str, Sequence[str]]] = {one: {} for one in wave.probes}
        for host, (_, verdicts) in self._asked(wave, before).items():
            for title, (verdict, detail) in verdicts:
                found[title][host] = (verdict, detail)
        if wave.verifies:
            found[_VERIFY] = self._verified(wave)
        for title, findings in found.items():
            self.listener.probe(wave, title, findings)
        every = {verdict for one in found.values() for verdict, _ in one.values()}
        worst = (Verdict.FAIL, Verdict.INCONCLUSIVE)
        return next((one for one in worst if one in every), Verdict.PASS)

    def _asked(self, wave: Planned, before: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Of each host what it answers to the probes, and the verdicts."""
        found: dict[str, tuple[Any, Any]] = {}
        if not wave.probes:
            return found

        def told(job: Job, ended: Ended) -> None:
            lost = [[title, ["inconclusive", ended.error]] for title in wave.probes]
            known = {one["host"]: (one["answers"], one["verdicts"]) for one in ended.answer or ()}
            found.update((name, known.get(name, (None, lost))) for name in job.hosts)

        job = Job(Task.PROBE, self.target, wave=wave.name, before=before)
        self._each(wave, job, told, lambda: not self.stop.number)
        return found

    def _verified(self, wave: Planned) -> dict[str, Sequence[str]]:
        """What the scripts after the first one say of each host, run once more."""
        found: dict[str, Sequence[str]] = {}

        def told(job: Job, ended: Ended) -> None:
            for one in ended.outcomes(job):
                found[one.host] = (_verdict(one, ended), "; ".join(one.messages))

        target = evolve(self.target, scripts=self.target.scripts[1:])
        job = Job(Task.DEPLOY, target, stops=False)
        self._each(wave, job, told, lambda: not self.stop.number)
        return found


def _verdict(one: Outcome, ended: Ended) -> Verdict:
    if one.status.is_after:
        return Verdict.PASS
    is_lost = ended.answer is None or one.status in {Status.UNREACHABLE, Status.STOPPED}
    return Verdict.INCONCLUSIVE if is_lost else Verdict.FAIL
