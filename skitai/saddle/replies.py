"""From what a function returned, or raised, to the response: status, reason, header fields and body."""

from __future__ import annotations

import traceback
from functools import partial
from html import escape
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from skitai.errors import RemoteProtocolError
from skitai.net import logs
from skitai.saddle import compression, pages
from skitai.saddle.contents import to_body
from skitai.saddle.errors import HttpError, MissingSlash, NothingReturned
from skitai.saddle.response import WITHOUT_BODY
from skitai.saddle.streams import Body, Stream
from skitai.wire.fields import Fields
from skitai.wire.response import reason_phrase

if TYPE_CHECKING:
    from skitai.saddle.lazy import Effect
    from skitai.saddle.service import Was

#: Status, its text (``None`` for the registered one), header fields, body.
Reply = tuple[int, str | None, Fields, bytes | Body]

_commit_order = attrgetter("commit_order")

#: Fields of a response of which the app said nothing. Shared: nobody may change it.
HTML: Fields = [("Content-Type", "text/html")]


def finish(was: Was, content: Any) -> Reply:
    """Return the response for what a function returned; commits cookies, sessions and what else there is.

    Raises:
        TypeError: it returned something that cannot be sent. Nothing was committed then.
    """
    if content is None:
        content = _for_none(was)
    body = content.encode() if content.__class__ is str else to_body(content)
    if isinstance(body, Stream):
        body.explain = partial(fail, was)
    code, reason, fields, has_type = 200, None, [], False
    if was.effects is not None:
        _commit(was.effects, body)
        response = was.__dict__.get("response")
        if response is not None:
            code, reason, fields, has_type = response.code, response.reason, response.fields, response.has_type
        was.end(body)
    if was.extra_fields:
        fields = fields + was.extra_fields
    if body == b"":
        # A body of no bytes has no type, unless the app says so: for HEAD it is that of the body of GET.
        return code, reason, fields, b""
    if code in WITHOUT_BODY:
        if not isinstance(body, bytes):
            body.close()
        return code, reason, fields, b""
    if not has_type:
        fields = [*fields, HTML[0]]
    if body.__class__ is bytes and len(body) <= compression.MOST_PLAIN:
        return code, reason, fields, body
    return code, reason, fields, compression.encode(was, code, fields, body)


def _for_none(was: Was) -> str:
    """Return the content of a response whose function returned ``None``.

    Raises:
        NothingReturned: it has not said that its response is one without a body.
    """
    response = was.__dict__.get("response")
    if response is not None and response.code in WITHOUT_BODY:
        return ""
    function = was.request.routed_function
    raise NothingReturned("the app" if function is None else getattr(function, "__qualname__", repr(function)))


def _commit(effects: list[Effect], body: bytes | Body) -> None:
    """Put what was changed into the response. When that cannot be, as with a large cookie, its body is closed."""
    if len(effects) > 1:
        effects.sort(key=_commit_order)
    try:
        for each in effects:
            each.commit()
    except Exception:
        if isinstance(body, Body):
            body.close()
        raise


def fail(was: Was, error: Exception) -> Reply:
    """Return the response for an exception, and log it. What the request changed so far is not sent.

    A client that did something wrong gets a page of that status. For any other error the client learns the id of the
    request, under which the log has the traceback; in debug mode it gets the traceback itself.
    """
    was.end()
    if isinstance(error, MissingSlash):
        return _to_slash(was)
    if isinstance(error, HttpError):
        status, detail, fields = error.status, error.detail, error.fields
    elif isinstance(error, RemoteProtocolError):
        status, detail, fields = error.status, str(error), []
    else:
        status, detail, fields = 500, f"The error was logged under {was.txnid()}.", []
    trace = ""
    if status >= 500:
        logs.current().app.traceback(tag=was.log_tag, error=error)
        if was.app.debug:
            trace = "".join(traceback.format_exception(error))
    elif status not in (404, 405):  # those are in the request log
        request = f"{was.exchange.method} {was.exchange.target}"
        logs.current().app.log(f"{status} for {request}: {detail or reason_phrase(status)}", "warn", was.log_tag)
    page = pages.render(was, status, reason_phrase(status), detail, trace)
    return status, None, [("Content-Type", pages.CONTENT_TYPE), *fields, *(was.extra_fields or ())], page.encode()


def _to_slash(was: Was) -> Reply:
    """Send a client to the same URL with a slash behind its path."""
    exchange = was.exchange
    # Only slashes in front would make it a reference to another host (RFC 3986 section 4.2).
    location = "/" + exchange.raw_path.lstrip("/") + "/" + ("?" + exchange.query if exchange.query else "")
    location = location.replace("\\", "%5C")  # browsers take it for a slash
    link = f'<a href="{escape(location)}">{escape(location)}</a>'
    page = f"<html><head><title>Moved</title></head><body>{link}</body></html>"
    # A browser repeats anything but GET and HEAD as it was only after 308 (RFC 9110 section 15.4.9).
    status = 301 if exchange.method in ("GET", "HEAD") else 308
    return status, None, [("Location", location), ("Content-Type", pages.CONTENT_TYPE)], page.encode()
