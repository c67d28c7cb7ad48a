"""Skitai, a Python application server: ``mount()`` apps, ``run()`` them, and call other services with ``was``.

::

    from flask import Flask
    from skitai import was

    app = Flask(__name__)

    @app.route("/")
    def page():
        return was.get("http://127.0.0.1:8000/").getwait(5).text

    if __name__ == "__main__":
        import skitai

        skitai.mount("/", app)
        skitai.run(port=5000)

Importing this package patches nothing and starts nothing. All configuration calls are made before :func:`run`, in any
order; after it they change nothing.
"""

from __future__ import annotations

import os as _os
import sys as _sys
from collections.abc import Callable as _Callable
from collections.abc import Iterable as _Iterable
from collections.abc import Sequence as _Sequence
from functools import wraps as _wraps
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any
from typing import NoReturn as _NoReturn
from typing import TypeVar as _TypeVar

from skitai import process as _process
from skitai.configuration import check_keywords as _check_keywords
from skitai.configuration import store as _store
from skitai.constants import (
    DB_MONGODB,
    DB_PGSQL,
    DB_REDIS,
    DB_SQLITE3,
    NAME,
    PROTO_HTTP,
    PROTO_HTTPS,
    PROTO_WS,
    PROTO_WSS,
    WEBSOCKET_DEDICATE,
    WEBSOCKET_DEDICATE_THREADSAFE,
    WEBSOCKET_GROUPCHAT,
    WEBSOCKET_MULTICAST,
    WEBSOCKET_REQDATA,
    WEBSOCKET_SIMPLE,
    WS_DEDICATE,
    WS_EVT_CLOSE,
    WS_EVT_INIT,
    WS_EVT_NONE,
    WS_EVT_OPEN,
    WS_GROUPCHAT,
    WS_MSG_DEFAULT,
    WS_MSG_GRPC,
    WS_MSG_JSON,
    WS_MSG_XMLRPC,
    WS_OPCODE_BINARY,
    WS_OPCODE_CLOSE,
    WS_OPCODE_PING,
    WS_OPCODE_PONG,
    WS_OPCODE_TEXT,
    WS_SIMPLE,
    __version__,
    version_info,
)
from skitai.errors import AlreadyRunning as _AlreadyRunning
from skitai.lib.attributes import Preference as _Preference

if _TYPE_CHECKING:
    from skitai.wire.clusters import ClusterDefinition as _ClusterDefinition

_Function = _TypeVar("_Function", bound=_Callable[..., object])

__all__ = [
    "DB_MONGODB",
    "DB_PGSQL",
    "DB_REDIS",
    "DB_SQLITE3",
    "NAME",
    "PROTO_HTTP",
    "PROTO_HTTPS",
    "PROTO_WS",
    "PROTO_WSS",
    "WEBSOCKET_DEDICATE",
    "WEBSOCKET_DEDICATE_THREADSAFE",
    "WEBSOCKET_GROUPCHAT",
    "WEBSOCKET_MULTICAST",
    "WEBSOCKET_REQDATA",
    "WEBSOCKET_SIMPLE",
    "WS_DEDICATE",
    "WS_EVT_CLOSE",
    "WS_EVT_INIT",
    "WS_EVT_NONE",
    "WS_EVT_OPEN",
    "WS_GROUPCHAT",
    "WS_MSG_DEFAULT",
    "WS_MSG_GRPC",
    "WS_MSG_JSON",
    "WS_MSG_XMLRPC",
    "WS_OPCODE_BINARY",
    "WS_OPCODE_CLOSE",
    "WS_OPCODE_PING",
    "WS_OPCODE_PONG",
    "WS_OPCODE_TEXT",
    "WS_SIMPLE",
    "__version__",
    "alias",
    "cron",
    "enable_blacklist",
    "enable_cachefs",
    "enable_gateway",
    "enable_proxy",
    "enable_smtpda",
    "enable_ssl",
    "getswd",
    "is_devel",
    "joinpath",
    "mount",
    "pref",
    "run",
    "set_backplane",
    "set_keep_alive",
    "set_limits",
    "set_max_age",
    "set_max_rcache",
    "version_info",
    "vmount",
]


# Where the server runs


def getswd() -> str:
    """The working directory of the server: the directory of the run script, wherever it was started from."""
    return _store.directory


def joinpath(*parts: str) -> str:
    """A path below :func:`getswd`."""
    return _os.path.join(getswd(), *parts)


def is_devel() -> bool:
    """True unless the environment variable ``SKITAI_PRODUCTION`` is set."""
    return not _os.environ.get("SKITAI_PRODUCTION")


# What it serves


def pref() -> _Preference:
    """New preferences for :func:`mount`: attributes to set on an app, and ``config`` entries for its ``app.config``."""
    return _Preference()


