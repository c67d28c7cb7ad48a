"""The cookies of a test client, kept and sent as a browser does (RFC 6265 section 5)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class KeptCookie:
    """A cookie.

    Attributes:
        name, value: as they came. path: where it is sent. attributes: of Set-Cookie, names in lower case.
    """

    name: str
    value: str = field(repr=False)
    path: str
    attributes: dict[str, str]

    @property
    def is_secure(self) -> bool:
        """Whether it is sent over TLS only."""
        return "secure" in self.attributes

    def is_over(self, now: float) -> bool:
        """Whether it has expired at ``now``, a time in seconds since the epoch."""
        age = self.attributes.get("max-age")
        if age is not None:
            return int(age) <= 0
        expires = self.attributes.get("expires")
        return expires is not None and parsedate_to_datetime(expires).timestamp() <= now

    def covers(self, path: str) -> bool:
        """Whether it is sent with requests for ``path`` (RFC 6265 section 5.1.4)."""
        return path == self.path or path.startswith(self.path if self.path.endswith("/") else self.path + "/")


class CookieJar:
    """The cookies of one client."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str], KeptCookie] = {}

    def take(self, line: str, request_path: str) -> None:
        """Keep the cookie of a Set-Cookie field, or drop it when that has expired."""
        pair, *rest = line.split(";")
        name, _, value = pair.partition("=")
        attributes = {key.strip().lower(): text.strip() for key, _, text in (each.partition("=") for each in rest)}
        path = attributes.get("path") or request_path.rpartition("/")[0] or "/"
        cookie = KeptCookie(name.strip(), value.strip(), path, attributes)
        if cookie.is_over(time.time()):
            self._cookies.pop((cookie.path, cookie.name), None)
        else:
            self._cookies[cookie.path, cookie.name] = cookie

    def set(self, name: str, value: str, path: str = "/") -> None:
        """Keep a cookie that no response has set."""
        self._cookies[path, name] = KeptCookie(name, value, path, {})

    def header(self, path: str, is_tls: bool) -> str:
        """Return the Cookie field of a request; longer paths first (RFC 6265 section 5.4), ``""`` for none."""
        fitting = [each for each in self if each.covers(path) and (is_tls or not each.is_secure)]
        fitting.sort(key=lambda each: -len(each.path))
        return "; ".join(f"{each.name}={each.value}" for each in fitting)

    def get(self, name: str) -> str | None:
        """Return the value of a cookie on whatever path, ``None`` when there is none."""
        return next((each.value for each in self if each.name == name), None)

    def clear(self) -> None:
        """Forget all."""
        self._cookies.clear()

    def __iter__(self) -> Iterator[KeptCookie]:
        return iter(list(self._cookies.values()))

    def __repr__(self) -> str:
        return f"<CookieJar {[each.name for each in self]}>"
