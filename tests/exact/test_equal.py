"""What was created from its declaration is as declared, also in a copy made by pg_dump."""

from __future__ import annotations

from collections.abc import Sequence

from exact.declarations import SETUP, equal
from harness import Database, Run
from kinds.conftest import Deploy, outcomes


def block(declarations: Sequence[str]) -> str:
    """A deploy in which the name of each operation is its number."""
    lines = [
        f"    {one.replace('§', str(n))[:-1]}, name='{n}')\n" for n, one in enumerate(declarations)
    ]
    return "with pg.transaction():\n" + "".join(lines)


def differing(run: Run, declarations: Sequence[str]) -> list[str]:
    """The declarations for which a run did anything."""
    seen = outcomes(run)
    assert len(seen) == len(declarations) + 2, run.output
    return [one for n, one in enumerate(declarations) if seen[str(n)] != "No changes"]


def copied(original: Database, copy: Database) -> Database:
    """Another database with all that the original has."""
    dump = original.server.run("pg_dump", original.dsn)
    assert dump.rc == 0, dump.stderr
    copy.psql(dump.stdout)
    return copy


def test_what_a_declaration_created_is_as_declared(
    deploy: Deploy, database: Database, copy: Database
) -> None:
    declarations = list(equal(database.server.version))
    database.psql(SETUP)
    deploy.run(block(declarations)).succeeded()
    assert differing(deploy.run().succeeded(), declarations) == []
    deploy.project.inventory({"db": copied(database, copy).dsn})
    before = copy.dump()
    assert differing(deploy.run().succeeded(), declarations) == []
    assert copy.dump() == before
