"""The client of Neon's API, against a server on loopback."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

import pytest

from harness import TOKEN, FakeNeon, FakeProject, Fault
from pyinfra_postgres.neon.api import Branch, Neon, NeonError, Project

SOON = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def project(shop: FakeProject) -> Project:
    return Project(shop.id, shop.name)


def create(neon: Neon, shop: FakeProject) -> Branch:
    main = neon.branches(project(shop))[0]
    return neon.create_branch(project(shop), main, "copy", SOON)


def test_a_list_is_all_of_its_pages(fake: FakeNeon, neon: Neon, shop: FakeProject) -> None:
    found = neon.branches(project(shop))
    assert [branch.name for branch in found] == ["main", "staging", "preview/7"]
    assert [branch.default for branch in found] == [True, False, False]
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/branches", 429, {"Retry-After": "0"}),
        Fault("GET", "/branches", 423),
        Fault("GET", "/branches", 503, body="<html>"),
        Fault("GET", "/branches", 0),
    ],
    ids=["429", "423", "503", "dropped"],
)
def test_a_question_is_asked_again(
    fake: FakeNeon, neon: Neon, shop: FakeProject, retries: list[str], fault: Fault
) -> None:
    fake.faults = [fault, fault]
    assert len(neon.branches(project(shop))) == 3
    assert len(retries) == 2
    assert "; try 2 of 8 in 0.0 s" in retries[0]


def test_retries_end(fake: FakeNeon, neon: Neon, shop: FakeProject) -> None:
    fake.faults = [Fault("GET", "/branches", 423)] * 20
    with pytest.raises(NeonError, match=r"not now \(HTTP 423, request req-fault\)$") as error:
        neon.branches(project(shop))
    assert len(fake.requests) == 8
    assert TOKEN not in "".join(traceback.format_exception(error.value))


def test_a_branch_is_there_when_its_operations_have_ended(
    fake: FakeNeon, neon: Neon, shop: FakeProject
) -> None:
    fake.polls = 3
    branch = create(neon, shop)
    assert shop.branch("copy").expires_at == branch.expires_at == "2030-01-02T03:04:05Z"
    assert sum("/operations/" in request for request in fake.requests) == 3
    neon.delete_branch(project(shop), branch)
    neon.delete_branch(project(shop), branch)
    assert len(shop.branches) == 3


def test_a_failed_operation_is_an_error(
    fake: FakeNeon, neon: Neon, shop: FakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "polls", 1)
    monkeypatch.setattr(fake, "last", "failed")
    with pytest.raises(NeonError, match=r"operation work \(\w+\) has failed: failed"):
        create(neon, shop)


def test_what_was_refused_before_it_began_is_sent_again(
    fake: FakeNeon, neon: Neon, shop: FakeProject
) -> None:
    fake.faults = [Fault("POST", "/branches", 423), Fault("POST", "/branches", 429)]
    create(neon, shop)
    assert len(shop.branches) == 4


@pytest.mark.parametrize("status", [0, 502])
def test_what_may_have_been_done_is_not(
    fake: FakeNeon, neon: Neon, shop: FakeProject, status: int
) -> None:
    fake.faults = [Fault("POST", "/branches", status, body="", after=True)]
    with pytest.raises(NeonError):
        create(neon, shop)
    assert len(shop.branches) == 4


def test_a_key_that_needs_an_organization_is_told_how_to_name_it(
    fake: FakeNeon, neon: Neon
) -> None:
    fake.faults = [Fault("GET", "/projects", 400, body='{"message": "org_id is required"}')]
    with pytest.raises(NeonError, match=r"org_id is required \(HTTP 400\); set NEON_ORG_ID$"):
        list(neon.projects())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>hello", "answered with something else than JSON"),
        ("[]", "answered with something else than JSON"),
        ('{"projects": [{"id": "x"}]}', "answered without 'name'"),
    ],
)
def test_an_answer_that_is_none(fake: FakeNeon, neon: Neon, body: str, message: str) -> None:
    fake.faults = [Fault("GET", "/projects", 200, body=body)]
    with pytest.raises(NeonError, match=message):
        list(neon.projects())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NEON_API_KEY", "", "NEON_API_KEY is not set"),
        ("NEON_API_KEY", "s3cret\nkey", "NEON_API_KEY is no API key"),
        ("NEON_API_KEY", "s3cretö", "NEON_API_KEY is no API key"),
        ("NEON_API_KEY", "s3cret", r"requires an API key \(HTTP 401, request req-401\); is NEON_"),
        ("NEON_API_HOST", "http://example.com", "NEON_API_HOST must begin with https://"),
    ],
)
def test_a_wrong_environment_is_one_line(
    environment: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(NeonError, match=message) as error:
        list(Neon.from_environment().projects())
    assert "s3cret" not in "".join(traceback.format_exception(error.value))
    assert "\n" not in str(error.value)
