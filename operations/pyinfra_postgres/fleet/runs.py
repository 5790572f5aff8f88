"""pyinfra on some hosts of an inventory, as its command line runs it, with an outcome for each."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from attrs import define, field
from click import ClickException, unstyle
from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.arguments import pop_global_arguments
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_config, ctx_host, ctx_inventory, ctx_state
from pyinfra_cli.exceptions import UnexpectedExternalError
from pyinfra_cli.inventory import make_inventory
from pyinfra_cli.util import exec_file, load_deploy_file, parse_cli_arg

from ..errors import InventoryError
from ..plan.plan import Action, Change, Plan, Undeclared, counted
from ..planning.session import Draft, Session
from ..planning.undeclared import of_run
from ..running import render
from ..terminal import complain, printable
from .jobs import Outcome, Status, Target
from .matching import is_meant

_CONFIG = "config.py"
_INTERRUPTED = "interrupted"
_SIGNALLED = range(129, 160)
"""The exit statuses that stand for signals."""
_NO_REASON = "Error: executed "
"""How pyinfra ends what it says of an operation that has failed, once that is said."""


class Complaints(logging.Handler):
    """Why hosts fail, of all that pyinfra and this package say."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(unstyle(record.getMessage()))

    def of(self, host: Host) -> list[str]:
        """Those about a host."""
        prefix = f"[{host.name}]"
        found = (one.removeprefix(prefix).strip() for one in self.lines if one.startswith(prefix))
        return [one for one in dict.fromkeys(found) if not one.startswith(_NO_REASON)]


@define(eq=False)
class PyinfraRun:
    """One run: it connects, prepares the scripts, and executes them where it is told to."""

    target: Target
    state: State
    complaints: Complaints = field(factory=Complaints)
    error: str = ""
    """What ended it for all hosts."""

    @classmethod
    def of(
        cls, target: Target, names: Sequence[str], *, looks: bool = False, stops: bool = False
    ) -> PyinfraRun:
        """A run on the hosts of these names. It looks for changes, as a dry run does, or not.

        A host that fails stops the others or not.
        """
        state = State(check_for_changes=looks)
        inventory = loaded(target, state)
        config: Config = ctx_config.get()
        config.FAIL_PERCENT = 0 if stops else 100
        config.lock_current_state()
        state.init(inventory, config, initial_limit=[inventory.get_host(name) for name in names])
        return cls(target, state)

    def do(self, action: Callable[[], None]) -> None:
        """Connect to the hosts, do something with them, and disconnect.

        What fails ends that for all hosts, and is remembered.
        """
        of_pyinfra = logging.getLogger("pyinfra")
        of_pyinfra.addHandler(self.complaints)
        try:
            self.state.set_stage(StateStage.Connect)
            connect_all(self.state)
            action()
        except SystemExit as error:
            self.error = _INTERRUPTED if error.code in _SIGNALLED else f"the run left: {error!r}"
        except Exception as error:
            self.error = reason(error)
        finally:
            with suppress(Exception):
                disconnect_all(self.state)
            of_pyinfra.removeHandler(self.complaints)

    def prepare(self) -> None:
        """Read the scripts on each host."""
        self.state.set_stage(StateStage.Prepare)
        for number, script in enumerate(self.target.scripts):
            self.state.config.lock_current_state()
            self.state.current_op_file_number = number
            load_deploy_file(self.state, script)
            self.state.config.reset_locked_state()

    def execute(self) -> None:
        """Run what they have asked for."""
        self.state.set_stage(StateStage.Execute)
        run_ops(self.state)

    def each(self, action: Callable[[Host], None]) -> None:
        """Do something for all hosts at once, with the global arguments that operations have."""

        def do(host: Host) -> None:
            with ctx_host.use(host):
                host.current_op_global_arguments, _ = pop_global_arguments(self.state, host, {})
                try:
                    action(host)
                finally:
                    host.current_op_global_arguments = None

        hosts = list(self.state.active_hosts)
        for greenlet in gevent.joinall([self.state.pool.spawn(do, host) for host in hosts]):
            greenlet.get()

    def fail(self, host: Host, message: object) -> None:
        """Fail a host before it is prepared."""
        complain(host, message)
        self.state.failed_hosts.add(host)
        self.state.active_hosts.discard(host)

    def outcome(self, name: str) -> Outcome:
        """What has become of a host."""
        host = self.state.inventory.get_host(name)
        with ctx_host.use(host):
            session = Session.current()
        executed = not self.state.check_for_changes
        drafts = [one for (_, phase), one in session.drafts.items() if phase is executed]
        status = self._status(host, session, executed)
        plan, messages = _joined(drafts, executed), self.complaints.of(host)
        if not (status.is_after or status is Status.DIFFERENT):
            messages = messages or [self._why(host)]
            plan = plan if executed else Plan()  # which it would be is not known
        elif not executed:
            plan.undeclared = of_run(session)
        counts = counted(plan.changes)
        return Outcome(
            name,
            status,
            render.summary(plan, done=executed)
            if plan.changes or plan.undeclared or plan.waiting
            else "",
            {one.value: counts[one] for one in Action if counts[one]},
            [_change(one) for one in plan.changes],
            [_undeclared(one) for one in plan.undeclared],
            [printable(one) for one in render.waiting(plan.waiting)],
            messages,
        )

    def _status(self, host: Host, session: Session, executed: bool) -> Status:
        state = self.state
        if host in state.failed_hosts:
            if host not in state.activated_hosts or session.is_unreachable:
                return Status.UNREACHABLE
            return Status.REFUSED if session.refused else Status.FAILED
        results, operations = state.results[host], state.ops[host]
        ended = results.ops == len(operations) if executed and state.is_executing else not executed
        if not ended or (self.error and not state.is_executing):
            is_stopped = state.failed_hosts or self.error == _INTERRUPTED
            return Status.STOPPED if is_stopped else Status.FAILED
        if not executed:
            return Status.DIFFERENT if state.meta[host].ops_change else Status.EQUAL
        changed = any(one.operation_meta.did_change() for one in operations.values())
        return Status.CHANGED if changed else Status.EQUAL

    def _why(self, host: Host) -> str:
        """Why a host has not come to its end of which nothing was said."""
        others = sorted(one.name for one in self.state.failed_hosts if one is not host)
        if others:
            return f"stopped, because these hosts failed: {', '.join(others)}"
        return self.error or "it was not run to its end"


