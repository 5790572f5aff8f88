from __future__ import annotations

import secrets

import pytest

from harness import Database, one_version
from kinds.conftest import Deploy

SETUP = """
CREATE ROLE {a}; CREATE ROLE {b};
CREATE TABLE t (id serial, email text); INSERT INTO t (email) VALUES ('kept');
CREATE TABLE u (id integer);
CREATE SCHEMA s; CREATE TABLE s.v (id integer);
CREATE VIEW w AS SELECT 1 AS one;
CREATE TYPE mood AS ENUM ('ok');
CREATE FUNCTION f(a integer, b varchar DEFAULT 'x') RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION g() RETURNS integer LANGUAGE sql AS 'SELECT 1';
"""


@pytest.fixture
def roles(deploy: Deploy) -> dict[str, str]:
    stem = secrets.token_hex(3)
    names = {"a": f"a_{stem}", "b": f"b_{stem}"}
    deploy.database.psql(SETUP.format(**names))
    return names


def privileges(database: Database, role: str) -> set[str]:
    """What a role has been granted by name, as `object privilege`, a `*` where it may grant it."""
    return {
        f"{name} {privilege}{'*' if option == 't' else ''}"
        for name, privilege, option in database.rows(
            f"""
            WITH acls AS (
              SELECT relname::text AS name, relacl AS acl FROM pg_class
              UNION ALL SELECT relname || '.' || attname, attacl
                FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
              UNION ALL SELECT nspname, nspacl FROM pg_namespace
              UNION ALL SELECT proname, proacl FROM pg_proc
              UNION ALL SELECT typname, typacl FROM pg_type
              UNION ALL SELECT 'database', datacl FROM pg_database
                WHERE datname = current_database())
            SELECT name, privilege_type, is_grantable
              FROM acls, aclexplode(acl) JOIN pg_roles r ON r.oid = grantee
             WHERE rolname = '{role}'"""
        )
    }


