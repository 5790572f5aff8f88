from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_postgres.plan.order import Condition, in_order, label_of, whole
from pyinfra_postgres.plan.plan import Action, Change, Operation, Stage, Statement
from pyinfra_postgres.planning.conditions import in_time
from pyinfra_postgres.planning.uses import Use
from pyinfra_postgres.syntax.constants import constants

CONDITIONS = st.frozensets(st.sampled_from([Condition(letter) for letter in "abcd"]), max_size=2)
STATEMENTS = st.lists(
    st.builds(
        Statement,
        st.just("SELECT"),
        needs=CONDITIONS,
        gives=CONDITIONS,
        takes=CONDITIONS,
        frees=CONDITIONS,
    ),
    max_size=8,
)


def change(
    *statements: Statement, key: tuple[str, ...] = (), action: Action = Action.CHANGE
) -> Change:
    return Change(Operation("an operation"), "a thing", action, (), statements, key=key)


def stages(*changes: Change, uses: tuple[Use, ...] = ()) -> dict[str, Stage]:
    found = in_time(changes, uses)
    return {one.sql: one.stage for change in found for one in change.statements}


def ordered(*statements: Statement) -> list[str]:
    return [statements[place].sql for place in in_order(statements)]


def waits(after: Statement, before: Statement) -> bool:
    return bool(
        (before.gives & (after.needs - after.gives))
        or ((before.frees - before.takes) & after.takes)
    )


A = frozenset({Condition("a")})
B = frozenset({Condition("b")})


def test_what_is_bound_to_nothing_stays_where_it_is() -> None:
    assert ordered(*map(Statement, "cab")) == ["c", "a", "b"]


def test_what_gives_comes_before_what_needs() -> None:
    user, other, giver = Statement("user", needs=A), Statement("other"), Statement("giver", gives=A)
    assert ordered(user, other, giver) == ["other", "giver", "user"]
    assert ordered(user, other) == ["user", "other"]


def test_what_frees_comes_before_what_takes() -> None:
    drop, view = Statement("drop", takes=A), Statement("view", frees=A)
    assert ordered(drop, Statement("other"), view) == ["other", "view", "drop"]


def test_a_statement_waits_for_others_and_not_for_itself() -> None:
    one = Statement("one", needs=A, gives=A, takes=B, frees=B)
    assert ordered(one, Statement("two", frees=B)) == ["two", "one"]
    assert ordered(one, Statement("two", gives=A)) == ["one", "two"]


def test_of_a_circle_the_first_goes_first() -> None:
    one, two = Statement("one", needs=A, gives=B), Statement("two", needs=B, gives=A)
    assert ordered(Statement("zero"), one, Statement("user", needs=B), two) == [
        *("zero", "one", "user", "two")
    ]


@given(STATEMENTS)
def test_every_statement_has_one_place(statements: list[Statement]) -> None:
    order = in_order(statements)
    assert sorted(order) == list(range(len(statements)))
    found = [statements[place] for place in order]
    # Sorted, they stay.
    again = in_order(found)
    if is_sorted(found):
        assert again == list(range(len(found)))


@given(STATEMENTS)
def test_without_circles_none_comes_before_what_it_waits_for(statements: list[Statement]) -> None:
    numbered = [evolve(one, sql=str(number)) for number, one in enumerate(statements)]
    found = [numbered[place] for place in in_order(numbered)]
    assert is_sorted(found) or has_circle(numbered)


def is_sorted(statements: list[Statement]) -> bool:
    return not any(
        waits(before, after)
        for place, before in enumerate(statements)
        for after in statements[place + 1 :]
    )


def has_circle(statements: list[Statement]) -> bool:
    left = list(statements)
    while free := [one for one in left if not any(waits(one, each) for each in left)]:
        left = [one for one in left if one not in free]
    return bool(left)


def adding(text: str, after: str = "") -> Statement:
    sql = f"ALTER TYPE t ADD VALUE '{text}'" + (f" AFTER '{after}'" if after else "")
    return Statement(sql, gives=frozenset({label_of(text)}), has_to_commit=True)


def test_a_label_is_committed_before_only_where_the_transaction_needs_it() -> None:
    add = adding("x")
    assert stages(change(add))[add.sql] is Stage.MAIN
    unrelated = Statement("CREATE TABLE t (a text DEFAULT 'y')")
    assert stages(change(add), change(unrelated))[add.sql] is Stage.MAIN
    user = Statement("CREATE TABLE t (a t DEFAULT 'x')")
    assert stages(change(user), change(add)) == {add.sql: Stage.BEFORE, user.sql: Stage.MAIN}
    later = evolve(user, stage=Stage.AFTER)
    assert stages(change(add), change(later)) == {add.sql: Stage.MAIN, user.sql: Stage.AFTER}
    comment = evolve(user, is_text=True)
    assert stages(change(add), change(comment))[add.sql] is Stage.MAIN


def test_all_labels_of_one_type_are_committed_together_and_in_order() -> None:
    one, two = adding("a"), adding("b", after="a")
    found = in_time([change(one, two), change(Statement("SELECT 'b'"))], [])
    assert [each.stage for each in found[0].statements] == [Stage.BEFORE, Stage.BEFORE]
    first, second = found[0].statements
    assert ordered(second, first) == [one.sql, two.sql]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT 'x'", True),
        ("SELECT E'x'", True),
        ("SELECT 'xy', x, \"x\" -- 'x'", False),
        ("SELECT '{x}'", True),
        ("""SELECT '{"a,b",x}'""", True),
        ("""SELECT '(1,"x")'""", True),
        ("SELECT '[a,x)'", True),
        ("""SELECT '[{"state": "x"}]'""", True),
        ("SELECT '{ax,xa}'", False),
        ("SELECT '{a}', x, '{b}'", False),
        ("DO $do$ BEGIN PERFORM 'x'; END $do$", True),
        ("DO 'BEGIN PERFORM ''x''; END'", True),
        ("SELECT 'it''s x'", False),
    ],
)
def test_a_constant_is_found_within_others(text: str, found: bool) -> None:
    assert ("x" in set(constants(text))) is found


INDEX = Statement("DROP INDEX CONCURRENTLY i", stage=Stage.AFTER, at_once=Statement("DROP INDEX i"))
FUNCTION = ("function", "public", "f", "")
GONE = frozenset({whole(FUNCTION)})
USES = (Use(("public", "i"), FUNCTION[1:]),)


def test_what_is_used_by_an_index_that_goes_takes_it_into_the_transaction() -> None:
    index = change(INDEX, key=("index", "public", "i"), action=Action.REMOVE)
    drop = Statement("DROP FUNCTION f", takes=GONE)
    function = change(drop, key=FUNCTION, action=Action.REMOVE)
    assert stages(index, function, uses=USES) == {
        "DROP INDEX i": Stage.MAIN,
        drop.sql: Stage.MAIN,
    }
    found = [one for each in in_time([function, index], USES) for one in each.statements]
    assert ordered(*found) == ["DROP INDEX i", drop.sql]


def test_what_is_used_until_an_index_is_built_anew_goes_after_the_transaction() -> None:
    index = change(INDEX, key=("index", "public", "i"))
    drop = Statement("DROP FUNCTION f", takes=GONE)
    function = change(drop, key=FUNCTION, action=Action.REMOVE)
    assert stages(index, function, uses=USES) == {INDEX.sql: Stage.AFTER, drop.sql: Stage.AFTER}
