"""The rooms of the package are the layers that README.md lists, and no module needs itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from pyinfra_postgres.objects.dependent import Dependent
from pyinfra_postgres.objects.dependents import KINDS
from pyinfra_postgres.objects.kind import Object
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


def family(module: str) -> str:
    """The folder of `objects` in which a module is; nothing where it is for all kinds."""
    return module.rpartition(".")[0].removeprefix("objects").removeprefix(".")


def families() -> dict[str, set[str]]:
    """Where each kind of object, and of dependent, has its files.

    What a reference can be to (a table, a type, a function, a schema, a role) is no kind alone.
    """
    found: dict[str, set[str]] = {}
    declared: list[type[Object] | type[Dependent]] = [*OPERATIONS, *KINDS]
    for one in declared:
        module = one.__module__.removeprefix("pyinfra_postgres.")
        found.setdefault(one.kind, set()).add(family(module))
    references = {"table", "type", "function", "schema", "role"}
    return {kind: folders for kind, folders in found.items() if kind not in references}


def words(module: str) -> Iterator[str]:
    """The texts that a module has as they are."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_rooms_for_all_kinds_know_none_by_name() -> None:
    """What is of one kind is in the file of that kind, or asked of it."""
    # They read what the server has and what SQL says, in its own words.
    apart = {"catalog.entry", "catalog.trust", "catalog.unreadable"}
    kinds = {one.kind for one in OPERATIONS} & families().keys() - set(WORDS)
    assert {"domain", "enum", "policy", "sequence"} < kinds
    found = [
        f"{module} has {word!r}"
        for module in MODULES
        if room(module) in {"plan", "catalog", "comparison", "planning", "running"}
        if module not in apart
        for word in words(module)
        if word in kinds
    ]
    assert found == []


def test_a_family_alone_knows_its_kinds_by_name() -> None:
    """Under `objects` a kind's word is in its family's folder; what is for all kinds has none."""
    # The languages and estimates of functions, an argument's name, the kinds of SQL's statements.
    apart = {
        "objects.code.functions": {"sql", "rows"},
        "objects.constraints.stored_constraints": {"index"},
        "objects.data.sql": {"view", "sequence"},
    }
    kinds = families()
    assert {"domain", "foreign_key", "policy", "rule"} < kinds.keys()
    declared = {one.kind for one in OPERATIONS} - set(WORDS)
    found = {
        (module, word)
        for module in MODULES
        if room(module) == "objects"
        for word in words(module)
        # A family may speak of columns, checks and keys, which no operation declares.
        if word in (declared & kinds.keys() if family(module) else kinds)
        and family(module) not in kinds[word]
    }
    assert found == {(module, word) for module, some in apart.items() for word in some}


def test_each_kind_of_dependent_is_in_its_section_of_the_query() -> None:
    assert [one.kind for one in KINDS if f"'{one.kind}'" not in one.section] == []
