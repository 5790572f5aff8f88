"""What others put in the way stops only what needs it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

LOG = """
    CREATE TABLE log (id integer, at {0}) PARTITION BY RANGE (at);
    CREATE TABLE log_default PARTITION OF log DEFAULT;
    INSERT INTO log VALUES (1, '-infinity'), (2, 'infinity'), (3, NULL), (4, '1970-01-01'),
      (5, '2999-12-31');
"""
TODAY = {"postgres_today": "2025-11-20"}


def _months() -> None:
    pg.partitions("log", every="month", start="2025-11", ahead=1)


def _months_behind_sql() -> None:
    with pg.transaction():
        pg.sql("SELECT 1")
        _months()


def _month() -> None:
    pg.partition("log_2025_11", "log", "FOR VALUES FROM ('2025-11-01') TO ('2025-12-01')")


@one_version
@pytest.mark.parametrize("type_", ["date", "timestamp", "timestamptz"])
@pytest.mark.parametrize("deploy", [_months, _months_behind_sql, _month])
def test_rows_that_no_period_holds_stand_against_none(
    database: Database, type_: str, deploy: Callable[[], object]
) -> None:
    database.psql(LOG.format(type_))
    run(database, deploy, **TODAY).succeeded()
    assert database.psql("SELECT count(*) FROM log_default") == "5"
    assert database.psql("SELECT to_regclass('log_2025_11')") == "log_2025_11"
    run(database, deploy, **TODAY).succeeded()


@one_version
def test_what_deletions_set_off_is_no_matter_where_no_row_moves(database: Database) -> None:
    database.psql(
        LOG.format("date") + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE TRIGGER g AFTER DELETE ON log FOR EACH ROW EXECUTE FUNCTION f()"
    )
    run(database, _months, **TODAY).succeeded()


@one_version
def test_rows_of_a_new_period_still_need_permission_to_move(database: Database) -> None:
    database.psql(LOG.format("date") + "INSERT INTO log VALUES (6, '2025-12-31')")
    said = run(database, _months, **TODAY).refused().messages
    assert "postgres_allow=public.log_default" in said
    assert database.psql("SELECT to_regclass('log_2025_11')") == ""
    run(database, _months, **TODAY, postgres_allow="log_default").succeeded()
    assert database.psql("SELECT count(*) FROM log_2025_12") == "1"
    assert database.psql("SELECT count(*) FROM log_default") == "5"
