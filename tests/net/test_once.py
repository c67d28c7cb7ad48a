"""What may happen only once, whichever process it comes to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from skitai.net import once
from skitai.net.once import Once


@pytest.fixture
def memory() -> Iterator[Once]:
    memory = Once()
    yield memory
    memory.close()


def in_a_fork(code: object) -> int:
    """Run something in a forked process; return how it answers."""
    pid = os.fork()
    if pid == 0:
        os._exit(int(code()))  # type: ignore[operator]
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_only_the_first_is_first(memory: Once) -> None:
    names = [b"%d" % number for number in range(1000)]
    assert sum(memory.is_first(name, 1) for name in names) >= 999  # two may share a bit
    assert not any(memory.is_first(name, 1) for name in names)


def test_periods(memory: Once) -> None:
    assert memory.is_first(b"a", 1)
    assert memory.is_first(b"a", 2)
    assert not memory.is_first(b"a", 1)
    assert memory.is_first(b"a", 3)
    assert not memory.is_first(b"b", 1)  # too long ago to know
    assert not memory.is_first(b"a", 2)
    assert memory.is_first(b"a", 100)
    assert not memory.is_first(b"a", 2)


def test_other_processes_know_it(memory: Once) -> None:
    assert memory.is_first(b"ours", 1)
    assert in_a_fork(lambda: memory.is_first(b"ours", 1)) == 0
    assert in_a_fork(lambda: memory.is_first(b"theirs", 1)) == 1
    assert not memory.is_first(b"theirs", 1)
    assert in_a_fork(lambda: memory.is_first(b"x", 4)) == 1
    assert not memory.is_first(b"x", 2)


def test_it_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_shared", None)  # not that of this process: its periods are those of a real clock
    memory = once.prepare()
    assert once.prepare() is memory
    assert in_a_fork(lambda: once.prepare().is_first(b"x", 1)) == 1
    assert not memory.is_first(b"x", 1)
    memory.close()


def test_each_server_has_its_own_key(memory: Once) -> None:
    assert memory.key != once.prepare().key
