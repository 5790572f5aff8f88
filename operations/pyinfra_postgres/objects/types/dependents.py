"""What of types depends on others: types, the defaults and checks of domains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...catalog.catalog import Forecast
from ...syntax.names import Name, quoted
from ..dependent import Dependent
from ..dependents_query import owned, remark

_DOMAIN = "format('DOMAIN %I.%I', n.nspname, t.typname)"

_DOMAIN_CONSTRAINT = "format('CONSTRAINT %I ON DOMAIN %I.%I', k.conname, n.nspname, t.typname)"

_IS_DOMAIN_DEFAULT = """t.typtype = 'd' AND NOT EXISTS (
        SELECT FROM json_array_elements_text(node.needs) AS u(id)
         WHERE u.id NOT LIKE 'pg_proc'::regclass::oid || '/%')"""

_TYPE = f"""
    SELECT json_build_array(node.id, CASE t.typtype WHEN 'd' THEN 'domain' WHEN 'e' THEN 'enum'
               WHEN 'b' THEN 'array' WHEN 'c' THEN 'row' WHEN 'm' THEN 'part' ELSE 'type' END,
             node.title, node.needs, json_build_array(CASE t.typtype WHEN 'd' THEN 'domain'
               WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range_type'
               ELSE 'type' END, n.nspname, t.typname), NULL, NULL,
             CASE t.typtype WHEN 'd' THEN json_build_array(
               format('CREATE DOMAIN %I.%I AS %s%s%s%s', n.nspname, t.typname,
                 format_type(t.typbasetype, t.typtypmod),
                 (SELECT format(' COLLATE %I.%I', m.nspname, l.collname) FROM pg_collation l
                    JOIN pg_namespace m ON m.oid = l.collnamespace JOIN pg_type b
                      ON b.oid = t.typbasetype
                   WHERE l.oid = t.typcollation AND t.typcollation <> b.typcollation),
                 ' DEFAULT (' || pg_get_expr(t.typdefaultbin, 0) || ')',
                 CASE WHEN t.typnotnull THEN coalesce((SELECT format(' CONSTRAINT %I', k.conname)
                   FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'n'), '')
                   || ' NOT NULL' END)) END,
             CASE t.typtype WHEN 'd' THEN json_build_array(
               {owned(_DOMAIN, "t.typowner")},
               {remark(_DOMAIN, "pg_type", "t.oid")},
               (SELECT json_agg(json_build_array(CASE k.contype WHEN 'c' THEN
                       format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname, t.typname,
                         k.conname, pg_get_constraintdef(k.oid)) END,
                     {remark(_DOMAIN_CONSTRAINT, "pg_constraint", "k.oid")})
                   ORDER BY k.conname)
                  FROM pg_constraint k WHERE k.contypid = t.oid)) END,
             CASE WHEN t.typtype NOT IN ('d', 'e', 'c', 'm') AND NOT (t.typtype = 'b' AND
               t.typsubscript = 'array_subscript_handler'::regproc) THEN 'not made anew' END,
             json_build_array(n.nspname, t.typname), '', json_build_array(t.typtype = 'b'
               OR b.typsubscript = 'array_subscript_handler'::regproc, format('%s/%s/0',
               'pg_type'::regclass::oid, t.typbasetype)))
      FROM node JOIN pg_type t ON t.oid = node.objid JOIN pg_namespace n ON n.oid = t.typnamespace
      LEFT JOIN pg_type b ON b.oid = t.typbasetype
     WHERE node.classid = 'pg_type'::regclass AND NOT ({_IS_DOMAIN_DEFAULT})"""

_DOMAIN_DEFAULT = f"""
    SELECT json_build_array(node.id, 'domain_default', 'default value of ' || node.title,
             node.needs, json_build_array('domain', n.nspname, t.typname), NULL,
             json_build_array(format('ALTER %s DROP DEFAULT', {_DOMAIN})),
             json_build_array(format('ALTER %s SET DEFAULT %s', {_DOMAIN},
               pg_get_expr(t.typdefaultbin, 0))),
             NULL, NULL, json_build_array(n.nspname, t.typname), '',
             json_build_array(format_type(t.typbasetype, t.typtypmod)))
      FROM node JOIN pg_type t ON t.oid = node.objid JOIN pg_namespace n ON n.oid = t.typnamespace
     WHERE node.classid = 'pg_type'::regclass AND ({_IS_DOMAIN_DEFAULT})"""

# The checks of a domain, which does not go itself.
_DOMAIN_CHECK = f"""
    SELECT json_build_array(node.id, 'domain_check', node.title, node.needs,
             json_build_array('domain', n.nspname, t.typname), NULL,
             json_build_array(format('ALTER DOMAIN %I.%I DROP CONSTRAINT %I', n.nspname, t.typname,
               k.conname)),
             json_build_array(format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname,
               t.typname, k.conname, pg_get_constraintdef(k.oid))),
             json_build_array({remark(_DOMAIN_CONSTRAINT, "pg_constraint", "k.oid")}),
             NULL, json_build_array(n.nspname, t.typname), k.conname,
             json_build_array(format_type(t.typbasetype, t.typtypmod)))
      FROM node JOIN pg_constraint k ON k.oid = node.objid AND k.contype = 'c'
      JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
     WHERE node.classid = 'pg_constraint'::regclass AND NOT EXISTS (SELECT
             FROM node d, json_array_elements_text(d.needs) AS u(id)
            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
              AND u.id NOT LIKE 'pg_proc'::regclass::oid || '/%')"""


class TypeDetails(NamedTuple):
    """What else is known of a type."""

    is_array: bool
    """Whether it is an array, or a domain over one."""
    base_id: str
    """The id of what a domain is over, as a dependent."""


class DependentType(Dependent):
    """A type that is not told apart."""

    kind = "type"
    section = _TYPE
    details_type = TypeDetails
    details: TypeDetails


class DependentEnum(DependentType):
    """An enum type."""

    kind = "enum"


class DependentDomain(DependentType):
    """A domain."""

    kind = "domain"


class DependentArray(DependentType):
    """The array type of another one."""

    kind = "array"
    is_inner = True


class DependentRow(DependentType):
    """The type of a relation's rows."""

    kind = "row"
    is_inner = True


