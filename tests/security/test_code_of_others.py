"""What a run would have PostgreSQL call belongs to trusted roles, or is refused before that.

Each attack is first a deploy, dry and real, which must not spring the trap; then the plain SQL that
the deploy stands for, which springs it: so the trap is set.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

import pyinfra_postgres as pg
from harness import Database, Project, one_version
from harness.process import Outcome, run
from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.comparison.asking import Ask
from pyinfra_postgres.plan.plan import Loss
from pyinfra_postgres.planning import consent

from .conftest import Trap


class Attack(NamedTuple):
    """How a role sets its trap, the deploy that walks into it, and what springs it."""

    setup: str
    deploy: Callable[[], object]
    plain: str
    data: Mapping[str, Any] = MappingProxyType({})


EVIL = "CREATE FUNCTION {} RETURNS {} LANGUAGE plpgsql AS {}"
TABLE = "CREATE TABLE public.t (id int PRIMARY KEY, n varchar(9)); "
ROW = "INSERT INTO public.t (id, n) VALUES (1, 'x'); "
ALLOW = {"postgres_allow": "t,t.n,parent,e,state"}


def evil(signature: str = "public.evil(text)", returns: str = "boolean") -> str:
    """A function that is the trap; its body comes in when the trap is set."""
    return f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE plpgsql AS BODY; "


def filled(table: str = "public.t") -> Callable[[], object]:
    """A deploy that declares a row."""
    return lambda: pg.rows(table, [{"id": 2, "n": "y"}], key="id")


def columns(*more: pg.Column, type_: str = "varchar(9)", **keywords: object) -> object:
    """A deploy of the table."""
    return pg.table(
        "t",
        [pg.Column("id", "int", primary_key=True), pg.Column("n", type_), *more],
        **keywords,  # type: ignore[arg-type]
    )


IMMUTABLE = "boolean IMMUTABLE"
TRIGGER = evil("public.evil()", "trigger")
FILL = "INSERT INTO public.t (id, n) VALUES (2, 'y')"
ATTACKS = {
    "a check, when the table is written anew": Attack(
        f"{evil()}{TABLE}{ROW}ALTER TABLE public.t ADD CHECK (public.evil(n));",
        lambda: columns(type_="text"),
        "ALTER TABLE public.t ALTER n TYPE text",
        ALLOW,
    ),
    "a check of a row": Attack(
        f"{evil()}{TABLE}ALTER TABLE public.t ADD CHECK (public.evil(n));", filled(), FILL
    ),
    "a default": Attack(
        f"{evil('public.evil()', 'int')}{TABLE}"
        "ALTER TABLE public.t ADD d int DEFAULT public.evil();",
        filled(),
        FILL,
    ),
    "a generated column": Attack(
        f"{evil(returns=IMMUTABLE)}{TABLE}ALTER TABLE public.t ADD g boolean "
        "GENERATED ALWAYS AS (public.evil(n)) STORED;",
        filled(),
        FILL,
    ),
    "an expression of an index": Attack(
        f"{evil(returns=IMMUTABLE)}{TABLE}CREATE INDEX ON public.t (public.evil(n));",
        filled(),
        FILL,
    ),
    "the predicate of an index, folded by the planner": Attack(
        f"{evil(returns=IMMUTABLE)}{TABLE}{ROW}"
        "CREATE INDEX ON public.t (id) WHERE public.evil('x');",
        lambda: pg.sql("SELECT count(*) FROM t", unless="SELECT count(*) > 9 FROM t"),
        "SELECT count(*) FROM public.t",
    ),
    "extended statistics": Attack(
        f"{evil(returns=IMMUTABLE)}{TABLE}{ROW}"
        "CREATE STATISTICS public.s ON (public.evil('x')), n FROM public.t;",
        lambda: pg.sql("ANALYZE t", unless="SELECT count(*) > 9 FROM t WHERE n > 'a'"),
        "SELECT count(*) FROM public.t WHERE n > 'a'",
    ),
    "a trigger": Attack(
        f"{TRIGGER}{TABLE}CREATE TRIGGER x BEFORE INSERT ON public.t FOR EACH ROW "
        "EXECUTE FUNCTION public.evil();",
        filled(),
        FILL,
    ),
    "a trigger behind a foreign key": Attack(
        f"{TRIGGER}CREATE TABLE public.parent (id int PRIMARY KEY, n text);"
        "INSERT INTO public.parent VALUES (1, 'x');"
        "CREATE TABLE public.child (id int REFERENCES public.parent ON DELETE CASCADE);"
        "INSERT INTO public.child VALUES (1);"
        "CREATE TRIGGER x AFTER DELETE ON public.child FOR EACH ROW "
        "EXECUTE FUNCTION public.evil();",
        lambda: pg.rows("parent", [{"id": 1}], key="id", present=False),
        "DELETE FROM public.parent",
        ALLOW,
    ),
    "a rule": Attack(
        f"{evil()}{TABLE}CREATE RULE x AS ON INSERT TO public.t DO ALSO SELECT public.evil('x');",
        filled(),
        FILL,
    ),
    "a domain": Attack(
        f"{evil()}CREATE DOMAIN public.d AS text CHECK (public.evil(value));"
        "CREATE TABLE public.t (id int PRIMARY KEY, n public.d);",
        filled(),
        FILL,
    ),
    "a constant of an array of a domain, while it is parsed": Attack(
        f"{evil()}CREATE DOMAIN public.d AS text CHECK (public.evil(value));"
        "CREATE TABLE public.t (id int PRIMARY KEY, n public.d[] DEFAULT '{}');",
        lambda: pg.table(
            "t",
            [
                pg.Column("id", "int", primary_key=True),
                pg.Column("n", "public.d[]", default="'{x}'"),
            ],
        ),
        "ALTER TABLE public.t ALTER n SET DEFAULT '{x}'",
    ),
    "a view that a query reads": Attack(
        f"{evil()}CREATE VIEW public.v AS SELECT public.evil('x');",
        lambda: pg.sql("CREATE TABLE z ()", unless="SELECT count(*) > 1 FROM v WHERE evil"),
        "SELECT * FROM public.v",
    ),
    "text that a function of PostgreSQL runs": Attack(
        f"{evil()}{TABLE}{ROW}ALTER TABLE public.t ADD CHECK (ts_rewrite('a', "
        "'SELECT ''a''::tsquery, ''b''::tsquery WHERE public.evil(''x'')') IS NOT NULL) NOT VALID;",
        filled(),
        FILL,
    ),
    "the key of a partitioned table": Attack(
        f"{evil(returns='text IMMUTABLE')}CREATE TABLE public.t (id int, n text)"
        " PARTITION BY LIST (public.evil(n));"
        "CREATE TABLE public.t1 PARTITION OF public.t DEFAULT;",
        lambda: pg.rows("t", [{"id": 2, "n": "y"}], key="id"),
        FILL,
    ),
    "the rows that move out of the default partition": Attack(
        f"{TRIGGER}CREATE TABLE public.t (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at);"
        "CREATE TABLE public.t_default PARTITION OF public.t DEFAULT;"
        "INSERT INTO public.t VALUES (1, '2026-01-05');"
        "CREATE TRIGGER x AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.evil();",
        lambda: pg.partitions("t", every="month", start="2026-01", ahead=0, default=True),
        "INSERT INTO public.t VALUES (2, '2026-01-06')",
        {"postgres_allow": "t,t_default", "postgres_today": "2026-01-20"},
    ),
    "an overload that fits a declared check better": Attack(
        f"{evil('public.lower(varchar)', 'text')}{TABLE}{ROW}",
        lambda: columns(constraints=[pg.Check("lower(n) <> 'z'", name="low")]),
        "SELECT lower(n) FROM public.t",
    ),
    "an overload in the check of a new table": Attack(
        evil("public.lower(varchar)", "text"),
        lambda: columns(constraints=[pg.Check("lower(n) <> 'z'", name="low")]),
        "SELECT lower('x'::varchar)",
    ),
    "an overload in a value, folded by EXPLAIN": Attack(
        f"{evil('public.lower(varchar)', 'text IMMUTABLE')}",
        lambda: pg.objects(
            [
                pg.Table("mine", [pg.Column("id", "int"), pg.Column("n", "text")]),
                pg.Rows("mine", [{"id": 1, "n": pg.SQL("lower('X'::varchar)")}], key="id"),
            ]
        ),
        "EXPLAIN SELECT lower('X'::varchar)",
    ),
    "an overload in the way to another type": Attack(
        f"{evil('public.lower(varchar)', 'text')}{TABLE}{ROW}",
        lambda: pg.table(
            "t",
            [
                pg.Column("id", "int", primary_key=True),
                pg.Column("n", "text", using="lower(n)"),
            ],
        ),
        "SELECT lower(n) FROM public.t",
        ALLOW,
    ),
    "the rows of an enum that is made anew": Attack(
        f"{evil()}CREATE TYPE public.state AS ENUM ('a', 'b');"
        "CREATE TABLE public.t (id int, n public.state, CHECK (public.evil(n::text)));"
        "INSERT INTO public.t VALUES (1, 'a');",
        lambda: pg.enum("state", ["b"], replaced={"a": "b"}, exact=True),
        "UPDATE public.t SET n = 'b'",
        ALLOW,
    ),
    "an operator": Attack(
        f"{evil('public.same(varchar, varchar)')}CREATE OPERATOR public.= (FUNCTION = public.same, "
        f"LEFTARG = varchar, RIGHTARG = varchar); {TABLE}{ROW}",
        lambda: pg.sql("SELECT 1", unless="SELECT true FROM t WHERE n = 'x'::varchar"),
        "SELECT true FROM public.t WHERE n = 'x'::varchar",
    ),
    "an operator that SQL writes as a word": Attack(
        f"{evil('public.same(varchar, varchar)')}CREATE OPERATOR public.= (FUNCTION = public.same, "
        f"LEFTARG = varchar, RIGHTARG = varchar); {TABLE}{ROW}",
        lambda: pg.sql("SELECT 1", unless="SELECT true FROM t WHERE n IN ('x'::varchar)"),
        "SELECT true FROM public.t WHERE n IN ('x'::varchar)",
    ),
    "a cast that nobody writes": Attack(
        "CREATE TYPE public.e AS ENUM ('a');"
        f"{evil('public.evil(public.e)', 'text')}"
        "CREATE CAST (public.e AS text) WITH FUNCTION public.evil(public.e) AS IMPLICIT;"
        "CREATE TABLE public.t (id int, n public.e); INSERT INTO public.t VALUES (1, 'a');",
        lambda: pg.sql("SELECT 1", unless="SELECT true FROM t WHERE length(n) > 0"),
        "SELECT true FROM public.t WHERE length(n) > 0",
    ),
    "an aggregate": Attack(
        f"{evil('public.step(text, varchar)', 'text')}"
        f"CREATE AGGREGATE public.max(varchar) (SFUNC = public.step, STYPE = text); {TABLE}{ROW}",
        lambda: pg.sql("SELECT 1", unless="SELECT max(n) = 'x' FROM t"),
        "SELECT max(n) FROM public.t",
    ),
    "a function written as a column": Attack(
        f"{TABLE}{ROW}{evil('public.extra(public.t)')}",
        lambda: pg.sql("SELECT 1", unless="SELECT t.extra FROM t"),
        "SELECT t.extra FROM public.t",
    ),
}


def set_trap(trap: Trap, role: str, setup: str) -> None:
    trap.database.psql(f"GRANT CREATE ON SCHEMA public TO {role}")
    body = trap.body()
    trap.as_role(role, setup.replace("BODY", body))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_nothing_that_others_own_runs(
    attack: Attack, trap: Trap, stranger: str, database: Database
) -> None:
    set_trap(trap, stranger, attack.setup)
    before = database.dump()
    sprung = trap.sprung()

    dry = run(database, attack.deploy, dry=True, **attack.data)
    real = run(database, attack.deploy, **attack.data)

    assert trap.sprung() == sprung
    assert database.dump() == before
    for outcome in (dry, real):
        assert f"which belongs to {stranger}, as postgres: " in outcome.refused().messages
        assert f'set postgres_trust = "{stranger}"' in outcome.messages
    database._psql(attack.plain, dsn=None)
    assert len(trap.sprung()) > len(sprung), "the trap was not set"


def run_in_thread(database: Database) -> Callable[[], Outcome]:
    """Begins a deploy of a row; call what it returns for its end."""
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(run(database, filled())))
    thread.start()

    def end() -> Outcome:
        thread.join(60)
        return found[0]

    return end


def until_waiting(database: Database) -> None:
    """Wait for a session that waits for a lock."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    deadline = time.monotonic() + 60
    while database.psql(query) == "0":
        assert time.monotonic() < deadline
        time.sleep(0.02)


