"""Reports for a browser to open."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, frozen

from browser.brownfield import statements
from harness import Databases, Platform, Project
from pyinfra_postgres.reports.facts import Check, HostFacts, Report
from pyinfra_postgres.reports.statuses import Status

HOSTILE = "</script><b>|`\n\u202e\x1b[2J{{ 7 * 7 }}&lt;\"'<!--]]>" + "w" * 120


@frozen
class Reports:
    """Folders of reports."""

    platform: Path
    """About databases without the platform, with a damaged one, with all of it."""
    brownfield: Path
    """About a database of more than a hundred tables."""
    fleet: Path
    """About a hundred databases."""
    hostile: Path
    """About what is called so as to break a page."""

    def pages(self) -> list[Path]:
        """The pages that are unlike one another."""
        hosts = [self.platform / "damaged.html", self.brownfield / "erp.html"]
        return [*self.indexes(), *hosts, *sorted(self.hostile.glob("host*.html"))]

    def indexes(self) -> list[Path]:
        """The pages about environments."""
        return [one / "index.html" for one in (self.platform, self.fleet, self.hostile)]


def platform_report(databases: Databases, path: Path) -> Path:
    """The folder of a report about the platform: not there yet, damaged, complete."""
    platform = Platform(Project(path))
    empty, damaged, complete = map(databases, ("empty", "damaged", "complete"))
    platform("deploy", [damaged, complete], postgres_today=None).succeeded()
    damaged.psql(
        "DROP TABLE sync_progress, sync_schedule CASCADE;"
        "DROP FUNCTION auth.current_org_id() CASCADE"
    )
    platform("verify", [empty, damaged, complete], postgres_today=None).failed()
    return path / "reports" / "inventory"


def brownfield_report(databases: Databases, path: Path) -> Path:
    """The folder of a report about a database of many tables."""
    project, database = Project(path), databases("brownfield")
    database.psql("; ".join(statements()))
    project.inventory({"erp": database.dsn})
    project.deploy("""
        with pg.verification("ERP", report="reports"):
            pg.check("It answers", "SELECT 1", [(1,)])
    """)
    project.run().succeeded()
    return path / "reports" / "inventory"


def fleet_report() -> Report:
    """A report about a hundred databases, a third of which pass."""
    checks = tuple(
        Check(f"{number} Task", f"table public.t{number}", Status.PASS) for number in range(1, 9)
    )
    failed = (evolve(checks[0], status=Status.FAIL, reason="it is missing"), *checks[1:])
    hosts = tuple(
        HostFacts(f"db-{number}", (), "2026-01-02T03:04:05Z", failed if number % 3 else checks)
        for number in range(100)
    )
    return Report("Shop", "fleet", hosts)


def hostile_report() -> Report:
    """A report in which all that can have a name has a hostile one."""
    checks = tuple(
        Check(
            HOSTILE,
            f"{HOSTILE}{status.value}",
            status,
            HOSTILE,
            expected=(HOSTILE,),
            query=HOSTILE,
            place=HOSTILE,
        )
        for status in Status
    )
    return Report(HOSTILE, HOSTILE, (HostFacts(HOSTILE, (HOSTILE,), HOSTILE, checks, checks),))
