"""Callbacks of calls, in the forms that ``callback=`` takes."""

from __future__ import annotations

from typing import Any


def check(callback: Any) -> None:
    """Refuse what :func:`invoke` could not call.

    Raises:
        TypeError: it is neither a function nor a tuple that begins with one.
    """
    function = callback[0] if isinstance(callback, tuple) and callback else callback
    if not callable(function):
        raise TypeError("callback is a function, (function, args), (function, kwargs) or (function, args, kwargs)")


def invoke(callback: Any, result: object) -> None:
    """Call ``f(result, *args, **kwargs)`` for ``f``, ``(f, args)``, ``(f, kwargs)`` or ``(f, args, kwargs)``."""
    if not isinstance(callback, tuple):
        callback(result)
        return
    function, *rest = callback
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    for each in rest:
        if isinstance(each, dict):
            kwargs = each
        else:
            args = tuple(each)
    function(result, *args, **kwargs)
