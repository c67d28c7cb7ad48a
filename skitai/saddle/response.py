"""``was.response``: status and header fields of the response, and a way to say them together with the body."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from skitai.saddle import pages
from skitai.saddle.errors import BadRequest
from skitai.wire.fields import Fields, is_field_value, is_token
from skitai.wire.masking import mask_fields
from skitai.wire.response import reason_phrase

if TYPE_CHECKING:
    from skitai.saddle.service import Was

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

#: Fields of which a response may have several; setting them again adds one.
_REPEATABLE = frozenset({"set-cookie", "link", "www-authenticate", "vary", "warning", "via"})
#: Statuses that were parsed before, and fields that were found valid before: an app has few of them.
_statuses: dict[str, tuple[int, str]] = {}
_valid_fields: set[tuple[str, str]] = set()
_MOST_KEPT = 512
#: Statuses whose response has no body (RFC 9110 section 6.4.1).
WITHOUT_BODY = frozenset({204, 304})


def parse_status(status: str) -> tuple[int, str]:
    """Return the number and the text of ``"404 Not Found"``.

    Raises:
        AssertionError: it does not look like that, or is not the status of a final response.
    """
    number, _, reason = status.partition(" ") if isinstance(status, str) else ("", "", "")
    if len(number) != 3 or not (number.isascii() and number.isdigit()) or number < "200" or not reason.strip():
        raise AssertionError(f"a status is a str like '200 OK', not {status!r}")
    if not is_field_value(reason):
        raise AssertionError("the text of a status has a character that is not allowed there")
    parsed = int(number), reason.strip()
    if len(_statuses) < _MOST_KEPT:
        _statuses[status] = parsed
    return parsed


class Response:
    """See the module.

    Args:
        was: of the request.

    Attributes:
        code: the number of the status. reason: its text, ``None`` for the registered one.
    """

    commit_order = 100  # nothing to do after it: the fields are in it already

    def __init__(self, was: Was) -> None:
        self._was = was
        self.code = 200
        self.reason: str | None = None
        self.fields: Fields = []

    def __call__(
        self,
        status: str = "200 OK",
        body: Any = None,
        headers: Iterable[tuple[str, str]] | None = None,
        exc_info: ExcInfo | None = None,
    ) -> Any:
        """Set status and header fields, and return the body for the function to return.

        Args:
            status: as ``"404 Not Found"``.
            body: anything that a function may return; without one the page of the status is made.
            headers: (name, value) pairs; they replace fields of these names that were set before.
            exc_info: what ``sys.exc_info()`` returned; its traceback goes into the page, also when the app is not in
                debug mode.

        Raises:
            AssertionError: the status does not look like that.
            BadRequest: a field has a line break or another character that is not allowed.
        """
        self.set_status(status)
        if headers:
            self.set_headers(headers)
        if (body is None and self.code not in WITHOUT_BODY) or (body == "" and self.code >= 400):
            trace = "".join(traceback.format_exception(*exc_info)) if exc_info is not None and exc_info[0] else ""
            self.set_header("Content-Type", pages.CONTENT_TYPE)
            return pages.render(self._was, self.code, self.get_status()[4:], "", trace)
        return b"" if body is None else body

    # The status

    def set_status(self, status: str) -> None:
        """Set the status, as ``"404 Not Found"``. Raises AssertionError when it does not look like that."""
        self.code, self.reason = _statuses.get(status) or parse_status(status)

    def get_status(self) -> str:
        """Return the status, as ``"404 Not Found"``."""
        return f"{self.code} {reason_phrase(self.code) if self.reason is None else self.reason}"

    # The header fields

    def set_header(self, name: str, value: str) -> None:
        """Set a field. Of Set-Cookie, Link, WWW-Authenticate and Vary a further one is added, others are replaced.

        Raises:
            BadRequest: name or value has a character that is not allowed. Such a value nearly always came with the
                request, from someone who wants two responses to be made of one.
        """
        field = (name, value if value.__class__ is str else str(value))
        if field not in _valid_fields:
            _check(*field)
        if self.fields and name.lower() not in _REPEATABLE:
            self.del_header(name)
        self.fields.append(field)

    def set_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Set several fields, given as (name, value) pairs."""
        for name, value in headers:
            self.set_header(name, value)

    def get_header(self, name: str, default: str | None = None) -> str | None:
        """Return a field that was set; name in any case."""
        key = name.lower()
        for each, value in self.fields:
            if each.lower() == key:
                return value
        return default

    def get_headers(self) -> Fields:
        """Return the (name, value) pairs that were set."""
        return list(self.fields)

    def del_header(self, name: str) -> None:
        """Take back all fields of a name."""
        key = name.lower()
        self.fields = [field for field in self.fields if field[0].lower() != key]

    def hint_promise(self, uri: str) -> None:
        """Tell the client, before the response, that it will need ``uri`` of this server.

        Over HTTP/2 the response to a GET of ``uri`` is pushed, or a client that takes no pushes is sent 103 Early Hints
        with ``Link: rel=preload``. Over HTTP/1, and after the response has begun, nothing happens.
        """
        self._was.exchange.hint_promise(uri)

    # As a dictionary of fields

    def __getitem__(self, name: str) -> str | None:
        return self.get_header(name)

    def __setitem__(self, name: str, value: str) -> None:
        self.set_header(name, value)

    def __delitem__(self, name: str) -> None:
        self.del_header(name)

    def __contains__(self, name: str) -> bool:
        return self.get_header(name) is not None

    @property
    def has_type(self) -> bool:
        """Whether Content-Type was set."""
        return any(name == "Content-Type" or name.lower() == "content-type" for name, _ in self.fields)

    def commit(self) -> None:
        """See :class:`~skitai.saddle.lazy.Effect`."""

    def __repr__(self) -> str:
        return f"<Response {self.get_status()} {mask_fields(self.fields)}>"


def _check(name: str, value: str) -> None:
    if not is_token(name) or not is_field_value(value):
        raise BadRequest("what the request asks for cannot be said in a header field")
    # Values that come with requests would fill it with what is never said again.
    if len(_valid_fields) < _MOST_KEPT and len(value) < 64:
        _valid_fields.add((name, value))