QUERY = "SELECT public.evil('x') AS e"


def test_a_materialized_view_is_filled_as_its_owner(
    trap: Trap, stranger: str, database: Database
) -> None:
    """Also one that is made anew because of a type that it reads."""
    set_trap(
        trap,
        stranger,
        f"{evil(returns='int')}CREATE TABLE public.t (n varchar(9));"
        "INSERT INTO public.t VALUES ('x');"
        "CREATE MATERIALIZED VIEW public.m AS SELECT n, public.evil(n) FROM public.t;",
    )
    before = len(trap.sprung())

    def deploy() -> object:
        return pg.table("t", [pg.Column("n", "text")])

    run(database, deploy, dry=True, postgres_allow="t").succeeded()
    assert len(trap.sprung()) == before
    run(database, deploy, postgres_allow="t").succeeded()

    assert {line.rpartition(" as ")[2] for line in trap.sprung()} == {stranger}
    assert len(trap.sprung()) > before
    assert database.rows("SELECT matviewowner, ispopulated FROM pg_matviews") == [(stranger, "t")]
    assert database.psql("SELECT n FROM m") == "x"


def test_a_materialized_view_for_another_role_is_filled_as_that_role(
    trap: Trap, stranger: str, database: Database
) -> None:
    set_trap(trap, stranger, evil())
    run(database, lambda: pg.materialized_view("m", QUERY, owner=stranger)).succeeded()
    other = f"{QUERY}, 1 AS one"
    run(database, lambda: pg.materialized_view("m", other, owner=stranger)).succeeded()
    assert len(trap.sprung()) > 1
    assert {line.rpartition(" as ")[2] for line in trap.sprung()} == {stranger}


