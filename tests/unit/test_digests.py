"""A digest tells apart all that can make a plan another one, and is the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from pyinfra.api import HiddenValue

from laws.sample import Sample
from laws.test_arguments import made
from laws.zoo import PARTS, SAMPLES
from pyinfra_postgres import hidden
from pyinfra_postgres.planning import digests
from pyinfra_postgres.planning.following import same
from pyinfra_postgres.syntax.names import Exact, Name

EVERY = [*SAMPLES, *PARTS]
OTHERS = (0, 1.5, "another", ("a", "tuple"), False)


@pytest.fixture(autouse=True)
def nothing_hidden() -> Iterator[None]:
    hidden.forget()
    yield
    hidden.forget()


@pytest.mark.parametrize("sample", EVERY, ids=lambda one: one.declaration.__name__)
def test_each_attribute_of_a_declaration_counts(sample: Sample) -> None:
    one: Any = made(sample)
    hidden.forget()
    found = {digests.of([one])}
    assert found == {digests.of([made(sample)])}
    hidden.forget()
    assert None not in found
    for attribute in fields(type(one)):
        for value in (each for each in OTHERS if not same(each, getattr(one, attribute.name))):
            other = copy(one)
            object.__setattr__(other, attribute.name, value)
            assert digests.of([other]) not in found
            found.add(digests.of([other]))


VALUES: tuple[Any, ...] = (
    *(0, 1, True, False, None, 1.0, -0.0, 0.0, "", "None", "1", b"1", date(2025, 1, 1)),
    *("a", Exact("a"), ("a",), ["a"], {"a"}, {"a": 1}, {"a": True}, {"a": "1"}, Name("a", "b")),
    *(("a", "b"), ("ab",), ("a", ("b",)), (("a",), "b"), ("a\n1:b",), "2:ab", ("a", "", "b")),
    *({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a", "b"}, frozenset({"a", "b"}), (), [], {}, set()),
    *({1}, {True}, ")", (")",), ((), ()), ((),)),
)


def test_no_value_is_taken_for_another() -> None:
    every = [*([one] for one in VALUES), *([one, one] for one in VALUES), []]
    assert len({digests.of(one) for one in every}) == len(every)


@pytest.mark.parametrize("value", [object(), len, 1j, HiddenValue("x"), {"a": object()}])
def test_of_what_nobody_can_compare_there_is_none(value: Any) -> None:
    assert digests.of([value]) is None


def test_of_what_is_hidden_there_is_none() -> None:
    assert digests.of(["a secret word"])
    hidden.note("a secret word")
    assert digests.of(["it is a secret word"]) is None


def test_it_is_the_same_in_every_process() -> None:
    script = (
        "from pyinfra_postgres.planning import digests\n"
        "print(digests.of([{'one', 'two', 'three'}, ('a', None)]), digests.of_package())"
    )
    told = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script]
        told.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert len(told) == 1


def test_the_package_is_another_one_once_a_file_of_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now() -> str:
        digests.of_package.cache_clear()
        return digests.of_package()

    monkeypatch.setattr(digests, "_PACKAGE", tmp_path)
    found = [now()]
    (tmp_path / "room").mkdir()
    module = tmp_path / "room" / "module.py"
    for text in ("a = 1", "a = 2", "a = 12"):
        module.write_text(text)
        os.utime(module, ns=(0, len(found)))
        found.append(now())
    module.rename(tmp_path / "room" / "other.py")
    found.append(now())
    (tmp_path / "room" / "__pycache__").mkdir()
    (tmp_path / "room" / "__pycache__" / "module.pyc").touch()
    assert now() == found[-1]
    assert len(set(found)) == len(found)
    digests.of_package.cache_clear()
