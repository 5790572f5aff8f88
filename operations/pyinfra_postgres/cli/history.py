"""`pyinfra-postgres history`: what has been deployed to databases."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter
from typing import Any

import click

from ..exits import ERROR, WELL
from ..operations.host_rows import HostRows
from ..operations.tabular import print_answers
from ..terminal import put
from .common import passed_on, pyinfra_options

_COLUMNS = ("deploy", "started (UTC)", "state", "took", "changes", "by", "commit", "plan")
_SHORT = 10
"""Characters of a commit."""
_ID = 16
"""Characters of a plan's id."""
_STEP = re.compile(r"\] +(Connected$|Loaded fact )")
"""What pyinfra says of a host for which it did a step."""


@click.command("history", epilog="Example: pyinfra-postgres history inventories/production.py")
@click.argument("inventory", metavar="INVENTORY")
@pyinfra_options("limit", "data", "group_data")
@click.option(
    "--last", type=click.IntRange(1), default=20, show_default=True, help="How many of each host."
)
@click.option("--statements", "deploy", metavar="DEPLOY", help="Print the statements of a deploy.")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known, as JSON.")
def command(inventory: str, last: int, deploy: str | None, as_json: bool, **given: Any) -> None:
    """Print what has been deployed to databases whose host data has postgres_history.

    The newest comes first. What failed, and how far it came, stands below.
    """
    found, is_whole = _deploys(inventory, last, passed_on(given))
    if deploy:
        found = {
            host: [row for row in rows if row["run"] == deploy] for host, rows in found.items()
        }
        if is_whole and not any(found.values()):
            raise click.UsageError(
                f"no host has {deploy} among its last {last} deploys: --last has more"
            )
    if as_json:
        put(json.dumps(found, indent=2))
    elif deploy:
        for host, rows in found.items():
            _print_statements(host, rows)
    else:
        lines = {
            host: tuple(json.dumps(_line(row)) for row in rows) for host, rows in found.items()
        }
        print_answers({host: HostRows(_COLUMNS, several) for host, several in lines.items()})
        for host, rows in found.items():
            for row in rows:
                if row["undoes"]:
                    put(f"{host}: {row['run']} undoes {row['undoes']}")
                if row["error"]:
                    state = "" if row["state"] == "cut off" else f"{row['state']}: "
                    put(f"{host}: {row['run']} {state}{row['error']}")
    sys.exit(WELL if is_whole else ERROR)


def _deploys(
    inventory: str, last: int, options: Iterable[str]
) -> tuple[dict[str, list[dict[str, Any]]], bool]:
    """What pyinfra's fact says of each host, and whether it could be read of all.

    Ends the program where there is no host.
    """
    fact = ["fact", "pyinfra_postgres.facts.Deploys", f"last={last}"]
    run = subprocess.run(  # noqa: S603  (no shell)
        [sys.executable, "-m", "pyinfra", "--json", "-y", *options, inventory, *fact],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        _complain(run.stderr)
        sys.exit(run.returncode)
    (found,) = json.loads(run.stdout).values()
    if not found:
        # What pyinfra has found wrong with the inventory is a warning of its own.
        raise click.UsageError(f"there is no host in {inventory}")
    read = {host: rows for host, rows in found.items() if rows is not None}
    if len(read) < len(found):
        _complain(run.stderr)
    return read, len(read) == len(found)


def _complain(said: str) -> None:
    """Print what pyinfra has said, without that of each of its steps."""
    lines = (one for one in said.splitlines() if one and not one.startswith("-->"))
    put("\n".join(one for one in lines if not _STEP.search(one)), err=True)


def _line(row: dict[str, Any]) -> list[Any]:
    commit = row["git_commit"] or ""
    changed = "+" if " " in commit else ""
    started = datetime.fromisoformat(row["started_at"]).strftime("%Y-%m-%d %H:%M:%S")
    return [
        row["run"],
        started,
        row["state"],
        (row["duration"] or "")[: len("00:00:00.00")],
        row["changes"],
        f"{row['account']}@{row['controller']}",
        f"{commit[:_SHORT]}{changed}",
        row["plan"][:_ID],
    ]


def _print_statements(host: str, rows: Iterable[dict[str, Any]]) -> None:
    for row in sorted(rows, key=itemgetter("block")):
        for one in row["statements"]:
            put(f"-- {host}, {one['stage']}: {one['operation']}\n{one['statement']};")
