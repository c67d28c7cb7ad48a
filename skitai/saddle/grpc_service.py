"""gRPC: an app that is mounted at ``/package.Service`` serves it; the route ``/Method`` is a method.

The classes of messages come from the generated modules that the app imports, by the full name of the method. A function
gets ``was`` and the message, or an iterator of messages, and returns a message, or gives any number of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skitai.errors import (
    ClientDisconnected,
    GrpcCallFailed,
    GrpcCode,
    GrpcError,
    LocalProtocolError,
    RemoteProtocolError,
)
from skitai.net import logs
from skitai.saddle.endpoint import ByContentType, Endpoint
from skitai.saddle.errors import HttpError, MethodNotAllowed, MissingSlash, NotFound, UnsupportedMediaType
from skitai.saddle.grpc_call import GrpcCall
from skitai.saddle.grpc_replies import Failure, Message, Messages
from skitai.wire.feeding import Feeding
from skitai.wire.grpc import methods
from skitai.wire.grpc.metadata import encode_metadata
from skitai.wire.grpc.status import code_of_app
from skitai.wire.response import reason_phrase

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.replies import Reply
    from skitai.saddle.service import Was

#: How the content types of all variants of gRPC begin, and those that are served.
PREFIX = "application/grpc"
CONTENT_TYPES = (PREFIX, "application/grpc+proto")

_INTERNAL = "internal error"


def feeding(app: Saddle, exchange: Any) -> Feeding:
    """Say how the body of a request comes to the app."""
    kind = exchange.header("content-type")
    if kind is None or kind[: len(PREFIX)].lower() != PREFIX:
        return Feeding.WHOLE
    method = methods.find_by_path(exchange.raw_path)
    return Feeding.AT_ONCE if method is not None and method.takes_stream else Feeding.MESSAGES


def check(was: Was, content_type: str) -> None:
    """Refuse what is no call and yet is for a method, or what is another kind of gRPC.

    Raises:
        UnsupportedMediaType: it is so.
    """
    path = was.exchange.raw_path
    if content_type.startswith(PREFIX) or ("." in path and methods.find_by_path(path) is not None):
        raise UnsupportedMediaType(f"this method is called by {PREFIX}")


def serve(was: Was) -> Reply:
    """Return the reply to a call.

    Raises:
        HttpError: the request came over HTTP/1 or through WSGI, which cannot carry a call. ClientDisconnected: the
            client is gone.
    """
    if was.exchange.version != "2.0" or not hasattr(was.exchange, "interrupt"):
        raise HttpError(505, "gRPC needs HTTP/2, and an app that is mounted itself")
    call = was.grpc_call = GrpcCall(was)
    try:
        method, endpoint = _find(was)
        call.begin(method)
        was.endpoint = endpoint
        content = _run(was, endpoint, call.messages() if method.takes_stream else call.message())
        if method.gives_stream:
            reply: Any = Messages(call, content, lambda error: explain(was, error))
        else:
            data = call.frame(content)
            reply = Message(call, call.leading_fields(), data)
    except ClientDisconnected as error:
        if not call.is_over and call.has_lost_client:
            call.forget()
            raise
        # The deadline has passed, which was said already; or it is another client that the function lost.
        reply = Failure(call, GrpcError(GrpcCode.DEADLINE_EXCEEDED) if call.is_over else explain(was, error))
    except Exception as error:
        reply = Failure(call, explain(was, error))
    was.end(reply)
    return 200, None, [], reply


def _find(was: Was) -> tuple[methods.Method, Endpoint]:
    """Return what a request calls.

    Raises:
        GrpcError: UNIMPLEMENTED: there is no such thing.
    """
    try:
        target, was.values = was.app.table.find(was.path, "POST")
    except (NotFound, MethodNotAllowed, MissingSlash):
        raise GrpcError(GrpcCode.UNIMPLEMENTED, f"there is no method {was.exchange.path[:200]}") from None
    if isinstance(target, ByContentType):
        target = target.choose(PREFIX)
    method = methods.find_by_path(was.exchange.raw_path)
    if method is None:
        text = f"no module that was imported describes the gRPC method {was.exchange.path}: import its *_pb2 module"
        logs.current().app.log(text, "error", was.log_tag)
        raise GrpcError(GrpcCode.UNIMPLEMENTED, f"there is no method {was.exchange.path[:200]}")
    return method, target


def _run(was: Was, endpoint: Endpoint, argument: Any) -> Any:
    """Run a function, with the guards and hooks of its route.

    Raises:
        GrpcError: one of these answered with a status of HTTP.
    """
    if endpoint.is_bare and was.exchange.header("origin") is None:
        content = endpoint.function(was, *was.values, argument)
    else:
        content = endpoint.call_with(was, (*was.values, argument))
    response = was.__dict__.get("response")
    if response is not None and response.code >= 300:
        raise GrpcError(code_of_app(response.code), reason_phrase(response.code))
    return content


def explain(was: Was, error: BaseException) -> GrpcError:
    """Return the status of a call whose function raised; what is no answer to the client is logged."""
    if isinstance(error, GrpcError) and not isinstance(error, GrpcCallFailed):
        try:
            encode_metadata(error.metadata)
        except LocalProtocolError as wrong:  # a client must have a status all the same
            logs.current().app.traceback(tag=was.log_tag, error=wrong)
            return GrpcError(error.code, error.details)
        return error
    if isinstance(error, HttpError) and error.status < 500:
        return GrpcError(code_of_app(error.status), error.detail or reason_phrase(error.status))
    if isinstance(error, RemoteProtocolError):
        return GrpcError(code_of_app(error.status), str(error))
    logs.current().app.traceback(tag=was.log_tag, error=error)
    if isinstance(error, HttpError):
        return GrpcError(code_of_app(error.status), error.detail or reason_phrase(error.status))
    return GrpcError(GrpcCode.UNKNOWN, f"{type(error).__name__}: {error}" if was.app.debug else _INTERNAL)