def _renamed(**names: str) -> _Callable[[_Function], _Function]:
    """Let a function take keywords under their names of earlier versions as well."""

    def decorate(function: _Function) -> _Function:
        @_wraps(function)
        def call(*args: _Any, **keywords: _Any) -> _Any:
            return function(*args, **{names.get(name, name): value for name, value in keywords.items()})

        return call  # type: ignore[return-value]

    return decorate


@_renamed(point="mount_point", target="mount_object", appname="app_name")
def mount(mount_point: str, mount_object: object, app_name: str = "app", pref: _Preference | None = None) -> None:
    """Mount something at a URL path.

    Args:
        mount_point: the path; what is below it is served by the longest mount point that covers it.
        mount_object: a WSGI app; the path of an app file (with or without ``.py``) or of a directory of static files;
            ``"@alias"``; a module that exports an app, or ``(module, file name)``. Paths start at :func:`getswd`.
        app_name: the variable of the app in its file.
        pref: from :func:`pref`, set on the app when it is loaded.

    Raises:
        ConfigurationError: there is no such file, or the object is none of these.
    """
    _add_mount(mount_point, mount_object, app_name, pref, "default")


@_renamed(host="vhost", point="mount_point", mount_object="target", appname="app_name")
def vmount(
    vhost: str | _Iterable[str],
    mount_point: str,
    target: object,
    app_name: str = "app",
    pref: _Preference | None = None,
) -> None:
    """Mount something for some host names only.

    Args:
        vhost: one name, several separated by blanks, or a list; ``.example.com`` means every name below and itself;
            ``default`` or ``*`` is for all others.
        mount_point, target, app_name, pref: as for :func:`mount`.

    Raises:
        ConfigurationError: as for :func:`mount`.
    """
    _add_mount(mount_point, target, app_name, pref, vhost if isinstance(vhost, str) else " ".join(vhost))


def _add_mount(point: str, target: object, app_name: str, pref: _Any, host: str) -> None:
    # A process that run() is going to replace must not run bootstraps: they would run twice.
    if _store.has_started or not _process.is_final():
        return
    from skitai.mounting import Mount, read_preference, resolve_mount

    wanted = Mount(point, target, app_name, read_preference(pref), host)
    _store.options.mount.append(resolve_mount(wanted, getswd()))


@_renamed(ctype="alias_type", members="servers")
def alias(
    name: str,
    alias_type: str,
    servers: str | _Sequence[str],
    role: str = "",
    source: str = "",
    ssl: bool = False,
    verify: bool | str | None = None,
    cert: str | tuple[str | None, ...] | None = None,
    http2: bool | None = None,
    pooler: bool | None = None,
) -> _ClusterDefinition | None:
    """Name a group of servers, for ``was.get("@name/path")`` and for mounting.

    Args:
        name: with or without its leading ``@``; the same name again replaces the group.
        alias_type: ``PROTO_*`` or ``DB_*``.
        servers: one, or a list: ``host[:port]`` with a weight behind a blank, ``host[:port]/dbname/user/password``, or
            the path of an SQLite file.
        role, source: whom the gateway lets in: a role, and comma separated networks.
        ssl: connect by TLS; ``PROTO_HTTPS`` and ``PROTO_WSS`` do so anyway.
        verify: False or a CA file changes how certificates of these servers are checked.
        cert: our certificate, for servers that ask for one: a PEM file, or (certfile, keyfile[, passphrase]).
        http2: True speaks HTTP/2 with these servers without TLS as well, False never; with TLS they choose.
        pooler: True or False says whether a pooler such as pgbouncer stands in front of these PostgreSQL servers; not
            given, each connection finds out.

    Returns:
        The definition, which ``run(clusters=...)`` takes as well; None after :func:`run`.

    Raises:
        ConfigurationError: the type is unknown, or there is no server.
    """
    if _store.has_started:
        return None
    from skitai.wire import clusters

    return clusters.define(name, alias_type, servers, role, source, ssl, verify, cert, http2, pooler)


def set_max_age(path: str, max_age: int = 300) -> None:
    """Let clients keep static files.

    Args:
        path: URL path prefix; the longest one that fits a file counts.
        max_age: seconds, for ``Cache-Control: max-age`` and ``Expires``; 0 sends neither.
    """
    _store.set(max_ages={**_store.options.max_ages, path: max_age})


# How it serves


def set_keep_alive(timeout: float = 75) -> None:
    """Close a connection that was idle for ``timeout`` seconds between two requests."""
    _store.set(keep_alive=timeout)


def set_limits(**limits: float) -> None:
    """Change limits of the server, by the names of :class:`skitai.settings.Limits`."""
    _store.set(limits={**_store.options.limits, **limits})


def set_max_rcache(objmax: int = 300) -> None:
    """Keep at most ``objmax`` results of ``was`` calls in the memory of each worker."""
    _store.set(rcache_objmax=objmax)


