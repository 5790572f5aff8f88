"""Declarations hold what a user may write, and nothing that a catalog or a plan adds."""

from __future__ import annotations

from inspect import signature
from typing import Any

import attrs
import pytest

import pyinfra_postgres as pg
from pyinfra_postgres.operations.declarations import OPERATIONS

PARTS = (
    *(pg.Attribute, pg.Column, pg.Membership),
    *(pg.Check, pg.Exclude, pg.ForeignKey, pg.NotNull, pg.PrimaryKey, pg.Unique),
)
"""What declarations are made of."""
APART = {
    (pg.Table, "absent"): "its columns and constraints that have present=False",
    (pg.ForeignKey, "table"): "it stands in references=",
    (pg.ForeignKey, "foreign_columns"): "they stand in references=",
    (pg.ForeignKey, "on_delete_columns"): "they stand in on_delete=",
    (pg.NotNull, "present"): "it goes where its column is declared nullable",
    (pg.NotNull, "renamed_from"): "PostgreSQL 18 alone has a name for it",
    (pg.Constraint, "validated"): "of a key: whether its partitions have it too",
    (pg.Constraint, "details"): "what is known of it, as it has no key in a catalog",
    (pg.Constraint, "build"): "how it comes to be, likewise",
}
"""The fields that are no arguments of their own, and why they are there."""


def apart(kind: Any) -> set[str]:
    return {name for one, name in APART if issubclass(kind, one)}


def fields(one: Any) -> set[str]:
    return {field.alias or field.name for field in attrs.fields(one)}


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_declaration_is_an_argument_of_its_operation(kind: Any) -> None:
    # The first argument has the operation's name.
    own = fields(kind) - {attrs.fields(kind)[0].name}
    assert own - set(signature(OPERATIONS[kind]).parameters) <= apart(kind)


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_part_is_an_argument(kind: Any) -> None:
    assert fields(kind) - set(signature(kind).parameters) <= apart(kind)


@pytest.mark.parametrize("kind", [pg.Attribute, pg.Column, pg.Membership], ids=lambda k: k.__name__)
def test_every_argument_of_a_part_is_explained(kind: Any) -> None:
    first, *others = attrs.fields(kind)
    text = kind.__doc__.partition("+ ")[2]
    explained = {name for line in text.split("+ ") for name in line.partition(":")[0].split(", ")}
    assert {one.name for one in others} - explained <= {"type"}, first


def test_no_reason_is_given_for_what_does_not_exist() -> None:
    assert [name for one, name in APART if name not in fields(one)] == []
