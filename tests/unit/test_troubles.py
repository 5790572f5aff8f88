"""What goes wrong is recognised, and docs/troubleshooting.md lists just that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyinfra_postgres.reports.advice import RULES
from pyinfra_postgres.transport.troubles import CONNECTING, RUNNING, Trouble, advice, advised

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "docs" / "troubleshooting.md").read_text()
EVERY = (*CONNECTING, *RUNNING)


def listed(troubles: tuple[Trouble, ...]) -> list[str]:
    """The rows of the document's table about them."""

    def told(one: Trouble) -> str:
        states = ", ".join(one.states)
        said = "<br>".join(f"`{part}`" for part in one.says.split("; "))
        return f"{said}{f'<br>{states}' if states else ''}"

    return [f"| {one.name} | {told(one)} | {one.cause} | {one.remedy} |" for one in troubles]


@pytest.mark.parametrize(
    ("heading", "troubles"), [("Connecting", CONNECTING), ("Running", RUNNING)]
)
def test_the_document_lists_what_is_recognised_and_nothing_else(
    heading: str, troubles: tuple[Trouble, ...]
) -> None:
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert rows[1:] == listed(troubles)


def test_the_document_names_rules_of_the_advice_that_there_are() -> None:
    section = DOCUMENT.split("\n## Without an error\n")[1]
    named = re.findall(r"\(`([a-z-]+)`\)", section)
    assert named
    assert set(named) <= set(RULES)


def test_each_has_a_name_of_its_own() -> None:
    assert len({one.name for one in EVERY}) == len(EVERY)


@pytest.mark.parametrize("trouble", EVERY, ids=lambda one: one.name)
def test_what_the_document_quotes_is_recognised(trouble: Trouble) -> None:
    for said in trouble.says.split("; "):
        for state in trouble.states or ("",):
            assert advice(said, state) == trouble.advice


def test_what_is_not_recognised_is_told_as_it_is() -> None:
    assert advised("division by zero", "22012") == "division by zero"
    assert advised("connection reset by peer") == "connection reset by peer"


def test_nothing_is_told_twice() -> None:
    once = advised("Could not connect: connection refused")
    assert advised(once) == once
