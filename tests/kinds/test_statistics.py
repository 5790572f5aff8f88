from __future__ import annotations

import secrets

from harness import one_version
from kinds.conftest import Deploy

STATISTICS = """
    SELECT pg_get_statisticsobjdef(oid), stxowner::regrole, obj_description(oid, 'pg_statistic_ext')
      FROM pg_statistic_ext WHERE stxname = 's'"""


def test_statistics_are_created_made_anew_and_removed(deploy: Deploy) -> None:
    database, owner = deploy.database, f"o_{secrets.token_hex(3)}"
    database.psql(
        f"CREATE ROLE {owner}; CREATE TABLE t (a integer, b integer, c text);"
        "INSERT INTO t SELECT n, n % 7, n FROM generate_series(1, 100) n"
    )
    deploy.apply("pg.statistics('s', 't', ['a', 'b'])")
    plain = "CREATE STATISTICS public.s ON a, b FROM t"
    assert database.rows(STATISTICS) == [(plain, "postgres", "")]
    oid = database.psql("SELECT oid FROM pg_statistic_ext")
    deploy.apply(f"pg.statistics('s', 't', ['b', 'a'], owner='{owner}', comment='it\\'s')")
    assert database.rows(STATISTICS) == [(plain, owner, "it's")]
    assert database.psql("SELECT oid FROM pg_statistic_ext") == oid
    database.psql("ALTER STATISTICS s SET STATISTICS 50")
    deploy.apply("pg.statistics('s', 't', ['lower(c)', '(a % 10)', 'b'], kinds=['mcv', "
                 "'ndistinct'])")  # fmt: skip
    made, *rest = database.rows(STATISTICS)[0]
    assert made == (
        "CREATE STATISTICS public.s (ndistinct, mcv) ON b, lower(c), (a % 10) FROM t"
    )  # fmt: skip
    assert rest == [owner, "it's"]
    assert database.psql("SELECT stxstattarget FROM pg_statistic_ext") == "50"
    deploy.apply("pg.statistics('s', 't', owner='postgres')")
    assert database.rows(STATISTICS)[0][:2] == (made, "postgres")
    # Without kinds they are what PostgreSQL gathers by default: all.
    every = "CREATE STATISTICS public.s ON b, lower(c), (a % 10) FROM t"
    deploy.apply("pg.statistics('s', 't', ['(a % 10)', 'b', 'lower(c)'])")
    assert database.rows(STATISTICS)[0][0] == every
    deploy.apply(
        "pg.statistics('s', 't', ['(a % 10)', 'b', 'lower(c)'],"
        " kinds=['mcv', 'dependencies', 'ndistinct'])"
    )
    assert database.rows(STATISTICS)[0][0] == every
    deploy.apply("pg.statistics('s', 't', present=False)")
    assert database.rows(STATISTICS) == []
    assert database.psql("SELECT count(*) FROM t") == "100"


@one_version
def test_statistics_of_one_expression(deploy: Deploy) -> None:
    database = deploy.database
    database.psql("CREATE TABLE t (c text)")
    deploy.apply("pg.statistics('s', 't', 'lower(c)')")
    assert database.rows(STATISTICS)[0][0] == "CREATE STATISTICS public.s ON lower(c) FROM t"
    deploy.apply("pg.statistics('s', 't', 'upper(c)')")
    assert database.rows(STATISTICS)[0][0] == "CREATE STATISTICS public.s ON upper(c) FROM t"


@one_version
def test_what_are_no_statistics_is_refused(deploy: Deploy) -> None:
    deploy.database.psql("CREATE TABLE t (a integer, b integer)")
    for text, message in {
        "pg.statistics('s', 't')": "declare what it is on",
        "pg.statistics('s', 't', ['a DESC'])": "statistics are on columns",
        "pg.statistics('s', 't', ['a', 'b'], kinds='all')": "a kind is one of",
        "pg.statistics('s', 'missing', ['a', 'b'])": "missing",
    }.items():
        assert message in deploy.run(text).failed().output
    assert deploy.database.rows(STATISTICS) == []
