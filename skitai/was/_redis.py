"""A connection to Redis or Valkey: the protocol by redis-py, on a socket of ours that waits in the gevent loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gevent import Timeout

from skitai.errors import ConfigurationError, ConnectFailed, ConnectTimeout
from skitai.net import descriptors
from skitai.net.connect import connect as open_channel
from skitai.net.cooperative import CooperativeSocket
from skitai.net.tls import client_context
from skitai.was import _settings
from skitai.was._db_connection import Answer, Command, DbConnection
from skitai.wire import redis_commands
from skitai.wire.masking import hide_in

if TYPE_CHECKING:
    from skitai.was._db_pool import DbPool
    from skitai.was._redis_driver import Driver
    from skitai.wire.databases import Database

#: Name of the command that is several; see :meth:`RedisConnection.perform`.
PIPELINE = "PIPELINE"
#: Among the options of a command: give what the server sent as bytes.
AS_BYTES = "AS_BYTES"

# What servers before Redis 6 say to HELLO, and those that know it but not this version of RESP.
_NO_HELLO = ("unknown command", "NOPROTO")


def need_driver() -> Any:
    """Return the module that imports redis-py.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        from skitai.was import _redis_driver
    except ModuleNotFoundError:
        # Without its cause, which is what a result shows where there is one.
        raise ConfigurationError("Redis is asked through redis-py: pip install 'skitai[redis]'") from None
    return _redis_driver


@lru_cache(maxsize=1)
def no_commands() -> frozenset[str]:
    """Return the attributes of redis-py's client that are no commands."""
    try:
        names: frozenset[str] = need_driver().NO_COMMANDS
    except ConfigurationError:  # which the first command says
        return frozenset()
    return names


def connect(pool: DbPool, deadline: float) -> RedisConnection:
    """Open a connection; see ``_db_pool.Connect``.

    Raises:
        ConfigurationError: redis-py is not installed.
        NameNotFound, ConnectFailed, ConnectTimeout, TlsFailed: as their names say.
        redis.RedisError: the server refused.
    """
    sock, driver = open_driver(pool.database, deadline)
    return RedisConnection(pool, sock, driver)


def open_driver(
    database: Database, deadline: float, protocols: Sequence[int] = (), silence: float | None = None
) -> tuple[CooperativeSocket, Driver]:
    """Return a socket and the connection of redis-py on it, with user and database set. See :func:`connect`.

    Args:
        deadline: monotonic time. protocols: versions of RESP to try, best first; none: what is usual.
        silence: see :class:`Driver`.
    """
    module = need_driver()
    *better, last = protocols or module.PROTOCOLS
    for protocol in better:
        try:
            return _open(module, database, deadline, protocol, silence)
        except module.redis.ResponseError as error:
            if not str(error).startswith(_NO_HELLO):
                raise
    return _open(module, database, deadline, last, silence)


def _open(
    module: Any, database: Database, deadline: float, protocol: int, silence: float | None
) -> tuple[CooperativeSocket, Driver]:
    channel = open_channel(database.host, database.port, deadline, _context(database))
    sock = CooperativeSocket(channel)
    try:
        # A server that went away without a word is noticed after two minutes, where the system says two hours.
        descriptors.keep_alive(sock.fileno(), idle=60, interval=10, count=6)
        driver: Driver = module.Driver(sock, database, protocol, silence)
        late = ConnectTimeout(f"no connection to {database} in time")
        with Timeout(max(deadline - time.monotonic(), 0.001), late):
            driver.connect()
    except BaseException as error:
        sock.close()
        if isinstance(error, module.redis.RedisError):
            # A server that does not know AUTH or HELLO repeats what it was sent with it.
            hide_in(error, database.password)
            error.__traceback__ = None  # a frame of redis-py's parser holds the error, and it the frame: a cycle
        raise
    return sock, driver


def _context(database: Database) -> Any:
    if not database.tls:
        return None
    verify, cert = _settings.security(database.verify, database.cert)
    return client_context(verify, (), certificate=cert, ciphers=_settings.current.ciphers)


