"""Chameleon's page templates, for names that end with ``.pt`` or ``.ptal``.

This file imports Chameleon, an extra, so it is itself imported when the first such template is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chameleon import PageTemplateFile
from chameleon.exc import RenderError


class _File(PageTemplateFile):
    """A template, or one that a template loads; those are made by Chameleon with the same keywords."""

    #: A keyword of each: whether the file is looked at again each time it is used.
    is_watching: Callable[[], bool]

    @property
    def auto_reload(self) -> bool:  # type: ignore[override]
        return self.is_watching()


class PageTemplate:
    """A page template.

    Args:
        path: its file. directory: where ``load:`` finds others, besides the directory of the file.
        is_watching: whether the file is looked at again each time; else it is read once.
    """

    def __init__(self, path: str, directory: str, is_watching: Callable[[], bool]) -> None:
        self.filename = path
        self._file = _File(
            path,
            search_path=[directory],
            # So that attributes of JavaScript frameworks pass, as "v-on:click".
            restricted_namespace=False,
            # Errors tell the values of all variables, which may be secrets, and errors go into logs.
            value_repr=lambda value: f"<{type(value).__name__}>",
            is_watching=is_watching,  # type: ignore[call-arg]
        )

    def render(self, values: dict[str, Any]) -> str:
        """Return the page. Errors in it are raised as they are, with a note that says where they came from."""
        try:
            return self._file.render(**values)
        except RenderError as error:
            # Chameleon raises a copy whose class is new, and an Exception even when the original is none.
            original = error.__context__
            if original is None or not isinstance(error, type(original)):
                raise
            original.add_note(str(error))
            raise original from original.__cause__

    def __repr__(self) -> str:
        return f"<PageTemplate {self.filename}>"
