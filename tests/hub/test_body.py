"""Request bodies that an app reads while they come."""

from __future__ import annotations

import io

from skitai.hub.body import StreamedBody


def test_small_parts_are_held_together() -> None:
    """Two bytes by themselves would take thirty times their size."""
    taken: list[int] = []
    body = StreamedBody(lambda: None, taken.append)
    for number in range(5_000):
        body.put(b"%02d" % (number % 100))
    body.put(b"x" * 100_000)
    body.end()
    assert len(body._parts) <= 5
    assert io.BufferedReader(body).read() == b"".join(b"%02d" % (n % 100) for n in range(5_000)) + b"x" * 100_000
    assert sum(taken) == 110_000
