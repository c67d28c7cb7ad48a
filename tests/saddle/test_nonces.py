"""Nonces: ours only, for a while, and each count once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.net.once import Once
from skitai.saddle.nonces import LIFETIME, Nonces


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def once() -> Iterator[Once]:
    once = Once()
    yield once
    once.close()


@pytest.fixture
def made(clock: Clock, once: Once) -> Nonces:
    return Nonces(clock, once)


def test_each_count_is_good_once(made: Nonces) -> None:
    nonce = made.make("R")
    assert made.use(nonce, "R", 1)
    assert not made.use(nonce, "R", 1)
    assert made.use(nonce, "R", 2)
    assert not made.use(nonce, "R", 0)


def test_counts_may_overtake_each_other(made: Nonces) -> None:
    nonce = made.make("R")
    assert [made.use(nonce, "R", count) for count in (3, 1, 2, 2, 5, 4, 3)] == [1, 1, 1, 0, 1, 1, 0]


@given(st.lists(st.integers(-1, 50) | st.integers(0, 0xFFFFFFFF)))
def test_no_count_is_ever_good_twice(counts: list[int]) -> None:
    made = Nonces()
    nonce = made.make("R")
    good = [count for count in counts if made.use(nonce, "R", count)]
    assert len(good) == len(set(good))
    assert all(count > 0 for count in good)


def test_a_nonce_expires(made: Nonces, clock: Clock) -> None:
    nonce = made.make("R")
    assert made.use(nonce, "R", 1)
    clock.now += LIFETIME
    assert not made.use(nonce, "R", 2)


def test_nobody_else_can_make_one(made: Nonces, clock: Clock) -> None:
    nonce = made.make("R")
    assert not made.use(nonce, "another realm", 1)
    other = Once()
    assert not Nonces(clock, other).use(nonce, "R", 1)
    other.close()
    for changed in (nonce[:-4], nonce + "AAAA", nonce + "=", nonce + "\n", nonce.swapcase(), "", "é", "A" * len(nonce)):
        assert not made.use(changed, "R", 1)
    for position in range(len(nonce)):
        changed = nonce[:position] + ("A" if nonce[position] != "A" else "B") + nonce[position + 1 :]
        assert not made.use(changed, "R", 1)
    assert made.use(nonce, "R", 1)


def test_it_is_not_good_again_when_its_uses_are_forgotten(made: Nonces, clock: Clock) -> None:
    clock.now = LIFETIME * 2 - 1
    nonce = made.make("R")
    assert made.use(nonce, "R", 1)
    for _ in range(50):
        clock.now += LIFETIME / 10
        assert made.use(made.make("R"), "R", 1)
        assert not made.use(nonce, "R", 1)
