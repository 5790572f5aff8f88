"""Columns that a declaration names and a table lacks are found before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.comparison.compare import Comparison
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.access.policies import Policy
from pyinfra_postgres.objects.code.triggers import Trigger
from pyinfra_postgres.objects.constraints.constraints import Check, Exclude, ForeignKey, PrimaryKey
from pyinfra_postgres.objects.indexes.indexes import StoredIndex
from pyinfra_postgres.objects.tables.columns import Column
from pyinfra_postgres.objects.tables.statistics import Statistics
from pyinfra_postgres.objects.tables.tables import Table
from pyinfra_postgres.objects.types.domains import Domain
from pyinfra_postgres.syntax.names import Name

MISSING = r"there is no column vv in public\.t: did you mean v\?"


@pytest.fixture
def catalog() -> Forecast:
    catalog = Forecast(version=180000)
    catalog.put(Table("t", [Column("id", "integer"), Column("v", "text")]))
    return catalog


def look(one: Any, catalog: Forecast) -> Any:
    """The object as it is to be, once its columns have been looked for."""
    current = catalog.objects.get(one.key())
    same = Comparison(catalog, lambda _: pytest.fail("the server is not asked"))
    found = one.aligned(current, same, catalog) if current else one.completed(catalog, same)
    found.check_columns(catalog)
    return found


def trigger(when: str = "BEFORE UPDATE", **more: Any) -> Trigger:
    return Trigger("r", "t", when=when, function="f()", **more)


@pytest.mark.parametrize(
    "one",
    [
        StoredIndex("i", "t", ["vv"]),
        StoredIndex("i", "t", ["v"], include=["vv"]),
        StoredIndex("i", "t", ["lower(vv)"]),
        StoredIndex("i", "t", ["v"], where="id > 0 AND vv IS NULL"),
        Statistics("s", "t", ["id", "vv"]),
        Statistics("s", "t", ["id", "lower(vv)"]),
        Policy("p", "t", using="vv = current_user"),
        Policy("p", "t", check="id IN (SELECT x FROM o) AND t.vv::varchar(3) = ''"),
        Policy("p", "t", check="public.t.vv = ''"),
        trigger("BEFORE UPDATE OF v, vv"),
        trigger(condition="OLD.v IS DISTINCT FROM NEW.vv"),
        Table("o", [Column("a", "text")], constraints=[ForeignKey("a", references="t (vv)")]),
        Table("t", [Column("v", "text")], constraints=[ForeignKey("v", references="t (vv)")]),
        Table("t", constraints=[PrimaryKey("vv")]),
        Table("t", constraints=[Check("length(vv) > 0", name="c")]),
        Table("t", constraints=[Exclude(("vv", "="))]),
        Table("t", constraints=[Exclude(("v", "="), where="vv > ''")]),
        Table("t", [Column("w", "text", generated="upper(vv)")]),
    ],
    ids=lambda one: f"{one.title}: {one.brief()}",
)
def test_a_column_that_is_not_there_is_refused(one: Any, catalog: Forecast) -> None:
    with pytest.raises(DeclarationError, match=MISSING):
        look(one, catalog)


@pytest.mark.parametrize("key", ["RANGE (vv)", "LIST (lower(vv))"])
def test_a_partition_key_of_a_new_table_names_its_columns(key: str) -> None:
    with pytest.raises(DeclarationError, match=MISSING):
        look(Table("t", [Column("v", "text")], partition_by=key), Forecast(version=180000))


def test_a_name_like_no_column_is_to_be_declared_before(catalog: Forecast) -> None:
    with pytest.raises(DeclarationError, match=r"no column other in public\.t: declare it before"):
        look(StoredIndex("i", "t", ["other"]), catalog)


def test_sql_of_the_users_own_may_add_the_column(catalog: Forecast) -> None:
    catalog.rows_change = True
    assert look(StoredIndex("i", "t", ["vv"]), catalog).name == "i"


def test_of_a_table_that_nobody_knows_no_column_is_missing(catalog: Forecast) -> None:
    assert look(StoredIndex("i", "elsewhere", ["vv"]), catalog).table == Name("public", "elsewhere")


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Column("state", "text", default="draft"),
        lambda: Domain("d", "text", default="draft"),
    ],
)
def test_a_default_that_names_a_column_may_be_text_without_quotes(declare: Any) -> None:
    with pytest.raises(DeclarationError, match=r"a default names no columns.*\"'draft'\""):
        declare()


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("t", r"a foreign key to public\.t needs its primary key, and it has none"),
        ("t(v)", r"a foreign key to public\.t \(v\) needs a primary key, a unique constraint or"),
        ("o(a)", r"a foreign key to public\.o \(a\) needs"),
    ],
)
def test_a_foreign_key_refers_to_what_is_unique(to: str, message: str, catalog: Forecast) -> None:
    catalog.put(StoredIndex("partial", "t", ["v"], unique=True, where="id > 0"))
    catalog.put(StoredIndex("wide", "t", ["v", "id"], unique=True))
    catalog.put(StoredIndex("computed", "t", ["lower(v)"], unique=True))
    with pytest.raises(DeclarationError, match=message):
        look(
            Table("o", [Column("a", "text")], constraints=[ForeignKey("a", references=to)]), catalog
        )


@pytest.mark.parametrize(
    "unique",
    [
        Table("t", [Column("v", "text", primary_key=True)]),
        Table("t", [Column("v", "text", unique=True)]),
        StoredIndex("whole", "t", ["v DESC"], unique=True, include=["id"]),
    ],
    ids=lambda one: one.brief(),
)
def test_what_is_unique_by_exactly_the_columns_is_enough(unique: Any, catalog: Forecast) -> None:
    catalog.put(unique)
    key = ForeignKey("a", references="t(v)")
    assert look(Table("o", [Column("a", "text")], constraints=[key]), catalog).constraints == (key,)


def test_a_foreign_key_to_the_table_itself_may_come_with_its_key(catalog: Forecast) -> None:
    key = ForeignKey("v", references="t(id)")
    current: Any = catalog.objects["table", "public", "t"]
    one = Table("t", constraints=[PrimaryKey("id"), key])
    assert len(look(one, catalog).constraints) == len(current.constraints) + 2
