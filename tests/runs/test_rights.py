"""What a role lacks is said before anything runs, with what to grant."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import pyinfra_postgres as pg
from harness import EVERY_LABEL, NEWEST, Database, one_version
from harness.process import Outcome, run
from pyinfra_postgres.comparison import verdicts

DEPLOYER = "deployer"


@dataclass(frozen=True)
class Deployer:
    """A role of its own to deploy as, with another role `other` beside it."""

    database: Database
    name: str
    other: str

    def psql(self, sql: str) -> None:
        """As superuser; the roles are written DEPLOYER and OTHER."""
        self.database.psql(self._named(sql))

    def run(self, deploy: Callable[[], object]) -> Outcome:
        """A deploy as this role."""
        dsn = self.database.dsn.replace("postgres@", f"{self.name}@", 1)
        return run(self.database, deploy, postgres_dsn=dsn)

    def lacks(self, deploy: Callable[[], object], *messages: str) -> None:
        """The deploy is refused with these messages, and nothing of it runs."""
        before = self.database.dump()
        said = self.run(deploy).refused().messages
        for message in messages:
            assert self._named(message) in said, said
        assert self.database.dump() == before

    def _named(self, text: str) -> str:
        return text.replace("DEPLOYER", self.name).replace("OTHER", self.other)


@pytest.fixture
def deployer(database: Database) -> Deployer:
    mark = secrets.token_hex(3)
    found = Deployer(database, f"deployer_{mark}", f"other_{mark}")
    found.psql("CREATE ROLE DEPLOYER LOGIN; CREATE ROLE OTHER")
    return found


@one_version
def test_what_is_lacked_is_said_all_at_once(deployer: Deployer) -> None:
    name, other = deployer.name, deployer.other

    def deploy() -> None:
        with pg.transaction():
            pg.schema("shop")
            pg.table("job", [pg.Column("id", "integer")])
            pg.role(f"{name}_new", superuser=True)
            pg.role(f"{name}_app", member_of=other)
            pg.extension("vector")

    deployer.lacks(
        deploy,
        "schema shop needs CREATE on database "
        f"{deployer.database.name}, which role DEPLOYER lacks: "
        f"GRANT CREATE ON DATABASE {deployer.database.name} TO DEPLOYER",
        "table public.job needs CREATE on schema public, which role DEPLOYER lacks: "
        "GRANT CREATE ON SCHEMA public TO DEPLOYER",
        "role DEPLOYER_new needs CREATEROLE, which role DEPLOYER lacks: "
        "ALTER ROLE DEPLOYER CREATEROLE",
        "role DEPLOYER_new needs a superuser's rights for superuser=True, which role",
        "role DEPLOYER_app needs ADMIN on role OTHER, which role DEPLOYER lacks: "
        "GRANT OTHER TO DEPLOYER WITH ADMIN OPTION",
        "extension vector needs a superuser's rights, as it is not trusted, which role "
        "DEPLOYER lacks: have a superuser run CREATE EXTENSION vector",
    )


CASES: dict[str, tuple[str, Callable[[str], object], str]] = {
    "another's table": (
        "CREATE TABLE job (); ALTER TABLE job OWNER TO OTHER",
        lambda _: pg.table("job", [pg.Column("id", "integer")]),
        "table public.job needs the rights of OTHER, who owns it, which role DEPLOYER lacks: "
        "GRANT OTHER TO DEPLOYER WITH INHERIT TRUE, SET TRUE",
    ),
    "an index on another's table": (
        "CREATE TABLE job (id integer); ALTER TABLE job OWNER TO OTHER",
        lambda _: pg.index("i", "job", ["id"]),
        "index public.i needs the rights of OTHER, who owns table public.job, which role DEPLOYER",
    ),
    "dropping a superuser's view": (
        "CREATE VIEW v AS SELECT 1 AS one",
        lambda _: pg.view("v", "SELECT 1 AS one", present=False),
        "view public.v needs the rights of postgres, who owns it, which role DEPLOYER lacks: "
        "run as postgres, or have it made over to DEPLOYER",
    ),
    "a foreign key to another's table": (
        "CREATE TABLE org (id integer PRIMARY KEY); GRANT CREATE ON SCHEMA public TO DEPLOYER",
        lambda _: pg.table("job", [pg.Column("org_id", "integer", references="org(id)")]),
        "table public.job needs REFERENCES on table public.org, which role DEPLOYER lacks: "
        "GRANT REFERENCES ON TABLE public.org TO DEPLOYER",
    ),
    "another's default privileges": (
        "",
        lambda other: pg.default_privileges("SELECT", on="TABLES", to="PUBLIC", for_role=other),
        "needs the rights of OTHER, which role DEPLOYER lacks: GRANT OTHER TO DEPLOYER",
    ),
    "giving something away": (
        "GRANT CREATE ON SCHEMA public TO DEPLOYER, OTHER",
        lambda other: pg.table("job", [pg.Column("id", "integer")], owner=other),
        "table public.job needs to become OTHER, which role DEPLOYER lacks: "
        "GRANT OTHER TO DEPLOYER WITH INHERIT TRUE, SET TRUE",
    ),
    "an owner who may not create there": (
        "GRANT CREATE ON SCHEMA public TO DEPLOYER; GRANT OTHER TO DEPLOYER",
        lambda other: pg.table("job", [pg.Column("id", "integer")], owner=other),
        "table public.job needs CREATE on schema public, which role OTHER lacks: "
        "GRANT CREATE ON SCHEMA public TO OTHER",
    ),
    "privileges on another's table": (
        "CREATE TABLE job (); GRANT SELECT ON job TO DEPLOYER WITH GRANT OPTION",
        lambda other: pg.grant(["SELECT", "INSERT"], on="TABLE job", to=other),
        "needs INSERT with grant option, which role DEPLOYER lacks: "
        "GRANT INSERT ON TABLE public.job TO DEPLOYER WITH GRANT OPTION",
    ),
    "an attribute that it has not itself": (
        "ALTER ROLE DEPLOYER CREATEROLE",
        lambda other: pg.role(f"{other}_new", bypassrls=True),
        "needs BYPASSRLS, which role DEPLOYER lacks: ALTER ROLE DEPLOYER BYPASSRLS",
    ),
    "a role that others made": (
        "ALTER ROLE DEPLOYER CREATEROLE",
        lambda other: pg.role(other, login=True),
        "role OTHER needs ADMIN on role OTHER, which role DEPLOYER lacks: "
        "GRANT OTHER TO DEPLOYER WITH ADMIN OPTION",
    ),
}


@one_version
@pytest.mark.parametrize("case", CASES)
def test_a_lack_is_named_with_what_to_grant(deployer: Deployer, case: str) -> None:
    before, deploy, message = CASES[case]
    deployer.psql(before)
    deployer.lacks(lambda: deploy(deployer.other), message)


@one_version
@pytest.mark.parametrize("case", sorted(CASES.keys() - {"privileges on another's table"}))
def test_postgresql_says_the_same(deployer: Deployer, case: str) -> None:
    """But that of several privileges it grants those that it can, with no more than a warning."""
    before, deploy, _ = CASES[case]
    deployer.psql(before)
    plan = run(deployer.database, lambda: deploy(deployer.other), dry=True).plan
    (change,) = plan.changes
    script = "; ".join(statement.sql for statement in change.statements)
    dsn = deployer.database.dsn.replace("postgres@", f"{deployer.name}@", 1)
    assert "42501" in deployer.database.error(f"BEGIN; {script}; COMMIT", dsn=dsn)


@one_version
def test_what_is_granted_goes_through(deployer: Deployer) -> None:
    name, other = deployer.name, deployer.other
    deployer.psql(
        f"GRANT CREATE ON DATABASE {deployer.database.name} TO DEPLOYER;"
        "CREATE TABLE job (id integer); ALTER TABLE job OWNER TO OTHER;"
        "GRANT CREATE ON SCHEMA public TO DEPLOYER;"
        "GRANT OTHER TO DEPLOYER; CREATE TABLE shared (); "
        "GRANT SELECT ON shared TO DEPLOYER WITH GRANT OPTION;"
        "CREATE TABLE org (id integer PRIMARY KEY); GRANT REFERENCES (id) ON org TO DEPLOYER"
    )

    def deploy() -> None:
        with pg.transaction():
            pg.schema("shop")
            pg.table("shop.item", [pg.Column("id", "integer", references="org(id)")])
            pg.index("job_id", "job", ["id"])
            pg.grant("SELECT", on="TABLE shared", to=other)
            pg.grant("USAGE", on="SCHEMA shop", to=other)

    deployer.run(deploy).succeeded()
    assert not deployer.run(deploy).succeeded().plan.changes
    assert name in deployer.database.dump()


@pytest.mark.parametrize("server", [EVERY_LABEL[0], NEWEST], indirect=True)
def test_what_is_given_to_a_role_that_it_made_itself(deployer: Deployer) -> None:
    """That takes a membership, which the plan shows; it stays for later runs."""
    app = f"{deployer.name}_app"
    deployer.psql(
        f"ALTER ROLE DEPLOYER CREATEROLE; GRANT CREATE ON DATABASE {deployer.database.name} "
        "TO DEPLOYER"
    )

    def deploy(*columns: str) -> None:
        with pg.transaction():
            pg.role(app)
            pg.schema("shop")
            pg.grant("CREATE", on="SCHEMA shop", to=app)
            pg.table("shop.item", [pg.Column(name, "integer") for name in columns], owner=app)

    plan = deployer.run(lambda: deploy("id")).succeeded().plan
    statements = [one.sql for change in plan.changes for one in change.statements]
    options = " WITH INHERIT TRUE, SET TRUE" if deployer.database.server.version >= 16 else ""
    join = f"GRANT {app} TO {deployer.name}{options}"
    assert statements.count(join) == 1
    plan = deployer.run(lambda: deploy("id", "price")).succeeded().plan
    assert [one.sql for change in plan.changes for one in change.statements] == [
        "ALTER TABLE shop.item ADD COLUMN price integer"
    ]
    assert f"ALTER TABLE shop.item OWNER TO {app}" in deployer.database.dump()


@one_version
def test_memberships_come_before_a_type_that_is_made_anew(deployer: Deployer) -> None:
    app = f"{deployer.name}_app"
    deployer.psql("ALTER ROLE DEPLOYER CREATEROLE; GRANT CREATE ON SCHEMA public TO PUBLIC")
    deployer.run(lambda: pg.role(app)).succeeded()
    deployer.psql(f"CREATE TYPE state AS ENUM ('new', 'old'); ALTER TYPE state OWNER TO {app}")

    def deploy() -> None:
        with pg.transaction():
            pg.role(f"{app}_two")
            pg.table("item", [pg.Column("id", "integer")], owner=f"{app}_two")
            pg.enum("state", ["new"], exact=True)

    deployer.run(deploy).succeeded()
    assert deployer.database.psql("SELECT enum_range(NULL::state)") == "{new}"


# A role that owns what is in a schema, and may not look into it.
CLOSED = """
    CREATE SCHEMA shop;
    CREATE TYPE shop.state AS ENUM ('new', 'paid');
    CREATE TABLE shop.item (a text, state shop.state, CONSTRAINT c CHECK (a IN ('x', 'y')));
    INSERT INTO shop.item VALUES ('x', 'new');
    CREATE INDEX i ON shop.item (lower(a)) WHERE a IN ('x', 'y');
    CREATE VIEW shop.v AS SELECT a FROM shop.item WHERE a IN ('x', 'y');
    CREATE FUNCTION shop.f(one shop.state) RETURNS boolean LANGUAGE sql
        RETURN one IN ('new', 'paid');
    CREATE FUNCTION shop.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    ALTER TABLE shop.item OWNER TO DEPLOYER; ALTER TYPE shop.state OWNER TO DEPLOYER;
    ALTER VIEW shop.v OWNER TO DEPLOYER; ALTER FUNCTION shop.f OWNER TO DEPLOYER;
    GRANT CREATE ON SCHEMA shop, public TO DEPLOYER;
    CREATE TABLE job (a text, CONSTRAINT c CHECK (a IN ('x', 'y')));
    ALTER TABLE job OWNER TO DEPLOYER;
