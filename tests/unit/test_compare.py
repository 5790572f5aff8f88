"""The comparison with a server that deparses by lower-casing, or fails as it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.comparison import compare, verdicts
from pyinfra_postgres.comparison.compare import Comparison
from pyinfra_postgres.comparison.verdicts import Verdicts
from pyinfra_postgres.errors import HostError
from pyinfra_postgres.transport.answer import Answer, Failure

WHERE = "SELECT 1 WHERE ({})"


class Server:
    """Deparses a body as PostgreSQL prints it, in lower case; `fails` maps texts to SQLSTATEs."""

    def __init__(self, **fails: str) -> None:
        self.fails = fails
        self.scripts: list[list[str]] = []

    def __call__(self, statements: list[str]) -> Answer:
        self.scripts.append(statements)
        match = re.search(r"\$json\w+\$(.*)\$json\w+\$", statements[-2], re.DOTALL)
        assert match
        return Answer(tuple(json.dumps(self._item(one)) for one in json.loads(match[1])))

    def _item(self, item: dict[str, str]) -> list[object]:
        for text, state in self.fails.items():
            if text in item["body"]:
                return [item["number"], None, state, f"no {text}"]
        parts = re.split(r"SELECT '(m\w+)' AS m; ", item["body"])
        body = "BEGIN ATOMIC\n"
        for mark, text in zip(parts[1::2], parts[2::2], strict=True):
            plain = " ".join(text.split()).removesuffix(";").lower()
            body += f" SELECT '{mark}'::text AS m;\n {plain};\n"
        return [item["number"], body + "END", None, None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    verdicts.forget()
    yield tmp_path
    verdicts.forget()


def test_equal_texts_and_trees_need_no_server() -> None:
    server = Server()
    same = Comparison(Forecast(), server)
    assert same(WHERE, "a = 1", "a = 1")
    assert same(WHERE, "a=1", "(a = 1)")
    assert same(WHERE, None, None)
    assert not same(WHERE, None, "a")
    assert not same(WHERE, "a", None)
    assert not same.pending


def test_what_only_the_server_can_tell_waits_for_it() -> None:
    server = Server()
    same = Comparison(Forecast(), server)
    assert not same(WHERE, "F('X')", "f('x')")
    assert not same(WHERE, "f(1)", "f(2)")
    assert server.scripts == []
    assert same.settle()
    assert same(WHERE, "F('X')", "f('x')")
    assert not same(WHERE, "f(1)", "f(2)")


def test_the_script_leaves_nothing_and_names_each_sides_path() -> None:
    server = Server()
    same = Comparison(Forecast(), server)
    same(WHERE, "F('X')", "f('x')")
    same.settle()
    (script,) = server.scripts
    assert (script[0], script[-1]) == ("BEGIN READ WRITE", "ROLLBACK")
    match = re.search(r"\$json\w+\$(.*)\$json\w+\$", script[-2], re.DOTALL)
    assert match
    paths = {item["path"]: item["body"] for item in json.loads(match[1])}
    assert "F('X')" in paths["public"]
    assert "f('x')" in paths["pg_catalog"]


def test_a_verdict_is_remembered_until_the_surroundings_change(cache: Path) -> None:
    server = Server()
    first = Comparison(Forecast(environment="one"), server)
    first(WHERE, "F('X')", "f('x')")
    first.settle()
    assert Comparison(Forecast(environment="one"), server)(WHERE, "F('X')", "f('x')")
    assert not Comparison(Forecast(environment="two"), server)(WHERE, "F('X')", "f('x')")
    assert not Comparison(Forecast(environment="one"), server)("SELECT ({})", "F('X')", "f('x')")
    verdicts.forget()
    assert Comparison(Forecast(environment="one"), server)(WHERE, "F('X')", "f('x')")
    assert len((cache / "pyinfra-postgres" / "verdicts").read_text().split()) == 1


def test_only_equality_is_remembered(cache: Path) -> None:
    same = Comparison(Forecast(), Server())
    same(WHERE, "f(1)", "f(2)")
    assert not same.settle()
    assert not (cache / "pyinfra-postgres").exists()


def test_a_fragment_that_can_not_be_read_harms_no_other() -> None:
    server = Server(broken="42601")
    same = Comparison(Forecast(), server)
    same(WHERE, "broken(1)", "a(1)")
    same(WHERE, "F('X')", "f('x')")
    assert same.settle()
    assert same(WHERE, "F('X')", "f('x')")
    ((fragment, said),) = same.errors.items()
    assert (fragment.text, said) == ("broken(1)", "no broken (SQLSTATE 42601)")
    assert fragment in same.asked


@pytest.mark.parametrize("state", ["42703", "42P01", "42883", "22P02", "42704", "3F000"])
def test_what_needs_something_that_is_not_there_yet_differs(state: str) -> None:
    same = Comparison(Forecast(), Server(missing=state))
    same(WHERE, "missing(1)", "a(1)")
    assert not same.settle()
    assert same.errors == {}


def test_a_stored_fragment_that_fails_is_no_fault_of_the_user() -> None:
    same = Comparison(Forecast(), Server(odd="XX000"))
    same(WHERE, "f(1)", "odd(1)")
    assert not same.settle()
    assert same.errors == {}


def test_a_server_that_does_not_answer() -> None:
    same = Comparison(Forecast(), lambda _: Answer(failure=Failure("gone", "57P01")))
    same(WHERE, "f(1)", "g(1)")
    with pytest.raises(HostError, match="could not compare"):
        same.settle()


def test_many_fragments_go_in_one_script() -> None:
    server = Server()
    same = Comparison(Forecast(), server)
    for number in range(400):
        same(WHERE, f"F({number}, 'X')", f"f({number}, 'x')")
    assert same.settle()
    assert len(server.scripts) == 1
    assert all(same(WHERE, f"F({n}, 'X')", f"f({n}, 'x')") for n in range(400))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("SELECT ('a'::varchar)::text", "SELECT 'a'::text", True),
        ("SELECT (ARRAY['a'::varchar, 'b'::varchar])::text[]", "SELECT ARRAY['a'::text, 'b'::text]",
         True),
        ("SELECT ('a'::varchar(1))::text", "SELECT 'a'::text", False),
        ("SELECT ('A'::varchar)::text", "SELECT 'a'::text", False),
        ("SELECT (c::varchar)::text", "SELECT c::text", False),
        ("SELECT ('1'::integer)::text", "SELECT '1'::text", False),
        ("SELECT (ARRAY['a'::varchar(1)])::text[]", "SELECT ARRAY['a'::text]", False),
    ],
)  # fmt: skip
def test_casts_that_dump_and_restore_leave_behind(one: str, other: str, same: bool) -> None:
    assert (compare._relaxed(one, None) == compare._relaxed(other, None)) is same


def test_of_many_verdicts_the_newest_half_stays(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known() -> str:
        verdicts.forget()
        return "".join(one for one in "abcde" if Verdicts().holds([one]))

    monkeypatch.setattr(verdicts, "MOST", 4)
    Verdicts().keep([[one] for one in "abcd"])
    assert known() == "abcd"
    Verdicts().keep([["e"]])
    assert known() == "de"
    (file,) = (cache / "pyinfra-postgres").iterdir()
    assert len(file.read_text().split()) == 2
