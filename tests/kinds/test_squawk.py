"""Changes of tables with rows, as the server saw them, under the rules of squawk.

https://squawkhq.com/docs/rules
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Database, one_version
from harness.process import run
from kinds.test_lock_modes import ALLOWED, BEFORE, CASES, DATA

SQUAWK = Path(sys.executable).parent / "squawk"
# What a column's type should be is for its declaration to say, and IF NOT EXISTS is for scripts
# that do not know what exists.
STYLE = (
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "prefer-identity",
    "prefer-robust-stmts",
)
# A declaration that gives a new name, or takes the old way of computing a column away, asks for
# what may break clients; domains are declared with their checks.
ASKED = (
    "renaming-table",
    "renaming-column",
    "renaming-object",
    "ban-set-schema",
    "ban-drop-generated-expression",
    "ban-alter-domain-with-add-constraint",
)
# What else a declaration asks for, where the run allows it by name.
WANTED = {
    "a table is dropped": {"ban-drop-table"},
    "a table with a foreign key is dropped": {"ban-drop-table"},
    "a partition is removed": {"ban-drop-table"},
    # Beside a default partition, or of it, PostgreSQL has no other way.
    "a partition that is detached": {"require-concurrent-partition-detach"},
    "a default partition that is detached": {"require-concurrent-partition-detach"},
    "a column becomes nullable": {"ban-drop-not-null"},
    "a default is dropped": {"ban-drop-default"},
    "a check is redefined": {"ban-drop-constraint"},  # in the transaction that adds the new one
    # On the parent alone, which has no rows; each partition's is built concurrently.
    "an index of a partitioned table": {"require-concurrent-index-creation"},
    "a type widens": {"changing-column-type"},  # from varchar(20) to varchar(40): no rewrite
}
_READS = re.compile(r"BEGIN READ ONLY|SELECT |SHOW ")


@pytest.mark.parametrize("case", CASES)
@one_version
def test_squawk_finds_nothing(database: Database, case: str, tmp_path: Path) -> None:
    database.psql(BEFORE)
    with database.watch() as seen:
        run(database, CASES[case], **DATA, postgres_allow=ALLOWED).succeeded()
    script = tmp_path / "changes.sql"
    changes = [
        one for one in seen.statements if not _READS.match(one) and not one.endswith("ROLLBACK")
    ]
    assert changes
    script.write_text(";\n".join(changes) + ";\n")
    result = subprocess.run(
        [SQUAWK, "--reporter", "json", *(f"--exclude={rule}" for rule in (*STYLE, *ASKED)), script],
        capture_output=True,
        text=True,
        check=False,
    )
    findings = json.loads(result.stdout)
    assert {one["rule_name"] for one in findings} == WANTED.get(case, set()), (
        f"{findings}\n{script.read_text()}"
    )


def test_squawk_finds_what_is_wrong(tmp_path: Path) -> None:
    """The judge is awake: it does speak up about a plain CREATE INDEX."""
    script = tmp_path / "changes.sql"
    script.write_text("SET lock_timeout = '1s';\nCREATE INDEX i ON public.t (a);\n")
    result = subprocess.run(
        [SQUAWK, "--reporter", "json", script], capture_output=True, text=True, check=False
    )
    assert "require-concurrent-index-creation" in result.stdout
