"""The header section of a request: its fields, and what they say about framing and host for any request line."""

from __future__ import annotations

import re

from skitai.errors import RemoteProtocolError
from skitai.wire.fields import Fields, cgi_name, cgi_names, is_token, tokens
from skitai.wire.target import is_valid_host

_LENGTH = re.compile(r"[0-9]{1,19}")

# Fields that say how long a request is or for which site it is: two of them would be two answers.
_ONLY_ONCE = {
    "HTTP_HOST": "Host",
    "CONTENT_LENGTH": "Content-Length",
    "HTTP_TRANSFER_ENCODING": "Transfer-Encoding",
}
# ``Content_Length`` is a valid name of an unknown field, but a CGI gateway in front of us reads it as Content-Length.
_FRAMING_NAMES = frozenset({"content-length", "transfer-encoding"})


class RequestSection:
    """One header section.

    Args:
        fields: all of its fields; a new list.

    Attributes:
        fields: (name, value) as sent. environ: the same under their CGI names; both are shared, so never changed.
        host: the value of Host, ``None`` when there is none.
        keep_alive_11, keep_alive_10: whether a client of that version wants the connection kept.
        length, chunked: the framing of the body. expects_continue, upgrade: as of an HTTP/1.1 request.
        plain_host: the host when nothing but a target is missing: no body, expectation or upgrade. Else ``None``.

    Raises:
        RemoteProtocolError: 400, 417 or 501: two answers to how long the request is or for whom, or none that is valid.
    """

    # Few requests change these, so they stay on the class.
    keep_alive_11 = True
    keep_alive_10 = False
    length: int | None = None
    chunked = False
    expects_continue = False
    upgrade = ""

    def __init__(self, fields: Fields) -> None:
        self.fields = tuple(fields)
        self.environ = environ = _environ(fields)
        self.host = host = environ.get("HTTP_HOST")
        if host is not None and not is_valid_host(host):
            raise RemoteProtocolError("the value of the Host field is not valid")
        if "HTTP_CONNECTION" in environ:
            options = tokens(environ["HTTP_CONNECTION"])
            self.keep_alive_11 = "close" not in options
            self.keep_alive_10 = "keep-alive" in options and self.keep_alive_11
            if "upgrade" in options:
                self.upgrade = environ.get("HTTP_UPGRADE", "")
        self.plain_host = host if not self.upgrade else None
        if "HTTP_TRANSFER_ENCODING" in environ or "CONTENT_LENGTH" in environ or "HTTP_EXPECT" in environ:
            self.plain_host = None
            self._read_framing(environ)

    def _read_framing(self, environ: dict[str, str]) -> None:
        if "HTTP_TRANSFER_ENCODING" in environ:
            _check_codings(environ)
            self.chunked = True
        elif "CONTENT_LENGTH" in environ:
            self.length = _content_length(environ["CONTENT_LENGTH"])
        if "HTTP_EXPECT" in environ:
            self.expects_continue = _expects_continue(environ["HTTP_EXPECT"])


def _environ(fields: Fields) -> dict[str, str]:
    try:
        environ = {cgi_names[name]: value for name, value in fields}
    except KeyError:
        environ = {cgi_name(name): value for name, value in fields}
    if len(environ) != len(fields):
        environ = _joined(fields)
    if "" in environ:
        _refuse_lookalikes(fields)
        del environ[""]
    return environ


def _joined(fields: Fields) -> dict[str, str]:
    """Join the values of repeated fields (RFC 9110 section 5.3), of Cookie by a semicolon (RFC 9113 section 8.2.3)."""
    environ: dict[str, str] = {}
    for name, value in fields:
        key = cgi_name(name)
        if key not in environ:
            environ[key] = value
        elif key in _ONLY_ONCE:
            raise RemoteProtocolError(f"more than one {_ONLY_ONCE[key]} field")
        else:
            environ[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value
    return environ


def _refuse_lookalikes(fields: Fields) -> None:
    for name, _ in fields:
        if "_" in name and name.lower().replace("_", "-") in _FRAMING_NAMES:
            raise RemoteProtocolError("a field that others could take for Content-Length or Transfer-Encoding")


def _content_length(value: str) -> int:
    """``1*DIGIT`` (RFC 9110 section 8.6). A list of equal numbers may be refused and is."""
    if not _LENGTH.fullmatch(value):
        raise RemoteProtocolError("the value of Content-Length is not valid")
    return int(value)


def _check_codings(environ: dict[str, str]) -> None:
    """Accept ``Transfer-Encoding: chunked`` alone (RFC 9112 sections 6.1 and 6.3)."""
    if "CONTENT_LENGTH" in environ:
        raise RemoteProtocolError("Content-Length together with Transfer-Encoding")
    value = environ["HTTP_TRANSFER_ENCODING"].lower()
    if value != "chunked":
        codings = [each.strip(" \t") for each in value.split(",")]
        is_length_known = codings[-1] == "chunked" and codings.count("chunked") == 1 and all(map(is_token, codings))
        raise RemoteProtocolError("the only transfer coding is chunked", 501 if is_length_known else 400)


def _expects_continue(value: str) -> bool:
    expectations = tokens(value)
    if any(each != "100-continue" for each in expectations):
        raise RemoteProtocolError("the only expectation is 100-continue", 417)
    return bool(expectations)
