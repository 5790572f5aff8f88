"""Sequences of columns: serial, identity, or a sequence of its own, and who else uses them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.operation import OperationMeta

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

# How a column gets its values: what makes the table, and what declares it.
WAYS: dict[str, tuple[str, Callable[[], object]]] = {
    "plain": ("CREATE TABLE t (id integer PRIMARY KEY)", lambda: declared("integer")),
    "serial": ("CREATE TABLE t (id serial PRIMARY KEY)", lambda: declared("serial")),
    "identity": (
        "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
        lambda: declared("integer", identity="ALWAYS"),
    ),
    "sequence": (
        "CREATE SEQUENCE free; CREATE TABLE t (id integer PRIMARY KEY DEFAULT nextval('free'))",
        lambda: [pg.sequence("free"), declared("integer", default="nextval('free')")],
    ),
}
KIND = """
    SELECT CASE WHEN attidentity <> '' THEN 'identity'
                WHEN pg_get_expr(adbin, adrelid) LIKE '%free%' THEN 'sequence'
                WHEN adbin IS NOT NULL AND pg_get_serial_sequence('t', 'id') IS NOT NULL
                THEN 'serial' WHEN adbin IS NULL THEN 'plain' END
      FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE attrelid = 't'::regclass AND attname = 'id'"""


def declared(type_: str, **column: Any) -> OperationMeta:
    return pg.table("t", [pg.Column("id", type_, primary_key=True, **column)])


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Verdicts of equality that no other run has made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    name = f"r_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {name}")
    yield name
    database.psql(f"DROP OWNED BY {name}")


@pytest.mark.parametrize(("before", "after"), [*permutations(WAYS, 2)])
def test_a_column_gets_its_values_in_another_way(
    before: str, after: str, database: Database
) -> None:
    made, _ = WAYS[before]
    database.psql(f"{made}; INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (7)")

    def deploy() -> None:
        with pg.transaction(exact=True):
            pg.schema("public")
            WAYS[after][1]()

    run(database, deploy).succeeded()
    # A serial column may draw from a sequence of any name.
    stays = (before, after) == ("sequence", "serial")
    assert database.psql(KIND) == ("sequence" if stays else after)
    assert run(database, deploy).succeeded().plan.changes == []
    left = database.psql("SELECT count(*) FROM pg_class WHERE relkind = 'S'")
    assert left == ("0" if after == "plain" else "1")
    if after in {"serial", "identity"} and not stays:
        assert database.psql("INSERT INTO t DEFAULT VALUES RETURNING id").split()[0] == "8"


@one_version
def test_a_serial_goes_on_where_an_identity_ends(database: Database) -> None:
    database.psql(
        "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY); "
        "INSERT INTO t SELECT FROM generate_series(1, 5); DELETE FROM t"
    )
    run(database, WAYS["serial"][1]).succeeded()
    assert database.psql("INSERT INTO t DEFAULT VALUES RETURNING id").split()[0] == "6"


@one_version
def test_a_serial_sequence_has_the_owner_of_its_table(database: Database, role: str) -> None:
    database.psql(f"CREATE TABLE t (id integer PRIMARY KEY); ALTER TABLE t OWNER TO {role}")
    run(database, WAYS["serial"][1]).succeeded()
    owner = "SELECT relowner::regrole FROM pg_class WHERE relname = 't_id_seq'"
    assert database.psql(owner) == role
    assert run(database, WAYS["serial"][1]).succeeded().plan.changes == []


SHARED = """
    CREATE TABLE t (id serial PRIMARY KEY, x integer);
    CREATE TABLE d (id integer PRIMARY KEY DEFAULT nextval('t_id_seq'), y integer);
