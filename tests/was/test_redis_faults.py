"""``was.redis`` when something goes wrong: nothing hangs, no connection is lost, nobody gets another's answer."""

from __future__ import annotations

import signal
from typing import Any

import gevent
import pytest
from gevent.event import Event

import skitai
from skitai import was
from skitai.errors import ConnectTimeout, ReadTimeout
from skitai.net import logs
from skitai.was import _engine, _settings
from tests import servers

from .conftest import Peers, garbage_of, until
from .redis_peer import RedisPeer


@pytest.fixture
def cache(redis_address: servers.Address) -> Any:
    stub = was.redis(redis_address.where, "", redis_address.auth)
    stub.flushall().wait(5)
    return stub


def value(request: Any) -> Any:
    return request.getwait(10, reraise=True).data


def with_timeout(address: servers.Address, timeout: float) -> Any:
    return was.redis(address.where, "", address.auth, timeout=timeout)


def only_pool() -> Any:
    (pool,) = _engine.current().databases.values()
    return pool


def is_waiting(pool: Any) -> bool:
    """Whether a command is on its way."""
    return any(connection._sock._is_awaited for connection in pool._busy)


# No connection


def test_a_wrong_password(redis_address: servers.Address, capsys: pytest.CaptureFixture[str]) -> None:
    import redis

    result = was.redis(redis_address.where, auth=("default", "wrong-word")).get("k").getwait(5)
    assert (result.status, result.code) == (2, 714)
    with pytest.raises(redis.AuthenticationError):
        result.reraise()
    result = was.redis(redis_address.where).get("k").getwait(5)
    assert type(result.error) is redis.AuthenticationError
    logs.current().flush()
    assert "wrong-word" not in repr(result) + str(result.error) + capsys.readouterr().out
    assert not _engine.current().databases


def test_a_refused_login_leaves_little_for_the_garbage_collector(redis_address: servers.Address) -> None:
    def fail() -> None:
        assert was.redis(redis_address.where, auth=("default", "wrong-word")).get("k").getwait(5).code == 714

    # Twelve of each are redis-py's own, of its parser; with the error they would be 115.
    assert garbage_of(fail, 20) < 20 * 20


def test_a_refused_port() -> None:
    result = was.redis(f"127.0.0.1:{servers.free_port()}").get("k").getwait(5)
    assert (result.status, result.code) == (2, 714)


def test_a_name_without_an_address() -> None:
    assert was.redis("no-such-host.invalid").get("k").getwait(10).code in (702, 704)


@pytest.mark.parametrize("dbname", ["99", "mydb"])
def test_a_database_that_there_is_not(redis_address: servers.Address, dbname: str) -> None:
    result = was.redis(redis_address.where, dbname, redis_address.auth).get("k").getwait(5)
    assert (result.status, result.code) == (2, 714)
    assert "DB index" in str(result.error) or "integer" in str(result.error)


def test_a_server_that_says_nothing(peers: Peers) -> None:
    _settings.configure(connect_time=0.05)
    peer = RedisPeer(peers, lambda words, peer: b"", lambda words, peer: b"")
    result = was.redis(peer.address).get("k").getwait(5)
    assert (result.status, result.code, type(result.error)) == (2, 702, ConnectTimeout)
    peer.peer.all_closed.wait()


