"""``was.mbox``: messages for the user of one client, on the page that is being made or on a later one.

Messages that no page has shown when the request ends wait in a sealed cookie of the client.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from skitai.saddle.cookies import A_HUNDRED_YEARS
from skitai.saddle.sealed_cookie import Place, SealedCookie, shared_place
from skitai.saddle.sealing import keys_of

if TYPE_CHECKING:
    from skitai.saddle.service import Was

#: (message_id, category, created, valid, msg, extra); created in seconds since the epoch, valid in seconds.
Message = tuple[int, str, int, float, Any, dict[str, Any]]


class MessageBox(SealedCookie):
    """See the module. Messages are text, or anything that a session can keep."""

    commit_order = 20
    content_type = list
    prefix = "MBOX_"
    attribute = "mbox"

    _messages: list[Message]
    _shown: set[int]
    _next_id: int

    @classmethod
    def default_place(cls, was: Was) -> Place:
        """See :class:`~skitai.saddle.sealed_cookie.SealedCookie`."""
        is_secure = was.exchange.scheme == "https"
        return shared_place(cls.prefix, "/", keys_of(was.app.securekey), A_HUNDRED_YEARS, is_secure=is_secure)

    def mount(
        self,
        name: str | None = None,
        securekey: Any = None,
        path: str | None = None,
        domain: str | None = None,
        secure: bool = False,
        http_only: bool = False,
        session_timeout: float | None = None,
    ) -> MessageBox:
        """As :meth:`SealedCookie.mount`; AssertionError for a ``session_timeout``: messages have times of their own."""
        if session_timeout is not None:
            raise AssertionError("a message box has no session_timeout: each message is valid for its own time")
        return super().mount(name, securekey, path, domain, secure, http_only)

    # Messages

    def send(self, msg: Any, category: str = "info", valid: float = 0, **extra: Any) -> None:
        """Add a message.

        Args:
            valid: 0: for one page; else seconds for which every page shows it. extra: whatever else goes with it.
        """
        messages = self._change()
        messages.append((self._next_id, category, int(time.time()), valid, msg, extra))
        self._next_id += 1

    def get(self, *wanted: Any) -> list[Message]:
        """Return messages. Those that are valid for one page are removed once the request has ended well.

        Args:
            *wanted: nothing: all messages; one: those of this category; two, ``a`` and ``b``: those whose extra ``a``
                is ``b``, and those of either category; more: those of any of these categories.
        """
        found = [message for message in self._read() if _fits(message, wanted)]
        self._shown.update(message[0] for message in found)
        return found

    def getv(self, *wanted: Any) -> list[Message]:
        """Return what :meth:`get` does, nothing when the client has another address than when it last used the box."""
        return self.get(*wanted) if self.source_verified() else []

    def search(self, key: str, val: Any = None) -> list[int]:
        """Return the ids of messages whose extra ``key`` is ``val``; without ``val`` those of the category ``key``."""
        if val is None:
            return [message[0] for message in self._read() if message[1] == key]
        return [message[0] for message in self._read() if key in message[5] and message[5][key] == val]

    def remove(self, message_id: int) -> None:
        """Remove a message; an unknown id is ignored."""
        messages = self._change()
        messages[:] = [message for message in messages if message[0] != message_id]

    # The cookie

    def _read(self) -> list[Message]:
        self._read_once()
        return self._messages

    def _change(self) -> list[Message]:
        self._check_in_time()
        return self._read()

    def _take(self, content: Any) -> None:
        now = time.time()
        self._messages = [tuple(each) for each in content or () if not _is_over(each, now)]
        self._shown = set()
        self._next_id = max((message[0] + 1 for message in self._messages), default=0)

    def _give(self) -> list[list[Any]] | None:
        now = time.time()
        return [list(each) for each in self._messages if not self._is_done(each, now)] or None

    def _is_done(self, message: Message, now: float) -> bool:
        return _is_over(message, now) if message[3] else message[0] in self._shown

    def _find_end(self, now: int) -> int:
        """When the last of the messages is over; one that waits for a page waits for a hundred years."""
        ends = [_end(each) for each in self._messages if each[3] or each[0] not in self._shown]
        return now + A_HUNDRED_YEARS if None in ends else ceil(max(end for end in ends if end is not None))


def _fits(message: Message, wanted: tuple[Any, ...]) -> bool:
    _, category, _, _, _, extra = message
    if not wanted or category in wanted:
        return True
    # Two are the name and value of an extra in version 0.26, and two categories in 0.15; either fits.
    return len(wanted) == 2 and wanted[0] in extra and bool(extra[wanted[0]] == wanted[1])


def _end(message: Sequence[Any]) -> float | None:
    """Return when a message is over, ``None`` for one that waits for a page."""
    _, _, created, valid, _, _ = message
    return float(created + valid) if valid else None


def _is_over(message: Sequence[Any], now: float) -> bool:
    end = _end(message)
    return end is not None and end <= now


def open_mbox(was: Was) -> MessageBox:
    """Return the default message box of a request; its cookie is read when it is used."""
    return MessageBox(was, MessageBox.default_place(was), {})
