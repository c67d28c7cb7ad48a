"""What an app sets about its templates: the Jinja2 environment, and functions that templates can use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from skitai.saddle.lazy import lazy
from skitai.saddle.templates import Templates

if TYPE_CHECKING:
    import jinja2

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class TemplateSettings:
    """A part of :class:`~skitai.saddle.app.Saddle`.

    Attributes:
        templates: the templates of the app and of its parts.
    """

    templates = lazy(Templates)

    @property
    def jinja_env(self) -> jinja2.Environment:
        """The Jinja2 environment, for whatever Jinja2's documentation says, as ``app.jinja_env.globals["x"] = f``."""
        return self.templates.main.environment

    def jinja_overlay(
        self,
        variable_start_string: str = "{{",
        variable_end_string: str = "}}",
        block_start_string: str = "{%",
        block_end_string: str = "%}",
        comment_start_string: str = "{#",
        comment_end_string: str = "#}",
        line_statement_prefix: str | None = "%",
        line_comment_prefix: str | None = "%%",
        **options: Any,
    ) -> jinja2.Environment:
        """Replace the environment by a copy with these delimiters; filters, tests and globals stay.

        Where variables begin and end with the same string, as ``#name#``, that string twice prints it once.

        Args:
            line_statement_prefix, line_comment_prefix: of lines that are a statement or a comment; ``None``: none is.
            **options: further ones of :meth:`jinja2.Environment.overlay`. ``trim_blocks`` and ``lstrip_blocks``, so
                that lines that have a block only leave no empty line, are on unless switched off here.

        Returns:
            What :attr:`jinja_env` is from now on.

        Raises:
            TypeError: there is no such option.
            ValueError: the delimiters cannot be told from each other.
        """
        return self.templates.overlay(
            variable_start_string=variable_start_string,
            variable_end_string=variable_end_string,
            block_start_string=block_start_string,
            block_end_string=block_end_string,
            comment_start_string=comment_start_string,
            comment_end_string=comment_end_string,
            line_statement_prefix=line_statement_prefix,
            line_comment_prefix=line_comment_prefix,
            **{"trim_blocks": True, "lstrip_blocks": True, **options},
        )

    def skito_jinja(self, **options: Any) -> jinja2.Environment:
        """Call :meth:`jinja_overlay` with ``${ }`` for variables, ``<% %>`` for blocks, ``<!--- --->`` for comments."""
        return self.jinja_overlay("${", "}", "<%", "%>", "<!---", "--->", **options)

    skito_jinja_overlay = skito_jinja

    # Functions for templates

    @overload
    def template_global(self, name: AnyFunction) -> AnyFunction: ...
    @overload
    def template_global(self, name: str | None = None) -> Callable[[AnyFunction], AnyFunction]: ...
    def template_global(self, name: Any = None) -> Any:
        """Let all templates call the decorated function, by its own name or another: ``{{ now() }}``."""

        def add(function: Callable[..., Any], name: str) -> None:
            self.jinja_env.globals[name] = self.templates.globals[name] = function

        return _decorator(add, name)

    @overload
    def template_filter(self, name: AnyFunction) -> AnyFunction: ...
    @overload
    def template_filter(self, name: str | None = None) -> Callable[[AnyFunction], AnyFunction]: ...
    def template_filter(self, name: Any = None) -> Any:
        """Make the decorated function a filter of Jinja2: ``{{ price|euro }}``."""
        return _decorator(lambda function, name: self.jinja_env.filters.__setitem__(name, function), name)

    @overload
    def template_test(self, name: AnyFunction) -> AnyFunction: ...
    @overload
    def template_test(self, name: str | None = None) -> Callable[[AnyFunction], AnyFunction]: ...
    def template_test(self, name: Any = None) -> Any:
        """Make the decorated function a test of Jinja2: ``{% if number is prime %}``."""
        return _decorator(lambda function, name: self.jinja_env.tests.__setitem__(name, function), name)


def _decorator(add: Callable[[Callable[..., Any], str], object], name: Any) -> Any:
    """Return a decorator, used with a name, with empty parentheses or without any."""

    def decorate(function: AnyFunction, name: str | None = None) -> AnyFunction:
        add(function, name or function.__name__)
        return function

    return decorate(name) if callable(name) else lambda function: decorate(function, name)
