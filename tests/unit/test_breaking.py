"""Which statements break clients that know the database as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyinfra_postgres as pg
from pyinfra_postgres.catalog.renames import own
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.access.object_privileges import Privilege, Privileges, Target
from pyinfra_postgres.objects.indexes.indexes import StoredIndex
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.operations.declarations import OPERATIONS
from pyinfra_postgres.plan.breaking import COMMANDS, STATEMENTS, breaches
from pyinfra_postgres.plan.plan import Hazard
from pyinfra_postgres.planning.clients import widens
from pyinfra_postgres.syntax.names import Exact, Name
from pyinfra_postgres.syntax.parse import statement
from unit.test_laws import KINDS, few

NOTHING: set[Hazard] = set()
BREAKING: dict[str, set[Hazard]] = {
    "ALTER TABLE a.t RENAME TO u": {Hazard.RENAMES},
    "ALTER TABLE t RENAME COLUMN a TO b": {Hazard.RENAMES},
    "ALTER VIEW v RENAME COLUMN a TO b": {Hazard.RENAMES},
    "ALTER TYPE e RENAME VALUE 'a' TO 'b'": {Hazard.RENAMES},
    "ALTER TYPE e ADD VALUE 'a'": NOTHING,
    "ALTER TYPE c RENAME ATTRIBUTE a TO b": {Hazard.RENAMES},
    "ALTER SCHEMA a RENAME TO b": {Hazard.RENAMES},
    "ALTER TABLE t SET SCHEMA b": {Hazard.RENAMES},
    "ALTER FUNCTION f(int) RENAME TO g": {Hazard.RENAMES},
    "ALTER INDEX i RENAME TO j": NOTHING,
    "ALTER TABLE t RENAME CONSTRAINT a TO b": NOTHING,
    "ALTER POLICY a ON t RENAME TO b": NOTHING,
    "DROP TABLE t": {Hazard.DROPS},
    "DROP VIEW v": {Hazard.DROPS},
    "DROP FUNCTION f(int)": {Hazard.DROPS},
    "DROP ROLE r": {Hazard.DROPS},
    "DROP INDEX i": NOTHING,
    "DROP POLICY p ON a.t": {Hazard.POLICIES},
    "ALTER TABLE t DROP COLUMN a": {Hazard.DROPS},
    "ALTER TABLE t DETACH PARTITION p CONCURRENTLY": {Hazard.DROPS},
    "ALTER TABLE t ALTER a DROP DEFAULT": {Hazard.DROPS_DEFAULT},
    "ALTER TABLE t ALTER a SET DEFAULT 1": NOTHING,
    "ALTER TABLE t ALTER a DROP IDENTITY": {Hazard.DROPS_DEFAULT},
    "ALTER TABLE t ALTER a DROP NOT NULL": {Hazard.DROPS_NOT_NULL},
    "ALTER TABLE t ALTER a SET NOT NULL": {Hazard.RESTRICTS},
    "ALTER TABLE t ALTER a TYPE bigint": {Hazard.RETYPES},
    "ALTER TABLE t ALTER a SET EXPRESSION AS (b + 1)": {Hazard.RESHAPES},
    "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID": {Hazard.RESTRICTS},
    "ALTER TABLE t VALIDATE CONSTRAINT c": NOTHING,
    "ALTER TABLE t DROP CONSTRAINT c": {Hazard.DROPS_CONSTRAINT},
    "ALTER TABLE t ADD a int": NOTHING,
    "ALTER TABLE t ADD a int NOT NULL DEFAULT 1": NOTHING,
    "ALTER TABLE t ADD a int NOT NULL": {Hazard.RESTRICTS},
    "CREATE UNIQUE INDEX i ON t (a)": {Hazard.RESTRICTS},
    "CREATE INDEX i ON t (a)": NOTHING,
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY": {Hazard.ROW_SECURITY},
    "ALTER TABLE t DISABLE ROW LEVEL SECURITY": {Hazard.ROW_SECURITY},
    "ALTER TABLE t FORCE ROW LEVEL SECURITY": {Hazard.ROW_SECURITY},
    "ALTER TABLE t NO FORCE ROW LEVEL SECURITY": {Hazard.ROW_SECURITY},
    "ALTER VIEW v SET (security_invoker = true)": {Hazard.ROW_SECURITY},
    "ALTER POLICY p ON t TO r": {Hazard.POLICIES},
    "ALTER POLICY p ON t USING (a > 0)": {Hazard.POLICIES},
    "CREATE POLICY p ON t AS RESTRICTIVE USING (true)": {Hazard.POLICIES},
    "CREATE POLICY p ON t USING (true)": NOTHING,
    "REVOKE SELECT (a) ON t FROM r": {Hazard.REVOKES},
    "GRANT SELECT ON t TO r": NOTHING,
    "REVOKE a FROM b": {Hazard.REVOKES},
    "GRANT a TO b WITH INHERIT FALSE": {Hazard.REVOKES},
    "GRANT a TO b": NOTHING,
    "ALTER ROLE r NOLOGIN": {Hazard.REVOKES},
    "ALTER ROLE r LOGIN": NOTHING,
    "ALTER TABLE t OWNER TO r": {Hazard.REVOKES},
    "ALTER DOMAIN d DROP DEFAULT": {Hazard.DROPS_DEFAULT},
    "ALTER DOMAIN d SET DEFAULT 1": NOTHING,
    "ALTER DOMAIN d SET NOT NULL": {Hazard.RESTRICTS},
    "ALTER DOMAIN d DROP NOT NULL": {Hazard.DROPS_NOT_NULL},
    "ALTER DOMAIN d ADD CHECK (VALUE > 0)": {Hazard.RESTRICTS},
    "ALTER DOMAIN d DROP CONSTRAINT c": {Hazard.DROPS_CONSTRAINT},
    "ALTER PUBLICATION p DROP TABLE t": {Hazard.DROPS},
    "ALTER TABLE t DROP COLUMN a, ALTER b SET NOT NULL": {Hazard.DROPS, Hazard.RESTRICTS},
}


def hazards(sql: str) -> set[Hazard]:
    return {one.hazard for one in breaches(statement(sql))}


@pytest.mark.parametrize("sql", BREAKING)
def test_a_statement_breaks(sql: str) -> None:
    assert hazards(sql) == BREAKING[sql]


def test_each_hazard_of_clients_is_told_of_some_statement() -> None:
    told = set().union(*BREAKING.values())
    assert told == {one for one in Hazard if one.breaks_clients}


READER = Privileges(
    Target("TABLE", Name("public", "t")), Exact("r"), frozenset({Privilege("SELECT", "")})
)
REMOVED: dict[type[Object], tuple[Object, set[Hazard]]] = {
    pg.Table: (pg.Table("t", [pg.Column("a", "text")]), {Hazard.DROPS}),
    pg.View: (pg.View("v", "SELECT 1 AS a"), {Hazard.DROPS}),
    pg.MaterializedView: (pg.MaterializedView("v", "SELECT 1 AS a"), {Hazard.DROPS}),
    pg.Function: (pg.Function("f", returns="int", body="SELECT 1"), {Hazard.DROPS}),
    pg.Procedure: (pg.Procedure("f", body="SELECT 1"), {Hazard.DROPS}),
    pg.Enum: (pg.Enum("e", ["a"]), {Hazard.DROPS}),
    pg.Domain: (pg.Domain("d", "text"), {Hazard.DROPS}),
    pg.Composite: (pg.Composite("c", [pg.Attribute("a", "text")]), {Hazard.DROPS}),
    pg.RangeType: (pg.RangeType("r", "float8"), {Hazard.DROPS}),
    pg.Sequence: (pg.Sequence("s"), {Hazard.DROPS}),
    pg.Schema: (pg.Schema("s"), {Hazard.DROPS}),
    pg.Role: (pg.Role("r"), {Hazard.DROPS}),
    pg.Extension: (pg.Extension("x"), {Hazard.DROPS}),
    pg.Publication: (pg.Publication("p", ["t"]), {Hazard.DROPS}),
    pg.Policy: (pg.Policy("p", "t", using="true"), {Hazard.POLICIES}),
    # No client names them, and each finds what it has found.
    pg.Index: (StoredIndex("i", "t", ["a"]), NOTHING),
    pg.Statistics: (pg.Statistics("s", "t", ["a", "b"]), NOTHING),
    pg.Trigger: (pg.Trigger("g", "t", when="BEFORE INSERT", function="f()"), NOTHING),
}
ELSEWHERE = {pg.Grant, pg.DefaultPrivileges, pg.Partition, pg.Partitions}
"""What has no statement of its own for its end; the tests below and beside have them."""
DO_SOMETHING = {pg.Rows, pg.Script, pg.Backfill}


def test_the_end_of_each_kind_is_known() -> None:
    assert REMOVED.keys() | ELSEWHERE | DO_SOMETHING == OPERATIONS.keys()


@pytest.mark.parametrize("kind", REMOVED, ids=lambda one: one.kind)
def test_the_end_of_a_kind_breaks_clients(kind: type[Object]) -> None:
    one, expected = REMOVED[kind]
    found = [hazards(change.sql) for change in one.diff(one, None)]
    assert set().union(*found) == expected


RENAMED = [one for one, _ in REMOVED.values() if hasattr(one, "renamed_from")]


@pytest.mark.parametrize("one", RENAMED, ids=lambda one: one.kind)
def test_another_name_breaks_clients_that_use_it(one: Any) -> None:
    import attrs

    before = Name("public", "old") if isinstance(one.name, Name) else Exact("old")
    (rename,) = own(attrs.evolve(one, renamed_from=before)).statements
    unseen = (StoredIndex, pg.Statistics, pg.Trigger, pg.Policy)
    assert hazards(rename.sql) == (NOTHING if isinstance(one, unseen) else {Hazard.RENAMES})


def test_a_privilege_that_goes_breaks_clients() -> None:
    less = Privileges(READER.target, READER.grantee, frozenset())
    (revoke,) = Privileges.diff(READER, less)
    assert hazards(revoke.sql) == {Hazard.REVOKES}


def unknown(sql: str) -> Iterator[str]:
    ((kind, node),) = statement(sql).items()
    if kind not in STATEMENTS:
        yield kind
    for one in node["cmds"] if kind == "AlterTableStmt" else ():
        if one["AlterTableCmd"]["subtype"] not in COMMANDS:
            yield one["AlterTableCmd"]["subtype"]


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_what_a_kind_does_is_known(kind: str, data: st.DataObject) -> None:
    one, other = data.draw(KINDS[kind]), data.draw(KINDS[kind])
    pairs = [(None, one), (one, other), *([] if kind == "grant" else [(one, None)])]
    for current, declared in pairs:
        try:
            found = list(one.diff(current, declared))
        except DeclarationError:
            continue  # What PostgreSQL can't change.
        for change in found:
            assert list(unknown(change.sql)) == []


@pytest.mark.parametrize(
    ("before", "after", "is_wider"),
    [
        ("character varying(20)", "character varying(40)", True),
        ("character varying(20)", "character varying", True),
        ("character varying(40)", "character varying(20)", False),
        ("character varying", "character varying(20)", False),
        ("character varying(20)", "text", False),
        ("numeric(8,2)", "numeric(10,2)", True),
        ("numeric(8,2)", "numeric(10,3)", False),
        ("timestamp(3) with time zone", "timestamp(6) with time zone", True),
        ("timestamp(3) with time zone", "timestamp(6) without time zone", False),
        ("integer", "bigint", False),
    ],
)
def test_a_type_with_more_room_breaks_nobody(before: str, after: str, is_wider: bool) -> None:
    assert widens(before, after) is is_wider
