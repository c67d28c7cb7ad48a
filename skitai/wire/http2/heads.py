"""What the header section of an HTTP/2 message says (RFC 9113 section 8), as the heads that HTTP/1.1 has as well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from skitai.errors import LocalProtocolError, RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.events import RequestHead, ResponseHead
from skitai.wire.fields import Fields, check_field, is_token
from skitai.wire.http2.coders import Raw, raw_field
from skitai.wire.http2.errors import Code, StreamError
from skitai.wire.sections import RequestSection
from skitai.wire.target import check_target

#: Names are tokens in lower case (section 8.2.1).
_is_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++").fullmatch
#: As RFC 9110 section 5.5 has it: no control character, and no blank at either end.
_is_value = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*+(?<![\t ]))?)?").fullmatch
#: Fields that belong to a connection of HTTP/1.1 (section 8.2.2).
OF_CONNECTION: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_OF_REQUEST: Final = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
_LENGTH = re.compile(rb"[0-9]{1,19}").fullmatch


class Refused(Exception):
    """A request that can be read but not accepted.

    Args:
        head: what is known of it. status: of the answer. reason: one sentence.
    """

    def __init__(self, head: RequestHead, status: int, reason: str) -> None:
        super().__init__(reason)
        self.head = head
        self.status = status


# The key is every field of the section with its pseudo-header fields, in their order, and a memory belongs to one set
# of limits and one answer to extended CONNECT: nothing else goes into a head. No head is kept that a session writes
# to. Clients choose what is remembered: past the first bound all is forgotten, past the other nothing is remembered.
_MOST_KEPT: Final = 512
_MOST_BYTES_KEPT: Final = 2048


@lru_cache(maxsize=32)
def _memory_of(limits: Limits, has_connect_protocol: bool) -> dict[tuple[Raw, ...], RequestHead]:
    return {}


class Requests:
    """Makes heads of the requests of one connection, and remembers those that come again.

    Args:
        limits: of a request. has_connect_protocol: whether extended CONNECT was offered (RFC 8441 section 3).
    """

    def __init__(self, limits: Limits, has_connect_protocol: bool = False) -> None:
        self._limits = limits
        self._has_connect_protocol = has_connect_protocol
        self._memory = _memory_of(limits, has_connect_protocol)
        self._last = 0  # hash of what came last and was not remembered

    def head(self, raw: Sequence[Raw]) -> RequestHead:
        """Return the head of a request.

        Raises:
            StreamError: it is malformed (section 8.1.1).
            Refused: it is too large, or for no host that there could be.
        """
        key = tuple(raw)
        kept = self._memory.get(key)
        if kept is not None:
            return kept
        pseudo, fields = split(raw, _OF_REQUEST)
        method, target, authority = self._control_data(pseudo)
        if authority is not None:
            fields = _with_authority(fields, authority)
        head = self._make(method, target, fields, pseudo.get(":protocol"))
        if not head.expects_continue:  # which changes when the body comes
            self._keep(key, head)
        return head

    def _keep(self, key: tuple[Raw, ...], head: RequestHead) -> None:
        """Remember what came twice in a row on one connection, for all of them, as HTTP/1.1 does."""
        number = hash(key)
        if number == self._last and sum([len(name) + len(value) for name, value in key]) <= _MOST_BYTES_KEPT:
            if len(self._memory) >= _MOST_KEPT:
                self._memory.clear()
            self._memory[key] = head
        self._last = number

    def _control_data(self, pseudo: dict[str, str]) -> tuple[str, str, str | None]:
        """Return (method, target, authority); RFC 9113 section 8.3.1, RFC 8441 section 4."""
        method = pseudo.get(":method")
        if not method or not is_token(method):
            raise _malformed("a request without a valid :method")
        authority = pseudo.get(":authority")
        if ":protocol" in pseudo and (method != "CONNECT" or not self._has_connect_protocol):
            raise _malformed("a request with :protocol that was not offered")
        if method == "CONNECT" and ":protocol" not in pseudo:
            if authority is None or ":scheme" in pseudo or ":path" in pseudo:
                raise _malformed("a CONNECT request has :method and :authority only")
            return method, authority, authority
        target = pseudo.get(":path")
        if not target or not pseudo.get(":scheme"):
            raise _malformed("a request without :path or :scheme")
        if target[0] != "/" and not (target == "*" and method == "OPTIONS"):
            raise _malformed("the :path does not begin with a slash")
        return method, target, authority

    def _make(self, method: str, target: str, fields: Fields, protocol: str | None) -> RequestHead:
        limits = self._limits
        if len(target) + len(method) > limits.request_line:
            raise Refused(_bare(method, "/"), 414, "the request target is too long")
        size = sum([len(name) + len(value) + 32 for name, value in fields])
        if len(fields) > limits.header_count or size > limits.header_bytes:
            raise Refused(_bare(method, target), 431, "the header section is too large")
        if not _is_target(target):
            raise Refused(_bare(method, "/"), 400, "the request target has a character that is not allowed")
        try:
            section = RequestSection(fields)
            if section.host is None:
                raise RemoteProtocolError("a request needs :authority or Host")
            check_target("GET" if protocol is not None else method, target)
        except RemoteProtocolError as error:
            raise Refused(_bare(method, target), error.status, str(error)) from error
        head = RequestHead(method, target, 20, section.host, True, section.fields, section.environ)
        if section.length is not None:
            head.length = section.length
        head.expects_continue = section.expects_continue
        head.protocol = protocol
        return head


def upgraded_head(head: RequestHead) -> RequestHead:
    """Return the head of an HTTP/1.1 request that asked for HTTP/2, without what it said about its connection."""
    dropped = {*(name.decode() for name in OF_CONNECTION), "http2-settings"}
    fields = tuple((name, value) for name, value in head.fields if name.lower() not in dropped)
    keys = {"HTTP_" + name.upper().replace("-", "_") for name in dropped}
    environ = {key: value for key, value in head.environ.items() if key not in keys}
    return RequestHead(head.method, head.target, 20, head.host, True, fields, environ)


_is_target = re.compile(r"[!\"$-~]++").fullmatch


def _bare(method: str, target: str) -> RequestHead:
    return RequestHead(method, target, 20, "", True, (), {})


def _with_authority(fields: Fields, authority: str) -> Fields:
    """Put Host in front, which the target's authority stands over (section 8.3.1)."""
    hosts = [value for name, value in fields if name == "host"]
    if any(host.lower() != authority.lower() for host in hosts):
        raise _malformed("Host and :authority differ")
    return [("host", authority), *(field for field in fields if field[0] != "host")]


