"""Rows: what is missing or wrong, decided by the server, and nothing else."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from harness import Database, Project, one_version, process, until
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.data.compared_rows import ComparedRows
from pyinfra_postgres.objects.tables.columns import TableColumn
from pyinfra_postgres.syntax.values import shown, written

ORGANIZATION = """
    pg.table(
        "organization",
        [
            pg.Column("id", "uuid", primary_key=True, default="gen_random_uuid()"),
            pg.Column("slug", "varchar(20)", unique=True, nullable=False),
            pg.Column("name", "text"),
            pg.Column("rank", "numeric(10,2)"),
        ],
    )
"""


def declared(*rows: dict[str, Any], **keywords: Any) -> ComparedRows:
    columns = {
        name: TableColumn(name, type_)
        for name, type_ in {"slug": "varchar(20)", "name": "text", "rank": "integer"}.items()
    }
    return ComparedRows("t", rows, key="slug", columns=columns, **keywords)


def statements(current: ComparedRows | None, wanted: ComparedRows | None) -> list[str]:
    return [" ".join(one.sql.split()) for one in ComparedRows.diff(current, wanted)]


A = {"slug": "a", "name": "A"}
B = {"slug": "b", "name": "B"}
KEY_A, KEY_B = ("'a'",), ("'b'",)
VALUES_A = "(VALUES (CAST('a' AS character varying), CAST('A' AS text)) ) AS declared (slug, name)"


def test_what_is_as_declared_needs_no_statement() -> None:
    rows = declared(A, B, differing={KEY_A: (), KEY_B: ()})
    assert statements(rows, rows) == []


def test_a_missing_row_is_inserted_where_it_is_still_missing() -> None:
    current = declared(B, differing={KEY_B: ()})
    assert statements(current, declared(A, B)) == [
        f"INSERT INTO public.t (slug, name) SELECT * FROM {VALUES_A} WHERE NOT EXISTS "
        "(SELECT FROM public.t AS stored "
        "WHERE CAST(stored.slug AS character varying(20)) OPERATOR(pg_catalog.=) declared.slug)"
    ]


def test_a_constraint_on_the_key_decides_between_concurrent_inserts() -> None:
    (statement,) = statements(None, declared(A, unique=True))
    assert statement.endswith("ON CONFLICT (slug) DO NOTHING")


def test_only_what_differs_is_updated() -> None:
    current = declared(A, B, differing={KEY_A: ("name",), KEY_B: ()})
    assert statements(current, declared(A, B)) == [
        f"UPDATE public.t AS stored SET name = declared.name FROM {VALUES_A} "
        "WHERE CAST(stored.slug AS character varying(20)) OPERATOR(pg_catalog.=) declared.slug"
    ]


def test_removal_names_the_rows_and_loses_data() -> None:
    (statement,) = ComparedRows.diff(declared(A, B, matched=2), None)
    assert statement.shown == "DELETE FROM public.t: 2 rows"
    assert [loss.title for loss in statement.losses] == ["table public.t"]
    assert "'a'" in statement.sql
    assert "'b'" in statement.sql


def test_nothing_stored_is_nothing_to_remove() -> None:
    assert statements(declared(A), None) == []


def test_exact_removes_only_other_keys() -> None:
    current = declared(A, differing={KEY_A: ()}, surplus=1)
    assert statements(current, declared(A)) == []
    (statement,) = ComparedRows.diff(current, declared(A, exact=True))
    assert "NOT EXISTS" in statement.sql
    assert [loss.title for loss in statement.losses] == ["table public.t"]


def test_null_in_the_key_is_found_again() -> None:
    (statement,) = statements(None, declared({"slug": None, "name": "x"}))
    assert "pg_catalog.record_eq(ROW(" in statement


def test_a_long_declaration_is_shown_shortened() -> None:
    rows = declared(*({"slug": str(n), "name": "x" * 500} for n in range(30)))
    lines = list(rows.lines())
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more"
    assert max(map(len, lines)) < 100


def test_hidden_values_are_sent_but_not_shown() -> None:
    rows = declared({"slug": "a", "name": HiddenValue("s3cret")})
    (statement,) = ComparedRows.diff(None, rows)
    assert "'s3cret'" in statement.sql
    assert statement.hidden == ("s3cret",)
    assert "s3cret" not in statement.shown + "".join(rows.lines())


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ('it\'s "é"', {'it\'s "é"', "it''s \"é\"", 'it\'s \\"\\u00e9\\"'}),
        ({"k": ["JSONSECRET"]}, {'{"k": ["JSONSECRET"]}', "JSONSECRET"}),
        (["SECRETA", "SECRETB"], {"{SECRETA,SECRETB}", "SECRETA", "SECRETB"}),
        (b"\x01secret", {"01736563726574"}),
        (date(2025, 1, 2), {"2025-01-02"}),
        (pg.SQL("crypt('SECRET')"), {"crypt('SECRET')"}),
        (None, {"None"}),
    ],
)
def test_hidden_values_are_known_in_every_written_form(value: Any, texts: set[str]) -> None:
    (statement,) = ComparedRows.diff(None, declared({"slug": "a", "name": HiddenValue(value)}))
    assert texts <= set(statement.hidden)
    assert [len(text) for text in statement.hidden] == sorted(map(len, statement.hidden))[::-1]


def test_mistakes_do_not_tell_what_is_hidden() -> None:
    with pytest.raises(DeclarationError) as raised:
        declared({"slug": "a", "name": HiddenValue({"s3cret": object()})})
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "type_", "sql"),
    [
        ("it's", "text", "CAST('it''s' AS text)"),
        ("long", "character varying(2)", "CAST('long' AS character varying)"),
        (True, "boolean", "CAST(true AS boolean)"),
        (None, "uuid", "CAST(NULL AS uuid)"),
        ([1, 2], "jsonb", "CAST('[1, 2]' AS jsonb)"),
        ([1, 2], "integer[]", "CAST('{1,2}'::int2[] AS integer[])"),
        ({"a": 1}, "json", """CAST('{"a": 1}' AS json)"""),
        (pg.SQL("now() -- clock"), "date", "CAST((now() -- clock\n) AS date)"),
    ],
)
def test_values_become_sql_of_the_columns_type(value: Any, type_: str, sql: str) -> None:
    assert written(value, type_) == sql


def test_values_are_shown_as_a_person_reads_them() -> None:
    row = {"a": None, "b": True, "c": "two\nlines", "d": {"x": 1}, "e": pg.SQL("now()")}
    assert shown(row, row) == 'a=NULL, b=true, c=two lines, d={"x": 1}, e=(now())'


@pytest.mark.parametrize(
    ("rows", "key", "message"),
    [
        ([{"name": "x"}], "slug", "has no slug, which is in the key: name=x"),
        ([A, A], "slug", "two rows have the key slug=a"),
        ([A], (), "name the columns of the key"),
        ([{"slug": object()}], "slug", "a value of type object has no SQL form"),
        ([{"slug": "a", "name": [object()]}], "slug", "column name: .* can't be written"),
        ([{"slug": "a", "name": {"x": object()}}], "slug", "column name: .* can't be written"),
        ([{"slug": "a\x00"}], "slug", "without NUL bytes"),
        ([{"slug": "a", "SLUG": "b"}], "slug", "given twice"),
        (["slug"], "slug", "a row is a dict"),
    ],
)
def test_mistakes_are_told_at_once(rows: Any, key: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        pg.Rows("t", rows, key=key)


@pytest.mark.parametrize("text", ["1; DROP TABLE t", "1)--", "DEFAULT", ""])
def test_an_expression_is_one_expression(text: str) -> None:
    with pytest.raises(DeclarationError):
        pg.SQL(text)


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        *((clock, True) for clock in ("CURRENT_TIMESTAMP", "current_date + 1", "LOCALTIME(0)")),
        *((other, False) for other in ("CURRENT_USER", "'CURRENT_DATE'", "a_date")),
    ],
)
def test_clocks_that_are_no_functions_are_known(text: str, reads: bool) -> None:
    assert pg.SQL(text).reads_the_clock() is reads


def deploy(project: Project, body: str, *options: str) -> str:
    """Run a deploy that has to succeed; what it printed."""
    project.deploy(body)
    return project.run("inventory.py", "deploy.py", "-y", *options).succeeded().output


def assert_no_change(project: Project, database: Database) -> None:
    """Run the deploy again: nothing changes, and nothing is written."""
    with database.watch() as seen:
        output = project.run("inventory.py", "deploy.py", "-y").succeeded().output
    assert " changed" not in output
    written_now = [text for text in seen.statements if "INSERT INTO" in text or "UPDATE " in text]
    assert written_now == []


@one_version
def test_rows_of_new_tables_refer_to_one_another(project: Project, database: Database) -> None:
    project.inventory({"db": database.dsn})
    deploy(
        project,
        f"""
