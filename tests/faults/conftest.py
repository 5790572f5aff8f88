"""A server that faults may stop, with a database that each of them begins with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import NEWEST, Database, Databases, TestServer

from .law import Reference, learn
from .scene import BEFORE, ROLE

DATA: dict[str, Any] = {"postgres_history": True, "postgres_answer_timeout": 10}


@dataclass
class Field:
    """Where faults are tried."""

    databases: Databases
    template: Database
    reference: Reference

    def __call__(self) -> Database:
        """One more database as the template is."""
        made = self.databases(copy_of=self.template)
        allow(made)
        return made


def allow(database: Database) -> None:
    """Let the role that deploys keep history there."""
    database.psql(f"GRANT CREATE ON DATABASE {database.name} TO {ROLE}")


@contextlib.contextmanager
def playground(path: Path) -> Iterator[Field]:
    """A server of its own, whose commits are on disk: what was committed survives a crash."""
    with TestServer(NEWEST, synchronous_commit="on") as server:
        server.do(f"CREATE ROLE {ROLE} LOGIN")
        databases = Databases(server)
        template = databases("living")
        template.psql(BEFORE)
        tried = databases(copy_of=template)
        allow(tried)
        yield Field(databases, template, learn(tried, path, **DATA))


@pytest.fixture(scope="session")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """Where the faults of these tests are tried."""
    with playground(tmp_path_factory.mktemp("learn")) as made:
        yield made
