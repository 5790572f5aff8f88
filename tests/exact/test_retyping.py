"""A change of type needs permission exactly where the server writes the table or an index anew."""

from __future__ import annotations

import re

from harness import Database
from kinds.conftest import Deploy

# before, after, a value
KEPT = [
    ("varchar(5)", "varchar(9)", "'x'"),
    ("varchar(5)", "text", "'x'"),
    ("text", "varchar", "'x'"),
    ("numeric(5,2)", "numeric(9,2)", "1.5"),
    ("numeric(5,2)", "numeric", "1.5"),
    ("varbit(3)", "varbit(9)", "B'1'"),
    ("varbit(3)", "varbit", "B'1'"),
    ("timestamp(3)", "timestamp", "'2025-01-01'"),
    ("timestamptz(0)", "timestamptz(3)", "'2025-01-01'"),
    ("time(0)", "time", "'10:00'"),
    ("interval(0)", "interval", "'1 s'"),
    ("interval day to second(0)", "interval day to second", "'1 s'"),
    ("cidr", "inet", "'10.0.0.0/8'"),
    ("text", "plain", "'x'"),
    ("plain", "text", "'x'"),
    ("timestamp", "timestamptz", "'2025-01-01'"),  # in UTC, and without an index
]
WRITTEN = [
    ("varchar(9)", "varchar(5)", "'x'"),
    ("text", "varchar(5)", "'x'"),
    ("integer", "bigint", "1"),
    ("bigint", "integer", "1"),
    ("numeric(5,2)", "numeric(9,3)", "1.5"),
    ("numeric", "numeric(5,2)", "1.5"),
    ("timestamp", "timestamp(3)", "'2025-01-01'"),
    ("timestamptz", "date", "'2025-01-01 00:00+00'"),
    ("text", "checked", "'x'"),
    ("text", "mood", "'ok'"),
    ("json", "jsonb", "'1'"),
    ("text", "integer", "'7'"),
    ("text", "jsonb", "'{}'"),
    ("integer", "text", "7"),
    ("date", "timestamptz", "'2025-01-01'"),
]


def files(database: Database) -> dict[str, str]:
    """The file of each table and index."""
    query = "SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relname ~ '^[ti][0-9]'"
    return {row[0]: row[1] for row in database.rows(query)}


def test_what_is_kept_needs_no_permission(deploy: Deploy, database: Database) -> None:
    database.psql(
        "CREATE DOMAIN plain AS text; CREATE DOMAIN checked AS text CHECK (VALUE <> '');"
        "CREATE TYPE mood AS ENUM ('ok')"
    )
    operations, pairs = "", [*KEPT, *WRITTEN]
    for number, (before, after, value) in enumerate(pairs):
        database.psql(
            f"SET TimeZone = 'UTC'; CREATE TABLE t{number} (c {before});"
            f"INSERT INTO t{number} VALUES ({value})"
        )
        if before not in {"json", "timestamp"}:
            database.psql(f"CREATE INDEX i{number} ON t{number} (c)")
        operations += f"    pg.table('t{number}', [pg.Column('c', {after!r})])\n"
    text = f"with pg.transaction():\n{operations}"
    before_run = files(database)
    refused = set(re.findall(r"public\.(t\d+): ALTER", deploy.run(text).failed().output))
    deploy.apply(text, "--data", f"postgres_allow={','.join(sorted(refused))}")
    after_run = files(database)
    written = {
        f"t{number}"
        for number in range(len(pairs))
        if before_run[f"t{number}"] != after_run[f"t{number}"]
        or before_run.get(f"i{number}") != after_run.get(f"i{number}")
    }
    assert written == refused
    assert written == {f"t{len(KEPT) + number}" for number in range(len(WRITTEN))}
