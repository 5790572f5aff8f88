"""What was created from its declaration is as declared, also in a copy made by pg_dump."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from exact.declarations import SETUP, equal
from harness import Database, Databases, Run, TestServer
from kinds.conftest import Deploy, outcomes

MANY = 50


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


def parts(declarations: Iterable[str]) -> Iterator[list[str]]:
    """Some at a time: a table that many operations declare is compared for each of them."""
    part: list[str] = []
    for one in declarations:
        # Partitions come right after their table.
        if len(part) >= MANY and not one.startswith("pg.partitions"):
            yield part
            part = []
        part.append(one)
    yield part


def test_what_a_declaration_created_is_as_declared(
    deploy: Deploy, server: TestServer, new_database: Databases
) -> None:
    for declarations in parts(equal(server.version)):
        original = new_database()
        original.psql(SETUP)
        deploy.project.inventory({"db": original.dsn})
        deploy.run(block(declarations)).succeeded()
        assert differing(deploy.run().succeeded(), declarations) == []
        copy = copied(original, new_database())
        deploy.project.inventory({"db": copy.dsn})
        with copy.untouched():
            assert differing(deploy.run().succeeded(), declarations) == []
