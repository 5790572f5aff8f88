from __future__ import annotations

import secrets

import pytest

from harness import one_version
from kinds.conftest import Deploy

LABELS = (
    "SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum "
    "WHERE enumtypid = 'state'::regtype"
)
FACTS = (
    "SELECT typowner::regrole, obj_description(oid, 'pg_type') FROM pg_type WHERE typname = 'state'"
)


@one_version
def test_an_enum_is_created_changed_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {owner}")
    deploy.apply(
        f"pg.enum('state', ['new', 'it\\'s', 'Größe', 'a,b', '\"'], owner={owner!r}, comment='one')"
    )
    assert database.psql(LABELS) == "new,it's,Größe,a,b,\""
    assert database.rows(FACTS) == [(owner, "one")]
    deploy.apply(
        "pg.enum('state', ['new', 'it\\'s', 'Größe', 'a,b', '\"'], owner='postgres', comment='')"
    )
    assert database.rows(FACTS) == [("postgres", "")]
    deploy.apply("pg.enum('state', present=False)")
    assert database.rows(FACTS) == []


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param("new,done,late", id="at the end"),
        pytest.param("early,new,done", id="at the start"),
        pytest.param("a,b,new,c,d,done,e,f", id="everywhere, several in a row"),
    ],
)
@one_version
def test_labels_are_added_where_they_are_declared(deploy: Deploy, labels: str) -> None:
    database = deploy.database
    database.psql(
        "CREATE TYPE state AS ENUM ('new', 'done'); CREATE TABLE job (state state);"
        "INSERT INTO job VALUES ('done'), ('new')"
    )
    deploy.apply(f"pg.enum('state', {labels.split(',')!r})")
    assert database.psql(LABELS) == labels
    assert database.psql("SELECT string_agg(state::text, ',' ORDER BY state) FROM job") == (
        "new,done"
    )


def test_a_new_label_can_be_used_in_the_same_transaction(deploy: Deploy) -> None:
    deploy.database.psql("CREATE TYPE state AS ENUM ('new')")
    deploy.apply(
        """
        with pg.transaction():
            pg.enum("state", ["new", "it's"])
            pg.table("job", [pg.Column("state", "state", default="'it''s'"),
                             pg.Column("other", "state[]", default="ARRAY['it''s']::state[]")],
                     constraints=[pg.Check("state <> 'it''s' OR true")])
        """
    )
    assert deploy.database.psql("INSERT INTO job DEFAULT VALUES RETURNING state") == "it's"


@pytest.mark.parametrize("label", ["late", "it's", "a,b", 'a"b', "a\\\\b", "Größe x"])
@one_version
def test_a_new_label_can_be_used_within_an_array(deploy: Deploy, label: str) -> None:
    database = deploy.database
    database.psql(
        "CREATE TYPE state AS ENUM ('new');"
        "CREATE TABLE job (id integer PRIMARY KEY, states state[]);"
    )
    element = label.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''")
    default = f"'{{new,\"{element}\"}}'"
    deploy.apply(
        f"""
        with pg.transaction():
            pg.enum("state", ["new", {label!r}])
            pg.table("job", [pg.Column("states", "state[]", default={default!r})])
        """
    )
    deploy.apply(
        f"""
        with pg.transaction():
            pg.enum("state", ["new", {label!r}, "more"])
            pg.rows("job", [{{"id": 1, "states": ["new", "more"]}}], key="id")
        """
    )
    assert database.psql("SELECT states FROM job") == "{new,more}"


@one_version
def test_labels_that_are_only_there_stay_where_they_are(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TYPE state AS ENUM ('first', 'new', 'odd', 'done', 'last')")
    run = deploy.apply(
        """
        with pg.transaction():
            pg.enum("state", ["new", "paid", "done", "end"])
        """
    )
    labels = "{first,new,odd,paid,done,last,end}"
    assert database.psql("SELECT enum_range(NULL::state)") == labels
    assert "3 undeclared (label public.state 'first', label public.state 'last', " in run.output
    deploy.apply(
        """
        with pg.transaction(exact=["labels"]):
            pg.enum("state", ["new", "paid", "done", "end"])
        """
    )
    assert database.psql("SELECT enum_range(NULL::state)") == "{new,paid,done,end}"
