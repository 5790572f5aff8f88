"""The wheel alone, in a clean environment, serves a deploy in a folder that is not the checkout."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from demo.server import environment
from harness import Database, Project, one_version


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that has to succeed; what it printed."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", directory, checkout),
        cwd=directory,
    )
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and what it depends on."""
    directory = tmp_path_factory.mktemp("clean")
    venv.create(directory)
    python = directory / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-compile", wheel, cwd=directory)
    return python


def test_the_wheel_holds_both_packages_and_their_templates(wheel: Path, checkout: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    roots = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert roots == {"pyinfra_postgres", "sync_platform"}
    templates = {path.name for path in (checkout / "templates" / "functions").iterdir()}
    assert templates == {
        name.rpartition("/")[2]
        for name in names
        if name.startswith("sync_platform/templates/functions/")
    }
    assert {"pyinfra_postgres/py.typed", "sync_platform/py.typed"} <= names
    assert "pyinfra_postgres/plan/plan.schema.json" in names


@one_version
def test_the_wheel_serves_a_folder_with_operations_of_its_own(
    python: Path, project: Project, database: Database
) -> None:
    project.write("operations/__init__.py", "")
    project.write("operations/mine.py", "SCHEMA = 'from_the_users_own_folder'\n")
    project.inventory({"db": database.dsn})
    project.deploy("""
        import sync_platform
        from operations.mine import SCHEMA

        pg.schema(SCHEMA)
        with pg.transaction():
            sync_platform.identity()
    """)
    run(python, "-m", "pyinfra", "inventory.py", "deploy.py", "-y", cwd=project.path)
    assert database.psql(
        "SELECT count(*) FROM pg_namespace WHERE nspname = 'from_the_users_own_folder'"
    ) == ("1")
    assert database.psql("SELECT to_regclass('public.organization')") == "organization"
