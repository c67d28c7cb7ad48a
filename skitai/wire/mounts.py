"""Which mount serves a path: the longest mount point that is a prefix on a ``/`` boundary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Target = TypeVar("Target")


def normal_point(point: str) -> str:
    """Return a mount point without its trailing slash: ``""`` for the root, ``"/v1"`` for ``"/v1/"``."""
    point = "/" + point.strip("/")
    return "" if point == "/" else point


class MountTable(Generic[Target]):
    """Targets by mount point. A later mount at the same point is tried after the earlier one."""

    def __init__(self) -> None:
        self._by_point: dict[str, list[Target]] = {}
        self._points: list[str] = []  # longest first

    def add(self, point: str, target: Target) -> None:
        """Mount ``target`` at ``point``; ``"/v1"`` and ``"/v1/"`` are the same point."""
        point = normal_point(point)
        self._by_point.setdefault(point, []).append(target)
        self._points = sorted(self._by_point, key=len, reverse=True)

    def find(self, path: str) -> Iterator[tuple[str, Target]]:
        """Yield (normal mount point, target) for all mounts whose point covers ``path``, longest point first."""
        for point in self._points:
            if covers(point, path):
                for target in self._by_point[point]:
                    yield point, target

    def first(self, path: str) -> tuple[str, Target] | None:
        """Return what :meth:`find` yields first."""
        for point in self._points:
            if covers(point, path):
                return point, self._by_point[point][0]
        return None

    def __bool__(self) -> bool:
        return bool(self._points)

    def __iter__(self) -> Iterator[tuple[str, Target]]:
        for point, targets in self._by_point.items():
            for target in targets:
                yield point, target


def covers(point: str, path: str) -> bool:
    """Tell whether ``path`` is the mount point or below it; ``/ab`` is not below ``/a``."""
    return not point or (path.startswith(point) and path[len(point) : len(point) + 1] in ("", "/"))


def best_prefix(prefixes: tuple[tuple[str, int], ...], path: str) -> int | None:
    """Return the number that belongs to the longest prefix of ``path``, ``None`` when there is none."""
    best: tuple[int, int] | None = None
    for prefix, number in prefixes:
        if path.startswith(prefix) and (best is None or len(prefix) > best[0]):
            best = len(prefix), number
    return None if best is None else best[1]