def test_every_target_is_granted_and_revoked(deploy: Deploy, roles: dict[str, str]) -> None:
    a, b = roles["a"], roles["b"]
    text = f"""
        with pg.transaction():
            for what, on in [
                ("SELECT", "TABLE t, u"), (["INSERT", "UPDATE (email, id)"], "t"),
                ("SELECT", "w"), ("USAGE, SELECT", "SEQUENCE t_id_seq"), ("USAGE", "SCHEMA s"),
                ("EXECUTE", "FUNCTION f(integer, varchar(20))"), ("EXECUTE", "FUNCTION g"),
                ("USAGE", "TYPE mood"), ("TEMP", f"DATABASE {deploy.database.name}"),
                ("ALL", "TABLE s.v"), ("REFERENCES (id)", "TABLE u"),
            ]:
                pg.grant(what, on=on, to=["{a}", "{b}"]PRESENT)
        """
    deploy.apply(text.replace("PRESENT", ""))
    expected = {
        "t SELECT", "u SELECT", "t INSERT", "t.email UPDATE", "t.id UPDATE", "w SELECT",
        "t_id_seq USAGE", "t_id_seq SELECT", "s USAGE", "f EXECUTE", "g EXECUTE", "mood USAGE",
        "database TEMPORARY", "u.id REFERENCES",
    }  # fmt: skip
    table = {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"}
    if deploy.database.server.version >= 17:
        table.add("MAINTAIN")
    expected |= {f"v {one}" for one in table}
    assert privileges(deploy.database, a) == privileges(deploy.database, b) == expected
    deploy.apply(text.replace("PRESENT", ", present=False"))
    assert privileges(deploy.database, a) == privileges(deploy.database, b) == set()
    assert deploy.database.psql("SELECT email FROM t") == "kept"


@one_version
def test_what_the_catalog_does_not_read_is_granted_and_revoked(
    deploy: Deploy, roles: dict[str, str]
) -> None:
    a = roles["a"]
    deploy.database.psql(
        "CREATE EXTENSION vector; CREATE SCHEMA math;"
        "CREATE AGGREGATE math.total(integer) (sfunc = int4pl, stype = integer)"
    )
    text = f"""
        with pg.transaction():
            for what, on in [
                ("EXECUTE", "FUNCTION math.total(int)"),
                ("EXECUTE", "FUNCTION vector_dims(vector)"),
                ("EXECUTE", "FUNCTION pg_catalog.pg_ls_dir(text)"),
                ("SELECT", "TABLE pg_catalog.pg_authid"),
                ("SELECT (rolname, oid)", "TABLE pg_catalog.pg_authid"),
                ("SELECT", "information_schema.tables"),
                ("USAGE", "TYPE pg_catalog.int4"), ("USAGE", "SCHEMA information_schema"),
            ]:
                pg.grant(what, on=on, to="{a}"PRESENT)
        """
    deploy.apply(text.replace("PRESENT", ""))
    assert privileges(deploy.database, a) == {
        "total EXECUTE", "vector_dims EXECUTE", "pg_ls_dir EXECUTE", "pg_authid SELECT",
        "tables SELECT", "int4 USAGE", "information_schema USAGE",
    }  # fmt: skip
    deploy.apply(text.replace("PRESENT", ", present=False"))
    assert privileges(deploy.database, a) == set()


def test_only_the_difference_is_sent(deploy: Deploy, roles: dict[str, str]) -> None:
    database, a = deploy.database, roles["a"]
    database.psql(f"GRANT SELECT, DELETE ON t TO {a}")
    with database.watch() as seen:
        deploy.run(f"pg.grant(['SELECT', 'INSERT'], on='t', to={a!r})").succeeded()
    sent = [one for one in seen.statements if "GRANT" in one or "REVOKE" in one]
    assert len(sent) == 1
    assert f"GRANT INSERT ON TABLE public.t TO {a}" in sent[0]
    assert "REVOKE" not in sent[0]
    assert privileges(database, a) == {"t SELECT", "t DELETE", "t INSERT"}
    deploy.unchanged()


@pytest.mark.parametrize(
    ("before", "declared", "after"),
    [
        pytest.param("SELECT, DELETE ON t", "'SELECT', on='t'", {"t SELECT"}, id="less"),
        pytest.param("SELECT ON t", "'INSERT', on='t'", {"t INSERT"}, id="something else"),
        pytest.param("SELECT ON t", "'SELECT (id)', on='t'", {"t.id SELECT"}, id="one column"),
        pytest.param(
            "SELECT (id, email) ON t", "'SELECT (id)', on='t'", {"t.id SELECT"}, id="fewer columns"
        ),
        pytest.param(
            "SELECT, SELECT (id) ON t",
            "'SELECT (id)', on='t'",
            {"t.id SELECT"},
            id="a column and no longer the table",
        ),
        pytest.param(
            "SELECT (id) ON t", "'SELECT', on='t'", {"t SELECT"}, id="the table and no column"
        ),
        pytest.param(
            "SELECT ON t", "'SELECT', on='t', grant_option=True", {"t SELECT*"}, id="grant option"
        ),
        pytest.param(
            "SELECT, INSERT ON t TO ROLE WITH GRANT OPTION; GRANT DELETE ON t",
            "['SELECT', 'DELETE'], on='t'",
            {"t SELECT", "t DELETE"},
            id="no grant option",
        ),
    ],
)
@one_version
def test_exact_takes_away_what_is_not_declared(
    deploy: Deploy, roles: dict[str, str], before: str, declared: str, after: set[str]
) -> None:
    database, a = deploy.database, roles["a"]
    database.psql(f"GRANT {before.replace('ROLE', a)} TO {a}; GRANT DELETE ON t TO {roles['b']}")
    deploy.apply(f"pg.grant({declared}, to={a!r}, exact=True)")
    assert privileges(database, a) == after
    assert privileges(database, roles["b"]) == {"t DELETE"}


@one_version
def test_the_grant_option_stays_where_exact_is_not_asked_for(
    deploy: Deploy, roles: dict[str, str]
) -> None:
    database, a = deploy.database, roles["a"]
    database.psql(f"GRANT SELECT ON t TO {a} WITH GRANT OPTION")
    deploy.apply(f"pg.grant(['SELECT', 'INSERT'], on='t', to={a!r})")
    assert privileges(database, a) == {"t SELECT*", "t INSERT"}


def test_public_and_what_it_has_from_the_start(deploy: Deploy, roles: dict[str, str]) -> None:
    database = deploy.database
    deploy.apply(
        """
        with pg.transaction():
            pg.grant("EXECUTE", on="FUNCTION g()", to="PUBLIC")
            pg.grant("EXECUTE", on="FUNCTION f(integer, varchar)", to="PUBLIC", present=False)
            pg.grant("SELECT", on="t", to="public")
            pg.function("h", returns="integer", body="SELECT 1")
            pg.grant("EXECUTE", on="FUNCTION h()", to="PUBLIC", present=False)
        """
    )
    acls = "SELECT proname, proacl FROM pg_proc WHERE proname IN ('f', 'g', 'h') ORDER BY 1"
    assert database.rows(acls) == [
        ("f", "{postgres=X/postgres}"),
        ("g", ""),
        ("h", "{postgres=X/postgres}"),
    ]
    assert "=r/postgres" in database.psql("SELECT relacl FROM pg_class WHERE relname = 't'")
    assert roles


def test_all_in_a_schema_reaches_what_exists_and_what_is_declared(
    deploy: Deploy, roles: dict[str, str]
) -> None:
    database, a = deploy.database, roles["a"]
    deploy.apply(
        f"""
        pg.objects([
            pg.Grant("SELECT", on="ALL TABLES IN SCHEMA s, public", to="{a}"),
            pg.Grant("EXECUTE", on="ALL FUNCTIONS IN SCHEMA s", to="{a}"),
            pg.Table("s.new", [pg.Column("mood", "s.mood")]),
            pg.Function("s.n", returns="integer", body="SELECT 1"),
            pg.Enum("s.mood", ["ok"]),
        ])
        """
    )
    assert privileges(database, a) == {
        "t SELECT", "u SELECT", "v SELECT", "w SELECT", "new SELECT", "n EXECUTE"
    }  # fmt: skip


@one_version
def test_all_sequences_in_a_schema_are_those_of_new_columns_too(
    deploy: Deploy, roles: dict[str, str]
) -> None:
    a = roles["a"]
    long = "x" * 60
    deploy.database.psql(
        "CREATE SEQUENCE new_n_seq; CREATE TABLE old (i integer NOT NULL, s serial)"
    )
    deploy.apply(
        f"""
        with pg.transaction():
            pg.table("new", [pg.Column("n", "serial"), pg.Column("i", "int", identity="ALWAYS"),
                             pg.Column("{long}", "bigserial")])
            pg.table("new", [pg.Column("n", "serial", comment="n")])
            pg.table("old", [pg.Column(c, "int", identity="ALWAYS") for c in ["i", "s", "more"]])
            pg.sequence("new_n_seq1", comment="counts")
            pg.grant("USAGE", on="ALL SEQUENCES IN SCHEMA public", to={a!r})
            pg.grant("SELECT", on="SEQUENCE new_i_seq", to={a!r})
        """
    )
    names = {"t_id_seq", "new_n_seq", "new_n_seq1", "new_i_seq", f"new_{'x' * 55}_seq"}
    names |= {"old_i_seq", "old_s_seq", "old_more_seq"}
    assert privileges(deploy.database, a) == {
        *(f"{one} USAGE" for one in names),
        "new_i_seq SELECT",
    }
    assert deploy.database.psql("SELECT obj_description('new_n_seq1'::regclass)") == "counts"


def test_what_is_revoked_and_granted_in_one_plan(deploy: Deploy, roles: dict[str, str]) -> None:
    """The plan knows what its own earlier operations do to privileges."""
    database, a = deploy.database, roles["a"]
    database.psql(f"GRANT SELECT, UPDATE (email), SELECT (id) ON t TO {a}")
    deploy.run(
        f"""
        with pg.transaction():
            pg.grant("SELECT", on="t", to="{a}", present=False)
            pg.grant("UPDATE (email)", on="t", to="{a}")
            pg.grant("SELECT (id)", on="t", to="{a}")
        """
    ).succeeded()
    # Revoking it from the table has revoked it from every column.
    assert privileges(database, a) == {"t.email UPDATE", "t.id SELECT"}


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("'SELEKT', on='t', to='postgres'", "no privilege SELEKT"),
        ("'SELECT', on='nope', to='postgres'", "public.nope, which does not exist"),
        ("'SELECT', on='t', to='nobody_here'", "role nobody_here, which does not exist"),
        (
            "'SELECT', on='pg_catalog.nope', to='postgres'",
            "this server has no TABLE pg_catalog.nope",
        ),
        ("'EXECUTE', on='FUNCTION pg_catalog.now(int)', to='postgres'", "pg_catalog.now(integer)"),
        ("'SELECT', on='t; DROP TABLE t', to='postgres'", "what they are on like"),
        ("'USAGE', on='t', to='postgres'", "no privilege USAGE"),
    ],
)
@one_version
def test_mistakes_are_told(
    deploy: Deploy, roles: dict[str, str], declaration: str, message: str
) -> None:
    assert message in deploy.run(f"pg.grant({declaration})").failed().output
    assert deploy.database.psql("SELECT email FROM t") == "kept"
    assert roles


