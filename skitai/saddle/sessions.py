"""``was.session``: values of one client that last over requests, sealed in a cookie of that client.

What is said of a session is true of one state: whoever keeps an old cookie can send it again until it expires, so
nothing that must be undone at once belongs in it.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from skitai.saddle.dictionary import Dictionary
from skitai.saddle.sealed_cookie import Place, SealedCookie, checked_timeout, shared_place
from skitai.saddle.sealing import keys_of

if TYPE_CHECKING:
    from skitai.saddle.service import Was

#: Seconds that a session lives when it is not used and ``app.session_timeout`` says nothing.
DEFAULT_TIMEOUT = 1200


class Session(SealedCookie, Dictionary):
    """See the module. Values are what JSON has, bytes, dates and tuples; dicts with str keys."""

    commit_order = 10
    content_type = dict
    prefix = "SESS_"
    attribute = "session"

    _values: dict[str, Any]

    @classmethod
    def default_place(cls, was: Was) -> Place:
        """See :class:`~skitai.saddle.sealed_cookie.SealedCookie`."""
        app = was.app
        timeout = DEFAULT_TIMEOUT if app.session_timeout is None else checked_timeout(app.session_timeout)
        return shared_place(cls.prefix, "/", keys_of(app.securekey), timeout, is_secure=was.exchange.scheme == "https")

    # Items; the other methods of a dictionary are in Dictionary

    def set(self, key: str, val: Any) -> None:
        """Set an item. TypeError when ``key`` is no str."""
        if not isinstance(key, str):
            raise TypeError(f"the name of a session value is a str, not {type(key).__name__}")
        self._change()[key] = val

    def getv(self, key: str, default: Any = None) -> Any:
        """Return an item, ``default`` when the client has another address than when it last used the session."""
        return self.get(key, default) if self.source_verified() else default

    def remove(self, key: str) -> None:
        """Remove an item; a missing one is ignored."""
        self._change().pop(key, None)

    def clear(self) -> None:
        """Remove all items, and with them the cookie."""
        self._change().clear()

    # The cookie

    def _read(self) -> dict[str, Any]:
        self._read_once()
        return self._values

    def _change(self) -> dict[str, Any]:
        self._check_in_time()
        return self._read()

    def _take(self, content: Any) -> None:
        self._values = {} if content is None else content

    def _give(self) -> dict[str, Any] | None:
        return self._values or None

    def _find_end(self, now: int) -> int:
        return now + ceil(self._place.timeout)


def open_session(was: Was) -> Session:
    """Return the default session of a request; its cookie is read when it is used."""
    return Session(was, Session.default_place(was), {})
