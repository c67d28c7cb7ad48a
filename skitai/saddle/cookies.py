"""``was.cookie``: the cookies of a request, and those that its response sets."""

from __future__ import annotations

import time
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from skitai.net import logs
from skitai.saddle.dictionary import Dictionary
from skitai.saddle.errors import BadRequest, CookieTooLarge
from skitai.wire.cookies import MOST_BYTES, Attributes, parse_cookies, set_cookie

if TYPE_CHECKING:
    from skitai.saddle.service import Was

#: What ``expires="never"`` means, in seconds.
A_HUNDRED_YEARS = 36525 * 24 * 3600

#: How the names of sealed cookies begin, see :mod:`skitai.saddle.sealed_cookie`; :meth:`Cookies.clear` leaves them.
SEALED_PREFIXES = ("SESS_", "MBOX_")

#: What a mount point may have in a cookie path, as a browser sends it (RFC 3986 section 3.3, without ";").
_SAFE = "/~!$&'()*+,=:@"


class Cookies(Dictionary):
    """See the module. What is set here can be read at once, and is sent unless the request ends in an exception.

    Args:
        was: of the request.
    """

    __slots__ = ("_is_committed", "_lines", "_others", "_values", "_was")

    commit_order = 50

    def __init__(self, was: Was) -> None:
        self._was = was
        self._values: dict[str, str] = {}
        self._others: dict[str, list[str]] = {}
        self._lines: dict[tuple[str, str, str | None], str] = {}
        self._is_committed = False
        field = was.exchange.header("cookie")
        if field:
            self._take(field)

    def _take(self, field: str) -> None:
        pairs, unreadable = parse_cookies(field)
        for name, value in pairs:
            # The one with the longest path comes first, and is the one that is meant (RFC 6265 section 5.4).
            if name in self._values:
                self._others.setdefault(name, []).append(value)
            else:
                self._values[name] = value
        if unreadable:
            text = f"{unreadable} cookies of the request are ignored: they cannot be read"
            logs.current().app.log(text, "warn", self._was.log_tag)

    def _read(self) -> dict[str, str]:
        return self._values

    def get_all(self, key: str) -> list[str]:
        """Return all values of a name: a browser sends one for each path and domain that it was set for."""
        return [self._values[key], *self._others.get(key, ())] if key in self._values else []

    def set(
        self,
        key: str,
        val: str | float,
        expires: float | str | None = None,
        path: str | None = None,
        domain: str | None = None,
        secure: bool = False,
        http_only: bool = False,
        same_site: str | None = "Lax",
    ) -> None:
        """Set a cookie.

        Args:
            key, val: any text; a number becomes text.
            expires: seconds from now; ``None``: when the browser is closed; 0 or ``"now"``: at once, which removes it;
                ``"never"``: in a hundred years.
            path: below which the browser sends it; ``None``: the mount point of the app. domain: that shares it.
            secure: sent over TLS only. http_only: not shown to scripts.
            same_site: ``"Lax"``: not sent with requests that other sites make, but with links from there; ``"Strict"``:
                neither; ``"None"``: with all, and needs ``secure``; ``None``: as the browser likes.

        Raises:
            CookieTooLarge: browsers would drop it.
            BadRequest: a text, the path or the domain has what cannot be there. It nearly always came with the request.
            ValueError: ``expires`` or ``same_site`` is none of the above, or ``key`` is empty.
            TypeError: ``val`` is neither text nor a number.
            RuntimeError: the header section of the response has been made already.
        """
        if not key:
            raise ValueError("a cookie has a name")
        if not isinstance(val, str):
            if not isinstance(val, (int, float)):
                raise TypeError(f"the value of a cookie is a str or a number, not {type(val).__name__}")
            val = str(val)
        age = _age(expires)
        place = self.default_path if path is None else path
        attributes = _attributes(place, domain, secure, http_only, same_site)
        if age is not None and age <= 0:
            self._send(key, "", 0, attributes)
            self._forget(key)
        else:
            self._send(key, val, age, attributes)
            self._values[key] = val
            self._others.pop(key, None)

    def remove(self, key: str, path: str | None = None, domain: str | None = None) -> None:
        """Remove a cookie; path and domain must be those that it was set for."""
        self.set(key, "", 0, path, domain)

    def clear(self, path: str | None = None, domain: str | None = None) -> None:
        """Remove all cookies but those of sessions and message boxes; path and domain as :meth:`remove`."""
        for key in self.keys():
            if key and not key.startswith(SEALED_PREFIXES):
                self.remove(key, path, domain)

    def _forget(self, key: str) -> None:
        self._values.pop(key, None)
        self._others.pop(key, None)

    @property
    def default_path(self) -> str:
        """The mount point of the app, percent-encoded; ``"/"`` for the root."""
        return _quoted(self._was.point) if self._was.point else "/"

    def _send(self, key: str, val: str, age: int | None, attributes: Attributes) -> None:
        if self._is_committed or is_started(self._was):
            raise RuntimeError(f"cookie {key!r} comes too late: the header section of the response has been made")
        # A cookie that is removed gets a date long past: a browser's clock may be slow.
        expires = None if age is None else time.time() + age if age else 0
        try:
            line = set_cookie(key, val, attributes, expires, age or 0)
        except UnicodeEncodeError:
            raise BadRequest("a cookie cannot have such a name or value") from None
        if len(line) > MOST_BYTES and age != 0:
            raise CookieTooLarge(key, len(line), MOST_BYTES)
        place = (key, attributes.path, attributes.domain)
        self._lines.pop(place, None)  # so that the order of the fields is the order of the calls
        self._lines[place] = line

    def commit(self) -> None:
        """See :class:`~skitai.saddle.lazy.Effect`."""
        # Not by set_header(): all in a line was quoted or checked when it was made.
        for line in self._lines.values():
            self._was.response.fields.append(("Set-Cookie", line))
        self._is_committed = True

    def __getattr__(self, name: str) -> str | None:
        """``was.cookie.username`` in templates: a cookie whose name is no method's, ``None`` when it is missing."""
        if name.startswith("__"):  # Python itself asks for these, and expects them to be missing
            raise AttributeError(name)
        return self._values.get(name)

    def __repr__(self) -> str:
        return f"<Cookies {self.keys()}>"


@lru_cache(64)  # an app has few of them
def _attributes(path: str, domain: str | None, secure: bool, http_only: bool, same_site: str | None) -> Attributes:
    text = path + (domain or "")
    if ";" in text or not text.isprintable() or not text.isascii():
        raise BadRequest("a cookie cannot have such a path or domain")
    return Attributes(path, domain, secure, http_only, same_site)


def is_started(was: Was) -> bool:
    """Tell whether the response has begun, so that it can set no cookie any more; other WSGI servers do not say."""
    return bool(getattr(was.exchange, "is_started", False))


def _age(expires: Any) -> int | None:
    """Return the seconds that a cookie has."""
    if expires is None:
        return None
    if expires == "never":
        return A_HUNDRED_YEARS
    if expires == "now":
        return 0
    if not isinstance(expires, (int, float)):
        raise ValueError(f"expires is a number of seconds, 'now', 'never' or None, not {expires!r}")
    return max(0, ceil(min(expires, A_HUNDRED_YEARS)))


@lru_cache(64)
def _quoted(point: str) -> str:
    """Return a mount point, octets decoded as ISO 8859-1, as it stands in URLs."""
    return quote(point, safe=_SAFE, encoding="latin-1")
