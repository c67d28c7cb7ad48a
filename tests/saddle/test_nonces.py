"""Nonces: ours only, for a while, and each count once."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skitai.saddle import nonces
from skitai.saddle.nonces import LIFETIME, WINDOW, Nonces


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(clock: Clock) -> Nonces:
    return Nonces(clock)


def test_each_count_is_good_once(made: Nonces) -> None:
    nonce = made.make("R")
    assert made.use(nonce, "R", 1)
    assert not made.use(nonce, "R", 1)
    assert made.use(nonce, "R", 2)
    assert not made.use(nonce, "R", 0)
    assert repr(made) == "<Nonces 1 in use>"


def test_counts_may_overtake_each_other(made: Nonces) -> None:
    nonce = made.make("R")
    assert [made.use(nonce, "R", count) for count in (3, 1, 2, 2, 5, 4, 3)] == [1, 1, 1, 0, 1, 1, 0]
    assert made.use(nonce, "R", 5 + WINDOW)
    assert not made.use(nonce, "R", 5)
    assert made.use(nonce, "R", 6)


@given(st.lists(st.integers(-1, WINDOW * 3) | st.integers(0, 0xFFFFFFFF)))
def test_no_count_is_ever_good_twice(counts: list[int]) -> None:
    made = Nonces(Clock())
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
    assert not Nonces(clock).use(nonce, "R", 1)
    for changed in (nonce[:-4], nonce + "AAAA", nonce + "=", nonce + "\n", nonce.swapcase(), "", "é", "A" * len(nonce)):
        assert not made.use(changed, "R", 1)
    for position in range(len(nonce)):
        changed = nonce[:position] + ("A" if nonce[position] != "A" else "B") + nonce[position + 1 :]
        assert not made.use(changed, "R", 1)
    assert made.use(nonce, "R", 1)


def test_only_used_ones_are_remembered_and_not_too_many(
    made: Nonces, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonces, "MOST_KNOWN", 10)
    used = []
    for _ in range(100):
        clock.now += 0.1
        used.append(made.make("R"))
        made.make("R")
        assert made.use(used[-1], "R", 1)
        assert len(made._known) <= 10
    assert not [nonce for nonce in used if made.use(nonce, "R", 1)]
    assert made.use(used[-1], "R", 2)
    assert not made.use(used[0], "R", 2)


def test_a_fork_knows_other_nonces(made: Nonces, monkeypatch: pytest.MonkeyPatch) -> None:
    nonce = made.make("R")
    assert made.use(nonce, "R", 1)
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    assert not made.use(nonce, "R", 2)
    assert made.use(made.make("R"), "R", 1)
