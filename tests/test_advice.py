"""Advice: what a catalog says of tomorrow's trouble, and what of that is accepted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.html import Page
from harness.process import Outcome, run
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.reports.advice import OF_PARTITIONS, RULES

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
           CREATE INDEX ON fine (b) WHERE b IS NOT NULL;
           CREATE TABLE parts (a int REFERENCES parent) PARTITION BY RANGE (a)""",
        {
            "foreign key child_a_fkey on public.child",
            "foreign key child_b_fkey on public.child",
            "foreign key parts_a_fkey on public.parts",
        },
    ),
    "redundant-index": (
        """CREATE TABLE t (a int PRIMARY KEY, b int, c text);
           CREATE INDEX one ON t (b); CREATE INDEX more ON t (b, c);
           CREATE INDEX key ON t (a); CREATE INDEX twin ON t (b, c);
           CREATE INDEX part ON t (b) WHERE a > 0; CREATE INDEX back ON t (b DESC);
           CREATE UNIQUE INDEX only_one ON t (b, a) INCLUDE (c);
           CREATE INDEX pattern ON t (c text_pattern_ops); CREATE INDEX plain ON t (c);
           CREATE UNIQUE INDEX second_key ON t (a); CREATE TABLE u (a int UNIQUE, b int);
           ALTER TABLE u ADD UNIQUE (a), ADD UNIQUE (a, b);
           CREATE UNIQUE INDEX loose ON u (a) NULLS NOT DISTINCT;
           CREATE TABLE parts (a int, b int) PARTITION BY RANGE (a);
           CREATE INDEX short ON parts (a); CREATE INDEX long ON parts (a, b)""",
        {
            *("index public.one", "index public.key", "index public.twin"),
            *("index public.second_key", "index public.u_a_key1", "index public.short"),
        },
    ),
    "invalid-index": (
        """CREATE TABLE t (a int); CREATE INDEX broken ON t (a); CREATE INDEX fine ON t ((a + 1));
           UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass""",
        {"index public.broken"},
    ),
    "constraint-not-validated": (
        """CREATE TABLE t (a int CHECK (a > 0));
           ALTER TABLE t ADD CONSTRAINT later CHECK (a < 9) NOT VALID; CREATE DOMAIN d AS int;
           ALTER DOMAIN d ADD CONSTRAINT d_later CHECK (VALUE < 9) NOT VALID""",
        {"constraint later on public.t", "constraint d_later on domain public.d"},
    ),
    "sequence-near-its-end": (
        """CREATE SEQUENCE near MAXVALUE 100; CREATE SEQUENCE far MAXVALUE 100;
           CREATE SEQUENCE round MAXVALUE 100 CYCLE;
           CREATE TABLE t (a int); CREATE SEQUENCE of_column OWNED BY t.a;
           CREATE SEQUENCE small AS smallint;
           SELECT setval('near', 76), setval('far', 74), setval('round', 99),
                  setval('of_column', 2000000000), setval('small', 30000)""",
        {"sequence public.near", "sequence public.of_column", "sequence public.small"},
    ),
    "disabled-trigger": (
        """CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RETURN NEW; END';
           CREATE TRIGGER off BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
           CREATE TRIGGER fine BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
           ALTER TABLE t DISABLE TRIGGER off;
           CREATE TABLE whole (a int) PARTITION BY RANGE (a);
           CREATE TABLE part PARTITION OF whole DEFAULT;
           CREATE TRIGGER each AFTER INSERT ON whole FOR EACH ROW EXECUTE FUNCTION f();
           ALTER TABLE part DISABLE TRIGGER each""",
        {"trigger off on public.t", "trigger each on public.part"},
    ),
    "definer-without-search-path": (
        """CREATE FUNCTION open(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
           CREATE FUNCTION pinned() RETURNS int LANGUAGE sql SECURITY DEFINER
             SET search_path = pg_catalog AS 'SELECT 1';
           CREATE FUNCTION own() RETURNS int LANGUAGE sql AS 'SELECT 1'""",
        {"function public.open(integer)"},
    ),
    "definer-with-open-search-path": (
        """CREATE SCHEMA open; GRANT CREATE ON SCHEMA open TO PUBLIC; CREATE SCHEMA "My Own";
           CREATE FUNCTION first() RETURNS int LANGUAGE sql SECURITY DEFINER
             SET search_path = "My Own", public AS 'SELECT 1';
           CREATE FUNCTION empty() RETURNS int LANGUAGE sql SECURITY DEFINER
             SET search_path = '' AS 'SELECT 1';
           CREATE FUNCTION anybody() RETURNS int LANGUAGE sql SECURITY DEFINER
             SET search_path = open, pg_temp AS 'SELECT 1';
           CREATE FUNCTION fine() RETURNS int LANGUAGE sql SECURITY DEFINER
             SET search_path = "My Own", pg_catalog, pg_temp AS 'SELECT 1';
           CREATE FUNCTION own() RETURNS int LANGUAGE sql SET search_path = open AS 'SELECT 1'""",
        {
            *("function public.first()", "function public.empty()"),
            "function public.anybody()",
        },
    ),
    "policies-without-row-security": (
        """CREATE TABLE off (a int); CREATE POLICY p ON off USING (true);
           CREATE TABLE fine (a int); CREATE POLICY p ON fine USING (true);
           ALTER TABLE fine ENABLE ROW LEVEL SECURITY""",
        {"table public.off"},
    ),
}

