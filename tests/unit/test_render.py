"""What a person reads of a plan."""

from __future__ import annotations

from click import unstyle

from pyinfra_postgres.plan.plan import Action, Change, Operation, Plan, Statement
from pyinfra_postgres.running.render import plan_lines, summary


def change(title: str, action: Action, sql: str) -> Change:
    return Change(Operation("operation"), title, action, (), (Statement(sql),))


PLAN = Plan(
    [
        change("table public.t", Action.CREATE, "CREATE TABLE public.t ()"),
        change("table public.t", Action.CHANGE, "ALTER TABLE public.t ADD a"),
        change("table public.t", Action.CHANGE, "ALTER TABLE public.t ADD b"),
        change("script", Action.RUN, "SELECT 1"),
        change("script", Action.RUN, "SELECT 2"),
    ]
)


def test_changes_of_one_object_share_a_heading() -> None:
    assert [unstyle(line) for line in plan_lines(PLAN)] == [
        "table public.t   create",
        "    CREATE TABLE public.t ()",
        "table public.t   change",
        "    ALTER TABLE public.t ADD a",
        "    ALTER TABLE public.t ADD b",
        "script   run",
        "    SELECT 1",
        "    SELECT 2",
    ]


def test_an_object_counts_once() -> None:
    assert summary(PLAN) == "1 to create, 0 to change, 0 to remove, 2 to run"
    assert summary(PLAN, done=True) == "1 created, 2 run"
