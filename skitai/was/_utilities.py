"""The utilities of ``was``: JSON, XML-RPC and protobuf messages, logs, and the state and life of the server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from skitai.net import logs
from skitai.was import _life, _status
from skitai.wire import status_page, xmlrpc


class Utilities:
    """Mixed into the context, so that they are there in every framework."""

    @property
    def log_tag(self) -> str:
        """What marks log lines of this context."""
        return ""

    def tojson(self, obj: Any) -> str:
        """Return ``obj`` as JSON."""
        return json.dumps(obj)

    def fromjson(self, document: str | bytes) -> Any:
        """Return the object of a JSON document; bytes are UTF-8.

        Raises:
            ValueError: it is none.
        """
        return json.loads(document.decode("utf-8") if isinstance(document, (bytes, bytearray)) else document)

    def toxml(self, obj: Any, usedatetime: bool | int = 0) -> str:
        """Return a tuple of parameters as an XML-RPC document; anything else counts as the only parameter.

        Args:
            usedatetime: accepted because version 0.26 documents it; ``datetime`` objects are always understood.
        """
        return xmlrpc.dump_params(obj)

    def fromxml(self, document: str | bytes, use_datetime: bool | int = 0) -> tuple[tuple[Any, ...], str | None]:
        """Return (parameters, method name) of an XML-RPC document; the name is ``None`` unless it is a call.

        Args:
            use_datetime: give ``datetime`` instead of ``xmlrpc.client.DateTime``.

        Raises:
            xmlrpc.client.Fault: it is a fault.
            UnreadableBody: it is no XML-RPC, or it has a DTD or an entity.
        """
        return xmlrpc.load(document, bool(use_datetime))

    def togrpc(self, obj: Any) -> bytes:
        """Return a protobuf message as bytes."""
        serialized: bytes = obj.SerializeToString()
        return serialized

    def fromgrpc(self, message: Any, obj: bytes) -> Any:
        """Read ``obj`` into the protobuf ``message`` and return that."""
        message.ParseFromString(obj)
        return message

    def status(self, flt: str | Iterable[str] | None = None, fancy: bool = True) -> Any:
        """Return the state of the server as an HTML page, for those who may see it: it has no URL of its own.

        Args:
            flt: names of sections, to get only these.
            fancy: False gives the same as a dict. In both, what has the name of a secret is masked.
        """
        sections = _status.collect(self, [flt] if isinstance(flt, str) else flt)
        return status_page.render(sections) if fancy else sections

    def restart(self, timeout: float = 0) -> None:
        """Restart the server once the responses that are being made are sent, the current one included.

        With one worker process that is the whole server, and clients are accepted throughout; with several it is this
        worker only. Without a supervisor (``workers=0``) the process ends with exit code 3.

        Args:
            timeout: seconds that requests in flight may take; 0 is what the server grants on every stop.

        Raises:
            LaunchError: the server was not started by ``skitai.run()``.
        """
        _life.control().restart(timeout or None)

    def shutdown(self, timeout: float = 0) -> None:
        """Stop the server with exit code 0, otherwise as :meth:`restart`.

        Of several worker processes this one ends, and the supervisor starts another in its place.
        """
        _life.control().shutdown(timeout or None)

    def log(self, msg: object, category: str = "info") -> None:
        """Write a line to the app log, marked with the transaction when there is one."""
        logs.current().app.log(str(msg), category, self.log_tag)

    def traceback(self, identifier: str = "", id: str = "") -> None:
        """Write the exception that is being handled to the app log.

        Args:
            identifier, id: one of the two marks the line; the transaction does when neither is given.
        """
        logs.current().app.traceback(identifier or id, self.log_tag)
