"""Rehearsals: deploys on a copy of a Neon branch, which is deleted whatever happens.

Each script is a pyinfra run of its own, as it will be on the original. The copy has the groups of
the branch that it is made from, and credentials of its own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from attrs import field, frozen

from ..processes import pyinfra, signals_held, signals_raised
from .api import Branch, Neon, NeonError, Project
from .branches import REHEARSAL, find_branch, find_project

_MEASURED = ["--dry", "--data=rehearse=true"]


@frozen
class Rehearsed:
    """How a script ended."""

    script: str
    code: int
    seconds: float

    def __str__(self) -> str:
        ended = f"failed with exit code {self.code}" if self.code else "succeeded"
        return f"{self.script} {ended} in {self.seconds:.1f} s"


@frozen
class Rehearsal:
    """What is rehearsed on a copy of which branch."""

    neon: Neon
    called: str
    """The project, as whoever rehearses writes it."""
    project: Project
    branch: Branch
    say: Callable[[str], None]
    lifetime: timedelta
    results: list[Rehearsed] = field(factory=list)

    @classmethod
    def of(
        cls, neon: Neon, target: str, say: Callable[[str], None], lifetime: timedelta
    ) -> Rehearsal:
        """The rehearsal on a copy of PROJECT's default branch, or of PROJECT/BRANCH."""
        name, _, branch_name = target.partition("/")
        project = find_project(neon, name)
        branches = neon.branches(project)
        if branch_name:
            branch = find_branch(project, branches, branch_name)
        else:
            defaults = [one for one in branches if one.default]
            if not defaults:
                raise NeonError(f"Neon project {project.name} has no default branch: name one")
            branch = defaults[0]
        for left in branches:
            if left.name.startswith(REHEARSAL):
                say(
                    f"There is a branch of another rehearsal, which runs or was killed: {left.name}"
                    f", {_end(left)}. To delete it: "
                    f"neonctl branches delete {left.id} --project-id {project.id}"
                )
        return cls(neon, name, project, branch, say, lifetime)

    def run(self, scripts: Sequence[str], options: Sequence[str], measures: bool = False) -> None:
        """Run the scripts on a copy until one fails, each measured before if that is wanted."""
        runs = [(" measured", _MEASURED)] * measures + [("", ["-y"])]
        with self._copy() as copy:
            for script in scripts:
                for how, words in runs:
                    began = time.monotonic()
                    code = pyinfra(f"@neon/{self.called}/{copy}", script, *words, *options)
                    seconds = time.monotonic() - began
                    self.results.append(Rehearsed(script + how, code, seconds))
                    if code:
                        return

    @contextmanager
    def _copy(self) -> Iterator[str]:
        """The name of a copy that exists as long as the block runs."""
        now = datetime.now(UTC)
        name = f"{REHEARSAL}{self.branch.name}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        with signals_raised():
            try:
                self.say(f"Making branch {name} of {self.project.name}/{self.branch.name}")
                self.neon.create_branch(self.project, self.branch, name, now + self.lifetime)
                yield name
            finally:
                with signals_held(lambda: self.say(f"Deleting branch {name}: wait for it")):
                    self._delete(name)

    def _delete(self, name: str) -> None:
        """Delete the copy, also one of which the API could not tell any more that it was made."""
        try:
            for branch in self.neon.branches(self.project):
                if branch.name == name:
                    self.neon.delete_branch(self.project, branch)
                    self.say(f"Deleted branch {name}")
        except NeonError as error:
            raise NeonError(f"branch {name} could not be deleted: {error}") from error


def _end(branch: Branch) -> str:
    return f"expires at {branch.expires_at}" if branch.expires_at else "never expires"
