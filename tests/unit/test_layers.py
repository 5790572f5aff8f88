"""The layers of the modules are those that README.md lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "operations" / "pyinfra_postgres"


def layers() -> dict[str, int]:
    """Each module that README.md lists, with its place."""
    text = (ROOT / "README.md").read_text()
    (listed,) = re.findall(r"^The layers.*?```\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    lines = [line.partition("  ")[0].split() for line in listed.splitlines()]
    return {module: place for place, modules in enumerate(lines) for module in modules}


def used(path: Path) -> Iterator[str]:
    """The modules of the package that a module imports, but for those that only types need."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        up = 1 + (path.parent != PACKAGE)
        if isinstance(node, ast.ImportFrom) and node.level == up:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (name.split(".")[0] for name in names)


def test_every_module_has_its_place() -> None:
    there = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"} | {"objects"}
    assert layers().keys() == there


def test_no_module_uses_one_below_it() -> None:
    known = layers()
    paths = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in known]
    wrong = [
        f"{path.relative_to(PACKAGE)} uses {other}"
        for path in paths
        for other in used(path)
        if known[other] > known["objects" if path.parent != PACKAGE else path.stem]
    ]
    assert wrong == []


def test_one_module_knows_the_parser() -> None:
    sources = (path for path in PACKAGE.parent.rglob("*.py") if "postgast" in path.read_text())
    assert [path.stem for path in sources] == ["libpg_query"]
