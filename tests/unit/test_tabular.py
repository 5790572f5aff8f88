"""Rows as a terminal shows them."""

from __future__ import annotations

import json

import pytest

from pyinfra_postgres.operations.host_rows import HostRows
from pyinfra_postgres.operations.tabular import print_answers


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")


def shown(capsys: pytest.CaptureFixture[str], columns: list[str], *row: object) -> list[str]:
    print_answers({"db": HostRows(tuple(columns), (json.dumps(row),))})
    return capsys.readouterr().out.splitlines()


def test_a_long_value_is_cut_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    *_, row, _ = shown(capsys, ["a", "b"], "x" * 500, 1)
    assert len(row) <= 40
    assert row.startswith(" db")
    assert "x…" in row


def test_the_only_column_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, ["a"], "x" * 200 + "\nend")
    assert "".join(found).count("x") == 200
    assert any(line.endswith("│ end") for line in found)


def test_columns_that_do_not_fit_get_lines(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"column_{number}" for number in range(8)]
    assert [line.split() for line in shown(capsys, names, *range(8))][:3] == [
        ["host", "│", "db"],
        ["column_0", "│", "0"],
        ["column_1", "│", "1"],
    ]
