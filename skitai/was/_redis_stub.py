"""``was.redis(...)``: every command of Redis is a method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from skitai.was import _db_drivers, _modes, _redis
from skitai.was._db_connection import Command
from skitai.was._db_drivers import Driver
from skitai.was._db_stub import OF_REQUEST, DbStub
from skitai.was._redis_listen import Subscription
from skitai.wire import redis_commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from skitai.was._request import Request


class _Commands:
    """The commands of Redis as methods.

    Those that redis-py has take its arguments and keywords. Of others the name is sent in upper case, with a blank for
    an underscore, and the arguments follow it.
    """

    _as_bytes = False

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """Do a command by its words as they are sent: ``execute_command("JSON.GET", "key")``.

        Args:
            *words: the name first. **options: that redis-py takes to read the answer.

        Raises:
            ValueError: the command is not for a connection that others use, too.
        """
        return self._do("execute_command", words, options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name[:1] == "_" or name in _redis.no_commands():
            raise AttributeError(f"{name!r} is no command of Redis: use execute_command(), or redis-py itself")

        def command(*args: Any, **options: Any) -> Any:
            return self._do(name, args, options)

        return command

    def _do(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _build(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Command:
        command: Command = _redis.need_driver().build(name, args, options)
        if self._as_bytes:
            command.kwargs[_redis.AS_BYTES] = True
        return command


class RedisStub(_Commands, DbStub):
    """See :class:`DbStub`."""

    def pipeline(self, atomic: bool = False) -> Pipeline:
        """Return what collects commands and sends them as one request.

        Args:
            atomic: the server does them with nothing in between, or none of them (``MULTI``).
        """
        return Pipeline(self, atomic)

    def subscribe(self, *channels: str, timeout: float | None = None) -> Subscription:
        """Return the messages of some channels, for a ``with`` block, on a connection of its own.

        Args:
            *channels: names, or patterns such as ``news.*``: what has one of ``*?[`` is a pattern; a backslash before
                them makes them plain characters.
            timeout: seconds without a message after which the iteration ends; ``None``: never.

        Raises:
            RuntimeError: for a cluster with several members, whose messages would come from one of them only; and in
                a request of the single-thread mode.
        """
        _modes.check_waiting(self._context)
        if self._target.error is not None:
            raise self._target.error
        return Subscription(self._only_database(), channels, timeout, self._as_bytes)

    @property
    def as_bytes(self) -> Self:
        """The same database, whose strings are given as bytes, whatever they hold."""
        stub = type(self)(self._context, self._target, self._options, self._name)
        stub._as_bytes = True
        return stub

    def __getattr__(self, name: str) -> Any:
        if name in OF_REQUEST:
            return DbStub.__getattr__(self, name)
        return _Commands.__getattr__(self, name)

    def _do(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Request:
        try:
            command = self._build(name, args, options)
        except (TypeError, ValueError):  # of whoever wrote the call
            raise
        except Exception as error:  # redis-py refuses a value, or is not installed
            return self._refuse(Command(name), error)
        return self._start(command)


class Pipeline(_Commands):
    """Commands that are sent at once: each returns the pipeline itself, and :meth:`execute` is the request.

    Args:
        stub: of the database. atomic: see :meth:`RedisStub.pipeline`.
    """

    def __init__(self, stub: RedisStub, atomic: bool) -> None:
        self._stub = stub
        self._atomic = atomic
        self._as_bytes = stub._as_bytes
        self._commands: list[Command] = []

    def execute(self, raise_on_error: bool = True) -> Request:
        """Start the request; the pipeline is empty afterwards. The data of its result is a list, in the order of calls.

        Args:
            raise_on_error: the request fails with the error of the first command that the server refused, although
                the others were done. False: errors stand in the list instead of a value.
        """
        commands, self._commands = self._commands, []
        options = {"atomic": self._atomic, "raise_on_error": raise_on_error}
        return self._stub._start(Command(_redis.PIPELINE, tuple(tuple(each) for each in commands), options))

    def _do(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Self:
        self._commands.append(self._build(name, args, options))
        return self

    def __len__(self) -> int:
        return len(self._commands)

    def __repr__(self) -> str:
        return f"<Pipeline of {len(self._commands)} commands for {self._stub!r}>"


def _can_repeat(command: Command) -> bool:
    if command.name == _redis.PIPELINE:
        return all(redis_commands.is_read_only(each[0]) for each in command.args)
    return redis_commands.is_read_only(command.name)


_db_drivers.table["redis"] = Driver(_redis.connect, _can_repeat)
