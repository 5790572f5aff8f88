from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_postgres.syntax.naming import chosen_name, joined
from unit.test_names import ANY_NAME


@pytest.mark.parametrize(
    ("one", "two", "label", "name"),
    [
        ("t", "a", "fkey", "t_a_fkey"),
        ("t", None, "pkey", "t_pkey"),
        ("t" * 40, "c" * 40, "check", "t" * 28 + "_" + "c" * 28 + "_check"),
        ("t" * 40, "c" * 40, "fkey", "t" * 29 + "_" + "c" * 28 + "_fkey"),
        ("t" * 60, "c", "key", "t" * 57 + "_c_key"),
        ("t" * 63, None, "pkey", "t" * 58 + "_pkey"),
        ("é" * 31, None, "pkey", "é" * 29 + "_pkey"),
        ("t" * 29, "é" * 31, "key", "t" * 29 + "_" + "é" * 14 + "_key"),
    ],
)
def test_the_longer_name_is_shortened_first(
    one: str, two: str | None, label: str, name: str
) -> None:
    assert joined(one, two, label) == name


@given(ANY_NAME, st.none() | ANY_NAME, st.sampled_from(["pkey", "key", "fkey", "check", "idx12"]))
def test_a_name_never_exceeds_63_bytes(one: str, two: str | None, label: str) -> None:
    name = joined(one, two, label)
    assert len(name.encode()) <= 63
    assert name.endswith(f"_{label}")


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert chosen_name("t", "a", "check", ()) == "t_a_check"
    assert chosen_name("t", "a", "check", {"t_a_check"}) == "t_a_check1"
    assert chosen_name("t", "a", "check", {"t_a_check", "t_a_check1"}) == "t_a_check2"


def test_a_number_takes_its_place_in_the_63_bytes() -> None:
    first = chosen_name("t" * 63, None, "check", ())
    second = chosen_name("t" * 63, None, "check", {first})
    assert (len(first), len(second)) == (63, 63)
    assert second.endswith("t_check1")
