from __future__ import annotations

from collections.abc import Iterable

from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.objects.indexes.indexes import StoredIndex
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.objects.partitions.partitions import partition_of
from pyinfra_postgres.objects.tables.columns import Column
from pyinfra_postgres.objects.tables.sequences import Sequence
from pyinfra_postgres.objects.tables.tables import Table
from pyinfra_postgres.syntax.names import Name

ORDERS = Table("orders", [Column("id", "bigint")])
ARCHIVE = Table("archive", [Column("id", "bigint")])
PART = Name("public", "orders_1")


def catalog(objects: Iterable[Object]) -> Forecast:
    return Forecast(
        objects={one.key(): one for one in objects},
        relation_kinds={PART: "r", ORDERS.name: "p", ARCHIVE.name: "r"},
    )


def test_with_a_table_go_its_indexes_sequences_and_partitions_with_theirs() -> None:
    known = catalog(
        [
            ORDERS,
            ARCHIVE,
            StoredIndex("orders_id", "orders", ["id"]),
            Sequence("numbers", owned_by="orders.id"),
            partition_of(PART, ORDERS.name, "FOR VALUES IN (1)", None),
            Table("orders_1", [Column("id", "bigint")]),
            StoredIndex("orders_1_id", "orders_1", ["id"]),
        ]
    )
    ORDERS.erase(known)
    assert list(known.objects.values()) == [ARCHIVE]


def test_a_sequence_that_has_gone_to_another_table_stays_with_that_one() -> None:
    known = catalog([ORDERS, ARCHIVE, Sequence("numbers", owned_by="orders.id")])
    assert known.on(ORDERS.name)
    moved = Sequence("numbers", owned_by="archive.id")
    known.put(moved)
    ORDERS.erase(known)
    assert list(known.objects.values()) == [ARCHIVE, moved]
