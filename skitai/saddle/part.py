"""A part of an app: its routes, its hooks, and the parts mounted in it. ``Saddlery`` for users."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from skitai.saddle import templates
from skitai.saddle.errors import SetupError
from skitai.saddle.hooks import Hook, Hooks
from skitai.saddle.routes import Declaration, Function, Route
from skitai.saddle.setting import setting
from skitai.wire.mounts import normal_point

AnyHook = TypeVar("AnyHook", bound=Hook)
AnyFunction = TypeVar("AnyFunction", bound=Function)

#: Names under which a part is looked for in its module, after the one that was given.
_PART_NAMES = ("part", "app")


@dataclass(frozen=True)
class Mount:
    """A part in its place.

    Attributes:
        point: where, relative to the part that it is mounted in; ``""`` for that one's own root.
        part: what. module: that it came from, ``None`` when the part itself was given. name: under which it was there.
    """

    point: str
    part: Part
    module: ModuleType | None
    name: str


class Part:
    """A part of an app.

    Args:
        name: ``__name__`` of its module; a part that has one finds its own templates.

    Attributes:
        packagename: under which it was mounted. home: directory of its module, ``None`` without a name.
    """

    packagename = "part"
    #: Whether all routes of it need a login.
    authenticate = setting(False)

    def __init__(self, name: str | None = None) -> None:
        self.hooks = Hooks()
        self.declarations: list[Declaration] = []
        self.mounts: list[Mount] = []
        self.name = name
        self.home = home_of(name)
        self._is_frozen = False

    # Routes

    def route(self, rule: str, **options: Any) -> Callable[[AnyFunction], AnyFunction]:
        """Route requests to the decorated function, whose first argument is ``was``.

        Args:
            rule: as ``/hello/<int:num>``; kinds of variables are int, float, path, and string when none is named.
            **options: methods, content_types, authenticate, access_control_allow_origin, access_control_max_age.

        Raises:
            AssertionError: the rule does not start with a slash.
            SetupError: after the first request, or the rule or an option is not valid.
        """

        def declare(function: AnyFunction) -> AnyFunction:
            self._check_setup(f"route({rule!r})")
            self.declarations.append(Declaration(rule, function, options))
            return function

        return declare

    def mount(self, point: str | ModuleType | Part, what: Any = None, name: str | None = None) -> None:
        """Mount another part in this one.

        ``mount("/admin", admin, "part")`` mounts the variable ``part`` of the module ``admin``; so does the spelling of
        version 0.15, ``mount(admin, "part", "/admin")``. A Saddlery may be given in place of a module.

        Args:
            point: relative to this part. what: a module or a Saddlery. name: of the variable; without one, or when
                there is none of that name, ``part`` and ``app`` are tried.

        Raises:
            SetupError: after the first request; or there is no part, or it would contain itself.
        """
        if not isinstance(point, str):
            point, what, name = name or "/", point, what
        self._check_setup(f"mount({point!r})")
        if not point.startswith("/"):
            raise SetupError(f"a part is mounted at a point that starts with '/', not at {point!r}")
        part, found = _find_part(what, name)
        if self in part.tree():
            raise SetupError(f"the part {found!r} cannot be mounted at {point!r}: it contains itself then")
        part.packagename = found
        self.mounts.append(Mount(normal_point(point), part, what if isinstance(what, ModuleType) else None, found))

    # Hooks

    def before_request(self, function: AnyHook) -> AnyHook:
        """``f(was)`` runs before each function; truthy content that it returns is the response."""
        return self._hook("before_request", function)

    def finish_request(self, function: AnyHook) -> AnyHook:
        """``f(was)`` runs after each function that ended well."""
        return self._hook("finish_request", function)

    def failed_request(self, function: AnyHook) -> AnyHook:
        """``f(was, exc_info)`` runs when a function raised; content that it returns is the response."""
        return self._hook("failed_request", function)

    def teardown_request(self, function: AnyHook) -> AnyHook:
        """``f(was)`` runs in the end, whatever happened."""
        return self._hook("teardown_request", function)

    def startup(self, function: AnyHook) -> AnyHook:
        """``f(wasc)`` runs when the app begins to serve, in each worker."""
        return self._hook("startup", function)

    def onreload(self, function: AnyHook) -> AnyHook:
        """``f(wasc)`` runs in place of startup after the app was reloaded."""
        return self._hook("onreload", function)

    def shutdown(self, function: AnyHook) -> AnyHook:
        """``f(wasc)`` runs when the server ends."""
        return self._hook("shutdown", function)

    def got_template(self, function: AnyHook) -> AnyHook:
        """``f(was, template, variables)`` runs before a template renders; it may change the variables."""
        return self._hook("got_template", function)

    def template_rendered(self, function: AnyHook) -> AnyHook:
        """``f(was, template, variables, page)`` runs after a template has rendered."""
        return self._hook("template_rendered", function)

    def _hook(self, name: str, function: AnyHook) -> AnyHook:
        self._check_setup(f"@{name}")
        setattr(self.hooks, name, function)
        return function

    #: ``part.render2("show.htm", name=name)``: see there.
    render2 = templates.render_in

    # What it is made of

    def tree(self) -> Iterator[Part]:
        """Yield this part, then all parts in it, in the order of their mounts."""
        yield self
        for mount in self.mounts:
            yield from mount.part.tree()

    def part_modules(self) -> Iterator[ModuleType]:
        """Yield the modules that the parts in this one came from, for the reloader."""
        for mount in self.mounts:
            functions = (each.function.__module__ for each in mount.part.declarations)
            module = mount.module or sys.modules.get(mount.part.name or next(functions, ""))
            if module is not None:
                yield module
            yield from mount.part.part_modules()

    def routes(self, point: str = "", chain: tuple[Part, ...] = ()) -> Iterator[Route]:
        """Yield the routes of this part, then those of the parts in it.

        Args:
            point: where this part is in the app. chain: the parts that it is in.
        """
        chain = (*chain, self)
        for declaration in self.declarations:
            yield Route.place(declaration, point, chain)
        for mount in self.mounts:
            yield from mount.part.routes(point + mount.point, chain)

    def freeze(self) -> None:
        """Refuse further routes, mounts and hooks, here and in all parts."""
        for part in self.tree():
            part._is_frozen = True

    def _check_setup(self, what: str) -> None:
        if self._is_frozen:
            raise SetupError(
                f"{what} came after the first request: the routes of an app are built once, so say it where the module "
                "is imported, outside of functions that serve requests"
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self.packagename} with {len(self.declarations)} routes>"


class Saddlery(Part):
    """A part of an app in a module of its own: ``part = Saddlery()``, mounted by ``app.mount("/admin", admin)``."""


def home_of(name: str | None) -> str | None:
    """Return the directory of a module that is being imported, ``None`` when it has none."""
    module = sys.modules.get(name) if name else None
    file = getattr(module, "__file__", None)
    return os.path.dirname(os.path.abspath(file)) if file else None


def _find_part(what: Any, name: str | None) -> tuple[Part, str]:
    if isinstance(what, Part):
        return what, name or what.packagename
    tried = [name, *_PART_NAMES] if name else list(_PART_NAMES)
    for each in tried:
        found = getattr(what, each or "", None)
        if isinstance(found, Part):
            return found, each or ""
    where = getattr(what, "__name__", what)
    raise SetupError(f"{where!r} has no Saddlery to mount: there is none under {', '.join(map(str, tried))}")