with pg.transaction():
{ORGANIZATION}
    pg.table(
        "member",
        [pg.Column("number", "integer", identity="ALWAYS", primary_key=True),
         pg.Column("org", "uuid", references="organization(id)"),
         pg.Column("since", "timestamptz"), pg.Column("also", "timestamptz")],
    )
    pg.rows("organization", [{{"slug": "x", "name": "X", "rank": "1.0"}}], key="slug", update=True)
    pg.rows(
        "member",
        [{{"number": 7, "since": pg.SQL("now()"), "also": pg.SQL("CURRENT_TIMESTAMP"),
           "org": pg.SQL("(SELECT id FROM organization WHERE slug = 'x')")}}],
        key="number", update=True,
    )
""",
    )
    assert database.rows(
        "SELECT number, slug, rank FROM member JOIN organization o ON o.id = org"
    ) == [("7", "x", "1.00")]
    assert_no_change(project, database)


@one_version
def test_values_come_from_what_the_same_plan_creates(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (k int, v int); INSERT INTO t VALUES (1, 1), (7, 1)")
    project.inventory({"db": database.dsn})
    body = """
        with pg.transaction():
            pg.table("lookup", [pg.Column("n", "integer", primary_key=True)])
            pg.rows("lookup", [{"n": 7}], key="n")
            pg.rows("t", [{"k": 1, "v": pg.SQL("(SELECT n FROM lookup)")},
                          {"k": pg.SQL("(SELECT n FROM lookup)"), "v": 8}], key="k", update=True)
    """
    deploy(project, body)
    # The key could not be read before, so it was enough that the row is there.
    assert database.rows("SELECT k, v FROM t ORDER BY k") == [("1", "7"), ("7", "1")]
    deploy(project, body)
    assert database.rows("SELECT k, v FROM t ORDER BY k") == [("1", "7"), ("7", "8")]
    assert_no_change(project, database)


def asking_for_the_lock(database: Database) -> set[int]:
    """The sessions that want to be the only deploy of the database."""
    entries = database.server.log_entries()
    return {one.pid for one in entries if "pg_try_advisory_lock" in one.message}


@one_version
def test_two_runs_at_once_insert_a_row_once(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (k int); INSERT INTO t VALUES (0)")
    project.inventory({"db": database.dsn})
    project.deploy('pg.rows("t", [{"k": k} for k in range(50)], key="k")')
    with database.holding("LOCK TABLE t IN SHARE MODE"):
        runs = [project.start() for _ in range(2)]
        until(lambda: len(asking_for_the_lock(database)) == 2)
    assert [run.wait(60) for run in runs] == [0, 0], [run.communicate() for run in runs]
    for run in runs:
        run.communicate()
    assert database.psql("SELECT count(*) FROM t") == "50"


def test_every_type_of_value_converges(project: Project, database: Database) -> None:
    database.psql("""
        CREATE TYPE mood AS ENUM ('good', 'bad');
        CREATE TABLE t (k int PRIMARY KEY, n numeric(10,2), ts timestamptz, plain timestamp,
          d date, u uuid, b bytea, j json, jb jsonb, a text[], aa int[], m mood, f float8,
          c char(5), p point, s text, flag boolean, gap interval);
        INSERT INTO t (k, n) VALUES (1, 0)""")
    project.inventory({"db": database.dsn})
    body = """
        from datetime import date, datetime, timedelta, timezone
        from decimal import Decimal
        from uuid import UUID

        pg.rows("t", [{
            "k": number, "n": value,
            "ts": datetime(2025, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            "plain": datetime(2025, 1, 1, 2), "d": date(2025, 1, 1), "u": UUID(int=5),
            "b": b"\\0\\xff", "j": {"b": [1, None], "a": "it's"}, "jb": [1, {"x": True}],
            "a": ["p,q", None, '"'], "aa": [[1], [2]], "m": "bad", "f": 0.1, "c": "ab",
            "p": "(1,2)", "s": "two\\nlines \\\\", "flag": False, "gap": timedelta(days=2),
        } for number, value in ((1, 1), (2, "2.0"), (3, Decimal("2.004")))], key="k", update=True)
    """
    deploy(project, body)
    assert database.rows(
        "SELECT n, ts AT TIME ZONE 'UTC', j->>'a', a[1], jb, s FROM t ORDER BY k"
    ) == [
        (n, "2025-01-01 00:00:00", "it's", "p,q", '[1, {"x": true}]', "two\nlines \\")
        for n in ("1.00", "2.00", "2.00")
    ]
    assert_no_change(project, database)


def test_domains_cut_nothing_and_converge(project: Project, database: Database) -> None:
    database.psql("""
        CREATE DOMAIN code AS varchar(3); CREATE DOMAIN inner_code AS code;
        CREATE DOMAIN tenths AS numeric(5,1); CREATE DOMAIN doc AS jsonb;
        CREATE TABLE t (k inner_code PRIMARY KEY, c code, many code[], n tenths, d doc);
        INSERT INTO t VALUES ('a')""")
    project.inventory({"db": database.dsn})
    body = """pg.rows("t", [{"k": k, "c": "abc", "many": ["abc"], "n": 1.25, "d": [1, {"x": 2}]}
        for k in ("a", "b")], key="k", update=True)"""
    deploy(project, body)
    stored = ("abc", "{abc}", "1.3", '[1, {"x": 2}]')
    assert database.rows("SELECT * FROM t ORDER BY k") == [("a", *stored), ("b", *stored)]
    assert_no_change(project, database)
    for row in ('{"k": "a", "c": "abcd"}', '{"k": "a", "many": ["abcd"]}', '{"k": "abcd"}'):
        project.deploy(f'pg.rows("t", [{row}], key="k", update=True)')
        output = project.run("inventory.py", "deploy.py", "-y").failed().output
        assert "value too long for type character varying(3)" in output
    assert database.rows("SELECT * FROM t ORDER BY k") == [("a", *stored), ("b", *stored)]


@one_version
@pytest.mark.parametrize(
    "end",
    [
        "pg.objects(everything)",
        "with pg.transaction():\n            for one in everything: pg.objects([one])",
    ],
)
def test_rows_use_types_and_labels_of_the_same_plan(
    project: Project, database: Database, end: str
) -> None:
    database.psql("""
        CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (e e PRIMARY KEY, es e[], mood text, c text);
        INSERT INTO t VALUES ('a', '{a}', 'good', 'c')""")
    project.inventory({"db": {"postgres_dsn": database.dsn, "postgres_allow": "t"}})
    body = f"""
        everything = [
            pg.Enum("e", ["a", "b"]), pg.Enum("mood", ["good", "bad"]), pg.Domain("code", "text"),
            pg.Table("t", [
                pg.Column("e", "e", primary_key=True), pg.Column("es", "e[]"),
                pg.Column("mood", "mood"), pg.Column("c", "code")]),
            pg.Rows("t", [
                {{"e": "a", "es": ["a"], "mood": "good", "c": "c"}},
                {{"e": "b", "es": ["a", "b"], "mood": pg.SQL("'bad'::mood"), "c": "d"}},
            ], key="e", update=True),
        ]
        {end}
    """
    project.deploy(body)
    dry = project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().output
    assert "INSERT INTO public.t (e, es, mood, c): 1 row" in dry
    assert "UPDATE public" not in dry
    deploy(project, body)
    rows = [("a", "{a}", "good", "c"), ("b", "{a,b}", "bad", "d")]
    assert database.rows("SELECT * FROM t ORDER BY e") == rows
    assert_no_change(project, database)
    project.deploy('pg.rows("t", [{"e": "nothing"}], key="e")')
    output = project.run("inventory.py", "deploy.py", "--dry").failed().output
    assert 'invalid input value for enum e: "nothing"' in output


def test_rows_are_only_corrected_where_they_differ(project: Project, database: Database) -> None:
    database.psql("""
        CREATE TABLE t (slug text PRIMARY KEY, name text, changes int NOT NULL DEFAULT 0);
        INSERT INTO t VALUES ('a', 'old'), ('b', 'B'), ('other', 'left alone');
        CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN NEW.changes := OLD.changes + 1; RETURN NEW; END';
        CREATE TRIGGER counts BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION counts()""")
    project.inventory({"db": database.dsn})
    rows = '[{"slug": "a", "name": "A"}, {"slug": "b", "name": "B"}, {"slug": "c", "name": None}]'
    deploy(project, f'pg.rows("t", {rows}, key="slug")')
    table = "SELECT slug, name, changes FROM t ORDER BY slug"
    other = ("other", "left alone", "0")
    kept = [("a", "old", "0"), ("b", "B", "0"), ("c", "", "0"), other]
    assert database.rows(table) == kept
    output = deploy(project, f'pg.rows("t", {rows}, key="slug", update=True)', "--diff")
    assert "- slug=a, name=old" in output
    assert "+ slug=a, name=A" in output
    assert "slug=b" not in output
    assert database.rows(table) == [("a", "A", "1"), *kept[1:]]
    assert_no_change(project, database)


@one_version
def test_losing_rows_has_to_be_allowed(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (slug text); INSERT INTO t VALUES ('a'), ('b'), ('c'), (NULL)")
    project.inventory({"db": database.dsn})
    allowed = ("--data", "postgres_allow=public.t")
    slugs = "SELECT string_agg(slug, ' ' ORDER BY slug) || ' ' || count(*) FROM t"

    project.deploy('pg.rows("t", [{"slug": "a"}], key="slug", exact=True)')
    output = project.run("inventory.py", "deploy.py", "-y").failed().output
    assert "DELETE FROM public.t: 3 rows would lose data" in output
    assert "postgres_allow=public.t" in output
    assert database.psql(slugs) == "a b c 4"
    project.run("inventory.py", "deploy.py", "-y", *allowed).succeeded()
    assert database.psql(slugs) == "a 1"
    assert_no_change(project, database)

    database.psql("INSERT INTO t VALUES ('b'), (NULL)")
    project.deploy('pg.rows("t", [{"slug": "a"}, {"slug": None}], key="slug", present=False)')
    output = project.run("inventory.py", "deploy.py", "-y").failed().output
    assert "DELETE FROM public.t: 2 rows would lose data" in output
    project.run("inventory.py", "deploy.py", "-y", *allowed).succeeded()
    assert database.psql(slugs) == "b 1"
    project.run("inventory.py", "deploy.py", "-y").succeeded()


@one_version
def test_nothing_declared_and_exact_empties_the_table(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (slug text); INSERT INTO t VALUES ('a')")
    project.inventory({"db": database.dsn})
    body = 'pg.rows("t", [], key="slug", exact=True)'
    deploy(project, body, "--data", "postgres_allow=public.t")
    assert database.psql("SELECT count(*) FROM t") == "0"


@one_version
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"slug": "a", "nmae": "x"}', "public.t has no column nmae"),
        ('{"slug": "a", "double": "x"}', "computes the column double: leave it out"),
        ('{"slug": "a", "made": "yesterday-ish"}', "yesterday-ish"),
        ('{"slug": "a", "made": pg.SQL("nowhere()")}', "needs function nowhere()"),
        ('{"slug": "a", "tags": [1, "x"]}', "can't be written as text[]: cannot dump"),
        ('{"slug": "too long by far"}', "value too long"),
        ('{"slug": pg.SQL("gen_random_uuid()::text")}', "is another one each time"),
    ],
)
def test_what_the_table_can_not_have_changes_nothing(
    project: Project, database: Database, row: str, message: str
) -> None:
    database.psql("""CREATE TABLE t (slug varchar(5) PRIMARY KEY, made date, tags text[],
      double text GENERATED ALWAYS AS (slug || slug) STORED); INSERT INTO t VALUES ('b')""")
    project.inventory({"db": database.dsn})
    project.deploy(f'pg.rows("t", [{{"slug": "c"}}, {row}], key="slug", update=True)')
    output = project.run("inventory.py", "deploy.py", "-y").failed().output
    assert message in output
    assert "Traceback" not in output
    assert database.psql("SELECT count(*) FROM t") == "1"


@one_version
def test_a_missing_table_is_a_gap(project: Project, database: Database) -> None:
    project.inventory({"db": database.dsn})
    project.deploy('pg.rows("nowhere", [{"a": 1}], key="a")')
    output = project.run("inventory.py", "deploy.py", "-y").failed().output
    assert "needs table public.nowhere, which does not exist" in output


@one_version
def test_hidden_values_are_in_no_output(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (k int PRIMARY KEY CHECK (k > 0), v text UNIQUE, n int)")
    database.psql("INSERT INTO t VALUES (1, 's3cret', 1)")
    project.inventory({"db": database.dsn})
    body = """
        from pyinfra.api import HiddenValue

        pg.rows("t", [{"k": KEY, "v": HiddenValue("s3cret"), "n": HiddenValue("VALUE")}], key="k",
                update=True)
    """
    project.deploy(body.replace("KEY", "1").replace("VALUE", "1"))
    shown = project.run("inventory.py", "deploy.py", "-y", "--diff", "-vvv").succeeded().output
    project.deploy(body.replace("KEY", "2").replace("VALUE", "1"))
    shown += project.run("inventory.py", "deploy.py", "-y", "--diff", "-vvv").failed().output
    project.deploy(body.replace("KEY", "1").replace("VALUE", "nonsense"))
    shown += project.run("inventory.py", "deploy.py", "-y", "--diff", "-vvv").failed().output
    assert "duplicate key" in shown
    assert "*MASKED*" in shown
    # The stored value is no more to be seen than the declared one.
    project.deploy(body.replace("KEY", "1").replace("VALUE", "1").replace("s3cret", "n3w"))
    shown += project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().output
    assert "- k=1, v=*STORED*" in shown
    assert "+ k=1, v=*MASKED*" in shown
    # PostgreSQL shortens the values of the row that it tells of.
    project.deploy(body.replace("KEY", "-1").replace("VALUE", "1").replace("s3cret", "n3w" * 60))
    shown += project.run("inventory.py", "deploy.py", "-y", "-vvv").failed().output
    assert "violates check constraint" in shown
    for secret in ("s3cret", "n3w", "nonsense"):
        assert secret not in shown


@one_version
def test_ten_thousand_rows_take_seconds(project: Project, database: Database) -> None:
    database.psql("CREATE TABLE t (k text, v int); INSERT INTO t VALUES ('k5', 0)")
    project.inventory({"db": database.dsn})
    project.deploy("""
        pg.rows("t", [{"k": f"k{n}", "v": n} for n in range(10000)], key="k", update=True)
    """)
    run = project.run("inventory.py", "deploy.py", "--dry", "--diff", timeout=20).succeeded()
    assert len(run.output) < 10000
    project.run(timeout=20).succeeded()
    assert database.psql("SELECT count(*), sum(v) FROM t") == "10000|49995000"
    assert_no_change(project, database)


@one_version
def test_rows_by_a_key_that_is_built_after_the_transaction(database: Database) -> None:
    database.psql("CREATE TABLE t (code text, n integer); INSERT INTO t VALUES ('a', 1)")

    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("code", "text", unique=True), pg.Column("n", "integer")])
            pg.rows("t", [{"code": "a", "n": 2}, {"code": "b", "n": 2}], key="code", update=True)

    process.run(database, deploy).succeeded()
    assert database.rows("SELECT * FROM t ORDER BY code") == [("a", "2"), ("b", "2")]
    assert database.rows(
        "SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'u'"
    ) == [("t_code_key",)]
    assert process.run(database, deploy).succeeded().plan.changes == []
