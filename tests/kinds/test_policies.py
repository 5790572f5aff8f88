from __future__ import annotations

import secrets

from harness import one_version
from kinds.conftest import Deploy, outcomes

FACTS = (
    "SELECT polcmd, polpermissive, pg_get_expr(polqual, polrelid), "
    "pg_get_expr(polwithcheck, polrelid), obj_description(oid, 'pg_policy'), "
    "(SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE r::regrole::text END, ',' ORDER BY 1) "
    "FROM unnest(polroles) r) FROM pg_policy WHERE polname = 'x' ORDER BY polrelid"
)

# name: (before, declared, after)
CHANGES = {
    "as it was": ("USING (id > 0)", "using='id > 0'",
                  ("*", "t", "(id > 0)", "", "kept", "public")),
    "other rows": ("USING (id > 0)", "using='id > 1'",
                   ("*", "t", "(id > 1)", "", "kept", "public")),
    "a check": ("USING (id > 0)", "using='id > 0', check='id > 2'",
                ("*", "t", "(id > 0)", "(id > 2)", "kept", "public")),
    "no check": ("USING (id > 0) WITH CHECK (id > 2)", "using='id > 0'",
                 ("*", "t", "(id > 0)", "", "kept", "public")),
    "only a check": ("USING (id > 0) WITH CHECK (id > 2)", "check='id > 2'",
                     ("*", "t", "", "(id > 2)", "kept", "public")),
    "a command": ("USING (id > 0)", "command='select', using='id > 0'",
                  ("r", "t", "(id > 0)", "", "kept", "public")),
    "another command": ("FOR INSERT WITH CHECK (id > 0)", "command='UPDATE', using='id > 0'",
                        ("w", "t", "(id > 0)", "", "kept", "public")),
    "restrictive": ("USING (id > 0)", "using='id > 0', permissive=False",
                    ("*", "f", "(id > 0)", "", "kept", "public")),
    "permissive again": ("AS RESTRICTIVE USING (id > 0)", "using='id > 0'",
                         ("*", "t", "(id > 0)", "", "kept", "public")),
    "a role": ("USING (id > 0)", "using='id > 0', roles='ROLE_a'",
               ("*", "t", "(id > 0)", "", "kept", "ROLE_a")),
    "other roles": ("TO ROLE_a USING (id > 0)", "using='id > 0', roles=['ROLE_b', 'ROLE_a']",
                    ("*", "t", "(id > 0)", "", "kept", "ROLE_a,ROLE_b")),
    "everybody and more": ("TO ROLE_b USING (id > 0)",
                           "using='id > 0', roles=['ROLE_a', 'PUBLIC']",
                           ("*", "t", "(id > 0)", "", "kept", "public")),
    "everybody": ("TO ROLE_a USING (id > 0)", "using='id > 0', roles=['PUBLIC']",
                  ("*", "t", "(id > 0)", "", "kept", "public")),
    "another comment": ("USING (id > 0)", "using='id > 0', comment='it\\'s'",
                        ("*", "t", "(id > 0)", "", "it's", "public")),
    "no comment": ("USING (id > 0)", "using='id > 0', comment=''",
                   ("*", "t", "(id > 0)", "", "", "public")),
}  # fmt: skip


def test_attributes_change_on_and_off(deploy: Deploy) -> None:
    database, role = deploy.database, f"r_{secrets.token_hex(3)}"
    database.psql(f"CREATE ROLE {role}_a; CREATE ROLE {role}_b")
    lines = ""
    for number, (before, declared, _) in enumerate(CHANGES.values()):
        database.psql(
            f"CREATE TABLE t{number} AS SELECT 1 AS id;"
            f"CREATE POLICY x ON t{number} {before.replace('ROLE', role)};"
            f"COMMENT ON POLICY x ON t{number} IS 'kept'"
        )
        lines += f"    pg.policy('x', 't{number}', {declared.replace('ROLE', role)})\n"
    run = deploy.apply("with pg.transaction():\n" + lines)
    expected = [
        tuple(value.replace("ROLE", role) for value in after) for _, _, after in CHANGES.values()
    ]
    assert database.rows(FACTS) == expected
    unchanged = [name for name, outcome in outcomes(run).items() if outcome == "No changes"]
    assert [name for name in unchanged if name.startswith("policy")] == ["policy x on public.t0"]


@one_version
def test_a_policy_goes_and_others_stay(deploy: Deploy) -> None:
    database = deploy.database
    database.psql(
        "CREATE TABLE t AS SELECT 1 AS id; CREATE POLICY x ON t USING (true);"
        "CREATE POLICY y ON t USING (true)"
    )
    deploy.apply("pg.policy('x', 't', present=False)\npg.policy('z', 't', present=False)")
    assert database.psql("SELECT polname FROM pg_policy") == "y"
    assert database.psql("SELECT id FROM t") == "1"
