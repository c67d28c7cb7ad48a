"""From a function and its arguments to a URL: ``was.ab("add", 10, num2=60)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from skitai.net import logs

if TYPE_CHECKING:
    from skitai.saddle.part import Part
    from skitai.saddle.routes import Route


class Urls:
    """Builds the URLs of an app.

    Args:
        routes: of the app, parts after it.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_part: dict[tuple[int, str], Route] = {}
        self._by_name: dict[str, Route] = {}
        for route in routes:
            self._by_part.setdefault((id(route.part), route.name), route)
            self._by_name.setdefault(route.name, route)

    def build(self, point: str, part: Part, thing: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """Return a URL below a mount point.

        Args:
            point: where the app is mounted. part: that asks; its own functions come before others of the same name.
            thing: the name of a function, or the function; or a path with its leading slash.
            args, kwargs: of the function.

        Returns:
            ``None`` when no function of that name is routed, which is logged.

        Raises:
            AssertionError: too many arguments, one given twice, a variable of the URL without value, or a value that
                its variable cannot have.
        """
        name = thing if isinstance(thing, str) else thing.__name__
        if name.startswith("/"):
            return point + name
        route = self._by_part.get((id(part), name)) or self._by_name.get(name)
        if route is None:
            logs.current().app.log(f"no URL for {name!r}: no function of that name is routed", "warn")
            return None
        values = _assign(route, args, kwargs)
        path = route.rule.build(_variables(route, values))
        query = _query(values, frozenset(route.rule.names))
        return f"{point}{path}?{query}" if query else point + path


def _assign(route: Route, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, in the order of the call."""
    names = route.arguments.names
    if len(args) > len(names):
        raise AssertionError(f"{route.name} takes {len(names)} arguments, not {len(args)}")
    values = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name in values:
            raise AssertionError(f"{route.name} got two values for {name}")
        values[name] = value
    return values


def _variables(route: Route, values: Mapping[str, Any]) -> dict[str, Any]:
    defaults = route.arguments.defaults
    found = {}
    for name in route.rule.names:
        if name not in values and name not in defaults:
            raise AssertionError(f"{route.name} has the variable {name} in its URL {route.rule.text}: give it a value")
        found[name] = values[name] if name in values else defaults[name]
    return found


def _query(values: Mapping[str, Any], without: frozenset[str]) -> str:
    pairs = []
    for name, value in values.items():
        if name not in without and value is not None:
            several = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
            pairs += [f"{quote_plus(name)}={quote_plus(str(each))}" for each in several]
    return "&".join(pairs)
