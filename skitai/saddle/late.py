"""``was`` of a request whose response has begun: everything can be read, and nothing of the response changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from skitai.saddle.cookies import Cookies
from skitai.saddle.lazy import lazy, weakly
from skitai.saddle.mbox import open_mbox
from skitai.saddle.proxied_calls import NAMES
from skitai.saddle.service import Was
from skitai.saddle.sessions import open_session


def _read_only(make: Callable[[Any], Any]) -> lazy[Any]:
    """As an effect that was committed already: what changes it says that it comes too late."""

    def make_committed(was: Was) -> Any:
        made = make(was)
        made.commit()
        return made

    return lazy(weakly(make_committed))


class LateWas(Was):
    """See the module. Handlers of async responses get it, and their templates.

    Args:
        was: of the request, as it is when its header section has been made.
        closers: called when the response has ended.
    """

    def __init__(self, was: Was, closers: list[Callable[[], object]]) -> None:
        self.__dict__.update(was.__dict__)
        self._closers = closers

    cookie = _read_only(Cookies)
    session = _read_only(open_session)
    mbox = _read_only(open_mbox)

    @property
    def response(self) -> NoReturn:  # type: ignore[override]
        """Refused: nothing of it can be changed any more.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("was.response comes too late: the header section of the response has been sent")

    def at_end(self, ender: Callable[[], object]) -> None:
        """See :meth:`skitai.saddle.service.Was.at_end`."""
        self._closers.append(ender)


def _refuse(name: str) -> property:
    def refuse(was: LateWas) -> NoReturn:
        raise RuntimeError(
            f"was.{name} is not for response handlers and their templates: start requests with proxy.{name}(reqid, ...)"
        )

    return property(refuse)


for _name in NAMES:
    setattr(LateWas, _name, _refuse(_name))
