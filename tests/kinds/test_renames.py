from __future__ import annotations

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run
from kinds.conftest import Deploy

BEFORE = """
    CREATE TYPE old_state AS ENUM ('new', 'finished');
    CREATE SEQUENCE old_number;
    CREATE FUNCTION old_check(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
    CREATE TABLE parent (id serial PRIMARY KEY, old_org int UNIQUE);
    CREATE TABLE old_job (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      old_org int NOT NULL REFERENCES parent (old_org),
      number bigint DEFAULT nextval('old_number'),
      state old_state NOT NULL DEFAULT 'finished',
      twice int GENERATED ALWAYS AS (old_org * 2) STORED,
      CHECK (old_org IN (1, 2, 3)),
      CONSTRAINT old_positive CHECK (old_check(old_org)),
      EXCLUDE USING btree (old_org WITH =) WHERE (state IN ('finished'))
    );
    CREATE INDEX old_index ON old_job (old_org, abs(old_org) DESC) INCLUDE (number)
      WHERE old_org IN (1, 2) AND state IN ('new', 'finished');
    CREATE STATISTICS old_stats ON old_org, state FROM old_job;
    ALTER TABLE old_job ENABLE ROW LEVEL SECURITY;
    CREATE POLICY old_policy ON old_job USING (
      old_org IN (SELECT old_org FROM parent WHERE old_job.state IN ('finished', 'new')));
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER old_trigger BEFORE UPDATE OF old_org ON old_job
      FOR EACH ROW WHEN (old.old_org IN (1, 2)) EXECUTE FUNCTION f();
    CREATE VIEW old_view AS SELECT id, old_org AS org FROM old_job WHERE state IN ('finished');
    GRANT SELECT (old_org), UPDATE (old_org) ON old_job TO pg_monitor;
    INSERT INTO parent (old_org) VALUES (1);
    INSERT INTO old_job (old_org) VALUES (1);
"""
AFTER = """
with pg.transaction():
    pg.enum("state", ["new", "done"], renamed={"finished": "done"}, renamed_from="old_state")
    pg.sequence("number", renamed_from="old_number")
    pg.function("positive", arguments="int", returns="bool", volatility="IMMUTABLE",
                body="SELECT $1 > 0", renamed_from="old_check")
    pg.table("parent", [
        pg.Column("id", "serial", primary_key=True),
        pg.Column("org", "int", unique=True, renamed_from="old_org"),
    ])
    pg.table("job", [
        pg.Column("id", "bigint", identity="ALWAYS", primary_key=True),
        pg.Column("org", "int", nullable=False, references="parent(org)", renamed_from="old_org"),
        pg.Column("number", "bigint", default="nextval('public.number'::regclass)"),
        pg.Column("state", "state", nullable=False, default="'done'"),
        pg.Column("twice", "int", generated="org * 2"),
    ], constraints=[
        pg.Check("org IN (1, 2, 3)"),
        pg.Check("positive(org)", name="positive", renamed_from="old_positive"),
        pg.Exclude(("org", "="), using="btree", where="state IN ('done')"),
    ], renamed_from="old_job")
    pg.index("index", "job", ["org", "abs(org) DESC"], include=["number"],
             where="org IN (1, 2) AND state IN ('new', 'done')", renamed_from="old_index")
    pg.statistics("stats", "job", ["state", "org"], renamed_from="old_stats")
    pg.policy("policy", "job", renamed_from="old_policy",
              using="org IN (SELECT org FROM parent WHERE job.state IN ('done', 'new'))")
    pg.trigger("trigger", "job", when="BEFORE UPDATE OF org", function="f()",
               condition="old.org IN (1, 2)", renamed_from="old_trigger")
    pg.view("job_view", "SELECT id, org FROM job WHERE state IN ('done')", renamed_from="old_view")
    pg.grant(["SELECT (org)", "UPDATE (org)"], on="job", to="pg_monitor")
"""
RENAMES = [
    "ALTER TYPE public.old_state RENAME TO state",
    "ALTER TYPE public.state RENAME VALUE 'finished' TO 'done'",
    "ALTER SEQUENCE public.old_number RENAME TO number",
    "ALTER FUNCTION public.old_check(integer) RENAME TO positive",
    "ALTER TABLE public.parent RENAME COLUMN old_org TO org",
    "ALTER TABLE public.old_job RENAME TO job",
    "ALTER TABLE public.job RENAME COLUMN old_org TO org",
    "ALTER TABLE public.job RENAME CONSTRAINT old_positive TO positive",
    "ALTER INDEX public.old_index RENAME TO index",
    "ALTER STATISTICS public.old_stats RENAME TO stats",
    "ALTER POLICY old_policy ON public.job RENAME TO policy",
    "ALTER TRIGGER old_trigger ON public.job RENAME TO trigger",
    "ALTER VIEW public.old_view RENAME TO job_view",
]


