"""Other names together with changes that the server has to be asked about, all in one block."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import Deploy, run

from .test_enum_rebuild import USES
from .test_retyping import DEPENDING


def what_uses_the_enum() -> None:
    pg.table(
        "task",
        [pg.Column("status", "status", nullable=False, default="'new'", renamed_from="state")],
        renamed_from="t",
    )
    pg.domain("open_status", "status", default="'new'", renamed_from="open_state")
    pg.view("task_view", renamed_from="v")


def enum_first(whole: bool) -> None:
    labels = ["over", "new"] if whole else ["new", "old", "over"]
    pg.enum("status", labels, exact=True, renamed={"done": "over"}, renamed_from="state")
    what_uses_the_enum()


def enum_last(whole: bool) -> None:
    pg.schema("shop")
    pg.table("shop.keys", [pg.Column("note", "text")], renamed_from="public.keys")
    pg.enum("status", renamed_from="state")
    what_uses_the_enum()
    labels = ["over", "new"] if whole else ["new", "old", "over"]
    pg.enum("status", labels, exact=True, renamed={"done": "over"})


def columns_and_tables(whole: bool) -> None:
    type_, text = ("bigint", "varchar(10)") if whole else ("integer", "text")
    pg.schema("shop")
    pg.table("o", [pg.Column("key", type_, renamed_from="id")])
    pg.table(
        "shop.item",
        [
            pg.Column("number", type_, renamed_from="id"),
            pg.Column("note", text, default="'x'", renamed_from="n"),
        ],
        constraints=[pg.Check("number > 0", name="positive", renamed_from="k")],
        renamed_from="public.t",
    )
    pg.policy("own", "shop.item", renamed_from="p")
    pg.table("part_of", [pg.Column("number", type_, renamed_from="id")])
    pg.view("shown", renamed_from="v")


def all_in_one_operation(whole: bool) -> None:
    type_ = "bigint" if whole else "integer"
    pg.objects(
        [
            pg.Schema("shop"),
            pg.Table("o", [pg.Column("id", type_)]),
            pg.Table("shop.item", [pg.Column("id", type_)], renamed_from="public.t"),
            pg.View("total", renamed_from="public.w"),
            pg.View("shown", renamed_from="public.v"),
        ]
    )


def views(whole: bool) -> None:
    pg.table("item", [pg.Column("number", "integer", renamed_from="id")], renamed_from="t")
    query = "SELECT n, number AS id FROM item" if whole else "SELECT number AS id, n FROM item"
    pg.view("shown", query + " WHERE number > 1", renamed_from="v")


# PostgreSQL follows in no body that is text.
ENUM = f"{USES}; DROP FUNCTION rows_of_v"
ENUM_ROWS = (
    "SELECT string_agg(task::text, ' ' ORDER BY id), (SELECT c FROM w), "
    "(SELECT string_agg(m::text, ' ' ORDER BY m::text) FROM m) FROM task"
)
ROWS = "SELECT (SELECT string_agg(m::text, ' ') FROM m), string_agg({0}::text, ' ') FROM {0}"
CASES: dict[str, tuple[str, Callable[[bool], None], str, str]] = {
    "an enum with its labels, and then what uses it": (ENUM, enum_first, "status", ENUM_ROWS),
    "what uses an enum, and then its labels": (ENUM, enum_last, "status", ENUM_ROWS),
    "columns and their tables": (
        DEPENDING, columns_and_tables, "shop.item, o, part_of", ROWS.format("shown")
    ),
    "many objects in one operation": (
        DEPENDING, all_in_one_operation, "shop.item, o", ROWS.format("total")
    ),
    "a view that is made anew, and what it reads": (DEPENDING, views, "", ROWS.format("shown")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_block_leaves_what_a_rename_and_then_the_change_leave(
    case: str, new_database: Callable[[], Database]
) -> None:
    setup, declare, allowed, rows = CASES[case]
    role = f"r_{secrets.token_hex(3)}"
    one, other = new_database(), new_database()
    one.psql(f"CREATE ROLE {role}")
    for database in (one, other):
        database.psql(setup.replace("A_ROLE", role))

    def block(whole: bool) -> Deploy:
        def deploy() -> None:
            with pg.transaction():
                declare(whole)

        return deploy

    for whole in (False, True):
        run(other, block(whole), postgres_allow=allowed).succeeded()
    before = one.dump()
    dry = run(one, block(True), dry=True, postgres_allow=allowed).succeeded()
    assert one.dump() == before
    done = run(one, block(True), postgres_allow=allowed).succeeded()
    assert dry.plan == done.plan
    assert one.differences(other) == []
    assert one.psql(rows) == other.psql(rows) != ""
    assert not run(one, block(True)).succeeded().plan.changes


@one_version
def test_rows_are_read_under_the_names_that_they_have_while_others_read_them(
    database: Database,
) -> None:
    database.psql(
        "CREATE TYPE level AS ENUM ('low', 'high'); CREATE TABLE item (price numeric, level level);"
        "INSERT INTO item VALUES (1.234, 'low'), (1.2, 'high'), (2.345, 'low')"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.enum("level", ["bottom", "high"], renamed={"low": "bottom"})
            columns = [
                pg.Column("amount", "numeric(12,2)", renamed_from="price"),
                pg.Column("level", "text", using="nullif(level, 'bottom')"),
            ]
            checks = [pg.Check("amount < 2", name="small")]
            pg.table("thing", columns, constraints=checks, renamed_from="item")

    with database.watch() as seen:
        messages = run(database, deploy, postgres_allow="thing").refused().messages
    for lost in (
        "lose the values of amount in 2 rows (1.234 as 1.23, 2.345 as 2.35)",
        "lose the values of level in 2 rows (bottom as NULL, bottom as NULL)",
    ):
        assert lost in messages
    assert "CONSTRAINT small CHECK (amount < 2) does not hold for 1 row" in messages
    renaming = [text for text in seen.statements if "RENAME TO thing" in text]
    assert renaming
    assert all("LIKE public.thing" in text or "pg_depend" in text for text in renaming)
    assert any("RENAME VALUE 'low'" in text and "count(*)" in text for text in seen.statements)
    database.psql("UPDATE item SET price = 1 WHERE price > 2")
    run(database, deploy, postgres_allow="thing, thing.amount, thing.level").succeeded()
    assert database.psql("SELECT * FROM thing ORDER BY 1") == "1.00|\n1.20|high\n1.23|"


@one_version
def test_an_expression_that_converts_has_the_new_names(database: Database) -> None:
    database.psql("CREATE TABLE item (price text); INSERT INTO item VALUES ('1 EUR')")

    def converted(name: str) -> Deploy:
        using = f"split_part({name}, ' ', 1)::numeric"
        column = pg.Column("amount", "numeric", using=using, renamed_from="price")
        return lambda: pg.table("item", [column])

    messages = run(database, converted("price"), postgres_allow="item").refused().messages
    assert "table public.item: there is no column price in public.item" in messages
    run(database, converted("amount"), postgres_allow="item").succeeded()
    assert database.psql("SELECT amount FROM item") == "1"


def bigger() -> None:
    pg.table("thing", [pg.Column("id", "bigint")], renamed_from="item")


@one_version
def test_a_table_that_others_do_not_let_go_is_left_alone(database: Database) -> None:
    database.psql("CREATE TABLE item (id integer)")
    with database.holding("LOCK TABLE item IN ACCESS SHARE MODE"):
        messages = run(database, bigger).refused().messages
    assert "ALTER TABLE public.item RENAME TO thing fails: canceling statement due to lock" in (
        messages
    )
    assert "let a run before this one do the rename" in messages
    run(database, bigger).succeeded()


@one_version
def test_what_goes_is_asked_for_under_the_new_names(database: Database) -> None:
    database.psql(
        "CREATE TABLE item (id integer, note text); INSERT INTO item VALUES (1, 'x');"
        "CREATE VIEW notes AS SELECT note FROM item; CREATE VIEW ids AS SELECT id FROM item;"
        "CREATE TABLE other (id integer)"
    )

    def without_note() -> None:
        with pg.transaction():
            columns = [pg.Column("key", "integer", renamed_from="id")]
            pg.table("thing", [*columns, pg.Column("note", present=False)], renamed_from="item")

    def without_table() -> None:
        with pg.transaction():
            pg.table("others", [pg.Column("id", "integer")], renamed_from="other")
            pg.table("item", present=False)

    messages = run(database, without_table, postgres_allow="item").refused().messages
    assert "table public.item: it is used by view public.ids, view public.notes" in messages
    messages = run(database, without_note).refused().messages
    assert "DROP COLUMN note would lose 1 value; to allow it, run with --data" in messages
    messages = run(database, without_note, postgres_allow="thing.note").refused().messages
    assert "table public.thing: its note is used by view public.notes: remove or change" in messages
    database.psql("DROP VIEW notes")
    run(database, without_note, postgres_allow="thing.note").succeeded()
    assert database.psql("SELECT * FROM ids, thing") == "1|1"


@one_version
def test_what_depends_on_a_change_is_declared_under_its_new_name(
    database: Database,
) -> None:
    database.psql("CREATE TABLE item (id integer); CREATE POLICY p ON item USING (id > 1)")

    def early() -> None:
        with pg.transaction():
            pg.policy("p", "item", using="id > 2")
            bigger()

    def late() -> None:
        with pg.transaction():
            bigger()
            pg.policy("p", "thing", using="id > 2")

    messages = run(database, early).refused().messages
    assert "gives table public.item another name: use that here too" in messages
    run(database, late).succeeded()
    assert database.psql("SELECT qual FROM pg_policies") == "(id > 2)"


@one_version
def test_what_the_role_may_not_rename_is_told(database: Database) -> None:
    role = f"r_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {role} LOGIN; CREATE TABLE item (id integer); CREATE TABLE mine (id integer);"
        f"ALTER TABLE mine OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role};"
        "INSERT INTO mine VALUES (1); CREATE VIEW v AS SELECT id FROM mine;"
        f"ALTER VIEW v OWNER TO {role}"
    )

    def own() -> None:
        pg.table("yours", [pg.Column("key", "bigint", renamed_from="id")], renamed_from="mine")

    messages = run(database, bigger, postgres_user=role).refused().messages
    assert "ALTER TABLE public.item RENAME TO thing fails: must be owner of table item" in messages
    run(database, own, postgres_user=role, postgres_allow="yours").succeeded()
    assert database.psql("SELECT id FROM v") == "1"


@one_version
def test_operations_of_one_name_are_two_operations(database: Database) -> None:
    database.psql("CREATE TABLE item (id integer)")

    def deploy() -> None:
        with pg.transaction():
            pg.view("v", "SELECT id FROM thing", name="step")
            pg.table("thing", [pg.Column("id", "integer")], renamed_from="item", name="step")

    run(database, deploy).succeeded()
    assert "FROM thing" in database.psql("SELECT pg_get_viewdef('v')")


@pytest.mark.parametrize("how", ["schema", "table", "constraint"])
@one_version
def test_a_key_has_a_name_that_no_renamed_index_has(how: str, database: Database) -> None:
    """The partition's index gets a name that is free when it is built."""
    database.psql(
        "CREATE SCHEMA a; CREATE SCHEMA other;"
        "CREATE TABLE a.l (at date NOT NULL, id integer) PARTITION BY RANGE (at);"
        "CREATE TABLE a.l_1 PARTITION OF a.l FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
        "INSERT INTO a.l VALUES ('2026-01-02', 1);"
    )
    index = "CONSTRAINT l_1_at_id_key UNIQUE (at)"
    if how == "schema":
        database.psql(f"CREATE TABLE a.x (at integer, {index})")
    elif how == "table":
        database.psql(f"CREATE TABLE other.x (at integer, {index})")
    else:
        database.psql(f"CREATE TABLE a.x (at integer, {index.replace('id_key', 'key')})")

    def declared() -> None:
        schema = "b" if how == "schema" else "a"
        with pg.transaction():
            if how == "schema":
                pg.schema("b", renamed_from="a")
            elif how == "table":
                pg.table("a.x", renamed_from="other.x")
            else:
                key = pg.Unique("at", name="l_1_at_id_key", renamed_from="l_1_at_key")
                pg.table("a.x", constraints=[key])
            pg.table(
                f"{schema}.l",
                [pg.Column("at", "date", nullable=False), pg.Column("id", "integer")],
                partition_by="RANGE (at)",
                constraints=[pg.Unique("at", "id")],
            )

    run(database, declared).succeeded()
    assert (
        database.psql(
            "SELECT conname FROM pg_constraint WHERE conrelid::regclass::text ~ 'l_1'"
            " AND contype = 'u'"
        )
        == "l_1_at_id_key1"
    )
