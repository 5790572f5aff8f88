"""Two declarations are the same only where each attribute is, to its type."""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest
from attrs import fields

from laws.sample import Sample
from laws.test_arguments import made
from laws.zoo import PARTS, SAMPLES
from pyinfra_postgres.planning.following import same
from pyinfra_postgres.syntax.names import Exact

EVERY = [*SAMPLES, *PARTS]
OTHER = object()


@pytest.mark.parametrize("sample", EVERY, ids=lambda one: one.declaration.__name__)
def test_a_declaration_is_the_same_as_one_with_all_of_its_attributes(sample: Sample) -> None:
    one: Any = made(sample)
    assert same(one, made(sample))
    for attribute in fields(type(one)):
        other = copy(one)
        object.__setattr__(other, attribute.name, OTHER)
        assert not same(one, other)
        assert not same([one], [other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("a", Exact("a")),
        (("a",), ["a"]),
        (["a"], ["a", "b"]),
        ({"a": 1}, {"a": True}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1}, {True}),
        (None, ""),
        (str, repr),
    ],
)
def test_what_is_equal_need_not_be_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert same([one, {"a": other}], [one, {"a": other}])
