from __future__ import annotations

import secrets

from harness import one_version
from kinds.conftest import Deploy

FACTS = (
    "SELECT nspname, nspowner::regrole, obj_description(oid, 'pg_namespace') FROM pg_namespace "
    "WHERE nspname IN ('auth', 'Other One', 'public') ORDER BY 1"
)


@one_version
def test_a_schema_is_created_changed_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(
        f'CREATE ROLE {owner}; CREATE SCHEMA "Other One"; CREATE TABLE "Other One".t AS SELECT 1'
    )
    deploy.apply(
        "with pg.transaction():\n"
        f"    pg.schema('auth', owner={owner!r}, comment='it\\'s')\n"
        f"    pg.schema('\"Other One\"', owner={owner!r}, comment='one')\n"
    )
    public = database.rows(FACTS)[-1]
    assert database.rows(FACTS)[:2] == [("Other One", owner, "one"), ("auth", owner, "it's")]
    # Nothing declared, nothing changed; an empty comment is none.
    deploy.apply("pg.schema('auth')\npg.schema('\"Other One\"', owner='postgres', comment='')\n")
    assert database.rows(FACTS) == [("Other One", "postgres", ""), ("auth", owner, "it's"), public]
    assert database.psql('SELECT count(*) FROM "Other One".t') == "1"
    deploy.apply("pg.schema('auth', present=False)")
    assert [row[0] for row in database.rows(FACTS)] == ["Other One", "public"]


@one_version
def test_a_schema_that_holds_something_stays(deploy: Deploy) -> None:
    deploy.database.psql("CREATE SCHEMA auth; CREATE TABLE auth.t AS SELECT 1")
    assert "2BP01" in deploy.run("pg.schema('auth', present=False)").failed().output
    assert deploy.database.psql("SELECT count(*) FROM auth.t") == "1"
