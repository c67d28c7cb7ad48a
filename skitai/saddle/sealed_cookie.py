"""What a session and a message box have in common: they live in a cookie of the client, sealed, and may have names.

A sealed cookie is read when it is first used, and written when the request has ended well and its content or the
address of the client is another than before. One that cannot be unsealed is as none, and a line of the log says why.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

from skitai.net import logs
from skitai.saddle import tagged_json
from skitai.saddle.cookies import is_started
from skitai.saddle.errors import MissingSecureKey, SetupError
from skitai.saddle.sealing import NotSealed, keys_of, seal, unseal

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.lazy import Effect
    from skitai.saddle.service import Was

#: Seconds by which the clocks of the hosts that share a cookie may differ.
_CLOCK_SKEW = 60

#: Cookies of one name that are tried: one for each path and domain, but a request may have thousands.
_MOST_TRIED = 8

#: Names whose keys an app remembers, for ``exists()``: more than any has, unless names come from requests.
_MOST_NAMES = 256


@dataclass(frozen=True)
class Place:
    """Where a sealed cookie is, and what opens it.

    Attributes:
        cookie: its name. path, domain, is_secure: its attributes. keys: see :func:`~skitai.saddle.sealing.keys_of`.
        timeout: seconds that it lives when it is not used.
    """

    cookie: str
    path: str
    keys: tuple[bytes, ...]
    timeout: float
    domain: str | None = None
    is_secure: bool = False


#: A Place that may be shared: an app has few default ones, and each request that uses its session asks for one.
shared_place = lru_cache(64)(Place)

#: What each app mounted by name so far in this process.
_mounted_before: WeakKeyDictionary[Saddle, dict[str, Place]] = WeakKeyDictionary()

Kept = TypeVar("Kept", bound="SealedCookie")


class SealedCookie(ABC):
    """See the module. A subclass says what is in it.

    Args:
        was: of the request. place: of the cookie.
        mounted: all of this kind that the request has mounted, by the name of the cookie; shared by them.
    """

    #: See Effect: a session and a message box write cookies, so they come before those.
    commit_order: int
    #: What a content is, unpacked.
    content_type: ClassVar[type]
    #: How the names of cookies of this kind begin, and the attribute of ``was`` that has the current one.
    prefix: ClassVar[str]
    attribute: ClassVar[str]

    def __init__(self, was: Was, place: Place, mounted: dict[str, Any]) -> None:
        self._was = was
        self._place = place
        self._mounted = mounted
        mounted[place.cookie] = self
        self._is_read = False
        self._is_committed = False
        self._sealed: bytes | None = None  # what the cookie has, when there is one that can be unsealed
        self._end = 0
        self._address: str | None = None

    # What a subclass says

    @classmethod
    @abstractmethod
    def default_place(cls, was: Was) -> Place:
        """Return where the one without a name is."""

    @abstractmethod
    def _take(self, content: Any) -> None:
        """Take what was in the cookie; ``None`` when there was none."""

    @abstractmethod
    def _give(self) -> Any:
        """Return what shall be in the cookie, ``None`` for nothing: then it is removed."""

    @abstractmethod
    def _find_end(self, now: int) -> int:
        """Return when the cookie ends, in seconds since the epoch."""

    # For users

    def mount(
        self: Kept,
        name: str | None = None,
        securekey: Any = None,
        path: str | None = None,
        domain: str | None = None,
        secure: bool = False,
        http_only: bool = False,
        session_timeout: float | None = None,
    ) -> Kept:
        """Let ``was.session``, or ``was.mbox``, be the one of this name from now on in this request, and return it.

        Args:
            name: in any case; ``None`` is the default one. securekey: ``None``: that of the app.
            path: below which the browser sends it; ``None``: the mount point of the app. domain: that shares it.
            secure: sent over TLS only, as it is anyway when the request came by TLS.
            http_only: makes no difference: scripts never see it.
            session_timeout: in seconds; ``None``: that of the app.

        Raises:
            AssertionError: the default one is asked for with another key or path than it has; or this request used the
                one of this name already, mounted otherwise.
            BadRequest: path or domain has what cannot be there.
        """
        place = self._place_of(name, securekey, path, domain, secure, session_timeout)
        current = self._mounted.get(place.cookie)
        if current is None:
            current = type(self)(self._was, place, self._mounted)
            self._effects.append(current)
        elif current._place != place:
            if current._is_read:
                raise AssertionError(f"this request has used {place.cookie} already, with another key, path or timeout")
            current._place = place
        setattr(self._was, self.attribute, current)
        return current

    def exists(self, name: str | None = None, securekey: Any = None) -> bool:
        """Tell whether the client has one of this name that can be unsealed and is not over; nothing is mounted.

        Args:
            name: ``None`` is the default one.
            securekey: ``None``: the one with which this app mounted the name last in this process, else that of the
                app. Where a page may ask before any has mounted it, pass it.
        """
        cookie = cookie_name(self.prefix, name)
        used = self._mounted.get(cookie)
        if used is not None and used._is_read:
            return used._give() is not None
        place = self._known_place(cookie, used)
        if securekey is not None:
            place = replace(place, keys=keys_of(securekey))
        if name and not place.keys:
            text = f"{cookie} is taken for missing: no key of it is known in this process; pass one to exists()"
            logs.current().app.log(text, "warn", self._was.log_tag)
            return False
        return self._open(place) is not None

    def source_verified(self) -> bool:
        """Tell whether the client has the address that it had when it last used this.

        One that was begun in this request is verified, and one that is still empty is not.
        """
        self._read_once()
        address = self._was.request.get_remote_addr()
        return address == self._address if self._sealed is not None else self._give() is not None

    # Reading

    def _read_once(self) -> None:
        if self._is_read:
            return
        opened = self._open(self._place)
        content = None
        if opened is not None:
            self._sealed, self._end, self._address, content = opened
        self._take(content)
        self._is_read = True

    def _open(self, place: Place) -> tuple[bytes, int, str, Any] | None:
        """Return what a cookie has sealed, when that ends, the address and the content; ``None``: nothing usable."""
        name = place.cookie
        if not place.keys:
            raise MissingSecureKey(name)
        now = time.time()
        reason: str | None = None
        for text in self._was.cookie.get_all(name)[:_MOST_TRIED]:
            try:
                document, end = unseal(text, name, now, place.timeout + _CLOCK_SKEW, place.keys)
                address, content = tagged_json.loads(document)
                if not isinstance(content, self.content_type):
                    raise ValueError("it has another content than such a cookie")
                return document, end, address, content
            except (NotSealed, ValueError, TypeError) as error:
                reason = str(error)  # the error itself would hold this frame, and that the error
        if reason is not None:
            logs.current().app.log(f"cookie {name} is ignored: {reason}", "warn", self._was.log_tag)
        return None

    # Writing

    def commit(self) -> None:
        """See :class:`~skitai.saddle.lazy.Effect`."""
        self._is_committed = True
        if not self._is_read:
            return
        place = self._place
        content = self._give()
        if content is None:
            if self._sealed is not None:
                self._was.cookie.remove(place.cookie, place.path, place.domain)
            return
        try:
            document = tagged_json.dumps([self._was.request.get_remote_addr(), content])
        except (TypeError, ValueError) as error:
            raise type(error)(f"{place.cookie} cannot be kept in a cookie: {error}") from None
        now = int(time.time())
        end = self._find_end(now)
        # One that is only read is renewed at every hundredth of its time: each renewal may undo what a request beside
        # this one writes.
        if document != self._sealed or end - self._end >= place.timeout / 100:
            self._write(document, now, end)

    def _write(self, document: bytes, now: int, end: int) -> None:
        place = self._place
        self._was.cookie.set(
            place.cookie,
            seal(document, place.cookie, end, place.keys),
            end - now,
            place.path,
            place.domain,
            place.is_secure,
            http_only=True,
        )

    def _check_in_time(self) -> None:
        """RuntimeError when a change would be lost."""
        if self._is_committed or is_started(self._was):
            text = f"was.{self.attribute} is changed too late: the header section of the response has been made"
            raise RuntimeError(text)

    # Places

    def _place_of(
        self,
        name: str | None,
        securekey: Any,
        path: str | None,
        domain: str | None,
        secure: bool,
        timeout: float | None,
    ) -> Place:
        """Return what the arguments of :meth:`mount` mean."""
        was = self._was
        default = self.default_place(was)
        keys = default.keys if securekey is None else keys_of(securekey)
        if not name:
            if keys not in (default.keys, default.keys[:1]):
                raise AssertionError("the default session and message box have app.securekey, and no other key")
            if path not in (None, "/"):
                raise AssertionError("the default session and message box have the path '/', and no other")
            path, keys = "/", default.keys
        place = Place(
            cookie=cookie_name(self.prefix, name),
            path=was.cookie.default_path if path is None else path,
            keys=keys,
            timeout=default.timeout if timeout is None else checked_timeout(timeout),
            domain=domain,
            is_secure=secure or default.is_secure,
        )
        known = _mounted_before.setdefault(was.app, {})
        if name and (place.cookie in known or len(known) < _MOST_NAMES):
            known[place.cookie] = place
        return place

    def _known_place(self, cookie: str, used: Any) -> Place:
        """Return the place of a cookie as this request, this app or by default it has."""
        if used is not None:
            place: Place = used._place
            return place
        known = _mounted_before.get(self._was.app, {})
        return known.get(cookie) or replace(self.default_place(self._was), cookie=cookie)

    @property
    def _effects(self) -> list[Effect]:
        """What is committed at the end of the request; this is in it, so there is a list."""
        if self._was.effects is None:
            self._was.effects = []
        return self._was.effects

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._place.cookie}{'' if self._is_read else ' unread'}>"


def cookie_name(prefix: str, name: str | None) -> str:
    """Return the name of the cookie of a session or message box, given in any case."""
    return f"{prefix}_{name.upper()}" if name else prefix


def checked_timeout(timeout: float) -> float:
    """Return a timeout in seconds. SetupError when nothing could ever be used with it."""
    if timeout <= 0:
        raise SetupError(f"a session_timeout is a number of seconds above 0, not {timeout!r}")
    return timeout
