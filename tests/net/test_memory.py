"""Memory that is free goes back to the system."""

from __future__ import annotations

from skitai.net.memory import LATE, LEFT, MIB, SOON, Memory, taken


class Process:
    """Takes ``used`` bytes, and keeps what it took until it is asked."""

    def __init__(self) -> None:
        self.used = self.taken = 100 * MIB
        self.trims = 0
        self.memory = Memory(lambda: self.taken, self.trim)

    def trim(self) -> None:
        self.trims += 1
        self.taken = self.used

    def use(self, size: int) -> None:
        self.used = size
        self.taken = max(self.taken, size)

    def look(self, count: int) -> int:
        """Return how often it was asked."""
        before = self.trims
        for _ in range(count):
            self.memory.look()
        return self.trims - before


def test_what_is_free_is_given_back() -> None:
    process = Process()
    process.use(900 * MIB)
    process.use(100 * MIB)
    assert process.look(SOON - 1) == 0
    assert process.look(1) == 1
    assert process.taken == 100 * MIB
    assert process.look(1_000) == 0


def test_a_little_is_left_to_the_allocator() -> None:
    process = Process()
    process.use(100 * MIB + LEFT)
    process.use(100 * MIB)
    assert process.look(1_000) == 0


def test_what_is_in_use_is_asked_for_less_and_less() -> None:
    process = Process()
    process.use(900 * MIB)
    assert process.look(10_000) < 45
    process.use(100 * MIB)
    assert process.look(LATE) == 1
    assert process.taken == 100 * MIB
    process.use(900 * MIB)  # grown again, so that it is soon again
    process.use(100 * MIB)
    assert process.look(SOON) == 1


def test_where_nothing_is_known_nothing_is_asked() -> None:
    memory = Memory(lambda: 0, lambda: 1 / 0)
    for _ in range(1_000):
        memory.look()


def test_this_process() -> None:
    assert taken() > MIB
    memory = Memory()
    memory._least = 0
    for _ in range(SOON):
        memory.look()
    assert memory._looks == 0
