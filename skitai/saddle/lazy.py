"""Attributes that are made when they are first asked for, and then are plain attributes.

Neither is a data descriptor: once the value is in the instance, Python finds it there and calls nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, overload
from weakref import proxy

Value = TypeVar("Value")


class lazy(Generic[Value]):
    """``name = lazy(make)``: the first ``obj.name`` calls ``make(obj)`` and keeps what it returns.

    Args:
        make: takes the object. An AttributeError in it would pass for a missing attribute, so it must not raise one.
    """

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, obj: None, owner: type) -> lazy[Value]: ...
    @overload
    def __get__(self, obj: object, owner: type) -> Value: ...
    def __get__(self, obj: object | None, owner: type) -> lazy[Value] | Value:
        if obj is None:
            return self
        value = self._make(obj)
        setattr(obj, self._name, value)
        return value


def weakly(make: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Let ``make`` have a weak proxy of the object.

    What an object has must not hold that object: nothing but the garbage collector, which comes late, would end such a
    cycle, and a request has its body.
    """

    def make_weakly(obj: Any) -> Value:
        return make(proxy(obj))

    make_weakly.__name__, make_weakly.__doc__ = make.__name__, make.__doc__
    return make_weakly


class Effect(Protocol):
    """What a request may do to its response besides returning a body: cookies, the session, header fields."""

    #: Effects are committed in this order: a session writes cookies, and cookies write header fields.
    commit_order: int

    def commit(self) -> None:
        """Put what was changed into the response. Not called when the request ends in an exception."""


class effect(lazy[Value]):
    """A :class:`lazy` attribute of a request whose value is an :class:`Effect` of its response.

    Args:
        make: takes a weak proxy of the request: see :func:`weakly`.
    """

    def __init__(self, make: Callable[[Any], Value]) -> None:
        super().__init__(make)
        self._make = weakly(make)

    @overload
    def __get__(self, obj: None, owner: type) -> effect[Value]: ...
    @overload
    def __get__(self, obj: object, owner: type) -> Value: ...
    def __get__(self, obj: Any, owner: type) -> lazy[Value] | Value:
        if obj is None:
            return self
        value = self._make(obj)
        setattr(obj, self._name, value)
        if obj.effects is None:
            obj.effects = []
        obj.effects.append(value)
        return value
