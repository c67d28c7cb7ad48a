"""Kept connections: reused, probed, bounded, and let go."""

from __future__ import annotations

import os
import socket
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai import was
from skitai.net.channel import READ_SIZE
from skitai.was import _engine, _settings
from skitai.was._http_connection import _keep_time
from skitai.was._http_pool import HttpPool

from .conftest import Link, Peers, Received, until


def only_pool() -> HttpPool:
    return next(iter(_engine.current().pools.values()))


@pytest.mark.row("WAS-GEN-06")
def test_a_connection_is_used_again(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    for _ in range(5):
        assert was.get(peer.url()).getwait(5).data == b"ok"
    assert peer.links == 1
    assert repr(only_pool()) == f"<HttpPool {peer.url()[:-1]} 1 open, 1 idle, 0 connecting, 0 waiting>"


def test_one_request_at_a_time_on_each(peers: Peers) -> None:
    release, busy = Event(), []

    def answer(received: Received, link: Link) -> None:
        assert link not in busy
        busy.append(link)
        release.wait()
        busy.remove(link)
        link.reply(b"ok")

    peer = peers.http(answer)
    requests = [was.get(peer.url()) for _ in range(8)]
    until(lambda: peer.links == 8)
    release.set()
    assert all(request.getwait(5).status == 3 for request in requests)
    was.get(peer.url()).getwait(5)
    assert peer.links == 8


def test_origins_do_not_share(peers: Peers) -> None:
    one, two = peers.saying(b"1"), peers.saying(b"2")
    assert was.get(one.url()).getwait(5).data == b"1"
    assert was.get(two.url()).getwait(5).data == b"2"
    assert len(_engine.current().pools) == 2


def test_at_most_so_many_connections_and_the_rest_waits_in_order(peers: Peers) -> None:
    _settings.configure(connections=2)
    peer = peers.saying(b"ok")
    requests = [was.get(peer.url(f"/{n}")) for n in range(10)]
    assert all(request.getwait(5).status == 3 for request in requests)
    assert peer.links == 2
    targets = [request.target for request in peer.received]
    assert sorted(targets) == [f"/{n}" for n in range(10)]
    assert set(targets[:2]) == {"/0", "/1"}


def test_who_waits_too_long_for_a_connection_is_told(peers: Peers) -> None:
    _settings.configure(connections=1)
    release = Event()
    peer = peers.after(release, b"ok")
    first = was.get(peer.url())
    second = was.get(peer.url(), timeout=0.2)
    result = second.getwait(5)
    assert (result.status, result.code) == (2, 702)
    assert "1 connections" in str(result.error)
    release.set()
    assert first.getwait(5).status == 3


def test_a_slot_is_free_again_after_a_failure(peers: Peers) -> None:
    _settings.configure(connections=1)
    count = iter(range(10))

    def behave(link: Link) -> None:
        while link.read() is not None:
            if next(count) == 0:
                link.reset()
                return
            link.reply(b"ok")

    peer = peers(behave)
    requests = [was.post(peer.url()) for _ in range(4)]
    assert sorted(request.getwait(5).status for request in requests) == [2, 3, 3, 3]


# Stale connections


def closing_after_one(peers: Peers) -> Any:
    """A peer that keeps the connection, says so, and closes it all the same after an answer."""
    return peers.http(lambda received, link: link.reply(b"ok") or False)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_connection_that_was_closed_while_idle_is_not_used(peers: Peers, method: str) -> None:
    peer = closing_after_one(peers)
    for _ in range(3):
        assert getattr(was, method)(peer.url()).getwait(5).data == b"ok"
        assert peer.all_closed.wait(5)
    assert peer.links == 3


def test_unasked_bytes_on_an_idle_connection_end_it(peers: Peers) -> None:
    said = Event()

    def behave(link: Link) -> None:
        link.read()
        link.reply(b"ok")
        said.wait()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        link.wait_for_close()

    peer = peers(behave)
    assert was.get(peer.url()).getwait(5).data == b"ok"
    said.set()
    assert peer.all_closed.wait(5)
    assert _engine.current().pools == {}


def test_unasked_bytes_that_the_hub_has_not_seen_are_not_taken_for_an_answer(peers: Peers) -> None:
    def behave(link: Link) -> None:
        while (received := link.read()) is not None:
            link.reply(received.target.encode())
            if received.target == "/first":
                link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    peer = peers(behave)
    request = was.get(peer.url("/first"))
    assert request.getwait(5).data == b"/first"
    assert was.get(peer.url("/second")).getwait(5).data == b"/second"


def dying_on_the_second(peers: Peers, how: str = "close") -> Any:
    """A peer that reads a second request on a connection and then breaks off without an answer."""

    def behave(link: Link) -> None:
        if (received := link.read()) is not None:
            peer.received.append(received)
            link.reply(b"ok")
        if (received := link.read()) is not None:
            peer.received.append(received)
            getattr(link, how)()

    peer = peers(behave)
    return peer


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options"])
def test_an_idempotent_request_goes_out_again_on_a_new_connection(peers: Peers, method: str, how: str) -> None:
    def behave(link: Link) -> None:
        if (received := link.read()) is not None:
            link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if (received := link.read()) is not None:
            peer.received.append(received)
            getattr(link, how)()

    peer = peers(behave)
    call = getattr(was, method)
    assert call(peer.url()).getwait(5).status == 3
    assert call(peer.url()).getwait(5).status == 3
    assert len(peer.received) == 1
    assert peer.links == 2


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["post", "patch"])
def test_another_request_never_goes_out_twice(peers: Peers, method: str, how: str) -> None:
    peer = dying_on_the_second(peers, how)
    call = getattr(was, method)
    assert call(peer.url(), "1").getwait(5).status == 3
    result = call(peer.url(), "2").getwait(5)
    assert (result.status, result.code) == (2, 705)
    assert [request.body for request in peer.received] == [b"1", b"2"]