def loaded(target: Target, state: State) -> Inventory:
    """The inventory, after the configuration, as pyinfra's command line loads them."""
    state.cwd = os.getcwd()  # noqa: PTH109  (as pyinfra has it)
    ctx_state.set(state)
    ctx_config.set(Config())
    if Path(_CONFIG).exists():
        exec_file(_CONFIG)
    given = (one.partition("=") for one in target.data)
    inventory: Inventory = make_inventory(
        target.inventory,
        cwd=state.cwd,
        override_data={key: parse_cli_arg(value) for key, _, value in given},
        group_data_directories=target.group_data,
    )
    ctx_inventory.set(inventory)
    return inventory


def meant(target: Target) -> list[Host]:
    """The hosts that a command line means, in their order. Raises InventoryError for none."""
    hosts = list(loaded(target, State()))
    if not hosts:
        raise InventoryError(f"{target.inventory} has no hosts")
    for pattern in target.limit:
        if not any(is_meant(host, pattern) for host in hosts):
            raise InventoryError(f"no host matches --limit {pattern}")
    if not target.limit:
        return hosts
    return [host for host in hosts if any(is_meant(host, one) for one in target.limit)]


def reason(error: BaseException) -> str:
    """What is wrong, in a line: for code of the user's with its place."""
    if isinstance(error, UnexpectedExternalError):
        inner = error.exception
        places = traceback.extract_tb(inner.__traceback__)
        lines = [one.lineno for one in places if one.filename == error.filename]
        where = f"{error.filename} line {lines[-1]}" if lines else error.filename
        return printable(f"{where}: {type(inner).__name__}: {inner}")
    if isinstance(error, PyinfraError | ClickException):
        return printable(getattr(error, "message", None) or error)
    return printable(f"{type(error).__name__}: {error}")


def _joined(drafts: Sequence[Draft], executed: bool) -> Plan:
    """What is in place of the plans of a host, or what they are."""
    plans = [one.done if executed else one.plan for one in drafts]
    joined = Plan()
    for plan in filter(None, plans):
        joined.changes += plan.changes
        joined.undeclared += plan.undeclared
        joined.waiting += plan.waiting
    return joined


def _change(one: Change) -> dict[str, Any]:
    return {
        "action": one.action.value,
        "object": printable(one.title),
        "lines": [printable(line) for line in one.lines],
    }


def _undeclared(one: Undeclared) -> dict[str, str]:
    return {
        "object": printable(one.title),
        "within": printable(one.within),
        "definition": printable(one.definition),
    }
