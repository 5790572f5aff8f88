"""A block is one operation: its declarations are planned together, in an order that fits."""

from __future__ import annotations

import re
from itertools import permutations

import pytest
from pyinfra.api.deploy import deploy as phase

import pyinfra_postgres as pg
from harness import Database, Databases, Project, one_version
from harness.process import Deploy, run
from pyinfra_postgres.errors import DeclarationError

pytestmark = one_version

ID = pg.Column("id", "integer", primary_key=True)


def orders() -> None:
    pg.table("shop.orders", [ID, pg.Column("state", "shop.state", default="shop.first()")])


def first() -> None:
    body = "SELECT 'new'::shop.state"
    pg.function("shop.first", returns="shop.state", body=body)


def states() -> None:
    pg.enum("shop.state", ["new", "done"])


def shop() -> None:
    pg.schema("shop")


def open_orders() -> None:
    pg.view("shop.open", "SELECT id FROM shop.orders WHERE state = 'new'")


PARTS = (orders, first, states, shop, open_orders)


def block(*parts: Deploy) -> Deploy:
    def deploy() -> None:
        with pg.transaction():
            for part in parts:
                part()

    return deploy


@pytest.mark.parametrize("parts", list(permutations(PARTS))[::17])
def test_the_order_of_what_is_declared_does_not_matter(
    database: Database, parts: tuple[Deploy, ...]
) -> None:
    run(database, block(*parts)).succeeded()
    assert database.psql("SELECT to_regclass('shop.open')") == "shop.open"
    assert not run(database, block(*parts)).succeeded().plan.changes


GOING = {
    "view": lambda: pg.view("shop.open", present=False),
    "table": lambda: pg.table("shop.orders", present=False),
    "function": lambda: pg.function("shop.first", present=False),
    "enum": lambda: pg.enum("shop.state", present=False),
    "schema": lambda: pg.schema("shop", present=False),
}


@pytest.mark.parametrize("names", list(permutations(GOING))[::17])
def test_the_order_of_what_goes_does_not_matter(database: Database, names: tuple[str, ...]) -> None:
    empty = database.dump()
    run(database, block(*PARTS)).succeeded()
    run(database, block(*(GOING[name] for name in names))).succeeded()
    assert database.dump() == empty


def test_what_lets_go_of_something_and_what_goes_come_in_any_order(
    new_database: Databases,
) -> None:
    def without_first() -> None:
        pg.table("shop.orders", [ID, pg.Column("state", "shop.state", default="'done'")])

    for parts in permutations([without_first, GOING["function"]]):
        database = new_database()
        run(database, block(*PARTS)).succeeded()
        run(database, block(*parts)).succeeded()
        assert database.psql("SELECT count(*) FROM pg_proc WHERE proname = 'first'") == "0"


def test_tables_may_reference_one_another(database: Database) -> None:
    def one() -> None:
        pg.table("one", [ID, pg.Column("other", "integer", references="other(id)")])

    def other() -> None:
        pg.table("other", [ID, pg.Column("one", "integer", references="one(id)")])

    def gone() -> None:
        pg.table("one", present=False)
        pg.table("other", present=False)

    empty = database.dump()
    run(database, block(one, other)).succeeded()
    assert database.psql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == "2"
    assert not run(database, block(other, one)).succeeded().plan.changes
    outcome = run(database, block(gone)).succeeded()
    assert "2 removed in" in outcome.messages
    assert database.dump() == empty


