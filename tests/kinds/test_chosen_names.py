"""Names that nobody declares avoid those that somebody does, and tell nothing by themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

ID = pg.Column("id", "integer", nullable=False)


def table(*constraints: pg.Constraint, columns: tuple[pg.Column, ...] = (ID,)) -> None:
    pg.table("t", columns, constraints=constraints)


def ordered() -> None:
    table(
        pg.Check("id > 0"),
        pg.Check("id < 9", name="t_id_check"),
        pg.Unique("id"),
        pg.ForeignKey("id", references="p(id)", name="t_id_key"),
    )


def added() -> None:
    new = pg.Column("n", "integer", nullable=False, default="1")
    table(pg.Check("n > 0", name="t_n_not_null"), columns=(new,))


EMPTY = (
    "CREATE TABLE p (id integer PRIMARY KEY); INSERT INTO p VALUES (1); CREATE TABLE t (id integer)"
)
FILLED = f"{EMPTY}; INSERT INTO t VALUES (1)"
DOMAIN = "CREATE DOMAIN dm AS integer"
APPLIED: dict[str, tuple[str, Callable[[], object]]] = {
    "a check": (EMPTY, lambda: table(pg.Check("id > 0", name="t_id_not_null"))),
    "a check of rows": (FILLED, lambda: table(pg.Check("id > 0", name="t_id_not_null"))),
    "a check of the other name": (
        FILLED,
        lambda: table(pg.Check("id > 0", name="t_id_not_null_check")),
    ),
    "a key": (FILLED, lambda: table(pg.Unique("id", name="t_id_not_null"))),
    "a foreign key": (
        FILLED,
        lambda: table(pg.ForeignKey("id", references="p(id)", name="t_id_not_null")),
    ),
    "several": (EMPTY, ordered),
    "several of rows": (FILLED, ordered),
    "a new column": (EMPTY, added),
    "a new column of rows": (FILLED, added),
    "a domain": (
        DOMAIN,
        lambda: pg.domain(
            "dm", "integer", nullable=False, checks=[pg.Check("value > 0", name="dm_not_null")]
        ),
    ),
    "a new domain": (
        "SELECT 1",
        lambda: pg.domain(
            "dm", "integer", nullable=False, checks=[pg.Check("value > 0", name="dm_not_null")]
        ),
    ),
    "a key with the name of an equal index": (
        f"{EMPTY}; CREATE UNIQUE INDEX t_u ON t (id)",
        lambda: table(pg.Unique("id", name="t_u")),
    ),
    "a key of rows with the name of an equal index": (
        f"{FILLED}; CREATE UNIQUE INDEX t_u ON t (id)",
        lambda: table(pg.PrimaryKey("id", name="t_u")),
    ),
    "a key that would get the name of an equal index": (
        f"{EMPTY}; CREATE UNIQUE INDEX t_id_key ON t (id)",
        lambda: table(pg.Unique("id")),
    ),
    "a key that would get the name of another index": (
        f"{EMPTY}; CREATE INDEX t_id_key ON t (id)",
        lambda: table(pg.Unique("id")),
    ),
}


@pytest.mark.parametrize("case", APPLIED)
def test_a_declared_name_is_left_to_what_has_it(database: Database, case: str) -> None:
    before, declared = APPLIED[case]
    database.psql(before)

    def deploy() -> None:
        with pg.transaction():
            declared()

    run(database, deploy).succeeded()
    assert run(database, deploy, dry=True).succeeded().plan.changes == []


def index_of_its_name() -> None:
    table(pg.Unique("id"))
    pg.index("t_id_key", "t", ["(id + 1)"])


IN_THE_WAY: dict[str, tuple[str, Callable[[], object], str]] = {
    "another index": (
        "CREATE INDEX t_u ON t (id)",
        lambda: table(pg.Unique("id", name="t_u")),
        "public.t_u is in the way of CONSTRAINT t_u UNIQUE (id)",
    ),
    "an index of another table": (
        "CREATE UNIQUE INDEX t_u ON p (id)",
        lambda: table(pg.PrimaryKey("id", name="t_u")),
        "public.t_u is in the way of CONSTRAINT t_u PRIMARY KEY (id)",
    ),
    "a view": (
        "CREATE VIEW t_u AS SELECT 1",
        lambda: table(pg.Exclude(("id", "="), using="btree", name="t_u")),
        "public.t_u is in the way of CONSTRAINT t_u EXCLUDE",
    ),
    "an index in the way of a rename": (
        "ALTER TABLE t ADD CONSTRAINT old_u UNIQUE (id); CREATE INDEX t_u ON p (id)",
        lambda: table(pg.Unique("id", name="t_u")),
        "public.t_u is in the way of CONSTRAINT t_u UNIQUE (id)",
    ),
    "the NOT NULL of its column": (
        "ALTER TABLE t ALTER id SET NOT NULL",
        lambda: table(pg.Check("id > 0", name="t_id_not_null")),
        'constraint "t_id_not_null" for relation "t" already exists',
    ),
    "a key without a name": ("SELECT 1", index_of_its_name, "public.t_id_key has its name"),
}


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("case", IN_THE_WAY)
@one_version
def test_a_name_that_something_else_has_is_refused(
    database: Database, case: str, filled: bool
) -> None:
    before, declared, reason = IN_THE_WAY[case]
    database.psql(f"{FILLED if filled else EMPTY}; {before}")

    def deploy() -> None:
        with pg.transaction():
            declared()

    dump = database.dump()
    assert reason in run(database, deploy, dry=True).refused().messages
    assert database.dump() == dump


@pytest.mark.parametrize("server", ["16"], indirect=True)
def test_a_check_is_not_taken_for_one_that_a_run_has_left(database: Database) -> None:
    database.psql(f"{FILLED}; ALTER TABLE t ADD CONSTRAINT t_id_not_null_check CHECK (id > 0)")

    def deploy() -> None:
        with pg.transaction(exact=["constraints"]):
            table()

    run(database, lambda: table()).succeeded()
    assert "violates check constraint" in database.error("INSERT INTO t VALUES (-5)")
    left = run(database, lambda: table(), dry=True).succeeded()
    assert left.plan.changes == []
    removed = run(database, deploy, dry=True).succeeded().plan
    statements = [one.sql for _, one in removed.statements()]
    assert statements == ["ALTER TABLE public.t DROP CONSTRAINT t_id_not_null_check"]


@pytest.mark.parametrize("server", ["16"], indirect=True)
def test_a_check_that_a_run_has_left_is_used_and_dropped(database: Database) -> None:
    database.psql(FILLED)
    plan = run(database, lambda: table(), dry=True).succeeded().plan
    first = [one.sql for _, one in plan.statements()][:2]
    database.psql("; ".join(first))

    def deploy() -> None:
        with pg.transaction(exact=["constraints"]):
            table()

    again = run(database, deploy).succeeded().plan
    assert next(one.sql for _, one in again.statements()).startswith(
        "ALTER TABLE public.t VALIDATE CONSTRAINT"
    )
    assert database.rows("SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass") == []
    assert run(database, deploy, dry=True).succeeded().plan.changes == []
