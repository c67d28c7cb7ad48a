"""The rule of a route, as ``/download/<int:major>/<path>``, taken apart once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

from skitai.saddle.errors import SetupError
from skitai.saddle.urlencoded import decode_component

_VARIABLE = re.compile(r"<(?:([^<>:]*):)?([^<>:]*)>")

#: Digits of a number in a URL. A float has at most 325 of them; Python refuses to convert an int of more than 4300.
_MOST_DIGITS = 400


@dataclass(frozen=True)
class Kind:
    """A kind of variable.

    Attributes:
        name: as it stands in a rule.
        read: returns the value of a piece of the URL, still percent-encoded, ``None`` when it is none of this kind.
        write: returns the piece of the URL for a value; raises AssertionError when no such piece would be read back.
        pattern: what a piece looks like, for pieces that share a segment with text.
    """

    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    pattern: str


def _read_int(text: str) -> int | None:
    return int(text) if text.isdigit() and text.isascii() and len(text) <= _MOST_DIGITS else None


def _write_int(value: Any) -> str:
    text = str(int(value)) if not isinstance(value, str) else value
    if _read_int(text) is None:
        raise AssertionError(f"expected a whole number that is not negative, not {value!r}")
    return text


_is_float = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+").fullmatch


def _read_float(text: str) -> float | None:
    return float(text) if len(text) <= _MOST_DIGITS and _is_float(text) else None


def _write_float(value: Any) -> str:
    text = value if isinstance(value, str) else repr(float(value))
    if "e" in text:
        text = format(Decimal(text), "f")
    if _read_float(text) is None:
        raise AssertionError(f"expected a number that is finite and not negative, not {value!r}")
    return text


def _read_text(text: str) -> str | None:
    if not text:
        return None
    # What building a URL did to blanks is undone, so an underscore cannot be passed: that is documented.
    return decode_component(text.replace("_", "+")) if "%" in text or "+" in text or "_" in text else text


def _write_text(value: Any) -> str:
    text = quote_plus(str(value), safe="").replace("+", "_")
    if not text:
        raise AssertionError("an empty text cannot be a segment of a URL")
    return text


def _read_path(text: str) -> str:
    return decode_component(text, plus=False) if "%" in text else text


def _write_path(value: Any) -> str:
    return quote(str(value), safe="/~!$&'()*+,;=:@")


_DIGITS = f"[0-9]{{1,{_MOST_DIGITS}}}"
INT = Kind("int", _read_int, _write_int, _DIGITS)
FLOAT = Kind("float", _read_float, _write_float, rf"{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS}")
TEXT = Kind("string", _read_text, _write_text, "[^/]+?")
PATH = Kind("path", _read_path, _write_path, ".*")

_KINDS = {"int": INT, "float": FLOAT, "string": TEXT, "str": TEXT, "path": PATH}


@dataclass(frozen=True)
class Variable:
    """A variable of a rule: its name and its kind."""

    name: str
    kind: Kind


#: A segment: the pieces between two slashes, each a text or a variable.
Segment = tuple[str | Variable, ...]


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        text: as it was given, with the mount points of the parts before it.
        segments: what stands between its slashes.
        variables: in the order in which they appear.
    """

    text: str
    segments: tuple[Segment, ...]
    variables: tuple[Variable, ...]

    @property
    def is_exact(self) -> bool:
        """Whether it has no variables."""
        return not self.variables

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(variable.name for variable in self.variables)

    def build(self, values: dict[str, Any]) -> str:
        """Return the path for these values of all variables.

        Raises:
            AssertionError: a value is none that its variable can have.
        """
        return "/" + "/".join("".join(self._write(piece, values) for piece in segment) for segment in self.segments)

    def _write(self, piece: str | Variable, values: dict[str, Any]) -> str:
        if isinstance(piece, str):
            return quote(piece, safe="~!$&'()*+,;=:@")
        try:
            return piece.kind.write(values[piece.name])
        except AssertionError as error:
            raise AssertionError(f"{piece.name} of {self.text}: {error}") from None


def parse_rule(text: str) -> Rule:
    """Take a rule apart.

    Raises:
        AssertionError: it does not start with a slash.
        SetupError: a variable has an unknown kind or no valid name, two have the same, or a path is not the last.
    """
    if not text.startswith("/"):
        raise AssertionError(f"a rule starts with '/', not as {text!r}")
    segments = tuple(_parse_segment(segment, text) for segment in text[1:].split("/"))
    variables = [piece for segment in segments for piece in segment if isinstance(piece, Variable)]
    names = [variable.name for variable in variables]
    if len(set(names)) != len(names):
        raise SetupError(f"two variables of the rule {text!r} have the same name")
    for variable in variables:
        if variable.kind is PATH and (variable is not variables[-1] or segments[-1] != (variable,)):
            raise SetupError(f"the path in the rule {text!r} must be the whole last segment: it takes all that follows")
    return Rule(text, segments, tuple(variables))


def _parse_segment(text: str, rule: str) -> Segment:
    pieces: list[str | Variable] = []
    position = 0
    for match in _VARIABLE.finditer(text):
        if match.start() > position:
            pieces.append(text[position : match.start()])
        pieces.append(_parse_variable(match[1], match[2], rule))
        position = match.end()
    if position < len(text):
        pieces.append(text[position:])
    if any(isinstance(piece, str) and ("<" in piece or ">" in piece) for piece in pieces):
        raise SetupError(f"the rule {rule!r} has a '<' or '>' that belongs to no variable")
    return tuple(pieces)


def _parse_variable(kind: str | None, name: str, rule: str) -> Variable:
    if kind is None and name == "path":
        kind = "path"
    found = TEXT if kind is None else _KINDS.get(kind)
    if found is None:
        raise SetupError(f"the rule {rule!r} has a variable of kind {kind!r}: there are int, float, path and string")
    if not name.isidentifier():
        raise SetupError(f"the rule {rule!r} has a variable {name!r}, which is no name for an argument")
    return Variable(name, found)