def test_a_circle_that_nothing_opens_is_told(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.table("t", [pg.Column("a", "integer", default="f()")])
            pg.function("f", returns="integer", body="SELECT count(*)::integer FROM t")

    messages = run(database, deploy).refused().messages
    assert "these need one another in a circle: " in messages
    assert "table public.t" in messages
    assert "function public.f()" in messages


def test_a_script_says_what_it_provides(database: Database) -> None:
    def deploy(provides: tuple[str, ...]) -> Deploy:
        def declared() -> None:
            with pg.transaction():
                pg.table("t", [pg.Column("a", "addr")])
                pg.sql(
                    "CREATE TYPE addr AS (street text)",
                    unless="SELECT to_regtype('public.addr') IS NOT NULL",
                    provides=provides,
                )

        return declared

    messages = run(database, deploy(())).refused().messages
    assert "table public.t needs type public.addr, which does not exist" in messages
    assert 'provides=["type public.addr"]' in messages
    run(database, deploy(("type addr",))).succeeded()
    assert not run(database, deploy(("type addr",))).succeeded().plan.changes


def test_an_operation_tells_behind_the_block_whether_it_changed_something(
    database: Database,
) -> None:
    database.psql("CREATE TABLE same (id integer)")
    found: dict[str, object] = {}

    def deploy() -> None:
        with pg.transaction():
            same = pg.table("same", [pg.Column("id", "integer")])
            new = pg.table("new", [pg.Column("id", "integer")])
            with pytest.raises(DeclarationError, match="behind the block"):
                _ = new.will_change
        found["will"] = (same.will_change, new.will_change)
        pg.sql("CREATE TABLE followed (id integer)", _if=new.did_change)
        pg.sql("CREATE TABLE not_followed (id integer)", _if=same.did_change)

    run(database, deploy).succeeded()
    assert found["will"] == (False, True)
    assert database.psql("SELECT to_regclass('followed'), to_regclass('not_followed')") == (
        "followed|"
    )


def test_what_a_condition_leaves_out_is_not_done(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.table("a", [pg.Column("id", "integer")], _if=lambda: False)
            pg.table("b", [pg.Column("id", "integer")], _if=[lambda: True, lambda: True])
            conditional(_if=lambda: False)

    run(database, deploy).succeeded()
    assert database.psql("SELECT to_regclass('a'), to_regclass('b'), to_regclass('c')") == "|b|"


@phase("Conditional")
def conditional() -> None:
    pg.table("c", [pg.Column("id", "integer")])


def test_other_global_arguments_belong_to_the_block(database: Database) -> None:
    def of_an_operation() -> None:
        with pg.transaction():
            pg.table("a", [pg.Column("id", "integer")], _ignore_errors=True)

    def of_the_block() -> None:
        with pg.transaction(name="all of it", _ignore_errors=True):
            pg.table("a", [pg.Column("id", "integer")])
            pg.sql("SELECT 1 / 0")

    messages = run(database, of_an_operation).refused().messages
    assert "table public.a: _ignore_errors is an argument of the block" in messages
    assert "pg.transaction(_ignore_errors=...)" in messages
    run(database, of_the_block).succeeded()
    assert database.psql("SELECT to_regclass('a')") == ""


def test_a_refusal_has_its_place_and_the_rest_of_the_plan(
    project: Project, pair: tuple[Database, Database]
) -> None:
    pair[0].psql("CREATE TABLE t (id integer, n text); INSERT INTO t VALUES (1, 'x')")
    project.deploy(
        """
        with pg.transaction():
            pg.table("fine", [pg.Column("id", "integer")])
            pg.table("t", [pg.Column("id", "integer"), pg.Column("n", present=False)])
            pg.index("i", "missing", ["id"])
        """
    )
    shown = project.run("inventory.py", "deploy.py", "--dry", "--diff").failed()
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown.stderr)
    assert "to allow it, run with --data 'postgres_allow=public.t.n' (deploy.py line 7)" in plain
    assert plain.count("index public.i needs table public.missing") == 2
    assert "(deploy.py line 8)" in plain
    assert "[@postgres/one] refused for 2 objections: nothing was changed" in plain
    assert "CREATE TABLE public.fine" in shown.stdout
    assert "CREATE" not in pair[1].dump()


@phase("Phase 1")
def phase_one() -> None:
    pg.table("a", [pg.Column("id", "integer")])
    pg.table("b", [pg.Column("id", "integer")])


@phase("Phase 2")
def phase_two() -> None:
    pg.view("v", "SELECT id FROM a")


def test_a_plan_is_a_line_for_each_host_and_phase(new_database: Databases) -> None:
    database = new_database()
    shown = run(database, block(phase_one, phase_two)).succeeded().messages
    assert "3 to create, 0 to change, 0 to remove" in shown
    assert re.search(r"Phase 1 +2 to create", shown)
    assert re.search(r"Phase 2 +1 to create", shown)
    assert run(database, block(phase_one, phase_two)).succeeded().messages.count("no changes") == 1


def test_a_plan_is_the_same_on_every_run(database: Database) -> None:
    def sql(parts: tuple[Deploy, ...]) -> list[str]:
        plan = run(database, block(*parts), dry=True).succeeded().plan
        return [one.sql for change in plan.changes for one in change.statements]

    assert sql(PARTS) == sql(PARTS)
    assert sorted(sql(PARTS)) == sorted(sql(PARTS[::-1]))


def test_many_hosts_that_do_not_differ_are_a_few_lines(
    project: Project, database: Database
) -> None:
    project.inventory({f"h{n}": database.dsn for n in range(25)})
    project.deploy(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("id", "integer")])
        """
    )
    database.psql("CREATE TABLE t (id integer)")
    lines = project.run("inventory.py", "deploy.py", "--dry", "--diff").succeeded().stdout
    assert "no changes: 25 hosts" in lines
    assert len(lines.splitlines()) < 10


FILLED = """
CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE DOMAIN d AS integer;
CREATE TABLE t (id integer PRIMARY KEY, a integer); INSERT INTO t VALUES (1, 1);
CREATE INDEX t_f ON t (f(a));
CREATE INDEX t_d ON t ((a::d));
CREATE TYPE k AS ENUM ('a', 'b');
CREATE TABLE kt (c k); INSERT INTO kt VALUES ('a'); CREATE INDEX ki ON kt (c) WHERE c = 'b';
CREATE VIEW kv AS SELECT c FROM kt WHERE c = 'b';
CREATE TABLE ev (id integer, a integer) PARTITION BY LIST (id);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES IN (1); INSERT INTO ev VALUES (1, 1);
CREATE FUNCTION ff(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE INDEX ev_ff ON ev (ff(a))
"""


def gone_f() -> None:
    pg.function("f", arguments="integer", present=False)


def gone_ff() -> None:
    pg.function("ff", arguments="integer", present=False)


def one_label() -> None:
    pg.enum("k", ["a"], exact=True)


LETTING_GO: dict[str, tuple[Deploy, Deploy, str]] = {
    "an index and its function": (lambda: pg.index("t_f", "t", present=False), gone_f, "f"),
    "an index that lets go": (lambda: pg.index("t_f", "t", ["a"]), gone_f, "f"),
    "an index and its domain": (
        lambda: pg.index("t_d", "t", present=False),
        lambda: pg.domain("d", present=False),
        "d",
    ),
    "a partitioned index": (lambda: pg.index("ev_ff", "ev", present=False), gone_ff, "ff"),
}


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize("case", LETTING_GO)
def test_what_an_index_of_a_filled_table_uses_goes_with_it(
    database: Database, case: str, turned: bool
) -> None:
    *parts, name = LETTING_GO[case]
    database.psql(FILLED)
    deploy = block(*reversed(parts)) if turned else block(*parts)
    run(database, deploy).succeeded()
    names = "SELECT proname FROM pg_proc UNION ALL SELECT typname FROM pg_type"
    there = f"SELECT count(*) FROM ({names}) AS x(n) WHERE n = '{name}'"
    assert database.psql(there) == "0"
    assert not run(database, deploy).succeeded().plan.changes


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_a_label_goes_with_what_names_it(database: Database, turned: bool) -> None:
    database.psql(FILLED)
    gone = [lambda: pg.index("ki", "kt", present=False), lambda: pg.view("kv", present=False)]
    deploy = block(one_label, *gone) if turned else block(*gone, one_label)
    run(database, deploy, postgres_allow="kt,k").succeeded()
    assert database.psql("SELECT enum_range(NULL::k)") == "{a}"
    assert not run(database, deploy).succeeded().plan.changes


def test_a_comment_is_no_use_of_a_label(database: Database) -> None:
    database.psql("CREATE TYPE k AS ENUM ('a', 'b'); CREATE TABLE t (k k)")

    def deploy() -> None:
        with pg.transaction():
            pg.enum("k", ["a", "b", "c"])
            pg.table("t", [pg.Column("k", "k", comment="c")], comment="c")
            pg.sql("SELECT 1 / 0")

    run(database, deploy).refused()
    assert database.psql("SELECT enum_range(NULL::k)") == "{a,b}"


def test_a_key_that_is_left_out_goes_under_exact(database: Database) -> None:
    database.psql("CREATE TABLE t (id integer PRIMARY KEY)")

    def deploy() -> None:
        with pg.transaction(exact=True):
            pg.table("t", [pg.Column("id", "integer")])

    run(database, deploy).succeeded()
    assert "PRIMARY KEY" not in database.dump()
    assert "NOT NULL" not in database.dump()
    assert not run(database, deploy).succeeded().plan.changes


@pytest.mark.parametrize("options", [("--dry",), ("-y",)])
def test_plans_are_told_in_the_order_of_the_inventory(
    project: Project, database: Database, options: tuple[str, ...]
) -> None:
    project.inventory(dict.fromkeys(("b", "c", "a", "d"), database.dsn))
    project.deploy(
        """
        import time

        if host.name != "@postgres/c":
            if host.name == "@postgres/b":
                time.sleep(0.5)
            with pg.transaction():
                pg.table(f"t_{host.name[-1]}", [pg.Column("id", "integer")])
        """
    )
    printed = project.run("inventory.py", "deploy.py", *options).succeeded().stdout
    plain = re.sub(r"\x1b\[[\d;]*m", "", printed)
    assert [line.split()[0] for line in plain.splitlines() if "to create" in line] == [
        "[@postgres/b]"
    ]
    assert re.findall(r"\[@postgres/(\w)\] same plan as @postgres/b", plain) == ["a", "d"]


def test_a_message_belongs_to_the_declaration_that_asked(database: Database) -> None:
    database.psql(
        "CREATE TABLE a (n integer); CREATE TABLE b (n text);"
        "CREATE VIEW v AS SELECT n FROM a;"
        "CREATE POLICY p ON a USING (n > 1); CREATE POLICY p ON b USING (n > 'x')"
    )

    def equal_texts() -> None:
        with pg.transaction():
            pg.policy("p", "a", using="n + 1 > 2")
            pg.policy("p", "b", using="n + 1 > 2")

    def several_lines() -> None:
        with pg.transaction():
            pg.view("v", "SELECT n\nFROM a\nGROUP BY n\nHAVING n")

    messages = run(database, equal_texts).refused().messages
    assert "policy p on public.b: " in messages
    assert "policy p on public.a: " not in messages
    messages = run(database, several_lines, dry=True).refused().messages
    assert "view public.v: " in messages
    assert "HAVING" in messages
