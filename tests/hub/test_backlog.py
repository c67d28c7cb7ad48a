"""Responses that wait for their clients, bounded for all of them."""

from __future__ import annotations

from typing import Any

from skitai.hub.backlog import Backlog


class Client:
    """A connection whose responses wait."""

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        self.sizes: list[int] = []
        self.held = 0

    @property
    def waiting(self) -> int:
        return len(self.sizes)

    def add(self, size: int) -> None:
        self.sizes.append(size)
        self.backlog.add(self, size)

    def shed(self) -> None:
        first, *others = self.sizes
        self.sizes = [first]
        for size in others:
            self.backlog.remove(self, size)


def test_who_lets_most_wait_loses_all_but_one() -> None:
    backlog = Backlog(100)
    modest, greedy = Client(backlog), Client(backlog)
    for _ in range(3):
        modest.add(10)
    for _ in range(7):
        greedy.add(10)
    assert (modest.held, greedy.held, backlog.held) == (30, 70, 100)
    greedy.add(10)
    assert (modest.held, greedy.held, backlog.held) == (30, 10, 40)


def test_one_response_of_each_may_wait_whatever_its_size() -> None:
    backlog = Backlog(100)
    clients: list[Any] = [Client(backlog) for _ in range(5)]
    for client in clients:
        client.add(1_000)
    assert [client.waiting for client in clients] == [1] * 5
    for client in clients:
        backlog.remove(client, 1_000)
    assert backlog.held == 0
    assert repr(backlog) == "<Backlog 0 bytes of 0 connections>"
