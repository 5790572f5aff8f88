"""`pyinfra-postgres undo` over several hosts."""

from __future__ import annotations

from fleet.conftest import Command
from harness import Databases, Project, one_version

BLOCK = "with pg.transaction():\n    pg.schema({!r})\n"


@one_version
def test_the_hosts_that_had_a_deploy_are_undone(
    project: Project, new_database: Databases, command: Command
) -> None:
    databases = one, two, three = [new_database() for _ in range(3)]
    hosts = {"one": one.dsn, "two": two.dsn, "three": three.dsn}
    project.inventory(hosts, postgres_history=True)
    project.deploy(BLOCK.format("first"))
    project.run().succeeded()
    before = [each.dump() for each in databases]
    project.deploy(BLOCK.format("shop"))
    project.run(
        "inventory.py", "deploy.py", "-y", "--limit", "@postgres/one", "--limit", "@postgres/two"
    ).succeeded()
    name = one.psql("SELECT run FROM pyinfra_postgres.deploy ORDER BY started_at DESC LIMIT 1")
    two.psql("CREATE TABLE shop.later (id integer)")
    undo = ("undo", "inventory.py", name)
    shown = command(*undo, "--dry", "--diff", "--limit", "@postgres/one").succeeded()
    assert "DROP SCHEMA shop" in shown.output
    refused = command(*undo, "-y").failed()
    assert "table shop.later depends on schema shop" in refused.output
    # Nothing was sent to the others either.
    assert one.psql("SELECT to_regnamespace('shop')") == "shop"
    two.psql("DROP TABLE shop.later")
    done = command(*undo, "-y").succeeded()
    assert f"the deploy {name} never ran here" in done.output
    assert [each.dump() for each in databases] == before
    assert command(*undo, "-y").succeeded().output.count("is undone already") >= 2
    assert f"undoes {name}" in command("history", "inventory.py").succeeded().output
    unknown = command("undo", "inventory.py", "nonsense", "-y").failed()
    assert "no host has a deploy nonsense" in unknown.output
