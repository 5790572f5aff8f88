"""The real pyinfra command line, in a process of its own."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.server import environment
from harness import forks

_FAIL_FAST = "from pyinfra import config\n\nconfig.FAIL_PERCENT = 0\n"


@dataclass(frozen=True)
class Run:
    """How a run of pyinfra ended and everything it printed."""

    code: int
    stdout: str
    stderr: str
    operations: Mapping[str, str] = field(default_factory=dict)
    """How the operations inside of blocks ended, by name; known of a run in this process."""

    @property
    def output(self) -> str:
        """Both streams, for searching."""
        return self.stdout + self.stderr

    def succeeded(self) -> Run:
        """Return itself, or fail the test with what was printed."""
        assert self.code == 0, f"pyinfra ended with {self.code}\n{self.output}"
        assert "Traceback" not in self.output, self.output
        return self

    def failed(self) -> Run:
        """Return itself, or fail the test because pyinfra did not fail in a few clear lines."""
        assert self.code != 0, f"pyinfra succeeded\n{self.output}"
        assert "Traceback" not in self.output, self.output
        return self


def finished(process: forks.Started, timeout: float = 60) -> Run:
    """Wait for a run that was started."""
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return Run(process.wait(), stdout, stderr)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never came true"
        time.sleep(0.02)


def start_pyinfra(
    cwd: Path,
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    module: str = "pyinfra",
) -> forks.Started:
    """Start pyinfra, or the program of another module, and do not wait for it."""
    return forks.start(
        module,
        list(map(str, arguments)),
        cwd,
        {**environment(), "PYINFRA_PROGRESS": "off", **(env or {})},
    )


def pyinfra(
    cwd: Path,
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> Run:
    """Run pyinfra in a directory; nothing can be typed, so apply with `-y`."""
    return finished(start_pyinfra(cwd, *arguments, env=env), timeout)


class Project:
    """A directory with an inventory and a deploy, as a user of the collection has one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started: list[forks.Started] = []
        self.write("config.py", _FAIL_FAST)

    def write(self, name: str, text: str) -> Path:
        """Write a file; the text may be indented as it stands in the test."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def inventory(
        self,
        hosts: Mapping[str, str | Mapping[str, Any]],
        *,
        name: str = "inventory.py",
        group: str = "databases",
        **data: Any,
    ) -> Path:
        """Write an inventory of `@postgres/NAME` hosts, each given by its DSN or by its data.

        Keywords are data of the whole group.
        """
        members = [
            (
                key if key.startswith("@") else f"@postgres/{key}",
                {"postgres_dsn": value} if isinstance(value, str) else dict(value),
            )
            for key, value in hosts.items()
        ]
        return self.write(name, f"{group} = ({members!r}, {data!r})\n")

    def deploy(self, text: str, *, name: str = "deploy.py") -> Path:
        """Write a deploy; `pg` and pyinfra's `host` are imported already."""
        body = textwrap.dedent(text).lstrip("\n")
        return self.write(
            name, f"from pyinfra import host\n\nimport pyinfra_postgres as pg\n\n{body}"
        )

    def run(self, *arguments: str | Path, **keywords: Any) -> Run:
        """Run pyinfra here; without arguments apply deploy.py to inventory.py."""
        return pyinfra(self.path, *(arguments or ("inventory.py", "deploy.py", "-y")), **keywords)

    def start(self, *arguments: str | Path, **keywords: Any) -> forks.Started:
        """Start pyinfra here and do not wait for it."""
        process = start_pyinfra(
            self.path, *(arguments or ("inventory.py", "deploy.py", "-y")), **keywords
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """End what a test started and, because it failed, did not wait for."""
        for process in self._started:
            process.kill()
            with process:
                pass
