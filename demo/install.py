"""Creates .venv and installs this checkout into it, editable, if that is not done already.

    python3 demo/install.py EXTRA...

Kept to the syntax of any Python 3, so that an old one gets a sentence and not a SyntaxError.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
JUDGES = VENV / "judges"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
BROWSER = "browser"
"""What tests/browser needs: a dependency group, for it is nothing that the wheel has to tell."""
OLDEST = (3, 11)


def install(extras: "list[str]") -> int:
    """Install the checkout with these extras unless it is; returns an exit code."""
    if sys.version_info < OLDEST:
        print(
            "This needs Python {}.{} or newer and {} is {}.{}. Name another one: "
            "make PYTHON=python3.12 ...".format(*OLDEST, sys.executable, *sys.version_info)
        )
        return 1
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    here = {"path": str(ROOT), "project": project}
    found = _stamp()
    installed = found.get("extras", [])
    if {**found, **here} == found and set(extras) <= set(installed):
        return 0
    began = time.monotonic()
    if found.get("path") != str(ROOT):  # absent, unfinished, or moved here with the checkout
        print("Creating .venv ...", flush=True)
        if VENV.exists():
            shutil.rmtree(VENV)
        if subprocess.call([sys.executable, "-m", "venv", str(VENV)]):
            print("Debian and Ubuntu: apt install python3-venv")
            return 1
        installed = []
    extras = sorted({*extras, *installed})
    print("Installing into .venv, a dot per package ", end="", flush=True)
    output: list[str] = []
    with subprocess.Popen(
        [
            *(str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"),
            *("--editable", ".[{}]".format(",".join(one for one in extras if one != BROWSER))),
        ],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as pip:
        for line in pip.stdout or ():
            output.append(line)
            if line.startswith("Collecting "):
                print(".", end="", flush=True)
    if pip.returncode:
        print("\n" + "".join(output))
        return 1
    if "test" in extras and _install_judges():
        return 1
    if BROWSER in extras and _install_group(BROWSER, PYTHON):
        return 1
    STAMP.write_text(json.dumps({**here, "extras": extras}))
    print(f" {time.monotonic() - began:.0f} s")
    return 0


def _install_judges() -> int:
    """Install what judges from outside, in an environment of its own; returns an exit code."""
    venv = subprocess.call([str(PYTHON), "-m", "venv", str(JUDGES)])
    return venv or _install_group("judges", JUDGES / "bin" / "python")


def _install_group(name: str, python: Path) -> int:
    """Install a dependency group into an environment; returns an exit code."""
    import tomllib  # which an old Python has not

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pip = (str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
    return subprocess.call([*pip, *project["dependency-groups"][name]])


def _stamp() -> "dict[str, Any]":
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


if __name__ == "__main__":
    sys.exit(install(sys.argv[1:]))
