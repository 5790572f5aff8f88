"""A deadline counts the time in which somebody has listened, not that in which nobody could."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pyinfra_postgres.transport.watch import Clock, Limits, Patience, Watch

BEGAN = 1000.0


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass."""
    now = [BEGAN]

    def passed(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return passed


def test_a_busy_process_is_nobodys_silence(passes: Callable[[float], None]) -> None:
    canceled: list[bool] = []
    one = Watch(
        Limits(answer=3),
        Patience.ANSWER,
        interrupted=lambda: False,
        cancel=lambda: canceled.append(True),
        look_aside=list,
        say=lambda _: None,
        clock=Clock(last=BEGAN),
    )
    # It was busy with other hosts, and listens now and then.
    for _ in range(2):
        passes(600)
        one.look()
    assert canceled == []
    for _ in range(15):
        passes(0.1)
        one.look()
    assert one.reason == "no answer within 3 s"
    assert canceled == [True]
