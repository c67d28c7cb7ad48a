"""Settings of an app that its route table is made from: they cannot change any more once there is one.

A change that came later would do nothing, which for authentication would mean an app that stays open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from skitai.saddle.errors import SetupError

if TYPE_CHECKING:
    from skitai.saddle.part import Part

Value = TypeVar("Value")


class setting(Generic[Value]):
    """``name = setting(default)`` in the class of an app.

    Args:
        default: until it is set; it must not be mutable, because all apps share it.
    """

    def __init__(self, default: Value) -> None:
        self._default = default
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, app: None, owner: type) -> setting[Value]: ...
    @overload
    def __get__(self, app: Part, owner: type) -> Value: ...
    def __get__(self, app: Part | None, owner: type) -> setting[Value] | Value:
        if app is None:
            return self
        value: Value = app.__dict__.get(self._name, self._default)
        return value

    def __set__(self, app: Part, value: Value) -> None:
        if app._is_frozen:
            raise SetupError(
                f"app.{self._name} was set after the routes were built from it: set it where the module is imported, "
                "not in a start hook or a request"
            )
        app.__dict__[self._name] = value


class account_half:
    """``app.user`` and ``app.password`` of version 0.15: both together are one account, for the whole app."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, app: Any, owner: type) -> Any:
        return self if app is None else app.__dict__.get(self._name)

    def __set__(self, app: Any, value: str | None) -> None:
        known = app.__dict__
        known[self._name] = value
        user, password = known.get("user"), known.get("password")
        if user is None or password is None:
            return
        if not isinstance(app.users, dict):
            raise SetupError("app.user and app.password are one account, app.users are many: set either")
        others = {name: entry for name, entry in app.users.items() if name != known.get("_account")}
        known["_account"] = user
        app.users = {**others, user: (password, False)}
        if not app.authenticate:
            app.authenticate = True
