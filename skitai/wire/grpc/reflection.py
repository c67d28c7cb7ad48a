"""The messages of the reflection service, which need no generated module: the one that others publish brings grpcio
with it, and knows the older version only. The two versions differ in nothing but their package.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from skitai.wire.grpc import methods

_PACKAGES: Final = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
#: Full names of the service in its versions.
SERVICES: Final = tuple(f"{package}.ServerReflection" for package in _PACKAGES)

#: Of each field, by its number: what it holds, and its name behind that of its oneof.
_MESSAGES: Final[dict[str, dict[int, str]]] = {
    "ServerReflectionRequest": {
        1: "string host",
        3: "string message_request.file_by_filename",
        4: "string message_request.file_containing_symbol",
        5: "ExtensionRequest message_request.file_containing_extension",
        6: "string message_request.all_extension_numbers_of_type",
        7: "string message_request.list_services",
    },
    "ServerReflectionResponse": {
        1: "string valid_host",
        2: "ServerReflectionRequest original_request",
        4: "FileDescriptorResponse message_response.file_descriptor_response",
        5: "ExtensionNumberResponse message_response.all_extension_numbers_response",
        6: "ListServiceResponse message_response.list_services_response",
        7: "ErrorResponse message_response.error_response",
    },
    "ExtensionRequest": {1: "string containing_type", 2: "int32 extension_number"},
    "FileDescriptorResponse": {1: "repeated bytes file_descriptor_proto"},
    "ExtensionNumberResponse": {1: "string base_type_name", 2: "repeated int32 extension_number"},
    "ListServiceResponse": {1: "repeated ServiceResponse service"},
    "ServiceResponse": {1: "string name"},
    "ErrorResponse": {1: "int32 error_code", 2: "string error_message"},
}


@cache
def add_files() -> None:
    """Make the methods of both versions known.

    Raises:
        ConfigurationError: protobuf is not installed.
    """
    methods.require_protobuf()
    for package in _PACKAGES:
        methods.add_file(_file(package))


def _file(package: str) -> Any:
    """Return the description of one version."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    path = f"{package.replace('.', '/')}/reflection.proto"
    file = FileDescriptorProto(name=path, package=package, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, text in fields.items():
            _add_field(message, number, text, f".{package}.")
    file.service.add(name="ServerReflection").method.add(
        name="ServerReflectionInfo",
        input_type=f".{package}.ServerReflectionRequest",
        output_type=f".{package}.ServerReflectionResponse",
        client_streaming=True,
        server_streaming=True,
    )
    return file


def _add_field(message: Any, number: int, text: str, prefix: str) -> None:
    *repeated, kind, name = text.split()
    oneof, _, name = name.rpartition(".")
    field = message.field.add(name=name, number=number, label="LABEL_REPEATED" if repeated else "LABEL_OPTIONAL")
    if kind.islower():
        field.type = field.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = field.TYPE_MESSAGE, prefix + kind
    if oneof:
        if not message.oneof_decl:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = 0
