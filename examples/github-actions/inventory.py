"""Production, whose address only jobs with the environment's secret know."""

from pyinfra_postgres.inventory import required

_dsn = required(PRODUCTION_DSN="connection URI of the owner")

production = [("@postgres/app", {"postgres_dsn": _dsn["PRODUCTION_DSN"]})]