def test_renaming_everything_at_once_changes_names_and_nothing_else(deploy: Deploy) -> None:
    deploy.database.psql(BEFORE)
    with deploy.database.watch() as seen:
        deploy.run(AFTER).succeeded()
    altered = [
        one.rstrip(";")
        for text in seen.statements
        if "pg_temp." not in text
        for one in text.split("\n")
        if one.startswith(("ALTER", "CREATE", "DROP", "GRANT", "REVOKE"))
    ]
    assert altered == RENAMES
    deploy.unchanged()
    assert deploy.database.psql("SELECT org, state, twice FROM job") == "1|done|2"


MOVED = """
with pg.transaction():
    pg.schema("shop", renamed_from="store")
    pg.enum("shop.state", ["new", "done"], renamed_from="state")
    pg.domain("shop.amount", "int", checks=pg.Check("VALUE IN (1, 2)", name="small",
                                                    renamed_from="tiny"), renamed_from="amount")
    pg.table("shop.item", [
        pg.Column("id", "serial", primary_key=True),
        pg.Column("state", "shop.state", default="'new'"),
        pg.Column("amount", "shop.amount"),
    ], constraints=[pg.Check("state IN ('new', 'done')")], renamed_from="thing")
    pg.sequence("shop.thing_id_seq", owned_by="shop.item.id")
    pg.index("thing_done", "shop.item", "id", where="state IN ('new', 'done')")
    pg.function("shop.states", returns="SETOF shop.state", body="SELECT state FROM shop.item",
                renamed_from="states")
    pg.view("shop.new_item", "SELECT id FROM shop.item WHERE state IN ('new')",
            renamed_from="new_thing")
    pg.grant("USAGE", on="TYPE shop.state", to="pg_monitor")
    pg.table("shop.other", [pg.Column("item", "int", references="shop.item(id)")])
    pg.policy("own", "shop.other",
              using="item IN (SELECT id FROM shop.item WHERE state IN ('new', 'done'))")
"""


@one_version
def test_what_is_in_the_wrong_schema_moves_with_all_that_is_its_own(deploy: Deploy) -> None:
    deploy.database.psql(
        """
        CREATE SCHEMA store;
        CREATE TYPE state AS ENUM ('new', 'done');
        CREATE DOMAIN amount AS int CONSTRAINT tiny CHECK (VALUE IN (1, 2));
        CREATE TABLE thing (id serial PRIMARY KEY, state state DEFAULT 'new', amount amount,
          CHECK (state IN ('new', 'done')));
        CREATE INDEX thing_done ON thing (id) WHERE state IN ('new', 'done');
        CREATE FUNCTION states() RETURNS SETOF state LANGUAGE sql AS 'SELECT state FROM thing';
        CREATE VIEW new_thing AS SELECT id FROM thing WHERE state IN ('new');
        GRANT USAGE ON TYPE state TO pg_monitor;
        CREATE TABLE store.other (item int REFERENCES thing (id));
        CREATE POLICY own ON store.other USING (
          item IN (SELECT id FROM thing WHERE state IN ('new', 'done')));
        INSERT INTO thing (amount) VALUES (1)
        """
    )
    run = deploy.run(MOVED).succeeded()
    assert "1 created" not in run.output
    deploy.unchanged()
    assert deploy.database.psql("SELECT * FROM shop.item, shop.states()") == "1|new|1|new"


@one_version
def test_a_rename_that_could_mean_two_things_is_refused(deploy: Deploy) -> None:
    deploy.database.psql(
        """
        CREATE SCHEMA shop;
        CREATE TABLE one (id int, a int, b int); CREATE TABLE uno (id int);
        CREATE TABLE shop.two (id int); CREATE TABLE three (id int); CREATE VIEW drei AS SELECT 1;
        CREATE TABLE four (a int, c int);
        CREATE TYPE state AS ENUM ('new', 'old')
        """
    )
    before = deploy.database.dump()
    run = deploy.run(
        """
with pg.transaction():
    pg.table("one", [pg.Column("id", "int")], renamed_from="uno")
    pg.table("one", [pg.Column("b", "int", renamed_from="a")])
    pg.table("shop.zwei", [pg.Column("id", "int")], renamed_from="two")
    pg.table("drei", [pg.Column("id", "int")], renamed_from="three")
    pg.table("four", [pg.Column("b", "int", renamed_from="a")])
    pg.table("four", [pg.Column("a", "int")])
    pg.table("four", [pg.Column("c", "int")])
    pg.table("four", [pg.Column("d", "int", renamed_from="c")])
    pg.enum("state", ["new", "old", "older"], renamed={"ancient": "older"})
    pg.enum("condition", ["new", "old", "older"], renamed_from="state")
"""
    )
    assert run.code != 0
    assert deploy.database.dump() == before
    for text in (
        "table public.one: table public.uno and table public.one are both there: move what is",
        "table public.one: column a and column b are both there",
        "table public.two, its former name, does not exist, but table shop.two does",
        "table public.three can't become table public.drei: something else has that name",
        "operation 'table public.four' gives column a another name",
        "operation 'table public.four' gives column c another name",
        "operation 'enum public.condition' gives enum public.state another name",
    ):
        assert text in run.output, text


