"""`pyinfra-postgres verify`: what a deploy declares, against what its databases hold."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from ..exits import ERROR
from ..processes import pyinfra
from .common import passed_on, pyinfra_options

_SCRIPT = """\
from pathlib import Path

from pyinfra_postgres.reports.derived import verify

Path(__file__).with_suffix(".read").touch()
verify({title!r}, {report!r}, {scripts!r})
"""
"""What pyinfra runs in a dry run, on each host; where no host matches it ends well without."""


@click.command("verify", epilog="Example: pyinfra-postgres verify inventories/staging.py deploy.py")
@click.argument("inventory", metavar="INVENTORY")
@click.argument(
    "scripts", metavar="DEPLOY.py...", nargs=-1, required=True, type=click.Path(exists=True)
)
@click.option("--report", default="reports", show_default=True, help="Folder for the report.")
@click.option("--title", help="What stands above the report.", metavar="TEXT")
@pyinfra_options("limit", "data", "group_data", "verbosity")
def command(inventory: str, scripts: tuple[str, ...], **given: Any) -> None:
    """Verify all hosts: each object that a deploy declares, and each of its checks.

    Nothing of the deploy runs. The exit code is 0 where every host is approved.
    """
    title = given["title"] or ", ".join(Path(one).name for one in scripts)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "verify.py"
        script.write_text(
            _SCRIPT.format(title=title, report=given["report"], scripts=scripts), encoding="utf-8"
        )
        arguments = [inventory, str(script), "--dry", "-y", "--fail-percent", "100"]
        arguments += passed_on(given)
        code = pyinfra(*arguments)
        if not code and not script.with_suffix(".read").exists():
            code = ERROR
    sys.exit(code)
