"""What holds for every declaration of every kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.access.object_privileges import Privilege, Privileges, Target
from pyinfra_postgres.objects.access.policies import Policy
from pyinfra_postgres.objects.access.roles import Role
from pyinfra_postgres.objects.code.functions import Function
from pyinfra_postgres.objects.code.triggers import Trigger
from pyinfra_postgres.objects.constraints.constraints import (
    Check,
    Constraint,
    ForeignKey,
    PrimaryKey,
    Unique,
)
from pyinfra_postgres.objects.indexes.elements import Element
from pyinfra_postgres.objects.indexes.indexes import StoredIndex
from pyinfra_postgres.objects.kind import Object, difference
from pyinfra_postgres.objects.partitions.partitions import Partition
from pyinfra_postgres.objects.server.extensions import Extension
from pyinfra_postgres.objects.server.schemas import Schema
from pyinfra_postgres.objects.tables.columns import Column
from pyinfra_postgres.objects.tables.tables import Table
from pyinfra_postgres.objects.types.enums import Enum
from pyinfra_postgres.syntax.names import Exact, Name
from pyinfra_postgres.syntax.parse import statement
from unit.test_names import ANY_NAME

PLAIN = st.characters(exclude_characters="\x00", codec="utf-8")
few = settings(max_examples=40, deadline=None)

names = (
    st.one_of(st.sampled_from(["a", "b", "Select", 'q"q', "größe"]), ANY_NAME)
    .filter(lambda name: name not in {"none", "public"})  # no role can have these
    .map(Exact)
)
qualified = st.builds(Name, names, names)
comments = st.none() | st.text(PLAIN, max_size=8)
owners = st.none() | names
switches = st.booleans()
maybe = st.none() | switches
defaults = st.sampled_from(["'it''s'", "now()", "lower('X') -- why"])
expressions = st.sampled_from(["a > 0", "lower(b) = 'x' -- why", "a IN (1, 2)"]) | defaults
types = st.sampled_from(["integer", "text", "varchar(9)", "s.mood[]", "timestamptz(3)"])

columns = st.builds(
    Column, names, types, default=st.none() | defaults, nullable=switches, comment=comments,
    collation=st.none() | qualified,
) | st.builds(Column, names, types, identity=st.sampled_from(["ALWAYS", "BY DEFAULT"]))  # fmt: skip
keys: dict[str, st.SearchStrategy[Any]] = {"name": owners, "deferrable": switches}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    found = draw(st.lists(columns, min_size=1, max_size=4, unique_by=lambda one: one.name))
    own = st.sampled_from([one.name for one in found])
    constraints = st.one_of(
        st.builds(Unique, own, nulls_not_distinct=switches, **keys),
        st.builds(Unique, own, include=st.lists(own, max_size=1), **keys),
        st.builds(Check, expressions, name=owners, no_inherit=switches),
        st.builds(ForeignKey, own, references=st.just('s."T"(id)'),
                  on_delete=st.sampled_from(["CASCADE", "NO ACTION"]), **keys),
    )  # fmt: skip
    several: list[Constraint] = draw(
        st.lists(constraints, max_size=3, unique_by=lambda one: one.name or id(one))
    )
    if draw(switches):
        several.append(PrimaryKey(draw(own)))
    return Table(
        draw(qualified), found, constraints=several, row_security=draw(maybe),
        force_row_security=draw(maybe), owner=draw(owners), comment=draw(comments),
    )  # fmt: skip


elements = st.builds(
    Element, names, st.none(), st.tuples() | st.tuples(names), owners, switches, switches,
    class_schema=owners, class_options=st.just(()),
    default_class=st.none(), default_collation=st.none(),
) | st.builds(
    Element, names, st.none(), st.just(()), names, switches, switches,
    class_schema=st.none(), class_options=st.tuples(st.tuples(names, names)),
    default_class=st.none(), default_collation=st.none(),
)  # fmt: skip
triggers = st.builds(
    Trigger, names, qualified,
    when=st.sampled_from(["BEFORE INSERT", "AFTER UPDATE OF a OR DELETE"]),
    function=st.sampled_from(["f()", "s.f('x')"]), for_each=st.sampled_from(["ROW", "STATEMENT"]),
    condition=st.none() | expressions, enabled=switches, comment=comments,
)  # fmt: skip
functions = st.builds(
    Function, qualified, st.sampled_from(["", "a integer, b text DEFAULT 'x'", "OUT c integer"]),
    returns=st.just("integer"), body=st.text(PLAIN),
    language=st.just("plpgsql"), volatility=st.sampled_from(["VOLATILE", "stable", "IMMUTABLE"]),
    strict=switches, security_definer=switches, leakproof=switches,
    settings=st.sampled_from([None, {"search_path": ""}, {"work_mem": "1MB", "a.b": 'x"y'}]),
    owner=owners, comment=comments,
)  # fmt: skip
privileges = st.frozensets(
    st.builds(Privilege, st.sampled_from(["SELECT", "INSERT"]), st.just("") | names)
)
grants = st.builds(
    Privileges, st.builds(Target, st.just("TABLE"), qualified), names, privileges, privileges
).map(lambda one: Privileges(one.target, one.grantee, one.granted, one.granted & one.grantable))

KINDS: dict[str, st.SearchStrategy[Any]] = {
    "role": st.builds(Role, names, login=maybe, inherit=maybe,
                      connection_limit=st.none() | st.just(5),
                      member_of=st.lists(names, max_size=3), comment=comments),
    "schema": st.builds(Schema, names, owner=owners, comment=comments),
    "extension": st.builds(Extension, names, schema=owners, version=st.just("1.0"),
                           comment=comments),
    "enum": st.builds(Enum, qualified, st.lists(ANY_NAME, unique=True, max_size=4), owner=owners,
                      comment=comments),
    "table": tables(),
    "index": st.builds(StoredIndex, names, qualified, st.lists(elements, min_size=1, max_size=3),
                       where=st.none() | expressions, unique=switches, comment=comments),
    "function": functions,
    "trigger": triggers,
    "policy": st.builds(Policy, names, qualified, roles=st.lists(names, min_size=1, max_size=2),
                        using=st.none() | expressions, check=st.none() | expressions,
                        permissive=switches, comment=comments),
    "grant": grants,
    "partition": st.builds(Partition, qualified, qualified, st.none() | st.just(("2025", "2026")),
                           row_security=maybe),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_nothing_changes_where_nothing_differs(kind: str, data: st.DataObject) -> None:
    one: Object = data.draw(KINDS[kind])
    assert list(one.diff(one, one)) == []
    assert list(difference(one, one)) == []


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_every_statement_is_one_that_postgresql_can_read(kind: str, data: st.DataObject) -> None:
    strategy = KINDS[kind]
    one, other = data.draw(strategy), data.draw(strategy)
    pairs = [(None, one), (one, other)]
    if kind != "grant":
        pairs.append((one, None))
    for current, declared in pairs:
        try:
            found = [change.sql for change in one.diff(current, declared)]
        except DeclarationError:
            continue  # What PostgreSQL can't change.
        for sql in found:
            assert statement(sql)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_equal_declarations_have_equal_keys_and_lines(kind: str, data: st.DataObject) -> None:
    one, other = data.draw(KINDS[kind]), data.draw(KINDS[kind])
    if one == other:
        assert one.key() == other.key()
        assert list(one.lines()) == list(other.lines())
    assert one.key()[0] == kind
    assert one.title.startswith(one.kind)
    assert list(difference(None, one)) == [f"+ {line}" for line in one.lines()]