NO_MEND = ("sequence public.near", "sequence public.of_column", "function public.anybody()")

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
    # Nothing mends these by itself.
    left = {one for one in findings if not findings[one]["mend"]}
    assert found(advise(database)[1], rule).keys() == left
    assert left <= {*NO_MEND}


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
    database.psql(
        f"""CREATE SCHEMA f; CREATE FUNCTION f.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
            CREATE SCHEMA c; CREATE TABLE c.c (a int); CREATE SCHEMA q; CREATE SEQUENCE q.q;
            GRANT EXECUTE ON FUNCTION f.f TO lost_{database.name};
            GRANT SELECT (a) ON c.c TO lost_{database.name};
            GRANT USAGE ON SEQUENCE q.q TO lost_{database.name}"""
    )
    (_, host) = advise(database)
    mends = {one["mend"] for one in host["findings"] if one["rule"] == rule}
    assert mends == {f"GRANT USAGE ON SCHEMA {one} TO lost_{database.name}" for one in "fcq"}


@one_version
def test_every_rule_can_be_asked_of_an_empty_database(database: Database, advise: Advise) -> None:
    findings = advise(database)[1]["findings"]
    assert {one["rule"] for one in findings} <= {"server-behind"}
    others = {"grant-without-schema-usage", "extension-behind", "server-behind"}
    assert {*SINS, *others} == set(RULES)
    assert {one[0] for one in PARTITIONED.values()} == set(OF_PARTITIONS)


# By case a rule, what has the finding, what is said of it, and whether mending it is a statement.
PARTITIONED: dict[str, tuple[str, str, str, str]] = {
    "months that end": (
        "partitions-run-out",
        """CREATE TABLE t (at timestamptz) PARTITION BY RANGE (at);
           CREATE TABLE t_a PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
           CREATE TABLE t_b PARTITION OF t FOR VALUES FROM ('2025-02-01') TO ('2025-03-01')""",
        "table public.t",
        "its last partition has ended, on 2025-03-01: after that there is none",
    ),
    "another period": (
        "partitions-run-out",
        """CREATE TABLE t (at date) PARTITION BY RANGE (at);
           DO $$ BEGIN EXECUTE format('CREATE TABLE t_a PARTITION OF t FOR VALUES FROM (%L)
             TO (%L)', current_date - 5, current_date + 5); END $$""",
        "table public.t",
        "its last partition ends in 5 days",
    ),
    "a gap in time": (
        "partition-gap",
        """CREATE TABLE t (at timestamp) PARTITION BY RANGE (at);
           CREATE TABLE t_a PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2025-02-01');
           CREATE TABLE t_b PARTITION OF t FOR VALUES FROM ('2025-03-01') TO (MAXVALUE)""",
        "table public.t",
        "there is no partition from 2025-02-01 to 2025-03-01",
    ),
    "a gap in numbers": (
        "partition-gap",
        """CREATE TABLE t (n bigint) PARTITION BY RANGE (n);
           CREATE TABLE t_a PARTITION OF t FOR VALUES FROM (-20) TO (-10);
           CREATE TABLE t_b PARTITION OF t FOR VALUES FROM (0) TO (MAXVALUE)""",
        "table public.t",
        "there is no partition from -10 to 0",
    ),
    "a remainder": (
        "partition-gap",
        """CREATE TABLE t (n int) PARTITION BY HASH (n);
           CREATE TABLE t_a PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);
           CREATE TABLE t_b PARTITION OF t FOR VALUES WITH (MODULUS 4, REMAINDER 3)""",
        "table public.t",
        "1 of 4 remainders have no partition: such rows are refused",
    ),
    "no catch-all": (
        "no-default-partition",
        """CREATE TABLE t (n text) PARTITION BY LIST (n);
           CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a')""",
        "table public.t",
        "it has no default partition: a row for which there is none is refused",
    ),
    "rows that wait": (
        "rows-in-default-partition",
        """CREATE TABLE t (at timestamptz) PARTITION BY RANGE (at);
           CREATE TABLE t_a PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
           CREATE TABLE t_rest PARTITION OF t DEFAULT; INSERT INTO t VALUES ('2025-02-03')""",
        "table public.t_rest",
        "1 row is in it: they stand against partitions of their own",
    ),
    "an index on the parent only": (
        "index-without-partition",
        """CREATE TABLE "T" (n int, m text) PARTITION BY LIST (n);
           CREATE TABLE t_a PARTITION OF "T" FOR VALUES IN (1);
           CREATE TABLE t_b PARTITION OF "T" FOR VALUES IN (2);
           CREATE UNIQUE INDEX i ON ONLY "T" (n, lower(m)) WHERE n > 0;
           CREATE UNIQUE INDEX twin ON t_a (n, lower(m)) WHERE n > 0;
           CREATE INDEX other ON t_a (n, lower(m)) WHERE n > 0""",
        "index public.i",
        "it has no part on public.t_a, public.t_b, and is INVALID",
    ),
}


