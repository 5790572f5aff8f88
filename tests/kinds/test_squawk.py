"""Changes of tables with rows, as the server saw them, under the rules of squawk.

https://squawkhq.com/docs/rules
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import Database, one_version
from harness.process import run
from kinds.test_lock_modes import ALLOWED, BEFORE, CASES, DATA
from pyinfra_postgres.plan.plan import Hazard, Statement
from unit.test_breaking import unknown

ROOT = Path(__file__).resolve().parents[2]
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
def test_squawk_finds_nothing_but_what_is_told(
    database: Database, case: str, tmp_path: Path
) -> None:
    database.psql(BEFORE)
    with database.watch() as seen:
        outcome = run(database, CASES[case], **DATA, postgres_allow=ALLOWED).succeeded()
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
    check_clients([one for _, one in outcome.plan.statements()], script)


def test_squawk_finds_what_is_wrong(tmp_path: Path) -> None:
    """The judge is awake: it does speak up about a plain CREATE INDEX."""
    script = tmp_path / "changes.sql"
    script.write_text("SET lock_timeout = '1s';\nCREATE INDEX i ON public.t (a);\n")
    result = subprocess.run(
        [SQUAWK, "--reporter", "json", script], capture_output=True, text=True, check=False
    )
    assert "require-concurrent-index-creation" in result.stdout


DOCUMENT = ROOT / "docs" / "linters.md"
FIRST = "require-concurrent-index-creation"
"""The rule with which squawk's own list of their names begins."""
OF_COMMENTS = "unused-ignore"
"""What it says of comments that switch its rules off."""
HAZARDS = {one.value: one for one in Hazard}


def table(title: str) -> dict[str, str]:
    """A table of the document: what becomes of each rule."""
    (text,) = re.findall(rf"^## {title}.*?\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.M | re.S)
    return dict(re.findall(r"^\| `([\w-]+)`[^|]* \| (.*) \|$", text, re.M))


def hazard_of(said: str) -> tuple[Hazard | None, bool]:
    """The hazard that a row names, and whether it is told of everything that the rule finds."""
    parts = [part.strip() for part in said.split(";")]
    named = [part.partition(": ")[2] for part in parts if part.lower().startswith("hazard: ")]
    for text in named:
        (found,) = [text[: len(one)] for one in HAZARDS if f"{text},".startswith(f"{one},")][:1]
        return HAZARDS[found], text == found
    return None, False


def test_every_rule_of_squawk_is_answered() -> None:
    """The program has the names of its rules one behind another; nothing else is among them."""
    version = subprocess.run([SQUAWK, "--version"], capture_output=True, text=True, check=True)
    rules = table(f"squawk {'.'.join(version.stdout.split()[1].split('.')[:2])}")
    runs = re.findall(rb"[a-z-]*" + FIRST.encode() + rb"require-[a-z-]*", SQUAWK.read_bytes())
    (names,) = (run[run.index(FIRST.encode()) :].decode() for run in runs)
    answered = "|".join(sorted([*rules, OF_COMMENTS], key=len, reverse=True))
    left = re.sub(rf"(?:{answered})", " ", names)
    assert left.strip() == "", f"docs/linters.md has nothing about {left.split()}"
    for rule in rules:
        known = subprocess.run(
            [SQUAWK, f"--exclude={rule}", "--stdin-filepath=x.sql"],
            input="SELECT 1;",
            capture_output=True,
            text=True,
            check=False,
        )
        assert "invalid rule" not in known.stderr, rule


@pytest.mark.parametrize("title", ["squawk", "strong_migrations", "eugene"])
def test_every_answer_is_of_a_kind(title: str) -> None:
    for rule, said in table(title).items():
        assert re.match(r"(Plan|Hazard|Permission|Left): ", said), rule
        if "azard: " in said:
            assert hazard_of(said)[0], rule


def check_clients(statements: Sequence[Statement], script: Path) -> None:
    """What squawk says that a statement does to clients is told of it, as the document has it."""
    for one in statements:
        assert list(unknown(one.sql)) == [], "whether it breaks clients nobody has said"
    # One on each line: line breaks are only in texts and between words here.
    script.write_text("".join(" ".join(one.sql.split()) + ";\n" for one in statements))
    rules = table("squawk")
    result = subprocess.run(
        [SQUAWK, "--reporter", "json", *(f"--include={rule}" for rule in rules), script],
        capture_output=True,
        text=True,
        check=False,
    )
    for finding in json.loads(result.stdout):
        hazard, is_always = hazard_of(rules[finding["rule_name"]])
        if is_always:
            assert hazard in statements[finding["line"]].hazards, finding