def test_an_index_of_another_role_is_built_as_that_role(
    trap: Trap, stranger: str, database: Database
) -> None:
    """PostgreSQL's own promise, on which the rule stands; also where the table is written anew."""
    set_trap(
        trap,
        stranger,
        f"{evil(returns=IMMUTABLE)}{TABLE}{ROW}CREATE INDEX x ON public.t (public.evil(n)) "
        "WHERE public.evil('x');",
    )
    database.psql(
        "CREATE INDEX ON public.t (id); REINDEX TABLE public.t; CLUSTER public.t USING t_pkey"
    )
    run(database, lambda: pg.index("by_n", "t", ["n"])).succeeded()
    assert {line.rpartition(" as ")[2] for line in trap.sprung()} == {stranger}


def test_roles_whose_code_may_run_are_named(trap: Trap, stranger: str, database: Database) -> None:
    set_trap(trap, stranger, ATTACKS["a check of a row"].setup)
    other = run(database, filled(), postgres_trust="postgres,somebody_else").refused()
    assert (
        f"rows public.t: it would run function public.evil(text), which belongs to {stranger}, "
        "as postgres: constraint t_n_check on table public.t calls it. Give it to a role that you "
        f'trust, or set postgres_trust = "{stranger}"'
    ) in other.messages
    assert trap.sprung() == []
    run(database, filled(), postgres_trust=f"somebody_else, {stranger}").succeeded()
    assert trap.sprung()


