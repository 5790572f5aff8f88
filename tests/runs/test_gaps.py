"""What a declaration needs and nothing provides is reported before anything runs, all at once."""

from __future__ import annotations

import re

import pytest

from harness import Database, Project, one_version

pytestmark = one_version

GAPS = """
    with pg.transaction():
        pg.table("fine", [pg.Column("id", "integer", primary_key=True)])
        pg.table("a.t", [pg.Column("id", "integer", references="missing_table(id)"),
                         pg.Column("kind", "missing_type"),
                         pg.Column("n", "integer", default="missing_default()")],
                 owner="missing_owner")
        pg.index("i", "missing_indexed", ["id"])
        pg.policy("p", "fine", command="SELECT", roles=["missing_role"], using="missing_check()")
        pg.trigger("tr", "fine", when="BEFORE INSERT", function="missing_trigger()",
                   for_each="ROW")
        pg.grant(["SELECT"], on="TABLE missing_granted", to="missing_grantee")
"""
NEEDS = {
    "table a.t": [
        "schema a",
        "table public.missing_table",
        "type public.missing_type",
        "function missing_default()",
        "role missing_owner",
    ],
    "index public.i": ["table public.missing_indexed"],
    "policy p on public.fine": ["role missing_role", "function missing_check()"],
    "trigger tr on public.fine": ["function missing_trigger()"],
    "grant on TABLE public.missing_granted to missing_grantee": [
        "table public.missing_granted",
        "role missing_grantee",
    ],
}


def gaps(output: str, host: str) -> set[tuple[str, str]]:
    """What needs what on a host, once for each time that it is said."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", output)
    found = re.findall(
        rf"\[@postgres/{host}\] (.*) needs (\w+ \S+), which does not exist: (.*)", plain
    )
    assert all(remedy for _, _, remedy in found)
    assert len({(title, need) for title, need, _ in found}) == len(found), plain
    return {(title, need) for title, need, _ in found}


@pytest.mark.parametrize("options", [["--dry"], ["--dry", "--diff"], ["-y"]], ids=" ".join)
def test_all_gaps_of_all_hosts_are_reported_and_nothing_runs(
    project: Project, pair: tuple[Database, Database], options: list[str]
) -> None:
    pair[1].psql("CREATE SCHEMA a")
    project.deploy(GAPS)
    before = [one.dump() for one in pair]
    with pair[0].watch() as first, pair[1].watch() as second:
        output = project.run("inventory.py", "deploy.py", *options).failed().output
    expected = {(title, need) for title, needs in NEEDS.items() for need in needs}
    assert gaps(output, "one") == expected
    assert gaps(output, "two") == gaps(output, "one") - {("table a.t", "schema a")}
    for statement in first.statements + second.statements:
        assert statement.startswith(("BEGIN READ ONLY", "SELECT pg_catalog.pg_backend_pid()"))
    assert [one.dump() for one in pair] == before


def test_a_gap_on_one_host_stops_the_others_too(
    project: Project, pair: tuple[Database, Database]
) -> None:
    """Without -y it is found while preparing, and no host has begun."""
    one, _ = pair
    one.psql("CREATE TABLE other (id integer PRIMARY KEY)")
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer", references="other(id)")])
        """
    )
    output = project.run("inventory.py", "deploy.py", "--dry").failed().output
    assert gaps(output, "two") == {("table public.t", "table public.other")}
    assert gaps(output, "one") == set()
    assert "CREATE TABLE public.t" not in one.dump()


def test_each_gap_says_what_would_provide_it(
    project: Project, pair: tuple[Database, Database]
) -> None:
    project.deploy(GAPS)
    output = project.run("inventory.py", "deploy.py", "--dry").failed().output
    for remedy in (
        'pg.schema("a"',
        'pg.table("missing_table"',
        'pg.enum("missing_type"',
        'pg.role("missing_owner"',
        'pg.function("missing_default"',
    ):
        assert remedy in output
    assert pair[0].sessions() == []


def test_what_is_declared_by_a_later_block_is_a_gap(
    project: Project, pair: tuple[Database, Database]
) -> None:
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("kind", "colour")])
        with pg.transaction():
            pg.enum("colour", ["red"])
        """
    )
    output = project.run().failed().output
    assert "table public.t needs type public.colour, which does not exist: declare it" in output
    assert "(deploy.py line 6)" in output
    assert "CREATE" not in pair[0].dump() + pair[1].dump()


def test_what_an_earlier_operation_declares_is_no_gap(
    project: Project, pair: tuple[Database, Database]
) -> None:
    project.deploy(
        """
        pg.role("gap_owner")
        with pg.transaction():
            pg.schema("a")
            pg.enum("a.colour", ["red"])
            pg.function("a.f", arguments="", returns="integer", language="sql", body="SELECT 1")
            pg.table("a.t", [pg.Column("kind", "a.colour"),
                             pg.Column("n", "integer", default="a.f()")], owner="gap_owner")
        pg.table("u", [pg.Column("rows", "a.t"), pg.Column("id", "integer", default="a.f()")])
        """
    )
    project.run("inventory.py", "deploy.py", "--dry").succeeded()
    assert "CREATE" not in pair[0].dump()
    project.run().succeeded()
    assert "CREATE TABLE public.u" in pair[1].dump()


def test_what_the_run_removes_is_a_gap_for_what_follows(
    project: Project, pair: tuple[Database, Database]
) -> None:
    for database in pair:
        database.psql("CREATE TABLE t (id integer PRIMARY KEY)")
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", present=False)
            pg.table("u", [pg.Column("id", "integer", references="t(id)")])
        """
    )
    output = project.run().failed().output
    assert "table public.u needs table public.t, which does not exist" in output
    assert "CREATE TABLE public.t" in pair[0].dump()
