"""What SQL would call, as far as only the server can tell, and what stands against calling it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from ..catalog.snapshot import PINS, foreign_script
from ..catalog.trust import QUERIES, Foreign, Reach, named
from ..errors import DeclarationError, HostError
from ..syntax.parse import split_statements, statement
from ..syntax.paths import SearchPath
from ..transport.answer import Answer
from ..transport.host_data import read
from .asking import Reading

_PROBE = "pyinfra_postgres_called"
# What the function depends on is what its body would call.
_CALLED = f"""
    SELECT coalesce(json_agg(d.refobjid::int8), '[]')
      FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
     WHERE d.classid = 'pg_proc'::regclass AND p.pronamespace = pg_my_temp_schema()
       AND p.proname = '{_PROBE}'"""


_TRUST = "postgres_trust"


def of_others(send: Callable[[Sequence[str]], Answer], data: Mapping[str, Any]) -> Foreign:
    """The code of others that may run as the role; host data names those that are trusted.

    Raises HostError, also where every command runs such code.
    """
    answer = send(foreign_script())
    if answer.failure:
        raise HostError(f"could not read whose code may run: {answer.failure}")
    role, *rows = answer.values()
    found = Foreign.read(role, rows, read(data, _TRUST, frozenset()))
    for reason in found.refusals(found.events):
        raise HostError(reason)
    return found


@frozen
class Calls:
    """Tells what stands against SQL before any of it is evaluated, for a dry run too."""

    foreign: Foreign
    send: Callable[[Sequence[str]], Answer]

    def check(self, script: Sequence[str], *, in_public: bool = False) -> None:
        """Raise DeclarationError where a script may call code of roles that are not trusted."""
        for reason in self.objections(script, in_public=in_public):
            raise DeclarationError(reason)

    def objections(
        self,
        script: Sequence[str],
        readings: Iterable[Reading] = (),
        *,
        in_public: bool = True,
        policies: bool = False,
        owner: str | None = None,
    ) -> Iterator[str]:
        """Why a script can't run; `readings` are the expressions in it, as a query has them.

        It begins with `public` searched or not; `policies` where row level security may filter;
        `owner` gets what it creates.
        """
        if not self.foreign:
            return
        found = list(named(script, in_public))
        reaching = [(each, set(self.foreign.within(each, policies=policies))) for each in found]
        reached = {one for _, several in reaching for one in several}
        are_queries = all(each.is_query for each, several in reaching if several)
        called = self._called(script if are_queries else (), readings, reached)
        yield from self.foreign.refusals(called)
        for each in found:
            self.foreign.note(each, owner, reached - called)

    def _called(
        self, queries: Sequence[str], readings: Iterable[Reading], reached: set[Reach]
    ) -> set[Reach]:
        """What of it the server says is called; all of it where the server can't say."""
        if any(not one.direct or one.kind in {"type", "relation"} for one in reached):
            return reached
        texts = [one for text in queries for one in split_statements(text)]
        texts = [one for one in texts if set(statement(one)) <= QUERIES] or [
            one.template.replace("{}", f"\n{one.text}\n") for one in readings
        ]
        if any(True for one in texts for _ in self.foreign.parsed(one)):
            return reached
        within = {one for each in named(texts) for one in self.foreign.within(each)}
        if not reached or not reached <= within:
            return reached
        oids = self._resolved(texts)
        return reached if oids is None else {one for one in reached if one.oid in oids}

    def _resolved(self, queries: Sequence[str]) -> set[int] | None:
        """What queries call, by oid; None where the server can't read them yet."""
        body = ";\n".join(queries)
        answer = self.send(
            [
                *(
                    "BEGIN READ WRITE",
                    *PINS,
                    "SET LOCAL lock_timeout = '2s'",
                    SearchPath.USERS.local,
                ),
                f"CREATE FUNCTION pg_temp.{_PROBE}() RETURNS void LANGUAGE sql"
                f" BEGIN ATOMIC\n{body};\nEND",
                *(SearchPath.OWN.local, _CALLED, "ROLLBACK"),
            ]
        )
        return None if answer.failure else set(answer.values()[0])
