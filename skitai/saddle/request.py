"""``was.request``: what a client sent. Nothing is parsed until it is asked for, and then once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from skitai.lib.attributes import AttributeDict
from skitai.saddle import body, multipart_forms
from skitai.saddle.errors import InvalidJson
from skitai.saddle.forms import PARSERS
from skitai.saddle.headers import Headers
from skitai.saddle.lazy import lazy
from skitai.saddle.typed_names import query_fields
from skitai.was._exchange import RequestView
from skitai.wire.masking import mask
from skitai.wire.target import split_target

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.routes import Function
    from skitai.saddle.service import Was

_split = re.compile(r"([^;?#]*)(;[^?#]*)?(\?[^#]*)?(#.*)?", re.DOTALL).fullmatch


class Repeated(list[Any]):
    """The values of a name that came several times; told from a single value that is a list by its class."""


class Request(RequestView):
    """A request.

    Args:
        was: of the request.

    Attributes:
        method: in upper case. uri: path and query as sent. version: ``"1.0"``, ``"1.1"`` or ``"2.0"``.
        user: who it is from, once it was authenticated: ``name``, ``realm``, ``info``; else ``None``.
        params: positional parameters, of a protocol such as XML-RPC that has them in place of named ones.
    """

    user: Any = None
    token: Any = None
    claim: Any = None
    params: tuple[Any, ...] | None = None

    def __init__(self, was: Was) -> None:
        self._exchange = was.exchange
        self._was = was

    # The request line

    @property
    def method(self) -> str:
        """GET, POST and so on."""
        return str(self._exchange.method)

    @property
    def command(self) -> str:
        """The method in lower case."""
        return self.method.lower()

    @property
    def uri(self) -> str:
        """The request target: path and query as sent."""
        return str(self._exchange.target)

    @property
    def version(self) -> str:
        """Of HTTP."""
        return str(self._exchange.version)

    def split_uri(self) -> tuple[str | None, str | None, str | None, str | None]:
        """Return (script, param, querystring, fragment) of the target.

        Missing ones are ``None``; the others keep the ``;``, ``?`` or ``#`` that they begin with.
        """
        match = _split(self.uri)
        return match.groups() if match else (self.uri, None, None, None)  # type: ignore[return-value]

    @property
    def path(self) -> str:
        """The path as sent, with its percent-encoding."""
        return split_target(self.uri)[0]

    @property
    def query(self) -> str:
        """The query as sent, without its question mark."""
        return str(self._exchange.query)

    # The header section

    @lazy
    def headers(self) -> Mapping[str, str]:
        """The fields; names in any case."""
        return Headers(self._exchange.fields)

    def get_header(self, name: str | None = None, default: str | None = None) -> Any:
        """Return a field, ``default`` when there is none; all raw lines when no name is given."""
        if name is None:
            return self.get_headers()
        value: str | None = self._exchange.header(name, default)
        return value

    def get_headers(self) -> list[str]:
        """Return the field lines, as ``"Name: value"``."""
        return [f"{name}: {value}" for name, value in self._exchange.fields]

    def get_content_type(self) -> str | None:
        """Return the content type in lower case without its parameters, as ``text/html``."""
        value: str | None = self._exchange.header("content-type")
        return value.partition(";")[0].strip().lower() if value else None

    def get_main_type(self) -> str | None:
        """Return what is before the slash of the content type."""
        content_type = self.get_content_type()
        return content_type.partition("/")[0] if content_type else None

    def get_sub_type(self) -> str | None:
        """Return what is after the slash of the content type."""
        content_type = self.get_content_type()
        return content_type.partition("/")[2] if content_type else None

    def get_user_agent(self) -> str | None:
        """Return User-Agent."""
        value: str | None = self._exchange.header("user-agent")
        return value

    # The connection

    @property
    def scheme(self) -> str:
        """``"http"`` or ``"https"``."""
        return str(self._exchange.scheme)

    def get_scheme(self) -> str:
        """Return :attr:`scheme`."""
        return self.scheme

    def get_remote_addr(self) -> str:
        """Return the address of the client."""
        return str(self._exchange.peer[0])

    # The body

    @lazy
    def body(self) -> bytes | None:
        """The body, ``None`` when there is none. Errors as :func:`skitai.saddle.body.read`."""
        return body.read(self)

    #: The form in a multipart body, read when it or the body is first asked for.
    multipart = lazy(multipart_forms.read)

    def get_body(self) -> bytes | None:
        """Return :attr:`body`."""
        return self.body

    def json(self) -> Any:
        """Return the body, a JSON document.

        Raises:
            InvalidJson: it is none; a ValueError, and a 400 for the client.
        """
        try:
            # Left to itself the parser takes other encodings as well, and bytes that are no UTF-8.
            return json.loads((self.body or b"").decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise InvalidJson("the request body is no JSON document") from error

    # The route

    @property
    def app(self) -> Saddle:
        """The app that it came to."""
        return self._was.app

    @property
    def routed_function(self) -> Function | None:
        """The function that it was routed to."""
        endpoint = self._was.endpoint
        return None if endpoint is None else endpoint.function

    routed = routed_function

    @property
    def routable(self) -> dict[str, Any] | None:
        """The options of that route, as ``{"methods": ["POST", "OPTIONS"], "content_types": ["text/xml"]}``."""
        endpoint = self._was.endpoint
        return None if endpoint is None else dict(endpoint.route.options)

    # Arguments

    @lazy
    def args(self) -> AttributeDict:
        """Variables of the URL, fields of the query and of the form by name; defaults of the function filled in."""
        endpoint = self._was.endpoint
        return self.collect_args(()) if endpoint is None else endpoint.collect(self._was)

    def collect_args(self, names: tuple[str, ...]) -> AttributeDict:
        """Return all fields by name, as text; a name that comes several times has a list.

        Args:
            names: of the variables of the URL.

        Raises:
            BadRequest: the query or the form cannot be read.
        """
        exchange = self._exchange
        args = AttributeDict()
        parser = PARSERS.get(self.get_content_type() or "") if exchange.body is not None else None
        fields = () if parser is None else parser.parse(self)
        if parser is not None and parser.goes_first:
            _add(args, fields)
        _add(args, zip(names, self._was.values, strict=False))
        _add(args, query_fields(exchange.query, self._was.app.config["max_form_fields"]))
        if parser is not None and not parser.goes_first:
            _add(args, fields)
        return args

    def __repr__(self) -> str:
        return f"<Request {self.method} {mask(self.uri)}>"


def _add(args: AttributeDict, fields: Iterable[tuple[str, Any]]) -> None:
    """Add fields; of a name that is there already the value becomes a list, in the order of arrival."""
    for name, value in fields:
        if name not in args:
            args[name] = value
        elif args[name].__class__ is Repeated:
            args[name].append(value)
        else:
            args[name] = Repeated((args[name], value))
