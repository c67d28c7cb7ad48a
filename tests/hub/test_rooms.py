"""Rooms with many members, without connections: who speaks when, and what members hear."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent import get_hub

from skitai.hub.rooms import FEW, Room, Rooms
from skitai.net import turns


class Member:
    """In place of a socket, its session and its engine."""

    coding = 0
    is_open = True

    def __init__(self, number: int) -> None:
        self.client_id = number
        self.session = self.engine = self
        self.heard: list[bytes] = []

    def data_frame(self, opcode: int, payload: bytes) -> bytes:
        return payload

    def post(self, frame: bytes) -> None:
        self.heard.append(frame)


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(turns, "MOST", 1e-9)  # every few members take a turn of the loop
    return [Member(number) for number in range(FEW * 5)]


@pytest.fixture
def room(members: list[Any]) -> Room:
    room = Rooms().room("key", "name")
    for member in members:
        room.enter(member)
    return room


def test_all_hear_the_same_order(room: Room, members: list[Any]) -> None:
    speakers = [gevent.spawn(room.say, 1, b"%d" % number) for number in range(20)]
    gevent.joinall(speakers, timeout=10, raise_error=True)
    assert members[0].heard == [b"%d" % number for number in range(20)]
    assert all(member.heard == members[0].heard for member in members)
    assert room._speakers is None


def test_whoever_is_not_waited_for_any_more_hinders_nobody(room: Room, members: list[Any]) -> None:
    speakers = [gevent.spawn(room.say, 1, b"%d" % number) for number in range(5)]
    gevent.sleep(0)
    for number in (0, 2, 3):
        speakers[number].kill()
    gevent.joinall(speakers, timeout=10)
    assert members[-1].heard == [b"1", b"4"]
    assert room._speakers is None


def test_members_who_come_and_go_while_somebody_speaks(room: Room, members: list[Any]) -> None:
    speaking = gevent.spawn(room.say, 1, b"one")
    gevent.sleep(0)
    late, gone = Member(1000), members[-1]
    room.enter(late)  # type: ignore[arg-type]
    room.leave(gone)
    gone.is_open = False
    speaking.get(timeout=10)
    assert late.heard == gone.heard == []
    assert members[-2].heard == [b"one"]


def test_the_hub_speaks_at_once(room: Room, members: list[Any]) -> None:
    get_hub().loop.run_callback(room.say, 1, b"x")
    gevent.sleep(0)
    assert all(member.heard == [b"x"] for member in members)
