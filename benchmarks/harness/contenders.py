"""Who takes part in which case, and with which command.

Every peer runs as its own documentation advises for one process on one core; none writes an access log. ``{port}`` is
filled in at the start; every command runs in ``benchmarks/apps``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
APPS = HERE / "apps"
ROOT = HERE.parent
PEERS_ENV = ROOT / ".venv-bench"
PEERS_BIN = PEERS_ENV / "bin"
OUR_PYTHON = ROOT / ".venv" / "bin" / "python"
US = "skitai"
SADDLE = "Saddle"
# What our own package is called among those that an environment has.
OURSELVES = "skitai"
PYWSGI = "gevent.pywsgi (TCP_NODELAY set)"

# Connections of the idle case; servers with a limit of connections or of idle time get room for them.
IDLE = 10_000
ROOM = str(IDLE + 2_000)


@dataclass(frozen=True)
class Contender:
    """One server in one case."""

    name: str
    command: tuple[str, ...]
    packages: tuple[str, ...]


def ours(app: str, *options: str, name: str = US) -> Contender:
    """Our server, from the project's own environment (or the running one when there is none)."""
    command = (our_python(), "-m", "skitai", "serve_skitai.py", "{port}", app, *options)
    return Contender(name, command, ())


def framework(name: str, app: str, *packages: str) -> Contender:
    """A WSGI framework or Saddle on our server, from the environment that has all of them: the same for each."""
    command = (str(PEERS_BIN / "python"), "-m", "skitai", "serve_skitai.py", "{port}", app)
    return Contender(name, command, (OURSELVES, "jinja2", *packages))


def our_python() -> str:
    """The interpreter that the project is installed for."""
    return str(OUR_PYTHON) if OUR_PYTHON.exists() else sys.executable


def gunicorn(app: str, *options: str, name: str = "gunicorn -k gevent", needs: Sequence[str] = ()) -> Contender:
    """Gunicorn with one gevent worker."""
    command = (str(PEERS_BIN / "gunicorn"), "-k", "gevent", "-w", "1", "-b", "127.0.0.1:{port}")
    packages = ("gunicorn", "gevent", *needs)
    return Contender(name, (*command, "--log-level", "warning", "--no-control-socket", *options, app), packages)


def pywsgi(app: str) -> Contender:
    """gevent's own WSGI server."""
    command = (str(PEERS_BIN / "python"), "-m", "gevent.monkey", "serve_pywsgi.py", "{port}", app)
    return Contender(PYWSGI, command, ("gevent",))


def waitress(app: str, *options: str) -> Contender:
    """Waitress; its limit of 100 connections is below what the load opens, so it is raised."""
    command = (str(PEERS_BIN / "waitress-serve"), "--listen=127.0.0.1:{port}", f"--connection-limit={ROOM}")
    return Contender("waitress", (*command, *options, app), ("waitress",))


