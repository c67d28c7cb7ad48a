"""``was.ws`` and servers that mean harm: every call ends in time, memory has a bound, and the pools are whole."""

from __future__ import annotations

import socket
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub

import skitai
from skitai.errors import RequestFailed, WriteTimeout
from skitai.net.stream import HIGH_WATER
from skitai.was import _engine
from skitai.was._context import wasc
from skitai.wire import clusters
from skitai.wire.websocket import WebSocket
from skitai.wire.ws_frames import frame
from skitai.wire.ws_handshake import accept_key
from skitai.wire.ws_messages import Close
from tests.was.conftest import Link, Peers, until

Behaviour = Callable[[Link], object]


@pytest.fixture
def was() -> Iterator[Any]:
    """Nothing may be left of what a test opened."""
    engine = _engine.current()
    before = set(engine.sweep._watched)  # of other tests
    yield wasc
    engine.close()
    until(lambda: not engine.ws_pools)
    assert engine.sweep._watched <= before


def switch(link: Link, then: bytes = b"", *lines: str, before: bytes = b"") -> None:
    """Read a handshake and answer 101."""
    received = link.read()
    assert received is not None
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    head += [f"Sec-WebSocket-Accept: {accept_key(received.header('sec-websocket-key') or '')}", *lines]
    link.send(before + "\r\n".join(head).encode() + b"\r\n\r\n" + then)


def saying(data: bytes, *lines: str) -> Behaviour:
    """A server that shakes hands, waits for something, and says ``data``."""

    def behave(link: Link) -> None:
        switch(link, b"", *lines)
        link._socket.recv(65536)
        link.send(data)
        link.wait_for_close()

    return behave


def dripping(first: bytes, drop: bytes) -> Behaviour:
    def behave(link: Link) -> None:
        switch(link)
        link.send(first)
        while True:
            link.send(drop)
            gevent.sleep(0.02)

    return behave


def handshake(head: str) -> Behaviour:
    def behave(link: Link) -> None:
        received = link.read()
        assert received is not None
        link.send(head.replace("KEY", accept_key(received.header("sec-websocket-key") or "")).encode("latin-1"))
        link.wait_for_close()

    return behave


def url(peers: Peers, behaviour: Behaviour) -> str:
    return peers(behaviour).url().replace("http", "ws")


GOOD = "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "


def packed(size: int) -> bytes:
    engine = zlib.compressobj(9, wbits=-15)
    return (engine.compress(bytes(size)) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]


PACKING = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        (lambda link: link.wait_for_close(), 2, 702),
        (lambda link: link.reset(), 2, 705),
        (handshake(GOOD + "d3Jvbmc=\r\n\r\n"), 2, 716),
        (handshake("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n"), 2, 716),
        (handshake(GOOD + "KEY\r\nSec-WebSocket-Protocol: x\r\n\r\n"), 2, 716),
        (handshake(GOOD + "KEY\r\nSec-WebSocket-Extensions: x-mine\r\n\r\n"), 2, 716),
        (handshake(GOOD + "KEY\r\nX: " + "x" * 100_000), 2, 716),
        (handshake("SSH-2.0-OpenSSH\r\n"), 2, 716),
        (handshake("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"), 3, 200),
        (handshake("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), 3, 302),
        (saying(frame(0x81, b"masked", True)), 2, 716),
        (saying(frame(0x83, b"x")), 2, 716),
        (saying(frame(0x81, b"\xff")), 2, 716),
        (saying(b"\x82\x7f" + b"\x7f" + b"\xff" * 7), 2, 718),
        (saying(frame(0x02, bytes(600_000)) + frame(0x80, bytes(600_000))), 2, 718),
        (saying(frame(0xC2, packed(2_000_000)), PACKING), 2, 718),
        (saying(frame(0xC2, b"\x03\x00" * 100_000), PACKING), 2, 716),
        (saying(frame(0xC2, b"\x07"), PACKING), 2, 716),
        (saying(frame(0x88, b"\x03\xed")), 2, 716),
        (saying(frame(0x88, b"\x0f\xa0why")), 2, 705),
        (saying(frame(0x81, b"x" * 100)[:50] + b""), 2, 702),
        (dripping(frame(0x01, b"x"), frame(0x00, b"x")), 2, 702),
        (dripping(frame(0x01, b"x"), frame(0x00, b"")), 2, 702),
        (dripping(b"", frame(0x89, b"x")), 2, 702),
    ],
)
def test_servers_that_answer_wrongly(was: Any, peers: Peers, behaviour: Behaviour, status: int, code: int) -> None:
    wasc.configure(connect_time=0.3, body_bytes=1_000_000)
    with gevent.Timeout(5):
        result = was.ws(url(peers, behaviour), "x", timeout=0.3).getwait()
    assert (result.status, result.code, result.opcode, result.data) == (status, code, -1, None)


