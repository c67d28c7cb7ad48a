"""A route: a rule, the function behind it, its options, and the parts of the app it lies in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from skitai.saddle.arguments import Arguments
from skitai.saddle.errors import SetupError
from skitai.saddle.rules import Rule, parse_rule

if TYPE_CHECKING:
    from skitai.saddle.part import Part

Function = Callable[..., Any]

#: What ``@app.route`` takes besides the rule. A helper file that reads another option adds its name here.
OPTIONS = {
    "methods",
    "content_types",
    "authenticate",
    "access_control_allow_origin",
    "access_control_max_age",
    "openapi",
}


@dataclass(frozen=True)
class Declaration:
    """What one ``@part.route(rule, **options)`` said.

    Attributes:
        rule: its text, relative to the part. function: that it decorated. options: as they were given.
    """

    rule: str
    function: Function
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.rule.startswith("/"):
            raise AssertionError(f"a rule starts with '/', not as {self.rule!r}")
        unknown = set(self.options) - OPTIONS
        if unknown:
            raise SetupError(
                f"route({self.rule!r}) has options that nobody knows: {', '.join(sorted(unknown))}; "
                f"there are {', '.join(sorted(OPTIONS))}"
            )
        if inspect.iscoroutinefunction(self.function):
            raise SetupError(
                f"{self.function.__name__} is a coroutine: functions of Saddle are plain functions, and was.get(...) "
                "runs beside them without await"
            )


@dataclass(frozen=True)
class Route:
    """A declaration in its place.

    Attributes:
        rule: the whole rule below the app's mount point. declaration: see there.
        chain: the parts it lies in, the app first, the part that declared it last.
    """

    rule: Rule
    declaration: Declaration
    chain: tuple[Part, ...] = field(repr=False)

    @property
    def function(self) -> Function:
        """The function."""
        return self.declaration.function

    @property
    def name(self) -> str:
        """What ``was.ab()`` calls it: the name of the function."""
        return self.function.__name__

    @property
    def part(self) -> Part:
        """The part that declared it."""
        return self.chain[-1]

    @property
    def options(self) -> Mapping[str, Any]:
        """The options as they were given."""
        return self.declaration.options

    @cached_property
    def methods(self) -> frozenset[str]:
        """The methods that it was declared for, in upper case; empty when it takes all."""
        given = self.options.get("methods") or ()
        return frozenset(method.upper() for method in ([given] if isinstance(given, str) else given))

    @cached_property
    def content_types(self) -> frozenset[str]:
        """The content types that it takes, in lower case; empty when it takes all."""
        given = self.options.get("content_types") or ()
        return frozenset(each.lower() for each in ([given] if isinstance(given, str) else given))

    @cached_property
    def arguments(self) -> Arguments:
        """What the function takes."""
        return Arguments(self.function, self.rule)

    @classmethod
    def place(cls, declaration: Declaration, point: str, chain: tuple[Part, ...]) -> Route:
        """Put a declaration below ``point``, a mount point without its trailing slash."""
        return cls(parse_rule(point + declaration.rule), declaration, chain)
