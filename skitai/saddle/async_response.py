"""``was.aresponse()``: a response that is made of the results of requests, while no slot is held.

The function starts requests and returns at once. Each result comes to the response handler, one at a time, on a
greenlet of its own; what that pushes is sent by the greenlet of the request, which otherwise sleeps.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from gevent.event import Event
from greenlet import GreenletExit

from skitai.net import logs
from skitai.net import pool as workers
from skitai.saddle import pages
from skitai.saddle.proxied_calls import NAMES, ProxiedService
from skitai.saddle.streams import Body
from skitai.wire.fields import Fields

if TYPE_CHECKING:
    from skitai.saddle.service import Was
    from skitai.was._result import Result

Content = str | bytes | bytearray | memoryview

#: Bytes that wait for a slow client; above it ``push()`` waits until some of them are sent.
MOST_WAITING: Final = 256 * 1024


class _Markup(str):
    """HTML that a template made. Templates do not escape it again; for anything else it is a str."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


class ResProxy(Body):
    """The response, and what starts the requests that it is made of.

    Args:
        was: of the request.
        response_handler: called as ``response_handler(response, proxy)`` with each result, also with failed ones.
        prolog: sent before what is pushed first. epilog: sent after the rest.
        timeout: seconds that the response waits for ``push()`` or ``done()`` while it has no request under way;
            ``None`` waits for as long as it takes.
    """

    def __init__(
        self,
        was: Was,
        response_handler: Callable[[Any, ResProxy], object],
        prolog: Content | None = None,
        epilog: Content | None = None,
        timeout: float | None = 60.0,
    ) -> None:
        if not callable(response_handler):
            raise TypeError("a response handler is a function that takes response and proxy")
        super().__init__()
        #: For templates: ``was`` of the request, read only from the moment on when the response has begun.
        self.was = was
        self._calling = was
        self._handler = response_handler
        self._prolog = _encode(prolog)
        self._epilog = _encode(epilog)
        self._timeout = timeout
        self._parts: dict[str | None, Any] = {}
        self._started = 0
        self._handled = 0
        self._results: deque[Result] = deque()
        self._is_handling = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_open = False
        self._is_over = False
        self._news = Event()
        self._room = Event()

    # For response handlers. The services are added below.

    def fetched_all(self) -> bool:
        """Tell whether every request has its response, counting the one that is handled now."""
        return self._started == self._handled

    def push(self, content: Content) -> None:
        """Send a part of the response; waits while a slow client has too much before it. Ignored after the end.

        Raises:
            TypeError: it is neither str nor bytes.
        """
        data = _encode(content)
        # Before the response is open nobody takes anything away, and the function would wait for itself.
        while self._is_open and self._size >= MOST_WAITING and not self._is_over:
            self._room.clear()
            self._room.wait()
        self._add(data)

    def done(self, content: Content | None = None) -> None:
        """End the response, after ``content``. The handler must call it; what comes later is ignored."""
        if content is not None:
            self.push(content)
        if not self._is_over:
            self._pieces += [self._prolog, self._epilog]
            self._is_over = True
            self._news.set()
            self._room.set()

    def render(self, template_file: str, *args: Any, **values: Any) -> str:
        """Render a template as ``was.render()`` does; ``was`` in it can be read only."""
        from skitai.saddle.jinja import is_escaped  # which imports Jinja2: only whoever renders needs that

        page = self.was.render(template_file, *args, **values)
        return _Markup(page) if is_escaped(template_file) else page

    def render_all(self, template_file: str) -> str:
        """Render a template with all stored parts as variables that have the names of their requests.

        A part that :meth:`render` made goes into it as it is; text is escaped as in every template.
        """
        return self.render(template_file, {name: part for name, part in self._parts.items() if name is not None})

    def __setitem__(self, reqid: str | None, part: Any) -> None:
        self._parts[reqid] = part

    def __getitem__(self, reqid: str | None) -> Any:
        return self._parts.get(reqid)

    # For the services

    def count(self) -> None:
        """One more request was started."""
        self._started += 1

    def take(self, result: Result) -> None:
        """One of them has its result. Called on a worker."""
        self._results.append(result)
        if self._is_open:
            self._handle_all()

    # Sending; see Body

    def send(self, exchange: Any, status: int, fields: Fields, reason: str | None) -> None:
        """See :class:`~skitai.saddle.streams.Body`. The head goes out at once, before there is any result."""
        try:
            exchange.start(status, fields, reason)
            exchange.write(b"")
            self._open()
            if exchange.method != "HEAD":
                for piece in self:
                    exchange.write(piece)
            exchange.finish()
        finally:
            self.close()

    def __iter__(self) -> Iterator[bytes]:
        self._open()
        while True:
            if self._pieces:
                pieces, self._pieces, self._size = self._pieces, [], 0
                self._room.set()
                data = b"".join(pieces)
                if data:
                    yield data
            elif self._is_over:
                return
            else:
                self._await_news()

    def close(self) -> None:
        """Drop what is not sent. Requests under way end by themselves, and the handler gets their results."""
        self._open()  # a server that is asked by HEAD iterates over nothing
        self._is_over = True
        self._pieces = []
        self._news.set()
        self._room.set()
        super().close()

    # Internals

    def _open(self) -> None:
        """From now on results are handled: what the function had to say of the response was said."""
        if self._is_open:
            return
        from skitai.saddle.late import LateWas  # which is a Was, and that names this module

        self.was = LateWas(self.was, self._closers)
        self._is_open = True
        if self._results:
            workers.spawn(self._handle_all)

    def _handle_all(self) -> None:
        if self._is_handling:
            return  # whoever does so takes what came in the meantime as well
        self._is_handling = True
        try:
            self.was.activate()
            while self._results:
                self._handle(self._results.popleft())
        finally:
            self._is_handling = False
            self._news.set()

    def _handle(self, result: Result) -> None:
        self._handled += 1
        try:
            self._handler(result, self)
        except GreenletExit:
            raise
        except BaseException as error:  # sys.exit() in a handler ends its response, and not the server
            logs.current().app.traceback(tag=self.was.log_tag, error=error)
            self._break_off("".join(traceback.format_exception(error)) if self.was.app.debug else "")

    def _await_news(self) -> None:
        """Wait for something to send. Requests end in time, so only when there is none may the wait be in vain."""
        self._news.clear()
        if not self._is_idle:
            self._news.wait()
        elif not self._news.wait(self._timeout) and self._is_idle:
            request = f"{self.was.exchange.method} {self.was.exchange.target}"
            text = f"the async response to {request} is broken off: its handler did not call proxy.done()"
            logs.current().app.log(text, "error", self.was.log_tag)
            self._break_off("")

    @property
    def _is_idle(self) -> bool:
        return not self._is_handling and self._started == self._handled

    def _break_off(self, trace: str) -> None:
        """End the response with a box that says so."""
        self._add(pages.render_box(self.was, self._is_html, trace).encode())
        self.done()

    @property
    def _is_html(self) -> bool:
        # That of this request, before it was late: nothing can be said of it any more.
        response = self.was.__dict__.get("response")
        return response is None or (response.get_header("content-type") or "text/html").startswith("text/html")

    def _add(self, data: bytes) -> None:
        if data and not self._is_over:
            self._pieces += [self._prolog, data]
            self._prolog = b""
            self._size += len(data)
            self._news.set()

    def __repr__(self) -> str:
        state = "over" if self._is_over else "open" if self._is_open else "new"
        return f"<ResProxy {state}, {self._handled} of {self._started} responses, {self._size} bytes waiting>"


def _service(name: str) -> property:
    def make(proxy: ResProxy) -> ProxiedService:
        return ProxiedService(proxy, getattr(proxy._calling, name))

    return property(make, doc=f"``was.{name}``, with a reqid in front.")


for _name in NAMES:
    setattr(ResProxy, _name, _service(_name))


def _encode(content: Content | None) -> bytes:
    if content is None:
        return b""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    raise TypeError(f"a part of a response is str or bytes, not {type(content).__name__}")


def aresponse(
    was: Was,
    response_handler: Callable[[Any, ResProxy], object],
    prolog: Content | None = None,
    epilog: Content | None = None,
    *,
    timeout: float | None = 60.0,
) -> ResProxy:
    """Return an async response: start requests with it, and return it. See :class:`ResProxy` for the arguments.

    def response_handler(response, proxy):
        proxy.done(response.content)

    @app.route("/index")
    def index(was):
        proxy = was.aresponse(response_handler)
        proxy.get(None, "https://pypi.example.org/pypi/skitai")
        return proxy
    """
    return ResProxy(was, response_handler, prolog, epilog, timeout)