def test_a_server_that_speaks_something_else(peers: Peers) -> None:
    peer = peers(lambda link: link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    result = was.redis(peer.address).get("k").getwait(5)
    assert (result.status, result.code) == (2, 714)


def test_a_server_that_is_full(redis_address: servers.Address, cache: Any) -> None:
    most = value(cache.config_get("maxclients"))["maxclients"]
    value(cache.config_set("maxclients", 1))
    try:
        result = was.redis(redis_address.where, "1", redis_address.auth).get("k").getwait(5)
        assert (result.status, result.code) == (2, 714)
    finally:
        value(cache.config_set("maxclients", most))


def test_a_server_without_the_third_version_of_the_protocol(peers: Peers) -> None:
    def greet(words: list[str], peer: RedisPeer) -> bytes:
        if words[0] == "HELLO":
            return b"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `hidden`, \r\n"
        return b"+OK\r\n"

    peer = RedisPeer(peers, lambda words, peer: b"*2\r\n$1\r\na\r\n$1\r\n1\r\n", greet)
    assert value(was.redis(peer.address, auth=("", "hidden")).hgetall("h")) == {"a": "1"}
    assert ["AUTH", "hidden"] in peer.greetings


def test_a_server_that_repeats_the_password(peers: Peers) -> None:
    def greet(words: list[str], peer: RedisPeer) -> bytes:
        said = " ".join(f"`{word}`" for word in words)
        return f"-ERR unknown command, with args beginning with: {said}\r\n".encode()

    peer = RedisPeer(peers, lambda words, peer: b"", greet)
    result = was.redis(peer.address, auth=("", "hidden")).get("k").getwait(5)
    assert result.code == 714
    assert "hidden" not in f"{result.error} {result.error!r} {result.error.args}"
    assert "***" in str(result.error)


# Errors of the server


def test_errors_of_commands(redis_address: servers.Address, cache: Any) -> None:
    import redis

    value(cache.set("k", "v"))
    result = cache.lpush("k", 1).getwait(5)
    assert (result.status, result.code, result.data) == (2, 500, None)
    assert result.reason.startswith("WRONGTYPE")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        result.reraise()
    assert value(cache.get("k")) == "v"
    assert only_pool()._idle[0].uses > 3


def test_out_of_memory(cache: Any) -> None:
    import redis

    value(cache.config_set("maxmemory", 1))
    try:
        with pytest.raises(redis.OutOfMemoryError):
            value(cache.set("k", "v"))
        assert value(cache.get("k")) is None
    finally:
        value(cache.config_set("maxmemory", 0))


def test_a_replica_refuses_to_write_and_is_looked_for_again(cache: Any) -> None:
    import redis

    value(cache.execute_command("REPLICAOF", "127.0.0.1", servers.free_port()))
    try:
        before = value(cache.client_id())
        with pytest.raises(redis.ReadOnlyError):
            value(cache.set("k", "v"))
        assert value(cache.client_id()) != before
    finally:
        value(cache.execute_command("REPLICAOF", "NO", "ONE"))
    assert value(cache.set("k", "v")) is True


def test_moved(peers: Peers) -> None:
    import redis

    peer = RedisPeer(peers, lambda words, peer: b"-MOVED 3999 127.0.0.1:6381\r\n")
    result = was.redis(peer.address).get("k").getwait(5)
    assert (result.status, result.code) == (2, 500)
    assert isinstance(result.error, redis.ResponseError)
    assert "6381" in str(result.error)


def test_loading(peers: Peers, redis_address: servers.Address, cache: Any) -> None:
    import redis

    peer = RedisPeer(peers, lambda words, peer: b"-LOADING Redis is loading the dataset in memory\r\n")
    result = was.redis(peer.address).incr("k").getwait(5)
    assert (result.status, result.code, type(result.error)) == (2, 714, redis.BusyLoadingError)
    skitai.alias("@both", skitai.DB_REDIS, [peer.address, redis_address.member])
    assert [value(was.redis.lb("@both").incr("n")) for _ in range(4)] == [1, 2, 3, 4]


# Lost connections


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_in_mid_command_and_comes_back(redis_server: servers.Redis, number: int) -> None:
    address = redis_server.address
    cache = was.redis(address.where, "", address.auth)
    value(cache.set("k", "v"))
    waiting = [cache.blpop("empty", 0) for _ in range(3)]
    pool = only_pool()
    until(lambda: len(pool._busy) == 3 and is_waiting(pool))
    redis_server.restart(number)
    for request in waiting:
        result = request.getwait(10)
        assert (result.status, result.code) == (2, 705)
    assert value(cache.get("k")) is None
    assert (len(pool._busy), pool._opening) == (0, 0)


def test_the_server_was_restarted_between_two_requests(redis_server: servers.Redis) -> None:
    address = redis_server.address
    cache = was.redis(address.where, "", address.auth)
    value(cache.set("k", "v"))
    redis_server.restart()
    assert value(cache.incr("n")) == 1


def test_what_only_reads_is_asked_again(peers: Peers) -> None:
    def say(words: list[str], peer: RedisPeer) -> bytes | None:
        return b"+yes\r\n" if len(peer.received) % 2 == 0 else None

    peer = RedisPeer(peers, say)
    cache = was.redis(peer.address)
    assert value(cache.get("k")) == "yes"
    assert value(cache.pipeline().get("k").execute(raise_on_error=False)) == ["yes"]
    assert peer.received == [["GET", "k"]] * 4


@pytest.mark.parametrize("is_pipeline", [False, True])
def test_what_may_have_written_is_not_done_twice(peers: Peers, is_pipeline: bool) -> None:
    peer = RedisPeer(peers, lambda words, peer: None)
    cache = was.redis(peer.address)
    request = cache.pipeline().get("k").incr("k").execute() if is_pipeline else cache.incr("k")
    result = request.getwait(5)
    assert (result.status, result.code) == (2, 705)
    assert len([words for words in peer.received if words == ["INCR", "k"]]) <= 1
    assert peer.peer.links == 1


def test_half_an_answer(peers: Peers) -> None:
    said = iter([b"$10\r\nabc", b"$3\r\nabc\r\n"])

    def say(words: list[str], peer: RedisPeer) -> bytes:
        return next(said)

    peer = RedisPeer(peers, say)
    result = was.redis(peer.address, timeout=0.05).incr("k").getwait(5)
    assert (result.status, result.code) == (2, 702)
    assert value(was.redis(peer.address).get("k")) == "abc"


def test_what_comes_behind_an_answer_is_not_for_the_command_that_waits(peers: Peers) -> None:
    """The answer fills one read, so that what follows it is in the socket when the next command gets its turn."""
    _settings.configure(db_connections=1)
    started = Event()
    size = 65_536 - len("$65000\r\n\r\n")

    def say(words: list[str], peer: RedisPeer) -> bytes:
        if words[1] != "first":
            return f"+{words[1]}\r\n".encode()
        started.wait(5)
        return b"$%d\r\n" % size + b"a" * size + b"\r\n+nobodys\r\n"

    peer = RedisPeer(peers, say)
    requests = [was.redis(peer.address).get(key) for key in ("first", "b", "c")]
    started.set()
    assert [value(request) for request in requests] == ["a" * size, "b", "c"]
    assert peer.peer.links == 2


def test_an_answer_too_many_is_nobodys(peers: Peers) -> None:
    peer = RedisPeer(peers, lambda words, peer: f"+{words[1]}\r\n+{words[1]} again\r\n".encode())
    cache = was.redis(peer.address)
    assert [value(cache.get(name)) for name in "abc"] == ["a", "b", "c"]
    _settings.configure(db_connections=1)
    assert [value(request) for request in [cache.get(name) for name in "defg"]] == ["d", "e", "f", "g"]


def test_an_answer_that_is_none(peers: Peers) -> None:
    import redis

    peer = RedisPeer(peers, lambda words, peer: b"?what\r\n" if words[1] == "a" else b"+yes\r\n")
    cache = was.redis(peer.address)
    result = cache.incr("a").getwait(5)
    assert (result.status, result.code, type(result.error)) == (2, 705, redis.InvalidResponse)
    assert value(cache.incr("b")) == "yes"


# Time


def test_the_deadline_passes_in_mid_command(redis_address: servers.Address, cache: Any) -> None:
    result = with_timeout(redis_address, 0.05).blpop("empty", 0).getwait(5)
    assert (result.status, result.code) == (2, 702)
    assert "took too long" in str(result.error) or "closed" in str(result.error)
    value(cache.rpush("empty", "x"))  # nobody waits for it on the server any more
    assert value(cache.lrange("empty", 0, -1)) == ["x"]
    pool = only_pool()
    assert (len(pool._busy), pool._opening) == (0, 0)


def test_the_deadline_passes_while_the_server_is_paused(redis_address: servers.Address, cache: Any) -> None:
    value(cache.client_pause(500))
    result = with_timeout(redis_address, 0.05).set("k", "v").getwait(5)
    assert (result.status, result.code) == (2, 702)
    assert value(cache.ping()) is True


def test_the_deadline_passes_while_sending(redis_address: servers.Address, peers: Peers) -> None:
    release = Event()

    def say(words: list[str], peer: RedisPeer) -> None:
        release.wait()  # without reading what comes

    peer = RedisPeer(peers, say)
    pipeline = was.redis(peer.address, timeout=0.05).pipeline().get("k").set("k", bytes(50_000_000))
    result = pipeline.execute().getwait(5)
    assert (result.status, result.code) == (2, 702)
    release.set()


def test_a_blocking_command_within_its_time(redis_address: servers.Address, cache: Any) -> None:
    assert value(cache.blpop("empty", 0.05)) is None
    request = with_timeout(redis_address, 5).blpop(["one", "other"], 0)
    value(cache.rpush("other", "x"))
    assert value(request) == ("other", "x")


def test_nobody_waits_any_more(cache: Any) -> None:
    request = cache.blpop("queue", 0)
    assert request.getwait(0.01).status == 1
    value(cache.rpush("queue", "x"))
    until(lambda: request.is_done)
    assert not only_pool()._busy


def test_a_request_that_is_cancelled(cache: Any) -> None:
    request = cache.blpop("queue", 0)
    until(lambda: is_waiting(only_pool()))
    request.cancel()
    assert request.getwait(5).status == 2
    value(cache.rpush("queue", "x"))
    assert value(cache.llen("queue")) == 1
    assert not only_pool()._busy


# Many


def test_none_of_the_connections_gets_free(redis_address: servers.Address, cache: Any) -> None:
    _settings.configure(db_connections=1)
    blocking = cache.blpop("queue", 0)
    result = with_timeout(redis_address, 0.05).get("k").getwait(5)
    assert (result.status, result.code, type(result.error)) == (2, 702, ReadTimeout)
    assert "none of the 1 connections" in str(result.error)
    next_in_line = cache.get("k")
    blocking.cancel()
    assert value(next_in_line) is None
    assert only_pool()._count == 1


def test_a_thousand_requests_over_ten_connections(cache: Any) -> None:
    _settings.configure(db_connections=10)
    written = [cache.pipeline().set(f"k{n}", n).get(f"k{n}").execute() for n in range(1_000)]
    assert [value(request) for request in written] == [[True, str(n)] for n in range(1_000)]
    read = [cache.get(f"k{n}") for n in range(1_000)]
    assert [value(request) for request in read] == [str(n) for n in range(1_000)]
    pool = only_pool()
    assert (pool._count, len(pool._busy)) == (10, 0)


def test_greenlets_that_go_away(cache: Any) -> None:
    _settings.configure(db_connections=4)
    for n in range(50):
        value(cache.set(f"k{n}", n))

    def ask(n: int) -> None:
        if n % 3 == 0:
            cache.blpop("empty", 0.02)
        cache.get(f"k{n}").getwait(5)

    for _ in range(5):
        asking = [gevent.spawn(ask, n) for n in range(50)]
        for n, greenlet in enumerate(asking):
            if n % 2:
                greenlet.kill(block=n % 4 == 1)
        assert [value(cache.get(f"k{n}")) for n in range(50)] == [str(n) for n in range(50)]
        gevent.joinall(asking)
    pool = only_pool()
    until(lambda: not pool._busy)
    assert pool._count <= 4 and not pool._waiting


def test_connections_that_the_server_closes_are_replaced(cache: Any) -> None:
    requests = [cache.blpop("empty", 0.1) for _ in range(10)]
    assert [value(request) for request in requests] == [None] * 10
    assert value(cache.client_kill_filter(_type="normal", skipme=True)) == 9
    assert [value(cache.incr("n")) for _ in range(20)] == list(range(1, 21))
