"""Real servers for tests: started in a temporary directory on a free port, stopped when the tests end."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import gevent

#: Seconds that a server gets to start or to stop.
PATIENCE = 30


class ServerMissing(Exception):
    """A server is not installed; the text says what to install."""


class Address(NamedTuple):
    """Where a server is, and who may use it."""

    host: str
    port: int
    dbname: str = ""
    user: str = ""
    password: str = ""

    @property
    def where(self) -> str:
        """``host:port``"""
        return f"{self.host}:{self.port}"

    @property
    def auth(self) -> tuple[str, str] | None:
        """As ``auth=`` takes it."""
        return (self.user, self.password) if self.user or self.password else None

    @property
    def member(self) -> str:
        """As ``skitai.alias()`` takes it."""
        return "/".join([self.where, self.dbname, self.user, self.password]).rstrip("/")


def from_environment(name: str) -> Address | None:
    """The server that a variable such as ``SKITAI_TEST_PG=postgresql://user:password@host:port/name`` points to."""
    url = os.environ.get(name)
    if not url:
        return None
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Address(parts.hostname or "127.0.0.1", parts.port or 0, parts.path.strip("/"), user, password)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Server:
    """A server process.

    Args:
        command: starts it in the foreground. ready: what it prints when it accepts connections.
        user: whose account it runs under, when the tests run as root.
    """

    def __init__(self, command: Sequence[str], ready: str, user: str = "") -> None:
        self.command = [*as_user(user), *command]
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        process = self._process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", start_new_session=True
        )
        said = []
        for line in process.stdout or ():
            said.append(line.decode(errors="replace"))
            if self._ready in said[-1]:
                break
        else:
            raise RuntimeError(f"{self.command} ended: {''.join(said)}")
        # Whatever it says from now on must not fill a pipe that nobody reads.
        gevent.spawn(_read_on, process)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it and wait until it has ended."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)
        self._process = None


def _read_on(process: subprocess.Popen[bytes]) -> None:
    with process.stdout or io.BytesIO() as output:
        for _ in output:
            pass


def as_user(user: str) -> list[str]:
    """The beginning of a command that runs under another account, where that can be done."""
    if not user or os.geteuid() != 0:
        return []
    found = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--clear-groups"]


