"""XML-RPC: every routed function is a method as well, called by the same URL rules: ``a.b`` is what ``/a/b`` leads to.

A POST of an XML content type is a call, whatever its path is: clients send it to the mount point, with or without a
slash behind it, or to ``/RPC2`` below. Only where a route names the content type in ``content_types`` it is a request
as any other.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from skitai.errors import ClientDisconnected, SkitaiError
from skitai.net import logs
from skitai.saddle import replies
from skitai.saddle.endpoint import ByContentType, Endpoint
from skitai.saddle.errors import BadRequest, HttpError, MissingSlash
from skitai.saddle.streams import Body
from skitai.saddle.urlencoded import MOST_NAME
from skitai.wire import xmlrpc
from skitai.wire.outcomes import UnreadableBody

if TYPE_CHECKING:
    from skitai.saddle.replies import Reply
    from skitai.saddle.service import Was

#: Content types of calls. All are in use: the specification knows only the first one.
CONTENT_TYPES = ("text/xml", "application/xml", "application/xml+rpc")

#: Several calls in one request: a list of {"methodName": ..., "params": [...]}.
_MULTICALL = "system.multicall"
#: The code of faults, and their text where the client is not told more; so spelled by every version.
_FAULT_CODE = 1
_FAULT_TEXT = "Error Occured"


class _Answered(SkitaiError):
    """A guard, a hook or the method set a status of HTTP, such as 401: what it returned is a page and no value."""

    def __init__(self, content: Any) -> None:
        super().__init__()
        self.content = content


def serve(was: Was) -> Reply | None:
    """Return the reply to a call, ``None`` when the request is for a route that takes such documents itself.

    Raises:
        BadRequest: the body is no call. ContentTooLarge: it is larger than ``app.config.max_post_body_size``.
    """
    if _is_routed(was):
        return None
    method, params = _read_call(was)
    try:
        value = _call_all(was, params) if method == _MULTICALL else _run(was, method, params)
        document = xmlrpc.dump_response(value)
    except _Answered as answered:
        return replies.finish(was, answered.content)
    except ClientDisconnected:
        raise
    except Exception as error:
        fault = xmlrpc.dump_fault(*_explain(was, method, error))
        was.end()  # and nothing is committed: the call failed
        return 200, None, [("Content-Type", "text/xml"), *(was.extra_fields or ())], fault
    was.response.set_header("Content-Type", "text/xml")
    return replies.finish(was, document)


def _is_routed(was: Was) -> bool:
    """Whether a route at the path of the request names its content type."""
    try:
        target, _ = was.app.table.find(was.path, "POST")
    except (HttpError, MissingSlash):
        return False
    return isinstance(target, ByContentType) and target.takes(was.request.get_content_type())


def _read_call(was: Was) -> tuple[str, tuple[Any, ...]]:
    try:
        params, method = xmlrpc.load(was.request.body or b"", use_datetime=True)
    except (UnreadableBody, xmlrpc.Fault) as error:
        raise BadRequest("the request body is no XML-RPC call") from error
    if not method or len(method) > MOST_NAME:
        raise BadRequest("the XML-RPC document names no method, or a very long one")
    return method, params


def _run(was: Was, method: str, params: tuple[Any, ...]) -> Any:
    """Run one method, with the guards and hooks of its route, and return its value."""
    endpoint, was.values = _find(was, method)
    was.endpoint = endpoint
    content = endpoint.call_with(was, (*was.values, *params))
    response = was.__dict__.get("response")
    if response is not None and response.code >= 300:
        raise _Answered(content)
    if isinstance(content, Body):
        content.close()
        raise TypeError("an XML-RPC method returns a value, not a stream")
    return content


def _find(was: Was, method: str) -> tuple[Endpoint, Any]:
    path = "/" + quote(method.replace(".", "/"))
    table = was.app.table
    try:
        target, values = table.find(path, "POST")
    except MissingSlash:
        target, values = table.find(path + "/", "POST")
    if isinstance(target, ByContentType):
        target = target.choose(was.request.get_content_type())
    return target, values


def _call_all(was: Was, params: tuple[Any, ...]) -> list[Any]:
    """Run several calls one after another; of each there is a list with its value, or a fault."""
    calls = params[0] if len(params) == 1 else None
    if not isinstance(calls, list):
        raise BadRequest(f"{_MULTICALL} takes one list of calls")
    most = int(was.app.config.max_multicall)
    if len(calls) > most:
        raise BadRequest(f"{_MULTICALL} takes {most} calls")
    return [_call_one(was, call) for call in calls]


def _call_one(was: Was, call: Any) -> Any:
    response = was.response
    before = response.code, response.reason, list(response.fields)
    method = ""
    try:
        method, params = _read_inner(call)
        value = _run(was, method, params)
        xmlrpc.dump_response(value)  # one that cannot be sent must not take the others with it
        return [value]
    except ClientDisconnected:
        raise
    except Exception as error:
        if isinstance(error, _Answered):
            error = HttpError(response.code, response.get_status())
        # A status and fields that belong to this call are not for the answer to all.
        response.code, response.reason, response.fields = before
        code, text = _explain(was, method, error)
        return {"faultCode": code, "faultString": xmlrpc.clean(text)}


def _read_inner(call: Any) -> tuple[str, tuple[Any, ...]]:
    method, params = (call.get("methodName"), call.get("params", [])) if isinstance(call, dict) else (None, None)
    if not isinstance(method, str) or not 0 < len(method) <= MOST_NAME or not isinstance(params, list):
        raise BadRequest("a call has a methodName and params")
    if method == _MULTICALL:
        raise BadRequest(f"{_MULTICALL} cannot call itself")
    return method, tuple(params)


def _explain(was: Was, method: str, error: Exception) -> tuple[int, str]:
    """Log an error and return code and text of its fault."""
    if isinstance(error, xmlrpc.Fault):  # the method says itself what its client is to know
        return error.faultCode, error.faultString
    if isinstance(error, HttpError) and error.status < 500:
        logs.current().app.log(f"XML-RPC method {method!r}: {error}", "warn", was.log_tag)
    else:
        logs.current().app.traceback(tag=was.log_tag, error=error)
    if was.app.debug:
        return _FAULT_CODE, "".join(traceback.format_exception(error))
    detail = error.detail if isinstance(error, HttpError) else ""
    return _FAULT_CODE, f"{_FAULT_TEXT}: {detail}" if detail else _FAULT_TEXT
