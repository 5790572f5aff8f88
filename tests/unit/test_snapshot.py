"""What the server has said stays what it was."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import fields

from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.catalog.snapshot import Snapshot
from pyinfra_postgres.objects.server.schemas import Schema
from pyinfra_postgres.syntax.acl import Acl
from pyinfra_postgres.syntax.names import Exact, Name


def snapshot() -> Snapshot:
    table = Name("public", "t")
    return Snapshot(
        objects={("schema", "app"): Schema("app")},
        relations={"public.t": table},
        printed={table: "public.t"},
        relation_kinds={table: "r"},
        filled={table},
        types={table},
        functions={table},
        acls={("SCHEMA", "app"): Acl("me")},
        key_indexes={table},
        columns={"public.t": {1: Exact("id")}},
        heirs={"public.t": ["public.u"]},
    ).sealed()


CONTAINERS = [
    one.name for one in fields(Snapshot) if isinstance(getattr(Snapshot(), one.name), dict | set)
]


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_is_sealed_can_not_be_changed(name: str) -> None:
    found: Any = getattr(snapshot(), name)
    with pytest.raises((AttributeError, TypeError)):
        found.update({}) if name in {"filled", "types"} else found.clear()


def test_nor_what_is_in_it() -> None:
    found: Any = snapshot()
    with pytest.raises(TypeError):
        found.columns["public.t"][2] = "more"
    with pytest.raises(AttributeError):
        found.heirs["public.t"].append(3)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_catalog_has_copies_of_its_own(name: str) -> None:
    below = snapshot()
    catalog: Any = Forecast.based_on(below)
    assert [*getattr(catalog, name)] == [*getattr(below, name)]
    assert isinstance(getattr(catalog, name), dict | set)
    before = len(getattr(below, name))
    getattr(catalog, name).clear()
    assert len(getattr(below, name)) == before


def test_what_a_plan_makes_of_the_rights_is_not_in_the_snapshot() -> None:
    below = snapshot()
    Forecast.based_on(below).rights.join("app")
    assert below.rights.becomes == set()
