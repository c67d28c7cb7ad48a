"""The app object. It puts the pieces together; each of them is in a file of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from skitai.errors import ClientDisconnected
from skitai.saddle import auth, compression, grpc_service, life, openapi, replies, services, wsgi
from skitai.saddle.config import default_config
from skitai.saddle.endpoint import Endpoint
from skitai.saddle.guards import guards_of
from skitai.saddle.part import Part
from skitai.saddle.replies import HTML, Reply
from skitai.saddle.routes import Route
from skitai.saddle.service import Was
from skitai.saddle.setting import account_half, setting
from skitai.saddle.table import ANY, METHODS, Table
from skitai.saddle.template_settings import TemplateSettings
from skitai.saddle.testing import Client
from skitai.saddle.urls import Urls
from skitai.was._context import activate, current
from skitai.wire.feeding import Feeding
from skitai.wire.mounts import normal_point

if TYPE_CHECKING:
    from skitai.saddle.websockets import Conversation

#: Directories beside the app file whose modules are watched by the reloader.
_PACKAGES = ("package", "contrib", "appack")

#: Characters of a text that is never worth a content coding, whatever they are in UTF-8.
_PLAIN = compression.MOST_PLAIN // 4


class Saddle(TemplateSettings, Part):
    """An app.

    Args:
        name: ``__name__`` of its module; templates and resources are looked for beside that file.

    Attributes:
        config: settings, as items and attributes: see :mod:`skitai.saddle.config`.
        debug: show tracebacks in the browser. use_reloader: reload the app when its file changes.
        securekey: for sessions and messages; str, bytes, or a list of which the first one is used for new ones.
        session_timeout: seconds; ``None`` is 1200.
        authorization: ``"digest"`` or ``"basic"``. authenticate: whether all routes need it. realm, users: for it.
        user, password: a single account for all routes, as version 0.15 has it.
        access_control_allow_origin, access_control_max_age: see CORS.
        PRESERVES_ON_RELOAD: names of attributes that a reloaded app gets from the one before it.
        mount_point: where it is mounted, ``""`` for the root; for URLs that are built outside of requests.
        has_begun: whether its start hooks have run.

    Any other attribute may be set as well.
    """

    packagename = "app"

    authorization = setting("digest")
    user = account_half()
    password = account_half()
    access_control_allow_origin = setting[str | Iterable[str] | None](None)
    access_control_max_age = setting(0)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        if self.home is None:
            file = sys._getframe(1).f_globals.get("__file__")
            self.home = os.path.dirname(os.path.abspath(file)) if file else os.getcwd()
        self.debug = False
        self.use_reloader = False
        self.config = default_config()
        self.securekey: str | bytes | list[str | bytes] | None = None
        self.session_timeout: float | None = None
        self.realm: str | None = None
        self.users: Any = {}
        self.packages: list[str] = list(_PACKAGES)
        self.PRESERVES_ON_RELOAD = ["reloadables"]
        self.mount_point = ""
        self._table: Table | None = None
        self._urls: Urls | None = None
        self.has_begun = False

    # Settings

    def set_devel(self, debug: bool = True, use_reloader: bool = True) -> None:
        """Set :attr:`debug` and :attr:`use_reloader`."""
        self.debug, self.use_reloader = debug, use_reloader

    def get_resource(self, *names: str) -> str:
        """Return the path of a file in the ``resources`` directory beside the app, as os.path.join does."""
        return os.path.join(self.home or "", "resources", *names)

    def add_package(self, *names: str) -> None:
        """Let the reloader watch further directories beside the app."""
        self.packages += [name for name in names if name not in self.packages]

    # Requests

    def handle(self, exchange: Any, point: str = "") -> Reply:
        """Serve a request natively: no WSGI environ is made.

        Args:
            exchange: the request; see the server for what it has. Its response is left to the caller.
            point: where the app is mounted, without trailing slash.

        Returns:
            (status, reason, header fields, body). A body that is not bytes is to be sent by its method
            ``send(exchange, status, fields, reason)``.

        Raises:
            ClientDisconnected: the client went away while its body was read.
            BaseException: what is no Exception, as SystemExit; the caller answers and logs it.
        """
        path = exchange.raw_path
        if point or not path:
            path = wsgi.path_below(exchange, point)
        was = Was(self, exchange, point, path)
        activate(was)
        try:
            table = self._table or self.table
            method = exchange.method
            has_body = exchange.body is not None
            if has_body:
                reply = services.serve(was)
                if reply is not None:
                    return reply
            leaf = table.statics.get(path)
            target = leaf.get(method) if leaf is not None else None
            if target is None:
                target, was.values = table.find(path, method)
            if target.__class__ is Endpoint:
                was.endpoint = target
                if target.is_plain and not has_body and not exchange.query and exchange.header("origin") is None:
                    content = target.function(was, *was.values)
                else:
                    content = target.run(was)
            else:
                content = target.run(was)
            is_untouched = was.effects is None and was.extra_fields is None
            if is_untouched and content.__class__ is str and 0 < len(content) < _PLAIN:
                return 200, None, HTML, content.encode()
            return replies.finish(was, content)
        except Exception as error:
            if error.__class__ is not ClientDisconnected:
                return replies.fail(was, error)
            was.end()
            raise
        except BaseException:
            was.end()
            raise

    def converse(self, exchange: Any, point: str, environ: dict[str, Any]) -> Conversation:
        """Return the app's side of a WebSocket; the server calls this for a request that asks for one.

        Args:
            exchange: the request. point: where the app is mounted. environ: for ``was.env``.
        """
        from skitai.saddle.websockets import Conversation

        return Conversation(self, exchange, point, environ)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve a request of any WSGI server (PEP 3333)."""
        return wsgi.serve(self, environ, start_response)

    @property
    def table(self) -> Table:
        """The routes, built when they are first needed; from then on nothing can be added.

        Raises:
            SetupError: a rule and its function do not fit together.
        """
        if self._table is None:
            self._table = Table(self._endpoints())
            self.freeze()
        return self._table

    def _endpoints(self) -> Iterable[Endpoint]:
        for route in self.routes():
            for method in sorted(route.methods) or (*METHODS, ANY):
                yield Endpoint(route, method, guards_of(self, route, method))

    def feeding(self, exchange: Any) -> Feeding:
        """Say how the body of a request is to come; the server asks over HTTP/2, before any of it is there."""
        return grpc_service.feeding(self, exchange)

    # URLs

    @property
    def urls(self) -> Urls:
        """Builds URLs; made when it is first needed."""
        if self._urls is None:
            self._urls = Urls(self.all_routes())
        return self._urls

    def all_routes(self) -> list[Route]:
        """Return all routes, those of parts after those of the app."""
        return list(self.routes())

    def build_url(self, thing: Any, *args: Any, **kwargs: Any) -> str | None:
        """Return the URL of a function, as ``app.build_url("add", 10, num2=60)``; ``was.ab()`` is the same.

        Args:
            thing: the name of a function or the function; or a path with its leading slash, for what lies below the
                mount point besides.
            *args, **kwargs: of the function. Those that are no variables of its rule go into the query.

        Returns:
            ``None`` when there is no such function.

        Raises:
            AssertionError: the arguments do not fit: see :meth:`skitai.saddle.urls.Urls.build`.
        """
        context = current()
        if isinstance(context, Was) and context.app is self:
            return context.ab(thing, *args, **kwargs)
        return self.urls.build(self.mount_point, self, thing, args, kwargs)

    url_for = build_url
    ab = build_url

    # Life

    def begin(self, point: str = "", is_reload: bool = False) -> None:
        """Build the routes and run the start hooks; the server calls this in each worker, before the first request.

        Args:
            point: where the app is mounted. is_reload: run the hooks of a reload.

        Raises:
            SetupError: a rule and its function do not fit together.
        """
        self.mount_point = normal_point(point)
        if self.has_begun:
            return
        self.has_begun = True
        _ = self.table
        life.begin(self, is_reload)
        auth.complain(self)

    def end(self) -> None:
        """Run the shutdown hooks; the server calls this when no request is left."""
        if self.has_begun:
            self.has_begun = False
            life.end(self)

    # Description and tests

    enable_openapi = openapi.enable

    def test_client(self, point: str = "") -> Client:
        """Return a client that talks to the app without sockets and keeps cookies.

        Args:
            point: where the app is to think it is mounted.
        """
        return Client(self, point)
