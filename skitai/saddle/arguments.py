"""What a routed function takes, read once from its signature, and how a request is turned into a call of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from skitai.lib.attributes import AttributeDict
from skitai.saddle.conversions import Convert, converter
from skitai.saddle.errors import ArgumentError, SetupError
from skitai.saddle.rules import FLOAT, INT, Rule

Named = TypeVar("Named", bound=dict[str, Any])

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NATIVE = {INT: int, FLOAT: float}


class Arguments:
    """The arguments of one function under one rule.

    Args:
        function: its first parameter takes ``was``.
        rule: whose variables it must take.

    Attributes:
        names: of all parameters after the first, in order. required: those without a default.
        defaults: of the others. annotations: by name, evaluated. has_rest: whether there is a ``**rest``.
        is_direct: whether the values of the rule's variables, in their order, are a valid call by themselves.

    Raises:
        SetupError: the function does not take ``was``, or not a variable of the rule.
    """

    def __init__(self, function: Callable[..., Any], rule: Rule) -> None:
        self.function = function
        self.rule = rule
        parameters = self._parameters()
        if not parameters:
            raise SetupError(f"{function.__name__} takes no argument: the first one is was")
        first = parameters.pop(0)
        # A field of this name would be a second value for it, where everything else goes into a ``**rest``.
        self._taken = first.name if first.kind is first.POSITIONAL_OR_KEYWORD else None
        self.has_rest = any(each.kind is each.VAR_KEYWORD for each in parameters)
        named = [each for each in parameters if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
        self.names = tuple(each.name for each in named)
        self.defaults = {each.name: each.default for each in named if each.default is not each.empty}
        self.required = tuple(each.name for each in named if each.default is each.empty)
        self.annotations = {each.name: each.annotation for each in named if each.annotation is not each.empty}
        self._positional = tuple(each.name for each in named if each.kind in _POSITIONAL)
        self._converters = self._find_converters()
        self._known = frozenset(self.names)
        missing = [name for name in rule.names if name not in self._known]
        if missing and not self.has_rest:
            raise SetupError(f"{function.__name__} does not take {missing[0]!r}, a variable of its rule {rule.text!r}")
        count = len(rule.names)
        self.is_direct = (
            self._positional[:count] == rule.names
            and all(name in self.defaults for name in self.names[count:])
            and not any(name in self._converters for name in rule.names)
        )

    def _parameters(self) -> list[inspect.Parameter]:
        try:
            signature = inspect.signature(self.function, eval_str=True)
        except NameError as error:
            raise SetupError(f"an annotation of {self.function.__name__} cannot be evaluated: {error}") from error
        return list(signature.parameters.values())

    def _find_converters(self) -> dict[str, Convert]:
        found = {name: convert for name, each in self.annotations.items() if (convert := converter(each)) is not None}
        for variable in self.rule.variables:
            native = _NATIVE.get(variable.kind, str)
            if self.annotations.get(variable.name) is native:
                del found[variable.name]  # the rule has converted it already
        return found

    # A request

    def fill(self, args: Named) -> Named:
        """Convert what is annotated, and add the defaults of what is missing.

        Args:
            args: of the request by name; it is changed.

        Raises:
            ArgumentError: a value is not of the type that its annotation names.
        """
        for name, convert in self._converters.items():
            if name in args:
                try:
                    args[name] = convert(args[name])
                except ValueError as error:
                    raise ArgumentError(name, str(error)) from None
        if self.defaults:
            for name, default in self.defaults.items():
                if name not in args:
                    args[name] = default
        return args

    def are_exactly(self, args: dict[str, Any]) -> bool:
        """Whether there is each argument that the function names, and no other."""
        return len(args) == len(self.names) and self._known.issuperset(args)

    def choose(self, args: dict[str, Any], is_strict: bool) -> dict[str, Any]:
        """Return those arguments of a request that the function is called with.

        Args:
            args: of the request by name. is_strict: whether one that the function does not name is an error; else it is
                left out, as links get parameters that nobody asked for.

        Raises:
            ArgumentError: a required one is missing, or there is one too many.
        """
        for name in self.required:
            if name not in args:
                raise ArgumentError(name, "is missing")
        unknown = [name for name in args if name == self._taken or not (self.has_rest or name in self._known)]
        if not unknown:
            return args
        if is_strict:
            raise ArgumentError(unknown[0], "is not one that is expected here")
        return {name: value for name, value in args.items() if name not in unknown}

    def place(self, params: tuple[Any, ...]) -> AttributeDict:
        """Name positional parameters, as XML-RPC sends them.

        Raises:
            ArgumentError: there are more than the function takes.
        """
        if len(params) > len(self._positional):
            raise ArgumentError(f"number {len(self._positional) + 1}", "is one too many")
        return AttributeDict(zip(self._positional, params, strict=False))

    def __repr__(self) -> str:
        return f"<Arguments of {self.function.__name__}: {', '.join(self.names)}>"
