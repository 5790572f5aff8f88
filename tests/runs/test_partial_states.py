"""From wherever an earlier attempt stopped, one run of the platform's deploy goes to the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import postgast
import pytest

from harness import NEWEST, Database, Databases, Platform, Project, TestServer

HOSTS = 24  # in one run
ROWS = "SELECT slug, email FROM organization JOIN auth.users_extended ON org_id = organization.id"


@dataclass(frozen=True)
class Way:
    """The statements of a deploy onto an empty database, and where they lead."""

    statements: list[str]
    dump: str
    rows: list[tuple[str, ...]]


def statements_of(script: str) -> list[str]:
    """The statements of a message that change the database, as PostgreSQL's parser splits them."""
    frame = re.compile(r"(BEGIN|COMMIT|SET LOCAL|DO \$same\$)")
    return [one for one in postgast.split(script) if not frame.match(one)]


@pytest.fixture
def databases(server: TestServer) -> Iterator[Databases]:
    """Makes databases on a server that goes away with them: to drop them all takes longer."""
    with TestServer(server.label) as own:
        yield Databases(own)


@pytest.fixture
def way(databases: Databases, tmp_path: Path) -> Way:
    """The whole way, as the server's log has it."""
    database = databases()
    platform = Platform(Project(tmp_path / "whole"))
    with database.watch() as seen:
        platform("deploy", database, sync_fixtures=True).succeeded()
    scripts = [one for one in seen.statements if "CREATE TABLE public.sync_progress" in one]
    (script,) = [one for one in scripts if one.endswith("COMMIT")]
    return Way(statements_of(script), database.dump(), database.rows(ROWS))


def test_every_prefix_of_a_deploy_heals_in_one_run(
    server: TestServer, databases: Databases, way: Way, tmp_path: Path
) -> None:
    """All prefixes on the newest version, every fifth on the others."""
    assert len(way.statements) > 130
    assert way.rows == [("test-org", "test@example.com")]
    step = 1 if server.label == NEWEST else 5

    prefixes: dict[int, Database] = {}
    database = databases()  # roles are the server's, so the role is there already
    for count, statement in enumerate(way.statements, start=1):
        if count % step == 0 or count == len(way.statements):
            prefixes[count] = database
            database = databases(copy_of=database)
        if not statement.startswith("CREATE ROLE"):
            database.psql(statement)
    prefixes[len(way.statements) + 1] = database

    # Two runs at a time, each with many databases that begin at different places.
    groups = [
        list(prefixes.values())[start : start + HOSTS] for start in range(0, len(prefixes), HOSTS)
    ]

    def heal(number: int) -> None:
        platform = Platform(Project(tmp_path / str(number)))
        platform("deploy", groups[number], sync_fixtures=True).succeeded()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(heal, range(len(groups))))
        dumps = dict(zip(prefixes, pool.map(Database.dump, prefixes.values()), strict=True))
    assert [count for count, dump in dumps.items() if dump != way.dump] == []
    assert [n for n, one in prefixes.items() if one.rows(ROWS) != way.rows] == []
