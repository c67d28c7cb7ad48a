"""A doubled delimiter in a Jinja2 template stands for itself, where variables begin and end with the same string.

Why: the documents promise that with ``#`` as both delimiters ``##`` prints one ``#``. Jinja2 takes it for a variable
without a name, and there is no other way to write a ``#`` that Jinja2 leaves alone.
Versions: Jinja2 3.1. Any other is left as it is, and :data:`refusal` says so; Saddle adds the reason to the error of a
template that needs it. It can go when Jinja2 has an escape for delimiters of its own.

Templates whose delimiters differ, as those of everyone else in the process, read as before. Jinja2 is changed when a
program imports it, because importing it for those who do not use it would cost time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import wraps
from importlib.metadata import version
from typing import Any

from . import _imports

#: How the versions that this was written for begin.
KNOWN = "3.1."

#: Why Jinja2 was left as it is; empty when it was changed, or was not imported yet.
refusal = ""

#: Of the lexer: line, kind, text as written.
_Piece = tuple[int, str, str]


def apply() -> None:
    """Change the lexer now, or when Jinja2 is imported."""
    if "jinja2.lexer" in sys.modules:
        _install()
    else:
        _imports.after("jinja2.lexer", _install)


def _install() -> None:
    global refusal
    from jinja2.lexer import Lexer

    found = version("jinja2")
    if not found.startswith(KNOWN):
        refusal = f"Jinja2 {found} is left as it is: doubled delimiters are known for {KNOWN}x only"
        return
    read = Lexer.tokeniter

    @wraps(read)
    def tokeniter(self: Lexer, *args: Any, **kwargs: Any) -> Iterator[_Piece]:
        return _join_doubled(read(self, *args, **kwargs))

    Lexer.tokeniter = tokeniter  # type: ignore[method-assign]


def _join_doubled(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Make one piece of data of a variable that ends where it begins, by the same string."""
    held: _Piece | None = None
    for piece in pieces:
        if held is not None:
            line, _, begin = held
            held = None
            if piece[1] == "variable_end" and piece[2] == begin:
                yield line, "data", begin
                continue
            yield line, "variable_begin", begin
        if piece[1] == "variable_begin":
            held = piece
        else:
            yield piece
    if held is not None:
        yield held
