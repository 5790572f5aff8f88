"""Advice: what a catalog says of tomorrow's trouble, and what of that is accepted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.html import Page
from harness.process import Outcome, run
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.reports.advice import RULES

# By rule: what has a finding about an object, and its like that has none.
SINS = {
    "foreign-key-without-index": (
        """CREATE TABLE parent (id int PRIMARY KEY, other int, UNIQUE (id, other));
           CREATE TABLE child (a int REFERENCES parent, b int REFERENCES parent, c int, d int,
             FOREIGN KEY (c, d) REFERENCES parent (id, other));
           CREATE INDEX ON child (b, a) WHERE b > 0;
           CREATE INDEX ON child (d, c, a);
           CREATE TABLE fine (a int REFERENCES parent, b int REFERENCES parent);
           CREATE INDEX ON fine (a, b);
           CREATE INDEX ON fine (b) WHERE b IS NOT NULL""",
        {
            "foreign key child_a_fkey on public.child",
            "foreign key child_b_fkey on public.child",
        },
    ),
    "redundant-index": (
        """CREATE TABLE t (a int PRIMARY KEY, b int, c text);
           CREATE INDEX one ON t (b); CREATE INDEX more ON t (b, c);
           CREATE INDEX key ON t (a); CREATE INDEX twin ON t (b, c);
           CREATE INDEX part ON t (b) WHERE a > 0; CREATE INDEX back ON t (b DESC);
           CREATE UNIQUE INDEX only_one ON t (b, a) INCLUDE (c);
           CREATE INDEX pattern ON t (c text_pattern_ops); CREATE INDEX plain ON t (c)""",
        {"index public.one", "index public.key", "index public.twin"},
    ),
    "invalid-index": (
        """CREATE TABLE t (a int); CREATE INDEX broken ON t (a); CREATE INDEX fine ON t ((a + 1));
           UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass""",
        {"index public.broken"},
    ),
    "constraint-not-validated": (
        """CREATE TABLE t (a int CHECK (a > 0));
           ALTER TABLE t ADD CONSTRAINT later CHECK (a < 9) NOT VALID""",
        {"constraint later on public.t"},
    ),
    "sequence-near-its-end": (
        """CREATE SEQUENCE near MAXVALUE 100; CREATE SEQUENCE far MAXVALUE 100;
           CREATE SEQUENCE round MAXVALUE 100 CYCLE;
           SELECT setval('near', 76), setval('far', 74), setval('round', 99)""",
        {"sequence public.near"},
    ),
    "disabled-trigger": (
        """CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RETURN NEW; END';
           CREATE TRIGGER off BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
           CREATE TRIGGER fine BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
           ALTER TABLE t DISABLE TRIGGER off""",
        {"trigger off on public.t"},
    ),
    "definer-without-search-path": (
        """CREATE FUNCTION open(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
           CREATE FUNCTION pinned() RETURNS int LANGUAGE sql SECURITY DEFINER
             SET search_path = pg_catalog AS 'SELECT 1';
           CREATE FUNCTION own() RETURNS int LANGUAGE sql AS 'SELECT 1'""",
        {"function public.open(integer)"},
    ),
    "policies-without-row-security": (
        """CREATE TABLE off (a int); CREATE POLICY p ON off USING (true);
           CREATE TABLE fine (a int); CREATE POLICY p ON fine USING (true);
           ALTER TABLE fine ENABLE ROW LEVEL SECURITY""",
        {"table public.off"},
    ),
}

Advise = Callable[..., tuple[Outcome, dict[str, Any]]]


@pytest.fixture
def advise(tmp_path: Path) -> Advise:
    """Verifies a database: how the run ended, and what is known of the host."""

    def advise(database: Database, **given: Any) -> tuple[Outcome, dict[str, Any]]:
        def verify() -> None:
            with pg.verification(report=str(tmp_path), **given):
                pg.check("it is there", "SELECT 1", [(1,)])

        outcome = run(database, verify)
        (path,) = tmp_path.glob("*/report.json")
        for page in path.parent.glob("*.html"):
            Page.read(page)
        return outcome, json.loads(path.read_text())["hosts"][0]

    return advise


def found(host: dict[str, Any], rule: str) -> dict[str, dict[str, Any]]:
    return {one["what"]: one for one in host["findings"] if one["rule"] == rule}


@one_version
@pytest.mark.parametrize("rule", SINS)
def test_a_finding_ends_with_the_statement_that_mends_it(
    database: Database, advise: Advise, rule: str
) -> None:
    sin, expected = SINS[rule]
    database.psql(sin)
    outcome, host = advise(database)
    outcome.succeeded()
    findings = found(host, rule)
    # A foreign key of several columns needs them at the beginning, in any order.
    assert findings.keys() == expected
    for one in findings.values():
        if one["mend"]:
            database.psql(one["mend"])
    if rule != "sequence-near-its-end":
        assert found(advise(database)[1], rule) == {}


@one_version
def test_what_is_granted_needs_the_way_to_it(database: Database, advise: Advise) -> None:
    database.psql(
        f"""CREATE ROLE lost_{database.name}; CREATE SCHEMA s; CREATE TABLE s.t (a int);
            GRANT SELECT ON s.t TO lost_{database.name}"""
    )
    rule = "grant-without-schema-usage"
    (finding,) = found(advise(database)[1], rule).values()
    assert finding["what"] == f"role lost_{database.name}"
    database.psql(finding["mend"])
    assert found(advise(database)[1], rule) == {}


@one_version
def test_every_rule_can_be_asked_of_an_empty_database(database: Database, advise: Advise) -> None:
    assert advise(database)[1]["findings"] == []
    assert {*SINS, "grant-without-schema-usage", "extension-behind"} == set(RULES)


@one_version
def test_accepting_needs_a_reason_and_may_expire(database: Database, advise: Advise) -> None:
    database.psql(SINS["invalid-index"][0])
    what = "index public.broken"
    kept = pg.Accepted("invalid-index", what, "it is built anew on Sunday")
    outcome, host = advise(database, accepted=[kept], fail_on="invalid-index")
    outcome.succeeded()
    assert found(host, "invalid-index")[what]["accepted"] == kept.reason
    over = pg.Accepted("invalid-index", what, "it is built anew on Sunday", until="2020-01-05")
    outcome, host = advise(database, accepted=[over], fail_on="invalid-index")
    assert "invalid-index: index public.broken" in outcome.refused().messages
    assert "accepted until 2020-01-05" in found(host, "invalid-index")[what]["said"]
    stale = pg.Accepted("invalid-index", "index public.gone", "it is built anew")
    _, host = advise(database, accepted=[stale])
    assert found(host, "accepted-in-vain").keys() == {"index public.gone"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("no-such-rule", "x", "y"), "rule is one of"),
        (("invalid-index", "", "y"), "not empty"),
        (("invalid-index", "x", " "), "not empty"),
        (("invalid-index", "x", "y", "soon"), "YYYY-MM-DD"),
    ],
)
def test_what_can_not_be_accepted(given: Sequence[str], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        pg.Accepted(*given)
