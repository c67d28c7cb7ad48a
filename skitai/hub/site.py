"""What is mounted where: virtual hosts, each with its directories and its apps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from skitai.errors import ConfigurationError
from skitai.wire.hosts import normal_host
from skitai.wire.mounts import MountTable, normal_point
from skitai.wire.target import split_host

if TYPE_CHECKING:
    from skitai.hub.exchange import Exchange
    from skitai.hub.server import Server
    from skitai.hub.wsgi import WsgiHandler

DEFAULT_HOST = "default"


class Handler(Protocol):
    """Serves exchanges of one mount."""

    def accept(self, exchange: Exchange) -> None:
        """Take an exchange; called in the hub."""


@dataclass
class VirtualHost:
    """The mounts of one site."""

    directories: MountTable[str] = field(default_factory=MountTable)
    apps: MountTable[Any] = field(default_factory=MountTable)


class Site:
    """All mounts of a server, by host name; what is mounted for no host belongs to the default one."""

    def __init__(self) -> None:
        self._hosts: dict[str, VirtualHost] = {}

    def mount_app(self, point: str, app_ref: Any, host: str = DEFAULT_HOST) -> None:
        """Mount an app; ``app_ref.app`` is its WSGI callable. ``host`` may name several hosts, separated by blanks."""
        for each in self._named(host):
            each.apps.add(point, app_ref)

    def mount_directory(self, point: str, path: str, host: str = DEFAULT_HOST) -> None:
        """Mount a directory of static files. A file that exists there stands before an app at the same point."""
        for each in self._named(host):
            each.directories.add(point, path)

    def host(self, name: str) -> VirtualHost | None:
        """Return the site for a Host value: its own, the one of a leading-dot name that covers it, else the default."""
        hosts = self._hosts
        if len(hosts) > 1 or DEFAULT_HOST not in hosts:
            bare, _ = split_host(name)
            bare = bare.removesuffix(".")
            found = hosts.get(bare)
            while found is None and bare:
                found = hosts.get("." + bare)
                bare = bare.partition(".")[2]
            if found is not None:
                return found
        return hosts.get(DEFAULT_HOST)

    @property
    def hosts(self) -> dict[str, VirtualHost]:
        """The sites by name."""
        return self._hosts

    def _named(self, host: str) -> list[VirtualHost]:
        names = host.lower().replace(":", " ").split() or [DEFAULT_HOST]
        names = [DEFAULT_HOST if name == "*" else _bare(name) for name in names]
        return [self._hosts.setdefault(name, VirtualHost()) for name in names]

    def __repr__(self) -> str:
        mounts = [f"{name}{normal_point(point) or '/'}" for name, host in self._hosts.items() for point, _ in host.apps]
        return f"<Site {' '.join(mounts)}>"


def _bare(name: str) -> str:
    """Return the name of a site as clients send it, but without a dot at its end; one outside ASCII by IDNA.

    Raises:
        ConfigurationError: there can be no such name.
    """
    dot, name = ("." if name.startswith(".") else ""), name.removeprefix(".").removesuffix(".")
    if name.isascii():
        return dot + name
    try:
        return dot + normal_host(name)
    except ValueError as error:
        raise ConfigurationError(f"a virtual host cannot be called so: {error}") from error


class Dispatcher:
    """Chooses the handler of each exchange of one server; handlers are made once per mount."""

    def __init__(self, server: Server, site: Site) -> None:
        self._server = server
        self._site = site
        #: The one app at the root and nothing else, the common case, which needs no look-up; else ``None``.
        self.only: Handler | None = None
        self._hosts: dict[int, _HostHandlers] = {}
        for host in site.hosts.values():
            self._hosts[id(host)] = _HostHandlers(server, host)
        self._choose_only()

    def _choose_only(self) -> None:
        hosts = self._site.hosts
        if set(hosts) == {DEFAULT_HOST}:
            host = self._hosts[id(hosts[DEFAULT_HOST])]
            if not host.directories and list(host.apps) and [point for point, _ in host.apps] == [""]:
                self.only = host.apps.first("/")[1]  # type: ignore[index]

    def handler(self, exchange: Exchange) -> Handler | None:
        """Return the handler of an exchange, ``None`` when nothing is mounted there."""
        host = self._site.host(exchange.head.host)
        return None if host is None else self._hosts[id(host)].handler(exchange)

    def end(self) -> None:
        """Tell the apps that no further request will come."""
        for host in self._hosts.values():
            for _, handler in host.apps:
                handler.end()


class _HostHandlers:
    def __init__(self, server: Server, host: VirtualHost) -> None:
        from skitai.hub.static import StaticHandler

        self._server = server
        self.apps: MountTable[WsgiHandler] = MountTable()
        for point, ref in host.apps:
            self.apps.add(point, _app_handler(server, normal_point(point), ref))
        self.directories = bool(host.directories)
        self._static = StaticHandler(server, host.directories, self.app) if host.directories else None

    def handler(self, exchange: Exchange) -> Handler | None:
        static = self._static
        if static is None or not static.covers(exchange.path):
            return self.app(exchange)
        if exchange.method in ("GET", "HEAD"):
            return static
        return self.app(exchange) or static

    def app(self, exchange: Exchange) -> Handler | None:
        """Return the app for an exchange, or what redirects ``/app`` to ``/app/``."""
        found = self.apps.first(exchange.path)
        if found is None:
            return None
        point, handler = found
        if exchange.path == point and point and not _is_rpc(exchange):
            return _ToSlash(self._server)
        return handler


def _app_handler(server: Server, point: str, ref: Any) -> WsgiHandler:
    from skitai.hub.app_ref import is_native
    from skitai.hub.native import NativeHandler
    from skitai.hub.reloading import ReloadingHandler
    from skitai.hub.wsgi import WsgiHandler

    if getattr(ref, "is_reloading", False):
        return ReloadingHandler(server, point, ref)
    return (NativeHandler if is_native(ref.app) else WsgiHandler)(server, point, ref)


def _is_rpc(exchange: Exchange) -> bool:
    """Clients of XML-RPC, gRPC and WebSocket do not follow redirects, so they are served in place."""
    if exchange.head.upgrade:
        return True
    content_type = (exchange.header("content-type", "") or "").lower()
    return content_type.startswith(("text/xml", "application/xml", "application/grpc"))


class _ToSlash:
    def __init__(self, server: Server) -> None:
        self._server = server

    def accept(self, exchange: Exchange) -> None:
        # Only slashes in front would make the target a network-path reference to another host (RFC 3986 section 4.2).
        location = "/" + exchange.raw_path.lstrip("/") + "/" + ("?" + exchange.query if exchange.query else "")
        self._server.answer_soon(exchange, 308, extra=[("Location", location)])
