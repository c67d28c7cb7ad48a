"""The results of all members of a cluster, in the order in which its alias names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from skitai.was import _cache
from skitai.wire import outcomes
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.was._call import Call
    from skitai.was._result import Result


class Results(Sequence["Result"]):
    """What ``getswait()`` returns: as many results as the cluster has members, one when there was no map.

    Attributes:
        results: them, as a list.
        is_cached: they came from the result cache.
    """

    __slots__ = ("_call", "is_cached", "results")

    def __init__(self, call: Call, results: Sequence[Result]) -> None:
        self._call = call
        self.results = list(results)
        self.is_cached = bool(results) and all(result.is_cached for result in results)

    @property
    def status(self) -> list[int]:
        """The status of each."""
        return [result.status for result in self.results]

    @property
    def code(self) -> list[int]:
        """The code of each. ``status_code`` is the same."""
        return [result.code for result in self.results]

    status_code = code

    @property
    def data(self) -> Any:
        """A list of the data of each after a map; the data of the only result otherwise."""
        if self._call.is_map:
            return [result.data for result in self.results]
        return self.results[0].data

    def reraise(self) -> None:
        """Raise as the first result does that has a status other than 3."""
        for result in self.results:
            result.reraise()

    def cache(self, timeout: float = 300) -> None:
        """Give these results to identical calls of the next ``timeout`` seconds.

        Ignored unless every status is 3: a set with a hole in it would hide a member that is back.
        """
        if all(result.status == outcomes.NORMAL for result in self.results):
            _cache.results.store(self._call.key, tuple(self.results), timeout)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> list[Result]: ...
    def __getitem__(self, index: int | slice) -> Result | list[Result]:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __repr__(self) -> str:
        return f"<Results {self._call.name} {mask(self._call.uri)} {list(zip(self.status, self.code, strict=True))}>"
