"""What came of one call. Reading a result never raises because the call failed; :meth:`Result.reraise` does."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, Final, Self

from skitai.errors import OperationTimeout, RequestFailed
from skitai.was import _cache
from skitai.wire import outcomes
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.was._call import Call

#: Nothing was put in the place of the data, for which None may stand.
NOT_REPLACED: Final = object()

#: Where a result came from: ``(host, port)``, or the path of a database file.
Node = tuple[str, int] | str | None

#: Where ``meta`` has the name that an async response gave a call.
REQID = "__reqid"


class Result:
    """The outcome of one call at one server.

    Attributes:
        status: 1 the wait timed out, 2 the call failed, 3 there is an answer, whatever its code says.
        code: status of the answer; 7xx when none came. ``status_code`` is the same.
        reason: its text; ``msg`` is the same.
        node: the server that answered, or should have.
        error: the exception that made it fail, else ``None``.
        is_cached: it came from the result cache.

    A ``filter`` may set further attributes, and put something else in the place of :attr:`data`. The result cache keeps
    neither: it keeps what came, so that each caller's own filter sees that.
    """

    __slots__ = ("__dict__", "_call", "_replaced", "code", "error", "is_cached", "node", "reason", "status")

    def __init__(
        self, call: Call, node: Node, status: int, code: int, reason: str, error: BaseException | None = None
    ) -> None:
        self._call = call
        self.node = node
        self.status = status
        self.code = code
        self.reason = reason
        self.error = error
        self.is_cached = False
        self._replaced: Any = NOT_REPLACED

    @classmethod
    def failed(cls, call: Call, node: Node, error: BaseException, code: int = 0) -> Self:
        """Return the result of a call that ended with ``error``."""
        code = code or outcomes.code_of(error)
        return cls(call, node, outcomes.FAILED, code, outcomes.REASONS[code], error)

    @classmethod
    def timed_out(cls, call: Call, node: Node) -> Self:
        """Return the result for a caller who waits no longer."""
        return cls(call, node, outcomes.TIMED_OUT, outcomes.TIMEOUT, outcomes.REASONS[outcomes.TIMEOUT])

    # What was asked

    @property
    def url(self) -> str:
        """The URL of the call, or its ``@alias/path``."""
        return self._call.uri

    @property
    def method(self) -> str:
        """The method of the call."""
        return self._call.method

    @property
    def meta(self) -> dict[str, Any]:
        """The dict given with the call."""
        return self._call.meta if self._call.meta is not None else {}

    @property
    def reqid(self) -> str | None:
        """The name that the call got by ``proxy.get(reqid, ...)`` of an async response; else ``None``."""
        return self.meta.get(REQID)

    @property
    def request(self) -> Call:
        """The call, which cannot be changed any more."""
        return self._call

    # How it went

    @property
    def status_code(self) -> int:
        """The same as ``code``."""
        return self.code

    @property
    def msg(self) -> str:
        """The same as ``reason``."""
        return self.reason

    def reraise(self) -> None:
        """Do nothing when there is an answer, also one that says 404 or 500.

        Raises:
            OperationTimeout: the wait timed out; the text is ``730 Timeout``.
            RequestFailed: the call failed; the text is code and reason, the first error is its cause.
        """
        if self.status == outcomes.TIMED_OUT:
            raise OperationTimeout(f"{self.code} {self.reason}")
        if self.status != outcomes.NORMAL:
            raise RequestFailed(self.code, self.reason) from self.error

    def raise_for_status(self) -> None:
        """Raise for a failed call, and for an answer with a code of 300 or more.

        Raises:
            OperationTimeout, RequestFailed: as :meth:`reraise`.
        """
        self.reraise()
        if self.code >= 300:
            raise RequestFailed(self.code, self.reason)

    # What came

    @property
    def data(self) -> Any:
        """The answer as an object, ``None`` when there is none; or what was put in its place."""
        return self._read_data() if self._replaced is NOT_REPLACED else self._replaced

    @data.setter
    def data(self, value: Any) -> None:
        self._replaced = value

    def _read_data(self) -> Any:
        """Return the answer as an object, the same one each time; ``None`` when there is none."""
        return None

    @property
    def content(self) -> Any:
        """The raw answer; ``b""`` when there is none."""
        return b""

    def cache(self, timeout: float = 300) -> None:
        """Give this result to identical calls of the next ``timeout`` seconds; 0 or less: to no more calls.

        Ignored when the status is not 3, and for one member's result of a map: cache their ``results``.
        """
        if self.status == outcomes.NORMAL and not self._call.is_map:
            _cache.results.store(self._call.key, (self,), timeout)

    def before_filter(self) -> None:
        """A filter will be called with this result, which may change what came: remember it for the cache."""

    def to_keep(self) -> Self:
        """Return what the cache keeps, which whoever has this result can no longer change."""
        return self

    def as_cached(self, call: Call) -> Self:
        """Return this result as the answer to another, identical call."""
        again = copy(self)
        vars(again).clear()
        again._replaced = NOT_REPLACED
        again._call = call
        again.is_cached = True
        return again

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> Any:
        return self.data[index]

    def __bool__(self) -> bool:
        # It has a length, but an empty answer is an answer: ask status, not truth.
        return True

    def __repr__(self) -> str:
        how = f"status={self.status} {self.code} {self.reason}"
        return f"<{type(self).__name__} {self._call.name} {mask(self._call.uri)} {how}>"
