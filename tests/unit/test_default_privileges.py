"""What is wrong with declared default privileges is told where they are declared."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from pyinfra_postgres.errors import DeclarationError


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: pg.DefaultPrivileges("SELEKT", "TABLES", "a"), "no privilege SELEKT"),
        (lambda: pg.DefaultPrivileges("SELECT", "TABLE t", "a"), "on is one of TABLES"),
        (lambda: pg.DefaultPrivileges("USAGE", "SCHEMAS", "a", in_schema="s"), "in no other one"),
        (lambda: pg.DefaultPrivileges("x; DROP", "TABLES", "a"), "write them like SELECT"),
    ],
)
def test_mistakes_are_told(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        wrong()
