"""What the probes of a wave find on its hosts."""

from __future__ import annotations

from typing import Any

from pyinfra.api import Host

from ..errors import InventoryError
from .arranging import declared
from .jobs import Job
from .probes import asked, judged
from .runs import PyinfraRun


def probed(job: Job) -> list[dict[str, Any]]:
    """Of each host what it has answered, and the verdicts: a title, a word and a reason each.

    A host that can't be asked has no answers, and its probes can't tell.
    """
    run = PyinfraRun.of(job.target, job.hosts)
    waves = declared(job.target)
    if job.wave not in waves:
        raise InventoryError(f"{job.target.inventory} has no wave {job.wave} any more")
    probes = waves[job.wave].probes
    answers: dict[str, list[Any]] = {}

    def ask(host: Host) -> None:
        answers[host.name] = asked(probes, host)

    run.do(lambda: run.each(ask))
    found = []
    for name in job.hosts:
        now = answers.get(name)
        if now is None:
            why = "; ".join(run.complaints.of(run.state.inventory.get_host(name))) or run.error
            now = [[None, why or "it was not asked"] for _ in probes]
        verdicts = judged(probes, job.before.get(name), now)
        found.append({"host": name, "answers": now, "verdicts": verdicts})
    return found
