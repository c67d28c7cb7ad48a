"""Calls over HTTP/2: to servers of our own engine that do what a test says, and to a foreign one in its own process."""

from __future__ import annotations

import gzip
import io
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import trustme
from gevent.event import Event

from skitai import was
from skitai.errors import PeerClosed, ReadTimeout, RemoteProtocolError
from skitai.settings import Limits
from skitai.was import _engine, _settings
from skitai.was._context import wasc
from skitai.was._http2_attempt import translate
from skitai.was._http2_connection import Http2Connection
from skitai.was._http_pool import HttpPool, Origin
from skitai.wire import clusters
from skitai.wire.events import RequestHead, ResponseHead
from skitai.wire.fields import Fields
from skitai.wire.http2 import events, frames
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.errors import Code
from skitai.wire.http2.heads import raw_fields

from .conftest import Link, Peer, Peers, Received, until


class Request2:
    """A request as a server of HTTP/2 read it."""

    def __init__(self, stream: int, head: RequestHead) -> None:
        self.stream = stream
        self.head = head
        self.body = b""
        self.trailers: Fields | None = None


class Link2:
    """One connection of HTTP/2, seen from the server. ``answer(request, link)`` is called when a request is whole."""

    def __init__(self, link: Link, answer: Callable[[Request2, Link2], object], most_streams: int) -> None:
        self._link = link
        self._answer = answer
        self.engine = Http2Engine(True, Limits(), most_streams=most_streams)
        self.requests: dict[int, Request2] = {}
        self.engine.begin()
        self.flush()

    def run(self) -> None:
        while data := self._link._socket.recv(65_536):
            for event in self.engine.receive(data, 0.0):
                self._take(event)
            self.flush()

    def flush(self) -> None:
        if data := self.engine.data_to_send():
            self._link.send(data)

    def reply(self, request: Request2, body: bytes = b"", status: int = 200, *fields: tuple[str, str]) -> None:
        raw = [(b":status", str(status).encode()), *raw_fields(list(fields))]
        self.engine.send_head(request.stream, raw, not body)
        while body:
            room = self.engine.window(request.stream)
            if room <= 0:
                self.flush()
                gevent.sleep(0.001)
                continue
            part, body = body[:room], body[room:]
            self.engine.send_data(request.stream, part, not body)
        self.flush()

    def close(self) -> None:
        self._link.close()

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.RequestStarted):
            self.requests[event.stream] = request = Request2(event.stream, event.head)
            if event.has_ended:
                gevent.spawn(self._answer, request, self)
        elif isinstance(event, events.BodyReceived):
            request = self.requests[event.stream]
            request.body += event.content
            self.engine.acknowledge(event.stream, event.size)
            if event.has_ended:
                gevent.spawn(self._answer, request, self)
        elif isinstance(event, events.TrailersReceived):
            request = self.requests[event.stream]
            request.trailers = event.fields
            gevent.spawn(self._answer, request, self)


Answer = Callable[[Request2, Link2], object]


def http2(peers: Peers, answer: Answer, most_streams: int = 128, **where: Any) -> Peer:
    return peers(lambda link: Link2(link, answer, most_streams).run(), **where)


def saying(body: bytes, *fields: tuple[str, str]) -> Answer:
    return lambda request, link: link.reply(request, body, 200, *fields)


@pytest.fixture(autouse=True)
def by_prior_knowledge() -> None:
    wasc.configure(http2=True)


