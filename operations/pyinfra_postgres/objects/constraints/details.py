"""What a catalog knows of a constraint beside what may be declared."""

from __future__ import annotations

from attrs import field, frozen

from ...syntax.names import (
    Exact,
    literal,
    quoted,
)


@frozen
class Fittings:
    """What a stored constraint's index has besides, which one in its place gets as well."""

    parameters: tuple[str, ...] = ()
    """Its storage parameters, like `fillfactor=50`."""
    tablespace: Exact | None = None
    replica_identity: bool = False
    clustered: bool = False

    def __str__(self) -> str:
        pairs = (one.split("=", 1) for one in self.parameters)
        settings = ", ".join(f"{name} = {literal(value)}" for name, value in pairs)
        text = f" WITH ({settings})" if settings else ""
        return (
            f"{text} USING INDEX TABLESPACE {quoted(self.tablespace)}" if self.tablespace else text
        )


@frozen
class ConstraintDetails:
    """What a catalog knows of a constraint beside what may be declared."""

    inherited: bool = field(default=False, eq=False)
    """Whether the table has it from the one that it is a part of."""
    index: str | None = field(default=None, eq=False)
    """The name of the index on which a foreign key stands."""
    enforced: bool = True
    """Whether PostgreSQL checks it: in 18 it may not. Declared ones are checked."""
    period: bool = False
    """Whether its last column is the time for which it holds, as 18 has it. None is declared."""
    remark: str | None = field(default=None, eq=False)
    """Its comment."""
    fittings: Fittings = field(default=Fittings(), eq=False)
    owed: bool = field(default=False, eq=False)
    """Whether a run has taken it off and put it back, and has not validated it again."""
    passing: bool = field(default=False, eq=False)
    """Whether a run has added it to drop it again, and has died in between."""
