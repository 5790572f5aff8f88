"""`@neon/PROJECT[/BRANCH]` in an inventory: the branches of a project are hosts."""

from __future__ import annotations

import pytest
from pyinfra.api.exceptions import InventoryError

from harness import FakeNeon, FakeProject
from pyinfra_postgres.neon.branches import verified
from pyinfra_postgres.neon.connector import NeonConnector
from pyinfra_postgres.transport.endpoint import endpoint


def groups(name: str) -> dict[str, set[str]]:
    """The hosts of an inventory with their groups."""
    return {host: set(groups) for host, _, groups in NeonConnector.make_names_data(name)}


@pytest.mark.usefixtures("environment")
def test_branches_are_hosts_in_groups(fake: FakeNeon, shop: FakeProject) -> None:
    shop.branch("staging").endpoint = None
    fake.branch(shop, "rehearsal-main-1")
    shop.branch("preview/7").protected = True
    shop.branch("preview/7").endpoint = "active"
    expected = {
        "@neon/shop/main": {"neon", "neon_idle", "neon_default", "main"},
        "@neon/shop/preview/7": {"neon", "neon_active", "neon_protected", "preview/7"},
    }
    assert groups("shop") == expected
    assert groups(f"{shop.id}/main") == {
        f"@neon/{shop.id}/main": expected["@neon/shop/main"],
    }
    assert groups("shop/rehearsal-main-1") == {
        "@neon/shop/rehearsal-main-1": {*expected["@neon/shop/main"], "neon_rehearsal"},
    }


@pytest.mark.usefixtures("shop", "environment")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Name a Neon project: @neon/PROJECT or @neon/PROJECT/BRANCH"),
        ("shpo", "there is no Neon project shpo: did you mean shop?"),
        ("zzz", "there is no Neon project zzz: there is shop, twin"),
        ("twin", "several Neon projects are called twin: take one by its id, twin-"),
        ("shop/stagin", "there is no branch stagin in Neon project shop: did you mean staging?"),
        ("shop/bare", "bare: no compute that takes writes in Neon project shop"),
    ],
)
def test_what_is_not_there(fake: FakeNeon, shop: FakeProject, name: str, message: str) -> None:
    fake.project("twin")
    fake.project("twin")
    fake.branch(shop, "bare", endpoint=None)
    with pytest.raises(InventoryError) as error:
        groups(name)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_the_server_has_to_prove_who_it_is() -> None:
    uri = "postgresql://u:p@ep-a-b-1.aws.neon.tech/db?sslmode=require&channel_binding=require"
    assert endpoint(verified(uri)).changes["sslmode"] == "verify-full"
    assert "channel_binding=require" in verified(uri)
    elsewhere = "postgresql://u:p@db.example/db?sslmode=require"
    assert verified(elsewhere) == elsewhere
