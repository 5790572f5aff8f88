"""Settings whose value is a list of names: PostgreSQL keeps the names, and finds them again."""

from __future__ import annotations

from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import one_version
from kinds.conftest import Deploy
from pyinfra_postgres.errors import DeclarationError

PATHS = {
    "a list": (["app", "pg_temp"], 'app, pg_temp'),
    "literals": ("'public', 'pg_temp'", "public, pg_temp"),
    "names": ('"My Schema", PUBLIC', '"My Schema", public'),
    "the user's own": (["$user", "public"], '"$user", public'),
    "a comma in a name": (['"a,b"', "c"], '"a,b", c'),
    "a quote in a name": (['"a""b"'], '"a""b"'),
    "a keyword": (['"table"', "name"], '"table", name'),
    "none": ([], '""'),
    "an empty one": ("", '""'),
}  # fmt: skip


PLACES = {
    "a list": (["pg_default", "pg_default"], "pg_default, pg_default"),
    "none": ([], '""'),
}


@one_version
@pytest.mark.parametrize(
    ("name", "values"),
    [("search_path", PATHS), ("temp_tablespaces", PLACES)],
    ids=["path", "place"],
)
def test_a_list_of_names_is_stored_as_one(
    deploy: Deploy, name: str, values: dict[str, tuple[Any, str]]
) -> None:
    lines = [
        f"    pg.function('f{number}', returns='void', body='SELECT 1',"
        f" settings={{{name!r}: {given!r}}})\n"
        for number, (given, _) in enumerate(values.values())
    ]
    deploy.apply("with pg.transaction():\n" + "".join(lines))
    stored = deploy.database.rows(
        "SELECT proname, proconfig[1] FROM pg_proc WHERE proname ~ '^f[0-9]' ORDER BY 1"
    )
    assert stored == [(f"f{n}", f"{name}={kept}") for n, (_, kept) in enumerate(values.values())]


@pytest.mark.parametrize(
    "value",
    [
        ["a b"], [1], [None], [["a"]], ["x" * 64], "a b", "5", "DEFAULT", "a, b; DROP TABLE t",
        5, True, {"a": 1}, "a FROM CURRENT", "'a', ''", "\udc80", b"a",
    ],
    ids=repr,
)  # fmt: skip
def test_what_would_be_stored_as_another_list_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationError):
        pg.Function("f", settings={"search_path": value})
