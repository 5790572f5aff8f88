"""What the attacks share: roles that own little, and code of theirs that nobody else may run."""

from __future__ import annotations

import secrets

import pytest

from harness import Database


class Trap:
    """Code of other roles that tells the server's log when it runs, and as whom."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.mark = f"trap {secrets.token_hex(6)}"

    def body(self, result: str = "RETURN NULL") -> str:
        """The body of a PL/pgSQL function that is caught running, as a string of SQL."""
        return f"$trap$ BEGIN RAISE LOG '{self.mark} as %', current_user; {result}; END $trap$"

    def function(
        self, signature: str, returns: str, result: str = "RETURN NULL", *, owner: str
    ) -> None:
        """Create one that belongs to a role, which needs no more rights than it would need."""
        self.as_role(
            owner,
            f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE plpgsql"
            f" AS {self.body(result)}",
        )

    def as_role(self, role: str, sql: str) -> str:
        """What SQL prints that a role runs with its own rights."""
        return self.database.psql(f'SET ROLE "{role}";\n{sql}')

    def sprung(self) -> list[str]:
        """What the server's log has of it: nothing, where nobody has run it."""
        entries = self.database.server.log_entries()
        return [one.message for one in entries if one.message.startswith(self.mark)]


@pytest.fixture
def trap(database: Database) -> Trap:
    """A trap in the database."""
    return Trap(database)


@pytest.fixture
def stranger(database: Database) -> str:
    """A role that may log in and has no rights but everybody's."""
    role = f"stranger_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {role} LOGIN")
    return role
