"""What the server has once called equal is not asked again."""

from __future__ import annotations

from pathlib import Path

from exact.declarations import SETUP, equal
from exact.test_equal import block
from harness import Database, Run, one_version
from kinds.conftest import Deploy

COMPARES = "pyinfra_postgres_deparse"


@one_version
def test_a_repeated_run_compares_nothing(
    deploy: Deploy, database: Database, tmp_path: Path
) -> None:
    kinds = ("pg.domain", "pg.statistics", "pg.index", "pg.function", "pg.policy")
    declarations = [one for one in equal(database.server.version) if one.startswith(kinds)]
    database.psql(SETUP)
    deploy.run(block(declarations)).succeeded()

    def run() -> tuple[Run, list[str]]:
        cache = {"XDG_CACHE_HOME": str(tmp_path / "kept")}
        with database.watch() as seen:
            ended = deploy.project.run("inventory.py", "deploy.py", "-y", env=cache).succeeded()
        assert ended.stdout.split() == ["[@postgres/db]", "no", "changes"]
        return ended, [one for one in seen.statements if COMPARES in one]

    assert run()[1]
    assert run()[1] == []
    # A function of another meaning may come first in the search path by now.
    database.psql("CREATE FUNCTION lower(integer) RETURNS text LANGUAGE sql AS 'SELECT ''x'''")
    assert run()[1]
    assert run()[1] == []
    (tmp_path / "kept" / "pyinfra-postgres" / "verdicts").unlink()
    assert run()[1]


@one_version
def test_a_verdict_is_of_one_shape_of_the_table(
    deploy: Deploy, database: Database, tmp_path: Path
) -> None:
    database.psql("CREATE TABLE t (a varchar(9)); CREATE TABLE u (b text)")
    deploy.project.deploy(block(["pg.table('t', constraints=[pg.Check(\"a in ('x', 'y')\")])"]))
    cache = {"XDG_CACHE_HOME": str(tmp_path / "kept")}

    def compares() -> bool:
        with database.watch() as seen:
            deploy.project.run("inventory.py", "deploy.py", "-y", env=cache).succeeded()
        return any(COMPARES in one for one in seen.statements)

    compares()
    assert compares()
    assert not compares()
    database.psql("ALTER TABLE u ADD COLUMN c integer")
    assert not compares()
    database.psql("ALTER TABLE t ADD COLUMN c integer")
    assert compares()
    assert not compares()
