"""What a host requires to be proven elsewhere first: the host data `postgres_requires`.

A guard against accidents: whoever may edit the inventory or a release passes it.
"""

from __future__ import annotations

from ..errors import HostError
from ..transport.host_data import read
from .session import Block, Session

REQUIRES = "postgres_requires"
"""The host data that names the environment which has to prove a deploy first."""
UNPROVEN = "postgres_unproven"
"""The host data that names a required environment to do without."""


def check(session: Session, block: Block) -> None:
    """Raise HostError where a host requires that a block be proven, and it is not.

    Nothing has been asked of the server for it by then, and all are looked at before one is sent.
    """
    data = session.host.data.dict()
    environment = read(data, REQUIRES, None)
    if environment is None:
        return
    # What reads releases is imported where one is required.
    from .proven import objections

    blocks = session.blocks if session.executing else [block]
    found = dict.fromkeys(each for one in blocks for each in objections(session, one, environment))
    reason = "; ".join(found)
    if reason and read(data, UNPROVEN, None) == environment:
        if not session.unproven:
            session.tell(f"goes on, though {reason}")
        session.unproven = f"{environment}: {reason}"
    elif reason:
        deploy = block.deploy or "deploy.py"
        raise HostError(
            f"{environment} has not proven this: {reason}. Deploy there and verify it in one run, "
            f"`pyinfra INVENTORY {deploy} verify.py -y` with postgres_environment = "
            f'"{environment}" in its host data, or allow it by --data {UNPROVEN}={environment}'
        )