class BaseType(NamedTuple):
    """What else is known of a default or a check of a domain."""

    base: str
    """The type that the domain is over."""


class _OfDomain(Dependent):
    details_type = BaseType
    details: BaseType

    def with_clause(self, clause: str) -> str:
        """What creates a temporary domain with it alone."""
        return f"CREATE DOMAIN pg_temp.{quoted(self.id)} AS {self.details.base} {clause}"


class DependentDomainDefault(_OfDomain):
    """The default of a domain, which does not go itself."""

    kind = "domain_default"
    section = _DOMAIN_DEFAULT

    def alone_by(self, text: str) -> str:
        return self.with_clause(text.partition(" SET ")[2])


class DependentDomainCheck(_OfDomain):
    """A check of a domain, which does not go itself."""

    kind = "domain_check"
    section = _DOMAIN_CHECK

    def alone_by(self, text: str) -> str:
        # CREATE DOMAIN has no such thing.
        return self.with_clause(text.partition(" ADD ")[2].removesuffix(" NOT VALID"))

    def is_checked(self, catalog: Forecast) -> bool:
        return any(map(catalog.filled.__contains__, _having(self.whole, catalog)))


def _having(type_: Name, catalog: Forecast) -> Iterator[Name]:
    """The tables that have a column of a type, or of one that holds it."""
    names = [str(type_)]
    for key, one in catalog.objects.items():
        if key[0] == DependentDomain.kind and getattr(one, "type", None) in names:
            names.append(str(Name(*key[1:])))
    for table in catalog.relation_kinds:
        for column in catalog.columns_of(table):
            if column.type.removesuffix("[]") in names:
                yield table
