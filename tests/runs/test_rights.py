"""What a role lacks is said before anything runs, with what to grant."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import pytest

import pyinfra_postgres as pg
from harness import EVERY_LABEL, NEWEST, Database, one_version
from harness.process import Outcome, run

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
