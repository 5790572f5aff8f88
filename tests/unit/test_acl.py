from __future__ import annotations

import pytest

from pyinfra_postgres.syntax.acl import Acl, all_privileges


def read(text: str | None, target: str = "TABLE", version: int = 160000) -> dict[str, set[str]]:
    """Each grantee's privileges, a `*` where they may be granted on."""
    found: dict[str, set[str]] = {}
    for (grantee, privilege), option in Acl.read(target, "me", text, version).granted.items():
        found.setdefault(grantee, set()).add(privilege + "*" * option)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        ("{me=r/me}", {"me": {"SELECT"}}),
        ("{=r/me}", {"public": {"SELECT"}}),
        ("{a=ar*w/me,b=d/me}", {"a": {"INSERT", "SELECT*", "UPDATE"}, "b": {"DELETE"}}),
        ("{a=r/me,a=r*/b}", {"a": {"SELECT*"}}),
        ('{"\\"My Role\\"=r/me"}', {"My Role": {"SELECT"}}),
        ('{"\\"a,b\\"=r/me",c=r/me}', {"a,b": {"SELECT"}, "c": {"SELECT"}}),
        ('{"\\"q\\"\\"q\\"=r/\\"x/y\\""}', {'q"q': {"SELECT"}}),
        ('{"\\"a=r/b\\"=w/me"}', {"a=r/b": {"UPDATE"}}),
        ("{a=rm/me}", {"a": {"SELECT", "MAINTAIN"}}),
        ("{größe=r/me}", {"größe": {"SELECT"}}),
        ('{"back\\\\slash=r/me"}', {"back\\slash": {"SELECT"}}),
    ],
)
def test_lists_are_read(text: str, expected: dict[str, set[str]]) -> None:
    assert read(text) == expected


def test_where_there_is_no_list_postgresqls_defaults_hold() -> None:
    assert read(None, "SCHEMA") == {"me": {"USAGE", "CREATE"}}
    assert read(None, "FUNCTION") == {"me": {"EXECUTE"}, "public": {"EXECUTE"}}
    assert read(None, "TYPE") == {"me": {"USAGE"}, "public": {"USAGE"}}
    assert read(None)["me"] == set(all_privileges("TABLE", 160000))


def test_maintain_came_with_17() -> None:
    assert "MAINTAIN" not in all_privileges("TABLE", 169999)
    assert "MAINTAIN" in all_privileges("TABLE", 170000)
    assert "MAINTAIN" not in all_privileges("SCHEMA", 170000)


def test_another_owner_has_what_the_one_before_had_and_has_granted() -> None:
    acl = Acl.read("TABLE", "me", "{me=r/me,a=w/me,b=r/c,c=r*/me}", 160000)
    assert acl.owned_by("me") is acl
    now = acl.owned_by("you")
    assert now == Acl.read("TABLE", "you", "{you=r/you,a=w/you,b=r/c,c=r*/you}", 160000)
    assert now.grantors == {("b", "SELECT"): {"c"}}
