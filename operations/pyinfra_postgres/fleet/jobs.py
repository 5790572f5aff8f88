"""What a process of its own is to do with some hosts, and what becomes of them, as data.

Pure, and without pyinfra: whoever waits for such a process may be a thread, another process or a
machine of a cluster.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any
from uuid import uuid4

from attrs import asdict, evolve, field, frozen


class Task(StrEnum):
    """What is done with the hosts of a job."""

    LIST = "list"
    """Nothing: the inventory is read, and says which they are."""
    ARRANGE = "arrange"
    """Nothing: it says which of them come in which wave."""
    COMPARE = "compare"
    """They are compared with what the scripts declare."""
    DEPLOY = "deploy"
    """The scripts are run."""
    PROBE = "probe"
    """They are asked what the probes of their wave want to know."""


class Status(StrEnum):
    """What has become of a host."""

    EQUAL = "equal"
    """There was nothing to change."""
    DIFFERENT = "different"
    """There would be something to change."""
    CHANGED = "changed"
    """All of it is changed."""
    REFUSED = "refused"
    """Its plan can't start."""
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    STOPPED = "stopped"
    """It was not run to the end, because others failed."""

    @property
    def is_after(self) -> bool:
        """Whether the host is as it is declared."""
        return self in {Status.EQUAL, Status.CHANGED}


@frozen
class Target:
    """Scripts and the inventory that they are for, as a command line has them."""

    inventory: str
    scripts: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    """Host data, `key=value`."""
    group_data: tuple[str, ...] = ()
    limit: tuple[str, ...] = ()
    """Names or patterns of hosts, or groups; all hosts where it is empty."""
    directory: str = field(factory=os.getcwd)


@frozen
class Job:
    """What one process is to do."""

    task: Task
    target: Target
    hosts: tuple[str, ...] = ()
    stops: bool = True
    """Whether a host that fails stops the others before they begin."""
    parallel: int = 1
    """How many at once where the inventory declares no waves."""
    wave: str = ""
    """Whose probes are asked."""
    before: Mapping[str, Any] = field(factory=dict)
    """What the probes found on each host when its wave began."""
    token: str = field(factory=lambda: uuid4().hex)
    """No job is like another: an executor may remember the results of equal ones."""

    def text(self) -> str:
        """It as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str | bytes) -> Job:
        """The one in a line."""
        given = _with_tuples(json.loads(text))
        given.update(task=Task(given["task"]), target=Target(**_with_tuples(given["target"])))
        return cls(**given)


@frozen
class Outcome:
    """What has become of one host."""

    host: str
    status: Status
    summary: str = ""
    """What changed, or would change, in a line."""
    counts: Mapping[str, int] = field(factory=dict)
    """How many objects that are, by action."""
    changes: Sequence[Mapping[str, Any]] = ()
    """Each with its `action`, its `object` and the `lines` that say what differs."""
    undeclared: Sequence[Mapping[str, str]] = ()
    """What nobody declares: `object`, what it is `within`, and its `definition`."""
    waiting: Sequence[str] = ()
    """What waits for each phase that the run does not do."""
    messages: Sequence[str] = ()

    def data(self) -> dict[str, Any]:
        """It as JSON has it."""
        return asdict(self)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Outcome:
        """The one in JSON."""
        return evolve(cls(**given), status=Status(given["status"]))


@frozen
class Ended:
    """How a process has ended that was given a job."""

    answer: Any = None
    """What it has answered; None where it has not come to that."""
    error: str = ""
    """Why not."""
    begun: bool = True
    """Whether it may have begun to change hosts."""
    said: str = ""
    """What it has printed for people."""

    def outcomes(self, job: Job) -> list[Outcome]:
        """What has become of each host of the job. No answer is never a good one."""
        known = {one["host"]: Outcome.read(one) for one in self.answer or ()}
        lost = Outcome("", Status.FAILED, messages=(f"{self.error or 'no answer'}: {self._place}",))
        return [known.get(name) or evolve(lost, host=name) for name in job.hosts]

    @property
    def _place(self) -> str:
        if self.begun:
            return "whether it is before or after is not known; run again to see and to complete it"
        return "nothing was changed"


@frozen
class Planned:
    """A wave, with the hosts that come in it."""

    name: str
    hosts: tuple[str, ...]
    """In their order."""
    parallel: int = 1
    """How many of them at once."""
    goes_on: bool = False
    """Whether the others of the wave still come when one has failed."""
    depends_on: tuple[str, ...] = ()
    bake: float = 0
    """Seconds before the next one."""
    probes: tuple[str, ...] = ()
    """What is asked of each host, for people."""
    verifies: bool = False
    """Whether the scripts after the first run once more, as a probe."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Planned:
        """The one in JSON."""
        return cls(**_with_tuples(given))


def _with_tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(one) if isinstance(one, list) else one for key, one in given.items()}
