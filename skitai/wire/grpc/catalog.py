"""What clients may know of the ``.proto`` files of a server: the answers of a reflection service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from skitai.errors import GrpcCode, GrpcError
from skitai.wire.grpc import methods


class Catalog:
    """The files of some services and all that these import, but no others of the process: it may have imported
    generated modules for calls to services that are nobody's business.

    Args:
        services: their full names. files: names of further ``.proto`` files, such as one that has extensions only.

    Next: :meth:`look`, once in a while; then the questions. Each raises GrpcError, NOT_FOUND, for what is not there.
    """

    def __init__(self, services: Iterable[str], files: Iterable[str] = ()) -> None:
        self._services = sorted(set(services))
        self._missing_services = set(self._services)
        self._missing_files = set(files)
        self._files: dict[str, Any] = {}

    def look(self) -> set[str]:
        """Look for what was not there before: modules are imported when the server runs already.

        Returns:
            the services and files that no module describes yet.
        """
        for name in list(self._missing_services):
            service = next(_found("FindServiceByName", name), None)
            if service is not None:
                self._missing_services.discard(name)
                self._add(service.file)
        for name in list(self._missing_files):
            file = next(_found("FindFileByName", name), None)
            if file is not None:
                self._missing_files.discard(name)
                self._add(file)
        return self._missing_services | self._missing_files

    def _add(self, file: Any) -> None:
        if file.name not in self._files:
            self._files[file.name] = file
            for each in file.dependencies:
                self._add(each)

    # The questions

    def services(self) -> list[str]:
        """Return the names of the services that are described."""
        return [each for each in self._services if each not in self._missing_services]

    def file(self, name: str) -> Any:
        """Return a file by its name."""
        if name not in self._files:
            raise _not_found(name)
        return self._files[name]

    def file_of_symbol(self, symbol: str) -> Any:
        """Return the file that declares a service, a method, a message, an enum, a field or an extension."""
        for file in _found("FindFileContainingSymbol", symbol):
            if file.name in self._files:
                return file
        for method in _found("FindMethodByName", symbol):  # no symbol to all builds of protobuf
            if method.containing_service.file.name in self._files:
                return method.containing_service.file
        raise _not_found(symbol)

    def file_of_extension(self, message: str, number: int) -> Any:
        """Return the file that declares the extension of a message which has this number."""
        for each in self._extensions(message):
            if each.number == number:
                return each.file
        raise _not_found(f"the extension {number} of {message}")

    def extension_numbers(self, message: str) -> list[int]:
        """Return the numbers of all extensions of a message."""
        return sorted(each.number for each in self._extensions(message))

    def serialize(self, file: Any, sent: set[str]) -> Iterator[bytes]:
        """Give out a file and what it imports, except what was sent before.

        Args:
            file: is sent again when it is asked for again. sent: names of files; those that are given out are added.
        """
        sent.add(file.name)
        yield file.serialized_pb
        for each in file.dependencies:
            if each.name not in sent:
                yield from self.serialize(each, sent)

    def _extensions(self, name: str) -> list[Any]:
        for message in _found("FindMessageTypeByName", name):
            if message.file.name in self._files:
                return [each for each in message.file.pool.FindAllExtensions(message) if each.file.name in self._files]
        raise _not_found(name)

    def __repr__(self) -> str:
        return f"<Catalog {len(self._files)} files of {', '.join(self._services)}>"


def _found(way: str, name: str) -> Iterator[Any]:
    """Give out the descriptors that pools have by a name: what Skitai brings, an app may have imported besides."""
    for pool in methods.pools():
        try:
            descriptor = getattr(pool, way)(name)
        except KeyError:
            continue
        yield descriptor


def _not_found(what: str) -> GrpcError:
    """What is hidden is answered as what does not exist."""
    return GrpcError(GrpcCode.NOT_FOUND, f"{what[:200]} is not there")
