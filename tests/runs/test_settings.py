"""What SQL means does not depend on the settings of the role or the database."""

from __future__ import annotations

import pyinfra_postgres as pg
from harness import Database, Project, one_version
from harness.process import run

BEFORE = """
    CREATE TABLE t (id integer, at timestamptz, note text);
    INSERT INTO t VALUES (1, now(), 'x');
    ALTER DATABASE {name} SET TimeZone = 'Europe/Berlin';
    ALTER DATABASE {name} SET DateStyle = 'SQL, DMY';
    ALTER DATABASE {name} SET transform_null_equals = on;
    ALTER DATABASE {name} SET array_nulls = off;
    ALTER DATABASE {name} SET standard_conforming_strings = off;
"""
# A column, a constraint and an index: in the transaction, and after it.
STORED = """
    SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET standard_conforming_strings = on;
    SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 't'::regclass;
    SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = 'c';
    SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = 'i'::regclass;
"""
EXPECTED = r"""'a\b'::text
((note = NULL::text) OR (path <> 'a\b'::text))
((at > '2020-03-04 00:00:00+00'::timestamp with time zone) AND (note <> 'a\b'::text))"""


def deploy() -> None:
    path = pg.Column("path", "text", default=r"'a\b'")
    columns = [pg.Column("id", "integer"), pg.Column("at", "timestamptz"), path]
    with pg.transaction():
        pg.table("t", columns, constraints=[pg.Check(r"note = NULL OR path <> 'a\b'", name="c")])
        pg.index("i", "t", ["id"], where=r"at > '2020-03-04' AND note <> 'a\b'")


@one_version
def test_sql_means_the_same_everywhere(database: Database) -> None:
    database.psql(BEFORE.format(name=database.name))
    run(database, deploy).succeeded()
    assert database.psql(STORED) == EXPECTED
    assert not run(database, deploy).succeeded().plan.changes


@one_version
def test_sql_means_the_same_through_psql(project: Project, database: Database) -> None:
    database.psql(BEFORE.format(name=database.name))
    project.inventory({"@local": {"postgres_dsn": database.dsn}})
    project.deploy(
        r"""
        with pg.transaction():
            pg.table("t", [pg.Column("path", "text", default=r"'a\b'")],
                     constraints=[pg.Check(r"note = NULL OR path <> 'a\b'", name="c")])
            pg.index("i", "t", ["id"], where=r"at > '2020-03-04' AND note <> 'a\b'")
        """
    )
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    project.run("inventory.py", "deploy.py", "-y", env=path).succeeded()
    assert database.psql(STORED) == EXPECTED
    again = project.run("inventory.py", "deploy.py", "-y", env=path).succeeded()
    assert "created" not in again.output
    assert "changed in" not in again.output