def test_a_member_of_a_role_does_not_trust_it(
    trap: Trap, stranger: str, database: Database
) -> None:
    """The role that deploys may do more than those that it is a member of."""
    deployer = f"deployer_{stranger}"
    set_trap(trap, stranger, ATTACKS["a check of a row"].setup)
    database.psql(f"CREATE ROLE {deployer} LOGIN IN ROLE {stranger}")
    dsn = database.dsn.replace("postgres@", f"{deployer}@")
    refused = run(database, filled(), postgres_dsn=dsn).refused().messages
    assert f"which belongs to {stranger}, as {deployer}" in refused
    assert trap.sprung() == []


def test_a_security_definer_function_is_no_exception(
    trap: Trap, stranger: str, database: Database
) -> None:
    """It may leave settings and deferred triggers behind for the role that calls it."""
    set_trap(trap, stranger, f"{evil(returns='text SECURITY DEFINER')}{TABLE}{ROW}")
    deploy = lambda: pg.sql("UPDATE t SET n = public.evil(n)")  # noqa: E731
    assert "which belongs to" in run(database, deploy).refused().messages
    assert trap.sprung() == []


def test_a_check_reads_no_view_of_others(trap: Trap, stranger: str, database: Database) -> None:
    set_trap(trap, stranger, f"{evil()}CREATE VIEW public.v AS SELECT public.evil('x') AS e;")
    outcome = run(database, lambda: pg.check("v", "SELECT e FROM v", [(None,)])).refused()
    assert "rule _RETURN on view public.v calls it" in outcome.messages
    assert trap.sprung() == []