def context(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(made)
    made.set_alpn_protocols(list(protocols))
    return made


def only_connection() -> Http2Connection:
    (pool,) = _engine.current().pools.values()
    (connection,) = pool._open
    assert isinstance(connection, Http2Connection)
    return connection


# What goes out and comes back


def test_a_call(peers: Peers) -> None:
    seen: list[Request2] = []

    def answer(request: Request2, link: Link2) -> None:
        seen.append(request)
        link.reply(request, b'{"a": 1}', 201, ("Content-Type", "application/json"), ("X-A", "b"))

    peer = http2(peers, answer)
    result = was.post(peer.url("/path?q=1"), {"x": 2}, headers={"X-Own": "y"}).getwait(5)
    assert (result.status, result.code, result.version, result.data) == (3, 201, "2.0", {"a": 1})
    assert result.get_header("X-A") == "b"
    head = seen[0].head
    assert (head.method, head.target, head.host, seen[0].body) == ("POST", "/path?q=1", peer.address, b'{"x":2}')
    assert head.environ["HTTP_X_OWN"] == "y" and head.environ["CONTENT_LENGTH"] == "7"
    assert not {"HTTP_CONNECTION", "HTTP_TRANSFER_ENCODING"} & set(head.environ)


def test_the_head_of_a_request_in_the_words_of_http2() -> None:
    lines = ["GET /a?b HTTP/1.1", "Host: test", "X-Name: v", "Transfer-Encoding: chunked", "TE: trailers", "TE: gzip"]
    assert translate("\r\n".join([*lines, "", ""]).encode(), "http") == [
        (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"test"), (b":path", b"/a?b"),
        (b"x-name", b"v"), (b"te", b"trailers"),
    ]  # fmt: skip


@pytest.mark.row("WAS-GEN-16")
def test_many_calls_share_one_connection_and_run_at_the_same_time(peers: Peers) -> None:
    gate = Event()
    inside = 0

    def answer(request: Request2, link: Link2) -> None:
        nonlocal inside
        inside += 1
        if inside == 50:
            gate.set()
        gate.wait()
        link.reply(request, request.head.target.encode())

    peer = http2(peers, answer)
    calls = [was.get(peer.url(f"/{i}")) for i in range(50)]
    assert [call.getwait(5).data for call in calls] == [f"/{i}".encode() for i in range(50)]
    assert was.get(peer.url("/x")).getwait(5).data == b"/x"
    assert peer.links == 1


def test_no_more_streams_than_the_server_takes(peers: Peers) -> None:
    most = now = 0

    def answer(request: Request2, link: Link2) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        gevent.sleep(0.005)
        now -= 1
        link.reply(request, b"ok")

    wasc.configure(connections=1)
    peer = http2(peers, answer, most_streams=3)
    was.get(peer.url()).getwait(5)
    calls = [was.get(peer.url(f"/{i}")) for i in range(12)]
    assert [call.getwait(5).data for call in calls] == [b"ok"] * 12
    assert most == 3 and peer.links == 1


def test_a_second_connection_where_the_first_is_full(peers: Peers) -> None:
    gate = Event()

    def answer(request: Request2, link: Link2) -> None:
        if request.head.target != "/first":
            gate.wait()
        link.reply(request, b"ok")

    peer = http2(peers, answer, most_streams=2)
    was.get(peer.url("/first")).getwait(5)
    calls = [was.get(peer.url(f"/{i}")) for i in range(4)]
    until(lambda: peer.links == 2)
    gate.set()
    assert [call.getwait(5).data for call in calls] == [b"ok"] * 4


@pytest.mark.parametrize("size", [0, 10, 65_536, 300_000, 5_000_000])
def test_bodies_of_any_size_in_both_directions(peers: Peers, size: int) -> None:
    peer = http2(peers, lambda request, link: link.reply(request, request.body))
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert was.post(peer.url(), body, headers={"Content-Type": "a/b"}).getwait(10).content == body
    streamed = was.post(peer.url(), io.BytesIO(body), headers={"Content-Type": "a/b"}).getwait(10)
    assert streamed.content == body
    pieces = (body[start : start + 50_000] for start in range(0, size, 50_000))
    assert was.post(peer.url(), pieces, headers={"Content-Type": "a/b"}).getwait(10).content == body
    assert peer.links == 1


def test_compressed_answers(peers: Peers) -> None:
    peer = http2(peers, saying(gzip.compress(b"text" * 1000), ("Content-Encoding", "gzip")))
    assert was.get(peer.url()).getwait(5).content == b"text" * 1000


def test_answers_that_are_too_large(peers: Peers) -> None:
    wasc.configure(body_bytes=1000)
    peer = http2(peers, lambda request, link: link.reply(request, b"x" * (1001 if request.head.target == "/" else 5)))
    assert was.get(peer.url()).getwait(5).code == 718
    bomb = http2(peers, saying(gzip.compress(b"x" * 1_000_000), ("Content-Encoding", "gzip")))
    assert was.get(bomb.url()).getwait(5).code == 718
    assert was.get(peer.url("/small")).getwait(5).data == b"xxxxx"
    assert peer.links == 1


def test_answers_that_are_refused_give_their_window_back(peers: Peers) -> None:
    wasc.configure(body_bytes=100_000)
    peer = http2(peers, lambda request, link: link.reply(request, b"x" * 200_000))
    for _ in range(30):
        assert was.get(peer.url(), use_cache=False).getwait(5).code == 718
    wasc.configure(body_bytes=1_000_000)
    assert len(was.get(peer.url()).getwait(5).content) == 200_000
    assert peer.links == 1


def test_interim_responses_and_trailers(peers: Peers) -> None:
    def answer(request: Request2, link: Link2) -> None:
        link.engine.send_head(request.stream, [(b":status", b"103")], False)
        link.engine.send_head(request.stream, [(b":status", b"200")], False)
        link.engine.send_data(request.stream, b"x", False)
        link.engine.send_trailers(request.stream, [("x-sum", "1")])
        link.flush()

    result = was.get(http2(peers, answer).url()).getwait(5)
    assert (result.code, result.data) == (200, b"x")


def test_head(peers: Peers) -> None:
    peer = http2(peers, lambda request, link: link.reply(request, b"", 200, ("Content-Length", "10")))
    result = was.head(peer.url()).getwait(5)
    assert (result.code, result.content, result.get_header("content-length")) == (200, b"", "10")


def test_credentials_that_are_asked_for(peers: Peers) -> None:
    def answer(request: Request2, link: Link2) -> None:
        if "HTTP_AUTHORIZATION" in request.head.environ:
            link.reply(request, b"in")
        else:
            link.reply(request, b"", 401, ("WWW-Authenticate", 'Basic realm="x"'))

    peer = http2(peers, answer)
    assert was.get(peer.url(), auth=("user", "secret")).getwait(5).data == b"in"


# How it is chosen


@pytest.mark.row("WAS-GEN-16")
def test_tls_servers_choose(peers: Peers, authority: trustme.CA, ca_file: str) -> None:
    wasc.configure(http2=None)
    both = http2(peers, saying(b"2"), ssl_context=context(authority, "h2", "http/1.1"))
    result = was.get(both.url(), verify=ca_file).getwait(5)
    assert (result.data, result.version) == (b"2", "2.0")
    old = peers.http(lambda received, link: link.reply(b"1"), ssl_context=context(authority, "http/1.1"))
    calls = [was.get(old.url(f"/{i}"), verify=ca_file) for i in range(5)]
    assert {(each.getwait(5).data, each.getwait(5).version) for each in calls} == {(b"1", "1.1")}
    silent = peers.http(lambda received, link: link.reply(b"0"), ssl_context=context(authority))
    assert was.get(silent.url(), verify=ca_file).getwait(5).data == b"0"


def test_tls_without_http2_where_nobody_wants_it(peers: Peers, authority: trustme.CA, ca_file: str) -> None:
    peer = peers.http(lambda received, link: link.reply(b"1"), ssl_context=context(authority, "h2", "http/1.1"))
    assert was.get(peer.url(), verify=ca_file, http2=False).getwait(5).version == "1.1"


def test_without_tls_it_is_asked_for(peers: Peers) -> None:
    wasc.configure(http2=None)
    new, old = http2(peers, saying(b"2")), peers.saying(b"1")
    assert was.get(new.url(), http2=True).getwait(5).version == "2.0"
    assert was.get(old.url()).getwait(5).version == "1.1"
    clusters.define("@new", "http", new.address, http2=True)
    assert was.get.lb("@new/").getwait(5).version == "2.0"


def test_servers_that_turn_out_to_speak_http1_only(peers: Peers) -> None:
    def old(received: Received, link: Link) -> object:
        if received.method == "PRI":
            link.reply(b"what?", "400 Bad Request", "Connection: close")
            return False
        link.reply(received.body or b"old")
        return None

    peer = peers.http(old)
    calls = [was.post(peer.url(f"/{i}"), b"body", headers={"Content-Type": "a/b"}) for i in range(5)]
    assert [call.getwait(5).data for call in calls] == [b"body"] * 5
    links = peer.links
    assert was.get(peer.url()).getwait(5).version == "1.1"
    assert peer.links == links  # it was remembered, and the connection kept


def test_servers_that_hang_up_on_the_preface(peers: Peers) -> None:
    def behaviour(link: Link) -> None:
        received = link.read()
        if received is not None and received.method != "PRI":
            link.reply(b"old")

    assert was.get(peers(behaviour).url()).getwait(5).data == b"old"


# What goes wrong


def test_a_goodbye_sends_what_was_not_looked_at_elsewhere(peers: Peers) -> None:
    first = Event()

    def answer(request: Request2, link: Link2) -> None:
        if peer.links == 1:
            if request.head.target == "/0":
                first.wait()
                link.reply(request, b"0 by the first")
            elif request.head.target == "/1":
                link._link.send(frames.goaway(1, 0))
                link.engine.reset(request.stream, Code.CANCEL)
                first.set()
            return
        link.reply(request, request.head.target.encode())

    peer = http2(peers, answer)
    calls = [was.post(peer.url(f"/{i}"), b"x", headers={"Content-Type": "a/b"}) for i in range(3)]
    assert [call.getwait(5).data for call in calls] == [b"0 by the first", b"/1", b"/2"]
    assert peer.links == 2


def test_a_refused_request_is_sent_again_whatever_its_method(peers: Peers) -> None:
    refused: list[str] = []

    def answer(request: Request2, link: Link2) -> None:
        if len(refused) < 2:
            refused.append(request.head.method)
            link.engine.reset(request.stream, Code.REFUSED_STREAM)
            link.flush()
        else:
            link.reply(request, request.body)

    peer = http2(peers, answer)
    assert was.post(peer.url(), b"x", headers={"Content-Type": "a/b"}).getwait(5).data == b"x"
    assert refused == ["POST", "POST"]


def test_but_not_for_ever(peers: Peers) -> None:
    count = 0

    def answer(request: Request2, link: Link2) -> None:
        nonlocal count
        count += 1
        link.engine.reset(request.stream, Code.REFUSED_STREAM)
        link.flush()

    result = was.post(http2(peers, answer).url(), b"x", headers={"Content-Type": "a/b"}).getwait(5)
    assert result.status == 2 and count == 4


def test_a_request_that_was_looked_at_is_not_sent_again(peers: Peers) -> None:
    count = 0

    def answer(request: Request2, link: Link2) -> None:
        nonlocal count
        count += 1
        link.engine.reset(request.stream, Code.INTERNAL_ERROR)
        link.flush()

    result = was.post(http2(peers, answer).url(), b"x", headers={"Content-Type": "a/b"}).getwait(5)
    assert (result.status, count) == (2, 1) and isinstance(result.error, PeerClosed)


def test_a_connection_that_breaks_fails_all_that_it_carried(peers: Peers) -> None:
    def answer(request: Request2, link: Link2) -> None:
        if len(link.requests) == 3:
            link.close()

    peer = http2(peers, answer)
    calls = [was.post(peer.url(f"/{i}"), b"x", headers={"Content-Type": "a/b"}) for i in range(3)]
    assert {call.getwait(5).code for call in calls} == {705}


def test_a_kept_connection_that_was_closed_meanwhile(peers: Peers) -> None:
    def answer(request: Request2, link: Link2) -> None:
        link.reply(request, b"ok")
        if request.head.target == "/last":
            link.close()

    peer = http2(peers, answer)
    assert was.get(peer.url("/last")).getwait(5).data == b"ok"
    assert was.get(peer.url("/again")).getwait(5).data == b"ok"
    assert peer.links == 2


def test_silence_ends_its_own_call_only(peers: Peers) -> None:
    gate = Event()

    def answer(request: Request2, link: Link2) -> None:
        if request.head.target == "/silent":
            gate.wait()
        else:
            link.reply(request, b"ok")

    peer = http2(peers, answer)
    silent = was.get(peer.url("/silent"), timeout=0.2)
    result = silent.getwait(5)
    assert (result.status, result.code) == (2, 702) and isinstance(result.error, ReadTimeout)
    assert was.get(peer.url("/")).getwait(5).data == b"ok"
    assert peer.links == 1
    gate.set()


def test_waiting_ends_and_the_call_goes_on(peers: Peers) -> None:
    gate = Event()

    def answer(request: Request2, link: Link2) -> None:
        gate.wait()
        link.reply(request, b"late")

    call = was.get(http2(peers, answer).url())
    assert call.getwait(0.05).status == 1
    gate.set()


@pytest.mark.parametrize("where", ["before", "after"])
def test_answers_that_break_the_rules(peers: Peers, where: str) -> None:
    def answer(request: Request2, link: Link2) -> None:
        if where == "after":
            link.engine.send_head(request.stream, [(b":status", b"200")], False)
        link.flush()
        link._link.send(frames.serialize(frames.DATA, 0, 0, b"x"))

    result = was.get(http2(peers, answer).url()).getwait(5)
    assert (result.status, result.code) == (2, 716) and isinstance(result.error, RemoteProtocolError)


def test_a_malformed_answer_fails_its_own_call_only(peers: Peers) -> None:
    def answer(request: Request2, link: Link2) -> None:
        if request.head.target == "/bad":
            link.engine.send_head(request.stream, [(b":status", b"200"), (b"Upper", b"x")], True)
            link.flush()
        else:
            link.reply(request, b"ok")

    peer = http2(peers, answer)
    bad, good = was.get(peer.url("/bad")), was.get(peer.url("/good"))
    assert (bad.getwait(5).code, good.getwait(5).data) == (716, b"ok")


def test_a_generator_that_raises_ends_its_own_call_only(peers: Peers) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x"
        raise ValueError("in the middle")

    peer = http2(peers, saying(b"ok"))
    result = was.post(peer.url(), pieces(), headers={"Content-Type": "a/b"}).getwait(5)
    assert result.status == 2 and isinstance(result.error, ValueError)
    assert was.get(peer.url()).getwait(5).data == b"ok"
    assert peer.links == 1


def test_nobody_there(peers: Peers) -> None:
    url = f"http://{peers.refusing()}/"
    calls = [was.get(url) for _ in range(5)]
    assert {call.getwait(5).code for call in calls} == {714}


def test_an_answer_before_the_body_was_sent(peers: Peers) -> None:
    def answer_early(link: Link) -> None:
        engine = Http2Engine(True, Limits())
        engine.begin()
        while data := link._socket.recv(65_536):
            for event in engine.receive(data, 0.0):
                if isinstance(event, events.RequestStarted):
                    engine.send_head(event.stream, [(b":status", b"413")], True)
            link.send(engine.data_to_send())

    peer = peers(answer_early)
    assert was.post(peer.url(), b"x" * 5_000_000, headers={"Content-Type": "a/b"}).getwait(5).code == 413
    until(lambda: only_connection().streams == 0)


def test_unused_connections_are_closed_with_a_goodbye(peers: Peers) -> None:
    wasc.configure(keep_time=0.1)
    peer = http2(peers, saying(b"ok"))
    assert was.get(peer.url()).getwait(5).data == b"ok"
    assert peer.all_closed.wait(5)
    assert not _engine.current().pools


# Streams for other protocols


class Talk:
    """What a client of gRPC would be: it sends and receives at the same time."""

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.parts: list[tuple[bytes, int]] = []
        self.trailers: Fields | None = None
        self.error: Exception | None = None
        self.over = Event()

    def head_received(self, head: ResponseHead) -> None:
        self.head = head

    def data_received(self, content: bytes, size: int) -> None:
        self.parts.append((content, size))

    def ended(self, trailers: Fields | None) -> None:
        self.trailers = trailers
        self.over.set()

    def failed(self, error: Exception) -> None:
        self.error = error
        self.over.set()


def test_a_stream_in_both_directions(peers: Peers) -> None:
    def behaviour(link: Link) -> None:
        engine = Http2Engine(True, Limits())
        engine.begin()
        while data := link._socket.recv(65_536):
            for event in engine.receive(data, 0.0):
                if isinstance(event, events.RequestStarted):
                    engine.send_head(event.stream, [(b":status", b"200")], False)
                elif isinstance(event, events.BodyReceived):
                    engine.send_data(event.stream, event.content.upper(), False)
                elif isinstance(event, events.TrailersReceived):
                    engine.send_trailers(event.stream, [("grpc-status", "0")])
            link.send(engine.data_to_send())

    peer = peers(behaviour)
    pool = HttpPool(_engine.current(), Origin("http", "127.0.0.1", peer.port, True, True))
    connection = pool._open_connection()
    assert isinstance(connection, Http2Connection)
    talk = Talk()
    raw = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"test"), (b":path", b"/")]
    stream = connection.open(talk, raw, False)
    for word in (b"one", b"two"):
        stream.send(word)
        until(lambda word=word: talk.parts and talk.parts[-1][0] == word.upper())
        stream.consumed(3)
    stream.finish([("x", "1")])
    assert talk.over.wait(5)
    assert talk.trailers == [("grpc-status", "0")] and talk.head is not None and talk.head.status == 200
    other = connection.open(talk, raw, False)
    other.cancel()
    other.send(b"dropped")
    assert not other.is_open
    connection.close()


