"""The bodies of the functions, rendered from templates."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from psycopg import sql

USER_SETTING = "app.current_user_id"
"""The setting in which the application says for whom it works."""

SEARCH_PATH = "pg_catalog, pg_temp"
"""Of every function: what its caller can create is looked at last, and no name is left to it."""

FINISHED_STATUSES = ("completed", "completed_with_errors", "failed", "cancelled", "timeout")
"""The statuses in which a sync has come to its end."""


def function_body(name: str) -> str:
    """The body of the function of that name, as it goes between the quotes."""
    template = _environment().get_template(f"functions/{name}.sql.j2")
    return template.render(user_setting=USER_SETTING, finished_statuses=FINISHED_STATUSES)


@cache
def _environment() -> Environment:
    # SQL is no HTML: what is quoted is quoted by `literal`, not by escaping.
    environment = Environment(
        loader=FileSystemLoader(template_folders()),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
    )
    environment.filters["literal"] = lambda text: sql.Literal(text).as_string()
    return environment


def template_folders() -> Sequence[Path]:
    """Where templates are: inside an installed package, else at the top of the checkout."""
    package = Path(__file__).parent
    return (package / "templates", package.parents[1] / "templates")