def split(raw: Sequence[Raw], known: frozenset[bytes]) -> tuple[dict[str, str], Fields]:
    """Return the pseudo-header fields and the others, checked by sections 8.2 and 8.3.

    Args:
        known: pseudo-header fields that this message may have.

    Raises:
        StreamError: the message is malformed.
    """
    pseudo: dict[str, str] = {}
    fields: Fields = []
    for name, value in raw:
        if not _is_value(value):
            raise _malformed("a field value with a control character or a blank at its end")
        if name[:1] == b":":
            if name not in known or fields or name.decode() in pseudo:
                raise _malformed("a pseudo-header field that is unknown, late or there twice")
            pseudo[name.decode()] = value.decode("latin-1")
            continue
        if not _is_name(name):
            raise _malformed("a field name that is no token in lower case")
        if name in OF_CONNECTION or (name == b"te" and value.lower() != b"trailers"):
            raise _malformed("a field that belongs to an HTTP/1.1 connection")
        fields.append((name.decode(), value.decode("latin-1")))
    return pseudo, fields


_OF_RESPONSE: Final = frozenset({b":status"})
_NO_PSEUDO: Final[frozenset[bytes]] = frozenset()


def response_head(raw: Sequence[Raw], most_fields: int) -> ResponseHead:
    """Return the head of a response (section 8.3.2).

    Raises:
        StreamError: it is malformed, or has more than ``most_fields`` fields.
    """
    pseudo, fields = split(raw, _OF_RESPONSE)
    status = pseudo.get(":status", "")
    if len(status) != 3 or not status.isascii() or not status.isdigit() or status < "100":
        raise _malformed("a response without a valid :status")
    if status == "101":
        raise _malformed("there is no 101 in HTTP/2")
    if len(fields) > most_fields:
        raise _malformed("a response with too many fields")
    return ResponseHead(int(status), "", 20, fields, True)


def trailer_fields(raw: Sequence[Raw], most_fields: int) -> Fields:
    """Return the fields of a trailer section (section 8.1). Raises StreamError when it is malformed."""
    if len(raw) > most_fields:
        raise _malformed("a trailer section with too many fields")
    return split(raw, _NO_PSEUDO)[1]


def content_length(raw: Sequence[Raw]) -> int | None:
    """Return the Content-Length of a message. Raises StreamError when there are two, or it is no number."""
    values = {value for name, value in raw if name == b"content-length"}
    if not values:
        return None
    value = values.pop()
    if values or not _LENGTH(value):
        raise _malformed("the Content-Length is not valid")
    return int(value)


def raw_fields(fields: Fields) -> list[Raw]:
    """Return fields as an encoder takes them.

    Raises:
        LocalProtocolError: a name or value is not valid, or belongs to an HTTP/1.1 connection.
    """
    raw = []
    for name, value in fields:
        data = check_field(name, value).encode("latin-1")
        key = name.lower().encode("ascii")
        if key in OF_CONNECTION:
            raise LocalProtocolError(f"a field that HTTP/2 cannot carry: {name!r}")
        raw.append(raw_field(key, data))
    return raw


#: Characters of trailers that are remembered: an app may put whole texts into them.
_LONGEST_TRAILERS_KEPT: Final = 256


def trailer_section(fields: tuple[tuple[str, str], ...]) -> list[Raw]:
    """Return trailers as an encoder takes them; those of most gRPC calls are the same. Errors as :func:`raw_fields`."""
    if sum([len(name) + len(value) for name, value in fields]) > _LONGEST_TRAILERS_KEPT:
        return raw_fields(list(fields))
    return list(_trailer_section(fields))


@lru_cache(maxsize=256)
def _trailer_section(fields: tuple[tuple[str, str], ...]) -> tuple[Raw, ...]:
    # The key is all of the fields, which is all that goes into the result; a tuple that nobody can change.
    return tuple(raw_fields(list(fields)))


def _malformed(message: str) -> StreamError:
    return StreamError(Code.PROTOCOL_ERROR, message)
