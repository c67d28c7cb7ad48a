"""Compression of messages, ``permessage-deflate`` (RFC 7692): what two ends agree on, and the coding itself.

We ask for, and grant, no context takeover: between two messages nothing of zlib stays in memory (a compressor holds
some 260 KB, and a decompressor 40 KB), and one compressed frame can be sent to all members of a room.
"""

from __future__ import annotations

import re
import zlib
from typing import Final, NamedTuple

NAME: Final = "permessage-deflate"
MOST_BITS: Final = 15
#: zlib cannot compress with a window of 256 bytes, so an end that may only do that sends everything as it is; to
#: decompress what used one it can take a larger one.
LEAST_BITS: Final = 9

_TAIL: Final = b"\x00\x00\xff\xff"
#: Blocks in one part of a message that may say they are the last one. Each wants a decompressor of its own and a copy
#: of what is behind it; 80 KB of them would take a second.
_MOST_LAST: Final = 32
#: A level past which a text gets little smaller, and memory for the state that is quick to get: with the default of 8
#: a message of 1 KB takes 25 microseconds to compress instead of 3.
_LEVEL: Final = 1
_MEMORY_LEVEL: Final = 5

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = rf'[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"({_TOKEN})"))?'
_extension = re.compile(rf"[ \t]*({_TOKEN})((?:{_PARAMETER})*+)[ \t]*(?:,|$)").match
_parameters = re.compile(_PARAMETER).findall

# Parameters (section 7.1).
_SERVER_FORGETS, _CLIENT_FORGETS = "server_no_context_takeover", "client_no_context_takeover"
_SERVER_BITS, _CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"
_FLAGS = (_SERVER_FORGETS, _CLIENT_FORGETS)


class NotNegotiable(ValueError):
    """What the other end says about its extensions is not valid, or was not asked for."""


class Agreement(NamedTuple):
    """The parameters that hold for a connection, seen from one end.

    Attributes:
        our_bits, their_bits: base 2 logarithm of the window with which each end compresses.
        we_keep, they_keep: the end keeps its window from one message to the next.
    """

    our_bits: int = MOST_BITS
    their_bits: int = MOST_BITS
    we_keep: bool = False
    they_keep: bool = False


#: What a client asks for: see the module. It takes any window of its own that a server wants.
OFFER: Final = f"{NAME}; {_SERVER_FORGETS}; {_CLIENT_FORGETS}; {_CLIENT_BITS}"


def answer(offers: str | None) -> tuple[str, Agreement] | None:
    """Choose among the offers of a client (section 5.1); ``None`` goes without compression.

    Args:
        offers: the value of Sec-WebSocket-Extensions.

    Returns:
        The value of the response's field, and what was agreed.

    Raises:
        NotNegotiable: the value is no list of extensions.
    """
    for name, parameters in _parse(offers or ""):
        if name == NAME:
            found = _accept(parameters)
            if found is not None:
                return found
    return None


def _accept(pairs: list[tuple[str, str]]) -> tuple[str, Agreement] | None:
    """Return the answer to one offer, ``None`` when it has a parameter that is unknown, repeated or not valid."""
    parameters = dict(pairs)
    if len(parameters) != len(pairs) or not parameters.keys() <= {*_FLAGS, _SERVER_BITS, _CLIENT_BITS}:
        return None
    if any(parameters.get(flag) for flag in _FLAGS):
        return None
    ours = _bits(parameters[_SERVER_BITS]) if _SERVER_BITS in parameters else MOST_BITS
    theirs = _bits(parameters[_CLIENT_BITS]) if parameters.get(_CLIENT_BITS) else MOST_BITS
    if ours is None or theirs is None:
        return None
    text = f"{NAME}; {_SERVER_FORGETS}; {_CLIENT_FORGETS}"
    if _SERVER_BITS in parameters:
        text += f"; {_SERVER_BITS}={ours}"
    if parameters.get(_CLIENT_BITS):
        text += f"; {_CLIENT_BITS}={theirs}"
    return text, Agreement(ours, theirs)


def agreed(value: str | None) -> Agreement | None:
    """Read what a server answered to :data:`OFFER`; ``None`` when it goes without compression.

    Raises:
        NotNegotiable: it is not valid, or not among what was offered; the connection must be given up (section 5.1).
    """
    found = _parse(value or "")
    if not found:
        return None
    if len(found) > 1 or found[0][0] != NAME:
        raise NotNegotiable("the server chose an extension that was not offered")
    pairs = found[0][1]
    parameters = dict(pairs)
    if len(parameters) != len(pairs) or not parameters.keys() <= {*_FLAGS, _SERVER_BITS, _CLIENT_BITS}:
        raise NotNegotiable("the server answered with a parameter that is unknown or repeated")
    ours, theirs = (_bits(parameters.get(name, "15")) for name in (_CLIENT_BITS, _SERVER_BITS))
    if ours is None or theirs is None or any(parameters.get(flag) for flag in _FLAGS):
        raise NotNegotiable("the server answered with a value that is not valid")
    return Agreement(ours, theirs, we_keep=False, they_keep=_SERVER_FORGETS not in parameters)


def _bits(value: str) -> int | None:
    """Return a number of window bits (section 7.1.2): 8 to 15 without a leading zero."""
    return int(value) if value in ("8", "9", "10", "11", "12", "13", "14", "15") else None


def _parse(value: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Parse Sec-WebSocket-Extensions (RFC 6455 section 9.1)."""
    found = []
    position = 0
    while value[position:].strip(" \t"):
        match = _extension(value, position)
        if match is None:
            raise NotNegotiable("Sec-WebSocket-Extensions is not valid")
        pairs = [(name, plain or quoted) for name, plain, quoted in _parameters(match[2])]
        found.append((match[1], pairs))
        position = match.end()
    return found


class Inflater:
    """Decompresses the messages of the other end."""

    __slots__ = ("_bits", "_engine", "_keeps")

    def __init__(self, agreement: Agreement) -> None:
        self._bits = -max(agreement.their_bits, LEAST_BITS)
        self._keeps = agreement.they_keep
        self._engine: zlib._Decompress | None = None

    def inflate(self, data: bytes, is_last: bool, most: int) -> bytes | None:
        """Return a part of a message.

        Args:
            is_last: the message ends here. most: bytes that it may still have.

        Returns:
            ``None`` when it has more: nothing larger than ``most`` is ever held.

        Raises:
            zlib.error: it is not what deflate makes.
        """
        if is_last:
            data += _TAIL
        engine = self._engine or zlib.decompressobj(self._bits)
        content = engine.decompress(data, most + 1)
        left = _MOST_LAST
        while engine.eof and engine.unused_data and len(content) <= most:
            # A block that says it is the last one does not end a message (section 7.2.3.4).
            left -= 1
            if not left:
                raise zlib.error("too many blocks say that they are the last one")
            data = engine.unused_data
            engine = zlib.decompressobj(self._bits)
            content += engine.decompress(data, most + 1 - len(content))
        self._engine = None if is_last and not self._keeps else engine
        return None if len(content) > most else content


class Deflater:
    """Compresses our messages, each by itself."""

    __slots__ = ("_bits",)

    def __init__(self, agreement: Agreement) -> None:
        self._bits = -agreement.our_bits

    @property
    def bits(self) -> int:
        """Of the window: messages compressed with equal ones are equal."""
        return -self._bits

    def deflate(self, data: bytes) -> bytes:
        """Return a whole message compressed (section 7.2.1)."""
        engine = zlib.compressobj(_LEVEL, zlib.DEFLATED, self._bits, _MEMORY_LEVEL)
        return (engine.compress(data) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]