def test_row_level_security_may_filter_what_a_check_reads(
    trap: Trap, stranger: str, database: Database
) -> None:
    policy = "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON public.t USING"
    set_trap(trap, stranger, f"{evil()}{TABLE}{ROW}{policy} (public.evil(n));")
    database.psql(f"GRANT SELECT ON public.t TO {stranger}")
    check = lambda: pg.check(  # noqa: E731
        "t", "SELECT n FROM t", [], setup=[f"SET LOCAL ROLE {stranger}"]
    )
    assert "policy p on table public.t calls it" in run(database, check).refused().messages
    # The plan itself never has rows filtered.
    run(database, filled()).succeeded()
    assert trap.sprung() == []


@one_version
@pytest.mark.parametrize(
    "arguments", [("deploy.py", "-y"), ("pyinfra_postgres.sql", "SELECT count(*) FROM t")]
)
@pytest.mark.parametrize("host", ["@postgres/db", "@local"])
def test_from_a_command_line(
    arguments: tuple[str, ...],
    host: str,
    trap: Trap,
    stranger: str,
    database: Database,
    project: Project,
) -> None:
    """The planner folds what an index has, for any query."""
    set_trap(trap, stranger, ATTACKS["the predicate of an index, folded by the planner"].setup)
    sprung = trap.sprung()
    project.inventory({host: {"postgres_dsn": database.dsn}})
    project.deploy("""pg.rows("t", [{"id": 2, "n": "y"}], key="id")""")
    path = {"PATH": f"{database.server.binaries}:/usr/bin:/bin"}
    result = project.run("inventory.py", *arguments, env=path)
    assert f"which belongs to {stranger}, as postgres: index public.t_id_idx" in result.output
    assert result.code != 0
    assert trap.sprung() == sprung


@one_version
@pytest.mark.parametrize("attacker", ["the database's owner", "CREATE on the database"])
def test_other_ways_to_have_code_there(
    attacker: str, trap: Trap, stranger: str, database: Database
) -> None:
    if attacker == "the database's owner":
        database.psql(f"ALTER DATABASE {database.name} OWNER TO {stranger}")
        setup = ATTACKS["an overload that fits a declared check better"].setup
        deploy = ATTACKS["an overload that fits a declared check better"].deploy
    else:
        database.psql(f"GRANT CREATE ON DATABASE {database.name} TO {stranger}")
        setup = "CREATE SCHEMA theirs; " + ATTACKS["a trigger"].setup.replace("public.", "theirs.")
        deploy = filled("theirs.t")
    set_trap(trap, stranger, setup)
    assert "which belongs to" in run(database, deploy, dry=True).refused().messages
    assert "which belongs to" in run(database, deploy).refused().messages
    assert trap.sprung() == []


@one_version
def test_code_that_comes_while_the_run_waits_for_its_locks(
    trap: Trap, stranger: str, database: Database
) -> None:
    """The plan is made anew then, under the deploy lock, before a statement of it runs."""
    set_trap(trap, stranger, f"{evil()}{TABLE}{ROW}")

    with database.connect() as connection:
        connection.execute(f"SET ROLE {stranger}")
        connection.execute("LOCK TABLE public.t IN SHARE MODE")
        waiting = run_in_thread(database)
        until_waiting(database)
        connection.execute("ALTER TABLE public.t ADD CHECK (public.evil(n)) NOT VALID")
        connection.commit()
        outcome = waiting()
    assert "which belongs to" in outcome.refused().messages
    assert trap.sprung() == []


