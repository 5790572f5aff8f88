from __future__ import annotations

import pytest

from harness import Database, one_version
from kinds.conftest import Deploy

BOUNDS = (
    "SELECT c.oid::regclass, pg_get_expr(relpartbound, c.oid) FROM pg_class c "
    "JOIN pg_inherits ON inhrelid = c.oid WHERE inhparent = 'log'::regclass ORDER BY c.relname"
)


def bounds(database: Database) -> list[tuple[str, ...]]:
    return database.rows(f"SET TimeZone = 'UTC'; {BOUNDS}")


def names(database: Database) -> list[str]:
    return [row[0].removeprefix("log_") for row in bounds(database)]


@pytest.mark.parametrize(
    ("every", "start", "today", "expected"),
    [
        ("year", "2024", "2025-06-30", ["2024", "2025", "2026"]),
        ("month", "2025-11", "2025-12-31", ["2025_11", "2025_12", "2026_01"]),
        ("week", "2025-12-24", "2025-12-31", ["2025_w52", "2026_w01", "2026_w02"]),
        ("day", "2024-02-27", "2024-02-28", ["2024_02_27", "2024_02_28", "2024_02_29"]),
    ],
)
@one_version
def test_periods(deploy: Deploy, every: str, start: str, today: str, expected: list[str]) -> None:
    database = deploy.database
    database.psql(f"ALTER DATABASE {database.name} SET TimeZone = 'America/Chicago'")
    deploy.apply(
        f"""
        with pg.transaction():
            for type_ in ("date", "timestamp", "timestamptz"):
                pg.table(f"{{type_}}_log", [pg.Column("at", type_)], partition_by="range (at)")
                pg.partitions(f"{{type_}}_log", every="{every}", start="{start}", default=True)
        """,
        "--data",
        f"postgres_today={today}",
    )
    for type_ in ("date", "timestamp", "timestamptz"):
        found = database.rows(
            "SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = oid "
            f"WHERE inhparent = '{type_}_log'::regclass ORDER BY 1"
        )
        assert found == [(f"{type_}_log_{name}",) for name in [*expected, "default"]]
    # The server's time zone plays no part: a period begins at midnight in UTC.
    moments = database.psql(
        "SET TimeZone = 'UTC'; SELECT string_agg(pg_get_expr(relpartbound, oid), ' ') "
        "FROM pg_class WHERE relname LIKE 'timestamptz_log_%' AND relispartition"
    )
    assert moments.count(" 00:00:00+00'") == 2 * len(expected)


@one_version
def test_the_servers_clock_counts(deploy: Deploy) -> None:
    deploy.apply(
        """
        pg.table("log", [pg.Column("at", "timestamptz")], partition_by="RANGE (at)")
        pg.partitions("log", every="day", start="2025-11-01", ahead=1)
        """,
    )
    last = deploy.database.psql(
        "SELECT to_char((now() AT TIME ZONE 'UTC')::date + 1, 'YYYY_MM_DD')"
    )
    assert names(deploy.database)[-1] == last


PLAIN = "CREATE TABLE log (id integer, at timestamptz) PARTITION BY RANGE (at);"
MONTHS = "pg.partitions('log', every='month', start='2025-11', ahead=1, default=True)"
TODAY = ("--data", "postgres_today=2025-12-05")


