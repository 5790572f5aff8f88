"""`pyinfra-postgres verify`: what a deploy declares, against what its databases hold."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

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
@click.option("--limit", multiple=True, help="Hosts, as pyinfra takes it.")
@click.option("--data", multiple=True, help="Host data, key=value, as pyinfra takes it.")
@click.option("--group-data", multiple=True, help="Directory of group data, as pyinfra takes it.")
@click.option("-v", "verbosity", count=True, help="As pyinfra takes it.")
def command(inventory: str, scripts: tuple[str, ...], **given: Any) -> None:
    """Verify all hosts: each object that a deploy declares, and each of its checks.

    Nothing of the deploy runs. The exit code is 0 where every host is approved.
    """
    title = given["title"] or ", ".join(Path(one).name for one in scripts)
    options = [f"--limit={one}" for one in given["limit"]]
    options += [f"--data={one}" for one in given["data"]]
    options += [f"--group-data={one}" for one in given["group_data"]]
    options += ["-v"] * given["verbosity"]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "verify.py"
        script.write_text(
            _SCRIPT.format(title=title, report=given["report"], scripts=scripts), encoding="utf-8"
        )
        arguments = [inventory, str(script), "--dry", "-y", "--fail-percent", "100", *options]
        code = subprocess.call([sys.executable, "-m", "pyinfra", *arguments])  # noqa: S603
        if not code and not script.with_suffix(".read").exists():
            code = 1
    sys.exit(code if code >= 0 else 128 - code)
