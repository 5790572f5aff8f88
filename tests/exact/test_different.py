"""Pairs that look alike and are not the same are told apart."""

from __future__ import annotations

from exact.declarations import ALIKE, DIFFERENT, SETUP, UNCHANGEABLE
from exact.test_equal import block, differing
from harness import Database
from kinds.conftest import Deploy


def test_each_pair_is_told_apart_and_then_agrees(deploy: Deploy, database: Database) -> None:
    database.psql(SETUP)
    deploy.run(block([one for one, _ in DIFFERENT])).succeeded()
    declarations = [other for _, other in DIFFERENT]
    seen = differing(deploy.run(block(declarations)).succeeded(), declarations)
    assert [one for one in declarations if one not in seen] == []
    assert differing(deploy.run().succeeded(), declarations) == []


def test_what_can_not_be_changed_is_refused_pair_by_pair(
    deploy: Deploy, database: Database
) -> None:
    database.psql(SETUP)
    deploy.run(block([one for one, _ in UNCHANGEABLE])).succeeded()
    before = database.dump()
    output = deploy.run(block([other for _, other in UNCHANGEABLE])).failed().output
    for n, (_, other) in enumerate(UNCHANGEABLE):
        what = {"r": f"public.r{n}:", "o": f"public.o{n}:", "g": f"column g{n} is"}
        name = other.partition("§")[0][-1]
        changes = name == "g" and database.server.version >= 17
        assert (what[name] in output) is not changes, other
    assert database.dump() == before


def test_what_is_stored_alike_is_equal(deploy: Deploy, database: Database) -> None:
    database.psql(SETUP)
    for pairs in (ALIKE, [(other, one) for one, other in ALIKE]):
        made, declared = (
            [f"pg.table('t', constraints=[pg.Check({texts[n]!r}, name='k§')])" for texts in pairs]
            for n in (0, 1)
        )
        deploy.run(block(made)).succeeded()
        assert differing(deploy.run(block(declared)).succeeded(), declared) == []
        database.psql("ALTER TABLE t DROP CONSTRAINT k0, DROP CONSTRAINT k1")
