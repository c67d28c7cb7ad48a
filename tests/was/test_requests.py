"""Requests under way: starting, waiting, callbacks, and what happens to those that nobody waits for."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from skitai import was
from skitai.errors import OperationTimeout, RequestFailed
from skitai.was import _callback, _engine
from skitai.was._context import Context, wasc
from skitai.was._request import Request
from skitai.wire import clusters

from .conftest import Link, Peers, Received, until


def holding(peers: Peers) -> tuple[Any, Event, Event]:
    """A peer that answers when it is told to; and an event that says it was asked."""
    release, asked = Event(), Event()

    def answer(received: Received, link: Link) -> None:
        asked.set()
        release.wait()
        link.reply(b"late")

    return peers.http(answer), release, asked


@pytest.mark.row("WAS-GEN-03")
def test_a_request_starts_when_it_is_made(peers: Peers) -> None:
    peer, release, asked = holding(peers)
    request = was.get(peer.url())
    assert asked.wait(5)
    assert (request.status, request.code, request.is_done) == (0, 0, False)
    release.set()
    assert request.getwait(5).data == b"late"


def test_on_a_warm_connection_it_is_on_the_wire_before_the_call_returns(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    was.get(peer.url()).getwait(5)
    pool = next(iter(_engine.current().pools.values()))
    sock = next(iter(pool._open))._stream
    sent = []
    real = sock._send
    sock._send = lambda data: sent.append(data) or real(data)
    was.get(peer.url("/b"))
    assert sent
    assert sent[0].startswith(b"GET /b HTTP/1.1\r\n")


def test_many_requests_take_the_time_of_one(peers: Peers) -> None:
    """All five are at the peer at one time: each is answered only when all were read."""
    arrived: list[Received] = []
    all_there = Event()

    def answer(received: Received, link: Link) -> None:
        arrived.append(received)
        if len(arrived) == 5:
            all_there.set()
        all_there.wait()
        link.reply(received.target.encode())

    peer = peers.http(answer)
    requests = [was.get(peer.url(f"/{n}")) for n in range(5)]
    assert [request.getwait(5).data for request in requests] == [b"/%d" % n for n in range(5)]


@pytest.mark.row("WAS-GEN-04")
def test_the_wait_counts_from_the_creation(peers: Peers) -> None:
    peer, release, asked = holding(peers)
    request = was.get(peer.url())
    asked.wait()
    request.created -= 100  # a hundred seconds ago
    assert request.getwait(99).status == 1
    release.set()


def test_an_answer_that_is_there_is_returned_after_its_time(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    was.get(peer.url()).getwait(5)
    request = was.get(peer.url())
    until(lambda: request.is_done)
    request.created -= 100
    assert request.getwait(1).data == b"ok"


def test_an_answer_in_the_socket_is_seen_after_a_computation() -> None:
    """A process that computes does not run its hub; the answer comes from another one meanwhile."""
    script = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
        self.wfile.flush()
        print("answered", file=sys.stderr, flush=True)
    def log_message(self, *args): pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
    peer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert peer.stdout is not None
    assert peer.stderr is not None
    try:
        url = f"http://127.0.0.1:{int(peer.stdout.readline())}/"
        was.get(url).getwait(5)
        request = was.get(url)
        deadline = time.monotonic() + 5
        pool = next(iter(_engine.current().pools.values()))
        stream = next(iter(pool._open))._stream
        while not _has_bytes(stream) and time.monotonic() < deadline:
            pass  # computing: nothing here lets the hub run
        request.created -= 100
        assert request.getwait(1).data == b"ok"
    finally:
        peer.terminate()
        peer.wait()
        peer.stdout.close()
        peer.stderr.close()


def _has_bytes(stream: Any) -> bool:
    import _socket

    try:
        return bool(stream._channel._socket.recv(1, _socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_waiting_without_a_limit(peers: Peers) -> None:
    peer, release, _ = holding(peers)
    request = was.get(peer.url())
    gevent.spawn_later(0.05, release.set)
    assert request.getwait(None).data == b"late"


def test_several_greenlets_wait_for_one_request(peers: Peers) -> None:
    peer, release, asked = holding(peers)
    request = was.get(peer.url())
    waiting = [gevent.spawn(request.getwait, 5) for _ in range(3)]
    asked.wait()
    release.set()
    gevent.joinall(waiting)
    assert len({id(greenlet.value) for greenlet in waiting}) == 1
    assert waiting[0].value.data == b"late"


def test_a_greenlet_that_is_killed_while_it_waits_leaves_the_work_alone(peers: Peers) -> None:
    peer, release, asked = holding(peers)
    request = was.get(peer.url())
    waiting = gevent.spawn(request.getwait, 5)
    asked.wait()
    waiting.kill()
    release.set()
    assert request.getwait(5).data == b"late"


def test_gevent_timeout_around_a_wait(peers: Peers) -> None:
    peer, release, _ = holding(peers)
    request = was.get(peer.url())
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
        request.getwait(5)
    release.set()
    assert request.getwait(5).data == b"late"


@pytest.mark.row("WAS-REQ-01")
def test_getwait_takes_its_time_by_place_or_name(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    for request in (was.get(peer.url()), was.get(peer.url())):
        first = request.getwait(2)
        assert request.getwait(timeout=2) is first
        assert request.getwait() is first


@pytest.mark.row("WAS-REQ-02", "WAS-RES-11")
def test_reraise(peers: Peers) -> None:
    assert was.get(peers.saying(b"", "500 Oops").url()).getwait(2, reraise=True).code == 500
    with pytest.raises(RequestFailed, match="714 Connection Failure"):
        was.get(f"http://{peers.refusing()}/").getwait(2, reraise=True)
    peer, release, _ = holding(peers)
    with pytest.raises(OperationTimeout, match="730 Timeout"):
        was.get(peer.url()).getwait(0.02, reraise=True)
    release.set()


@pytest.mark.row("WAS-REQ-03", "MAP-07")
def test_getswait_of_one_request(peers: Peers) -> None:
    results = was.get(peers.saying(b"ok").url()).getswait(2, reraise=True)
    assert (len(results), results.status, results.code) == (1, [3], [200])
    assert results.data == b"ok"
    with pytest.raises(RequestFailed):
        was.get(f"http://{peers.refusing()}/").getswait(2, reraise=True)


@pytest.mark.row("WAS-REQ-04")
def test_wait_returns_nothing_or_raises(peers: Peers) -> None:
    assert was.get(peers.saying(b"ok").url()).wait(2) is None
    with pytest.raises(RequestFailed):
        was.get(f"http://{peers.refusing()}/").wait(2)
    was.get(f"http://{peers.refusing()}/").wait(2, reraise=False)
    peer, release, _ = holding(peers)
    with pytest.raises(OperationTimeout):
        was.get(peer.url()).wait(0.02)
    release.set()


@pytest.mark.row("WAS-REQ-06", "WAS-REQ-07")
def test_code_and_status_of_the_request(peers: Peers) -> None:
    request = was.get(peers.saying(b"", "404 Not Found").url())
    assert (request.code, request.status) == (0, 0)
    request.getwait(2)
    assert (request.code, request.status_code, request.status) == (404, 404, 3)
    request = was.get(f"http://{peers.refusing()}/")
    request.getwait(2)
    assert (request.code, request.status) == (714, 2)


@pytest.mark.row("WAS-REQ-11")
def test_abandoned_requests_complete_and_leak_nothing(peers: Peers) -> None:
    peer, release, asked = holding(peers)
    for _ in range(20):
        was.get(peer.url())
    asked.wait()
    release.set()
    last = was.get(peer.url())
    assert last.getwait(5).status == 3
    pool = next(iter(_engine.current().pools.values()))
    until(lambda: len(pool._idle) == len(pool._open))
    assert len(peer.received) == 21
    assert (len(pool._waiting), pool._connecting) == (0, 0)
    assert peer.open == len(pool._open)
    _engine.current().close()
    assert peer.all_closed.wait(5)


@pytest.mark.row("WAS-REQ-12")
def test_a_late_answer_gives_its_connection_back(peers: Peers) -> None:
    peer, release, asked = holding(peers)
    request = was.get(peer.url())
    asked.wait()
    first = request.getwait(0.02)
    assert first.status == 1
    release.set()
    assert was.get(peer.url()).getwait(5).status == 3
    assert request.getwait(5) is first
    assert peer.links <= 2


# Options


@pytest.mark.row("WAS-GEN-11")
@pytest.mark.parametrize(
    ("rest", "args", "kwargs"),
    [((), (), {}), (((1, 2),), (1, 2), {}), (({"k": 3},), (), {"k": 3}), (((1,), {"k": 3}), (1,), {"k": 3}),
     (([1],), (1,), {})],
)  # fmt: skip
def test_forms_of_callbacks(rest: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any], peers: Peers) -> None:
    called = Event()
    found: list[Any] = []

    def callback(result: Any, *args: Any, **kwargs: Any) -> None:
        found.append((result.data, args, kwargs))
        called.set()

    request = was.get(peers.saying(b"ok").url(), callback=(callback, *rest) if rest else callback)
    assert called.wait(5)
    assert found == [(b"ok", args, kwargs)]
    for wait in (request.getwait, request.getswait, request.wait):
        with pytest.raises(RuntimeError, match="callback"):
            wait(1)
    assert (request.status, request.code) == (3, 200)


@given(st.lists(st.integers(), max_size=3), st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=2))
def test_callbacks_get_what_was_given(args: list[int], kwargs: dict[str, int]) -> None:
    found = []
    _callback.invoke((lambda *a, **k: found.append((a, k)), args, kwargs), "result")
    assert found == [(("result", *args), kwargs)]


def test_callbacks_hear_of_failures(peers: Peers) -> None:
    found: list[Any] = []
    done = Event()
    for url in (f"http://{peers.refusing()}/", "nonsense"):
        done.clear()
        was.get(url, callback=lambda result: (found.append(result.code), done.set()))
        assert done.wait(5)
    assert found == [714, 731]


def test_a_callback_finds_the_was_of_its_request(peers: Peers, in_request: Context) -> None:
    found = []
    done = Event()
    in_request.get(peers.saying(b"ok").url(), callback=lambda result: (found.append(was.txnid()), done.set()))
    assert done.wait(5)
    assert found == ["GTID-C1-R1/1000"]


def test_a_callback_that_raises_is_logged(peers: Peers, capfd: pytest.CaptureFixture[str]) -> None:
    from skitai.net import logs

    done = Event()

    def callback(result: Any) -> None:
        done.set()
        raise ZeroDivisionError("in a callback")

    was.get(peers.saying(b"ok").url(), callback=callback)
    assert done.wait(5)
    gevent.sleep(0)
    logs.current().flush()
    assert "in a callback" in capfd.readouterr().out


@pytest.mark.parametrize("callback", [5, (), (1, 2), "f"])
def test_callbacks_that_cannot_be_called(callback: Any) -> None:
    with pytest.raises(TypeError, match="callback"):
        was.get("http://127.0.0.1/", callback=callback)


def test_no_callback_for_a_map(peers: Peers) -> None:
    clusters.define("@m", "http", peers.refusing())
    with pytest.raises(RuntimeError, match="getswait"):
        was.get.map("@m/", callback=print)


@pytest.mark.row("WAS-GEN-12")
def test_meta_comes_back(peers: Peers) -> None:
    assert was.get(peers.saying(b"ok").url(), meta={"created": 5}).getwait(2).meta == {"created": 5}
    assert was.get(peers.saying(b"ok").url()).getwait(2).meta == {}


@pytest.mark.row("WAS-GEN-13")
def test_a_filter_sees_the_result_once_before_anybody(peers: Peers) -> None:
    seen = []

    def change(result: Any) -> None:
        seen.append(gevent.getcurrent())
        result.meta["size"] = len(result.content)

    request = was.get(peers.saying(b"four").url(), filter=change, meta={})
    assert seen == []
    assert request.getwait(2).meta == {"size": 4}
    request.getswait(2)
    assert seen == [gevent.getcurrent()]


@pytest.mark.row("WAS-GEN-13")
def test_a_filter_may_set_attributes_and_replace_the_data(peers: Peers) -> None:
    def change(result: Any) -> None:
        result.size = len(result.content)
        result.data = [result.data, result.size]

    result = was.get(peers.saying(b"four").url(), filter=change).getwait(2)
    assert (result.data, result.size, result.content, result.text) == ([b"four", 4], 4, b"four", "four")
    assert (list(result), len(result), result[1]) == ([b"four", 4], 2, 4)
    nothing = was.get(peers.saying(b"four").url(), filter=lambda result: setattr(result, "data", None)).getwait(2)
    assert nothing.data is None
    failed = was.get(peers.refusing(), filter=change).getwait(2)
    assert (failed.status, failed.data, failed.size) == (2, [None, 0], 0)
    with pytest.raises(AttributeError):
        _ = was.get(peers.saying(b"four").url()).getwait(2).size


@pytest.mark.row("WAS-GEN-13")
def test_what_a_filter_made_is_not_what_the_next_caller_gets(peers: Peers) -> None:
    def change(result: Any) -> None:
        result.seen = True
        result.data = result.data + b"!"

    peer = peers.saying(b"ok")
    was.get(peer.url(), filter=change).getwait(2).cache(60)
    plain = was.get(peer.url()).getwait(2)
    assert (plain.is_cached, plain.data, hasattr(plain, "seen")) == (True, b"ok", False)
    again = was.get(peer.url(), filter=change).getwait(2)
    assert (again.is_cached, again.data, again.seen) == (True, b"ok!", True)


@pytest.mark.row("WAS-GEN-13")
def test_each_result_of_a_map_goes_through_the_filter(peers: Peers) -> None:
    clusters.define("@m", "http", [peers.saying(b"a").address, peers.saying(b"b").address])

    def change(result: Any) -> None:
        result.data = result.data.decode()

    assert was.get.map("@m/", filter=change).getswait(2).data == ["a", "b"]


@pytest.mark.row("WAS-GEN-15")
def test_use_cache_by_name(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    was.get(peer.url(), use_cache=False).getwait(2)
    was.get(peer.url(), use_cache=False, headers={"cache-control": "no-store"}).getwait(2)
    assert [request.header("cache-control") for request in peer.received] == ["no-cache", "no-store"]


# The single-thread mode


@pytest.mark.row("RUN-06")
def test_single_thread_mode(peers: Peers, in_request: Context) -> None:
    peer = peers.saying(b"ok")
    wasc.numthreads = 0
    assert wasc.single_threaded
    with pytest.raises(RuntimeError, match="Should have callback in Main thread"):
        in_request.get(peer.url())
    with pytest.raises(RuntimeError, match="Should have callback in Main thread"):
        in_request.rpc(peer.url()).method()
    for service in (in_request.get, in_request.rpc, in_request.postgresql):
        with pytest.raises(AttributeError, match="Cannot use Map-Reduce with Single Thread"):
            _ = service.map
    done = Event()
    in_request.get(peer.url(), callback=lambda result: done.set())
    assert done.wait(5)
    assert wasc.get(peer.url()).getwait(2).status == 3


# Native threads


def test_native_threads_have_connections_of_their_own(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    ours = was.get(peer.url())
    ours.getwait(5)

    def elsewhere() -> Any:
        theirs = was.get(peer.url())
        with pytest.raises(RuntimeError, match="native thread"):
            pending.getwait(5)
        result = theirs.getwait(5)
        is_own = _engine.current() is not engine
        gevent.get_hub().destroy(destroy_loop=True)
        return result.data, is_own

    engine = _engine.current()
    holding_peer, release, _ = holding(peers)
    pending = was.get(holding_peer.url())
    data, is_own = gevent.get_hub().threadpool.apply(elsewhere)
    release.set()
    assert (data, is_own) == (b"ok", True)
    assert peer.links == 2


def test_requests_show_how_they_are(peers: Peers) -> None:
    peer, release, _ = holding(peers)
    request = was.get(peer.url())
    assert isinstance(request, Request)
    assert repr(request) == f"<Request get {peer.url()} waiting for 1>"
    release.set()
    request.getwait(5)
    assert repr(request) == f"<Request get {peer.url()} status=3>"


# Cancelling


def test_a_cancelled_request_closes_its_connection(peers: Peers) -> None:
    silent = peers(lambda link: (link.read(), link.wait_for_close()))
    request = was.get(silent.url())
    assert request.getwait(0.05).status == 1
    until(lambda: silent.open == 1)
    request.cancel()
    until(lambda: request.is_done)
    (result,) = request._done
    assert (result.status, result.code, result.reason) == (2, 706, "Cancelled")
    assert silent.all_closed.wait(5)
    request.cancel()  # it has ended: nothing happens


def test_a_request_that_waits_for_a_connection_can_be_cancelled(peers: Peers) -> None:
    wasc.configure(connections=1)
    gate = Event()
    peer = peers.after(gate, b"first")
    first, second = was.get(peer.url("/1")), was.get(peer.url("/2"))
    second.cancel()
    assert second.getwait(5).code == 706
    gate.set()
    assert first.getwait(5).content == b"first"
    assert len(_engine.current().pools) == 1


def test_a_cancelled_request_goes_to_no_other_member(peers: Peers) -> None:
    silent = [peers(lambda link: (link.read(), link.wait_for_close())) for _ in range(2)]
    clusters.define("@two", "http", [peer.address for peer in silent])
    request = was.get("@two/")
    until(lambda: sum(peer.open for peer in silent) == 1)
    request.cancel()
    assert request.getwait(5).code == 706
    assert sum(peer.links for peer in silent) == 1
