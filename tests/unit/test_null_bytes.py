"""A null byte, which PostgreSQL can't be sent, is refused before anything is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.objects.server.schemas import Schema
from pyinfra_postgres.objects.types.enums import Enum
from pyinfra_postgres.syntax.parse import expression, split_statements


@pytest.mark.parametrize(
    "declared",
    [lambda: Schema("s", comment="a\0b"), lambda: Enum("e", ["a", "b\0"])],
    ids=["a comment", "a label"],
)
def test_no_statement_has_one(declared: Callable[[], Object]) -> None:
    with pytest.raises(DeclarationError, match="NUL"):
        list(declared().diff(None, declared()))


def test_no_sql_has_one() -> None:
    with pytest.raises(DeclarationError, match=r"NUL.* in 'a\\x00'"):
        expression("a\0")
    with pytest.raises(DeclarationError, match="NUL"):
        split_statements("SELECT 1; \0 DROP TABLE t")
