"""Bounds of what tenants write: what is past them would trouble workers, deploys or the disk."""

EARLIEST, LATEST = "2000-01-01 00:00:00+00", "2100-01-01 00:00:00+00"


def times(*columns: str) -> str:
    """The columns have no time that a worker can't count with, such as infinity."""
    return " AND ".join(f"{column} BETWEEN '{EARLIEST}' AND '{LATEST}'" for column in columns)


def mebibytes(column: str, most: int) -> str:
    """The column's value is at most that large."""
    return f"pg_column_size({column}) <= {most * 1024 * 1024}"