def test_a_server_that_always_dies_is_given_up(peers: Peers) -> None:
    peer = peers.http(lambda received, link: False)
    result = was.get(peer.url()).getwait(5)
    assert (result.status, result.code) == (2, 705)
    assert peer.links == 1


def test_one_stale_connection_ends_all_that_idle(peers: Peers) -> None:
    release = Event()
    dying = Event()

    def behave(link: Link) -> None:
        link.read()
        release.wait()
        link.reply(b"ok")
        if link.read() is not None:
            if not dying.is_set():
                dying.set()
                return
            link.reply(b"again")
        link.wait_for_close()

    peer = peers(behave)
    requests = [was.get(peer.url()) for _ in range(3)]
    until(lambda: peer.links == 3)
    release.set()
    assert all(request.getwait(5).status == 3 for request in requests)
    until(lambda: len(only_pool()._idle) == 3)
    assert was.get(peer.url()).getwait(5).data == b"ok"
    assert peer.links == 4
    assert len(only_pool()._open) == 1


# Letting go


def test_idle_connections_expire(peers: Peers) -> None:
    _settings.configure(keep_time=0.05)
    peer = peers.saying(b"ok")
    was.get(peer.url()).getwait(5)
    assert peer.all_closed.wait(5)
    assert _engine.current().pools == {}


@pytest.mark.parametrize(
    ("announced", "seconds"),
    [("timeout=5, max=100", 4), ("timeout=1", 0.5), ("timeout=1000", 120), ("max=5", 0), ("", 0), ("timeout=x", 0),
     ('TIMEOUT="15"', 14), ("timeout=99999999999999999999", 120)],
)  # fmt: skip
def test_what_a_server_announces(announced: str, seconds: float) -> None:
    assert _keep_time([("Keep-Alive", announced)]) == seconds