# A foreign server

HYPERCORN = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    fields = [(b"x-version", scope["http_version"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": scope["path"].encode() + body})
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[tuple[str, str]]:
    """The URLs of hypercorn in a process of its own, plain and with TLS."""
    from skitai.hub.binding import bind

    place = tmp_path_factory.mktemp("foreign")
    (place / "foreign_app.py").write_text(HYPERCORN)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(place / "cert.pem"))
    socks = [bind("127.0.0.1", 0)[0] for _ in range(2)]
    plain, secure = (sock.getsockname()[1] for sock in socks)
    for sock in socks:
        sock.set_inheritable(True)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "hypercorn", "foreign_app:app", "--bind", f"fd://{socks[1].fileno()}",
            "--insecure-bind", f"fd://{socks[0].fileno()}", "--certfile", "cert.pem", "--keyfile", "cert.pem",
        ],
        cwd=place, pass_fds=[sock.fileno() for sock in socks], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for sock in socks:
        sock.close()
    yield f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"
    process.terminate()
    process.wait(10)


@pytest.mark.row("WAS-GEN-16")
@pytest.mark.parametrize("which", [0, 1])
def test_a_foreign_server(foreign: tuple[str, str], ca_file: str, which: int) -> None:
    base = foreign[which]
    calls = [
        was.post(f"{base}/{i}", b"x" * 100_000 * (i % 2), headers={"Content-Type": "a/b"}, verify=ca_file)
        for i in range(30)
    ]
    for i, call in enumerate(calls):
        result = call.getwait(10)
        assert (result.code, result.version, result.get_header("x-version")) == (200, "2.0", "2"), result.reason
        assert result.content == f"/{i}".encode() + b"x" * 100_000 * (i % 2)


def test_settings_say_what_they_mean() -> None:
    assert _settings.ClientSettings().http2 is None
