"""A null byte, which PostgreSQL can't be sent, is told where it is declared."""

from __future__ import annotations

import pytest

from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.kind import Object, check_plain
from pyinfra_postgres.objects.enums import Enum
from pyinfra_postgres.objects.schemas import Schema


@pytest.mark.parametrize(
    ("one", "attribute"),
    [
        (Schema("s", comment="a\0b"), "comment"),
        (Enum("e", ["a", "b\0"]), "labels"),
        (Enum("e", ["a"], replaced={"\0": "a"}), "replaced"),
    ],
    ids=["a comment", "a label", "a label that goes"],
)
def test_it_is_refused_with_the_attribute(one: Object, attribute: str) -> None:
    with pytest.raises(DeclarationError, match=f"^{one.title}: {attribute} has a null byte"):
        check_plain(one.title, one)
