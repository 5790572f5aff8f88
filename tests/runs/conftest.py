"""What several of the run tests start from."""

from __future__ import annotations

import pytest

from harness import Database, Databases, Project


@pytest.fixture
def pair(project: Project, new_database: Databases) -> tuple[Database, Database]:
    """Two databases in the inventory, as hosts one and two."""
    one, two = new_database(), new_database()
    project.inventory({"one": one.dsn, "two": two.dsn})
    return one, two
