"""What is told of a rollout while it runs: lines for a person, or JSON for a machine."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from attrs import define, field, frozen
from typing_extensions import override

from ..terminal import Line, is_watched, line, put, rewrite, styled
from .jobs import Outcome, Planned, Status

COLOURS = {
    Status.EQUAL: "cyan",
    Status.CHANGED: "green",
    Status.DIFFERENT: "yellow",
    Status.STOPPED: "yellow",
}
"""Of what is no failure."""
_SELDOM = 10.0
"""Seconds after which who has no terminal is told again how far it is."""
_VERDICTS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


@frozen
class Pace:
    """How fast hosts come to their end, and when the last one will."""

    done: int
    total: int
    seconds: float
    """Since the first one began, without what was only waited for."""
    baking: float = 0
    """Seconds that will only be waited for."""

    @property
    def per_second(self) -> float:
        """Hosts in a second."""
        return self.done / self.seconds if self.seconds > 0 else 0

    @property
    def seconds_left(self) -> float | None:
        """Until the last one; None while nobody knows."""
        if not self.per_second:
            return None
        return (self.total - self.done) / self.per_second + self.baking

    def __str__(self) -> str:
        said = f"{self.done} of {self.total} hosts"
        if self.seconds_left is None:
            return said
        speed = self.per_second
        rate = f"{speed:.1f} per second" if speed >= 1 else f"{speed * 60:.1f} per minute"
        left = f", {duration(self.seconds_left)} to go" if self.done < self.total else ""
        return f"{said}, {rate}{left}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


class Listener(Protocol):
    """Who is told of a rollout."""

    def wave(self, wave: Planned) -> None:
        """A wave begins."""

    def host(self, wave: Planned, outcome: Outcome, pace: Pace) -> None:
        """A host has come to its end."""

    def bake(self, wave: Planned, seconds: float) -> None:
        """A wave is left alone for a while."""

    def probe(self, wave: Planned, title: str, findings: Mapping[str, Sequence[str]]) -> None:
        """A probe has been asked: of each host the verdict, and what it follows from."""

    def wave_ended(self, wave: Planned, ended: str, pace: Pace) -> None:
        """How a wave has ended."""

    def end(self, ended: str, hosts: Mapping[str, Outcome | None], ways: Mapping[str, str]) -> None:
        """How the rollout has ended, with the outcome of each host that it came to.

        `ways` are command lines that go on from here, each under what it is for.
        """

    def error(self, message: str) -> None:
        """Why nothing was begun."""


@frozen
class Lines(Listener):
    """Lines of JSON, each an object with its `event`."""

    @override
    def wave(self, wave: Planned) -> None:
        self._put("wave", wave=wave.name, hosts=list(wave.hosts), parallel=wave.parallel)

    @override
    def host(self, wave: Planned, outcome: Outcome, pace: Pace) -> None:
        self._put("host", wave=wave.name, **outcome.data(), **_pace(pace))

    @override
    def bake(self, wave: Planned, seconds: float) -> None:
        self._put("bake", wave=wave.name, seconds=seconds)

    @override
    def probe(self, wave: Planned, title: str, findings: Mapping[str, Sequence[str]]) -> None:
        for host, (verdict, detail) in findings.items():
            self._put(
                "probe", wave=wave.name, probe=title, host=host, verdict=verdict, detail=detail
            )

    @override
    def wave_ended(self, wave: Planned, ended: str, pace: Pace) -> None:
        self._put("wave ended", wave=wave.name, ended=ended, **_pace(pace))

    @override
    def end(self, ended: str, hosts: Mapping[str, Outcome | None], ways: Mapping[str, str]) -> None:
        by: dict[str, list[str]] = {}
        for name, outcome in hosts.items():
            by.setdefault(outcome.status if outcome else "not begun", []).append(name)
        commands = [{"for": purpose, "command": one} for purpose, one in ways.items()]
        self._put("end", ended=ended, hosts=by, ways=commands)

    @override
    def error(self, message: str) -> None:
        self._put("error", message=message)

    def _put(self, event: str, **given: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        put(json.dumps({"event": event, "time": now, **given}))


@define
class Display(Listener):
    """Lines for a person: a line for each host that is changed or fails, and how far it is."""

    last: str = ""
    """What stands in the terminal's last line, which is written over."""
    told: float = field(factory=time.monotonic)
    """When that was last told to who has no terminal."""
    counts: Counter[Status] = field(factory=Counter)
    """What has become of the hosts of the wave."""

    @override
    def wave(self, wave: Planned) -> None:
        self.counts.clear()
        self._put(
            styled(f"Wave {wave.name}", bold=True),
            f": {len(wave.hosts)} host{'s' * (len(wave.hosts) != 1)}, {wave.parallel} at a time",
        )

    @override
    def host(self, wave: Planned, outcome: Outcome, pace: Pace) -> None:
        self.counts[outcome.status] += 1
        if outcome.status is not Status.EQUAL:
            what = styled(outcome.status.value, COLOURS.get(outcome.status, "red"))
            told = outcome.summary
            self._put(*_about(outcome.host), what, f": {told}" if told else "")
            for message in () if outcome.status.is_after else outcome.messages:
                self._put("        ", styled(message, "red"))
        self._status(str(pace))
        if not is_watched() and time.monotonic() > self.told + _SELDOM:
            self.told = time.monotonic()
            self._put("    ", str(pace))

    @override
    def bake(self, wave: Planned, seconds: float) -> None:
        until = f"{datetime.now() + timedelta(seconds=seconds):%H:%M:%S}"
        self._put("    ", f"{wave.name} is left alone for {duration(seconds)}, until {until}")

    @override
    def probe(self, wave: Planned, title: str, findings: Mapping[str, Sequence[str]]) -> None:
        counts = Counter(verdict for verdict, _ in findings.values())
        told = [styled(f"{counts[one]} {one}", _VERDICTS[one]) for one in _VERDICTS if counts[one]]
        self._put("    ", title, ": ", line(*_joined(told)))
        for host, (verdict, detail) in findings.items():
            if verdict != "pass":
                self._put(*_about(host, 8), styled(verdict, _VERDICTS[verdict]), f": {detail}")

    @override
    def wave_ended(self, wave: Planned, ended: str, pace: Pace) -> None:
        colour = "green" if ended == "done" else "red"
        counted = ", ".join(f"{self.counts[one]} {one}" for one in Status if self.counts[one])
        self._put("    ", styled(f"{wave.name} {ended}", colour), f": {counted}; {pace}")

    @override
    def end(self, ended: str, hosts: Mapping[str, Outcome | None], ways: Mapping[str, str]) -> None:
        self._status("")
        after = len([one for one in hosts.values() if one and one.status.is_after])
        counts = Counter(one.status for one in hosts.values() if one and not one.status.is_after)
        told = [f"{after} after", *(f"{counts[one]} {one}" for one in Status if counts[one])]
        if waiting := len([one for one in hosts.values() if one is None]):
            told.append(f"{waiting} not begun")
        colour = "green" if ended == "done" else "red"
        self._put(styled(f"Rollout {ended}", colour, bold=True), f": {', '.join(told)}")
        for name, one in hosts.items():
            if one and not one.status.is_after:
                self._put(*_about(name), one.status.value)
        for purpose, command in ways.items():
            self._put(f"{purpose}:")
            self._put("    ", command)

    @override
    def error(self, message: str) -> None:
        self._put(styled(message, "red"))

    def _put(self, *parts: object) -> None:
        rewrite("")
        put(line(*parts))
        rewrite(self.last)

    def _status(self, text: str) -> None:
        """Show how far it is, where somebody looks."""
        self.last = text
        rewrite(text)


def _pace(pace: Pace) -> dict[str, Any]:
    left = pace.seconds_left
    return {
        "done": pace.done,
        "total": pace.total,
        "per_second": round(pace.per_second, 3),
        "seconds_left": None if left is None else round(left),
    }


def _about(host: str, indent: int = 4) -> tuple[object, ...]:
    return (" " * indent, "[", styled(host, bold=True), "] ")


def _joined(parts: Sequence[Line]) -> list[object]:
    found: list[object] = []
    for one in parts:
        found += [", ", one] if found else [one]
    return found