"""


@one_version
@pytest.mark.parametrize("after", ["identity", "without"])
def test_a_sequence_that_another_table_uses_does_not_go(after: str, database: Database) -> None:
    database.psql(SHARED)

    def deploy() -> None:
        with pg.transaction():
            # Another change of that table does not hide that it uses the sequence.
            pg.table("d", [pg.Column("z", "integer"), pg.Column("id", "integer", **kept)])
            if after == "identity":
                declared("integer", identity="ALWAYS")
            else:
                pg.table("t", [pg.Column("id", present=False)])

    kept: dict[str, Any] = {"default": "nextval('t_id_seq')", "nullable": False}
    dump = database.dump()
    refused = run(database, deploy).refused()
    assert "used by default value for column id of table public.d" in refused.messages
    assert database.dump() == dump
    kept = {"nullable": False}
    run(database, deploy).succeeded()


@one_version
def test_what_uses_a_sequence_may_go_behind_the_column(database: Database) -> None:
    database.psql(SHARED)

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("id", present=False)])
            pg.table("d", [pg.Column("id", "integer", nullable=False)])

    run(database, deploy).succeeded()
    assert database.psql("SELECT count(*) FROM pg_class WHERE relkind = 'S'") == "0"


@one_version
def test_a_view_on_the_sequence_of_a_column_that_goes_is_named(database: Database) -> None:
    database.psql(f"{SHARED} DROP TABLE d; CREATE VIEW v AS SELECT last_value FROM t_id_seq")
    refused = run(database, lambda: pg.table("t", [pg.Column("id", present=False)])).refused()
    assert "sequence public.t_id_seq: it is used by view public.v: change that too" in (
        refused.messages
    )


@one_version
def test_a_sequence_that_no_default_uses_is_reported(database: Database) -> None:
    database.psql("CREATE TABLE t (id serial PRIMARY KEY)")

    def deploy() -> None:
        with pg.transaction():
            declared("integer")

    first = run(database, deploy).succeeded()
    assert [one.title for one in first.plan.undeclared] == ["sequence public.t_id_seq"]
    second = run(database, deploy).succeeded()
    assert (second.plan.changes, second.plan.undeclared) == ([], first.plan.undeclared)


@one_version
@pytest.mark.parametrize("way", ["serial", "identity"])
def test_privileges_on_a_column_s_sequence_are_the_table_s(
    way: str, database: Database, role: str
) -> None:
    database.psql(f"{WAYS[way][0]}; GRANT USAGE ON SEQUENCE t_id_seq TO {role}")

    def deploy(exact: bool) -> None:
        with pg.transaction(exact=exact):
            WAYS[way][1]()

    found = run(database, lambda: deploy(False)).succeeded().plan.undeclared
    assert [one.title for one in found] == [f"grant on SEQUENCE public.t_id_seq to {role}"]
    run(database, lambda: deploy(True)).succeeded()
    allowed = f"SELECT has_sequence_privilege('{role}', 't_id_seq', 'USAGE')"
    assert database.psql(allowed) == "f"
    assert run(database, lambda: deploy(True)).succeeded().plan.changes == []


@one_version
def test_a_sequence_s_name_that_an_identity_has_is_refused(database: Database) -> None:
    database.psql(WAYS["identity"][0])
    refused = run(database, lambda: pg.sequence("t_id_seq")).refused()
    assert "the identity column public.t.id has the sequence of its name" in refused.messages


@one_version
@pytest.mark.parametrize("order", [*permutations(("sequence", "table"))])
@pytest.mark.parametrize("is_owned", [True, False])
def test_a_sequence_and_its_column_s_table_change_their_owner(
    order: tuple[str, str], is_owned: bool, database: Database, role: str
) -> None:
    database.psql("CREATE TABLE t (n integer); CREATE SEQUENCE s")
    if is_owned:
        database.psql("ALTER SEQUENCE s OWNED BY t.n")
    operations = {
        "sequence": lambda: pg.sequence("s", owned_by="t.n", owner=role),
        "table": lambda: pg.table("t", [pg.Column("n", "integer")], owner=role),
    }

    def deploy() -> None:
        with pg.transaction():
            for one in order:
                operations[one]()

    run(database, deploy).succeeded()
    owners = "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relname IN ('s', 't')"
    assert database.psql(owners) == role
    assert database.psql("SELECT pg_get_serial_sequence('t', 'n')") == "public.s"
    assert run(database, deploy).succeeded().plan.changes == []


@one_version
@pytest.mark.parametrize("owner", [None, "postgres"])
def test_another_owner_than_the_table_s_is_refused(
    owner: str | None, database: Database, role: str
) -> None:
    database.psql("CREATE TABLE t (n integer); CREATE SEQUENCE s OWNED BY t.n")

    def deploy() -> None:
        with pg.transaction():
            pg.sequence("s", owner=role)
            pg.table("t", [pg.Column("n", "integer")], owner=owner)

    dump = database.dump()
    assert "have one owner" in run(database, deploy).refused().messages
    assert database.dump() == dump


@one_version
def test_a_sequence_without_a_declared_owner_gets_that_of_the_table(
    database: Database, role: str
) -> None:
    database.psql(f"CREATE TABLE t (n integer, m integer); ALTER TABLE t OWNER TO {role}")
    database.psql("CREATE SEQUENCE s")

    def deploy() -> None:
        pg.sequence("s", owned_by="t.n")
        pg.sequence("new", owned_by="t.m")

    run(database, deploy).succeeded()
    owners = "SELECT relname, relowner::regrole FROM pg_class WHERE relkind = 'S' ORDER BY 1"
    assert database.rows(owners) == [("new", role), ("s", role)]
    assert run(database, deploy).succeeded().plan.changes == []


@one_version
@pytest.mark.parametrize(
    ("column", "reason"),
    [("shop.t.n", "it is not in the schema of shop.t"), ("t.m", "there is no column m in")],
)
def test_a_column_that_can_own_no_sequence_is_refused(
    column: str, reason: str, database: Database
) -> None:
    database.psql("CREATE SCHEMA shop; CREATE TABLE shop.t (n integer); CREATE TABLE t (n integer)")
    database.psql("CREATE SEQUENCE s")
    refused = run(database, lambda: pg.sequence("s", owned_by=column)).refused()
    assert reason in refused.messages


BOUNDS = """
    SELECT min_value, max_value, start_value, (SELECT last_value FROM s) FROM pg_sequences
     WHERE sequencename = 's'"""


@one_version
@pytest.mark.parametrize(
    ("made", "declared", "expected"),
    [
        ("", {"minimum": 100, "maximum": 200, "start": 150}, ("100", "200", "150", "150")),
        ("", {"minimum": 100, "maximum": 200}, ("100", "200", "100", "100")),
        ("INCREMENT -1", {"minimum": -9, "maximum": -5}, ("-9", "-5", "-5", "-5")),
        ("; SELECT setval('s', 150)", {"minimum": 100}, ("100", None, "100", "150")),
        ("; SELECT nextval('s')", {"minimum": 100}, "it has come to 1, which is not within 100"),
        ("; SELECT setval('s', 90000)", {"type": "smallint"}, "it has come to 90000"),
        ("START 50", {"minimum": 60}, "its start 50 is not within 60"),
        ("", {"maximum": 10, "start": 11}, "its start 11 is not within 1 to 10"),
        ("", {"minimum": 5, "maximum": 5}, "MINVALUE 5 has to be less than MAXVALUE 5"),
        ("", {"type": "smallint", "maximum": 40000}, "MAXVALUE 40000 is out of range"),
    ],
)
def test_other_bounds_and_the_value_of_a_sequence(
    made: str,
    declared: dict[str, Any],
    expected: str | tuple[str | None, ...],
    database: Database,
) -> None:
    database.psql(f"CREATE SEQUENCE s {made}")
    dump = database.dump()

    def deploy() -> None:
        with pg.transaction():
            pg.sequence("s", **declared)

    outcome = run(database, deploy)
    if isinstance(expected, str):
        assert expected in outcome.refused().messages
        assert database.dump() == dump
        return
    outcome.succeeded()
    (found,) = database.rows(BOUNDS)
    assert all(one in {None, other} for one, other in zip(expected, found, strict=True))
    assert run(database, deploy).succeeded().plan.changes == []


@one_version
def test_default_privileges_of_a_schema_follow_its_name(database: Database, role: str) -> None:
    database.psql(
        f"CREATE SCHEMA q; ALTER DEFAULT PRIVILEGES IN SCHEMA q "
        f"GRANT SELECT, INSERT ON TABLES TO {role}"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.schema("qq", renamed_from="q")
            pg.table("qq.t", [pg.Column("id", "integer")])
            pg.grant("SELECT", on="TABLE qq.t", to=role, exact=True)

    run(database, deploy).succeeded()
    assert database.psql(f"SELECT has_table_privilege('{role}', 'qq.t', 'INSERT')") == "f"
    assert run(database, deploy).succeeded().plan.changes == []
