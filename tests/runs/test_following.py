"""Equal databases of a run have one plan, and those that differ have each their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pyinfra import host
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.context import ctx_config, ctx_host, ctx_inventory, ctx_state

import pyinfra_postgres as pg
from harness import Database, Databases, Project, one_version
from pyinfra_postgres.planning import following
from pyinfra_postgres.planning.session import Session

pytestmark = one_version

Deploy = Callable[[], object]
ID = pg.Column("id", "integer", primary_key=True)
TABLE = "CREATE TABLE t (id integer PRIMARY KEY, code text CHECK (code IN ('a', 'b')))"


def table() -> None:
    checks = [pg.Check("code IN ('a', 'b')", name="t_code_check")]
    with pg.transaction():
        pg.table("t", [ID, pg.Column("code", "text")], constraints=checks)


def prepared(
    deploy: Deploy, *databases: Database, data: Mapping[str, Any] | None = None
) -> list[Session]:
    """What the hosts of a dry run know then; `data` is that of the last one alone."""
    names = [f"@postgres/{number}" for number in range(len(databases))]
    given = [{"postgres_dsn": one.dsn} for one in databases]
    given[-1].update(data or {})
    inventory = Inventory((list(zip(names, given, strict=True)), {}))
    state = State(inventory, Config(DIFF=True))
    sessions = []
    with ctx_state.use(state), ctx_inventory.use(inventory), ctx_config.use(state.config):
        connect_all(state)
        for one in inventory:
            with ctx_host.use(one):
                deploy()
                sessions.append(Session.current())
        disconnect_all(state)
    return sessions


def follows(session: Session) -> bool:
    """Whether a host has planned nothing itself."""
    return bool(session.drafts) and not session.catalogs


def plans(session: Session) -> list[Any]:
    """All that a host's plans say."""
    return [
        (
            [
                (one.title, one.action, [each.sql for each in one.statements])
                for one in plan.changes
            ],
            [one.problem for one in (*plan.gaps, *plan.refusals)],
            [(one.within, one.title, one.definition) for one in plan.undeclared],
            [one.declaration.title for one in draft.turn],
            [one.declaration.title for one in draft.waiting],
        )
        for draft, plan in ((one, one.plan) for one in session.drafts.values())
    ]


