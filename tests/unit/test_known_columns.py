"""Columns that a declaration names and a table lacks are found before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_postgres.catalog import Catalog
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.names import Name
from pyinfra_postgres.objects.columns import Column
from pyinfra_postgres.objects.constraints import ForeignKey, PrimaryKey
from pyinfra_postgres.objects.indexes import Index
from pyinfra_postgres.objects.partitions import partition_of
from pyinfra_postgres.objects.statistics import Statistics
from pyinfra_postgres.objects.tables import Table

MISSING = r"there is no column vv in public\.t: did you mean v\?"


@pytest.fixture
def catalog() -> Catalog:
    catalog = Catalog(version=180000)
    catalog.put(Table("t", [Column("id", "integer"), Column("v", "text")]))
    return catalog


SAME: Any = None
"""The server is not asked."""


@pytest.mark.parametrize(
    "one",
    [
        Index("i", "t", ["vv"]),
        Index("i", "t", ["v"], include=["vv"]),
        Statistics("s", "t", ["id", "vv"]),
        Table("o", [Column("a", "text")], constraints=[ForeignKey("a", references="t (vv)")]),
        Table("t", [Column("v", "text")], constraints=[ForeignKey("v", references="t (vv)")]),
    ],
    ids=lambda one: one.title,
)
def test_a_column_that_is_not_there_is_refused(one: Any, catalog: Catalog) -> None:
    with pytest.raises(DeclarationError, match=MISSING):
        one.completed(catalog, SAME)


def test_a_key_over_a_column_that_is_not_there_is_refused(catalog: Catalog) -> None:
    current: Any = catalog.objects["table", "public", "t"]
    with pytest.raises(DeclarationError, match=MISSING):
        Table("t", constraints=[PrimaryKey("vv")]).aligned(current, SAME, catalog)


def test_a_name_like_no_column_is_to_be_declared_before(catalog: Catalog) -> None:
    with pytest.raises(DeclarationError, match=r"no column other in public\.t: declare it before"):
        Index("i", "t", ["other"]).completed(catalog, SAME)


def test_a_partition_has_the_columns_that_its_parent_gets(catalog: Catalog) -> None:
    catalog.put(Table("part", [Column("id", "integer")]))
    catalog.put(partition_of(Name("public", "part"), Name("public", "t"), "DEFAULT", None))
    assert Index("i", "part", ["v"]).completed(catalog, SAME).name == "i"


def test_sql_of_the_users_own_may_add_the_column(catalog: Catalog) -> None:
    catalog.rows_change = True
    assert Index("i", "t", ["vv"]).completed(catalog, SAME).name == "i"


def test_of_a_table_that_nobody_knows_no_column_is_missing(catalog: Catalog) -> None:
    assert Index("i", "elsewhere", ["vv"]).completed(catalog, SAME).table == Name(
        "public", "elsewhere"
    )