"""
AS_STORED: dict[str, Callable[[], object]] = {
    "a check": lambda: pg.table("shop.item", constraints=[pg.Check("a in ('x', 'y')", name="c")]),
    "an index": lambda: pg.index("i", "shop.item", ["lower(a)"], where="a in ('x', 'y')"),
    "a view": lambda: pg.view("shop.v", "select a from shop.item where a in ('x', 'y')"),
    "a function": lambda: pg.function(
        "shop.f",
        arguments="one shop.state",
        returns="boolean",
        body="return one in ('new', 'paid')",
    ),
    "rows": lambda: pg.rows("shop.item", [{"a": "x", "state": "new"}], key="a"),
    "a query": lambda: pg.sql("SELECT 1", unless="SELECT EXISTS (SELECT FROM shop.item)"),
}
OTHERWISE: dict[str, Callable[[], object]] = {
    "a new table": lambda: pg.table("shop.sale", [pg.Column("id", "integer")]),
    "an index that goes": lambda: pg.index("i", "shop.item", present=False),
    "a trigger elsewhere": lambda: pg.trigger(
        "t", "job", when="BEFORE INSERT", function="shop.g()"
    ),
    "a grant": lambda: pg.grant("SELECT", on="TABLE shop.item", to="PUBLIC"),
    "another label": lambda: pg.enum("shop.state", ["new", "sent"], renamed={"paid": "sent"}),
    "another name": lambda: pg.enum("shop.mode", ["new", "paid"], renamed_from="shop.state"),
    "another schema": lambda: pg.table("item", renamed_from="shop.item"),
}


def block(*operations: Callable[[], object]) -> Callable[[], None]:
    """Operations in one transaction, and before them something that the server compares."""

    def deploy() -> None:
        with pg.transaction():
            pg.table("job", constraints=[pg.Check("a in ('x', 'y')", name="c")])
            for one in operations:
                one()

    return deploy


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Verdicts of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    verdicts.forget()


USAGE = (
    "needs USAGE on schema shop, which role DEPLOYER lacks: GRANT USAGE ON SCHEMA shop TO DEPLOYER"
)


@one_version
@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("case", AS_STORED | OTHERWISE)
def test_a_schema_without_usage_is_named(deployer: Deployer, case: str) -> None:
    deployer.psql(CLOSED)
    deploy = block((AS_STORED | OTHERWISE)[case])
    deployer.lacks(deploy, USAGE)
    assert "SQLSTATE" not in deployer.run(deploy).messages
    deployer.psql("GRANT USAGE ON SCHEMA shop TO DEPLOYER")
    deployer.run(deploy).succeeded()


@one_version
@pytest.mark.usefixtures("memory")
def test_a_schema_without_usage_is_named_once_whatever_is_remembered(deployer: Deployer) -> None:
    deployer.psql(CLOSED)
    deploy = block(*AS_STORED.values())
    first = deployer.run(deploy).refused().messages
    deployer.psql("GRANT USAGE ON SCHEMA shop TO DEPLOYER")
    assert not deployer.run(deploy).succeeded().plan.changes
    deployer.psql("REVOKE USAGE ON SCHEMA shop FROM DEPLOYER")
    assert deployer.run(deploy).refused().messages == first
    assert first.count("shop") == 3


@one_version
def test_what_is_as_written_takes_no_usage(deployer: Deployer) -> None:
    deployer.psql(CLOSED)
    column = pg.Column("a", "text")
    deploy = block(
        lambda: pg.table("shop.item", [column, pg.Column("state", "shop.state")]),
        lambda: pg.enum("shop.state", ["new", "paid"]),
    )
    assert not deployer.run(deploy).succeeded().plan.changes


@one_version
@pytest.mark.usefixtures("memory")
def test_a_closed_schema_of_names_without_one(deployer: Deployer) -> None:
    """Where PostgreSQL does not find them, what is declared would seem to differ."""
    deployer.psql(
        "CREATE SCHEMA own AUTHORIZATION DEPLOYER; CREATE FUNCTION f() RETURNS int RETURN 1;"
        "CREATE VIEW own.v AS SELECT f(); ALTER VIEW own.v OWNER TO DEPLOYER;"
        "REVOKE USAGE ON SCHEMA public FROM PUBLIC"
    )
    deployer.lacks(
        lambda: pg.view("own.v", "select f()"),
        "view own.v needs USAGE on schema public, which role DEPLOYER lacks: "
        "GRANT USAGE ON SCHEMA public TO DEPLOYER",
    )


@one_version
@pytest.mark.usefixtures("memory")
def test_a_closed_schema_is_no_place_to_compare_in(deployer: Deployer) -> None:
    name = deployer.database.name
    deployer.psql(
        f"{CLOSED}; CREATE SCHEMA work; GRANT USAGE, CREATE ON SCHEMA work TO DEPLOYER;"
        f"REVOKE CREATE ON SCHEMA public FROM DEPLOYER; REVOKE TEMP ON DATABASE {name} FROM PUBLIC"
    )
    assert not deployer.run(block()).succeeded().plan.changes


@one_version
@pytest.mark.usefixtures("memory")
def test_another_right_that_comparing_takes_is_no_error_of_the_declaration(
    deployer: Deployer,
) -> None:
    deployer.psql(
        f"{CLOSED}; GRANT USAGE ON SCHEMA shop TO DEPLOYER; ALTER TYPE shop.state OWNER TO OTHER;"
        "REVOKE USAGE ON TYPE shop.state FROM PUBLIC"
    )
    deployer.lacks(
        AS_STORED["a function"],
        "the server could not compare definitions: permission denied for type shop.state",
    )
