"""What faults are tried on: a database that lives, and a deploy that has every stage.

`shop.held` gives back its argument. Of rows beyond the first few hundred it waits as long as
somebody keeps GATE, so that what calls it for each row (an index, a check, a backfill) stands still
in the middle of its work.
"""

from __future__ import annotations

ROLE = "deployer"
"""Who deploys: no superuser, the owner of what is there."""
GATE, LATE_GATE, HERE = (77160, 1), (77160, 2), (77160, 3)
"""Advisory locks: two that hold what waits for them, and one that tells that something waits."""
ROWS = 400
LAST_FREE = 250
"""Of rows up to here `held` never waits: writers write to them."""
LATE = 1000
"""The row that waits at a gate of its own; it is written in the middle of a run."""
INSERT = f"INSERT INTO shop.item (id, a, total) VALUES ({LATE}, {LATE}, 2 * {LATE})"


def waiting(gate: object) -> str:
    """What waits in PL/pgSQL while somebody keeps a gate."""
    return f"""
  PERFORM pg_catalog.pg_advisory_xact_lock_shared{HERE};
  WHILE NOT pg_catalog.pg_try_advisory_xact_lock_shared{gate} LOOP
    PERFORM pg_catalog.pg_sleep(0.002);
  END LOOP;"""


BARRIER = f"DO $barrier$ BEGIN{waiting(GATE)}\nEND $barrier$"
BEFORE = f"""
CREATE SCHEMA shop AUTHORIZATION {ROLE};
CREATE FUNCTION shop.held(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE gate integer := CASE n WHEN {LATE} THEN {LATE_GATE[1]} ELSE {GATE[1]} END;
BEGIN
  IF n <= {LAST_FREE} OR pg_catalog.pg_try_advisory_xact_lock_shared({GATE[0]}, gate) THEN
    RETURN n;
  END IF;{waiting(f"({GATE[0]}, gate)")}
  RETURN n;
END $$;
SET ROLE {ROLE};
CREATE TYPE shop.state AS ENUM ('new', 'paid');
CREATE TABLE shop.customer (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE shop.item (
  id integer PRIMARY KEY, a integer, b integer, written integer NOT NULL DEFAULT 0,
  code varchar(10), customer_id integer, total integer, state shop.state NOT NULL DEFAULT 'new'
);
COMMENT ON TABLE shop.item IS 'What is sold';
CREATE INDEX item_b ON shop.item (b);
CREATE TABLE shop.untouched (id integer PRIMARY KEY, said text);
CREATE INDEX untouched_said ON shop.untouched (said);
INSERT INTO shop.customer SELECT n, 'customer ' || n FROM generate_series(1, 20) n;
INSERT INTO shop.item (id, a, b, code, customer_id)
  SELECT n, n, n % 7, 'code ' || n, 1 + n % 20 FROM generate_series(1, {ROWS}) n;
INSERT INTO shop.untouched SELECT n, 'said ' || n FROM generate_series(1, 50) n;
RESET ROLE;
"""

DEPLOY = """
with pg.transaction():
    pg.enum("shop.state", ["new", "paid", "sent"])
    pg.table(
        "shop.customer",
        [
            pg.Column("id", "integer", primary_key=True),
            pg.Column("name", "text", nullable=False),
            pg.Column("since", "date"),
        ],
    )
    pg.table(
        "shop.item",
        [
            pg.Column("id", "integer", primary_key=True),
            pg.Column("a", "integer"),
            pg.Column("b", "integer"),
            pg.Column("written", "integer", nullable=False, default="0"),
            pg.Column("code", "varchar(20)"),
            pg.Column("customer_id", "integer"),
            pg.Column("state", "shop.state", nullable=False, default="'sent'"),
            pg.Column("total", "integer", nullable=False),
        ],
        constraints=[
            pg.Check("shop.held(a) >= 0", name="item_a_check"),
            pg.ForeignKey(
                "customer_id", references="shop.customer(id)", name="item_customer_fkey"
            ),
        ],
        comment="What is sold",
    )
    pg.backfill(
        "shop.item", set={"total": "2 * shop.held(a)"}, where="total IS NULL", batch=100, pause=0
    )
    pg.index("item_a", "shop.item", ["shop.held(a)"])
    pg.index("item_b", "shop.item", ["b DESC"])
    pg.view("shop.sold", "SELECT id, code FROM shop.item")
"""
