"""A plan as a document: the same bytes for the same plan, and the same plan again from them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import reduce
from importlib.resources import files
from operator import getitem
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pyinfra.api import HiddenValue

from pyinfra_postgres import hidden
from pyinfra_postgres.errors import HostError
from pyinfra_postgres.plan import document
from pyinfra_postgres.plan.document import Database, Declared, Document, Identity, Transaction
from pyinfra_postgres.plan.order import Condition
from pyinfra_postgres.plan.plan import (
    Action,
    Change,
    Hazard,
    Lock,
    Loss,
    Mode,
    Operation,
    Plan,
    Stage,
    Statement,
    Undeclared,
)
from pyinfra_postgres.plan.sealed import digest
from pyinfra_postgres.syntax.names import Name
from pyinfra_postgres.syntax.paths import SearchPath

SCHEMA = json.loads(files("pyinfra_postgres.plan").joinpath("plan.schema.json").read_text())

words = st.text("abc '\"é\u202e", min_size=1, max_size=8)
names = st.builds(Name, words, words)
conditions = st.frozensets(
    st.builds(Condition, words, st.lists(words, max_size=2).map(tuple), st.integers(0, 3)),
    max_size=2,
)
locks = st.builds(Lock, names, st.sampled_from(Mode), st.booleans())
losses = st.builds(Loss, words, names, words, words, st.none() | words, st.sampled_from(SearchPath))
statements = st.builds(
    Statement,
    words,
    stage=st.sampled_from(Stage),
    path=st.sampled_from(SearchPath),
    hazards=st.lists(st.sampled_from(Hazard), max_size=2).map(tuple),
    locks=st.lists(locks, max_size=2).map(tuple),
    needs=conditions,
    gives=conditions,
    takes=conditions,
    frees=conditions,
    reads=st.none() | names,
    losses=st.lists(losses, max_size=1).map(tuple),
    also=st.lists(words, max_size=1).map(tuple),
    again=st.none() | words,
    summary=words,
)
operations = st.builds(Operation, words, words, words)
lines = st.lists(words, max_size=2).map(tuple)
changes = st.builds(
    Change,
    operations,
    words,
    st.sampled_from(Action),
    lines,
    st.lists(statements, max_size=3).map(tuple),
    st.booleans(),
    key=lines,
    before=lines,
    after=lines,
)
undeclared = st.builds(Undeclared, words, words, words, words)
plans = st.builds(Plan, st.lists(changes, max_size=4), undeclared=st.lists(undeclared, max_size=1))


def strict(schema: Any) -> Any:
    """The schema without what a later version may add."""
    if isinstance(schema, list):
        return list(map(strict, schema))
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema else {}
    return {name: strict(one) for name, one in schema.items()} | closed


def whole(plan: Plan) -> Document:
    said = document.encoded(plan)
    numbers = range(len(said["operations"]))
    declared = tuple(Declared("a thing", digest(one), one) for one in numbers)
    transaction = Transaction(
        "transaction", False, (), declared, 2000, said, document.plan_id(plan)
    )
    database = Database("@postgres/db", Identity("7291", 5, "db"))
    return Document(
        "0.1.0",
        180000,
        "me",
        "2026-02-03",
        "f1",
        {"tables": "1"},
        None,
        (transaction,),
        (database,),
    )


@given(plans)
def test_a_plan_is_the_same_when_it_is_read_again(plan: Plan) -> None:
    said = document.encoded(plan)
    read = document.decoded(said, document.operations_of(plan))
    assert document.encoded(read) == said
    for stage in Stage:
        assert [one for _, one in read.of(stage)] == [one for _, one in plan.of(stage)]
    assert (read.locks(), read.undeclared) == (plan.locks(), plan.undeclared)
    assert [evolve(one, statements=()) for one in read.changes] == [
        evolve(one, statements=()) for one in plan.changes
    ]


@given(plans)
def test_the_published_schema_describes_all_of_a_document(plan: Plan) -> None:
    found = whole(plan)
    Draft202012Validator(strict(SCHEMA)).validate(json.loads(found.text()))
    assert Document.read(found.text()) == found


def test_the_published_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    (hazards,) = (
        one["properties"]["hazards"] for name, one in SCHEMA["$defs"].items() if name == "action"
    )
    assert all(one.name.lower() in hazards["description"] for one in Hazard)


def plan(sql: str = "SELECT 1", place: str = "deploy.py line 3") -> Plan:
    operation = Operation("sql x", place)
    return Plan([Change(operation, "sql x", Action.RUN, (), (Statement(sql),))])


def test_an_id_tells_what_is_done_and_not_where_the_deploy_says_it() -> None:
    assert document.plan_id(plan()) == document.plan_id(plan(place="deploy.py line 4"))
    assert document.plan_id(plan()) != document.plan_id(plan("SELECT 2"))


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Where the single values of a document are."""
    if not isinstance(value, dict | list) or not value:
        yield ()
        return
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield from ((key, *rest) for rest in paths(one))


def test_whatever_is_edited_in_a_document_is_noticed() -> None:
    text = whole(plan()).text()
    for *path, last in paths(json.loads(text)):
        said = json.loads(text)
        holder = reduce(getitem, path, said)
        holder[last] = not holder[last] if isinstance(holder[last], bool) else "another"
        with pytest.raises(HostError, match=r"edited|format|no plan"):
            Document.read(json.dumps(said))


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"format_version": 1}', "[" * 9999])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(HostError, match="it is "):
        Document.read(text)


def rewritten(**changes: Any) -> str:
    """A document that another program has written, with the id that is right then."""
    said = {**json.loads(whole(plan()).text()), **changes}
    del said["id"]
    return json.dumps({**said, "id": digest(said)})


def test_a_minor_version_only_adds_and_a_major_one_is_refused() -> None:
    assert Document.read(rewritten(format_version="1.9", more=[1])).transactions
    with pytest.raises(HostError, match=r"its format is 2\.0, and 1\.1 is known here"):
        Document.read(rewritten(format_version="2.0"))


def test_what_is_hidden_is_in_no_document() -> None:
    try:
        hidden.taken(HiddenValue("s3cret'value"))
        found = whole(plan("SELECT 's3cret''value'"))
    finally:
        hidden.forget()
    assert "s3cret" not in found.text()
    assert not found.is_whole
    assert whole(plan()).is_whole
    rows = Statement("VALUES ('4711')", hidden=("4711",))
    (action,) = document.encoded(
        Plan([Change(Operation("rows t"), "rows t", Action.CHANGE, (), (rows,))])
    )["actions"]
    assert (action["statement"], action["is_whole"]) == ("VALUES ('*MASKED*')", False)


def test_the_order_in_which_sets_are_kept_tells_nothing() -> None:
    words = [Condition("x", (f"{number}",)) for number in range(20)]
    shuffled = random.Random(1).sample(words, len(words))
    texts = {
        whole(
            Plan(
                [
                    Change(
                        *(Operation("o"), "t", Action.CHANGE, ()),
                        (Statement("SELECT 1", needs=frozenset(one)),),
                    )
                ]
            )
        ).text()
        for one in (words, shuffled)
    }
    assert len(texts) == 1
