"""exact=: what belongs to what is declared, and nobody declares, goes."""

from __future__ import annotations

import secrets

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import Deploy, Outcome, run
from pyinfra_postgres.errors import DeclarationError

pytestmark = one_version

SETUP = """
CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('ok');
CREATE DOMAIN shop.size AS integer;
CREATE SEQUENCE shop.free;
CREATE TABLE shop.job (
  id bigint PRIMARY KEY, state text, note text, mood shop.mood, CHECK (length(note) < 100));
CREATE INDEX job_note ON shop.job (note);
CREATE INDEX job_state ON shop.job (state);
CREATE POLICY everybody ON shop.job USING (true);
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON shop.job FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE STATISTICS shop.pair ON state, note FROM shop.job;
CREATE TABLE shop.a (id bigint PRIMARY KEY DEFAULT nextval('shop.free'), size shop.size);
CREATE TABLE shop.c (id bigint PRIMARY KEY REFERENCES shop.a);
CREATE TABLE shop.b (id bigint REFERENCES shop.c, job bigint REFERENCES shop.job);
CREATE VIEW shop.z AS SELECT note FROM shop.job;
CREATE VIEW shop.y AS SELECT * FROM shop.z;
CREATE FUNCTION shop.all_a() RETURNS SETOF shop.a LANGUAGE sql AS 'SELECT * FROM shop.a';
CREATE ROLE {role};
GRANT SELECT, INSERT ON shop.job TO {role};
GRANT USAGE ON SCHEMA shop TO {role};
INSERT INTO shop.job (id, state) VALUES (1, 'kept');
"""
JOB = [pg.Column("id", "bigint", primary_key=True), pg.Column("state", "text")]


@pytest.fixture(autouse=True)
def role(database: Database) -> str:
    name = f"r_{secrets.token_hex(3)}"
    database.psql(SETUP.format(role=name))
    return name


def names(database: Database) -> list[str]:
    """What is left in the schema: relations, then functions and types."""
    return database.psql(
        """
        SELECT relname FROM (
            SELECT relname, 1 AS place FROM pg_class
             WHERE relnamespace = 'shop'::regnamespace
          UNION ALL SELECT proname, 2 FROM pg_proc WHERE pronamespace = 'shop'::regnamespace
          UNION ALL SELECT typname, 3 FROM pg_type WHERE typnamespace = 'shop'::regnamespace
                      AND typtype IN ('e', 'd')) AS s(relname, place) ORDER BY place, relname
        """
    ).split()


def test_all_goes_in_an_order_that_postgresql_takes(database: Database, role: str) -> None:
    def deploy() -> None:
        with pg.transaction(exact=True):
            pg.schema("shop")
            pg.table("shop.job", JOB)
            pg.index("job_state", "shop.job", ["state"])
            pg.grant("SELECT", on="shop.job", to=role)

    outcome = run(database, deploy).succeeded()
    assert outcome.plan.undeclared == []
    assert names(database) == ["job", "job_pkey", "job_state"]
    assert database.psql("SELECT * FROM shop.job") == "1|kept"
    assert database.psql("SELECT relacl FROM pg_class WHERE relname = 'job'").endswith(
        f",{role}=r/postgres}}"
    )
    assert not run(database, deploy).succeeded().plan.changes


def only(exact: object, *, within: str = "block") -> Deploy:
    """The declarations with exact= on the block, the table or the schema."""

    def deploy() -> None:
        with pg.transaction(exact=exact if within == "block" else False):  # type: ignore[arg-type]
            pg.schema("shop", exact=exact if within == "schema" else False)  # type: ignore[arg-type]
            pg.table("shop.job", JOB, exact=exact if within == "table" else False)  # type: ignore[arg-type]

    return deploy


def removed(outcome: Outcome) -> list[str]:
    return [change.operation.removeprefix("exact: ") for change in outcome.plan.changes]


@pytest.mark.parametrize(
    ("exact", "within", "gone"),
    [
        (["indexes"], "block", ["index shop.job_note", "index shop.job_state"]),
        ("policies", "table", ["policy everybody on shop.job"]),
        (["triggers", "statistics"], "table", [
            "statistics shop.pair", "trigger touched on shop.job"]),
        (["constraints"], "table", ["constraint shop.job.job_note_check"]),
        (["views"], "schema", ["view shop.y", "view shop.z"]),
        (["grants"], "table", ["grant on TABLE shop.job to ROLE"]),
        (["grants"], "schema", ["grant on SCHEMA shop to ROLE"]),
    ],
)  # fmt: skip
def test_chosen_kinds_go_and_the_rest_is_reported(
    database: Database, role: str, exact: object, within: str, gone: list[str]
) -> None:
    before = run(database, only(False), dry=True).succeeded().plan.undeclared
    outcome = run(database, only(exact, within=within)).succeeded()
    assert removed(outcome) == [one.replace("ROLE", role) for one in gone]
    left = {one.title for one in outcome.plan.undeclared}
    assert left == {one.title for one in before} - {*removed(outcome)}
    assert not run(database, only(exact, within=within)).succeeded().plan.changes


