"""The documents about an environment: its page, a page for each host, and what machines read.

Pure: the same facts give the same bytes. The pages need nothing from elsewhere, and their content
security policy lets them have nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import cast

from jinja2 import BaseLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..hidden import masked
from ..terminal import printable, printable_lines
from . import machines, rollup
from .facts import Report, Step, as_json
from .statuses import Status

INDEX = "index.html"
DATA = "report.json"
_TEMPLATES = "reports"
_RESERVED = frozenset({"index"})


def documents(report: Report, hosts: Container[str]) -> Iterator[tuple[str, str]]:
    """The documents, with the pages of these hosts: the name of a file, and its text."""
    names = page_names(one.name for one in report.hosts)
    yield DATA, json.dumps(as_json(report, masked)) + "\n"
    yield INDEX, _rendered("environment.html.j2", report=report, pages=names)
    for host in (one for one in report.hosts if one.name in hosts):
        # Here and not above: a run that writes no such page draws nothing.
        from .pictures.shown import pictures

        yield (
            names[host.name],
            _rendered("host.html.j2", report=report, host=host, pictures=pictures(host)),
        )
    yield "report.md", markdown(report)
    yield "junit.xml", machines.junit(report)
    yield "report.sarif", machines.sarif(report)


def page_names(hosts: Iterable[str]) -> Mapping[str, str]:
    """The file of each host's page: readable, safe, and no two the same."""
    slugs = {host: _slug(host) for host in hosts}
    counts = Counter(slugs.values())
    return {
        host: f"{slug}{'' if counts[slug] == 1 else '-' + _digest(host)}.html"
        for host, slug in slugs.items()
    }


def _slug(host: str) -> str:
    name = re.sub(r"^@postgres/", "", host)
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:60]
    return slug if slug and slug not in _RESERVED else f"host-{_digest(host)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:6]


def markdown(report: Report) -> str:
    """The report in Markdown, in which nothing that it tells is more than text."""
    template = _templates(_escaped, autoescape=False).get_template(f"{_TEMPLATES}/report.md.j2")
    return template.render(report=report, rollup=rollup, fenced=_fenced)


def _escaped(value: object) -> object:
    """What stands in Markdown: one line, of which no character means anything else."""
    if isinstance(value, Markup):
        return value
    return re.sub(r"([\\`*_{}\[\]#|<>&~])", r"\\\1", printable(value))


def _fenced(steps: Sequence[Step]) -> Markup:
    """The SQL of steps as a block of code that nothing in it ends."""
    text = "\n".join(printable_lines(f"{sql};") for one in steps for sql in one.sql)
    longest = max((len(one) for one in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}sql\n{text}\n{fence}")  # noqa: S704  (no HTML)


def _rendered(template: str, **given: object) -> str:
    return _pages().get_template(f"{_TEMPLATES}/{template}").render(**given)


@cache
def _pages() -> Environment:
    """The templates of pages, with their style and the policy that lets them have no other."""
    pages = _templates(_shown, autoescape=True)
    loader = cast(BaseLoader, pages.loader)
    style, _, _ = loader.get_source(pages, f"{_TEMPLATES}/report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    pages.globals |= {
        "rollup": rollup,
        "Status": Status,
        "css": Markup(style),  # noqa: S704  (our own file)
        "policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        ),
        "anchor": _anchor,
    }
    return pages


def _templates(finalize: Callable[[object], object], *, autoescape: bool) -> Environment:
    package = Path(__file__).parents[1]
    return Environment(
        # In an installed package, else at the top of the checkout.
        loader=FileSystemLoader([package / "templates", package.parents[1] / "templates"]),
        undefined=StrictUndefined,
        autoescape=autoescape,  # noqa: S701  (Markdown has its own escapes)
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    """What stands in a page: every character shows itself."""
    return value if isinstance(value, Markup) else printable_lines(value)


def _anchor(names: Sequence[str], task: str) -> str:
    """The id of a task's section."""
    return f"task-{names.index(task) + 1}"
