"""Other programs' advice: asked where they are there, told in one voice, trusted with nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.html import Page
from harness.process import Outcome, run
from pyinfra_postgres.errors import DeclarationError

Advise = Callable[..., tuple[Outcome, dict[str, Any]]]
Program = Callable[[str], str]
VIOLATION = {
    "rule_id": "SEC002",
    "severity": "error",
    "message": "Table public.t has no `FORCE`. The owner of 'p', 'canary', bypasses it. "
    "Run `ALTER TABLE public.t FORCE ROW LEVEL SECURITY;`. Allowlist it as 'public.t' in [lint].",
    "location": "public.t",
}
LINT = {"violations": [VIOLATION]}
LEAK = {
    "tables": [
        {
            "table": "public.t",
            "verdict": "leak",
            "policies": [{"policy": "p", "verdict": "leak", "witness": {"secret": "canary"}}],
        },
        {"table": "public.u", "verdict": "unverified", "policies": []},
    ]
}


def deploy() -> None:
    pg.table("u", [pg.Column("note", "varchar(20)")])
    pg.index("u_note", "u", ["note"])
    pg.function("f", returns="int", body="SELECT 1 -- one\n")


@pytest.fixture
def advise(tmp_path: Path) -> Advise:
    """Verifies a database: how the run ended, and what is known of the host."""

    def advise(database: Database, **given: Any) -> tuple[Outcome, dict[str, Any]]:
        data = {name: given.pop(name) for name in list(given) if name.startswith("postgres_")}

        def verify() -> None:
            with pg.verification(report=str(tmp_path / "out"), deploy=deploy, **given):
                pg.check("it is there", "SELECT 1", [(1,)])

        outcome = run(database, verify, **data)
        (path,) = tmp_path.glob("out/*/report.json")
        for page in path.parent.glob("*.html"):
            Page.read(page)
        return outcome, json.loads(path.read_text())["hosts"][0]

    return advise


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program that answers as its code says; it notes with what it was called."""

    def program(code: str) -> str:
        path = tmp_path / "judge"
        path.write_text(
            "#!/usr/bin/env python3\nimport json, os, sys\n"
            f"with open({str(tmp_path / 'calls')!r}, 'a') as file:\n"
            "    print(json.dumps([sys.argv[1:], os.environ.get('DATABASE_URL')]), file=file)\n"
            f"{code}\n"
        )
        path.chmod(0o755)
        return str(path)

    return program


def by(host: dict[str, Any], judge: str) -> list[dict[str, Any]]:
    return [one for one in host["findings"] if one["rule"].split()[0] == judge]


@one_version
def test_findings_of_row_security_are_told_as_ours(
    database: Database, advise: Advise, program: Program, tmp_path: Path
) -> None:
    database.psql(
        """CREATE TABLE t (a int); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
           CREATE FUNCTION me() RETURNS int LANGUAGE sql AS 'SELECT 1';
           CREATE POLICY p ON t USING (a = me())"""
    )
    command = program(
        f"print({json.dumps(LINT)!r} if sys.argv[1] == 'lint' else {json.dumps(LEAK)!r})\n"
        "sys.exit(1)"
    )
    outcome, host = advise(database, postgres_pgrls=command, fail_on="pgrls cross-tenant")
    (rule, *leaks) = sorted(by(host, "pgrls"), key=lambda one: one["rule"] != "pgrls SEC002")
    assert rule == {
        "rule": "pgrls SEC002",
        "what": "table public.t",
        "said": "Table public.t has no FORCE. The owner of p, '...', bypasses it",
        "mend": "ALTER TABLE public.t FORCE ROW LEVEL SECURITY",
        "severity": "error",
        "accepted": "",
        "place": "",
    }
    assert {one["what"] for one in leaks} == {"table public.t"}
    assert {one["rule"] for one in leaks} == {
        f"pgrls {mode}" for mode in ("anon", "cross-tenant", "write", "escalation", "reachability")
    }
    assert "canary" not in json.dumps(host)
    assert "pgrls cross-tenant: table public.t" in outcome.refused().messages
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert len(calls) == 6
    for arguments, url in calls:
        assert database.name in url
        assert not [one for one in arguments if database.name in one]
        assert (arguments[0] == "lint") != ("--auth-function=public.me" in arguments)


@one_version
def test_a_plan_is_judged_where_it_is_declared(database: Database, advise: Advise) -> None:
    _, host = advise(database, postgres_pgrls=False)
    (finding,) = by(host, "squawk")
    assert (finding["rule"], finding["what"]) == ("squawk prefer-text-field", "table public.u")
    path, _, line = finding["place"].partition(" line ")
    assert Path(path).name == Path(__file__).name
    assert "pg.table" in Path(__file__).read_text().splitlines()[int(line) - 1]
    assert host["unasked"] == [
        "pgrls was not asked about the row security of the database: postgres_pgrls is False"
    ]
    database.psql("CREATE TABLE u (a int); INSERT INTO u VALUES (1)")
    _, host = advise(database, postgres_squawk=False)
    assert by(host, "squawk") == []


@one_version
def test_accepting_others_findings(database: Database, advise: Advise) -> None:
    reason = "as long as it is"
    kept = pg.Accepted("squawk prefer-text-field", "table public.u", reason)
    stale = pg.Accepted("squawk prefer-text-field", "function public.f()", reason)
    beside = pg.Accepted("squawk prefer-text-field", "table public.other", reason)
    unasked = pg.Accepted("pgrls SEC002", "table public.u", reason)
    accepted = [kept, stale, beside, unasked]
    outcome, host = advise(database, accepted=accepted, fail_on="squawk", postgres_pgrls=False)
    outcome.succeeded()
    (finding,) = by(host, "squawk")
    assert finding["accepted"] == reason
    # What nobody was asked about is not in vain.
    vain = [one["what"] for one in host["findings"] if one["rule"] == "accepted-in-vain"]
    assert vain == ["function public.f()"]
    outcome, _ = advise(database, fail_on="squawk", postgres_pgrls=False)
    assert "squawk prefer-text-field: table public.u" in outcome.refused().messages


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('no JSON'); sys.exit(3)", "lint ended with exit code 3 and no answer"),
        ("print('{}')", "it answers in another form"),
        ("print('{\"violations\": [1]}')", "it answers in another form"),
    ],
)
@one_version
def test_a_program_that_does_not_answer_is_one_line(
    database: Database, advise: Advise, program: Program, code: str, said: str
) -> None:
    outcome, host = advise(database, postgres_pgrls=program(code), postgres_squawk=False)
    outcome.succeeded()
    assert host["unasked"][0] == f"pgrls was not asked about all of it: {said}"
    assert by(host, "pgrls") == []


@one_version
def test_programs_that_are_not_there_are_named(database: Database, advise: Advise) -> None:
    outcome, host = advise(
        database,
        postgres_pgrls="/nowhere/pgrls",
        postgres_squawk="no-such-command",
        fail_on=["pgrls SEC002", "invalid-index"],
    )
    # A rule that counts has to be asked.
    assert "pgrls SEC002: NOT VERIFIED" in outcome.refused().messages
    assert host["unasked"] == [
        "pgrls was not asked about the row security of the database: there is no command "
        "/nowhere/pgrls",
        "squawk was not asked about the SQL of the plan: there is no command no-such-command",
    ]


@pytest.mark.parametrize("rule", ["pgrls", "squawk", "eugene E1", "pgrls ", "pgrls a b"])
def test_what_is_accepted_is_of_one_rule(rule: str) -> None:
    with pytest.raises(DeclarationError, match="rule"):
        pg.Accepted(rule, "table public.t", "it is")
