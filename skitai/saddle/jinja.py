"""Jinja2 as Saddle uses it: which files are templates, what is escaped, and ``was`` everywhere.

This file imports Jinja2, so it is itself imported when the first template is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jinja2
from jinja2.runtime import Context

#: Ends of names of templates that make no markup: in these nothing is escaped.
PLAIN = frozenset(
    ("css", "csv", "ini", "js", "json", "md", "mjs", "rst", "sql", "text", "toml", "tsv", "txt", "yaml", "yml")
)

#: Ends that only say that a file is a template; what is before them counts.
_ENGINES = (".jinja2", ".jinja", ".j2")


def is_escaped(name: str | None) -> bool:
    """Tell whether a template escapes what it prints: each one that may be markup, so also one without a name."""
    if name is None:
        return True
    name = name.lower().rpartition("/")[2]
    for end in _ENGINES:
        name = name.removesuffix(end)
    return name.rpartition(".")[2] not in PLAIN or "." not in name


class _Context(Context):
    """The variables of a template that runs. Templates that it imports without their context get ``was`` as well.

    Jinja2 hands those the globals of the importing template that they lack; here ``was`` counts as one of these. So
    macros have the ``was`` of the request that runs, as it was passed, and nothing is kept for the next request.
    """

    def __init__(self, environment: jinja2.Environment, parent: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(environment, parent, *args, **kwargs)
        if "was" in parent:
            self.globals_keys.add("was")


class Environment(jinja2.Environment):
    """What ``app.jinja_env`` is."""

    context_class = _Context

    def compile(self, *args: Any, **options: Any) -> Any:
        """See :meth:`jinja2.Environment.compile`; a doubled delimiter that is not understood is explained."""
        try:
            return super().compile(*args, **options)
        except jinja2.TemplateSyntaxError as error:
            one = self.variable_start_string
            if one == self.variable_end_string and one * 2 in (error.source or "") and not _reads_doubled(self):
                error.add_note(
                    f"{one * 2!r} for {one!r} needs Jinja2 3.1 as `python -m skitai`, or skitai.patches.apply(), "
                    f"changes it; this process has {jinja2.__version__}"
                )
            raise


class Loader(jinja2.FileSystemLoader):
    """Finds templates in one directory, which need not exist. Names cannot lead out of it.

    Args:
        directory: where. is_watching: whether files are looked at again each time; else a template is read once.
    """

    def __init__(self, directory: str, is_watching: Callable[[], object]) -> None:
        super().__init__(directory)
        self._is_watching = is_watching

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """See :class:`jinja2.BaseLoader`."""
        source, path, is_up_to_date = super().get_source(environment, template)
        return source, path, lambda: not self._is_watching() or is_up_to_date()


def make_environment(loader: Loader) -> Environment:
    """Return the environment that an app begins with."""
    return Environment(loader=loader, autoescape=is_escaped)


def overlay(environment: jinja2.Environment, **options: Any) -> jinja2.Environment:
    """Return a copy of an environment with other delimiters; filters, tests and globals are shared.

    Raises:
        TypeError: there is no such option.
        ValueError: the delimiters cannot be told from each other.
    """
    try:
        return environment.overlay(**options)
    except AssertionError as error:
        raise ValueError(f"Jinja2 cannot have these delimiters: {error}") from error


def _reads_doubled(environment: jinja2.Environment) -> bool:
    """Tell whether a doubled delimiter of variables stands for itself."""
    return next(environment.lex(environment.variable_start_string * 2))[1] == "data"
