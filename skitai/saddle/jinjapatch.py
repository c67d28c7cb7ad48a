"""Jinja2 with other delimiters, for apps of any framework: ``app.jinja_env = jinjapatch.overlay(__name__)``.

Apps of Saddle have ``app.jinja_overlay()``. Programs of version 0.26 import this module in Flask apps as well.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import jinja2

from skitai.saddle.jinja import Environment, Loader, make_environment
from skitai.saddle.jinja import overlay as other_delimiters

__all__ = ["Environment", "overlay"]


def overlay(
    app_name: str,
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
    """Return an environment for the templates of an app.

    Args:
        app_name: module of the app, as ``__name__``; its templates are in ``templates`` beside it. Others: see
            :class:`jinja2.Environment`, which has the same names.

    Raises:
        ValueError: there is no such module, or the delimiters cannot be told from each other.
        TypeError: there is no such option.
    """
    loader = Loader(os.path.join(_directory(app_name), "templates"), lambda: True)
    return other_delimiters(
        make_environment(loader),
        variable_start_string=variable_start_string,
        variable_end_string=variable_end_string,
        block_start_string=block_start_string,
        block_end_string=block_end_string,
        comment_start_string=comment_start_string,
        comment_end_string=comment_end_string,
        line_statement_prefix=line_statement_prefix,
        line_comment_prefix=line_comment_prefix,
        **options,
    )


def _directory(app_name: str) -> str:
    path: str | None = getattr(sys.modules.get(app_name), "__file__", None)
    if path is None:
        raise ValueError(f"there is no module {app_name!r} whose directory has templates: give __name__")
    return os.path.dirname(os.path.abspath(path))
