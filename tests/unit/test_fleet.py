"""Many hosts, without any: waves, slices, what follows from outcomes and from probes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from attrs import evolve, field, mutable
from hypothesis import given, settings
from hypothesis import strategies as st
from pyinfra.api import Inventory

from pyinfra_postgres.cli import rollout as cli
from pyinfra_postgres.errors import InventoryError
from pyinfra_postgres.fleet.drift import Drift
from pyinfra_postgres.fleet.jobs import Ended, Job, Outcome, Planned, Status, Target, Task
from pyinfra_postgres.fleet.probes import (
    Deadlocks,
    Finding,
    LockWaiters,
    Probe,
    Query,
    ReplicationLag,
    Verdict,
    Verify,
)
from pyinfra_postgres.fleet.progress import Lines, Pace, duration
from pyinfra_postgres.fleet.rollout import End, Waves
from pyinfra_postgres.fleet.slices import Stop, Workers
from pyinfra_postgres.fleet.waves import Wave, in_order

TARGET = Target("inventory.py", ("deploy.py", "verify.py"), ("a=1",), directory="/")
PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def test_a_job_is_the_same_at_the_other_end() -> None:
    job = Job(Task.PROBE, TARGET, ("one", "two"), wave="first", before={"one": [1, None]})
    assert Job.read(job.text()) == job
    assert Job(Task.LIST, TARGET) != Job(Task.LIST, TARGET)  # so that no executor knows it already


@given(st.lists(st.booleans(), max_size=5), st.sampled_from(["", "it was killed"]))
def test_what_no_process_has_answered_is_never_good(answered: list[bool], error: str) -> None:
    names = tuple(f"h{number}" for number in range(len(answered)))
    known = [name for name, is_known in zip(names, answered, strict=True) if is_known]
    answer = None if error else [Outcome(name, Status.EQUAL).data() for name in known]
    found = Ended(answer, error).outcomes(Job(Task.COMPARE, TARGET, names))
    assert [one.host for one in found] == list(names)
    for one in found:
        is_known = one.host in known and not error
        assert one.status is (Status.EQUAL if is_known else Status.FAILED)
        assert is_known or "is not known; run again" in one.messages[0]


@given(st.lists(st.sampled_from(Status)))
def test_drift_is_an_error_before_it_is_a_difference(found: list[Status]) -> None:
    drift = Drift([Outcome("h", one) for one in found])
    compared = {Status.EQUAL, Status.DIFFERENT}
    if not found or not compared.issuperset(found):
        assert drift.exit_status == 1
    else:
        assert drift.exit_status == (2 if Status.DIFFERENT in found else 0)
    assert evolve(drift, error="no inventory").exit_status == 1


@given(st.integers(0, 300), st.integers(1, 400), st.integers(1, 16))
def test_slices_are_all_hosts_and_never_too_many_at_once(
    count: int, parallel: int, processes: int
) -> None:
    hosts = [f"h{number}" for number in range(count)]
    slices, at_once = Workers(Recorded(), processes).slices(hosts, parallel)
    assert [host for one in slices for host in one] == hosts
    assert 1 <= at_once <= processes
    biggest = max(map(len, slices), default=1)
    assert biggest * at_once <= max(parallel, 1) or parallel >= count


@mutable(eq=False)
class Recorded(Executor):
    """Does nothing but to say what becomes of hosts."""

    failing: frozenset[str] = frozenset()
    begun: list[str] = field(factory=list)
    token: set[str] = field(factory=set)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ARG002
        (job,) = args
        self.begun += job.hosts
        bad = bool(self.failing.intersection(job.hosts))
        answer = [
            Outcome(
                host,
                Status.FAILED
                if host in self.failing
                else Status.STOPPED
                if bad and job.stops
                else Status.CHANGED,
            ).data()
            for host in job.hosts
        ]
        done: Future[Any] = Future()
        done.set_result(Ended(answer))
        return done


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Planned], frozenset[str], int]:
    """Waves, each of which may depend on earlier ones, with hosts that fail."""
    waves: list[Planned] = []
    for number in range(draw(st.integers(1, 4))):
        hosts = tuple(f"w{number}h{each}" for each in range(draw(st.integers(0, 5))))
        earlier = [one.name for one in waves]
        needs = draw(st.sets(st.sampled_from(earlier))) if earlier else set()
        parallel, goes_on = draw(st.integers(1, 6)), draw(st.booleans())
        waves.append(Planned(f"w{number}", hosts, parallel, goes_on, tuple(sorted(needs))))
    every = [host for wave in waves for host in wave.hosts]
    failing = draw(st.sets(st.sampled_from(every), max_size=2)) if every else set()
    return waves, frozenset(failing), draw(st.integers(1, 3))


@given(fleets())
@settings(deadline=None)
def test_a_failure_stops_what_it_has_to(
    fleet: tuple[list[Planned], frozenset[str], int],
) -> None:
    waves, failing, processes = fleet
    executor = Recorded(failing)
    rollout = Waves(TARGET, waves, Workers(executor, processes), Stop(), Lines())
    end = rollout.run()
    assert (end is End.DONE) == (
        not failing & set(executor.begun)
        and len(rollout.outcomes) == sum(len(one.hosts) for one in waves)
    )
    assert len(executor.begun) == len(set(executor.begun)) == len(rollout.outcomes)
    for wave in waves:
        begun = [host for host in wave.hosts if host in executor.begun]
        # They come in their order, and a prefix of them where one fails that stops the others.
        assert begun == list(wave.hosts[: len(begun)])
        good = failing.isdisjoint(wave.hosts)
        if begun and (good or wave.goes_on):
            assert len(begun) == len(wave.hosts)
        if begun:
            for name in wave.depends_on:
                assert rollout.ends[name] is End.DONE
        elif not wave.hosts:
            continue
        elif all(rollout.ends[name] is End.DONE for name in wave.depends_on):
            stopping = [one for one in waves if rollout.ends[one.name] is End.FAILED]
            assert any(not one.goes_on for one in stopping)
    # At most the slices that were under way come after the first failure that stops.
    for wave in waves:
        if rollout.ends[wave.name] is End.FAILED and not wave.goes_on:
            place = min(wave.hosts.index(host) for host in failing if host in wave.hosts)
            begun = [host for host in wave.hosts if host in executor.begun]
            assert len(begun) <= place + max(wave.parallel, 1) or wave.parallel >= len(wave.hosts)


def test_a_wave_is_probed_before_the_next() -> None:
    """Here the probe was not asked: that is no pass, until a person says so."""
    first = Planned("first", ("a",), probes=("lag",))
    second = Planned("second", ("b",), depends_on=("first",))
    for accepted, end, begun in (
        (frozenset[str](), End.PAUSED, {"a"}),
        (frozenset({"first"}), End.DONE, {"a", "b"}),
    ):
        executor = Recorded()
        workers = Workers(Asked(executor, error="it was killed"), 1)
        rollout = Waves(TARGET, [first, second], workers, Stop(), Lines(), accepted)
        assert rollout.run() is end
        assert set(executor.begun) == begun


@pytest.mark.parametrize(
    ("verdicts", "end"),
    [
        ((PASS, PASS), End.DONE),
        ((PASS, INCONCLUSIVE), End.PAUSED),
        ((INCONCLUSIVE, FAIL), End.FAILED),
    ],
)
def test_the_worst_answer_counts(verdicts: tuple[Verdict, Verdict], end: End) -> None:
    wave = Planned("first", ("a", "b"), probes=("lag",))
    found = dict(zip(wave.hosts, verdicts, strict=True))
    workers = Workers(Asked(Recorded(), found), 1)
    rollout = Waves(TARGET, [wave], workers, Stop(), Lines(), frozenset())
    assert rollout.run() is end


@mutable(eq=False)
class Asked(Executor):
    """Answers for probes; deploys are another's."""

    executor: Recorded
    verdicts: dict[str, Verdict] = field(factory=dict)
    error: str = ""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ARG002
        (job,) = args
        if job.task is not Task.PROBE:
            return self.executor.submit(fn, job)
        answer = [
            {"host": one, "answers": [], "verdicts": [["lag", [self.verdicts.get(one, PASS), ""]]]}
            for one in job.hosts
        ]
        done: Future[Any] = Future()
        done.set_result(Ended(error=self.error) if self.error else Ended(answer))
        return done


