"""The rooms of the package are the layers that README.md lists, and no module needs itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from pyinfra_postgres.objects.words import WORDS
from pyinfra_postgres.operations.declarations import OPERATIONS

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "operations" / "pyinfra_postgres"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
}


def layers() -> dict[str, int]:
    """Each room and module at the top that README.md lists, with its place."""
    text = (ROOT / "README.md").read_text()
    (listed,) = re.findall(r"^The rooms.*?```\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    lines = [re.split("  +", line)[0].split() for line in listed.splitlines()]
    return {room: place for place, rooms in enumerate(lines) for room in rooms}


def used(module: str) -> Iterator[str]:
    """The modules of the package that a module imports, those that only types need among them."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*module.split(".")[: -node.level], *(node.module or "").split(".")]
            for alias in node.names:
                names = (".".join(filter(None, [*base, alias.name])), ".".join(filter(None, base)))
                yield from [name for name in names if name in MODULES][:1]


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_its_place() -> None:
    assert layers().keys() == {room(module) for module in MODULES}


def test_no_room_uses_one_below_it() -> None:
    known = layers()
    wrong = [
        f"{module} uses {other}"
        for module in MODULES
        for other in used(module)
        if known[room(other)] > known[room(module)]
    ]
    assert wrong == []


def test_no_module_needs_itself() -> None:
    TopologicalSorter({module: set(used(module)) for module in MODULES}).prepare()


def test_what_is_pure_knows_of_pyinfra_only_what_hides_a_value() -> None:
    known = {
        line.strip()
        for module, path in MODULES.items()
        if room(module) in {"syntax", "plan", "catalog", "comparison", "objects"}
        for line in re.findall(r"^ *(?:import|from) pyinfra\b.*", path.read_text(), re.MULTILINE)
    }
    assert known == {"from pyinfra.api import HiddenValue"}


def test_one_module_knows_the_parser() -> None:
    sources = (path for path in PACKAGE.parent.rglob("*.py") if "postgast" in path.read_text())
    assert [path.stem for path in sources] == ["libpg_query"]


def test_rooms_for_all_kinds_know_none_by_name() -> None:
    """What is of one kind is in the file of that kind, or asked of it.

    What a reference can be to (a table, a type, a function, a schema, a role) is no kind alone.
    """
    # They read what the server has and what SQL says, in its own words.
    apart = {"catalog.entry", "catalog.trust", "catalog.unreadable"}
    references = {"table", "type", "function", "schema", "role"}
    kinds = {one.kind for one in OPERATIONS} - references - set(WORDS)
    assert {"domain", "enum", "policy", "sequence"} < kinds
    found = [
        f"{module} has {node.value!r}"
        for module, path in MODULES.items()
        if room(module) in {"plan", "catalog", "comparison", "planning", "running"}
        if module not in apart
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in kinds
    ]
    assert found == []
