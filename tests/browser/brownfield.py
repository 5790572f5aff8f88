"""A database of 121 tables as an enterprise has them after some years.

Everything refers to companies and users, some tables refer to themselves or twice to another,
keys go across schemas, one is partitioned, and a few are left over.
"""

from __future__ import annotations

from collections.abc import Iterator

TABLES = """
core.company: core.company parent_id?, core.country, core.currency
core.country: core.currency
core.currency:
core.users: core.company, core.users manager_id?, core.language?
core.language:
core.role: core.company
core.user_role: core.users, core.role
core.permission:
core.role_permission: core.role, core.permission
core.address: core.country, core.region?
core.region: core.country
core.attachment: core.company, core.users uploaded_by
core.comment: core.users, core.comment reply_to?
core.tag: core.company
core.audit_log*: core.users
core.api_key: core.users
core.webhook: core.company
core.webhook_delivery: core.webhook
core.job_queue:
core.job_queue_old:
core.schema_version:
crm.account: core.company, core.users owner_id, core.address?, crm.account parent_id?, crm.segment?
crm.contact: crm.account, core.address?, core.language?
crm.lead: core.company, core.users owner_id, crm.lead_source, crm.contact?
crm.lead_source: core.company
crm.opportunity: crm.account, core.users owner_id, crm.stage, crm.lead?
crm.stage: crm.pipeline
crm.pipeline: core.company
crm.segment: core.company
crm.activity: core.users, crm.opportunity?, crm.contact?, crm.activity_type
crm.activity_type:
crm.campaign: core.company, core.users owner_id
crm.campaign_member: crm.campaign, crm.contact
crm.contact_tag: crm.contact, core.tag
crm.note: crm.account, core.users
sales.price_list: core.company, core.currency
sales.price: sales.price_list, stock.product
sales.quote: crm.account, crm.opportunity?, core.users, sales.price_list
sales.quote_line: sales.quote, stock.product
sales.orders: crm.account, sales.quote?, core.users, core.address ship_to, core.address bill_to
sales.order_line: sales.orders, stock.product, sales.tax?, sales.promotion?
sales.tax: core.country
sales.promotion: core.company
sales.promotion_product: sales.promotion, stock.product
sales.coupon: sales.promotion
sales.delivery: sales.orders, stock.warehouse, sales.carrier
sales.delivery_line: sales.delivery, sales.order_line
sales.carrier: core.company
sales.return: sales.orders, sales.return_reason
sales.return_line: sales.return, sales.order_line
sales.return_reason:
sales.subscription: crm.account, sales.plan
sales.plan: core.company, sales.price_list
sales.subscription_event: sales.subscription
sales.commission: core.users, sales.orders
stock.product: core.company, stock.category, stock.unit, stock.brand?
stock.category: stock.category parent_id?, core.company
stock.unit:
stock.unit_conversion: stock.unit from_unit, stock.unit to_unit
stock.brand: core.company
stock.product_image: stock.product, core.attachment
stock.product_tag: stock.product, core.tag
stock.variant: stock.product
stock.attribute:
stock.attribute_value: stock.attribute
stock.variant_value: stock.variant, stock.attribute_value
stock.warehouse: core.company, core.address
stock.location: stock.warehouse, stock.location parent_id?
stock.quantity: stock.location, stock.variant, stock.lot?
stock.lot: stock.variant
stock.serial: stock.lot
stock.move: stock.variant, stock.location from_location, stock.location to_location, core.users
stock.inventory: stock.warehouse, core.users
stock.inventory_line: stock.inventory, stock.variant
stock.reorder_rule: stock.variant, stock.warehouse
stock.supplier: core.company, core.address
stock.supplier_product: stock.supplier, stock.product
stock.purchase: stock.supplier, core.users, stock.warehouse
stock.purchase_line: stock.purchase, stock.variant
stock.receipt: stock.purchase, core.users
stock.receipt_line: stock.receipt, stock.purchase_line
stock.bundle: stock.product
stock.bundle_item: stock.bundle, stock.variant
stock.import_2019:
stock.import_2021_copy:
billing.invoice: crm.account, sales.orders?, core.currency, billing.payment_term
billing.invoice_line: billing.invoice, sales.order_line?, billing.gl_account
billing.payment_term: core.company
billing.payment: crm.account, billing.payment_method, billing.bank_account
billing.payment_method: core.company
billing.payment_allocation: billing.payment, billing.invoice
billing.credit_note: billing.invoice, core.users
billing.dunning: billing.invoice, billing.dunning_level
billing.dunning_level: core.company
billing.bank_account: core.company, core.currency
billing.bank_statement: billing.bank_account
billing.bank_line: billing.bank_statement, billing.payment?
billing.gl_account: core.company, billing.gl_account parent_id?
billing.journal: core.company
billing.journal_entry: billing.journal, billing.fiscal_period, core.users
billing.journal_line: billing.journal_entry, billing.gl_account, billing.cost_center?
billing.fiscal_year: core.company
billing.fiscal_period: billing.fiscal_year
billing.cost_center: core.company, billing.cost_center parent_id?
billing.budget: billing.fiscal_year, billing.cost_center
billing.budget_line: billing.budget, billing.gl_account
billing.exchange_rate: core.currency from_currency, core.currency to_currency
hr.employee: core.users, hr.department, hr.position, core.address?
hr.department: core.company, hr.department parent_id?
hr.position: core.company
hr.contract: hr.employee, hr.contract_type
hr.contract_type:
hr.absence: hr.employee, hr.absence_type, core.users approved_by?
hr.absence_type:
hr.timesheet: hr.employee
hr.timesheet_line: hr.timesheet, hr.project?
hr.project: core.company, crm.account?
hr.skill:
hr.employee_skill: hr.employee, hr.skill
hr.payslip: hr.employee, billing.fiscal_period
hr.payslip_line: hr.payslip, billing.gl_account
"""


def statements() -> Iterator[str]:
    """The SQL that makes it."""
    lines = [line.split(":") for line in TABLES.strip().splitlines()]
    for schema in dict.fromkeys(name.partition(".")[0] for name, _ in lines):
        yield f"CREATE SCHEMA {schema}"
    for name, _ in lines:
        yield from _table(name)
    for name, keys in lines:
        for one in filter(None, map(str.strip, keys.split(","))):
            yield _key(name.rstrip("*"), one)


def _table(name: str) -> Iterator[str]:
    if not name.endswith("*"):
        yield f"CREATE TABLE {name} (id bigint PRIMARY KEY, remarks text)"
        return
    name = name[:-1]
    yield (
        f"CREATE TABLE {name} (id bigint, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)"
    )
    yield f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT"
    for month in (*range(1, 7), 8, 9):
        bounds = f"FROM ('2026-{month:02}-01') TO ('2026-{month + 1:02}-01')"
        yield f"CREATE TABLE {name}_{month:02} PARTITION OF {name} FOR VALUES {bounds}"


def _key(name: str, key: str) -> str:
    target, _, column = key.rstrip("?").partition(" ")
    column = column or f"{target.partition('.')[2]}_id"
    null = "" if key.endswith("?") else " NOT NULL"
    return f"ALTER TABLE {name} ADD COLUMN {column} bigint{null} REFERENCES {target}"