class Postgres:
    """A PostgreSQL server with a database and a user, whose password is asked for.

    Attributes:
        address: of it.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="skitai-pg-"))
        self._binaries = find_postgres()
        self._user = "postgres" if os.geteuid() == 0 else ""
        if self._user:
            shutil.chown(self.directory, self._user)
        self.address = Address("127.0.0.1", free_port(), "postgres", "skitai", "se/cret!")
        self._initialize()
        self._server = self._make_server()
        self._server.start()

    def _initialize(self) -> None:
        password = self.directory / "password"
        password.write_text(self.address.password)
        if self._user:
            shutil.chown(password, self._user)
        subprocess.run(
            [*as_user(self._user), self._binaries + "/initdb", "-D", self._data, "-U", self.address.user, "-E", "UTF8",
             "--locale=C", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60,
        )  # fmt: skip

    def _make_server(self, *options: str) -> Server:
        settings = {"listen_addresses": "127.0.0.1", "fsync": "off", "max_connections": "60", "log_min_messages": "log"}
        command = [self._binaries + "/postgres", "-D", self._data, "-p", str(self.address.port), "-k", self._data]
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Server([*command, *given, *options], "database system is ready to accept connections", self._user)

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def give(self, *files: Path) -> None:
        """Let the server, and nobody else, read some files."""
        for file in files:
            file.chmod(0o600)
            if self._user:
                shutil.chown(file, self._user)

    def restart(self, *options: str, number: int = signal.SIGINT) -> None:
        """Stop it by a signal and start it again; ``options`` are for this start."""
        self._server.stop(number)
        self._server = self._make_server(*options)
        self._server.start()

    def stop(self) -> None:
        """Stop it, and remove its files."""
        self._server.stop()
        shutil.rmtree(self.directory)


class Pgbouncer:
    """A pgbouncer in transaction mode in front of a PostgreSQL server, with one session of the server for all clients.

    Args:
        behind: the server. options: further lines of its configuration.

    Attributes:
        address: of it.
    """

    def __init__(self, behind: Address, *options: str) -> None:
        binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if binary is None:
            raise ServerMissing("apt-get install pgbouncer")
        self.directory = Path(tempfile.mkdtemp(prefix="skitai-pgbouncer-"))
        self.address = behind._replace(port=free_port())
        users, configuration = self.directory / "users.txt", self.directory / "pgbouncer.ini"
        users.write_text(f'"{behind.user}" "{behind.password}"\n')
        configuration.write_text(
            "\n".join(
                [
                    f"[databases]\n* = host={behind.host} port={behind.port}",
                    f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.address.port}\nunix_socket_dir =",
                    f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = 1",
                    *options,
                ]
            )
        )
        user = "postgres" if os.geteuid() == 0 else ""
        if user:
            for each in (self.directory, users, configuration):
                shutil.chown(each, user)
        self._server = Server([binary, str(configuration)], "process up", user)
        self._server.start()

    def stop(self) -> None:
        """Stop it, and remove its files."""
        self._server.stop()
        shutil.rmtree(self.directory)


class Redis:
    """A Redis server that asks for a password.

    Args:
        options: of its command line. name: of the program; ``""`` for whichever of them there is.
    """

    def __init__(self, *options: str, name: str = "") -> None:
        binary = shutil.which(name) if name else shutil.which("redis-server") or shutil.which("valkey-server")
        if binary is None:
            raise ServerMissing(f"apt-get install {name or 'redis-server'}")
        self.directory = Path(tempfile.mkdtemp(prefix="skitai-redis-"))
        self.address = Address("127.0.0.1", free_port(), "", "default", "secret")
        command: list[Any] = [
            binary, "--port", self.address.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--requirepass", self.address.password, "--dir", self.directory, *options,
        ]  # fmt: skip
        self._server = Server([str(part) for part in command], "eady to accept connections")
        self._server.start()

    @property
    def url(self) -> str:
        """Its address with user and password."""
        return f"redis://{self.address.user}:{self.address.password}@{self.address.where}/0"

    def restart(self, number: int = signal.SIGTERM) -> None:
        """Stop it by a signal and start it again, empty."""
        self.pause(number)
        self.resume()

    def pause(self, number: int = signal.SIGTERM) -> None:
        """Stop it by a signal."""
        self._server.stop(number)

    def resume(self) -> None:
        """Start it again, empty."""
        self._server.start()

    def stop(self) -> None:
        """Stop it, and remove its files."""
        self.pause()
        shutil.rmtree(self.directory)


class Mongo:
    """A double of a MongoDB server, which asks for a password: see ``tests/mongo_double.py``."""

    def __init__(self) -> None:
        self.address = Address("127.0.0.1", free_port(), "skitai", "skitai", "se/cret!")
        address = self.address
        double = Path(__file__).parent / "mongo_double.py"
        # The libraries of the double warn of what they use; these are no warnings of ours.
        command = [sys.executable, "-W", "ignore", str(double), str(address.port), address.user, address.password]
        self._server = Server(command, "waiting for connections")
        self._server.start()

    def start(self) -> None:
        """Start it again, empty."""
        self._server.start()

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Stop it by a signal."""
        self._server.stop(number)


def find_postgres() -> str:
    """The directory of PostgreSQL's programs."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found or not (found[-1] / "postgres").exists():
        raise ServerMissing("apt-get install postgresql")
    return str(found[-1])


def main() -> None:
    """Run both servers until the standard input ends; print where they are, as JSON."""
    postgres, redis = Postgres(), Redis()
    print(json.dumps({"POSTGRES": postgres.address._asdict(), "REDIS": redis.address._asdict()}), flush=True)
    sys.stdin.read()
    redis.stop()
    postgres.stop()


if __name__ == "__main__":
    main()
