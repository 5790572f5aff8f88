"""The guided tour of `make demo`: every command in full, and of its output what matters.

What a command printed in full is kept under .embedded/demo/, and is shown when it fails.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".embedded" / "demo"
PYINFRA = (".venv/bin/pyinfra", "inventories/embedded.py")
PLAN_LINES = 18

# pyinfra's word for how an operation ended -> the tour's.
_CHANGES = {
    "Success": "changed",
    "No changes": "unchanged",
    "Error": "failed",
    "Skipped": "skipped",
}

# A plan's last line about a host: "1 to create, 2 to change, ..." or "same plan as ...".
_SUMMARY = re.compile(
    r"\d+ to (create|change|remove|run)\b|same plan as|\] +no changes$"
    r"|(created|changed|removed|run) in \d+ ms"
)
_VERDICT = re.compile(r"\] +((NOT )?APPROVED|report): ")
_RESULT = re.compile(r"\[(?P<host>[^]]+)\]\s+(?P<result>Success|No changes|Error|Skipped)")


class UnexpectedError(Exception):
    """A command ended well, but what it printed is not what the tour promises."""


@dataclass(frozen=True)
class Step:
    """One command of the tour and how to condense what it prints."""

    title: str
    command: tuple[str, ...]
    condense: Callable[[Iterable[str]], Iterator[str]]


def everything(lines: Iterable[str]) -> Iterator[str]:
    """Show all lines, for commands that say little."""
    yield from lines


def plan(lines: Iterable[str]) -> Iterator[str]:
    """Show the plan of the first host down to PLAN_LINES, and the last line of each host."""
    first: str | None = None
    shown = hidden = 0
    host: str | None = None
    for line in lines:
        if "-->" in line:
            host = None
            continue
        if prefix := re.match(r"\s*\[(@[^]]+)\]", line):
            host = prefix[1]
        if host is None or not line.strip() or re.search(r"\]\s+(Connected|Ready)\b", line):
            continue
        if _SUMMARY.search(line):
            if hidden:
                yield f"... {hidden} more lines"
            hidden = 0
            yield line
            continue
        first = first or host
        if host != first:
            continue
        if shown < PLAN_LINES:
            shown += 1
            yield line
        else:
            hidden += 1
    if hidden:
        yield f"... {hidden} more lines"


def results(lines: Iterable[str]) -> Iterator[str]:
    """Show a plan's lines about phases and hosts, one for each group of operations, and the sum."""
    deploy = ""
    counts: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in lines:
        if started := re.search(r"--> Starting operation: (.*)", line):
            name = started[1].rpartition(" | ")[0] or started[1]
            if name != deploy and counts:
                yield _counted(deploy, counts)
                counts.clear()
            deploy = name
        elif result := _RESULT.search(line):
            counts[_CHANGES[result["result"]]] += 1
            total[_CHANGES[result["result"]]] += 1
        elif _SUMMARY.search(line):
            yield line
    if counts:
        yield _counted(deploy, counts)
    yield _counted("all operations", total)


def verdicts(lines: Iterable[str]) -> Iterator[str]:
    """Show what a verification says of each host, and where its report is."""
    yield from filter(_VERDICT.search, lines)


def unchanged(lines: Iterable[str]) -> Iterator[str]:
    """Show results and insist that something ran and nothing changed on any host."""
    ran = 0
    changed: list[str] = []

    def noting() -> Iterator[str]:
        nonlocal ran
        operation = ""
        for line in lines:
            if started := re.search(r"--> Starting operation: (.*)", line):
                operation = started[1].strip()
            if result := _RESULT.search(line):
                ran += 1
                # What only other hosts have is skipped.
                if result["result"] not in {"No changes", "Skipped"}:
                    changed.append(f"{result['host']}: {operation}")
            yield line

    yield from results(noting())
    if changed or not ran:
        raise UnexpectedError("A second run has to find every operation unchanged:", *changed)


def _counted(name: str, counts: Counter[str]) -> str:
    parts = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{name:<44} {parts or 'nothing ran'}"


STEPS = (
    Step(
        "Start PostgreSQL with two databases, staging and production",
        (".venv/bin/python", "demo/server.py", "start"),
        everything,
    ),
    Step(
        "Dry run: what would change, and how",
        (*PYINFRA, "deploy.py", "--dry", "--diff"),
        plan,
    ),
    Step(
        "Apply to staging",
        (*PYINFRA, "deploy.py", "--limit", "staging", "-y"),
        results,
    ),
    Step(
        "Verify staging",
        (*PYINFRA, "verify.py", "--limit", "staging", "-y"),
        verdicts,
    ),
    Step(
        "Apply to production",
        (*PYINFRA, "deploy.py", "--limit", "production", "-y"),
        results,
    ),
    Step(
        "Verify production, and staging again: the report then has both",
        (*PYINFRA, "verify.py", "-y"),
        verdicts,
    ),
    Step(
        "Deploy again, to both: no changes",
        (*PYINFRA, "deploy.py", "-y"),
        unchanged,
    ),
)


def run(number: int, step: Step) -> bool:
    """Run one step, condensing while it prints; on failure print all of it."""
    print(f"\n{_bold(f'{number}/{len(STEPS)}  {step.title}')}\n  $ {' '.join(step.command)}")
    sys.stdout.flush()
    began = time.monotonic()
    printed: list[str] = []
    problem = ""
    with subprocess.Popen(
        step.command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in step.condense(_kept(process.stdout or (), printed)):
                print(_fitted(line), flush=True)
        except UnexpectedError as error:
            problem = "\n".join(error.args)
    log = LOGS / f"{number}.log"
    LOGS.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(printed))
    if process.returncode or problem:
        code = f" (exit code {process.returncode})" if process.returncode else ""
        print(f"\n{''.join(printed)}\n{problem}".rstrip())
        print(f"\n{_bold(f'Step {number} failed{code}.')} Its whole output is above.")
        return False
    print(f"  {time.monotonic() - began:.1f} s; in full: {log.relative_to(ROOT)}")
    return True


def look_around() -> str:
    """Say what a newcomer can do now."""
    databases = json.loads((ROOT / ".embedded" / "server.json").read_text())["databases"]
    lines = [
        "",
        _bold("Look around"),
        f"  .embedded/psql '{databases['staging']}'",
        f"  {' '.join(PYINFRA)} deploy.py --dry --diff",
        f"  {' '.join(PYINFRA)} fact pyinfra_postgres.facts.Catalog --json",
        *(
            f"  {path.relative_to(ROOT)}"
            for path in sorted((ROOT / "reports").glob("*/index.html"))
        ),
        "  make stop (the server)   make clean (everything)",
    ]
    return "\n".join(lines)


def _kept(lines: Iterable[str], into: list[str]) -> Iterator[str]:
    for line in lines:
        into.append(line)
        yield line.rstrip("\n")


def _fitted(line: str) -> str:
    width = shutil.get_terminal_size((110, 24)).columns - 2
    line = line.removeprefix("    ")  # pyinfra's own indentation
    return "  " + (line if len(line) <= width else f"{line[: width - 1]}…")


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def main() -> int:
    """Run all steps, stopping at the first that fails."""
    if not all(run(number, step) for number, step in enumerate(STEPS, start=1)):
        return 1
    print(look_around())
    return 0


if __name__ == "__main__":
    sys.exit(main())
