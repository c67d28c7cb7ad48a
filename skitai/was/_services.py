"""The services of ``was`` by name, and what ``was.<name>`` is: callable, with ``.lb`` and ``.map``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from skitai.errors import UnknownAlias
from skitai.was import _modes, _request, _settings
from skitai.was._http_call import UPLOAD, Headers, HttpCall, HttpService, Options, empty_call, make_call
from skitai.wire import encodings

if TYPE_CHECKING:
    from skitai.was._context import Context
    from skitai.was._request import Request

_BODIES = {
    "": encodings.JSON,
    "form": encodings.FORM,
    "json": encodings.JSON,
    "xml": encodings.XML,
    "nvp": encodings.NAMEVALUE,
}

#: HTTP services by name.
HTTP: dict[str, HttpService] = {
    name: HttpService(name, name.upper()) for name in ("get", "delete", "head", "options", "trace")
}
HTTP |= {
    method + suffix: HttpService(method + suffix, method.upper(), content_type)
    for method in ("post", "put", "patch")
    for suffix, content_type in _BODIES.items()
}
HTTP["upload"] = HttpService("upload", "POST", UPLOAD)


class Service:
    """``was.get`` and its like.

    Calling it starts a request at once and returns it:
    ``was.get(url, data=None, auth=None, headers=None, meta=None, use_cache=True, ...)``.
    """

    __slots__ = ("_context", "_is_map", "_service")

    def __init__(self, context: Context, service: HttpService, is_map: bool = False) -> None:
        self._context = context
        self._service = service
        self._is_map = is_map

    def __call__(
        self,
        uri: str | None = None,
        data: Any = None,
        auth: Any = None,
        headers: Headers = None,
        meta: dict[str, Any] | bool | None = None,
        use_cache: bool = True,
        filter: Any = None,
        callback: Any = None,
        timeout: float | None = None,
        verify: bool | str | None = None,
        http2: bool | None = None,
    ) -> Request:
        """Start a request.

        Args:
            uri: a URL, or ``@alias/path``.
            data: for get, delete, head, options and trace the query, as a dict or str. For the others the body: str or
                bytes as they are, a dict in the encoding of the service, an open binary file or a generator streamed.
            auth: ``(user, password)`` or ``"user:password"`` for Basic or Digest, whichever the server asks for;
                ``(token,)`` for Bearer.
            headers: (name, value) pairs, or a dict.
            meta: given back as ``result.meta``. A bool in this place is ``use_cache``, as version 0.15 had it.
            use_cache: False asks the server even if a result is kept, and sends ``Cache-Control: no-cache``.
            filter: called with the result before it is handed out; may change it.
            callback: called with the result when it comes: ``f``, ``(f, args)``, ``(f, kwargs)`` or
                ``(f, args, kwargs)``. Nobody can wait for such a request.
            timeout: seconds that the connection may be silent; 10 when not given.
            verify: of TLS: True, False, or the path of a PEM file; ``None`` is as the alias or the process says.
            http2: True speaks it without TLS as well, False never; ``None`` is as the alias or the process says.

        Raises:
            AssertionError: no ``uri``. UnknownAlias: it names a cluster that is not defined.
            RuntimeError: a callback for a map, or no callback in the single-thread mode.
        """
        if (
            uri
            and use_cache is True
            and (data is auth is headers is meta is filter is callback is timeout is verify is http2 is None)
        ):
            return _start_plain(self._context, self._service, uri, self._is_map)
        if isinstance(meta, bool):
            use_cache, meta = meta, None
        options = Options(auth, headers, meta, use_cache, filter, callback, timeout, verify, http2)
        return start(self._context, self._service, uri, data, options, self._is_map)

    @property
    def lb(self) -> Service:
        """The same, to one member of a cluster; a URI that starts with ``@`` means it anyway."""
        return Service(self._context, self._service)

    @property
    def map(self) -> Service:
        """The same, to every member of a cluster at once: the results come from ``getswait()``."""
        _modes.check_map()
        return Service(self._context, self._service, is_map=True)

    def __repr__(self) -> str:
        return f"<was.{self._service.name}{'.map' if self._is_map else ''}>"


#: Characters of a URL whose call is remembered: callers may make URLs of what their users send.
_LONGEST_KEPT = 1024


def _start_plain(context: Context, service: HttpService, uri: str, is_map: bool) -> Request:
    if _modes.current.is_single or uri[:1] == "@":  # an alias may be defined anew
        return start(context, service, uri, None, Options(), is_map)
    plain_call = _plain_call if len(uri) <= _LONGEST_KEPT else _plain_call.__wrapped__
    try:
        call = plain_call(service.name, uri, is_map, _settings.version)
    except Exception as error:
        return _request.refused(context, empty_call(service, uri, Options(), is_map), error)
    return cast("Request", _request.make(context, call))


@lru_cache(maxsize=1024)
def _plain_call(name: str, uri: str, is_map: bool, version: int) -> HttpCall:
    """Make the call of a URL with nothing else. A call cannot change, so equal ones can be the same.

    Most calls of most apps are such, to few URLs; remembered, one costs 0.2 instead of 2.6 microseconds. The key is all
    that a call is made of: service, URL, map or not, and the number of the settings, which grows when they change.
    """
    return make_call(HTTP[name], uri, None, Options(), is_map)


def start(
    context: Context, service: HttpService, uri: str | None, data: Any, options: Options, is_map: bool
) -> Request:
    """Start a request of ``service``. See :meth:`Service.__call__`."""
    if not uri:
        raise AssertionError("Missing param uri or cluster name")
    _modes.check_call(context, options.callback, is_map)
    try:
        call = make_call(service, uri, data, options, is_map)
    except UnknownAlias:
        raise
    except Exception as error:  # an argument that cannot be sent is a failed request, as a server that is down
        return _request.refused(context, empty_call(service, uri, options, is_map), error)
    return cast("Request", _request.make(context, call))