@one_version
@pytest.mark.parametrize("case", PARTITIONED)
def test_partitions_are_looked_at(database: Database, advise: Advise, case: str) -> None:
    rule, sin, what, said = PARTITIONED[case]
    database.psql(sin)
    finding = found(advise(database)[1], rule)[what]
    assert finding["said"].startswith(said)
    for _ in range(2):  # An index is created first, and attached then.
        mend = found(advise(database)[1], rule).get(what, {"mend": ""})["mend"]
        if mend.startswith("pg."):
            operation = partial(eval, mend, {"pg": pg})
            run(database, operation, postgres_allow="t_rest").succeeded()
        else:
            database.psql(mend or "SELECT")
    assert found(advise(database)[1], rule) == {}


@one_version
def test_partitions_that_are_as_they_should_be(database: Database, advise: Advise) -> None:
    def deploy() -> None:
        pg.table("t", [pg.Column("at", "timestamptz", nullable=False)], partition_by="RANGE (at)")
        pg.partitions("t", every="month", start="2026-01", ahead=2, default=True)
        pg.index("t_at", "t", ["at"])

    run(database, deploy).succeeded()
    database.psql(
        """CREATE TABLE h (n int) PARTITION BY HASH (n);
           CREATE TABLE h_a PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0);
           CREATE TABLE h_b PARTITION OF h FOR VALUES WITH (MODULUS 4, REMAINDER 1);
           CREATE TABLE h_c PARTITION OF h FOR VALUES WITH (MODULUS 4, REMAINDER 3);
           CREATE TABLE odd (at timestamptz, n int) PARTITION BY RANGE (at, n);
           CREATE TABLE odd_a PARTITION OF odd FOR VALUES FROM ('2020-01-01', 1) TO ('infinity', 2);
           CREATE TABLE odd_rest PARTITION OF odd DEFAULT"""
    )
    findings = advise(database)[1]["findings"]
    assert {one["rule"] for one in findings} <= {"server-behind"}


@one_version
def test_large_default_partitions_are_not_counted(database: Database, advise: Advise) -> None:
    database.psql(
        """CREATE TABLE t (n int, m text) PARTITION BY LIST (n);
           CREATE TABLE t_rest PARTITION OF t DEFAULT;
           INSERT INTO t SELECT n, repeat('x', 900) FROM generate_series(1, 10000) n;
           ANALYZE t_rest"""
    )
    with database.watch() as seen:
        finding = found(advise(database)[1], "rows-in-default-partition")["table public.t_rest"]
    assert finding["said"].startswith("about 10000 rows are, as the planner estimates, in it")
    assert not [one for one in seen.statements if "count(*)) FROM ONLY" in one]


@one_version
def test_a_server_that_is_behind(database: Database) -> None:
    major, minor = (int(one) for one in database.psql("SHOW server_version").split(".")[:2])
    since = {15: "2022-11-10", 16: "2023-11-09", 17: "2024-11-14", 18: "2025-11-13"}
    query = RULES["server-behind"]

    def said(day: str) -> list[str]:
        return [row[1] for row in database.rows(query.replace("current_date", f"date '{day}'"))]

    first = date.fromisoformat(since[major])
    assert said(str(first)) == []
    # A week is time enough.
    later = str(first.replace(year=first.year + 4, month=12, day=1))
    assert said(later) == [f"it is PostgreSQL {major}.{minor}, and {major}.17 at least is released"]
    assert (
        said("2031-01-01")
        == [row for row in said("2031-01-01") if "is no longer kept" in row]
        != []
    )


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