@one_version
def test_partitions_of_others_serve_and_stay(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        f"SET TimeZone = 'UTC'; {PLAIN}"
        "CREATE TABLE november PARTITION OF log FOR VALUES FROM ('2025-11-01') TO ('2025-12-01');"
        "CREATE TABLE old PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2025-01-01');"
        "INSERT INTO log VALUES (1, '2025-11-05'), (2, '2020-01-01')"
    )
    deploy.apply(MONTHS, *TODAY)
    assert names(database) == ["2025_12", "2026_01", "default", "november", "old"]
    assert database.psql("SELECT count(*) FROM log") == "2"


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param("id integer, at timestamptz", id="plain columns"),
        pytest.param(
            "id integer GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, "
            "PRIMARY KEY (id, at), CHECK (id > 0)",
            id="an identity and a primary key",
        ),
        pytest.param(
            "id integer DEFAULT 7, at timestamptz, twice integer GENERATED ALWAYS AS (2 * id) "
            "STORED",
            id="a generated column",
        ),
        pytest.param(
            "id serial, at timestamptz, \"Odd Name\" text REFERENCES other DEFAULT 'x'",
            id="a serial and a foreign key",
        ),
    ],
)
def test_rows_of_the_default_partition_move(deploy: Deploy, columns: str) -> None:
    database = deploy.database
    if "GENERATED ALWAYS AS IDENTITY" in columns and database.server.version < 17:
        columns = columns.replace(" GENERATED ALWAYS AS IDENTITY", " DEFAULT 1")
    database.psql(
        "SET TimeZone = 'UTC'; CREATE TABLE other (x text PRIMARY KEY); "
        "INSERT INTO other VALUES ('x');"
        f"CREATE TABLE log ({columns}) PARTITION BY RANGE (at); CREATE INDEX i ON log (at);"
        "CREATE TABLE log_default PARTITION OF log DEFAULT;"
        "INSERT INTO log (at) VALUES ('2025-11-05'), ('2025-12-31 23:59:59.999'), ('2020-01-01'),"
        " ('2026-01-01')"
    )
    before = database.psql("SELECT * FROM log ORDER BY at")
    deploy.apply(MONTHS, *TODAY, "--data", "postgres_allow=log_default")
    assert names(database) == ["2025_11", "2025_12", "2026_01", "default"]
    assert database.psql("SELECT * FROM log ORDER BY at") == before
    assert database.psql("SELECT tableoid::regclass FROM log ORDER BY at") == (
        "log_default\nlog_2025_11\nlog_2025_12\nlog_2026_01"
    )
    # What is made by moving is like what is made at once.
    database.psql("INSERT INTO log (at) VALUES ('2025-11-06')")
    assert database.psql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == "0"


@one_version
def test_other_rows_of_the_default_partition_are_left_alone(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        f"{PLAIN} CREATE TABLE log_default PARTITION OF log DEFAULT;"
        "INSERT INTO log VALUES (1, '2020-01-01')"
    )
    with database.watch() as seen:
        deploy.run(MONTHS, *TODAY, "--data", "postgres_allow=log_default").succeeded()
    assert not [one for one in seen.statements if "WITH moved" in one]
    assert names(database) == ["2025_11", "2025_12", "2026_01", "default"]


@one_version
def test_row_security_goes_on_and_off(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(PLAIN)
    secured = "SELECT DISTINCT relrowsecurity FROM pg_class WHERE relispartition"
    deploy.apply(MONTHS, *TODAY)
    assert database.psql(secured) == "f"
    deploy.apply(MONTHS.replace("default=True", "default=True, row_security=True"), *TODAY)
    assert database.psql(secured) == "t"
    deploy.apply(MONTHS, *TODAY)
    assert database.psql(secured) == "t"
    deploy.apply(MONTHS.replace("default=True", "default=True, row_security=False"), *TODAY)
    assert database.psql(secured) == "f"


@one_version
def test_partitions_with_rows_are_not_removed(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(PLAIN)
    deploy.apply(MONTHS, *TODAY)
    database.psql("INSERT INTO log VALUES (1, '2025-11-05 00:00+00')")
    absent = MONTHS.replace("default=True", "default=True, present=False")
    assert "would lose 1 row;" in deploy.run(absent, *TODAY).failed().output
    assert len(names(database)) == 4
    database.psql("TRUNCATE log")
    deploy.apply(absent, *TODAY)
    assert names(database) == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("CREATE TABLE log (at date)", "must be partitioned by RANGE"),
        ("CREATE TABLE log (at date) PARTITION BY LIST (at)", "must be partitioned by RANGE"),
        ("CREATE TABLE log (at text) PARTITION BY RANGE (at)", "its key at is text"),
        ("CREATE TABLE other ()", "public.log, which does not exist"),
        (
            PLAIN + "CREATE TABLE log_q4 PARTITION OF log FOR VALUES FROM ('2025-10-01 00:00+00') "
            "TO ('2026-01-01 00:00+00')",
            "would overlap",
        ),
        (PLAIN + "CREATE TABLE log_2025_12 (id integer)", "no partition of public.log"),
    ],
)
@one_version
def test_what_can_not_be_partitioned_so(deploy: Deploy, table: str, message: str) -> None:
    deploy.database.psql(table)
    dump = deploy.database.dump()
    assert message in deploy.run(MONTHS, *TODAY).failed().output
    assert deploy.database.dump() == dump
