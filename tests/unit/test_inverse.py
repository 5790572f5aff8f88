"""What is kept of a plan so that it can be undone, by itself and behind other plans."""

from __future__ import annotations

import json
from typing import Any

import pytest

import pyinfra_postgres as pg
from pyinfra_postgres.errors import HostError
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.planning.inverse import Inverse, Obstacle, Part, Restored
from pyinfra_postgres.planning.written import read, written

VALUES: list[Object] = [
    pg.Schema("s", comment="it's"),
    pg.Enum("s.e", ["a", "b"]),
    pg.Table(
        "s.t",
        [pg.Column("a", "bigint", primary_key=True), pg.Column("b", "text", comment="")],
        constraints=[pg.Check("a > 0", name="c"), pg.ForeignKey("b", references="u")],
        exact=["columns"],
    ),
    pg.Role("r", member_of=[pg.Membership("pg_monitor", admin=True)]),
    pg.View("v", "SELECT 1 AS a", renamed_columns={"a": "b"}),
    pg.Publication("p", tables=["s.t"]),
    pg.Index("i", "s.t", ["lower(b) DESC"], where="a > 1", parameters={"fillfactor": 70}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda one: one.title)
def test_an_object_is_the_same_when_it_is_read_again(value: Object) -> None:
    again = read(json.loads(json.dumps(written(value))))
    assert again == value
    assert type(again) is type(value)
    assert repr(again) == repr(value)


@pytest.mark.parametrize(
    "said",
    [["System", {}], ["Table", {}], ["Enum"], ["Schema", {"name": ["os", 1]}], [[]], ["{}", 1]],
)
def test_what_is_no_object_is_refused(said: Any) -> None:
    with pytest.raises(HostError, match="another version"):
        read(said)


ONE, TWO, THREE = (pg.Enum("e", labels) for labels in (["a"], ["a", "b"], ["a", "b", "c"]))
OTHER = pg.Schema("s")


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ((None, ONE), (ONE, TWO), (None, TWO)),
        ((ONE, TWO), (TWO, THREE), (ONE, THREE)),
        ((ONE, TWO), (TWO, None), (ONE, None)),
        ((ONE, None), (None, TWO), (ONE, TWO)),
        ((None, ONE), (ONE, None), None),
    ],
)
def test_two_plans_are_undone_as_one(first: Any, second: Any, both: Any) -> None:
    found = Inverse((Restored(*first),)).followed_by(Inverse((Restored(*second),)))
    assert found.objects == (() if both is None else (Restored(*both),))
    assert Inverse.read(json.loads(json.dumps(found.json()))) == found


def test_names_of_parts_are_followed_through_plans() -> None:
    one, two, three = (pg.Table("t", [pg.Column(name, "text")]) for name in "abc")
    first = Inverse((Restored(one, two, (Part("column", "a", "b"),)),))
    second = Inverse((Restored(two, three, (Part("column", "b", "c"),)),))
    (both,) = first.followed_by(second).objects
    assert both == Restored(one, three, (Part("column", "a", "c"),))


def test_what_ran_before_a_plan_was_made_anew_is_undone_with_it() -> None:
    obstacle = Obstacle("sql x", "what it did is not known")
    planned = Inverse((Restored(ONE, TWO), Restored(None, OTHER)))
    anew = Inverse((Restored(None, OTHER),), (obstacle,))
    found = planned.resumed({ONE.key()}, anew)
    assert found == Inverse((Restored(ONE, TWO), Restored(None, OTHER)), (obstacle,))
    # Where it had not run, the plan has it once more.
    assert planned.resumed({ONE.key()}, planned) == Inverse(planned.objects)