def test_interim_responses_before_the_101(was: Any, peers: Peers) -> None:
    def behave(link: Link) -> None:
        switch(link, before=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        link._socket.recv(65536)
        link.send(frame(0x81, b"answer"))
        link.wait_for_close()

    assert was.ws(url(peers, behave), "x").getwait().data == "answer"


def test_answers_to_nobody_are_not_those_to_the_next(was: Any, peers: Peers) -> None:
    """A message that comes beside an answer must not be taken for that to a call that waits for the connection."""
    wasc.configure(connections=1)

    def twice(link: Link) -> None:
        switch(link)
        engine = WebSocket(True, 1000)
        while data := link._socket.recv(65536):
            for event in engine.receive(data):
                if isinstance(event, str):
                    link.send(frame(0x81, event.encode()) + frame(0x81, b"poison"))

    where = url(peers, twice)
    calls = [was.ws(where, f"{number}") for number in range(10)]
    assert [call.getwait().data for call in calls] == [str(number) for number in range(10)]


def test_calls_beyond_the_connections_fail_as_soon_as_the_others(was: Any, peers: Peers) -> None:
    wasc.configure(connections=2)
    address = peers.refusing()
    with gevent.Timeout(5):
        results = [call.getwait() for call in [was.ws(f"ws://{address}/", "x") for _ in range(20)]]
    assert {result.code for result in results} == {714}


def test_pings_without_end_whose_answers_nobody_reads(was: Any, peers: Peers) -> None:
    def flood(link: Link) -> None:
        switch(link)
        while True:
            link.send(frame(0x89, b"x" * 125) * 500)

    with was.ws.connect(url(peers, flood)) as ws:
        connection = ws._connection
        ends = time.monotonic() + 1.0
        while time.monotonic() < ends:
            gevent.sleep(0)  # others have their turn
            assert connection.unsent <= HIGH_WATER + 100_000
        ws.close(timeout=0.1)
    assert ws.close_code == 1006


@pytest.mark.parametrize("data", [frame(0x81, b"") * 30_000, frame(0xC2, packed(900_000)) * 30], ids=["tiny", "bombs"])
def test_floods_of_messages_leave_others_their_turn(was: Any, peers: Peers, data: bytes) -> None:
    wasc.configure(body_bytes=1_000_000)

    def flood(link: Link) -> None:
        switch(link, b"", PACKING)
        while True:
            link.send(data)

    with was.ws.connect(url(peers, flood)) as ws:
        until(lambda: ws._is_paused)
        held = len(ws._messages)
        turns = []
        watcher = get_hub().loop.timer(0.0, 0.005)
        watcher.start(turns.append, None)
        gevent.sleep(0.1)
        watcher.close()
        assert len(ws._messages) == held < 200 and ws._size < 3_000_000
        assert turns
        for _ in range(500):
            assert ws.getwait(5) in ("", bytes(900_000))
        ws.close(timeout=0.1)


def test_server_that_never_reads(was: Any, peers: Peers) -> None:
    wasc.configure(idle_time=0.3)

    def deaf(link: Link) -> None:
        link._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        switch(link)
        gevent.sleep(30)

    ws = was.ws.connect(url(peers, deaf))
    with gevent.Timeout(10), pytest.raises(WriteTimeout):
        while True:
            ws.send(b"x" * 100_000)
    assert ws.is_closed and ws.close_code == 1006
    ws.close()
    result = was.ws(url(peers, deaf), b"x" * 50_000_000, timeout=0.3).getwait()
    assert (result.status, result.code) == (2, 702)


def test_server_that_reads_slowly_is_waited_for(was: Any, peers: Peers) -> None:
    wasc.configure(idle_time=0.3)
    done = gevent.event.Event()

    def slow(link: Link) -> None:
        switch(link)
        size = 0
        while size < 3_000_000:
            size += len(link._socket.recv(100_000))
            gevent.sleep(0.02)
        done.set()
        link.wait_for_close()

    with was.ws.connect(url(peers, slow)) as ws:
        for _ in range(30):
            ws.send(b"x" * 100_000)
        assert done.wait(10)
        ws.close(timeout=0.1)


def test_what_was_said_before_the_end_is_heard(was: Any, peers: Peers) -> None:
    def say_and_go(link: Link) -> None:
        switch(link, b"".join(frame(0x81, b"%d" % number) for number in range(1000)) + frame(0x88, b"\x03\xe8"))

    with was.ws.connect(url(peers, say_and_go)) as ws:
        assert list(ws) == [str(number) for number in range(1000)]

    def say_and_break(link: Link) -> None:
        switch(link, b"".join(frame(0x81, b"%d" % number) for number in range(1000)))

    heard = []
    with was.ws.connect(url(peers, say_and_break)) as ws, pytest.raises(Exception, match="without a close frame"):
        for message in ws:
            heard.append(message)
    assert heard == [str(number) for number in range(1000)]


def test_fail_over_and_map_among_hostile_members(was: Any, peers: Peers) -> None:
    wasc.configure(connect_time=0.3)

    def good(link: Link) -> None:
        switch(link)
        engine = WebSocket(True, 1000)
        while data := link._socket.recv(65536):
            for event in engine.receive(data):
                link.send(engine.message(event) if isinstance(event, str) else engine.reply(event))
                if isinstance(event, Close):
                    return

    silent, wrong, fine = peers(lambda link: link.wait_for_close()), peers(handshake("rubbish\r\n\r\n")), peers(good)
    members = [peers.refusing(), silent.address, wrong.address, fine.address]
    clusters.define("mixed", skitai.PROTO_WS, members)
    results = was.ws.map("@mixed/", "m", timeout=0.3).getswait(5)
    assert [result.data for result in results] == [None, None, None, "m"]
    assert [result.code for result in results] == [714, 702, 716, 200]
    clusters.define("half", skitai.PROTO_WS, [peers.refusing(), fine.address])
    assert [was.ws.lb("@half/", str(number)).getwait(5).data for number in range(6)] == [str(n) for n in range(6)]
    with pytest.raises(RequestFailed):
        was.ws.connect(f"ws://{wrong.address}/")


def test_a_thousand_calls_to_hostile_servers_leave_nothing(was: Any, peers: Peers) -> None:
    wasc.configure(connect_time=0.3)
    wheres = [
        url(peers, behaviour)
        for behaviour in (
            handshake(GOOD + "d3Jvbmc=\r\n\r\n"), saying(frame(0x81, b"masked", True)), lambda link: link.close(),
            saying(frame(0x81, b"x" * 100)[:50]), handshake("HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n"),
        )
    ]  # fmt: skip
    with gevent.Timeout(20):
        calls = [was.ws(wheres[number % 5], "x", timeout=0.2) for number in range(500)]
        codes = {call.getwait(10).code for call in calls}
    assert codes == {716, 705, 702, 404}
    until(lambda: not _engine.current().ws_pools)
