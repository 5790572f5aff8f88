"""Whatever is given for an argument: it is refused in a line, or the SQL is what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from inspect import Parameter, signature
from typing import Any

import pytest

import pyinfra_postgres as pg
from laws.sample import Sample
from laws.zoo import PARTS, SAMPLES, ZOO
from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.comparison.compare import Textual
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.operations.declarations import OPERATIONS, check_declaration
from pyinfra_postgres.plan.plan import Operation
from pyinfra_postgres.planning.order import in_turn
from pyinfra_postgres.planning.session import Item
from pyinfra_postgres.syntax.given import check_plain
from pyinfra_postgres.syntax.parse import statement

PARTITIONED = pg.Table("t", [pg.Column("a", "date")], partition_by="RANGE (a)")


def name(sample: Sample) -> str:
    return str(getattr(sample.declaration, "__name__", ""))


def made(sample: Sample, **given: Any) -> Any:
    """The declaration with other arguments."""
    keywords = sample.arguments | given
    several = [
        keywords.pop(one.name)
        for one in signature(sample.declaration).parameters.values()
        if one.kind is Parameter.VAR_POSITIONAL
    ]
    return sample.declaration(*several, **keywords)


def passed(declaration: Object) -> Iterator[Object]:
    """The single declarations that it stands for, where `pg.objects` and the plan take it."""
    check_declaration(declaration)
    check_plain(declaration.title, declaration)
    declaration.validate(True)
    item = Item(Operation("an operation"), declaration, present=True)
    (one,) = (each.declaration for each in in_turn([item], Forecast()).items)
    catalog = Forecast(today=date(2026, 1, 1))
    catalog.put(PARTITIONED)
    for single in one.expand(catalog):
        completed = single.completed(catalog, Textual())
        if completed is not None:
            yield completed


def described(one: Object) -> None:
    """Have it say all that people and the plan read of it."""
    assert "\n\n" not in one.title
    for _ in (one.key(), *one.lines(), one.brief(), *one.requires(), *one.provides()):
        pass


def statements(declaration: Object) -> list[str]:
    """The statements that create what is declared."""
    found = []
    for one in passed(declaration):
        described(one)
        found += [change.sql for change in one.diff(None, one)]
    return found


def around(sample: Sample, part: Any) -> Object:
    """A declaration that has a part."""
    if name(sample) == "Membership":
        return pg.Role("r", member_of=[part])
    if name(sample) == "Column":
        return pg.Table("t", [part])
    return pg.Table("t", [pg.Column("a", "text")], constraints=[part])


def test_every_declaration_is_walked() -> None:
    assert {sample.declaration for sample in SAMPLES} == set(OPERATIONS)


@pytest.mark.parametrize("sample", SAMPLES, ids=name)
def test_an_argument_is_refused_or_keeps_the_statements_as_they_are(sample: Sample) -> None:
    assert statements(made(sample))
    for argument, value in trials(sample):
        with refusals(sample, argument, value):
            found = statements(made(sample, **{argument: value}))
            check(found, sample.statements.split(), argument, value)


@pytest.mark.parametrize("sample", PARTS, ids=name)
def test_so_is_an_argument_of_a_part(sample: Sample) -> None:
    assert statements(around(sample, made(sample)))
    for argument, value in trials(sample):
        with refusals(sample, argument, value):
            found = statements(around(sample, made(sample, **{argument: value})))
            check(found, sample.statements.split(), argument, value)


def trials(sample: Sample) -> Iterator[tuple[str, Any]]:
    for one in signature(sample.declaration).parameters:
        for value in ZOO:
            yield one, value


@contextmanager
def refusals(sample: Sample, argument: str, value: Any) -> Iterator[None]:
    """Lets pass what a user may see: a line, of a length that a person reads."""
    try:
        yield
    except DeclarationError as error:
        text = str(error.args[0])
        assert "\n" not in text
        assert len(text) < 600
        text.encode()
    except Exception as error:
        what = f"{name(sample)}({argument}={value!r:.80})"
        raise AssertionError(f"{what}: {error!r:.300}") from error


def check(found: list[str], allowed: list[str], argument: str, value: Any) -> None:
    """Each text is one statement of a kind that the declaration may become."""
    trees = list(map(statement, found))
    for tree in trees:
        assert set(tree) <= set(allowed), tree
        # The attacks name it as a table: in a text it is only a text.
        assert "'relname': 'victim'" not in repr(tree)
    if argument in TEXTS_ARE and isinstance(value, str) and value:
        assert value in set(texts(trees)), f"{argument} is cut: {value!r:.80}"


TEXTS_ARE = frozenset({"comment", "version", "body", "labels"})
"""The arguments that are texts, to be found whole in what is sent."""


def texts(tree: Any) -> Iterator[str]:
    """The texts that a parse tree has."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from texts(item)
