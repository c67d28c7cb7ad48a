"""A listener that cannot accept: for want of descriptors, or because its clients are gone."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gevent.event import Event

from skitai.hub.binding import bind
from skitai.hub.listener import PAUSE, Listener

ATTEMPTS = 5


class Exhausted:
    """A listening socket; accepting from it fails with an error number."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._socket = bind("127.0.0.1", 0)[0]
        self.failures: list[float] = []
        self.has_failed_often = Event()

    def _accept(self) -> Any:
        self.failures.append(time.monotonic())
        if len(self.failures) >= ATTEMPTS:
            self.has_failed_often.set()
        raise OSError(self._number, os.strerror(self._number))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


@pytest.fixture
def number() -> int:
    return errno.EMFILE


@pytest.fixture
def exhausted(number: int) -> Iterator[Exhausted]:
    sock = Exhausted(number)
    client = socket.create_connection(sock.getsockname())
    yield sock
    client.close()


# Also what nobody has thought of: trying again at once would take all of the loop.
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBADF, errno.EINVAL])
def test_it_rests_each_time_and_says_so_once(exhausted: Exhausted) -> None:
    messages: list[str] = []
    server: Any = SimpleNamespace(
        logs=SimpleNamespace(server=SimpleNamespace(log=lambda message, category: messages.append(message)))
    )
    listener = Listener(server, exhausted)  # type: ignore[arg-type]
    listener.start()
    assert exhausted.has_failed_often.wait(10)
    listener.stop()
    # A timer that fires at once the second time kept the whole process busy with trying. It is never early.
    assert exhausted.failures[ATTEMPTS - 1] - exhausted.failures[0] > PAUSE * (ATTEMPTS - 2)
    assert len(messages) == 1


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN])
def test_a_client_that_is_gone_is_no_reason_to_rest(exhausted: Exhausted, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[OSError] = []
    monkeypatch.setattr(Listener, "_rest", lambda listener, error: rests.append(error))
    listener = Listener(SimpleNamespace(), exhausted)  # type: ignore[arg-type]
    listener.start()
    assert exhausted.has_failed_often.wait(10)
    listener.stop()
    assert rests == []
