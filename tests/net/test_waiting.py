"""Waiting for the same descriptor again and again."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import gevent
import pytest

from skitai.net.waiting import Readable


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_it_waits_each_time_until_something_is_there(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    readable = Readable(one.fileno())
    got: list[bytes] = []

    def read() -> None:
        for _ in range(3):
            readable.wait()
            got.append(one.recv(1))

    reading = gevent.spawn(read)
    for count, data in enumerate((b"a", b"b", b"c")):
        gevent.sleep(0)
        assert len(got) == count
        other.send(data)
        while len(got) == count:
            gevent.sleep(0)
    reading.join()
    assert got == [b"a", b"b", b"c"]
    readable.close()


def test_what_is_there_already_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    other.close()
    readable = Readable(one.fileno())
    readable.wait()
    assert one.recv(1) == b""
    readable.close()


def test_an_exception_ends_the_waiting_and_another_one_may_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    readable = Readable(one.fileno())
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        readable.wait()
    other.send(b"a")
    readable.wait()
    assert one.recv(1) == b"a"
    readable.close()
