"""What is made anew, because something that it stands on changes, keeps all that it had."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import run

TABLE = """
    CREATE TABLE t (id integer PRIMARY KEY, v varchar(10), w text);
    CREATE FUNCTION f(a text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    INSERT INTO t VALUES (1, 'a', 'b');"""
PARTITIONED = """
    CREATE FUNCTION f(a text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
    CREATE TABLE t (id integer, v varchar(10), w text) PARTITION BY LIST (id);
    CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
    CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2) PARTITION BY LIST (id);
    CREATE TABLE t21 PARTITION OF t2 FOR VALUES IN (2);
    CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    INSERT INTO t VALUES (1, 'a', 'b'), (2, 'a', 'b');"""

VIEW = "CREATE VIEW d AS SELECT id, v, f(w) AS w FROM t;"
VIEWS = {
    "owner": "ALTER VIEW d OWNER TO ROLE",
    "privileges": "GRANT SELECT, INSERT ON d TO ROLE; GRANT UPDATE (w) ON d TO ROLE",
    "comment": "COMMENT ON VIEW d IS 'it''s'",
    "comment of a column": "COMMENT ON COLUMN d.w IS 'it''s'",
    "options": "ALTER VIEW d SET (security_barrier, security_invoker)",
    "default of a column": "ALTER VIEW d ALTER COLUMN id SET DEFAULT 7",
    "trigger": "CREATE TRIGGER g INSTEAD OF INSERT ON d FOR EACH ROW EXECUTE FUNCTION touched();"
    "COMMENT ON TRIGGER g ON d IS 'it''s'",
    "rule": "CREATE RULE r AS ON DELETE TO d DO INSTEAD NOTHING; COMMENT ON RULE r ON d IS 'it''s'",
    "rule of others": "CREATE RULE s AS ON UPDATE TO d WHERE old.v = 'a' DO INSTEAD NOTHING;",
    "view upon it": "CREATE VIEW e AS SELECT w FROM d; COMMENT ON VIEW e IS 'it''s'",
}
MATERIALIZED = """
    CREATE MATERIALIZED VIEW d AS SELECT id, v, f(w) AS w FROM t; CREATE UNIQUE INDEX di ON d (id);
    CREATE INDEX dx ON d (lower(w));"""
MATERIALIZED_VIEWS = {
    "owner": "GRANT SELECT ON t TO ROLE; ALTER MATERIALIZED VIEW d OWNER TO ROLE",
    "privileges": "GRANT SELECT ON d TO ROLE; GRANT SELECT (w) ON d TO ROLE",
    "comment": "COMMENT ON MATERIALIZED VIEW d IS 'it''s'",
    "comment of a column": "COMMENT ON COLUMN d.w IS 'it''s'",
    "options": "ALTER MATERIALIZED VIEW d SET (fillfactor = 70, toast.autovacuum_enabled = false)",
    "statistics of a column": "ALTER MATERIALIZED VIEW d ALTER COLUMN w SET STATISTICS 444",
    "storage of a column": "ALTER MATERIALIZED VIEW d ALTER COLUMN w SET STORAGE EXTERNAL",
    "compression of a column": "ALTER MATERIALIZED VIEW d ALTER COLUMN w SET COMPRESSION pglz",
    "n_distinct of a column": "ALTER MATERIALIZED VIEW d ALTER COLUMN w SET (n_distinct = -0.5)",
    "tablespace": "ALTER MATERIALIZED VIEW d SET TABLESPACE PLACE;"
    "ALTER INDEX dx SET TABLESPACE PLACE",
    "CLUSTER mark": "ALTER TABLE d CLUSTER ON di",
    "replica identity": "ALTER TABLE d REPLICA IDENTITY FULL",
    "no rows": "REFRESH MATERIALIZED VIEW d WITH NO DATA",
    "comment of an index": "COMMENT ON INDEX dx IS 'it''s'",
    "statistics of an index": "ALTER INDEX dx ALTER COLUMN 1 SET STATISTICS 444",
    "options of an index": "ALTER INDEX dx SET (fillfactor = 70)",
    "extended statistics": "CREATE STATISTICS ds ON id, w FROM d;"
    "ALTER STATISTICS ds SET STATISTICS 44; COMMENT ON STATISTICS ds IS 'it''s';"
    "ALTER STATISTICS ds OWNER TO ROLE",
}
FUNCTION = (
    "CREATE FUNCTION d(a text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT f(v) FROM t; END;"
)
FUNCTIONS = {
    "owner": "ALTER FUNCTION d OWNER TO ROLE",
    "privileges": "REVOKE ALL ON FUNCTION d FROM PUBLIC; GRANT EXECUTE ON FUNCTION d TO ROLE",
    "comment": "COMMENT ON FUNCTION d IS 'it''s'",
    "attributes": "ALTER FUNCTION d STRICT STABLE LEAKPROOF PARALLEL SAFE COST 7 SECURITY DEFINER"
    " SET search_path = public, pg_temp",
    "extension": "ALTER FUNCTION d DEPENDS ON EXTENSION plpgsql",
}
POLICY = "CREATE POLICY d ON t AS RESTRICTIVE FOR UPDATE USING (f(v) = 'a') WITH CHECK (v <> 'b');"
POLICIES = {"comment": "COMMENT ON POLICY d ON t IS 'it''s'"}
STATES = ("DISABLE", "ENABLE ALWAYS", "ENABLE REPLICA")
TRIGGER = "".join(
    f"""CREATE TRIGGER {name} BEFORE UPDATE OF v ON t FOR EACH ROW WHEN (f(new.v) = 'a')
    EXECUTE FUNCTION touched();"""
    for name in ("d", "d0", "d1", "d2")
)
TRIGGERS = {
    "comment": "COMMENT ON TRIGGER d ON t IS 'it''s'",
    **{one: f"ALTER TABLE t {one} TRIGGER d{number}" for number, one in enumerate(STATES)},
    "extension": "ALTER TRIGGER d ON t DEPENDS ON EXTENSION plpgsql",
}
RULE = "".join(
    f"CREATE RULE {name} AS ON UPDATE TO t WHERE f(new.v) = 'z' DO INSTEAD NOTHING;"
    for name in ("d", "d0", "d1", "d2")
)
RULES = {
    "comment": "COMMENT ON RULE d ON t IS 'it''s'",
    **{one: f"ALTER TABLE t {one} RULE d{number}" for number, one in enumerate(STATES)},
}
DOMAIN = "CREATE DOMAIN d AS text DEFAULT f('x') CONSTRAINT c CHECK (f(VALUE) <> '');"
DOMAINS = {
    "comment": "COMMENT ON CONSTRAINT c ON DOMAIN d IS 'it''s'",
    "check of new rows": "ALTER DOMAIN d ADD CONSTRAINT n CHECK (f(VALUE) <> 'a') NOT VALID",
}
DEFAULT = "ALTER TABLE t ALTER COLUMN w SET DEFAULT f('x');"

KINDS = {
    "view": (VIEW, VIEWS),
    "materialized view": (MATERIALIZED, MATERIALIZED_VIEWS),
    "function": (FUNCTION, FUNCTIONS),
    "policy": (POLICY, POLICIES),
    "trigger": (TRIGGER, TRIGGERS),
    "rule": (RULE, RULES),
    "domain": (DOMAIN, DOMAINS),
    "default": (DEFAULT, {}),
}


@pytest.fixture
def names(database: Database) -> Iterator[tuple[str, str]]:
    """A role and a tablespace."""
    role, place = f"r_{secrets.token_hex(3)}", f"s_{secrets.token_hex(3)}"
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute(f"CREATE TABLESPACE {place} LOCATION ''")
        connection.execute(f"CREATE ROLE {role}; GRANT ALL ON SCHEMA public TO {role}")
    yield role, place
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role} CASCADE")
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute(f"DROP TABLESPACE {place}")


def functions_argument() -> None:
    pg.function("f", arguments="b text", returns="text", volatility="IMMUTABLE", body="SELECT $1")


def columns_type() -> None:
    pg.table("t", [pg.Column("v", "varchar(20)")])


CHANGES: dict[str, tuple[Callable[[], None], str, str]] = {
    "a function's argument": (functions_argument, "f(a text)", "f(b text)"),
    "a column's type": (columns_type, "varying(10)", "varying(20)"),
}


PARTS = {
    "checks": """ALTER TABLE t ADD CONSTRAINT c CHECK (f(v) <> 'z');
        COMMENT ON CONSTRAINT c ON t IS 'a'; COMMENT ON CONSTRAINT c ON t21 IS 'c'""",
    "checks of new rows": """ALTER TABLE t ADD CONSTRAINT c CHECK (f(v) <> 'a') NOT VALID;
        COMMENT ON CONSTRAINT c ON t IS 'a'""",
    "indexes": """CREATE INDEX x ON t (lower(v)); CREATE INDEX y ON t (id) WHERE v <> 'z';
        COMMENT ON INDEX x IS 'a'; COMMENT ON INDEX t1_lower_idx IS 'b';
        COMMENT ON INDEX t21_lower_idx IS 'c';
        ALTER INDEX x ALTER COLUMN 1 SET STATISTICS 7;
        ALTER INDEX t1_lower_idx ALTER COLUMN 1 SET STATISTICS 77;
        ALTER TABLE t21 CLUSTER ON t21_lower_idx; ALTER INDEX t21_lower_idx RENAME TO renamed""",
    "columns alone": """CREATE INDEX x ON t (v, id); COMMENT ON INDEX x IS 'a';
        COMMENT ON INDEX t1_v_id_idx IS 'b'; ALTER TABLE t21 CLUSTER ON t21_v_id_idx""",
    "keys": """ALTER TABLE t ADD CONSTRAINT k UNIQUE (id, v); COMMENT ON CONSTRAINT k ON t IS 'a';
        COMMENT ON CONSTRAINT t1_id_v_key ON t1 IS 'b'; COMMENT ON INDEX t1_id_v_key IS 'c';
        ALTER TABLE t1 CLUSTER ON t1_id_v_key""",
    "triggers": """CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (new.v <> 'z')
        EXECUTE FUNCTION touched(); ALTER TABLE t1 DISABLE TRIGGER g;
        ALTER TABLE t2 ENABLE ALWAYS TRIGGER g; ALTER TABLE t21 ENABLE REPLICA TRIGGER g;
        COMMENT ON TRIGGER g ON t IS 'a'; COMMENT ON TRIGGER g ON t21 IS 'b'""",
    "statistics": """CREATE STATISTICS ts ON v, w FROM t; COMMENT ON STATISTICS ts IS 'a';
        ALTER STATISTICS ts SET STATISTICS 7; ALTER STATISTICS ts OWNER TO ROLE;
        CREATE STATISTICS ps ON v, w FROM t1; COMMENT ON STATISTICS ps IS 'b';
        ALTER STATISTICS ps SET STATISTICS 77""",
}


def _lines(dump: str) -> list[str]:
    kept = (one for one in dump.splitlines() if one.strip() and not one.startswith("--"))
    return sorted(one.rstrip(",;") for one in kept)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_anew_keeps_all_that_it_had(
    kind: str, change: str, database: Database, names: tuple[str, str]
) -> None:
    made, attributes = KINDS[kind]
    text = ";".join([made, *attributes.values()])
    database.psql(TABLE + text.replace("ROLE", names[0]).replace("PLACE", names[1]))
    declared, before, after = CHANGES[change]
    was = database.dump()
    run(database, declared, postgres_allow="public.t").succeeded()
    now = database.dump()
    assert now != was
    assert _lines(now) == _lines(was.replace(before, after))


def policys_function() -> None:
    pg.function("may", arguments="p_holder integer", returns="boolean", body="SELECT p_holder > 0")
    pg.policy("fp", "farm", using="may(p_holder => owner_id)")


def views_column() -> None:
    pg.view("v1", "SELECT id, total AS gross FROM t")
    pg.view("v2", "SELECT sum(gross) AS s FROM v1")


def views_type() -> None:
    pg.table("num", [pg.Column("x", "text")])
    pg.view("nv", "SELECT x || '1' AS y FROM num")
    pg.policy("np", "num", using="x <> ''")


def trigger_and_function() -> None:
    pg.table("num", [pg.Column("x", "text")])
    pg.trigger("nt", "num", when="BEFORE UPDATE", function="touched()", condition="new.x <> ''")
    pg.function("nf", returns="bigint", body="RETURN (SELECT count(*) FROM num WHERE x <> '')")


OTHERWISE = {
    "a policy and its function": (
        policys_function,
        """CREATE TABLE farm (owner_id integer);
        CREATE FUNCTION may(p_owner integer) RETURNS boolean LANGUAGE sql AS 'SELECT p_owner > 0';
        CREATE POLICY fp ON farm USING (may(p_owner => owner_id));
        COMMENT ON POLICY fp ON farm IS 'kept'""",
        "may(p_holder => owner_id)",
    ),
    "views on views": (
        views_column,
        """CREATE TABLE t (id integer, total integer);
        CREATE VIEW v1 AS SELECT id, total FROM t; CREATE VIEW v2 AS SELECT sum(total) AS s FROM v1;
        CREATE VIEW v3 AS SELECT s FROM v2; COMMENT ON VIEW v2 IS 'kept';
        COMMENT ON COLUMN v2.s IS 'kept'; GRANT SELECT ON v3 TO PUBLIC""",
        "sum(gross) AS s",
    ),
    "what reads a column": (
        views_type,
        """CREATE TABLE num (x integer); CREATE VIEW nv AS SELECT x + 1 AS y FROM num;
        CREATE VIEW nw AS SELECT y FROM nv; COMMENT ON VIEW nw IS 'kept';
        CREATE POLICY np ON num USING (x > 1); GRANT SELECT ON nv TO PUBLIC""",
        "(x || '1'::text) AS y",
    ),
    "a trigger and a function": (
        trigger_and_function,
        """CREATE TABLE num (x integer);
        CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER nt BEFORE UPDATE ON num FOR EACH ROW WHEN (new.x > 1)
        EXECUTE FUNCTION touched(); COMMENT ON TRIGGER nt ON num IS 'kept';
        CREATE FUNCTION nf() RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM num
        WHERE x > 1); GRANT ALL ON FUNCTION nf() TO PUBLIC""",
        "new.x <> ''::text",
    ),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_is_declared_otherwise_is_created_as_declared(case: str, database: Database) -> None:
    declared, made, text = OTHERWISE[case]
    database.psql(made)
    before = database.dump()

    def deploy() -> None:
        with pg.transaction():
            declared()

    run(database, deploy).succeeded()
    after = database.dump()
    assert text in after
    kept = [line for line in before.splitlines() if line.startswith(("COMMENT", "GRANT"))]
    assert set(kept) <= set(after.splitlines())
    assert run(database, deploy).succeeded().plan.changes == []
    assert database.dump() == after


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_no_longer_fits_is_named_before_anything_runs(case: str, database: Database) -> None:
    declared, made, _ = OTHERWISE[case]
    database.psql(made)
    before = database.dump()

    def deploy() -> None:
        with pg.transaction(), pytest.MonkeyPatch.context() as patched:
            for one in ("policy", "trigger"):
                patched.setattr(pg, one, lambda *_, **__: None)
            if case == "views on views":
                pg.view("v1", "SELECT id, total AS gross FROM t")
            else:
                patched.setattr(pg, "view", lambda *_, **__: None)
                declared()

    outcome = run(database, deploy).refused()
    assert "declare that to be otherwise" in outcome.messages
    assert database.dump() == before


def test_keys_of_partitions_stay_with_an_enum_that_is_made_anew(database: Database) -> None:
    database.psql("""
        CREATE TYPE e AS ENUM ('a', 'b', 'c');
        CREATE TABLE t (id integer, e e, CONSTRAINT k UNIQUE (id, e)) PARTITION BY LIST (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE INDEX x ON t (e);
        ALTER INDEX t1_id_e_key RENAME TO other; ALTER INDEX t1_e_idx RENAME TO t1_id_e_key;
        COMMENT ON CONSTRAINT other ON t1 IS 'a'; COMMENT ON INDEX t1_id_e_key IS 'b'""")
    was = database.dump()
    run(database, lambda: pg.enum("e", ["b", "a"], exact=True)).succeeded()
    now = _lines(database.dump())
    assert now == [one for one in _lines(was) if one != "    'c'"]


@pytest.mark.parametrize("kind", PARTS)
def test_what_partitions_have_stays_with_another_type(
    kind: str, database: Database, names: tuple[str, str]
) -> None:
    database.psql(PARTITIONED + PARTS[kind].replace("ROLE", names[0]))
    was = database.dump()
    run(database, columns_type, postgres_allow="public.t").succeeded()
    assert _lines(database.dump()) == _lines(was.replace("varying(10)", "varying(20)"))


def index_condition() -> None:
    pg.index("x", "t", ["id", "lower(v)"], where="id > 0")


@pytest.mark.parametrize("rows", [False, True], ids=["empty", "filled"])
def test_an_index_that_is_declared_otherwise_keeps_what_is_not_declared(
    rows: bool, database: Database, names: tuple[str, str]
) -> None:
    made = TABLE if rows else TABLE.partition("INSERT")[0]
    database.psql(f"""{made} CREATE INDEX x ON t (lower(v));
        ALTER INDEX x SET TABLESPACE {names[1]};
        COMMENT ON INDEX x IS 'a'; ALTER INDEX x ALTER COLUMN 1 SET STATISTICS 444""")
    was = database.dump()
    run(database, index_condition).succeeded()
    now = _lines(database.dump())
    assert now == _lines(
        was.replace("(lower((v)::text))", "(id, lower((v)::text)) WHERE (id > 0)")
        .replace("ONLY public.x ALTER COLUMN 1", "ONLY public.x ALTER COLUMN 2")
        .replace("INDEX public.x ALTER COLUMN 1", "INDEX public.x ALTER COLUMN 2")
    )
    assert run(database, index_condition).succeeded().plan.changes == []


@pytest.mark.parametrize("rows", [False, True], ids=["empty", "filled"])
def test_the_parts_of_an_index_that_is_declared_otherwise_keep_what_they_have(
    rows: bool, database: Database
) -> None:
    made = PARTITIONED if rows else PARTITIONED.partition("INSERT")[0]
    database.psql(f"""{made} CREATE INDEX x ON t (lower(v));
        COMMENT ON INDEX t1_lower_idx IS 'b'; COMMENT ON INDEX t21_lower_idx IS 'c';
        ALTER INDEX x ALTER COLUMN 1 SET STATISTICS 7;
        ALTER INDEX t1_lower_idx ALTER COLUMN 1 SET STATISTICS 77;
        ALTER INDEX t21_lower_idx RENAME TO renamed; ALTER INDEX t1_lower_idx RENAME TO swapped;
        ALTER TABLE t21 CLUSTER ON renamed""")
    was = database.dump()

    def declared() -> None:
        pg.index("x", "t", ["lower(v)", "id"])

    run(database, declared).succeeded()
    assert _lines(database.dump()) == _lines(
        was.replace("(lower((v)::text))", "(lower((v)::text), id)")
    )
    assert run(database, declared).succeeded().plan.changes == []


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_views_column_is_renamed_and_all_that_reads_it_follows(
    kind: str, database: Database
) -> None:
    database.psql(f"""CREATE TABLE t (id integer, total integer);
        CREATE {kind} v1 AS SELECT id, total, CAST(total AS bigint) + 1 AS more, max(id) AS "Top"
        FROM t GROUP BY id, total; CREATE VIEW v2 AS SELECT sum(total) AS s, max(more) FROM v1;
        COMMENT ON COLUMN v1.total IS 'kept'; GRANT SELECT (total) ON v1 TO PUBLIC""")
    was = database.dump()
    columns = {"gross": "total", "plus": "more", "top": '"Top"'}

    def declared() -> None:
        declare = pg.view if kind == "VIEW" else pg.materialized_view
        with pg.transaction():
            declare("v1", "SELECT id, total AS gross, total::bigint + 1 AS plus, max(id) AS top"
                    " FROM t GROUP BY id, total", renamed_columns=columns)  # fmt: skip
            pg.view("v2", "SELECT sum(gross) AS s, max(plus) FROM v1")

    plan = run(database, declared).succeeded().plan
    (change,) = plan.changes
    assert [one.sql for one in change.statements] == [
        "ALTER TABLE public.v1 RENAME COLUMN total TO gross",
        "ALTER TABLE public.v1 RENAME COLUMN more TO plus",
        'ALTER TABLE public.v1 RENAME COLUMN "Top" TO top',
    ]
    now = database.dump()
    for old, new in {
        "    total,": "    total AS gross,", "AS more": "AS plus", 'AS "Top"': "AS top",
        "sum(total)": "sum(gross)", "max(more)": "max(plus)", "v1.total": "v1.gross",
        "SELECT(total)": "SELECT(gross)",
    }.items():  # fmt: skip
        was = was.replace(old, new)
    assert _lines(now) == _lines(was)
    assert run(database, declared).succeeded().plan.changes == []


ABSENT: dict[str, Callable[[], object]] = {
    "view v": lambda: pg.view("v", present=False),
    "policy p": lambda: pg.policy("p", "num", present=False),
    "trigger g": lambda: pg.trigger("g", "num", present=False),
    "function nf": lambda: pg.function("nf", present=False),
    "check k": lambda: pg.table("num", constraints=[pg.Constraint(name="k", present=False)]),
}


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
@one_version
def test_what_goes_is_not_made_anew(is_first: bool, database: Database) -> None:
    database.psql("""CREATE TABLE num (x integer CONSTRAINT k CHECK (x > 0));
        CREATE VIEW v AS SELECT x + 1 AS y FROM num;
        CREATE POLICY p ON num USING (x > 1);
        CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER g BEFORE UPDATE ON num FOR EACH ROW WHEN (new.x > 1)
        EXECUTE FUNCTION touched(); CREATE FUNCTION nf() RETURNS bigint LANGUAGE sql
        RETURN (SELECT count(*) FROM num WHERE x > 1)""")
    absent = dict(ABSENT)
    if not is_first:
        del absent["check k"]
        database.psql("ALTER TABLE num DROP CONSTRAINT k")

    def declared() -> None:
        with pg.transaction():
            for one in absent.values() if is_first else ():
                one()
            pg.table("num", [pg.Column("x", "text")])
            for one in absent.values() if not is_first else ():
                one()

    outcome = run(database, declared).succeeded()
    assert "undeclared" not in outcome.messages
    left = _lines(database.dump())
    assert not [one for one in left if one.startswith("CREATE ") and "FUNCTION nf" in one]
    assert database.rows("SELECT count(*) FROM pg_policy") == [("0",)]
    assert database.psql("SELECT to_regclass('v')") == ""
    assert run(database, declared).succeeded().plan.changes == []


@one_version
def test_a_domains_check_is_not_validated_within_an_array_that_the_block_adds(
    database: Database,
) -> None:
    database.psql("CREATE DOMAIN d AS text; CREATE TABLE t (a d); INSERT INTO t VALUES ('x')")
    was = database.dump()

    def declared() -> None:
        with pg.transaction():
            pg.domain("d", "text", checks=[pg.Check("VALUE <> ''", name="k")])
            pg.table("t", [pg.Column("a", "d"), pg.Column("b", "d[]")])

    assert "within b of public.t" in run(database, declared).refused().messages
    assert database.dump() == was


@one_version
def test_what_calls_or_returns_something_goes_before_it(database: Database) -> None:
    database.psql("""CREATE SCHEMA s; CREATE FUNCTION s.f(a text) RETURNS boolean LANGUAGE sql
        IMMUTABLE AS 'SELECT true'; CREATE DOMAIN s.d AS text CHECK (s.f(VALUE));
        CREATE TABLE s.u (id s.d); CREATE VIEW s.v AS SELECT 1 AS a;
        CREATE FUNCTION s.g() RETURNS SETOF s.v LANGUAGE sql AS 'SELECT 1';
        CREATE VIEW s.w AS SELECT a FROM s.g()""")

    def declared() -> None:
        with pg.transaction(exact=True):
            pg.schema("s")

    run(database, declared).succeeded()
    left = "SELECT count(*) FROM pg_class WHERE relnamespace = 's'::regnamespace UNION ALL "
    left += "SELECT count(*) FROM pg_type WHERE typnamespace = 's'::regnamespace UNION ALL "
    left += "SELECT count(*) FROM pg_proc WHERE pronamespace = 's'::regnamespace"
    assert database.rows(left) == [("0",)] * 3


@one_version
def test_a_function_is_made_anew_under_the_check_of_a_domain_without_rows(
    database: Database,
) -> None:
    database.psql("""CREATE FUNCTION f(a text) RETURNS boolean LANGUAGE sql IMMUTABLE
        AS 'SELECT $1 <> $$$$'; CREATE DOMAIN d AS text CONSTRAINT c CHECK (f(VALUE));
        CREATE TABLE t (a d)""")

    def declared() -> None:
        pg.function("f", arguments="b text", returns="boolean", volatility="IMMUTABLE",
                    body="SELECT $1 <> ''")  # fmt: skip

    run(database, declared).succeeded()
    database.psql("INSERT INTO t VALUES ('x')")
    was = database.dump()

    def another() -> None:
        pg.function("f", arguments="c text", returns="boolean", volatility="IMMUTABLE",
                    body="SELECT $1 <> ''")  # fmt: skip

    assert "constraint c" in run(database, another).refused().messages
    assert database.dump() == was


@pytest.mark.parametrize("name", ["c", "A Table"])
def test_nothing_is_made_anew_for_the_names_that_the_server_gives_in_a_query(
    name: str, database: Database
) -> None:
    database.psql("""CREATE TABLE a (id integer, n integer); CREATE TABLE b (id integer);
        CREATE VIEW v AS SELECT a.id FROM a WHERE EXISTS (SELECT 1 FROM a WHERE a.n > 1);
        CREATE VIEW w AS SELECT a_1.id FROM a a_1 JOIN a ON a.id = a_1.n;
        CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC
        UPDATE a SET n = a.n + 1 WHERE a.id IN (SELECT a.id FROM a WHERE a.n > 7);
        INSERT INTO a VALUES (1, 2); DELETE FROM a WHERE id = 9;
        SELECT count(*) FROM a JOIN b ON a.id = b.id WHERE EXISTS
          (SELECT 1 FROM a WHERE a.n > 1); END""")
    one = f'"{name}"'

    def declared() -> None:
        with pg.transaction():
            pg.table(one, renamed_from="a")
            pg.view("v", f"SELECT {one}.id FROM {one} WHERE EXISTS"
                    f" (SELECT 1 FROM {one} WHERE {one}.n > 1)")  # fmt: skip
            pg.function("f", returns="bigint", body=f"""BEGIN ATOMIC
                UPDATE {one} SET n = {one}.n + 1 WHERE {one}.id IN
                  (SELECT {one}.id FROM {one} WHERE {one}.n > 7);
                INSERT INTO {one} VALUES (1, 2); DELETE FROM {one} WHERE id = 9;
                SELECT count(*) FROM {one} JOIN b ON {one}.id = b.id WHERE EXISTS
                  (SELECT 1 FROM {one} WHERE {one}.n > 1); END""")  # fmt: skip

    plan = run(database, declared).succeeded().plan
    assert [each.sql for change in plan.changes for each in change.statements] == [
        f"ALTER TABLE public.a RENAME TO {one.replace(chr(34), '') if name == 'c' else one}"
    ]
    assert run(database, declared).succeeded().plan.changes == []


@one_version
def test_what_is_made_anew_for_two_changes_is_dropped_once(database: Database) -> None:
    database.psql("""CREATE TABLE num (x integer, total integer);
        CREATE VIEW v1 AS SELECT x, total FROM num;
        CREATE VIEW v2 AS SELECT sum(total) AS s, max(x + 1) AS m FROM v1;
        COMMENT ON COLUMN v2.s IS 'kept'; COMMENT ON COLUMN v1.total IS 'goes';
        CREATE MATERIALIZED VIEW m WITH (fillfactor = 70) AS SELECT total FROM v1;
        CREATE INDEX mi ON m (total); COMMENT ON INDEX mi IS 'kept';
        CREATE FUNCTION may(a integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE POLICY p ON num USING (may(a => x)); COMMENT ON POLICY p ON num IS 'kept';
        CREATE POLICY q ON num USING (may(total))""")

    def declared() -> None:
        pg.objects([
            pg.View("v2", "SELECT sum(gross) AS s, max(x || '1') AS m FROM v1"),
            pg.MaterializedView("m", "SELECT gross FROM v1"),
            pg.Index("mi", "m", ["gross"]),
            pg.View("v1", "SELECT x, total AS gross FROM num"),
            pg.Policy("p", "num", using="may(b => x::integer)"),
            pg.Function("may", "b integer", returns="boolean", body="SELECT true"),
            pg.Table("num", [pg.Column("x", "text"), pg.Column("total", "bigint")]),
        ])  # fmt: skip

    # The policy that is not declared no longer fits, whichever of the two changes it is made for.
    assert "policy q on table public.num" in run(database, declared).refused().messages
    database.psql("DROP POLICY q ON num; CREATE POLICY q ON num USING (total > 0)")
    statements = [
        one.sql
        for change in run(database, declared).succeeded().plan.changes
        for one in change.statements
    ]
    assert statements.count("DROP POLICY p ON public.num") == 1
    assert statements.count("REFRESH MATERIALIZED VIEW public.m") == 1
    now = database.dump()
    assert now.count("IS 'kept'") == 3
    assert "fillfactor='70'" in now
    assert run(database, declared).succeeded().plan.changes == []


LIVES = """
    CREATE TYPE mood AS ENUM ('a', 'b', 'c');
    CREATE FUNCTION twice(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
    CREATE TABLE t (id integer, n integer, m mood);
    CREATE VIEW v AS SELECT id, twice(n) AS n, m FROM t;
    CREATE VIEW w AS SELECT id FROM v;
    COMMENT ON VIEW v IS 'why'; GRANT SELECT ON v, w TO PUBLIC;
"""


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda: pg.enum("mood", ["a", "c", "b"], exact=True),
        lambda: pg.enum("mood", ["a", "b"], exact=True),
        lambda: pg.table("t", [pg.Column("m", "text")]),
        lambda: pg.table("t", [pg.Column("id", "bigint")]),
        lambda: pg.function("twice", arguments="y integer", returns="integer", body="SELECT y",
                            volatility="IMMUTABLE"),
    ],
)  # fmt: skip
@one_version
def test_a_view_has_other_columns_beside_a_change_of_what_it_stood_on(
    database: Database, change: Callable[[], None], is_first: bool
) -> None:
    database.psql(LIVES)

    def declare() -> None:
        pg.view("v", "SELECT id FROM t")

    def block() -> None:
        with pg.transaction():
            for one in (declare, change) if is_first else (change, declare):
                one()

    run(database, block, postgres_allow="t,mood").succeeded()
    assert not run(database, block, postgres_allow="t,mood").succeeded().plan.changes
    kept = "SELECT obj_description('v'::regclass), relacl FROM pg_class WHERE relname IN ('v', 'w')"
    assert database.psql(kept).count("=r/") == 2
    assert "why" in database.psql(kept)