class RedisConnection(DbConnection):
    """See the module.

    A command has the words that are sent as ``args``, and options of redis-py for reading the answer as ``kwargs``.

    Args:
        pool: see :class:`DbConnection`. sock, driver: see :func:`open_driver`.
    """

    sign_of_life = Command("PING", ("PING",))
    # Redis cannot be told how long a command may take.
    grace = 0.0

    def __init__(self, pool: DbPool, sock: CooperativeSocket, driver: Driver) -> None:
        super().__init__(pool)
        module = need_driver()
        self._sock = sock
        self._line = descriptors.Line(sock.fileno())
        self._driver = driver
        self._callbacks: dict[str, Callable[..., Any]] = module.callbacks(driver.protocol)
        self._module = module
        self._is_marked = False

    # In use

    def perform(self, command: Command, timeout: float | None) -> Answer:
        """See :meth:`DbConnection.perform`. The command ``PIPELINE`` has others as its ``args``."""
        try:
            if command.name == PIPELINE:
                return Answer(self._perform_all(command.args, **command.kwargs))
            return Answer(self._perform(command))
        except self._module.redis.BusyLoadingError as error:
            # It does nothing for anybody until it has read its files: as if it could not be reached.
            raise ConnectFailed(f"{self.pool.database} is loading its data") from error
        except self._module.redis.ReadOnlyError:
            # Its role was taken by another server, which the name may lead to by now.
            self._is_marked = True
            raise

    def _perform(self, command: Command) -> Any:
        if self._module.EMPTY_RESPONSE in command.kwargs:
            return command.kwargs[self._module.EMPTY_RESPONSE]
        if redis_commands.is_marking(command.name):
            self._is_marked = True
        driver = self._driver
        driver.send_command(*command.args)
        return self._read(command, driver.read_response())

    def _read(self, command: Command, reply: Any) -> Any:
        """Return what redis-py makes of ``reply``, with str instead of bytes."""
        name, _, options = command
        is_text = True
        if options:
            options = dict(options)
            is_raw = options.pop(self._module.NEVER_DECODE, None) is not None
            is_text = not (options.pop(AS_BYTES, False) or is_raw)
        callback = self._callbacks.get(name)
        if callback is not None:
            reply = callback(reply, **options)
        return decode(reply) if is_text else reply

    # Several at once

    def _perform_all(self, given: Sequence[tuple[Any, ...]], atomic: bool, raise_on_error: bool) -> list[Any]:
        commands = [Command(*each) for each in given]
        if any(redis_commands.is_marking(command.name) for command in commands):
            self._is_marked = True
        empty = self._module.EMPTY_RESPONSE
        sent = [command for command in commands if empty not in command.kwargs]
        replies = iter(self._exchange_atomic(sent) if atomic else self._exchange(sent))
        data: list[Any] = []
        for number, command in enumerate(commands, 1):
            reply = command.kwargs[empty] if empty in command.kwargs else next(replies)
            if isinstance(reply, Exception):
                reply = _annotated(reply, number, command)
                if raise_on_error:
                    raise reply
                data.append(reply)
            else:
                data.append(self._read(command, reply) if empty not in command.kwargs else reply)
        return data

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send all, then read a reply, perhaps an error, to each."""
        driver = self._driver
        driver.send_packed_command(driver.pack_commands([command.args for command in commands]))
        return [self._reply() for _ in commands]

    def _exchange_atomic(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        _, *queued, done = self._exchange([_MULTI, *commands, _EXEC])
        if not isinstance(done, Exception):
            return list(done)
        for number, (reply, command) in enumerate(zip(queued, commands, strict=True), 1):
            if isinstance(reply, Exception):  # the server did nothing of it, because of this
                raise _annotated(reply, number, command)
        raise done

    def _reply(self) -> Any:
        try:
            return self._driver.read_response()
        except self._module.redis.ResponseError as error:
            return error

    # Ends

    def abort(self) -> None:
        """See :meth:`DbConnection.abort`."""
        if not self._sock.is_closed:
            descriptors.shut_down(self._sock.fileno())

    @property
    def is_lost(self) -> bool:
        """See :class:`DbConnection`: redis-py closes the socket whenever it cannot go on."""
        return self._sock.is_closed

    def is_fit(self) -> bool:
        """See :meth:`DbConnection.is_fit`."""
        return not self._sock.is_closed and self._line.is_quiet

    def make_reusable(self) -> bool:
        """See :meth:`DbConnection.make_reusable`. What the server said beyond its answers is not for the next one."""
        return not self._is_marked and not (self._driver.has_surplus or self._sock.pending())

    def close(self) -> None:
        """See :meth:`DbConnection.close`."""
        self._driver.disconnect()
        self._sock.close()

    def drop(self) -> None:
        """See :meth:`DbConnection.drop`."""
        if not self._sock.is_closed:
            descriptors.cut_off(self._sock.fileno())


_MULTI = Command("MULTI", ("MULTI",))
_EXEC = Command("EXEC", ("EXEC",))


def _annotated(error: Exception, number: int, command: Command) -> Exception:
    """Return ``error`` with a text that says which command of a pipeline it belongs to; not with its values."""
    error.args = (f"command {number} of the pipeline ({command.name}): {error}",)
    return error


def decode(value: Any) -> Any:
    """Return ``value`` with str instead of bytes, also inside of lists and dicts.

    Bytes that are no UTF-8 stay bytes: a value that is binary is given as it is rather than not at all.
    """
    kind = type(value)
    if kind is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if kind is list:
        return [decode(each) for each in value]
    if kind is dict:
        return {decode(key): decode(each) for key, each in value.items()}
    if kind is tuple or kind is set:
        return kind(decode(each) for each in value)
    return value