@one_version
def test_what_another_role_has_granted_is_revoked_in_its_name(
    deploy: Deploy, roles: dict[str, str]
) -> None:
    database, a, b = deploy.database, roles["a"], roles["b"]
    database.psql(
        f"GRANT SELECT, UPDATE (email) ON t TO {a} WITH GRANT OPTION; SET ROLE {a};"
        f"GRANT SELECT, UPDATE (email) ON t TO {b}; RESET ROLE; GRANT SELECT ON t TO {b}"
    )
    deploy.apply(
        f"""
        with pg.transaction():
            pg.grant("SELECT", on="t", to="{b}", present=False)
            pg.grant("INSERT", on="t", to="{b}", exact=True)
        """
    )
    assert privileges(database, b) == {"t INSERT"}
    assert privileges(database, a) == {"t SELECT*", "t.email UPDATE*"}


@one_version
def test_what_a_role_has_granted_on_is_revoked_from_the_others_first(
    deploy: Deploy, roles: dict[str, str]
) -> None:
    database, a, b = deploy.database, roles["a"], roles["b"]
    database.psql(
        f"GRANT SELECT, UPDATE (email) ON t TO {b} WITH GRANT OPTION; SET ROLE {b};"
        f"GRANT SELECT, UPDATE (email) ON t TO {a} WITH GRANT OPTION; SET ROLE {a};"
        "GRANT SELECT ON t TO PUBLIC"
    )
    for declared, what in {
        "'SELECT', on='t', present=False": "SELECT on TABLE public.t",
        "'UPDATE (email)', on='t', present=False": "UPDATE (email) on TABLE public.t",
        "['SELECT', 'UPDATE (email)'], on='t', exact=True": "SELECT on TABLE public.t",
    }.items():
        output = deploy.run(f"pg.grant({declared}, to={b!r})").failed().output
        assert f"{b} has granted {what} to {a}, which would lose it: revoke it from {a}" in output
    output = deploy.run(f"pg.grant('SELECT', on='t', to='{a}', present=False)").failed().output
    assert "to PUBLIC, which would lose it: revoke it from PUBLIC before" in output
    deploy.apply(
        """
        with pg.transaction():
            pg.table("t", [pg.Column("id", "serial"), pg.Column("email", "text")],
                     exact=["grants"])
        """
    )
    assert privileges(database, a) == privileges(database, b) == set()


