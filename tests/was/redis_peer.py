"""A server that speaks the protocol of Redis and says what a test wants, however wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .conftest import Link, Peer, Peers

#: What to send for a command; ``None`` closes the connection, ``b""`` is silence.
Say = Callable[[list[str], "RedisPeer"], bytes | None]

HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"


class RedisPeer:
    """A peer that answers the greeting, and to all else what ``say(words, peer)`` returns.

    Attributes:
        received: commands beyond the greeting. greetings: those of it. links: the connections.
    """

    def __init__(self, peers: Peers, say: Say, greet: Say | None = None) -> None:
        self.received: list[list[str]] = []
        self.greetings: list[list[str]] = []
        self.links: list[Link] = []
        self._say = say
        self._greet = greet or (lambda words, peer: HELLO if words[0] == "HELLO" else b"+OK\r\n")
        self.peer: Peer = peers(self._serve)

    @property
    def address(self) -> str:
        return self.peer.address

    def _serve(self, link: Link) -> None:
        self.links.append(link)
        for words in _commands(link):
            is_greeting = words[0] in ("HELLO", "AUTH") or words[:2] == ["CLIENT", "SETINFO"]
            (self.greetings if is_greeting else self.received).append(words)
            said = (self._greet if is_greeting else self._say)(words, self)
            if said is None:
                return
            link.send(said)


def _commands(link: Any) -> Iterator[list[str]]:
    while count := link._until(b"\r\n"):
        words = []
        for _ in range(int(count[1:])):
            size = int(link._until(b"\r\n")[1:])
            words.append(link._exactly(size + 2)[:-2].decode())
        yield words
