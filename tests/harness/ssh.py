"""A self-hosted server: OpenSSH and sudo in front of a PostgreSQL with peer authentication."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.server import UNPRIVILEGED
from harness.cli import until
from harness.relay import Relay
from harness.servers import Database, TestServer

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_SUDOERS = Path("/etc/sudoers.d")
_PACKAGES = {"sshd": "openssh-server", "sudo": "sudo"}
_MISSING = [package for name, package in _PACKAGES.items() if not shutil.which(name, path=_PATH)]


needs_ssh = [
    pytest.mark.skipif(bool(_MISSING), reason=f"install Debian's packages {', '.join(_MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make an account that logs in"),
]


@dataclass(frozen=True)
class SSHServer:
    """A running sshd, with an account that may become the database's account through sudo."""

    server: TestServer
    directory: Path
    account: str
    port: int

    def host(self, database: Database, *, port: int | None = None, **data: Any) -> dict[str, Any]:
        """The data of a host that is reached by SSH, and reaches a database of its server."""
        return {
            "ssh_hostname": "127.0.0.1",
            "ssh_port": port or self.port,
            "ssh_user": self.account,
            "ssh_key": str(self.directory / "key"),
            "ssh_known_hosts_file": str(self.directory / "known_hosts"),
            "_sudo": True,
            "_sudo_user": UNPRIVILEGED,
            "postgres_database": database.name,
            "postgres_host": str(self.server.socket.parent),
            "postgres_user": "postgres",
            **data,
        }

    @contextlib.contextmanager
    def network(self) -> Iterator[tuple[Relay, int]]:
        """What lies between the run and the host, and its port: it can be cut."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            network = Relay(
                listener, lambda _: socket.create_connection(("127.0.0.1", self.port), 10)
            )
            yield network, listener.getsockname()[1]
            network.end()


@contextlib.contextmanager
def peer_server(label: str) -> Iterator[TestServer]:
    """A PostgreSQL that listens on its socket only, and knows its clients by their OS accounts."""
    with tempfile.TemporaryDirectory(prefix="pgt-") as path:
        directory = Path(path)
        directory.chmod(0o755)
        (directory / "ident").write_text(f"os {UNPRIVILEGED} postgres\nos root postgres\n")
        hba = ("local all postgres peer map=os", "local all all peer")
        with TestServer(label, hba=hba, ident_file=str(directory / "ident")) as server:
            yield server


@contextlib.contextmanager
def ssh_server(server: TestServer) -> Iterator[SSHServer]:
    """An sshd with keys, a configuration and an account of its own; all of it goes away."""
    _remove_the_accounts_of_the_dead()
    account = f"pgt{os.getpid()}"
    sudoers = _SUDOERS / account
    path = f"{server.binaries}:/usr/bin:/bin"
    with tempfile.TemporaryDirectory(prefix="pgt-") as name, contextlib.ExitStack() as undo:
        directory = Path(name)
        directory.chmod(0o755)
        for key in ("host_key", "key"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key))
        (directory / "key.pub").chmod(0o644)
        (directory / "known_hosts").touch()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = {
            "Port": str(port),
            "ListenAddress": "127.0.0.1",
            "HostKey": str(directory / "host_key"),
            "AuthorizedKeysFile": str(directory / "key.pub"),
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PidFile": "none",
            "SetEnv": f"PATH={path}",
            "Subsystem": "sftp internal-sftp",
        }
        (directory / "config").write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
        _run(
            *("useradd", "--no-create-home", "--home-dir", name, "--shell", "/bin/sh"),
            *("--password", "*", account),
        )
        undo.callback(_run, "userdel", account)
        sudoers.write_text(
            f'Defaults:{account} secure_path="{path}"\n'
            f"{account} ALL=({UNPRIVILEGED}) NOPASSWD: ALL\n"
        )
        undo.callback(sudoers.unlink)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = directory / "log"
        sshd = shutil.which("sshd", path=_PATH)
        assert sshd
        process = subprocess.Popen(
            [sshd, "-D", "-f", str(directory / "config"), "-E", str(log)],
            stdin=subprocess.DEVNULL,
        )
        undo.callback(_ended, process)
        until(lambda: "Server listening" in log.read_text() if log.exists() else False)
        yield SSHServer(server, directory, account, port)


def _remove_the_accounts_of_the_dead() -> None:
    """What test runs that were killed have left behind; an account has their process id."""
    for entry in pwd.getpwall():
        owner = re.fullmatch(r"pgt(\d+)", entry.pw_name)
        if owner and not Path("/proc", owner[1]).exists():
            _run("userdel", entry.pw_name)
            (_SUDOERS / entry.pw_name).unlink(missing_ok=True)


def _ended(process: subprocess.Popen[bytes]) -> None:
    # Its sessions go on without it, and while one does the account can't be removed.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for child in children.read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGTERM)
    process.terminate()
    process.wait()


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program, path=_PATH)
    assert found, program
    subprocess.run([found, *arguments], check=True, capture_output=True)
