"""What follows a rename in the catalog as it will be."""

from __future__ import annotations

from pyinfra_postgres.catalog import renames
from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.comparison.compare import Comparison
from pyinfra_postgres.objects.access.policies import Policy
from pyinfra_postgres.objects.code.triggers import Trigger
from pyinfra_postgres.objects.constraints.constraints import Check, Exclude, ForeignKey, Unique
from pyinfra_postgres.objects.indexes.indexes import StoredIndex
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.objects.partitions.partitions import Partition
from pyinfra_postgres.objects.tables.columns import Column
from pyinfra_postgres.objects.tables.sequences import Sequence
from pyinfra_postgres.objects.tables.statistics import Statistics
from pyinfra_postgres.objects.tables.tables import Table
from pyinfra_postgres.syntax.acl import Acl
from pyinfra_postgres.syntax.names import Exact, Name

T, U = Name("public", "t"), Name("shop", "u")


def catalog(*objects: Object) -> Forecast:
    """A catalog with tables that are there, and what is declared of them."""
    found = Forecast(role="me")
    for one in objects:
        found.put(one)
    found.created.clear()
    return found


def apply(found: Forecast, declared: Object) -> None:
    for rename in declared.renames(found):
        found.rename(rename)


def test_everything_of_a_table_follows_it_into_another_schema() -> None:
    found = catalog(
        Table(T, [Column("id", "int", default=Exact("nextval('public.s'::regclass)"))]),
        Table("v", [Column("t", "t")], constraints=[ForeignKey("t", references="t(id)", name="k")]),
        StoredIndex("i", T, "id"),
        Policy("p", T, using=Exact("(id = ( SELECT t.id FROM public.t))")),
        Trigger("g", T, when="BEFORE UPDATE", function="f()"),
        Sequence("s", owned_by="t.id"),
        Statistics("t", T, ["id", "x"]),
        Partition(Name("public", "t_1"), T, None),
    )
    found.acls["COLUMN", *T, "id"] = Acl()
    found.filled.add(T)
    apply(found, Table(U, renamed_from="t"))
    assert set(found.objects) == {
        ("table", *U), ("table", "public", "v"), ("index", "shop", "i"), ("policy", *U, "p"),
        ("trigger", *U, "g"), ("sequence", "shop", "s"), ("statistics", *T),
        ("partition", "public", "t_1"),
    }  # fmt: skip
    table, other = found.objects["table", *U], found.objects["table", "public", "v"]
    policy = found.objects["policy", *U, "p"]
    partition = found.objects["partition", "public", "t_1"]
    assert isinstance(table, Table)
    assert isinstance(other, Table)
    assert isinstance(policy, Policy)
    assert isinstance(partition, Partition)
    (column,) = table.columns or ()
    assert column.default == "nextval('shop.s'::regclass)"
    assert other == Table(
        "v",
        [Column("t", "shop.u")],
        constraints=[ForeignKey("t", references="shop.u(id)", name="k")],
    )
    assert policy.using == "(id = ( SELECT u.id FROM shop.u))"
    assert partition.parent == U
    assert found.acls["COLUMN", *U, "id"] == Acl()
    assert ("TABLE", *U) in found.acls
    assert ("TABLE", *T) not in found.acls
    assert found.filled == {U}
    assert found.stored == {U: T, Name("shop", "s"): Name("public", "s")}


def test_all_that_names_a_column_follows_it() -> None:
    checks = [
        Check(Exact("(a > 0)"), name="c"),
        Unique("a", "b", name="k"),
        Exclude(("a", "="), where=Exact("(a > 1)"), name="x"),
    ]
    found = catalog(
        Table(T, [Column("a", "int"), Column("b", "int", generated=Exact("(a + 1)"))],
              constraints=checks),
        Table("v", constraints=[ForeignKey("a", references="t(a)", name="f")]),
        StoredIndex("i", T, ["b", "abs(a)"], include="a", where=Exact("(a > 0)")),
        Trigger("g", T, when="BEFORE UPDATE OF a", function="f()", condition=Exact("(old.a > 0)")),
        Sequence("s", owned_by="t.a"),
        Statistics("n", T, ["a", "b"]),
    )  # fmt: skip
    apply(found, Table(T, [Column("z", "int", renamed_from="a"), Column("b", "int")]))
    renamed = [
        Check(Exact("(z > 0)"), name="c"),
        Unique("z", "b", name="k"),
        Exclude(("z", "="), where=Exact("(z > 1)"), name="x"),
    ]
    expected = catalog(
        Table(T, [Column("z", "int"), Column("b", "int", generated=Exact("(z + 1)"))],
              constraints=renamed),
        Table("v", constraints=[ForeignKey("a", references="t(z)", name="f")]),
        StoredIndex("i", T, ["b", "abs(z)"], include="z", where=Exact("(z > 0)")),
        Trigger("g", T, when="BEFORE UPDATE OF z", function="f()", condition=Exact("(old.z > 0)")),
        Sequence("s", owned_by="t.z"),
        Statistics("n", T, ["z", "b"]),
    )  # fmt: skip
    assert found.objects == expected.objects
    assert found.stored == {T: T}


def test_the_rename_of_a_constraint_reaches_that_of_its_table_alone() -> None:
    found = catalog(
        Table(T, [Column("a", "int")], constraints=[Check("a > 0", name="old")]),
        Table("v", [Column("a", "int")], constraints=[Check("a > 0", name="old")]),
    )
    found.rename(renames.constraint(Table(T), "old", "new"))
    assert found.holds(("constraint", *T, "new"), ("table", *T))
    assert found.holds(("constraint", "public", "v", "old"), ("table", "public", "v"))


def test_a_check_without_a_name_replaces_the_one_named_after_the_former_names() -> None:
    found = catalog(
        Table(
            "person",
            [Column("a", "int")],
            constraints=[Check(Exact("(a > 0)"), name="person_a_check")],
        )
    )
    declared = Table(
        "people", [Column("age", "int", renamed_from="a")], constraints=[Check("age > 1")],
        renamed_from="person",
    )  # fmt: skip
    apply(found, declared)
    current = found.objects["table", "public", "people"]
    assert isinstance(current, Table)
    aligned = declared.aligned(current, Comparison(found, lambda _: None), found)  # type: ignore[arg-type,return-value]
    assert [one.name for one in aligned.constraints] == ["person_a_check"]


def test_a_check_that_partitions_inherit_follows_and_their_own_does_not() -> None:
    part, own = Name("public", "t_1"), Name("public", "t_2")
    inherited = Check("a > 0", name="old").known(inherited=True)
    found = catalog(
        Table(T, [Column("a", "int")], constraints=[Check("a > 0", name="old")]),
        Table(part, [Column("a", "int")], constraints=[inherited]),
        Table(own, [Column("a", "int")], constraints=[Check("a > 0", name="old")]),
        Partition(part, T, None),
        Partition(own, T, ("2025-01-01", "2026-01-01")),
    )
    declared = Check("a > 0", name="new", renamed_from="old")
    apply(found, Table(T, [Column("a", "int")], constraints=[declared]))
    assert found.holds(("constraint", *T, "new"), ("table", *T))
    assert found.holds(("constraint", *part, "new"), ("table", *part))
    assert found.holds(("constraint", *own, "old"), ("table", *own))
