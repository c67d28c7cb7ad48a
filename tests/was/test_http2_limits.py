"""HTTP/2 servers that take only so much: what they allow is learned first, what they refuse is asked again, bounded."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import trustme
from gevent.event import Event

from skitai import was
from skitai.was import _engine, _http_attempt
from skitai.was._context import wasc
from skitai.wire.http2 import frames
from skitai.wire.http2.errors import Code
from skitai.wire.http2.frames import goaway, serialize

from .conftest import Link, Peer, Peers, until
from .test_http2_calls import Answer, Link2, Request2, context, http2, saying

MOST_STREAMS = 3  # the number of this setting


@pytest.fixture(autouse=True)
def by_prior_knowledge() -> None:
    wasc.configure(http2=True)


class Counting:
    """Answers when all that is allowed has come, and notes how much there was at one time on one connection."""

    def __init__(self, body: bytes = b"ok") -> None:
        self.peak = 0
        self.answered: list[str] = []
        self._open: dict[Link2, int] = {}
        self._body = body

    def __call__(self, request: Request2, link: Link2) -> None:
        now = self._open[link] = self._open.get(link, 0) + 1
        self.peak = max(self.peak, now)
        gevent.sleep(0.002)
        self._open[link] -= 1
        self.answered.append(request.head.target)
        link.reply(request, self._body)


def allow(link: Link2, streams: int) -> None:
    """Change the limit in the middle of things."""
    link._link.send(serialize(frames.SETTINGS, 0, 0, MOST_STREAMS.to_bytes(2, "big") + streams.to_bytes(4, "big")))


# The limit that a server announces


@pytest.mark.parametrize("limit", [1, 4, 10])
@pytest.mark.parametrize("is_warm", [False, True])
def test_a_burst_keeps_to_the_limit(peers: Peers, limit: int, is_warm: bool) -> None:
    """Each connection waits for the SETTINGS of its server before it has a second stream."""
    counting = Counting()
    peer = http2(peers, counting, limit)
    if is_warm:
        was.get(peer.url()).getwait(5)
    calls = [(was.get if n % 2 else was.post)(peer.url(f"/{n}")) for n in range(60)]
    assert {call.getwait(10).code for call in calls} == {200}
    assert counting.peak <= limit
    assert sorted(counting.answered[is_warm:]) == sorted(f"/{n}" for n in range(60))


def test_a_single_call_does_not_wait_for_settings(peers: Peers) -> None:
    """Its request comes with the preface."""
    first: list[bytes] = []

    def behave(link: Link) -> None:
        first.append(link._socket.recv(65_536))
        link.send(serialize(frames.SETTINGS, 0, 0))
        link.wait_for_close()

    request = was.get(peers(behave).url(), timeout=1)
    until(lambda: first)
    request.cancel()
    kinds = [kind for kind, _, _ in _frames(first[0].removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))]
    assert frames.HEADERS in kinds


def _frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    while data:
        size = int.from_bytes(data[:3], "big")
        yield data[3], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]
        data = data[9 + size :]


@pytest.mark.parametrize("after", [2, 5])
def test_a_limit_that_sinks_to_nothing_and_rises_again(peers: Peers, after: int) -> None:
    counting, links = Counting(), []

    def answer(request: Request2, link: Link2) -> None:
        links.append(link)
        if len(links) == after:
            allow(link, 0)
        counting(request, link)

    wasc.configure(connections=1)
    peer = http2(peers, answer, 4)
    calls = [was.get(peer.url(f"/{n}")) for n in range(20)]
    until(lambda: len(links) >= after)
    gevent.sleep(0.05)
    assert len(counting.answered) < 20
    allow(links[0], 2)
    assert {call.getwait(10).code for call in calls} == {200}
    assert len(counting.answered) == 20


def test_a_server_that_takes_none_is_waited_for_no_longer_than_said(peers: Peers) -> None:
    wasc.configure(connections=2)

    def none(link: Link) -> None:
        link._socket.recv(65_536)
        link.send(serialize(frames.SETTINGS, 0, 0, MOST_STREAMS.to_bytes(2, "big") + bytes(4)))
        link.wait_for_close()

    peer = peers(none)
    results = [each.getwait(10) for each in [was.get(peer.url(), timeout=0.3) for _ in range(5)]]
    assert {result.code for result in results} == {702}
    assert peer.links <= 7  # one is tried on each connection, and none goes round in circles
    pool_is_empty()


def pool_is_empty() -> None:
    engine = _engine.current()
    until(lambda: not any(pool._waiting or pool._pausing or pool._connecting for pool in engine.pools.values()))


# What a server refuses


def refusing(most: int, counting: Counting, seen: list[str]) -> Answer:
    """A server that says nothing of its limit, and refuses what is above it."""

    def answer(request: Request2, link: Link2) -> None:
        seen.append(request.head.target)
        if counting._open.get(link, 0) >= most:
            link.engine.reset(request.stream, Code.REFUSED_STREAM)
            link.flush()
        else:
            counting(request, link)

    return answer


@pytest.mark.parametrize("most", [1, 3])
def test_what_is_refused_waits_for_a_free_place(peers: Peers, most: int) -> None:
    counting, seen = Counting(), []
    wasc.configure(connections=3)
    peer = http2(peers, refusing(most, counting, seen))
    calls = [was.post(peer.url(f"/{n}"), b"x", headers={"Content-Type": "a/b"}) for n in range(50)]
    assert {call.getwait(15).code for call in calls} == {200}
    assert sorted(counting.answered) == sorted(f"/{n}" for n in range(50))
    assert len(seen) < 50 * 5  # as often as places were free, not as often as the loop turned


def test_a_server_that_refuses_all_is_asked_in_bounds(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http_attempt, "PAUSE", 0.01)
    counting, seen = Counting(), []
    peer = http2(peers, refusing(0, counting, seen))
    result = was.get(peer.url()).getwait(10)
    assert (result.status, result.code) == (2, 700) and "refused" in str(result.error)
    assert len(seen) == _http_attempt.MOST_REPEATS + 1
    pool_is_empty()


def test_a_pause_is_over_when_its_call_is_cancelled(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http_attempt, "PAUSE", 60.0)
    counting, seen = Counting(), []
    request = was.get(http2(peers, refusing(0, counting, seen)).url())
    (pool,) = _engine.current().pools.values()
    until(lambda: pool._pausing)
    request.cancel()
    assert request.getwait(5).code == 706
    assert not pool._pausing


def test_a_pause_is_no_longer_than_the_call(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http_attempt, "PAUSE", 60.0)
    wasc.configure(total_time=0.1)
    counting, seen = Counting(), []
    result = was.get(http2(peers, refusing(0, counting, seen)).url()).getwait(5)
    assert (result.status, result.code) == (2, 702)
    assert len(seen) == 1
    pool_is_empty()


def test_a_stream_that_goes_on_for_long_leaves_room_elsewhere(peers: Peers) -> None:
    """What one connection refuses because of it, another one takes."""
    forever, seen = Event(), []

    def answer(request: Request2, link: Link2) -> None:
        seen.append(request.head.target)
        if request.head.target == "/long":
            link.reply(request, b"x" * 10)
        elif len(link.requests) > 1 and link.requests[1].head.target == "/wait":
            link.engine.reset(request.stream, Code.REFUSED_STREAM)
            link.flush()
        elif request.head.target == "/wait":
            forever.wait()
            link.reply(request, b"late")
        else:
            link.reply(request, b"ok")

    peer = http2(peers, answer)
    long = was.get(peer.url("/wait"))
    until(lambda: seen)
    calls = [was.get(peer.url(f"/{n}")) for n in range(10)]
    assert {call.getwait(10).code for call in calls} == {200}
    assert peer.links == 2 and len(seen) < 25
    forever.set()
    assert long.getwait(5).data == b"late"


def test_what_was_answered_in_part_is_not_asked_again(peers: Peers) -> None:
    seen = []

    def answer(request: Request2, link: Link2) -> None:
        seen.append(request.stream)
        link.engine.send_head(request.stream, [(b":status", b"200")], False)
        link.engine.reset(request.stream, Code.REFUSED_STREAM)
        link.flush()

    assert was.get(http2(peers, answer).url()).getwait(5).status == 2
    assert len(seen) == 1


# GOAWAY


def test_a_goodbye_while_calls_wait(peers: Peers) -> None:
    """Each request is done once: those above the last stream go to another connection, as those that waited."""
    done: list[str] = []

    def answer(request: Request2, link: Link2) -> None:
        if len(done) == 3:
            link._link.send(goaway(request.stream, Code.NO_ERROR))
        done.append(request.head.target)
        gevent.sleep(0.01)
        link.reply(request, b"ok")

    peer = http2(peers, answer, 2)
    calls = [was.post(peer.url(f"/{n}")) for n in range(12)]
    assert {call.getwait(10).code for call in calls} == {200}
    assert sorted(done) == sorted(f"/{n}" for n in range(12))


def test_calm_is_kept(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http_attempt, "PAUSE", 0.01)
    seen: list[int] = []

    def answer(request: Request2, link: Link2) -> None:
        seen.append(request.stream)
        if len(seen) < 3:
            link._link.send(goaway(0, Code.ENHANCE_YOUR_CALM))
            link.close()
        else:
            link.reply(request, b"ok")

    peer = http2(peers, answer)
    waited: list[float] = []
    real = _engine.current().pools
    request = was.post(peer.url())
    pool = next(iter(real.values()))
    monkeypatch.setattr(
        type(pool), "submit_later", _noting(type(pool).submit_later, waited)
    )  # it is not sent again at once
    assert request.getwait(10).code == 200
    assert waited == [0.01, 0.02] and len(seen) == 3


def _noting(real: Callable[..., None], notes: list[float]) -> Callable[..., None]:
    def submit_later(pool: Any, attempt: Any, seconds: float) -> None:
        notes.append(seconds)
        real(pool, attempt, seconds)

    return submit_later


@pytest.mark.parametrize("code", [Code.ENHANCE_YOUR_CALM, Code.CANCEL, Code.INTERNAL_ERROR, Code.NO_ERROR])
def test_what_a_server_may_have_done_is_not_asked_again(peers: Peers, code: Code) -> None:
    seen = []

    def answer(request: Request2, link: Link2) -> None:
        seen.append(request.stream)
        link.engine.reset(request.stream, code)
        link.flush()

    result = was.post(http2(peers, answer).url()).getwait(5)
    assert (result.status, result.code) == (2, 705) and code.name in str(result.error)
    assert len(seen) == 1


# HTTP_1_1_REQUIRED


class Both:
    """A server of both versions that wants HTTP/1.1 for what it is asked by HTTP/2."""

    def __init__(self, peers: Peers, refuse: Callable[[Request2, Link2], object], **where: Any) -> None:
        self.by_http2: list[str] = []
        self.by_http11: list[tuple[str, bytes]] = []
        self._refuse = refuse
        self.peer: Peer = peers(self._behave, **where)

    def _behave(self, link: Link) -> None:
        sock = link._socket
        protocol = sock.selected_alpn_protocol() if hasattr(sock, "selected_alpn_protocol") else None
        if (protocol is None and sock.recv(3, socket.MSG_PEEK) == b"PRI") or protocol == "h2":
            Link2(link, self._answer, 100).run()
            return
        while (received := link.read()) is not None:
            self.by_http11.append((received.method, received.body))
            link.reply(b"by HTTP/1.1")

    def _answer(self, request: Request2, link: Link2) -> None:
        self.by_http2.append(request.head.method)
        self._refuse(request, link)


def by_reset(request: Request2, link: Link2) -> None:
    link.engine.reset(request.stream, Code.HTTP_1_1_REQUIRED)
    link.flush()


def by_goaway(request: Request2, link: Link2) -> None:
    link._link.send(goaway(request.stream - 1, Code.HTTP_1_1_REQUIRED))
    link.close()


def by_goaway_for_this_one(request: Request2, link: Link2) -> None:
    """As h2, the library, says it when it is not told the stream."""
    link._link.send(goaway(request.stream, Code.HTTP_1_1_REQUIRED))
    link.close()


WAYS = [by_reset, by_goaway, by_goaway_for_this_one]


@pytest.mark.parametrize("refuse", WAYS)
@pytest.mark.parametrize(("method", "body"), [("get", None), ("post", b"x" * 10), ("post", b"x" * 500_000)])
def test_http11_is_spoken_where_it_is_required(
    peers: Peers, refuse: Callable[[Request2, Link2], object], method: str, body: bytes | None
) -> None:
    both = Both(peers, refuse)
    options = {} if body is None else {"data": body, "headers": {"Content-Type": "a/b"}}
    result = getattr(was, method)(both.peer.url(), **options).getwait(5)
    assert (result.status, result.content) == (3, b"by HTTP/1.1")
    assert both.by_http11 == [(method.upper(), body or b"")]
    # It is remembered for the origin.
    assert [was.get(both.peer.url()).getwait(5).content for _ in range(3)] == [b"by HTTP/1.1"] * 3
    assert len(both.by_http2) == 1


def test_what_is_remembered_is_forgotten(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "_KNOWN_TIME", 0.0)
    both = Both(peers, by_reset)
    assert was.get(both.peer.url()).getwait(5).status == 2  # HTTP/1.1 is no more known to be required
    monkeypatch.setattr(_engine, "_KNOWN_TIME", 60.0)
    monkeypatch.setattr(_engine, "_MOST_KNOWN", 2)
    for _ in range(4):
        assert was.get(Both(peers, by_reset).peer.url()).getwait(5).status == 3
    assert len(_engine.current()._requires_http11) <= 2


def test_a_file_is_sent_again_and_a_generator_is_not(peers: Peers) -> None:
    headers = {"Content-Type": "a/b"}
    both = Both(peers, by_reset)
    file = io.BytesIO(b"y" * 300_000)
    assert was.post(both.peer.url(), file, headers=headers).getwait(5).content == b"by HTTP/1.1"
    assert both.by_http11 == [("POST", b"y" * 300_000)]
    both = Both(peers, by_reset)
    result = was.post(both.peer.url(), iter([b"once"]), headers=headers).getwait(5)
    assert result.status == 2 and "requires HTTP/1.1" in str(result.error)
    assert was.post(both.peer.url(), iter([b"now"]), headers=headers).getwait(5).content == b"by HTTP/1.1"


def test_what_another_request_was_the_cause_of_is_repeated_only_where_that_is_safe(peers: Peers) -> None:
    """A GOAWAY ends them all, and says of those before its last stream nothing but that they may be done."""

    def refuse(request: Request2, link: Link2) -> None:
        if request.stream == 5:
            by_goaway_for_this_one(request, link)

    both = Both(peers, refuse)
    first = was.post(both.peer.url())
    until(lambda: len(both.by_http2) == 1)
    second = was.get(both.peer.url())
    until(lambda: len(both.by_http2) == 2)
    third = was.post(both.peer.url())
    assert third.getwait(5).content == second.getwait(5).content == b"by HTTP/1.1"
    assert first.getwait(5).status == 2
    assert sorted(both.by_http11) == [("GET", b""), ("POST", b"")]


def test_an_answer_that_has_begun_is_not_asked_for_again(peers: Peers) -> None:
    def refuse(request: Request2, link: Link2) -> None:
        link.engine.send_head(request.stream, [(b":status", b"200")], False)
        by_reset(request, link)

    both = Both(peers, refuse)
    result = was.get(both.peer.url()).getwait(5)
    assert result.status == 2 and not both.by_http11


def test_alpn_offers_nothing_else_then(peers: Peers, authority: trustme.CA, ca_file: str) -> None:
    both = Both(peers, by_reset, ssl_context=context(authority, "h2", "http/1.1"))
    for _ in range(3):
        assert was.get(both.peer.url(), verify=ca_file).getwait(5).content == b"by HTTP/1.1"
    assert len(both.by_http2) == 1 and len(both.by_http11) == 3


# Servers that say nothing


def test_a_server_without_settings_holds_nobody_longer_than_its_deadline(peers: Peers) -> None:
    """A connection on which nothing was ever said is not used again."""
    peer = peers(lambda link: link.wait_for_close())
    wasc.configure(connect_time=0.1)
    calls = [was.get(peer.url(), timeout=0.5) for _ in range(5)]
    results = [call.getwait(10) for call in calls]
    assert {(result.status, result.code) for result in results} == {(2, 702)}
    assert 1 < peer.links <= 6  # the others waited for the first one only for as long as connecting may take
    engine = _engine.current()
    until(lambda: not engine.pools)


def test_a_connection_without_room_is_not_the_end(peers: Peers) -> None:
    """Its numbers are used up, or its encoder is of no use any more: the next call gets another one."""
    peer = http2(peers, saying(b"ok"))
    assert was.get(peer.url()).getwait(5).data == b"ok"
    (pool,) = _engine.current().pools.values()
    (connection,) = pool._open
    connection.retire()  # type: ignore[union-attr]
    assert was.get(peer.url()).getwait(5).data == b"ok"
    assert peer.links == 2
