"""Subscriptions to channels of a real Redis server."""

from __future__ import annotations

import signal
from typing import Any

import gevent
import pytest

import skitai
from skitai import was
from skitai.errors import ConnectFailed, PeerClosed, ReadTimeout
from skitai.was import _engine, _settings
from skitai.was._redis_listen import Message
from tests import servers

from .conftest import Peers
from .redis_peer import RedisPeer


@pytest.fixture
def cache(redis_address: servers.Address) -> Any:
    return was.redis(redis_address.where, "", redis_address.auth)


def value(request: Any) -> Any:
    return request.getwait(10, reraise=True).data


def test_messages_of_channels_and_patterns(cache: Any) -> None:
    with cache.subscribe("a", "b.*", "c[12]", r"d\*") as messages:
        for channel in ("a", "b.x", "other", "c2", "c3", "d*", "dx", "a"):
            value(cache.publish(channel, f"for {channel}"))
        coming = iter(messages)
        assert [next(coming) for _ in range(5)] == [
            Message("a", "for a"),
            Message("b.x", "for b.x", "b.*"),
            Message("c2", "for c2", "c[12]"),
            Message("d*", "for d*", r"d\*"),
            Message("a", "for a"),
        ]
        assert repr(messages).startswith(r"<Subscription to a, b.*, c[12], d\* of redis 127.0.0.1:")
    assert value(cache.pubsub_numsub("a")) == [("a", 0)]


def test_messages_that_are_no_text(cache: Any) -> None:
    binary = bytes(range(256))
    with cache.subscribe("a") as messages, cache.as_bytes.subscribe("a") as raw:
        value(cache.publish("a", binary))
        value(cache.publish("a", "text"))
        coming, coming_raw = iter(messages), iter(raw)
        assert [next(coming).data, next(coming).data] == [binary, "text"]
        assert [next(coming_raw), next(coming_raw)] == [Message(b"a", binary), Message(b"a", b"text")]


def test_a_large_message(cache: Any) -> None:
    with cache.subscribe("a") as messages:
        value(cache.publish("a", "x" * 5_000_000))
        assert len(next(iter(messages)).data) == 5_000_000


def test_the_end_after_silence(cache: Any) -> None:
    with cache.subscribe("a", timeout=0.05) as messages:
        value(cache.publish("a", 1))
        assert [each.data for each in messages] == ["1"]
        value(cache.publish("a", 2))
        assert [each.data for each in messages] == ["2"]


def test_a_message_wakes_who_waits(cache: Any) -> None:
    with cache.subscribe("a") as messages:
        waiting = gevent.spawn(next, iter(messages))
        gevent.sleep(0)
        value(cache.publish("a", "x"))
        assert waiting.get(timeout=5).data == "x"


def test_who_closes_ends_the_wait_of_another_greenlet(cache: Any) -> None:
    with cache.subscribe("a") as messages:
        waiting = gevent.spawn(list, messages)
        gevent.sleep(0)
    assert waiting.get(timeout=5) == []


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_lost_connection_is_told(redis_server: servers.Redis, timeout: float | None) -> None:
    address = redis_server.address
    with was.redis(address.where, "", address.auth).subscribe("a", timeout=timeout) as messages:
        redis_server.restart(signal.SIGKILL)
        with pytest.raises(PeerClosed, match=address.where):
            next(iter(messages))


def test_a_server_that_pauses_inside_a_message(peers: Peers) -> None:
    def say(words: list[str], peer: RedisPeer) -> bytes:
        return b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$7\r\nmess"

    peer = RedisPeer(peers, say)
    with was.redis(peer.address).subscribe("a", timeout=0.05) as messages:
        assert list(messages) == []
        peer.links[0].send(b"age\r\n$1\r\na\r\n$1\r\nx\r\n")
        assert list(messages) == [Message("a", "x")]


def test_a_server_that_does_not_confirm(peers: Peers) -> None:
    _settings.configure(idle_time=0.05)
    peer = RedisPeer(peers, lambda words, peer: b"")
    with pytest.raises(ReadTimeout), was.redis(peer.address).subscribe("a"):
        pass
    peer.peer.all_closed.wait()
    peer = RedisPeer(peers, lambda words, peer: None)
    with pytest.raises(PeerClosed), was.redis(peer.address).subscribe("a"):
        pass


def test_messages_that_come_before_the_last_channel_is_confirmed(peers: Peers) -> None:
    def say(words: list[str], peer: RedisPeer) -> bytes:
        if words[0] == "SUBSCRIBE":
            return b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"
        return b"*3\r\n$10\r\npsubscribe\r\n$2\r\nb*\r\n:2\r\n"

    peer = RedisPeer(peers, say)
    with was.redis(peer.address).subscribe("a", "b*", timeout=0.05) as messages:
        assert list(messages) == [Message("a", "x")]


def test_what_cannot_be_subscribed_to(redis_address: servers.Address, cache: Any) -> None:
    import redis

    with pytest.raises(ValueError, match="at least one"):
        cache.subscribe()
    with pytest.raises(RuntimeError, match="with block"):
        next(iter(cache.subscribe("a")))
    with pytest.raises(redis.AuthenticationError), was.redis(redis_address.where, auth=("", "no")).subscribe("a"):
        pass
    with pytest.raises(ConnectFailed), was.redis(f"127.0.0.1:{servers.free_port()}").subscribe("a"):
        pass
    value(cache.acl_setuser("mute", enabled=True, passwords=["+word"], commands=["+subscribe"], channels=["b"]))
    mute = was.redis(redis_address.where, "", ("mute", "word"))
    with pytest.raises(redis.exceptions.NoPermissionError), mute.subscribe("a"):
        pass
    with mute.subscribe("b") as messages, pytest.raises(RuntimeError, match="begun already"):
        messages.__enter__()
    value(cache.acl_deluser("mute"))


@pytest.mark.row("ALIAS-05")
def test_at_a_cluster(redis_address: servers.Address, cache: Any) -> None:
    skitai.alias("@one", skitai.DB_REDIS, redis_address.member)
    with was.redis("@one").subscribe("a") as messages:
        value(was.redis("@one").publish("a", 1))
        assert next(iter(messages)).data == "1"
    skitai.alias("@two", skitai.DB_REDIS, [redis_address.member, f"{redis_address.where}/1"])
    with pytest.raises(RuntimeError, match="several members"):
        was.redis("@two").subscribe("a")
    assert all(not pool._busy for pool in _engine.current().databases.values())  # type: ignore[attr-defined]