@one_version
def test_a_former_name_stays_in_the_declaration_for_hosts_that_are_behind(deploy: Deploy) -> None:
    deploy.apply(
        'pg.table("t", [pg.Column("b", "int", renamed_from="a")], renamed_from="s")\n'
        'pg.enum("state", ["done"], renamed={"finished": "done"}, renamed_from="condition")\n'
    )
    assert deploy.database.psql("SELECT b FROM t") == ""


@one_version
def test_a_column_has_its_new_name_in_all_partitions(database: Database) -> None:
    database.psql(
        """
        CREATE TABLE log (at date, old text CHECK (old IN ('a', 'b')), PRIMARY KEY (at, old))
          PARTITION BY RANGE (at);
        CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
          PARTITION BY LIST (old);
        CREATE TABLE log_2 PARTITION OF log_1 FOR VALUES IN ('a');
        INSERT INTO log VALUES ('2025-02-02', 'a')
        """
    )
    columns = [pg.Column("at", "date"), pg.Column("new", "text", renamed_from="old")]
    constraints = [pg.PrimaryKey("at", "new"), pg.Check("new IN ('a', 'b')")]

    def deploy() -> None:
        with pg.transaction():
            pg.table("log", columns, constraints=constraints, partition_by="RANGE (at)")
            pg.table("log_1", columns, constraints=constraints, partition_by="LIST (new)")
            pg.table("log_2", columns, constraints=constraints)

    outcome = run(database, deploy).succeeded()
    assert [one.title for one in outcome.plan.changes] == ["table public.log"]
    assert not run(database, deploy).succeeded().plan.changes


@one_version
def test_a_renamed_table_is_locked_and_asked_under_the_name_that_it_has(database: Database) -> None:
    database.psql(
        """
        CREATE TABLE person (id int PRIMARY KEY, name text);
        INSERT INTO person VALUES (1, 'Ann'), (2, 'Bob');
        CREATE FUNCTION ann() RETURNS text LANGUAGE plpgsql AS
          'BEGIN RETURN (SELECT name FROM person WHERE id = 1); END';
        CREATE FUNCTION names() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN personal; END'
        """
    )

    def deploy() -> None:
        with pg.transaction():
            pg.table(
                "people",
                [
                    pg.Column("id", "int", primary_key=True),
                    pg.Column("called", "text", renamed_from="name"),
                ],
                renamed_from="person",
            )
            pg.rows(
                "people",
                [{"id": 1, "called": "Ann"}, {"id": 2, "called": "Bobby"}],
                key="id",
                update=True,
            )
            pg.sql("DELETE FROM people", unless="SELECT 1 FROM people WHERE called = 'Ann'")

    outcome = run(database, deploy).succeeded()
    left = "! function public.ann() has the former name in its body, where PostgreSQL leaves it"
    (lines, *_) = (change.lines for change in outcome.plan.changes)
    assert lines == (
        "- table public.person", "+ table public.people", left, "- column name", "+ column called"
    )  # fmt: skip
    assert [str(lock) for lock in outcome.plan.locks()] == ["ACCESS EXCLUSIVE on public.person"]
    assert database.rows("SELECT * FROM people ORDER BY id") == [
        ("1", "Ann"),
        ("2", "Bobby"),
    ]
    assert not run(database, deploy).plan.changes


@one_version
def test_what_needs_the_new_names_before_the_transaction_is_refused(database: Database) -> None:
    database.psql(
        """
        CREATE TYPE old_kind AS ENUM ('a');
        CREATE TABLE job (kind old_kind);
        CREATE TABLE other (id int); INSERT INTO other VALUES (1)
        """
    )

    def deploy() -> None:
        with pg.transaction():
            pg.enum("kind", ["a", "b"], renamed_from="old_kind")
            pg.table("job", [pg.Column("kind", "kind", default="'b'")])

    messages = run(database, deploy).refused().messages
    assert "enum public.kind: the run uses a new label" in messages

    def before() -> None:
        pg.enum("kind", ["a"], renamed_from="old_kind")
        # What an earlier block renames does not stand in the way of a later one.
        pg.table("other", [pg.Column("at", "timestamptz", default="now()")])

    run(database, before).succeeded()
    run(database, deploy).succeeded()
    assert database.psql("SELECT enum_range(NULL::kind)") == "{a,b}"


@one_version
def test_rows_are_asked_where_a_later_declaration_of_the_operation_gives_a_name(
    database: Database,
) -> None:
    database.psql("CREATE DOMAIN d AS integer; CREATE TABLE t (a numeric)")
    database.psql("INSERT INTO t VALUES (1.5)")

    def deploy() -> None:
        table = pg.Table("t", [pg.Column("a", "smallint")])
        pg.objects([table, pg.Domain("e", "integer", renamed_from="d")])

    outcome = run(database, deploy, postgres_allow="t").refused()
    assert "would lose the value of a in 1 row (1.5 as 2)" in outcome.messages
    assert "CREATE DOMAIN public.d" in database.dump()