def test_a_view_in_the_place_of_a_table_that_is_counted(
    trap: Trap, stranger: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between the catalog's answer and the question of what rows would lose."""
    set_trap(trap, stranger, f"{evil()}{TABLE}{ROW}")
    counted = consent._counted

    def swapped(loss: Loss, catalog: Forecast, ask: Ask) -> Loss:
        trap.as_role(
            stranger,
            "ALTER TABLE public.t RENAME TO u; CREATE VIEW public.t AS"
            " SELECT id, n, public.evil(n) FROM public.u",
        )
        return counted(loss, catalog, ask)

    monkeypatch.setattr(consent, "_counted", swapped)
    outcome = run(database, lambda: pg.table("t", [pg.Column("n", present=False)]))
    assert "restrict" in outcome.refused().messages
    assert trap.sprung() == []


def test_what_the_run_itself_makes_is_followed(
    trap: Trap, stranger: str, database: Database
) -> None:
    """A view, a check, a default or a trigger that names code in full calls it only when used."""
    set_trap(trap, stranger, evil() + evil("public.touch()", "trigger"))

    def makes() -> None:
        pg.view("v", "SELECT public.evil('x') AS n")
        columns(constraints=[pg.Check("public.evil(n)", name="t_evil")])
        pg.trigger("touch", "t", when="BEFORE UPDATE", function="public.touch()")
        pg.policy("p", "t", using="public.evil(n)")

    def reads() -> None:
        with pg.transaction():
            makes()
            pg.sql("CREATE TABLE copied AS SELECT n FROM v")

    def writes() -> None:
        with pg.transaction():
            makes()
            pg.rows("t", [{"id": 1, "n": "x"}], key="id")

    for deploy in (reads, writes):
        assert "which belongs to" in run(database, deploy).refused().messages

    def transaction() -> None:
        with pg.transaction():
            makes()

    run(database, transaction).succeeded()
    assert trap.sprung() == []


def test_ordinary_deploys_go_through(trap: Trap, stranger: str, database: Database) -> None:
    """What others own stands in nobody's way where none of it is called."""
    set_trap(
        trap,
        stranger,
        evil("public.lower(varchar)", "text")
        + evil("public.status(text)", "text")
        + evil("public.touch()", "trigger")
        + "CREATE TABLE public.theirs (id int PRIMARY KEY, n varchar(9));"
        "CREATE TRIGGER x BEFORE UPDATE ON public.theirs FOR EACH ROW "
        "EXECUTE FUNCTION public.touch();",
    )
    database.psql(
        "CREATE FUNCTION public.superusers(text) RETURNS text LANGUAGE sql AS 'SELECT $1'"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.function(
                "own",
                arguments="n text",
                returns="boolean",
                body="SELECT true",
                volatility="IMMUTABLE",
            )
            pg.table(
                "mine",
                [
                    pg.Column("id", "int", primary_key=True),
                    pg.Column("status", "text", default="superusers('new')"),
                    pg.Column("email", "text"),
                ],
                constraints=[
                    pg.Check("own(status)", name="mine_own"),
                    pg.Check("pg_catalog.lower(status) = 'new'", name="mine_low"),
                ],
            )
            pg.index("mine_email", "mine", ["own(status)"])
            pg.rows("mine", [{"id": 1, "email": "a@b.c"}], key="id")
            pg.table(
                "theirs",
                [
                    pg.Column("id", "int", primary_key=True),
                    pg.Column("n", "varchar(9)"),
                    pg.Column("more", "int"),
                ],
                comment="theirs",
            )
            pg.view("both", "SELECT mine.id, theirs.n FROM mine JOIN theirs USING (id)")
            pg.grant("SELECT", on="TABLE theirs", to="public")

    run(database, deploy, dry=True).succeeded()
    run(database, deploy).succeeded()
    # The server tells which of several functions is meant, once it has the table.
    run(
        database,
        lambda: pg.table(
            "mine",
            [pg.Column("id", "int"), pg.Column("status", "text"), pg.Column("email", "text")],
            constraints=[pg.Check("lower(status) <> 'old'", name="mine_not_old")],
        ),
    ).succeeded()
    run(
        database, lambda: pg.check("count", "SELECT lower(status) FROM mine", [("new",)])
    ).succeeded()
    assert trap.sprung() == []


def test_a_deployer_who_is_no_superuser_runs_its_own(stranger: str, database: Database) -> None:
    database.psql(f"GRANT CREATE ON SCHEMA public TO {stranger}")
    dsn = database.dsn.replace("postgres@", f"{stranger}@")

    def deploy() -> None:
        with pg.transaction():
            pg.function(
                "own",
                arguments="n text",
                returns="boolean",
                body="SELECT true",
                volatility="IMMUTABLE",
            )
            columns(constraints=[pg.Check("own(n)", name="t_own")])
            pg.rows("t", [{"id": 1, "n": "x"}], key="id")

    run(database, deploy, postgres_dsn=dsn).succeeded()
    # The check is read again.
    again = run(
        database, lambda: columns(type_="varchar(20)"), postgres_dsn=dsn, postgres_allow="t"
    )
    again.succeeded()