def together(
    deploy: Deploy, one: Database, other: Database, data: Mapping[str, Any] | None = None
) -> Session:
    """The second host of a run, whose plans are those that it has alone."""
    alone = prepared(deploy, other, data=data)[0]
    first, second = prepared(deploy, one, other, data=data)
    assert not follows(first)
    assert plans(second) == plans(alone)
    return second


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the first host of each run plan: what it remembers of others is not the subject here."""
    monkeypatch.setattr(following, "_remembered", lambda *_: None)


@pytest.fixture
def pair(new_database: Databases) -> tuple[Database, Database]:
    one = new_database()
    one.psql(TABLE)
    # Among other things with other oids.
    other = new_database()
    other.psql(f"CREATE TABLE passing (id serial); DROP TABLE passing; {TABLE}")
    prepared(table, one, other)  # What the servers call equal is remembered from now on.
    return one, other


def test_an_equal_database_follows(pair: tuple[Database, Database]) -> None:
    assert follows(together(table, *pair))


def test_a_database_that_differs_does_not(pair: tuple[Database, Database]) -> None:
    pair[1].psql("ALTER TABLE t ADD CHECK (id > 0)")
    assert not follows(together(table, *pair))


def test_nor_one_whose_plan_changes_something(pair: tuple[Database, Database]) -> None:
    for one in pair:
        one.psql("ALTER TABLE t DROP COLUMN code")
    second = together(table, *pair)
    assert not follows(second)
    assert plans(second)[0][0]


@pytest.mark.parametrize(
    "data",
    [
        {"postgres_allow": "t"},
        {"postgres_trust": "postgres"},
        {"postgres_today": "2030-01-01"},
        {"postgres_remember": False},
        {"length": 5},
    ],
    ids=lambda one: next(iter(one)),
)
def test_nor_one_of_other_host_data_or_declarations(
    pair: tuple[Database, Database], data: dict[str, Any]
) -> None:
    def deploy() -> None:
        table()
        if host.data.get("length"):
            pg.table("t", comment="of some length")

    assert not follows(together(deploy, *pair, data=data))


def test_what_a_host_declares_further_down_counts(pair: tuple[Database, Database]) -> None:
    for one in pair:
        one.psql("CREATE TABLE u (id integer PRIMARY KEY); CREATE INDEX i ON t (code)")

    def deploy() -> None:
        table()
        with pg.transaction():
            pg.table("u", [ID], comment="last" if host.data.get("last") else None)

    assert follows(together(deploy, *pair))
    second = together(deploy, *pair, data={"last": True})
    assert not follows(second)
    assert [title for changes, *_ in plans(second) for title, *_ in changes] == ["table public.u"]


def test_an_exact_block_and_one_that_is_not(pair: tuple[Database, Database]) -> None:
    for one in pair:
        one.psql("CREATE INDEX i ON t (code)")

    def deploy() -> None:
        with pg.transaction(exact=bool(host.data.get("exact"))):
            pg.table("t", [ID, pg.Column("code", "text")])

    second = together(deploy, *pair)
    assert follows(second)
    assert plans(second)[0][2]
    assert not follows(together(deploy, *pair, data={"exact": True}))


@pytest.mark.parametrize(("key", "is_alike"), [(1, True), (2, False)])
def test_rows_are_asked_of_each_server(
    pair: tuple[Database, Database], key: int, is_alike: bool
) -> None:
    pair[0].psql("INSERT INTO t VALUES (1, 'a')")
    pair[1].psql(f"INSERT INTO t VALUES ({key}, 'a')")

    def deploy() -> None:
        with pg.transaction():
            pg.rows("t", [{"id": 1, "code": "a"}], key="id")

    assert follows(together(deploy, *pair)) is is_alike


def test_a_condition_is_asked_of_each_server(pair: tuple[Database, Database]) -> None:
    for one, code in zip(pair, "ab", strict=True):
        one.psql(f"INSERT INTO t VALUES (1, '{code}')")

    def deploy() -> None:
        with pg.transaction():
            pg.sql("VACUUM", unless="SELECT EXISTS (SELECT FROM t WHERE id = 1)")
        with pg.transaction():
            pg.sql("ANALYZE t", unless="SELECT EXISTS (SELECT FROM t WHERE code = 'a')")

    assert not follows(together(deploy, *pair))
    pair[1].psql("UPDATE t SET code = 'a'")
    assert follows(together(deploy, *pair))


def test_a_database_is_not_the_one_that_another_names(pair: tuple[Database, Database]) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.grant("CONNECT", on=f"DATABASE {pair[0].name}", to="public")

    second = together(deploy, *pair)
    assert not follows(second)
    assert second.host in second.state.failed_hosts


def test_what_waits_for_a_phase_waits_on_each(pair: tuple[Database, Database]) -> None:
    def deploy() -> None:
        with pg.transaction():
            table()
            with pg.transaction(phase="contract"):
                pg.table("t", [pg.Column("code", present=False)])

    second = together(deploy, *pair)
    assert follows(second)
    (draft,) = second.drafts.values()
    assert [one.phase for one in draft.waiting] == ["contract"]
    assert draft.waiting == draft.items[-1:]


def test_what_a_server_was_never_asked_before_it_is_asked(
    new_database: Databases, pair: tuple[Database, Database]
) -> None:
    third = new_database()
    third.psql(TABLE)
    _, second, last = prepared(table, *pair, third)
    assert follows(second)
    assert not follows(last)
    assert plans(last) == plans(second)


def test_hosts_of_one_run_get_what_each_needs(
    project: Project, pair: tuple[Database, Database], new_database: Databases
) -> None:
    empty, third = new_database(), new_database(copy_of=pair[0])
    databases = {"one": pair[0], "two": pair[1], "empty": empty, "three": third}
    project.inventory({name: one.dsn for name, one in databases.items()})
    project.deploy("""
        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer", primary_key=True), pg.Column("code", "text")],
                     constraints=[pg.Check("code IN ('a', 'b')", name="t_code_check")])
        with pg.transaction():
            pg.table("t", comment="a table")
        with pg.transaction():
            pg.enum("e", ["a"])
    """)
    third.psql("COMMENT ON TABLE t IS 'a table'; CREATE TYPE e AS ENUM ('a')")
    project.run().succeeded()
    assert {one.dump() for one in databases.values()} == {third.dump()}
