"""A deploy of many tables, written as people write them.

Each table has 9 constraints and 3 indexes, and every other one a policy. The host data `tables`
says how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from pyinfra import host

import pyinfra_postgres as pg

SCHEMAS = ("billing", "crm", "fleet", "hr", "public", "sales", "stock", "support", "travel", "web")
NOUNS = ("order", "item", "price", "contact", "visit", "parcel", "ticket", "shift", "contract")
STATES = ("new", "open", "paid", "shipped", "returned", "failed", "on hold", "done", "archived")
MOMENTS = ("opened_at", "booked_at", "sent_at", "due_at", "started_at", "received_at")
AMOUNTS = ("amount", "price", "total", "weight", "quantity", "balance")


def declarations(tables: int) -> Iterator[Any]:
    """Schemas, types and a function, and then the tables with what is on them."""
    for schema in SCHEMAS:
        yield pg.Schema(schema)
        yield pg.Enum(f"{schema}.importance", ["low", "normal", "high"])
    yield pg.Table("tenant", [pg.Column("id", "uuid", primary_key=True)])
    yield pg.Function(
        "current_tenant",
        returns="uuid",
        volatility="stable",
        body="SELECT nullif(current_setting('app.tenant', true), '')::uuid",
    )
    for number in range(tables):
        yield from _table(number)


def _name(number: int) -> str:
    return f"{SCHEMAS[number % len(SCHEMAS)]}.{NOUNS[number % len(NOUNS)]}_{number}"


def _key(number: int) -> tuple[pg.Column, str]:
    """A key in one of the usual ways, and the type of what refers to it."""
    match number % 3:
        case 0:
            return pg.Column("id", "bigint", identity="ALWAYS", primary_key=True), "bigint"
        case 1:
            return pg.Column("id", "bigserial", primary_key=True), "bigint"
    key = pg.Column("id", "uuid", primary_key=True, default="gen_random_uuid()")
    return key, "uuid"


def _table(number: int) -> Iterator[Any]:
    random = Random(number)
    name, short = _name(number), f"{NOUNS[number % len(NOUNS)]}_{number}"
    above = random.randrange(number + 1)
    amount, moment = random.choice(AMOUNTS), random.choice(MOMENTS)
    states = random.sample(STATES, random.randint(2, 5))
    listed = ", ".join(f"'{state}'" for state in states)
    most = random.randint(100, 100_000)
    yield pg.Table(
        name,
        [
            _key(number)[0],
            pg.Column("tenant_id", "uuid", nullable=False, references="tenant(id)"),
            pg.Column(f"{short}_above", _key(above)[1], references=f"{_name(above)}(id)"),
            pg.Column("code", "varchar(64)", nullable=False),
            pg.Column("name", "varchar(255)", nullable=False, comment=f"What {short} is called"),
            pg.Column("state", "text", nullable=False, default=f"'{states[0]}'"),
            pg.Column("importance", name.split(".")[0] + ".importance", default="'normal'"),
            pg.Column(amount, "numeric(12, 2)", nullable=False, default=str(random.randint(0, 9))),
            pg.Column("share", "int", default="100"),
            pg.Column("settings", "jsonb", nullable=False, default="'{}'"),
            pg.Column(moment, "timestamptz", default="CURRENT_TIMESTAMP"),
            pg.Column("updated_at", "timestamptz", nullable=False, default="now()"),
        ],
        constraints=[
            pg.Unique("tenant_id", "code"),
            pg.Check(f"state IN ({listed})", name=f"{short}_state_check"),
            pg.Check(f"{amount} >= 0 AND {amount} < {most}"),
            pg.Check("share BETWEEN 0 AND 100", name=f"{short}_share_check"),
            pg.Check("length(code) > 0 AND code = upper(code)"),
            pg.Check(f"state <> '{states[-1]}' OR {moment} IS NOT NULL", name=f"{short}_{moment}"),
        ],
        row_security=number % 2 == 0 or None,
    )
    yield pg.Index(f"{short}_{moment}_idx", name, ["tenant_id", f"{moment} DESC NULLS LAST"])
    yield pg.Index(
        f"{short}_current_idx",
        name,
        [f"{short}_above", "updated_at"],
        where=f"state NOT IN ('{states[-1]}', 'deleted') AND {amount} > {random.randint(0, 99)}",
    )
    yield pg.Index(f"{short}_name_idx", name, ["tenant_id", "lower(name)"], unique=True)
    if number % 2 == 0:
        yield pg.Policy(
            f"{short}_of_tenant",
            name,
            using=f"tenant_id = current_tenant() AND importance <> 'low' OR {amount} > {most // 2}",
            check="tenant_id = (SELECT current_tenant())",
        )


with pg.transaction():
    pg.objects(list(declarations(host.data.get("tables", 1000))), name="many tables")