@one_version
def test_what_a_former_owner_has_granted_is_revoked_by_the_new_one(
    deploy: Deploy, roles: dict[str, str]
) -> None:
    database, a, b = deploy.database, roles["a"], roles["b"]
    database.psql(f"ALTER TABLE t OWNER TO {a}; GRANT SELECT, UPDATE (email) ON t TO {b}")
    deploy.apply(
        f"""
        with pg.transaction():
            pg.table("t", owner="postgres")
            pg.grant("INSERT", on="t", to="{b}", exact=True)
        """
    )
    assert privileges(database, b) == {"t INSERT"}


@one_version
def test_a_former_owner_is_granted_what_it_keeps(deploy: Deploy, roles: dict[str, str]) -> None:
    database, a, b = deploy.database, roles["a"], roles["b"]
    database.psql(
        f"""
        ALTER TABLE t ADD n integer GENERATED ALWAYS AS IDENTITY;
        ALTER TABLE t OWNER TO {a};
        GRANT UPDATE (email) ON t TO {a}, {b}
        """
    )
    deploy.apply(
        f"""
        with pg.transaction():
            pg.table("t", owner="{b}")
            pg.grant(["SELECT", "UPDATE (email)"], on="t", to="{a}")
            pg.grant("USAGE", on="SEQUENCE t_id_seq", to="{a}")
            pg.grant("USAGE", on="SEQUENCE t_n_seq", to="{a}")
        """
    )
    assert privileges(database, a) == {
        "t SELECT", "t.email UPDATE", "t_id_seq USAGE", "t_n_seq USAGE"
    }  # fmt: skip
