"""What the server has now, where the catalog as it will be has more.

A plan may create what a query needs that is asked while the plan is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from ..catalog.catalog import Forecast
from ..catalog.entry import ENUM
from ..syntax.names import Exact, Name, literal, quoted
from ..syntax.parse import Reference, type_references
from ..syntax.paths import SearchPath
from .asking import Ask

TABLES_ONLY = """DO $only$ BEGIN
  IF current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL THEN
    SET LOCAL restrict_nonsystem_relation_kind = 'view, foreign-table';
  END IF;
END $only$;
"""
"""Before a query of tables: one that somebody has put a view in place of is not read.

PostgreSQL has that setting since 17, and since the releases 15.8 and 16.4."""
# Stable for the server, but of another value in every transaction.
_CLOCKS = frozenset({"now", "transaction_timestamp", "statement_timestamp"})


def under(path: SearchPath, query: str) -> str:
    """A query for `Ask` that runs under a search path."""
    return f"{path.local};\n{query}"


def operator(symbol: str, type_: str | None, catalog: Forecast) -> str:
    """An operator on two values of a type, whatever the search path: it can't be another one.

    Extensions have theirs beside the type; for all other types PostgreSQL's own serve.
    """
    schema = "pg_catalog"
    while type_ and not type_.endswith("[]"):
        name = next((one.name for one in type_references(type_)), None)
        if name in catalog.extension_owned:
            schema = quoted(name.schema)
        domain: Any = name and catalog.domain(name)
        type_ = getattr(domain, "type", None)
    return f"OPERATOR({schema}.{symbol})"


@frozen
class Known:
    """What the server can say about references."""

    missing: frozenset[Reference]
    """Those that it does not have yet."""
    changing: frozenset[Reference]
    """The functions whose value is another one each time."""


def stored_columns(table: Name, catalog: Forecast) -> frozenset[Exact]:
    """The columns that a relation has on the server; none where it is not there."""
    if table in catalog.created:
        return frozenset()
    return frozenset(catalog.columns.get(catalog.printed.get(table, ""), {}).values())


def known(references: Iterable[Reference], catalog: Forecast, ask: Ask) -> Known:
    """What the server has of the tables, functions and types that SQL names."""
    wanted = sorted(set(references))
    missing = {one for one in wanted if one.kind == "table" and not _is_stored(one.name, catalog)}
    changing = set()
    names = [one for one in wanted if one.kind in {"function", "type"}]
    if names:
        questions = ", ".join(_question(one, catalog) for one in names)
        (answers,) = ask(f"SELECT json_build_array({questions})")
        for one, answer in zip(names, answers, strict=True):
            if answer is None:
                missing.add(one)
            elif one.kind == "function" and (answer or one.name.name in _CLOCKS):
                changing.add(one)
    return Known(frozenset(missing), frozenset(changing))


def _is_stored(table: Name, catalog: Forecast) -> bool:
    if table in catalog.created or table not in catalog.printed:
        return False
    will_be = catalog.columns_of(table)
    return {column.name for column in will_be} <= stored_columns(table, catalog)


def _question(one: Reference, catalog: Forecast) -> str:
    """Null for what is not there; for a function, else, whether it is volatile."""
    if one.kind == "type":
        # An enum may be there, but not yet with all its labels.
        labels = list(getattr(catalog.objects.get((ENUM, *one.name)), "labels", ()))
        return (
            f"(SELECT t::text FROM to_regtype({literal(str(one.name))}) AS t "
            "WHERE ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t) "
            f"@> CAST({literal(labels)} AS text[]))"
        )
    schemas = [one.name.schema] if one.name.schema else ["pg_catalog", "public"]
    return (
        "(SELECT bool_or(p.provolatile = 'v') FROM pg_proc p "
        "JOIN pg_namespace n ON n.oid = p.pronamespace "
        f"WHERE p.proname = {literal(one.name.name)} "
        f"AND n.nspname IN ({', '.join(map(literal, schemas))}))"
    )
