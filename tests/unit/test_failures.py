"""What is said where something is wrong before or after a plan runs."""

from __future__ import annotations

import pytest
from pyinfra.api.exceptions import ConnectError

from pyinfra_postgres.running.rollout import _remedy
from pyinfra_postgres.transport.answer import Failure
from pyinfra_postgres.transport.connector import check_host_data


@pytest.mark.parametrize(
    "name",
    [
        "postgres_connect_attempts",
        "postgres_connect_delay",
        "postgres_lock_timeout",
        "postgres_lock_attempts",
        "postgres_deploy_lock_timeout",
    ],
)
def test_host_data_that_is_no_number_is_found_when_connecting(name: str) -> None:
    check_host_data({name: "3"})
    with pytest.raises(ConnectError, match=f"{name} must be a number, not 'abc'"):
        check_host_data({name: "abc"})


@pytest.mark.parametrize("sqlstate", ["55P03", "40P01", "57014", "57P01", "08006"])
def test_what_passes_is_completed_by_the_next_run(sqlstate: str) -> None:
    assert _remedy(Failure("x", sqlstate)) == "the next run completes this"


@pytest.mark.parametrize("sqlstate", ["23505", "42703", "42501"])
def test_what_does_not_pass_has_to_be_corrected(sqlstate: str) -> None:
    assert _remedy(Failure("x", sqlstate)).startswith("correct it and run again")
