"""Several certificates behind one port, chosen by the host name that a client asks for (SNI, RFC 6066 section 3)."""

from __future__ import annotations

import _ssl
import ssl
import sys
from collections.abc import Iterable
from typing import Any

from skitai.errors import ConfigurationError


class NameTable:
    """The context for each host name.

    An exact name goes before a wildcard, and ``*.example.com`` covers exactly one label (RFC 9525 section 6.3). Nobody
    need know a name: other ones get the default certificate, and it is the client who then refuses.
    """

    def __init__(self) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._owners: dict[str, str] = {}

    def add(self, names: Iterable[str], context: ssl.SSLContext, owner: str) -> None:
        """Use ``context`` for these names, in lower case.

        Args:
            owner: what a message calls it.

        Raises:
            ConfigurationError: another certificate has one of these names.
        """
        for name in names:
            if name in self._contexts:
                raise ConfigurationError(
                    f"both {self._owners[name]!r} and {owner!r} are for {name}: "
                    "say with names=[...] which of them is shown for which host"
                )
            self._contexts[name] = context
            self._owners[name] = owner

    def add_missing(self, names: Iterable[str], context: ssl.SSLContext, owner: str) -> None:
        """As :meth:`add`, but leave names alone that are there already."""
        self.add([name for name in names if name not in self._contexts], context, owner)

    def find(self, name: str) -> ssl.SSLContext | None:
        """Return the context for the name that a client asks for, ``None`` for one that nobody has."""
        name = name.lower().removesuffix(".")
        return self._contexts.get(name) or self._contexts.get("*." + name.partition(".")[2])

    def serve(self, context: ssl.SSLContext) -> None:
        """Let the handshakes of ``context`` show the certificates of this table; one for nobody's name is its own."""
        # Where ssl is patched, gevent's property wraps the callback for its own sockets and fails with our engines.
        own: Any = _ssl._SSLContext.sni_callback
        own.__set__(context, self._choose)
        _keep_quiet()

    def _choose(self, engine: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """See :attr:`ssl.SSLContext.sni_callback`."""
        chosen: Any = None if name is None else self.find(name)
        if chosen is not None and chosen is not context:
            engine.context = chosen


_is_quiet = False


def _keep_quiet() -> None:
    """Let no client write a traceback: ``ssl`` prints one for each name that is not ASCII, and ends the handshake.

    The client is told and the server log says so, as of every handshake that fails.
    """
    global _is_quiet
    if _is_quiet:
        return
    _is_quiet = True
    others = sys.unraisablehook

    def hook(what: sys.UnraisableHookArgs) -> None:
        if not (isinstance(what.exc_value, UnicodeDecodeError) and isinstance(what.object, bytes)):
            others(what)

    sys.unraisablehook = hook
