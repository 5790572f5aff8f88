"""What several of the run tests start from."""

from __future__ import annotations

import pytest

from harness import Database, Databases, Project

SLOW = """
    with pg.transaction():
        pg.table("t", [pg.Column("id", "integer", primary_key=True)])
        pg.sql("SELECT pg_sleep(1.5)", unless="SELECT EXISTS (SELECT FROM pg_tables "
               "WHERE tablename = 'u')")
        pg.table("u", [pg.Column("id", "integer")])
"""


def sleeping(database: Database) -> bool:
    """Whether a run of SLOW has come to its sleep."""
    return any("pg_sleep" in query for _, state, query in database.sessions() if state == "active")


@pytest.fixture
def pair(project: Project, new_database: Databases) -> tuple[Database, Database]:
    """Two databases in the inventory, as hosts one and two."""
    one, two = new_database(), new_database()
    project.inventory({"one": one.dsn, "two": two.dsn})
    return one, two
