"""Which parser reads the form in a request body.

To add one: write a file with a function that takes the :class:`~skitai.saddle.request.Request` and returns its fields,
and name it in :data:`PARSERS` by content type. A parser runs when the arguments of a request are asked for, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skitai.saddle import multipart_forms
from skitai.saddle.urlencoded import parse_form

if TYPE_CHECKING:
    from skitai.saddle.request import Request

Pairs = Iterable[tuple[str, Any]]


@dataclass(frozen=True)
class Parser:
    """Reads forms of one content type.

    Attributes:
        parse: returns the fields. goes_first: whether they come before the variables of the URL, not after the query.
    """

    parse: Callable[[Request], Pairs]
    goes_first: bool = False


def _urlencoded(request: Request) -> Pairs:
    return parse_form(request.body or b"", request.app.config.max_form_fields)


def _multipart(request: Request) -> Pairs:
    return request.multipart.pairs


#: By content type, without parameters and in lower case.
PARSERS: dict[str, Parser] = {
    "application/x-www-form-urlencoded": Parser(_urlencoded),
    multipart_forms.CONTENT_TYPE: Parser(_multipart, goes_first=True),
}
