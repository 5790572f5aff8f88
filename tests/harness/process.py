"""Real pyinfra runs inside this process, for tests that need hundreds of them."""

from __future__ import annotations

import io
import logging
import runpy
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click import unstyle
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operations import run_ops
from pyinfra.context import ctx_config, ctx_host, ctx_inventory, ctx_state

from pyinfra_postgres.plan.plan import Plan
from pyinfra_postgres.planning.session import Draft, Session
from pyinfra_postgres.running import plan_files

from . import connectors as connectors
from .cli import Run
from .servers import Database

Deploy = Callable[[], object]


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it planned."""

    plan: Plan
    failed: bool
    messages: str
    operations: dict[str, str] = field(default_factory=dict)
    """How the operations inside of blocks ended, by name."""

    def succeeded(self) -> Outcome:
        """Return itself, or fail the test with what was said."""
        assert not self.failed, self.messages
        return self

    def refused(self) -> Outcome:
        """Return itself, or fail the test because the run went through."""
        assert self.failed, f"this went through: {self.plan.changes}"
        return self


class _Printed(io.StringIO):
    """What is printed, among what is said."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def write(self, text: str) -> int:
        # By what refuses bytes, click knows that this is for text.
        length = super().write(text)
        self.lines += text.splitlines()
        return length


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # As pyinfra's command line does.
        text = record.getMessage()
        self.lines.append(text if text.startswith("-->") else f"    {text}")


def run(
    database: Database,
    deploy: Deploy,
    *,
    dry: bool = False,
    psql: bool = False,
    override: Mapping[str, Any] | None = None,
    **data: Any,
) -> Outcome:
    """Run a deploy, given as a function, against a database; keywords are host data.

    A dry run is one with `--diff`: it says what would change. `psql` reaches the database through
    this machine's shell, with the psql that is in the PATH. `override` is what `--data` gives.
    """
    name = "@local" if psql else f"@postgres/{database.name}"
    given = {"postgres_dsn": database.dsn, **data}
    databases = ([name], given)
    inventory = Inventory(([name], {}), override_data=dict(override or {}), databases=databases)
    return _run(inventory, deploy, dry)


def run_files(directory: Path, **data: Any) -> Run:
    """Apply the directory's deploy.py to its inventory.py, as the command line would with `-y`."""
    groups = runpy.run_path(str(directory / "inventory.py"))
    groups = {name: value for name, value in groups.items() if not name.startswith("_")}
    names = [name for members, _ in groups.values() for name, _ in members]
    inventory = Inventory((names, {}), override_data=data, **groups)
    outcome = _run(inventory, lambda: runpy.run_path(str(directory / "deploy.py")), dry=False)
    return Run(int(outcome.failed), "", outcome.messages, outcome.operations)


def _run(inventory: Inventory, deploy: Deploy, dry: bool) -> Outcome:
    state = State(inventory, Config(FAIL_PERCENT=0, DIFF=dry))
    (host,) = inventory
    messages = _Messages()
    logger = logging.getLogger("pyinfra")
    level = logger.level
    logger.addHandler(messages)
    logger.setLevel(logging.INFO)
    failed = False
    drafts: list[Draft] = []
    operations: dict[str, str] = {}
    with (
        ctx_state.use(state),
        ctx_inventory.use(inventory),
        ctx_config.use(state.config),
        ctx_host.use(host),
        redirect_stdout(_Printed(messages.lines)),
    ):
        try:
            connect_all(state)
            deploy()
            session = Session.current()
            failed = host in state.failed_hosts
            drafts = [draft for (_, executing), draft in session.drafts.items() if not executing]
            if dry:
                plan_files.write(state)
            elif not failed:
                run_ops(state)
                failed = host in state.failed_hosts
                operations = dict(_ended(session))
        except PyinfraError as error:
            failed = True
            messages.lines.append(str(error))
        finally:
            disconnect_all(state)
            logger.removeHandler(messages)
            logger.setLevel(level)
    plan = Plan()
    for draft in drafts:
        plan.changes += draft.plan.changes
        plan.gaps += draft.plan.gaps
        plan.refusals += draft.plan.refusals
        plan.undeclared += draft.plan.undeclared
        plan.waiting += draft.plan.waiting
    return Outcome(plan, failed, unstyle("\n".join(messages.lines)), operations)


def _ended(session: Session) -> Iterator[tuple[str, str]]:
    for (block, executing), draft in session.drafts.items():
        for one in draft.items if executing and not block.single else ():
            if one.result and one.result.is_complete():
                yield str(one.operation), "Success" if one.result.did_change() else "No changes"
