"""Group chats over several servers through a real Redis."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

import skitai
from skitai.errors import ConfigurationError
from skitai.hub import backplane
from skitai.hub.backplane import RedisBackplane
from skitai.hub.rooms import Rooms
from tests.hub.conftest import Running
from tests.scripts import Workplace, children
from tests.servers import Redis
from tests.websocket_clients import get, talk

Serve = Callable[..., Running]


def chat(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    if environ["websocket.event"] == skitai.WS_EVT_INIT:
        environ["websocket.config"] = (skitai.WS_GROUPCHAT, 60, ("message", "room"))
        return [b""]
    if environ["websocket.event"]:
        return [b""]
    message = environ["websocket.message"]
    if message == "who am I":
        return [str(environ["websocket.client"]).encode()]
    if message.startswith("to "):
        _, client, text = message.split(" ", 2)
        environ["websocket"].send(text, int(client))
        return [b""]
    return [message.encode()]


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def pair(serve: Serve, redis: Redis) -> list[Running]:
    """Two servers of one backplane."""
    return [_shared(serve, redis.url) for _ in range(2)]


def _shared(serve: Serve, url: str) -> Running:
    running = serve(chat)
    shared = RedisBackplane(url, running.logs.server)
    running.server.rooms.use(shared, shared.first_client())
    shared.start()
    assert shared.is_connected.wait(10)
    return running


@pytest.mark.row("WS-25")
def test_rooms_reach_over_servers(pair: list[Running], until: Callable[..., None]) -> None:
    one, two = pair
    with talk(one.port, "/?room=a") as a, talk(two.port, "/?room=a") as b, talk(two.port, "/?room=b") as other:
        _until_subscribed(pair, until)
        a.send("hello")
        assert get(a) == get(b) == "hello"
        b.send("who am I")
        number = get(a)
        assert get(b) == number and int(number) < 1 << 53
        a.send(f"to {number} only you")
        assert get(b) == "only you"
        other.send("alone")
        assert get(other) == "alone"
        b.send("x" * 100_000)
        assert get(a) == get(b) == "x" * 100_000
        with pytest.raises(TimeoutError):
            a.recv(timeout=0.1)  # no echo of what it said itself


def _until_subscribed(pair: list[Running], until: Callable[..., None]) -> None:
    import redis as library

    shared = pair[0].server.rooms.backplane
    assert isinstance(shared, RedisBackplane)
    with library.Redis.from_url(shared._url) as client:
        until(lambda: sorted(dict(client.pubsub_numsub(*shared._rooms)).values()) == [2], "both have subscribed")


def test_what_is_said_while_redis_is_away_stays_here(
    pair: list[Running], redis: Redis, until: Callable[..., None]
) -> None:
    one, two = pair
    with talk(one.port, "/?room=a") as a, talk(two.port, "/?room=a") as b:
        _until_subscribed(pair, until)
        redis.pause()
        a.send("lost")
        assert get(a) == "lost"
        until(lambda: "the backplane tells" in one.messages_text())
        for number in range(50):
            a.send(f"lost {number}")
            assert get(a) == f"lost {number}"
        redis.resume()
        _until_subscribed(pair, until)
        a.send("found")
        assert get(a) == get(b) == "found"


def test_what_others_say_on_the_channels_is_ignored(
    pair: list[Running], redis: Redis, until: Callable[..., None]
) -> None:
    import redis as library

    one, two = pair
    with talk(one.port, "/?room=a") as a, talk(two.port, "/?room=a") as b:
        _until_subscribed(pair, until)
        shared = one.server.rooms.backplane
        assert isinstance(shared, RedisBackplane)
        with library.Redis.from_url(redis.url) as client:
            for data in (b"", b"nonsense", b"x 8 - close", b"x y z payload"):
                client.publish(next(iter(shared._rooms)), data)
        a.send("hello")
        assert get(a) == get(b) == "hello"
    assert "backplane" not in one.messages_text()


def test_bound_of_what_waits(redis: Redis, serve: Serve) -> None:
    running = serve(chat)
    shared = RedisBackplane(redis.url, running.logs.server)
    rooms = Rooms()
    room = rooms.room("k", "n")
    for _ in range(backplane.MOST_WAITING + 10):
        shared.publish(room, None, 1, b"x")
    assert len(shared._waiting) == backplane.MOST_WAITING


def test_urls_that_cannot_be() -> None:
    for url in ("http://a", "localhost"):
        with pytest.raises(ConfigurationError):
            backplane.check(url)
    backplane.check("redis://:secret@127.0.0.1:6379/1")


SCRIPT = """
import os
import skitai
from skitai.saddle import Saddle

app = Saddle(__name__)

@app.route("/chat")
def chat(was, message, room_id):
    if was.wsinit():
        return was.wsconfig(skitai.WS_GROUPCHAT, 60)
    if was.wshasevent():
        return
    return f"{os.getpid()} {message}"

if __name__ == "__main__":
    skitai.mount("/", app)
    BACKPLANE
    skitai.run(port=0, workers=2)
"""


@pytest.mark.row("WS-25")
def test_workers_of_one_server(workplace: Workplace, redis: Redis) -> None:
    script = workplace.script(SCRIPT.replace("BACKPLANE", f"skitai.set_backplane({redis.url!r})")).start()
    port = script.port
    with ExitStack() as stack:
        clients = []
        for worker in children(script.process.pid):
            os.kill(worker, signal.SIGSTOP)  # so that the other one takes the next clients
            try:
                clients += [stack.enter_context(talk(port, "/chat?room_id=1")) for _ in range(2)]
            finally:
                os.kill(worker, signal.SIGCONT)
        seen: set[str] = set()
        for number in range(100):  # until both workers have spoken
            clients[number % 4].send(str(number))
            try:
                seen |= {hear(client, number) for client in clients}
            except TimeoutError:  # a worker that has not subscribed yet does not hear of it
                continue
            if len(seen) == 2:
                break
        else:
            raise AssertionError(f"only {seen} reached all")
    assert "each worker has its own group chats" not in script.text


def hear(client: ClientConnection, number: int) -> str:
    """Wait for the message of a number; return who passed it on. Raises TimeoutError when it does not come."""
    while not (found := str(client.recv(timeout=1))).endswith(f" {number}"):
        pass
    return found.split()[0]


@pytest.mark.row("WS-25")
def test_warning_without_a_backplane(workplace: Workplace) -> None:
    script = workplace.script(SCRIPT.replace("BACKPLANE", "")).start()
    script.line("each worker has its own group chats")
    assert script.port
    assert script.stop() == 0