HOSTS = [(f"h{number}", {"size": 10 - number}) for number in range(1, 6)]


def planned(**waves: Wave) -> list[tuple[str, tuple[str, ...]]]:
    inventory = Inventory(
        ([name for name, _ in HOSTS], {}), few=(HOSTS[:2], {}), rest=(HOSTS[2:], {})
    )
    return [(one.name, one.hosts) for one in in_order(waves, list(inventory))]


def test_a_host_comes_in_the_first_wave_that_matches_it() -> None:
    assert planned(
        last=Wave(match=["rest"], order_by="size", depends_on="few"),
        few=Wave(match=lambda host: host.data.size > 7, depends_on=()),
    ) == [("few", ("h1", "h2")), ("last", ("h5", "h4", "h3"))]
    assert planned(one=Wave(match="h[12]"), two=Wave(order_by=lambda host: host.data.size)) == [
        ("one", ("h1", "h2")),
        ("two", ("h5", "h4", "h3")),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: planned(a=Wave(match="few")), "no wave matches h3 and 2 more: let the last"),
        (lambda: planned(a=Wave(), b=Wave(match="nobody")), "wave b matches no host"),
        (lambda: planned(a=Wave(depends_on="b")), "wave a depends on b, which is no wave"),
        (
            lambda: planned(a=Wave(match="few", depends_on="b"), b=Wave()),
            "waves depend on one another: ",
        ),
        (lambda: planned(a=Wave(order_by="weight")), "'weight': there is no such data of h1"),
        (
            lambda: planned(a=Wave(order_by=lambda host: host.name if host.data.size > 6 else 1)),
            "'<' not supported",
        ),
        (lambda: Wave(parallel=0), "parallel is a whole number from 1 on, not 0"),
        (lambda: Wave(parallel=True), "parallel is a whole number"),
        (lambda: Wave(on_error="ignore"), "on_error is one of stop, continue, not 'ignore'"),
        (lambda: Wave(bake="5 min"), "bake is a number of seconds, not '5 min'"),  # type: ignore[arg-type]
        (lambda: Wave(bake=-1), "bake is a number of seconds, not -1"),
        (lambda: Wave(probes=["lag"]), "probes are LockWaiters(), Deadlocks(), ..., not 'lag'"),  # type: ignore[list-item]
        (lambda: Wave(probes=[Query("q", "DELETE FROM t")]), "probe q: it takes one query that"),
        (lambda: Wave(probes=[Query("q", "SELEC 1")]), "probe q: "),
        (lambda: LockWaiters(most=-1), "LockWaiters(most=...) takes a number that is not negative"),
    ],
)
def test_what_is_wrong_with_waves_is_said_before_anything_begins(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(InventoryError) as raised:
        make()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("probe", "before", "now", "verdict"),
    [
        (LockWaiters(), None, [], PASS),
        (LockWaiters(seconds=5), None, [4, None], PASS),
        (LockWaiters(seconds=5), None, [6], FAIL),
        (LockWaiters(most=1), None, [6, 7], FAIL),
        (Deadlocks(), [3, None], [3, None], PASS),
        (Deadlocks(), [3, None], [4, None], FAIL),
        (Deadlocks(most=1), [3, "then"], [4, "then"], PASS),
        (Deadlocks(), [3, None], [0, "now"], INCONCLUSIVE),
        (Deadlocks(), None, [0, None], INCONCLUSIVE),
        (ReplicationLag(), [0, 0, None, None], [0, 0, None, None], PASS),
        (ReplicationLag(), [1, 1, None, 0], [1, 1, None, 0], PASS),
        (ReplicationLag(), [1, 1, None, 0], [1, 1, 11, 0], FAIL),
        (ReplicationLag(), [1, 1, None, 0], [1, 1, 0, 65], FAIL),
        (ReplicationLag(), [2, 2, None, 0], [1, 1, 0, 0], INCONCLUSIVE),
        (ReplicationLag(), [1, 0, None, None], [1, 0, None, None], INCONCLUSIVE),
        (ReplicationLag(), None, [1, 1, 0, 0], INCONCLUSIVE),
        (Query("q", "SELECT true"), None, True, PASS),
        (Query("q", "SELECT true"), None, False, FAIL),
        (Query("q", "SELECT true"), None, None, INCONCLUSIVE),
        (Query("q", "SELECT true"), None, 1, INCONCLUSIVE),
    ],
)
def test_what_follows_from_an_answer(probe: Probe, before: Any, now: Any, verdict: Verdict) -> None:
    found = probe.judge(before, now)
    assert isinstance(found, Finding)
    assert found.verdict is verdict
    assert found.detail


