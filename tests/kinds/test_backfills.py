"""backfill: columns of rows that are there, filled in batches that are committed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.plan.plan import Stage

SETUP = """
CREATE TABLE item (id bigint PRIMARY KEY, price integer, amount integer, total integer);
INSERT INTO item SELECT g, g, 2 FROM generate_series(1, 1000) g;
UPDATE item SET total = 7 WHERE id <= 100;
"""
COLUMNS = [pg.Column("id", "bigint", primary_key=True)]


def fill(**changes: object) -> Callable[[], object]:
    given = {"set": {"total": "price * amount"}, "where": "total IS NULL", "batch": 200, "pause": 0}
    return lambda: pg.backfill("item", **{**given, **changes})  # type: ignore[arg-type]


def filled(database: Database) -> str:
    return database.psql("SELECT count(*), count(total), sum(total) FROM item")


def batches(database: Database) -> int:
    """In how many transactions the rows have been written."""
    return int(database.psql("SELECT count(DISTINCT xmin::text) FROM item WHERE total <> 7"))


def test_rows_are_filled_in_batches_and_others_stay(database: Database) -> None:
    database.psql(SETUP)
    dry = run(database, fill(), dry=True).succeeded()
    assert "900 rows, 200 at a time" in dry.messages
    assert filled(database) == "1000|100|700"
    run(database, fill()).succeeded()
    assert filled(database) == f"1000|1000|{700 + sum(range(101, 1001)) * 2}"
    assert batches(database) == 5
    again = run(database, fill()).succeeded()
    assert again.plan.changes == []
    assert "no changes" in run(database, fill(), dry=True).messages


@one_version
def test_psql_does_the_same(database: Database) -> None:
    database.psql(SETUP)
    run(database, fill(), psql=True).succeeded()
    assert batches(database) == 5
    assert not run(database, fill(), psql=True).succeeded().plan.changes


def test_all_partitions_are_filled_under_the_names_of_the_table(database: Database) -> None:
    database.psql("""
        CREATE TABLE log (at date, "Größe" integer, twice integer) PARTITION BY RANGE (at);
        CREATE TABLE log_25 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        CREATE TABLE log_26 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
        INSERT INTO log SELECT '2025-12-01'::date + g, g FROM generate_series(1, 60) g""")

    def deploy() -> None:
        pg.backfill("log", set={"twice": 'log."Größe" * 2'}, where="log.twice IS NULL", batch=7)

    run(database, deploy).succeeded()
    assert database.psql('SELECT count(*) FROM log WHERE twice = "Größe" * 2') == "60"
    assert not run(database, deploy).succeeded().plan.changes


def test_a_new_column_is_filled_in_the_block_that_adds_it(database: Database) -> None:
    database.psql(SETUP)

    def deploy() -> None:
        with pg.transaction():
            pg.table("item", [*COLUMNS, pg.Column("label", "text")])
            pg.backfill("item", set={"label": "'item ' || id"}, where="label IS NULL")

    dry = run(database, deploy, dry=True).succeeded()
    assert "1000 rows" in dry.messages
    run(database, deploy).succeeded()
    assert database.psql("SELECT count(*) FROM item WHERE label = 'item ' || id") == "1000"
    assert not run(database, deploy).succeeded().plan.changes


def test_a_rule_of_the_same_block_comes_after_it(database: Database) -> None:
    """Rows that are not filled yet would else be refused when somebody changes them."""
    database.psql(SETUP)

    def deploy() -> None:
        with pg.transaction():
            pg.table(
                "item",
                [*COLUMNS, pg.Column("total", "integer", nullable=False)],
                constraints=[pg.Check("total > 0", name="paid")],
            )
            fill()()

    outcome = run(database, deploy, dry=True).succeeded()
    after = [one.sql for _, one in outcome.plan.of(Stage.AFTER)]
    assert after[0].startswith("DO ")
    assert not any("ADD CONSTRAINT" in one.sql for _, one in outcome.plan.of(Stage.MAIN))
    run(database, deploy).succeeded()
    assert filled(database).startswith("1000|1000|")
    assert database.psql("SELECT attnotnull FROM pg_attribute WHERE attname = 'total'") == "t"
    assert database.psql("SELECT convalidated FROM pg_constraint WHERE conname = 'paid'") == "t"
    assert not run(database, deploy).succeeded().plan.changes


@one_version
def test_what_stays_against_a_rule_is_told_before(database: Database) -> None:
    database.psql(SETUP + "UPDATE item SET price = NULL WHERE id = 500;")

    def deploy() -> None:
        with pg.transaction():
            pg.table("item", [*COLUMNS, pg.Column("total", "integer", nullable=False)])
            fill(where="total IS NULL AND price IS NOT NULL")()

    assert "does not hold for 1 row" in run(database, deploy, dry=True).refused().messages


@one_version
def test_a_condition_that_stays_true_is_refused(database: Database) -> None:
    database.psql(SETUP + "UPDATE item SET price = NULL WHERE id IN (500, 600);")
    outcome = run(database, fill(), dry=True).refused()
    assert "2 rows of 900 would match where='total IS NULL' still" in outcome.messages
    assert filled(database) == "1000|100|700"


@one_version
def test_a_trigger_that_puts_the_old_value_back_ends_it(database: Database) -> None:
    database.psql(SETUP)
    database.psql("""
        CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN NEW.total := NULL; RETURN NEW; END';
        CREATE TRIGGER undo BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION undo()""")
    outcome = run(database, fill()).refused()
    assert "200 of 200 rows that it has filled match still" in outcome.messages
    assert filled(database) == "1000|100|700"


@one_version
def test_it_goes_on_where_it_stopped(database: Database) -> None:
    database.psql(SETUP + "ALTER TABLE item ADD CHECK (total < 1500);")
    assert "violates check constraint" in run(database, fill()).refused().messages
    before = database.psql("SELECT count(total) FROM item")
    assert 100 < int(before) < 1000
    assert int(before) % 200 == 100, "only whole batches are there"
    database.psql("ALTER TABLE item DROP CONSTRAINT item_total_check")
    run(database, fill()).succeeded()
    assert filled(database).startswith("1000|1000|")


@one_version
def test_rows_that_somebody_has_locked_come_last(database: Database) -> None:
    database.psql(SETUP)
    with closing(database.connect()) as writer:
        writer.execute("UPDATE item SET price = 0 WHERE id = 500")
        deploy = threading.Timer(2, writer.commit)
        deploy.start()
        run(database, fill()).succeeded()
        deploy.join()
    assert database.psql("SELECT count(*) FROM item WHERE total IS NULL") == "0"
    assert database.psql("SELECT total FROM item WHERE id = 500") == "0"


@one_version
def test_what_the_expressions_mean_is_what_public_has(database: Database) -> None:
    database.psql(SETUP)
    database.psql("""
        CREATE FUNCTION double(integer) RETURNS integer LANGUAGE sql IMMUTABLE
            AS 'SELECT $1 * 2'""")
    run(database, fill(set={"total": "double(price)"})).succeeded()
    assert database.psql("SELECT total FROM item WHERE id = 1000") == "2000"


@one_version
def test_code_of_others_is_not_run(database: Database) -> None:
    database.psql(SETUP)
    stranger = f"s_{database.name[-6:]}"
    database.psql(f"""
        CREATE ROLE {stranger};
        CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN RETURN NEW; END';
        ALTER FUNCTION spy() OWNER TO {stranger};
        CREATE TRIGGER spy BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION spy()""")
    assert (
        f'set postgres_trust = "{stranger}"' in run(database, fill(), dry=True).refused().messages
    )


@one_version
def test_hidden_rows_are_no_filled_rows(database: Database) -> None:
    database.psql(SETUP)
    role = f"r_{database.name[-6:]}"
    database.psql(f"""
        CREATE ROLE {role} LOGIN; ALTER TABLE item OWNER TO {role};
        ALTER TABLE item ENABLE ROW LEVEL SECURITY; ALTER TABLE item FORCE ROW LEVEL SECURITY""")
    dsn = database.dsn.replace("postgres@", f"{role}@", 1)
    outcome = run(database, fill(), dry=True, postgres_dsn=dsn).refused()
    assert "rows can't be seen" in outcome.messages


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"set": {}}, "set is a dict of columns and expressions"),
        ({"where": "total IS NULL; DROP TABLE item"}, "syntax error"),
        ({"batch": 0}, "batch is from 1"),
        ({"pause": -1}, "pause is a number from 0"),
    ],
)
def test_what_is_no_backfill_is_refused(given: dict[str, object], said: str) -> None:
    values = {"set": {"total": "1"}, "where": "total IS NULL", **given}
    with pytest.raises(DeclarationError, match=said):
        pg.Backfill("item", **values)  # type: ignore[arg-type]


@one_version
def test_a_column_that_is_not_there_is_found_before(database: Database) -> None:
    database.psql(SETUP)
    outcome = run(database, fill(set={"totl": "1"}), dry=True).refused()
    assert "there is no column totl in public.item: did you mean total?" in outcome.messages