def test_a_column_with_values_and_a_table_with_rows_are_refused(database: Database) -> None:
    database.psql("UPDATE shop.job SET note = 'n'; DROP VIEW shop.y, shop.z; "
                  "INSERT INTO shop.b (job) VALUES (1), (NULL)")  # fmt: skip
    before = database.dump()
    messages = run(database, only(["columns", "tables"])).refused().messages
    assert (
        "table shop.job: ALTER TABLE shop.job DROP COLUMN note would lose 1 value; to allow it, "
        "run with --data 'postgres_allow=shop.job.note'" in messages
    )
    assert "table shop.b: DROP TABLE shop.b would lose 2 rows" in messages
    assert "postgres_allow=shop.b'" in messages
    assert database.dump() == before


def test_what_a_later_operation_declares_stays(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction(exact=["indexes"]):
            pg.table("shop.job", JOB)
        with pg.transaction():
            pg.index("job_state", "shop.job", ["state"])

    # The dry run has not read the second block when the first one ends.
    message = "operation 'exact: index shop.job_state' takes it away: declare it in that block"
    assert message in run(database, deploy).refused().messages
    assert "job_state" in names(database)


def test_what_is_used_elsewhere_is_kept_and_the_user_told(database: Database) -> None:
    database.psql("CREATE VIEW public.far AS SELECT note FROM shop.job")
    database.psql("CREATE POLICY noted ON shop.job USING (note IS NULL)")
    messages = run(database, only(["columns", "views"])).refused().messages
    assert "table shop.job: its mood, note is used by " in messages
    assert "view public.far" in messages
    assert "policy noted on table shop.job" in messages
    assert "view shop.z" not in messages
    assert "z" in names(database)


def test_the_constructors_of_a_range_type_belong_to_it(database: Database) -> None:
    database.psql(
        "CREATE TYPE shop.span AS RANGE (subtype = shop.mood);"
        "ALTER TABLE shop.job ADD span shop.span, ADD spans shop.span_multirange"
    )

    def deploy() -> None:
        with pg.transaction(exact=["functions"]):
            pg.schema("shop")
            pg.function("shop.touch", returns="trigger", language="plpgsql",
                        body="BEGIN RETURN NEW; END")  # fmt: skip

    left = run(database, deploy).succeeded().plan.undeclared
    assert not [one.title for one in left if "span(" in one.title]
    assert database.psql("SELECT isempty(shop.span('ok', 'ok'))") == "t"


def test_tables_that_reference_one_another_go(database: Database) -> None:
    database.psql("ALTER TABLE shop.a ADD FOREIGN KEY (id) REFERENCES shop.c")

    def deploy() -> None:
        with pg.transaction(exact=["tables", "functions"]):
            pg.schema("shop")
            pg.table("shop.job", JOB)
            pg.trigger("touched", "shop.job", when="BEFORE UPDATE", function="shop.touch()")
            pg.function("shop.touch", returns="trigger", language="plpgsql",
                        body="BEGIN RETURN NEW; END")  # fmt: skip

    run(database, deploy).succeeded()
    assert {"a", "b", "c"}.isdisjoint(names(database))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: pg.Table("t", JOB, exact=["colums"]), "not 'colums'"),
        (lambda: pg.Table("t", row_security=True, exact=True), "exact needs its columns"),
        (lambda: pg.Schema("s", exact="columns"), "not 'columns'"),
    ],
)
def test_mistakes_are_told(wrong: Deploy, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        wrong()


def test_outside_a_block_it_is_refused(database: Database) -> None:
    def deploy() -> None:
        with pytest.raises(DeclarationError, match=r"put it into a pg\.transaction"):
            pg.table("shop.job", JOB, exact=True)
        with (
            pg.transaction(),
            pytest.raises(DeclarationError, match="outermost"),
            pg.transaction(exact=True),
        ):
            pass

    run(database, deploy).succeeded()


def test_the_constructors_of_a_range_type_are_a_part_of_it(database: Database) -> None:
    database.psql(
        "CREATE SCHEMA s; CREATE TYPE s.span AS RANGE (subtype = float8); "
        "CREATE TABLE s.t (r s.span); "
        "CREATE FUNCTION s.one() RETURNS s.span LANGUAGE sql RETURN s.span(1, 2)"
    )

    def deploy() -> None:
        with pg.transaction(exact=True):
            pg.schema("s")
            pg.range_type("s.span", subtype="float8")
            pg.table("s.t", [pg.Column("r", "s.span")])

    assert [one.title for one in run(database, deploy).succeeded().plan.changes] == [
        "function s.one()"
    ]
    assert run(database, deploy).succeeded().plan.changes == []
    assert database.psql("SELECT s.span(1, 2)") == "[1,2)"
