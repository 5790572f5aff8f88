"""Whoever installs the wheel may use all that comes with it as freely as the package itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

import pytest
from packaging.requirements import Requirement

PERMISSIVE = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "ZPL-2.1",
}
# Changes of the library itself must be published under its licence; a program that imports it has
# whatever licence it likes. psycopg, paramiko of pyinfra's, and Graphviz of the extra `pictures`.
WEAK = {"EPL-2.0", "LGPL-2.1", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"}
# What packages write that name no SPDX expression.
SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def required(name: str, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """The installed distributions that one requires here, itself among them."""
    found: dict[tuple[str, frozenset[str]], Distribution] = {}
    waiting = [(name, extras)]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = distribution(one[0])
            waiting += requirements(found[one], one[1])
    return {name: there for (name, _), there in found.items()}


def requirements(one: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in one.requires or ():
        needed = Requirement(text)
        if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in {"", *extras}):
            yield needed.name, frozenset(needed.extras)


def licence(one: Distribution) -> str:
    """The SPDX expression, or what the package says instead, as one where that is known."""
    all_of = one.metadata.get_all
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in all_of("Classifier") or ()
        if text.startswith("License :: ")
    ]
    stated = all_of("License-Expression") or classifiers or all_of("License") or []
    return " OR ".join(SPELLINGS.get(text, text) for text in stated)


def is_fine(expression: str) -> bool:
    return any(
        set(re.split(r" AND ", choice)) <= PERMISSIVE | WEAK
        for choice in re.sub("[()]", "", expression).split(" OR ")
    )


@pytest.mark.parametrize(
    "extras",
    [(), ("embedded", "fleet", "advice", "pictures", "test")],
    ids=["the wheel", "its extras"],
)
def test_nothing_that_comes_with_it_restricts_its_use(extras: tuple[str, ...]) -> None:
    found = required("pyinfra-postgres", frozenset(extras))
    assert {"pyinfra", "psycopg"} < found.keys()
    licences = {name: licence(one) for name, one in found.items()}
    assert {name: stated for name, stated in licences.items() if not is_fine(stated)} == {}


@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("MIT", True),
        ("GPL-3.0-or-later OR MIT", True),
        ("MIT AND PSF-2.0", True),
        ("MIT AND GPL-3.0-or-later", False),
        ("GNU General Public License v3 or later (GPLv3+)", False),
        ("", False),
    ],
)
def test_a_choice_is_fine_and_a_sum_must_be(expression: str, fine: bool) -> None:
    assert is_fine(expression) is fine