def granian(app: str, *options: str) -> Contender:
    """Granian's WSGI mode with one worker and one thread for the app, its fastest setting on one core."""
    command = (str(PEERS_BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}")
    one = ("--workers", "1", "--blocking-threads", "1", "--log-level", "warning")
    return Contender("granian (wsgi)", (*command, *one, *options, app), ("granian",))


def uvicorn(app: str, *options: str, name: str = "uvicorn (raw ASGI)", needs: Sequence[str] = ()) -> Contender:
    """Uvicorn on uvloop and httptools."""
    command = (str(PEERS_BIN / "uvicorn"), "--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop")
    quiet = ("--http", "httptools", "--lifespan", "off", "--no-access-log", "--log-level", "warning")
    packages = ("uvicorn", "uvloop", "httptools", *needs)
    return Contender(name, (*command, *quiet, *options, app), packages)


def bjoern(app: str) -> Contender:
    """bjoern, a server in C on libev."""
    return Contender("bjoern", (str(PEERS_BIN / "python"), "serve_bjoern.py", "{port}", app), ("bjoern",))


def wsgi_servers(app: str) -> list[Contender]:
    """Every WSGI peer with ``app``."""
    return [gunicorn(app), pywsgi(app), waitress(app), granian(app), bjoern(app)]


def hypercorn(*options: str) -> Contender:
    """Hypercorn on asyncio with one worker; its limit of requests for one connection is lifted."""
    command = (str(PEERS_BIN / "hypercorn"), "-c", "file:serve_hypercorn.py", "-w", "0", "-b", "127.0.0.1:{port}")
    return Contender("hypercorn", (*command, *options, "http2_asgi:app"), ("hypercorn",))


def granian_http2(*options: str) -> Contender:
    """Granian's WSGI mode, HTTP/2 only where there is no TLS to agree on it."""
    return granian("http2_wsgi:app", *options)


def nginx() -> Contender:
    """nginx with one worker and static files, as a mark of what C does; by TLS only, where ALPN lets it speak both."""
    command = (str(PEERS_BIN / "python"), "serve_nginx.py", "{port}", "{cert}")
    return Contender("nginx (static files)", command, ())


def grpcio() -> Contender:
    """grpcio's own server."""
    command = (str(PEERS_BIN / "python"), "serve_grpcio.py", "{port}")
    return Contender("grpcio", command, ("grpcio", "protobuf"))


CASES: dict[str, list[Contender]] = {
    "http2": [ours("http2_wsgi:app"), hypercorn(), granian_http2("--http", "auto")],
    "http2-tls": [
        ours("http2_wsgi:app", "tls={cert}"),
        hypercorn("--certfile", "{cert}", "--keyfile", "{cert}"),
        granian_http2("--ssl-certificate", "{cert}", "--ssl-keyfile", "{cert}"),
        nginx(),
    ],
    "grpc": [ours("grpc_saddle:app"), grpcio()],
    "hello": [ours("wsgi_hello:app"), *wsgi_servers("wsgi_hello:app"), uvicorn("asgi_hello:app")],
    "varied": [ours("wsgi_hello:app"), *wsgi_servers("wsgi_hello:app"), uvicorn("asgi_hello:app")],
    "flask": [ours("flask_hello:app"), *wsgi_servers("flask_hello:app")],
    "fanout": [
        ours("fanout_skitai:app"),
        uvicorn("fanout_aiohttp:app", name="uvicorn + aiohttp", needs=["aiohttp"]),
        gunicorn("fanout_geventhttpclient:app", name="gunicorn gevent + geventhttpclient", needs=["geventhttpclient"]),
        gunicorn("fanout_requests:app", name="gunicorn gevent + requests", needs=["requests"]),
    ],
    "saddle": [
        framework(SADDLE, "framework_saddle:app"),
        framework("Saddle through WSGI", "framework_saddle:wsgi"),
        framework("Falcon", "framework_falcon:app", "falcon", "itsdangerous"),
        framework("Bottle", "framework_bottle:app", "bottle"),
        framework("Flask", "framework_flask:app", "flask"),
        uvicorn(
            "framework_starlette:app",
            name="Starlette on uvicorn",
            needs=["starlette", "jinja2", "itsdangerous"],
        ),
    ],
    "databases": [
        ours("databases_skitai:app"),
        gunicorn(
            "databases_threads:app",
            "-k",
            "gthread",
            "--threads",
            "32",
            name="psycopg2, redis-py in threads (gunicorn gthread)",
            needs=["psycopg2-binary", "redis"],
        ),
        gunicorn(
            "databases_gevent:app",
            name="psycogreen, redis-py (gunicorn -k gevent)",
            needs=["psycopg2-binary", "psycogreen", "redis"],
        ),
        uvicorn("databases_asyncio:app", name="asyncpg, redis.asyncio (uvicorn)", needs=["asyncpg", "redis"]),
    ],
    "tls": [
        ours("wsgi_hello:app", "tls={cert}"),
        gunicorn("wsgi_hello:app", "--certfile", "{cert}", "--keyfile", "{cert}"),
        uvicorn("asgi_hello:app", "--ssl-certfile", "{cert}", "--ssl-keyfile", "{cert}"),
        granian("wsgi_hello:app", "--ssl-certificate", "{cert}", "--ssl-keyfile", "{cert}"),
    ],
    "log": [ours("wsgi_hello:app"), ours("wsgi_hello:app", "log", name=f"{US}, request log on")],
    "idle": [
        ours("wsgi_hello:app"),
        gunicorn("wsgi_hello:app", "--keep-alive", "600", "--worker-connections", ROOM),
        pywsgi("wsgi_hello:app"),
        waitress("wsgi_hello:app", "--channel-timeout=600", "--asyncore-use-poll"),
        granian("wsgi_hello:app", "--backlog", ROOM, "--backpressure", ROOM),
        uvicorn("asgi_hello:app", "--timeout-keep-alive", "600"),
        bjoern("wsgi_hello:app"),
    ],
}


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the servers see of the environment, and ``more``: no proxy may stand between two loopback ports."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    # This checkout comes before an installed skitai, so that what is measured is what stands beside the harness.
    return {**kept, "PYTHONPATH": f"{APPS}:{ROOT}", "PYTHONUNBUFFERED": "1", **(more or {})}
