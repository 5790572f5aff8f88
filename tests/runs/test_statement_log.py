"""What a run sends, as the server's own log tells it."""

from __future__ import annotations

import re
from collections import Counter

from harness import Database, Databases, Platform, Project, one_version

SNAPSHOT = re.compile(
    r"BEGIN READ ONLY;.*?SELECT json_build_array\(current_database\(\), json_build_object\("
    r".*json_agg\(j ORDER BY .*COMMIT$",
    re.DOTALL,
)
FETCHED = re.compile(r"BEGIN READ ONLY;\nFETCH ALL FROM \w+;\nCLOSE \w+;\nCOMMIT$")
FINGERPRINT = re.compile(r"BEGIN READ ONLY;.*IF .*md5\(.*RAISE EXCEPTION.*COMMIT$", re.DOTALL)
COMPARISON = re.compile(r"BEGIN READ WRITE;.*CREATE FUNCTION pg_temp\..*ROLLBACK$", re.DOTALL)
TRIAL = re.compile(r"BEGIN READ WRITE;.*CREATE TABLE.*\nROLLBACK$", re.DOTALL)
CHANGES = re.compile(
    r"^\s*(CREATE|ALTER|DROP|GRANT|REVOKE|COMMENT|INSERT|UPDATE|DELETE|TRUNCATE|LOCK)\b",
    re.MULTILINE,
)


def written_rows(database: Database) -> str:
    """The newest transaction that wrote into a catalog that DDL writes into."""
    return database.psql(
        """SELECT max(xmin::text::bigint) FROM (
             SELECT xmin FROM pg_class UNION ALL SELECT xmin FROM pg_proc
             UNION ALL SELECT xmin FROM pg_attribute UNION ALL SELECT xmin FROM pg_type
             UNION ALL SELECT xmin FROM pg_policy UNION ALL SELECT xmin FROM pg_authid
             UNION ALL SELECT xmin FROM pg_namespace UNION ALL SELECT xmin FROM pg_depend) AS x"""
    )


def test_a_run_without_changes_sends_snapshots_and_comparisons_only(
    platform: Platform, database: Database
) -> None:
    platform("deploy", database, sync_fixtures=True).succeeded()
    before = written_rows(database)

    # With nothing remembered: the server compares what it has rewritten.
    platform.cache = platform.project.path / "empty"
    with database.watch() as seen:
        platform("deploy", database, sync_fixtures=True).succeeded()
    compared = [one for one in seen.statements if COMPARISON.match(one)]
    others = [one for one in seen.statements if one not in compared]
    assert compared
    for one in compared:
        outside = re.sub(r"\$(json\w+|deparse)\$.*?\$\1\$", "", one, flags=re.DOTALL)
        assert CHANGES.findall(outside) == ["CREATE"], outside
        assert outside.count("CREATE FUNCTION pg_temp.") == 1
    assert [one for one in others if CHANGES.search(one)] == []

    # With what that run remembered: nothing but the snapshot.
    with database.watch() as seen:
        platform("deploy", database, sync_fixtures=True).succeeded()
    snapshots = [one for one in seen.statements if SNAPSHOT.match(one)]
    assert len(snapshots) == 1
    assert [one for one in seen.statements if CHANGES.search(one) or COMPARISON.match(one)] == []
    assert written_rows(database) == before


def test_the_snapshot_is_one_message(project: Project, database: Database) -> None:
    project.inventory({"one": database.dsn})
    with database.watch() as seen:
        project.run("inventory.py", "fact", "pyinfra_postgres.facts.Catalog").succeeded()
    assert [kind(one) for one in seen.statements] == ["pooler?", "snapshot"]


def kind(message: str) -> str:
    """What a message of a run is."""
    if message == "SELECT pg_catalog.pg_backend_pid()":
        return "pooler?"
    if SNAPSHOT.match(message):
        return "snapshot"
    if FETCHED.match(message):
        return "fetched"
    if COMPARISON.match(message):
        return "comparison"
    if FINGERPRINT.match(message):
        return "fingerprint"
    if TRIAL.match(message):
        return "trial"
    if re.match(r"DO \$lock\$ .*pg_try_advisory_lock\(1886220904, 1\)", message, re.DOTALL):
        return "deploy lock"
    if re.match(r"BEGIN READ WRITE;.*CREATE TABLE.*COMMIT$", message, re.DOTALL):
        return "transaction"
    if re.match(r"BEGIN READ ONLY;.*json_agg\(DISTINCT proname\).*ROLLBACK$", message, re.DOTALL):
        return "built-in functions"
    if re.match(r"BEGIN READ ONLY;.*privilege_type = 'TEMPORARY'.*ROLLBACK$", message, re.DOTALL):
        return "condition"
    return message


def test_a_transaction_is_one_message_under_one_lock(
    platform: Platform, database: Database
) -> None:
    with database.watch() as seen:
        platform("deploy", database).succeeded()
    assert [kind(one) for one in seen.statements] == [
        "pooler?",
        "snapshot",
        "fetched",
        "built-in functions",
        "condition",  # whether the one piece of SQL has to run
        "trial",
        "deploy lock",
        "fingerprint",
        "transaction",
        "DISCARD ALL",
    ]


def test_a_dry_run_writes_nothing(platform: Platform, database: Database) -> None:
    before = written_rows(database), database.dump()
    with database.watch() as seen:
        platform("deploy", database, "--dry", "--diff").succeeded()
    changes = [one for one in seen.statements if CHANGES.search(one) and not COMPARISON.match(one)]
    assert [one for one in changes if not TRIAL.match(one)] == []
    assert len(changes) == 1
    assert (written_rows(database), database.dump()) == before
    assert [one for one in seen.statements if "pg_try_advisory_lock" in one] == []


@one_version
def test_a_run_has_one_session_with_each_database(
    project: Project, new_database: Databases
) -> None:
    databases = [new_database() for _ in range(5)]
    project.inventory({f"db-{number}": one.dsn for number, one in enumerate(databases)})
    project.deploy("with pg.transaction():\n    pg.enum('mood', ['good'])\npg.schema('s')")
    before = len(databases[0].server.log_entries())
    project.run().succeeded()
    entries = databases[0].server.log_entries()[before:]
    sessions = Counter(
        entry.database for entry in entries if entry.message.startswith("connection authorized")
    )
    assert [sessions[one.name] for one in databases] == [1] * 5
