"""Nothing is dropped with what depends on it.

CASCADE is for foreign keys, and for extensions, which it creates with those that they need.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_postgres.errors import DeclarationError
from unit.test_laws import KINDS, few

SOURCES = Path(__file__).resolve().parents[2] / "operations" / "pyinfra_postgres"
QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
ALLOWED = re.compile(r"ON (DELETE|UPDATE) CASCADE|CREATE \{target\}.* CASCADE")


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_no_statement_cascades(kind: str, data: st.DataObject) -> None:
    one, other = data.draw(KINDS[kind]), data.draw(KINDS[kind])
    pairs: list[tuple[Any, Any]] = [(one, other), (None, one)]
    for current, declared in pairs if kind == "grant" else [*pairs, (one, None)]:
        try:
            found = [change.sql for change in one.diff(current, declared)]
        except DeclarationError:
            continue  # What PostgreSQL can't change.
        dropped = [sql for sql in found if not sql.startswith("CREATE EXTENSION")]
        assert not [sql for sql in dropped if "CASCADE" in ALLOWED.sub("", QUOTED.sub("", sql))]


def test_no_source_has_the_word_for_anything_else() -> None:
    """What diffs don't reach: text that is only sent in a rare case."""
    for path in SOURCES.rglob("*.py"):
        text = ALLOWED.sub("", path.read_text())
        found = [line.strip() for line in text.splitlines() if "CASCADE" in line]
        allowed = {
            '_ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")',
            '"c": "CASCADE",',
        }
        assert set(found) <= allowed, path
