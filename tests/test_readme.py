"""What README.md says is so: its example runs, its tables name what there is."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import pyinfra_postgres as pg
from harness import Database, Project, finished, one_version
from harness.process import Deploy, run
from harness.servers import Databases
from pyinfra_postgres.transport.connector import KNOWN_DATA


@pytest.fixture(scope="module")
def readme(checkout: Path) -> str:
    return (checkout / "README.md").read_text()


def files(readme: str) -> dict[str, str]:
    """The Python files that the README shows, by the name in their first line."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", readme, re.DOTALL)
    return dict(blocks)


def commands(readme: str) -> list[list[str]]:
    """The pyinfra commands of the example."""
    section = readme.split("## A deploy of your own")[1].split("\n## ")[0]
    lines = re.findall(r"^pyinfra (.*?)(?:\s+#.*)?$", section, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def written(path: Path, text: str) -> Deploy:
    """A deploy that the README shows, as a function."""
    file = path / "deploy.py"
    file.write_text(text)
    return lambda: runpy.run_path(str(file))


def test_the_example_does_what_it_says(
    readme: str, project: Project, new_database: Databases
) -> None:
    staging, production = new_database(), new_database()
    inventory = files(readme)["inventory.py"]
    inventory = inventory.replace("service=app-staging", staging.dsn)
    project.write("inventory.py", inventory.replace("service=app", production.dsn))
    project.write("deploy.py", files(readme)["deploy.py"])

    dry, limited, everything, fact, query, setting = commands(readme)
    assert "5 to create" in project.run(*dry).succeeded().output
    # Without a terminal there is nobody to ask.
    project.run(*limited, "-y").succeeded()
    assert staging.psql("SELECT to_regclass('shop.orders')") == "shop.orders"
    assert production.psql("SELECT to_regclass('shop.orders')") == ""
    project.run(*everything).succeeded()
    assert production.dump() == staging.dump()
    assert "shop.order_state" in project.run(*fact).succeeded().stdout
    assert "0 rows from 2 hosts" in project.run(*query).succeeded().stdout
    assert len(json.loads(project.run(*setting).succeeded().stdout)) == 2
    project.write("verify.py", files(readme)["verify.py"])
    verified = project.run("inventory.py", "verify.py", "-y").succeeded()
    assert verified.output.count("APPROVED: 2 of 2 checks pass") == 2
    nowhere = project.run("inventory.py", "deploy.py", "--limit", "nowhere", "-y").succeeded()
    assert "No host matches found for --limit pattern: nowhere" in nowhere.output


@one_version
def test_plans_are_kept_and_applied_as_it_says(
    readme: str, project: Project, database: Database
) -> None:
    project.inventory({"app": database.dsn})
    project.write("deploy.py", files(readme)["deploy.py"])
    section = readme.split("## Plans for review")[1].split("\n## ")[0]
    dry, show, comment, apply, rehearse = re.findall(r"^pyinfra.*$", section, re.MULTILINE)
    binaries = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    for one in (dry, show, comment):
        done = subprocess.run(
            ["/bin/sh", "-c", one], cwd=project.path, capture_output=True, text=True, env=binaries
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "orders" in done.stdout or one != show
    assert "shop.orders" in (project.path / "comment.md").read_text()
    assert "CREATE TABLE" not in database.dump()
    refused = project.run(*shlex.split(rehearse)[1:]).failed().output
    (allow,) = re.findall(r"--data 'postgres_rehearse=\S+'", refused)
    rehearsed = project.run(*shlex.split(f"{rehearse} {allow}")[1:]).succeeded().stdout
    assert re.search(r"rehearsed: \d+ statements in \d+ ms, .* of WAL, as planned", rehearsed)
    assert "CREATE TABLE" not in database.dump()
    project.run(*shlex.split(apply)[1:]).succeeded()
    assert "CREATE TABLE shop.orders" in database.dump()


FORMER = """
    CREATE SCHEMA store;
    CREATE TYPE store.state AS ENUM ('new', 'paid', 'sent');
    CREATE TYPE store.channel AS ENUM ('fax', 'web', 'phone');
    CREATE TABLE store.customer (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text NOT NULL UNIQUE,
        state store.state);
    INSERT INTO store.customer (mail, state) VALUES ('a@example.com', 'sent');
    CREATE TABLE store.item (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL UNIQUE,
        price text NOT NULL, channel store.channel, note text);
    INSERT INTO store.item (title, price, channel) VALUES ('Ink', '3', 'fax');
    CREATE INDEX item_name ON store.item (title);
"""


@one_version
def test_the_reference_is_true_of_an_empty_database(
    readme: str, new_database: Databases, tmp_path: Path
) -> None:
    database = new_database()
    reference = written(tmp_path, files(readme)["reference.py"])
    assert run(database, reference).succeeded().plan.changes
    assert not run(database, reference).succeeded().plan.changes


@one_version
def test_the_reference_is_true_of_a_database_that_is_behind(
    readme: str, new_database: Databases, tmp_path: Path
) -> None:
    database = new_database()
    database.psql(FORMER)
    reference = written(tmp_path, files(readme)["reference.py"])
    allowed = "shop.item, shop.channel"
    run(database, reference, postgres_allow=allowed).succeeded()
    assert database.psql("SELECT title, price, channel FROM shop.item ORDER BY 1") == (
        "Ink|3|web\nPen|2|"
    )
    assert database.psql("SELECT email, state FROM shop.customer") == "a@example.com|shipped"
    assert not run(database, reference).succeeded().plan.changes


def section_commands(readme: str, title: str) -> list[list[str]]:
    """The commands that a section shows."""
    section = readme.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^(pyinfra.*?)(?:\s+#.*)?$", section, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@one_version
def test_history_and_releases_are_as_shown(
    readme: str, project: Project, new_database: Databases
) -> None:
    hosts = {name: new_database() for name in ("staging", "production")}
    for name, database in hosts.items():
        path = f"inventories/{name}.py"
        project.inventory({name: database.dsn}, name=path, group="shop", postgres_history=True)
        project.write(f"inventories/group_data/{name}.py", files(readme)[f"group_data/{name}.py"])
    project.deploy('pg.schema("shop")')
    project.deploy(
        'with pg.verification():\n    pg.check("1", "SELECT 1", [(1,)])', name="verify.py"
    )
    staging, production = section_commands(readme, "Releases")
    project.run(*production[1:]).failed()
    project.run(*staging[1:]).succeeded()
    project.run(*production[1:]).succeeded()
    name = hosts["production"].psql("SELECT run FROM pyinfra_postgres.deploy")

    (project.path / "inventories/production.py").rename(project.path / "inventory.py")
    table, statements, fact, *undo = section_commands(readme, "History")
    main = {"module": "pyinfra_postgres.cli.main"}
    assert name in finished(project.start(*table[1:], **main)).succeeded().stdout
    shown = finished(project.start(*statements[1:-1], name, **main)).succeeded().stdout
    assert "CREATE SCHEMA shop;" in shown
    assert name in project.run(*fact[1:]).succeeded().stdout
    assert [one[-1] for one in undo] == ["--diff", "-y"]
    for one in undo:
        arguments = [name if part.startswith("2026") else part for part in one[1:]]
        finished(project.start(*arguments, **main)).succeeded()
        left = hosts["production"].psql("SELECT to_regnamespace('shop')")
        assert left == ("" if "-y" in one else "shop")


def test_every_operation_is_in_the_reference(readme: str) -> None:
    shown = set(re.findall(r"\bpg\.([a-z]\w+)\(", "".join(files(readme).values())))
    operations = {name for name in pg.__all__ if name[0].islower()}
    assert shown == operations


def test_operations_print_their_arguments(readme: str) -> None:
    (command,) = re.findall(r"`python -c \"(.*?)\"`", readme)
    shown = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert "+ ahead: how many periods after the current one there are" in shown.stdout


@one_version
def test_what_a_column_leaves_out_is_postgresqls_default(
    readme: str, new_database: Databases, tmp_path: Path
) -> None:
    database = new_database()
    database.psql("CREATE TABLE customer (id serial PRIMARY KEY, email text NOT NULL)")
    first, second = re.findall(r"`(pg\.Column\([^`]*\))` plans `(.*?)`", readme)
    for declaration, planned in (first, second):
        text = f'import pyinfra_postgres as pg\npg.table("customer", [{declaration}])\n'
        plan = run(database, written(tmp_path, text), dry=True).plan
        (statement,) = plan.changes[0].statements
        assert statement.sql.endswith(planned)


def test_every_operation_is_in_the_table(readme: str) -> None:
    operations = {name for name in pg.__all__ if name[0].islower()}
    blocks = {"transaction", "verification"}
    assert set(re.findall(r"^\| `pg\.(\w+)` ", readme, re.MULTILINE)) == operations - blocks


def test_all_host_data_is_in_the_table(readme: str) -> None:
    assert set(re.findall(r"^\| `(postgres_\w+)` ", readme, re.MULTILINE)) == set(KNOWN_DATA)


def test_the_demo_shown_is_the_demo(readme: str) -> None:
    shown = readme.split("<!-- demo -->")[1].split("<!-- /demo -->")[0]
    assert "7/7  Deploy again, to both: no changes" in shown
    assert "Error" not in shown


def test_commands_of_the_makefile(readme: str, checkout: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (checkout / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", readme, re.MULTILINE)) <= targets