def test_descriptors_do_not_pile_up(peers: Peers) -> None:
    def behave(link: Link) -> None:
        link.read()
        link.reset()

    peer, good = peers(behave), peers.saying(b"ok")
    refusing = peers.refusing()
    was.get(good.url()).getwait(5)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        was.get(peer.url()).getwait(5)
        was.get(f"http://{refusing}/").getwait(5)
        was.get(good.url()).getwait(5)
    until(lambda: not peer.open)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_an_idle_connection_does_not_keep_a_script_alive(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    was.get(peer.url()).getwait(5)
    pool = only_pool()
    assert pool._idle[0]._stream._reader.ref is False
    release = Event()
    slow = peers.after(release, b"ok")
    request = was.get(slow.url())
    until(lambda: slow.received)
    busy = next(iter(_engine.current().pools[next(o for o in _engine.current().pools if o.port == slow.port)]._open))
    assert busy._stream._reader.ref is True
    release.set()
    request.getwait(5)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_leaves_the_connections_to_its_parent(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    was.get(peer.url()).getwait(5)
    child = os.fork()  # patched: the hub watches for its end
    if child == 0:
        code = 1
        try:
            assert _engine.current().pools == {}
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert was.get(peer.url()).getwait(5).data == b"ok"
    assert peer.links == 1


# IPv6


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6(peers: Peers) -> None:
    peer = peers.http(lambda received, link: link.reply(str(received.header("host")).encode()), host="::1")
    result = was.get(peer.url()).getwait(5)
    assert result.data.decode() == f"[::1]:{peer.port}"
    assert result.node == ("::1", peer.port)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_second_address_of_a_name_is_tried(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    from skitai.net import connect

    peer = peers.saying(b"ok")
    v6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, ("::1", peer.port, 0, 0))
    v4 = (socket.AF_INET, socket.SOCK_STREAM, 6, ("127.0.0.1", peer.port))
    monkeypatch.setattr(connect, "_names", {("both.example", peer.port): (float("inf"), [v6, v4])})
    assert was.get(f"http://both.example:{peer.port}/").getwait(5).data == b"ok"


def test_an_address_that_is_silent_holds_nobody_up(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8305: the second address is tried beside the first, which never answers."""
    from skitai.net import connect

    monkeypatch.setattr(connect, "STAGGER", 0.01)
    peer = peers.saying(b"ok")
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        gevent.sleep(0.01)
        silent = (socket.AF_INET, socket.SOCK_STREAM, 6, full.getsockname())
        good = (socket.AF_INET, socket.SOCK_STREAM, 6, ("127.0.0.1", peer.port))
        monkeypatch.setattr(connect, "_names", {("two.example", peer.port): (float("inf"), [silent, good])})
        assert was.get(f"http://two.example:{peer.port}/").getwait(4).data == b"ok"
        for filler in fillers:
            filler.close()


# Answers belong to the call that they were sent for


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]
)
def test_answers_behind_interim_responses_are_read_each_by_itself(peers: Peers, interim: bytes) -> None:
    """An interim response in one read with the final one is no reason to take the final one for another."""
    bodies = iter([b"paid", b"paid", b"paid", b"refused by the bank", b"secret of user 1", b"secret of user 2"])

    def answer(received: Received, link: Link) -> None:
        body = next(bodies)
        status = b"201 Created" if body == b"paid" else b"402 Payment Required"
        link.send(interim + b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    peer = peers.http(answer)
    got = [was.post(peer.url(), b"x").getwait(5) for _ in range(6)]
    assert [(result.code, result.content) for result in got] == [
        (201, b"paid"), (201, b"paid"), (201, b"paid"),
        (402, b"refused by the bank"), (402, b"secret of user 1"), (402, b"secret of user 2"),
    ]  # fmt: skip
    assert peer.links == 1


def test_what_one_origin_says_before_its_answer_is_nothing_to_another(peers: Peers) -> None:
    start = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    forging = peers.http(lambda received, link: link.send(start + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"))
    honest = peers.http(
        lambda received, link: link.send(start + b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    )
    for _ in range(4):
        assert was.get(forging.url()).getwait(5).content == b"no"
    for _ in range(2):
        assert was.get(honest.url()).getwait(5).code == 404


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nX: %d\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: %d\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nX:\r\n y\r\nX: %d\r\n\r\n",
    ],
)
def test_a_connection_is_not_used_again_when_a_body_may_follow_where_there_is_none(peers: Peers, head: bytes) -> None:
    sent = Event()

    def answer(received: Received, link: Link) -> None:
        link.send(head % 17)
        sent.wait(5)  # until the client has the answer
        try:
            link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nfor somebody else")
        except OSError:
            return

    peer = peers.http(answer)
    first = was.get(peer.url()).getwait(5)
    assert first.code in (204, 304)
    second = was.get(peer.url())
    sent.set()
    assert (second.getwait(5).content, peer.links) == (b"", 2)


def test_a_kept_connection_on_which_something_came_unasked_is_left(peers: Peers) -> None:
    late = Event()

    def answer(received: Received, link: Link) -> None:
        link.reply(b"mine")
        if late.is_set():
            return
        late.set()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    peer = peers.http(answer)
    assert was.get(peer.url()).getwait(5).content == b"mine"
    assert late.wait(5)
    gevent.idle()
    assert [was.get(peer.url()).getwait(5).content for _ in range(3)] == [b"mine"] * 3


@pytest.mark.parametrize("behind", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"x", b"\r\n"])
def test_what_comes_behind_an_answer_is_not_for_the_call_that_waits(peers: Peers, behind: bytes) -> None:
    """The answer is as long as one read, so that what follows it is in the socket when the next call gets its turn."""
    _settings.configure(connections=1)
    started = Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 65000\r\nX: %b\r\n\r\n"
    head %= b"x" * (READ_SIZE - 65_000 - len(head) + 2)

    def answer(received: Received, link: Link) -> None:
        if received.target == "/first":
            started.wait(5)
            link.send(head + b"a" * 65_000 + behind)
        else:
            link.reply(received.target.encode())

    peer = peers.http(answer)
    requests = [was.get(peer.url(target)) for target in ("/first", "/2", "/3")]
    started.set()
    assert [request.getwait(5).content for request in requests] == [b"a" * 65_000, b"/2", b"/3"]
    assert peer.links == 2


def test_a_server_that_speaks_first_is_not_asked_without_end(peers: Peers) -> None:
    def behave(link: Link) -> None:
        link.send(b"220 mail.example ready\r\n")
        link.read()

    peer = peers(behave)
    assert was.get(peer.url()).getwait(5).status == 2
    assert peer.links <= 2