def enable_ssl(certfile: str, keyfile: str | None = None, passphrase: str | None = None, **settings: _Any) -> None:
    """Serve HTTPS.

    Args:
        certfile: PEM file of the certificate and its chain; relative to :func:`getswd`.
        keyfile: PEM file of the private key, unless it is in ``certfile``.
        passphrase: of an encrypted key.
        **settings: fields of :class:`skitai.settings.TlsSettings`: further certificates, client certificates, versions,
            a redirecting port. See docs/tls.md.
    """
    _store.set(certfile=certfile, keyfile=keyfile, passphrase=passphrase, tls=settings)


# Services that later versions fill; their settings are kept


def enable_cachefs(memmax: int | str = 0, diskmax: int = 0, path: str | int | None = None) -> None:
    """Cache the contents of HTTP answers by their headers.

    Args:
        memmax: bytes in memory.
        diskmax: bytes on disk.
        path: directory. A path given first counts as this one: earlier versions had that order.
    """
    if isinstance(memmax, str):
        memmax, diskmax, path = diskmax, int(path or 0), memmax
    _store.set(cachefs_memmax=memmax, cachefs_diskmax=diskmax, cachefs_dir=path)


def enable_proxy(unsecure_https: bool = False) -> None:
    """Serve as a forward proxy as well; ``unsecure_https`` also fetches ``https://`` targets that are not tunnelled."""
    _store.set(proxy=True, proxy_unsecure_https=unsecure_https)


def enable_gateway(
    enable_auth: bool = False, secure_key: str | bytes | None = None, realm: str = "Skitai API Gateway"
) -> None:
    """Ask clients of mounted clusters for a bearer token, checked with ``secure_key``."""
    _store.set(enable_gw=True, gw_auth=enable_auth, gw_secret_key=secure_key, gw_realm=realm)


def enable_smtpda(
    server: str | None = None,
    user: str | None = None,
    password: str | None = None,
    ssl: bool = False,
    max_retry: int = 10,
    keep_days: int = 30,
) -> None:
    """Deliver mails of ``was.email()`` by this server, from a process of its own."""
    settings = {"server": server, "user": user, "password": password}
    _store.set(smtpda={**settings, "ssl": ssl, "max_retry": max_retry, "keep_days": keep_days})


def set_backplane(url: str, prefix: str = "skitai") -> None:
    """Let group chats (``WS_GROUPCHAT``) reach the clients of all workers, and of all hosts that use the same server.

    Args:
        url: of a Redis server, as ``redis://:password@host:6379/0``; needs ``pip install 'skitai[redis]'``.
        prefix: of the channels; servers with another one do not hear each other.
    """
    _store.set(backplane=url, backplane_prefix=prefix)


def enable_blacklist(path: str) -> None:
    """Refuse clients whose address is the name of a file in the directory ``path``."""
    _store.set(blacklist_dir=path)


def cron(sched: str, cmd: str) -> None:
    """Run a shell command by a schedule of five POSIX crontab fields."""
    _store.set(cron=[*_store.options.cron, f"{sched} {cmd}"])


# Start


def run(**settings: _Any) -> _NoReturn:
    """Serve what was configured until a signal says stop; then the process ends.

    In a process that is not cooperative yet, this first starts the script again as ``python -m skitai script.py``.
    The command line of the script may say ``start``, ``stop`` or ``restart``, ``-f`` and ``-v``: see docs/running.md.

    Args:
        **settings: see docs/settings.md; each replaces what a module-level call set, ``mount=`` also all mounts.

    Raises:
        SystemExit: always, in the end; 0 after a signal.
        ConfigurationError: an unknown keyword, a wrong value, a taken port; the text says what to do.
        LaunchError: nothing is mounted, or nothing runs that could be stopped.
        AlreadyRunning: the process serves already; the loader of app files takes it for the end of the file.
    """
    if _store.has_started:
        raise _AlreadyRunning
    if not _process.is_final():
        _process.replace()
    _check_keywords(settings)
    _take_mounts(settings)
    _take_clusters(settings)
    options = _store.options.with_keywords(settings)
    _store.has_started = True
    if _store.instead is not None:
        _store.instead(options)
    from skitai import cli, launch

    _sys.exit(launch.execute(options, cli.parse(_sys.argv[1:]), getswd()))


def _take_mounts(settings: dict[str, _Any]) -> None:
    if "mount" not in settings:
        return
    from skitai.mounting import read_mounts

    _store.options.mount = []
    for each in read_mounts(settings.pop("mount")):
        _add_mount(each.point, each.target, each.app_name, each.pref, each.host)


def _take_clusters(settings: dict[str, _Any]) -> None:
    if "clusters" not in settings:
        return
    from skitai.wire import clusters

    wanted = dict(settings.pop("clusters"))
    clusters.definitions.clear()
    for name, value in wanted.items():
        if isinstance(value, clusters.ClusterDefinition):
            clusters.definitions[value.name] = value
        else:
            clusters.define(name, *value)