def test_a_wave_may_have_all_probes() -> None:
    own = Query("q", "SELECT true")
    assert Wave(probes=[LockWaiters(), Deadlocks(), ReplicationLag(), Verify(), own])


@pytest.mark.parametrize(
    ("pace", "said"),
    [
        (Pace(0, 300, 0), "0 of 300 hosts"),
        (Pace(120, 300, 25), "120 of 300 hosts, 4.8 per second, 38 s to go"),
        (Pace(1, 300, 10, baking=600), "1 of 300 hosts, 6.0 per minute, 59 min 50 s to go"),
        (Pace(300, 300, 60), "300 of 300 hosts, 5.0 per second"),
    ],
)
def test_how_far_it_is(pace: Pace, said: str) -> None:
    assert str(pace) == said


def test_seconds_as_a_person_says_them() -> None:
    assert [duration(one) for one in (0.4, 61, 7322)] == ["0 s", "1 min 1 s", "2 h 2 min"]


def test_the_line_that_goes_on_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [
        "rollout",
        "i.py",
        "d.py",
        "--data",
        "postgres_password=secret",
        "--data=my_dsn=secret",
    ]
    monkeypatch.setattr("sys.argv", ["pyinfra-postgres", *given, "--data", "step=7", "--limit=a b"])
    rollout = Waves(TARGET, [], Workers(Recorded(), 1), Stop(), Lines())
    (line,) = cli._ways(rollout, End.FAILED).values()
    assert line == (
        "pyinfra-postgres rollout i.py d.py --data 'postgres_password=*MASKED*' "
        "'--data=my_dsn=*MASKED*' --data step=7 '--limit=a b'"
    )
    assert cli._ways(rollout, End.DONE) == {}
