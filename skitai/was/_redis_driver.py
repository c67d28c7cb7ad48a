"""What is taken from redis-py: how commands are written and read. Importing this imports it.

Its client is left out: it would connect again by itself and repeat what failed, and a second INCR is not the first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import redis
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.commands import CoreCommands, SentinelCommands
from redis.connection import Connection, Encoder

from skitai.was._db_connection import Command
from skitai.wire import redis_commands

if TYPE_CHECKING:
    from skitai.net.cooperative import CooperativeSocket
    from skitai.wire.databases import Database

__all__ = ["EMPTY_RESPONSE", "NEVER_DECODE", "NO_COMMANDS", "PROTOCOLS", "Driver", "build", "callbacks", "redis"]

#: Versions of RESP to try, best first. Before 8, redis-py gives answers of RESP3 other shapes than those of RESP2;
#: since then they are the same, so that what a caller gets depends neither on its version nor on the server's.
PROTOCOLS = (3, 2) if "legacy_responses" in inspect.signature(redis.Redis.__init__).parameters else (2,)


@lru_cache(maxsize=4)
def callbacks(protocol: int) -> dict[str, Callable[..., Any]]:
    """Return what makes an object of an answer, by the name of the command."""
    client = redis.Redis() if protocol == PROTOCOLS[0] else redis.Redis(protocol=protocol)
    return dict(client.response_callbacks)


class Driver(Connection):  # type: ignore[misc]
    """A connection of redis-py on a socket that is there already, used up when that is lost.

    Args:
        sock: connected. database: whose user and number are used. protocol: version of RESP.
        silence: seconds that the server may be silent inside an answer; ``None``: as long as it likes.
    """

    def __init__(
        self, sock: CooperativeSocket, database: Database, protocol: int, silence: float | None = None
    ) -> None:
        self._given: CooperativeSocket | None = sock
        sock.settimeout(silence)
        super().__init__(
            host=database.host, port=database.port, db=database.dbname or 0,
            username=database.user or None, password=database.password or None, protocol=protocol,
            socket_timeout=silence,
        )  # fmt: skip

    def _connect(self) -> Any:
        sock, self._given = self._given, None
        if sock is None:
            raise OSError("the connection was lost")
        return sock

    @property
    def has_surplus(self) -> bool:
        """Whether the server said something beyond the answers that were read.

        ``can_read()`` of redis-py would ask the socket as well, which takes eight microseconds of the fifty of a GET.
        """
        parser = self._parser
        reader = getattr(parser, "_reader", None)  # of hiredis
        return bool(reader.has_data() if reader is not None else parser._buffer.unread_bytes())


class _Builder(CoreCommands, SentinelCommands):  # type: ignore[misc]
    """The command methods of redis-py, which return what they would have sent."""

    def execute_command(self, *words: Any, **options: Any) -> Command:
        options.pop("keys", None)  # for a cache of redis-py's client
        return Command(redis_commands.name_of(words), words, options)

    def get_encoder(self) -> Encoder:
        return Encoder("utf-8", "strict", False)

    def get_connection_kwargs(self) -> dict[str, Any]:
        return {}  # answers come as bytes, and are decoded by us


_builder = _Builder()

#: Attributes of redis-py's client that are no commands: locks, iterators, scripts and the namespaces of modules would
#: send on a connection of their own.
NO_COMMANDS = frozenset({"register_script", "digest_local"}) | {
    name for name in (*dir(redis.Redis()), *dir(_Builder))
    if not name.startswith("_") and (not hasattr(_Builder, name) or name.endswith("_iter"))
}  # fmt: skip
# Methods that want an answer at once, or are none of the server's commands.
_RAW = frozenset({"bitfield", "shutdown", "watch", "unwatch", "hello", "sentinel"})
# A name with an underscore has a blank, as in CLUSTER INFO, or this end.
_READ_ONLY_END = "_RO"


def build(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Command:
    """Return the command that a method of a stub means.

    Args:
        name: of a method of redis-py, or of a command that it does not know. args, options: as the method takes them.

    Raises:
        TypeError: arguments that the method does not take. redis.DataError: values that it refuses.
        ValueError: the command is not for a connection that others use, too.
    """
    method = getattr(_builder, name, None) if name not in _RAW else None
    command: Any = None
    if method is not None:
        try:
            command = method(*args, **options)
        except NotImplementedError:  # redis-py has no way to present the answer: it comes as it is
            options = {}
    if not isinstance(command, Command):
        if options:
            raise TypeError(f"{name}() takes no keywords: they are the words that the server reads, in their order")
        command = _builder.execute_command(_raw_name(name), *args)
    if refusal := redis_commands.why_refused(command.name):
        raise ValueError(refusal)
    return command  # type: ignore[no-any-return]


def _raw_name(name: str) -> str:
    name = name.upper()
    if name.endswith(_READ_ONLY_END):
        return name
    return name.replace("_", " ")
