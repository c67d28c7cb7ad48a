"""How much of what costs us and gives nothing a peer may send, before the connection ends with ENHANCE_YOUR_CALM.

Each kind has an allowance that refills with time: no honest peer empties it, and whoever abuses it does so for a moment
only. The time is handed in, so that this stays without a clock.
"""

from __future__ import annotations

from typing import Final

from skitai.wire.http2.errors import BrokenConnection, Code
from skitai.wire.http2.frames import CONTINUATION, DATA, END_STREAM, HEADERS, PADDED, WINDOW_UPDATE, Frame


class Allowance:
    """A bucket of ``most`` units that refills by ``per_second``."""

    __slots__ = ("_left", "_most", "_per_second", "_since")

    def __init__(self, most: int, per_second: float) -> None:
        self._most = most
        self._per_second = per_second
        self._left = float(most)
        self._since: float | None = None

    def take(self, now: float, units: int = 1) -> bool:
        """Take units at monotonic second ``now``; False when there are fewer."""
        if self._since is not None:
            self._left = min(self._most, self._left + (now - self._since) * self._per_second)
        self._since = now
        self._left -= units
        return self._left >= 0

    def give(self, units: float) -> None:
        """Add units that the peer has earned."""
        self._left = min(self._most, self._left + units)


#: Streams that end before their answer, by the peer's RST_STREAM (CVE-2023-44487, "rapid reset") or by ours for a
#: broken rule (CVE-2025-8671, "made you reset"). nghttp2 and Node.js allow the same.
RESETS: Final = (1_000, 33.0)
#: PING and SETTINGS frames, which want an answer each, and their answers, which nobody asked for so often; PRIORITY,
#: RST_STREAM on streams that are over, unknown types.
CONTROLS: Final = (1_000, 50.0)
#: Bytes of such a frame that count as one more: 2,700 settings in one are as much work as in many.
MUCH: Final = 512
#: DATA frames without a byte of data and without END_STREAM, and empty parts of a header section.
EMPTIES: Final = (200, 20.0)
#: WINDOW_UPDATE frames. Each DATA frame of ours earns two.
UPDATES: Final = (4_000, 200.0)


class Caps:
    """Counts the frames of one peer."""

    def __init__(self) -> None:
        self._resets = Allowance(*RESETS)
        self._controls = Allowance(*CONTROLS)
        self._empties = Allowance(*EMPTIES)
        self._updates = Allowance(*UPDATES)

    def count(self, frame: Frame, now: float) -> None:
        """Count a frame that came at monotonic second ``now``.

        Raises:
            BrokenConnection: it is one too many.
        """
        kind = frame.kind
        if kind == HEADERS:
            return
        if kind in (DATA, CONTINUATION):
            if _is_empty(frame) and not self._empties.take(now):
                raise BrokenConnection(Code.ENHANCE_YOUR_CALM, "too many empty frames")
        elif kind == WINDOW_UPDATE:
            if not self._updates.take(now):
                raise BrokenConnection(Code.ENHANCE_YOUR_CALM, "too many WINDOW_UPDATE frames")
        elif not self._controls.take(now, 1 + len(frame.data) // MUCH):
            raise BrokenConnection(Code.ENHANCE_YOUR_CALM, "too many control frames")

    def count_reset(self, now: float) -> None:
        """Count a stream that ended before its answer.

        Raises:
            BrokenConnection: it is one too many.
        """
        if not self._resets.take(now):
            raise BrokenConnection(Code.ENHANCE_YOUR_CALM, "too many streams were reset")

    def sent_data(self) -> None:
        """A DATA frame of ours went out."""
        self._updates.give(2)


def _is_empty(frame: Frame) -> bool:
    if frame.flags & END_STREAM and frame.kind == DATA:
        return False
    size = len(frame.data) - 9
    if frame.kind == DATA and frame.flags & PADDED and size:
        size -= 1 + frame.data[9]
    return size <= 0
