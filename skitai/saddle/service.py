"""``was`` of one request that Saddle serves: the services of :mod:`skitai.was`, and what a web page needs besides.

It is made once per request, passed to every function, and is what ``from skitai import was`` finds meanwhile. To add
an attribute: write a file with what makes it, and name it below by :class:`~skitai.saddle.lazy.lazy` (made when first
used), :class:`~skitai.saddle.lazy.effect` (and may change the response), or as a method that takes ``was``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from skitai.saddle import async_response, environ, shortcuts, templates, websocket_calls
from skitai.saddle.cookies import Cookies
from skitai.saddle.lazy import Effect, effect, lazy, weakly
from skitai.saddle.mbox import open_mbox
from skitai.saddle.request import Request
from skitai.saddle.response import Response
from skitai.saddle.sessions import open_session
from skitai.saddle.streams import Body
from skitai.was._context import Context
from skitai.wire.fields import Fields

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.endpoint import Endpoint
    from skitai.saddle.grpc_call import GrpcCall
    from skitai.saddle.part import Part


class Global:
    """``was.g``: empty, for whatever the functions and hooks of one request want to tell each other."""

    def __repr__(self) -> str:
        return f"<g {self.__dict__}>"


class Was(Context):
    """See the module.

    Args:
        app: the main app, also inside a part of it. exchange: the request and its response. point: where the app is
            mounted, ``""`` for the root. path: of the request below that, still percent-encoded.

    Attributes:
        endpoint: what the request is routed to, ``None`` before. values: of the variables of its rule.
        event: of a WebSocket that a function is called for.
        effects: what was used that may change the response. extra_fields: header fields of the response, whatever it
            will be, also that of an error. grpc_call: of a call of gRPC.
    """

    # What most requests leave alone stays on the class.
    endpoint: Endpoint | None = None
    event: str | None = None
    grpc_call: GrpcCall
    values: Sequence[Any] = ()
    effects: list[Effect] | None = None
    extra_fields: Fields | None = None
    _enders: list[Callable[[], object]] | None = None

    def __init__(self, app: Saddle, exchange: Any, point: str, path: str) -> None:
        self.app = app
        self.exchange = exchange
        self.point = point
        self.path = path

    request = lazy(weakly(Request))
    response = effect(Response)
    g = lazy(lambda was: Global())
    env = lazy(weakly(environ.make_environ))
    cookie = effect(Cookies)
    session = effect(open_session)
    mbox = effect(open_mbox)

    @property
    def subapp(self) -> Part:
        """The part of the app that the function is in."""
        return self.app if self.endpoint is None else self.endpoint.route.part

    def ab(self, thing: Any, *args: Any, **kwargs: Any) -> str | None:
        """Return the URL of a function: see :meth:`skitai.saddle.app.Saddle.build_url`."""
        return self.app.urls.build(self.point, self.subapp, thing, args, kwargs)

    # WebSockets

    #: The WebSocket that a function is called for: see :class:`skitai.saddle.websockets.SocketWas`.
    websocket: Any = None

    wsinit = websocket_calls.wsinit
    wsopened = websocket_calls.wsopened
    wsclosed = websocket_calls.wsclosed
    wshasevent = websocket_calls.wshasevent
    wsclient = websocket_calls.wsclient
    wsconfig = websocket_calls.wsconfig

    # For files that add to a response

    def add_extra_field(self, name: str, value: str) -> None:
        """Give the response a header field, whatever it will be, also that of an error; the same one only once."""
        fields = self.extra_fields or []
        if (name, value) not in fields:
            self.extra_fields = [*fields, (name, value)]

    def at_end(self, ender: Callable[[], object]) -> None:
        """Call something once when the request is over: its response was sent or broke off, or none will be sent."""
        if self._enders is None:
            self._enders = []
            self.effects = self.effects or []  # a request with effects takes the way on which this is looked at
        self._enders.append(ender)

    def end(self, body: Any = None) -> None:
        """Call what waits for the end of the request: now, or when ``body`` is closed."""
        enders, self._enders = self._enders or [], None
        for ender in enders:
            if isinstance(body, Body):
                body.on_close(ender)
            else:
                ender()

    # Responses in one word

    aresponse = async_response.aresponse
    redirect = shortcuts.redirect
    jstream = shortcuts.jstream
    xstream = shortcuts.xstream
    gstream = shortcuts.gstream
    fstream = shortcuts.fstream
    render_ei = shortcuts.render_ei
    render = templates.render
    render2 = templates.render2
