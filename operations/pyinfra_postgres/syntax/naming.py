"""The names that PostgreSQL gives to what is not named.

Pure: no I/O, no pyinfra state. They are computed only where a later statement has to name what an
earlier one creates; otherwise the server chooses.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from .names import MAX_BYTES, Exact, Name, literal


def joined(name1: str, name2: str | None, label: str) -> str:
    """`name1_name2_label` in at most 63 bytes; the longer name is shortened first."""
    sizes = [len(name1.encode()), len((name2 or "").encode())]
    room = MAX_BYTES - len(label.encode()) - 1 - (name2 is not None)
    while sum(sizes) > room:
        sizes[0 if sizes[0] > sizes[1] else 1] -= 1
    parts = [_clipped(name1, sizes[0])]
    if name2 is not None:
        parts.append(_clipped(name2, sizes[1]))
    return "_".join([*parts, label])


def chosen_name(name1: str, name2: str | None, label: str, taken: Container[str | None]) -> Exact:
    """The first of `label`, `label1`, `label2`, ... whose name is free."""
    found, number = joined(name1, name2, label), 0
    while found in taken:
        number += 1
        found = joined(name1, name2, f"{label}{number}")
    return Exact(found)


def _clipped(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")


def naming(parts: Iterable[tuple[str, Name, Name]]) -> str:
    """The statement that gives indexes of partitions their names.

    Each is told by the index that it is a part of, its table and its name; a whole comes before
    its parts, under the name that it has then.
    """
    rows = ", ".join(
        f"({', '.join(map(literal, (whole, str(table), name.schema, name.name)))})"
        for whole, table, name in parts
    )
    return f"DO {literal(_NAMES.replace('ROWS', rows))}"


_NAMES = """
DECLARE one record; built regclass; other regclass;
BEGIN
  FOR one IN SELECT * FROM (VALUES ROWS) AS x(whole, part, schema, name) LOOP
    SELECT h.inhrelid INTO built FROM pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhrelid
     WHERE h.inhparent = one.whole::regclass AND i.indrelid = one.part::regclass;
    IF built IS NULL THEN
      CONTINUE;
    END IF;
    other := to_regclass(format('%I.%I', one.schema, one.name));
    IF other <> built THEN  -- It comes to its own name later.
      EXECUTE format('ALTER INDEX %s RENAME TO %I', other, 'pyinfra_postgres_' || other::oid);
    END IF;
    IF other IS DISTINCT FROM built THEN
      EXECUTE format('ALTER INDEX %s RENAME TO %I', built, one.name);
    END IF;
  END LOOP;
END"""
