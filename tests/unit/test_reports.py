"""Reports: the same facts give the same documents, whatever they are called."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from attrs import evolve
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.html import Page
from pyinfra_postgres.reports import folder, rollup
from pyinfra_postgres.reports.facts import (
    Access,
    Attempt,
    Basis,
    Check,
    Edge,
    Finding,
    Fix,
    ForeignKey,
    HostFacts,
    Partition,
    Partitioned,
    Report,
    ReportError,
    Step,
    Table,
    as_json,
    from_json,
    schema,
)
from pyinfra_postgres.reports.pages import documents, markdown, page_names
from pyinfra_postgres.reports.statuses import Status, together

HOSTILE = "</script><b>|`\n\r\u202e\x1b[2J{{ 7 * 7 }}&lt;\"'<!--]]>"
texts = st.one_of(st.text(max_size=12), st.just(HOSTILE))
several = st.lists(texts, max_size=2).map(tuple)
checks = st.builds(
    Check, texts, texts, st.sampled_from(Status), texts, several, several, several, several, texts
)
some = st.lists(checks, max_size=4).map(tuple)
steps = st.builds(Step, texts, texts, st.sampled_from(["before", "main", "after"]), texts, texts)
fixes = st.builds(Fix, st.lists(steps, max_size=3).map(tuple), several, several, several, several)
edges = st.builds(Edge, texts, texts, st.sampled_from(Basis), texts)
ranges = st.builds(Partition, texts, texts | st.just("2026-01-01"), texts | st.just("5"))
hosts = st.builds(
    HostFacts,
    texts,
    several,
    texts,
    checks=some,
    declared=some,
    fix=st.none() | fixes,
    attempts=st.lists(st.builds(Attempt, *[texts] * 5), max_size=2).map(tuple),
    edges=st.lists(edges, max_size=3).map(tuple),
    foreign_keys=st.lists(
        st.builds(ForeignKey, *[texts] * 3, st.booleans(), several, texts, texts), max_size=2
    ).map(tuple),
    tables=st.lists(
        st.builds(Table, texts, texts, several, st.integers(0, 9)),
        max_size=3,
        unique_by=lambda one: one.name,
    ).map(tuple),
    partitioned=st.lists(
        st.builds(Partitioned, texts, texts, st.lists(ranges, max_size=2).map(tuple), texts),
        max_size=1,
    ).map(tuple),
    access=st.lists(st.builds(Access, texts, texts, texts, texts), max_size=2).map(tuple),
    findings=st.lists(st.builds(Finding, *[texts] * 7), max_size=2).map(tuple),
    unasked=several,
    unreachable=texts,
)
# A failing example of many parts is as good as the smallest one, which takes minutes to find.
law = settings(max_examples=30, deadline=None, phases=[Phase.generate])
_named_apart = st.lists(hosts, min_size=1, max_size=3, unique_by=lambda one: one.name).map(tuple)
reports = st.builds(Report, texts, texts, _named_apart)


def check(title: str, status: Status = Status.PASS, *roots: str, task: str = "1 Schema") -> Check:
    return Check(task, title, status, roots=roots)


def host(name: str, *found: Check, unreachable: str = "") -> HostFacts:
    return HostFacts(name, ("staging",), "2026-01-02T03:04:05Z", found, unreachable=unreachable)


BLOCKED = host(
    "b",
    check("schema s", Status.FAIL),
    check("table s.t", Status.BLOCKED, "schema s"),
    check("index s.i", Status.BLOCKED, "schema s", task="2 Indexes"),
    check("role r", Status.FAIL, task="3 Roles"),
    check("role q", task="3 Roles"),
)
PASSING = host("a", check("schema s"), check("table s.t", Status.NOT_APPLICABLE))
GONE = host("c", unreachable="no route to host")
REPORT = Report("Shop", "staging", (PASSING, BLOCKED, GONE))


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], Status.NOT_APPLICABLE),
        ([Status.NOT_APPLICABLE, Status.PASS], Status.PASS),
        ([Status.PASS, Status.NOT_VERIFIED], Status.NOT_VERIFIED),
        ([Status.NOT_VERIFIED, Status.BLOCKED], Status.BLOCKED),
        ([Status.BLOCKED, Status.FAIL, Status.PASS], Status.FAIL),
    ],
)
def test_a_task_is_as_grave_as_its_gravest_check(statuses: list[Status], expected: Status) -> None:
    assert together(statuses) is expected


def test_verdicts_are_a_sentence() -> None:
    assert rollup.verdict(PASSING) == "APPROVED: 1 of 2 checks pass, 1 does not apply"
    assert rollup.verdict(BLOCKED) == (
        "NOT APPROVED: 1 root cause blocks 2 of 5 checks (schema s); "
        "1 check fails by itself (role r)"
    )
    assert rollup.verdict(GONE) == "NOT APPROVED: unreachable, no route to host"
    assert rollup.environment_verdict(REPORT) == "NOT APPROVED: 2 of 3 databases do not pass"


@given(hosts)
@law
def test_approved_is_who_has_nothing_but_passes(one: HostFacts) -> None:
    statuses = {each.status for each in one.checks}
    is_well = statuses <= {Status.PASS, Status.NOT_APPLICABLE}
    assert rollup.is_approved(one) == (is_well and not one.unreachable)


def test_root_causes_come_with_what_they_block_and_where() -> None:
    schema_s, role_r = rollup.roots(BLOCKED)
    assert [one.title for one in schema_s.blocks] == ["table s.t", "index s.i"]
    assert role_r.blocks == ()
    other = evolve(BLOCKED, name="d")
    (first, second) = rollup.shared_roots([BLOCKED, other])
    assert (first.title, first.hosts, first.blocks) == ("schema s", ("b", "d"), 4)
    assert second.title == "role r"


VALIDATOR = jsonschema.Draft202012Validator(schema())


@given(reports)
@law
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    written = json.loads(json.dumps(as_json(report)))
    VALIDATOR.validate(written)
    assert from_json(Report, written) == report


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": True},
        {"hosts": {}},
        {"hosts": [{}]},
        {"title": None},
        {"more": 1},
        {"environment": 1},
    ],
)
def test_what_is_no_report_is_refused(change: dict[str, object]) -> None:
    written = {**as_json(REPORT), **change}
    with pytest.raises(ReportError):
        from_json(Report, written)
    assert not VALIDATOR.is_valid(written)


@given(reports)
@law
def test_no_name_breaks_a_page(report: Report) -> None:
    names = {one.name for one in report.hosts}
    found = dict(documents(report, names))
    assert found == dict(documents(report, names))
    for name, text in found.items():
        if name.endswith(".html"):
            assert Page(text).faults() == []
            assert all(one.isprintable() or one == "\n" for one in text)
            assert "\u202e" not in text
    ET.fromstring(found["junit.xml"])  # noqa: S314
    assert json.loads(found["report.sarif"])["version"] == "2.1.0"
    assert from_json(Report, json.loads(found["report.json"])) == report


@given(st.lists(texts, unique=True))
def test_every_host_has_a_page_of_its_own(names: list[str]) -> None:
    found = page_names(names)
    assert len({one.lower() for one in found.values()}) == len(names)
    assert all(one.isascii() and "/" not in one and one[0] not in ".-" for one in found.values())
    assert "index.html" not in found.values()


def test_machines_are_told_what_people_are() -> None:
    found = dict(documents(REPORT, ()))
    (a, b, c) = ET.fromstring(found["junit.xml"])  # noqa: S314
    assert (a.get("tests"), a.get("failures"), a.get("skipped")) == ("2", "0", "1")
    assert (b.get("tests"), b.get("failures"), b.get("errors")) == ("5", "2", "2")
    assert (c.get("tests"), c.get("errors")) == ("1", "1")
    results = json.loads(found["report.sarif"])["runs"][0]["results"]
    assert [one["level"] for one in results] == ["error", "warning", "warning", "error", "error"]


def test_the_pages_say_what_was_found(tmp_path: Path) -> None:
    index = folder.update(tmp_path / "staging", REPORT)
    page = Page.read(index)
    for said in ("Shop: staging", "1 of 3 approved", "schema s", "no route to host"):
        assert said in page.text
    blocked = Page.read(index.parent / "b.html").text
    for said in ("blocks 2 checks", "index s.i (2 Indexes)", "2 Indexes: BLOCKED", "FAIL schema s"):
        assert said in blocked
    assert "out of reach" in Page.read(index.parent / "c.html").text


def test_what_is_known_of_other_hosts_stays(tmp_path: Path) -> None:
    folder.update(tmp_path, REPORT)
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    folder.update(tmp_path, evolve(REPORT, hosts=(evolve(BLOCKED, checks=PASSING.checks),)))
    after = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] == before[name]} == {"a.html", "c.html"}
    assert "2 of 3 approved" in Page.read(tmp_path / "index.html").text
    (tmp_path / "a.html").unlink()
    folder.update(tmp_path, evolve(REPORT, hosts=(GONE,)))
    assert (tmp_path / "a.html").exists()


def test_a_report_that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    folder.update(tmp_path, REPORT)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UnicodeEncodeError):
        folder.write(tmp_path / "index.html", "\udcff")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@given(reports)
@law
def test_no_name_is_more_than_text_in_markdown(report: Report) -> None:
    text = markdown(report)
    assert all(one.isprintable() or one == "\n" for one in text)
    fences = [line for line in text.split("\n") if line.startswith("```")]
    assert len(fences) % 2 == 0
    assert "</script>" not in text


def test_a_hundred_hosts_are_a_hundred_pages_that_know_nothing_of_each_other() -> None:
    fleet = tuple(
        evolve(BLOCKED if number % 3 else PASSING, name=f"db-{number}") for number in range(100)
    )
    few = dict(documents(evolve(REPORT, hosts=fleet[:5]), {"db-1"}))
    many = dict(documents(evolve(REPORT, hosts=fleet), {"db-1", "db-99"}))
    assert many["db-1.html"] == few["db-1.html"]
    assert many.keys() - few.keys() == {"db-99.html"}
    assert Page(many["index.html"]).links.count("db-50.html#task-1") == 1
    assert "NOT APPROVED: 66 of 100 databases do not pass" in many["index.html"]


def test_markdown_has_the_parts_of_a_deploy_and_what_waits_for_a_phase() -> None:
    steps = (
        Step("schema s", "create", "main", "Identity", "", ("CREATE SCHEMA s",)),
        Step("table s.t", "create", "main", "Tables", "", ("CREATE TABLE s.t ()",)),
    )
    fix = Fix(steps, waiting=("1 waits for contract (column s.t.a)",))
    text = markdown(Report("Shop", "staging", (evolve(BLOCKED, fix=fix),)))
    assert "Identity: 1\n\n```sql\nCREATE SCHEMA s;\n```" in text
    assert "Tables: 1\n\n```sql\nCREATE TABLE s.t ();\n```" in text
    assert "Of the deploy, 1 waits for contract (column s.t.a)." in text
