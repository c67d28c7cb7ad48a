"""The reflection service of gRPC, by which tools such as grpcurl call methods without having the ``.proto`` files.

    reflection = Reflection("routeguide.RouteGuide")
    skitai.mount("/grpc.reflection.v1.ServerReflection", reflection.app)
    skitai.mount("/grpc.reflection.v1alpha.ServerReflection", reflection.app)

Clients ask for either version. Its messages need no generated module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from skitai.errors import ConfigurationError, GrpcCode, GrpcError
from skitai.net import logs
from skitai.saddle.app import Saddle
from skitai.wire.grpc.catalog import Catalog
from skitai.wire.grpc.reflection import SERVICES, add_files

#: Bytes of a request, which holds one name: its answer repeats it.
_MOST_BYTES: Final = 64 * 1024


class Reflection:
    """See the module. It tells of the services that it is given and of itself, and of no other.

    Args:
        services: full names of services. The modules that describe them may be imported later.
        files: names of ``.proto`` files that are to be known besides those that the services import, such as one of
            extensions only.

    Attributes:
        app: to be mounted at the names of both versions.

    Raises:
        ConfigurationError: no service was given, or protobuf is not installed.
    """

    def __init__(self, *services: str, files: Iterable[str] = ()) -> None:
        if not services:
            raise ConfigurationError("say what reflection is to tell of: Reflection('package.Service', ...)")
        add_files()
        self._catalog = Catalog([*services, *SERVICES], files)
        self._told: set[str] = set()
        self._answers: dict[str, Callable[[Any, Any, set[str]], None]] = {
            "file_by_filename": self._file,
            "file_containing_symbol": self._file_of_symbol,
            "file_containing_extension": self._file_of_extension,
            "all_extension_numbers_of_type": self._extension_numbers,
            "list_services": self._services,
        }
        self.app = Saddle(__name__)
        self.app.config.max_grpc_message_size = _MOST_BYTES
        self.app.route("/ServerReflectionInfo")(self._info)

    def _info(self, was: Any, requests: Iterator[Any]) -> Iterator[Any]:
        self._look(was)
        response_class = was.grpc_call.method.output
        sent: set[str] = set()
        for request in requests:
            response = response_class(valid_host=request.host, original_request=request)
            try:
                self._answer(request, response, sent)
            except GrpcError as error:
                response.error_response.error_code = error.code
                response.error_response.error_message = error.details
            yield response

    def _look(self, was: Any) -> None:
        """Look for what is described by now, and say once what is not."""
        missing = self._catalog.look() - self._told
        self._told |= missing
        for name in sorted(missing):
            text = f"no module that was imported describes {name}, so reflection does not: import its *_pb2 module"
            logs.current().app.log(text, "error", was.log_tag)

    # The answers

    def _answer(self, request: Any, response: Any, sent: set[str]) -> None:
        """Fill in a response.

        Raises:
            GrpcError: what was asked for is not there, or nothing was asked for.
        """
        kind = request.WhichOneof("message_request")
        if kind is None:
            raise GrpcError(GrpcCode.INVALID_ARGUMENT, "the request asks for nothing that is known here")
        self._answers[kind](getattr(request, kind), response, sent)

    def _file(self, name: str, response: Any, sent: set[str]) -> None:
        self._give(self._catalog.file(name), response, sent)

    def _file_of_symbol(self, symbol: str, response: Any, sent: set[str]) -> None:
        self._give(self._catalog.file_of_symbol(symbol), response, sent)

    def _file_of_extension(self, asked: Any, response: Any, sent: set[str]) -> None:
        found = self._catalog.file_of_extension(asked.containing_type, asked.extension_number)
        self._give(found, response, sent)

    def _give(self, file: Any, response: Any, sent: set[str]) -> None:
        response.file_descriptor_response.file_descriptor_proto.extend(self._catalog.serialize(file, sent))

    def _extension_numbers(self, message: str, response: Any, sent: set[str]) -> None:
        numbers = self._catalog.extension_numbers(message)
        response.all_extension_numbers_response.base_type_name = message
        response.all_extension_numbers_response.extension_number.extend(numbers)

    def _services(self, asked: str, response: Any, sent: set[str]) -> None:
        for name in self._catalog.services():
            response.list_services_response.service.add(name=name)

    def __repr__(self) -> str:
        return f"<Reflection {self._catalog!r}>"
