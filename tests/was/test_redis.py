"""``was.redis`` with a real server: commands, values, pipelines, clusters."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

import skitai
from skitai import was
from skitai.errors import ConfigurationError
from skitai.was import _engine, _modes, _settings
from skitai.was._context import Context
from tests import servers


@pytest.fixture
def cache(redis_address: servers.Address) -> Any:
    """An empty database."""
    stub = was.redis(redis_address.where, "", redis_address.auth)
    value(stub.flushall())
    return stub


def value(request: Any) -> Any:
    """What a request brings; raises what it failed with."""
    return request.getwait(10, reraise=True).data


def pools() -> list[Any]:
    return list(_engine.current().databases.values())


# Commands


def test_every_method_of_redis_py_finds_what_it_looks_for() -> None:
    """A method of redis-py that looks at its client, such as slowlog_get(), looks at ours."""
    from skitai.was import _redis_driver

    builder = _redis_driver._Builder
    missing = {
        name: sorted(wanted - set(dir(builder)))
        for name in dir(builder)
        if callable(method := getattr(builder, name)) and name not in _redis_driver.NO_COMMANDS | _redis_driver._RAW
        if (wanted := set(re.findall(r"\bself\.(\w+)", _source(method)))) - set(dir(builder))
    }
    assert missing == {}


def _source(method: Any) -> str:
    try:
        return inspect.getsource(method)
    except (TypeError, OSError):  # of object, or written in C
        return ""


def test_the_slow_log(cache: Any) -> None:
    value(cache.config_set("slowlog-log-slower-than", 0))
    value(cache.set("key", "\u00e4"))
    value(cache.config_set("slowlog-log-slower-than", 10_000))
    assert any("SET key \u00e4" in str(each["command"]) for each in value(cache.slowlog_get(10)))
    assert value(cache.slowlog_len()) >= 1
    value(cache.slowlog_reset())



@pytest.mark.row("WAS-RD-01", "WAS-RD-02", "WAS-DB-06")
def test_commands_are_methods(cache: Any) -> None:
    assert value(cache.set("key", 1, ex=60)) is True
    assert 0 < value(cache.ttl("key")) <= 60
    assert value(cache.get("key")) == "1"
    assert value(cache.incr("key")) == 2
    assert value(cache.get("no such")) is None
    assert value(cache.rpush("k", "a", "b", "c", "d")) == 4
    assert value(cache.lrange("k", 0, 3)) == ["a", "b", "c", "d"]
    assert value(cache.hset("h", mapping={"name": "Zoë", "n": 1.5})) == 2
    assert value(cache.hgetall("h")) == {"name": "Zoë", "n": "1.5"}
    assert value(cache.zadd("z", {"a": 1, "b": 2})) == 2
    assert value(cache.zrange("z", 0, -1, withscores=True)) == [("a", 1.0), ("b", 2.0)]
    assert value(cache.delete("key", "k")) == 2
    assert value(cache.mget([])) == []
    assert value(cache.eval("return {KEYS[1], ARGV[1]}", 1, "a", "b")) == ["a", "b"]


@pytest.mark.row("WAS-RD-01")
def test_a_command_that_redis_py_does_not_know_is_sent_by_its_name(cache: Any) -> None:
    result = cache.frobnicate("a").getwait(5)
    assert (result.status, result.code) == (2, 500)
    assert "unknown command 'FROBNICATE'" in result.reason
    value(cache.set("key", "value"))
    assert value(cache.object_encoding("key")) == "embstr"  # OBJECT ENCODING
    with pytest.raises(TypeError, match="no keywords"):
        cache.object_encoding(key="key")
    assert value(cache.sort_ro("no such")) == []
    assert isinstance(value(cache.memory_doctor()), str)  # which redis-py does not present


def test_a_command_by_its_words(cache: Any) -> None:
    assert value(cache.execute_command("WAIT", 0, 1)) == 0
    assert value(cache.execute_command("SET", "k", b"v")) is True
    assert value(cache.execute_command("config", "get", "maxmemory")) == {"maxmemory": "0"}
    assert value(cache.bitfield("bits", "INCRBY", "u8", 0, 3)) == [3]


@pytest.mark.parametrize(
    "name", ["close", "connection_pool", "from_url", "scan_iter", "lock", "register_script", "json", "_start_it"]
)
def test_what_is_no_command(cache: Any, name: str) -> None:
    assert not hasattr(cache, name)
    assert not hasattr(cache.pipeline(), name)


@pytest.mark.parametrize("words", [("SELECT", 1), ("MULTI",), ("SUBSCRIBE", "a"), ("CLIENT", "REPLY", "OFF")])
def test_what_would_change_the_connection_of_others_is_refused(cache: Any, words: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="not for a connection that requests share"):
        cache.execute_command(*words)
    with pytest.raises(ValueError, match="not for a connection that requests share"):
        cache.pipeline().execute_command(*words)


def test_a_connection_that_was_marked_is_not_used_again(cache: Any) -> None:
    first = value(cache.client_id())
    assert value(cache.client_id()) == first
    assert value(cache.client_setname("mine")) is True
    assert value(cache.client_id()) != first
    assert value(cache.client_getname()) in (None, "")
    value(cache.pipeline().client_setname("mine").get("a").execute())
    assert value(cache.client_getname()) in (None, "")


def test_names_of_the_last_request_keep_their_meaning(cache: Any) -> None:
    fresh = cache.as_bytes
    with pytest.raises(AttributeError, match="before its first command"):
        fresh.wait(1)
    value(cache.set("k", "v"))
    cache.get("k")
    cache.wait(5)
    assert cache.status == 3
    assert cache.getwait(5).data == "v"


def test_what_redis_py_refuses(cache: Any) -> None:
    import redis

    result = cache.zadd("k", {"a": 1}, nx=True, xx=True).getwait(5)
    assert (result.status, result.code) == (2, 731)
    with pytest.raises(redis.DataError, match="either 'nx' or 'xx'"):
        result.reraise()
    with pytest.raises(redis.DataError):
        value(cache.set("k", None))
    with pytest.raises(TypeError):
        cache.get()
    assert value(cache.get("k")) is None
    assert [(len(pool._busy), len(pool._idle)) for pool in pools()] == [(0, 1)]


def test_without_redis_py(redis_address: servers.Address, monkeypatch: pytest.MonkeyPatch) -> None:
    from skitai.was import _redis

    monkeypatch.setitem(sys.modules, "skitai.was._redis_driver", None)
    monkeypatch.delattr("skitai.was._redis_driver", raising=False)
    _redis.no_commands.cache_clear()
    try:
        result = was.redis(redis_address.where).get("k").getwait(5)
    finally:
        _redis.no_commands.cache_clear()
    assert result.status == 2
    with pytest.raises(ConfigurationError, match=r"pip install 'skitai\[redis\]'"):
        result.reraise()


# Values


@pytest.mark.row("WAS-RD-02")
def test_bytes_that_are_no_text_survive(cache: Any) -> None:
    binary = bytes(range(256))
    value(cache.set(b"\xff\x00", binary))
    assert value(cache.get(b"\xff\x00")) == binary
    value(cache.set("nul", "a\0b\r\n"))
    assert value(cache.get("nul")) == "a\0b\r\n"
    assert value(cache.as_bytes.get("nul")) == b"a\0b\r\n"
    value(cache.rpush("mixed", "text", binary))
    assert value(cache.lrange("mixed", 0, -1)) == ["text", binary]
    value(cache.hset("h", "é", binary))
    assert value(cache.hgetall("h")) == {"é": binary}
    assert value(cache.as_bytes.hgetall("h")) == {"é".encode(): binary}
    assert value(cache.as_bytes.pipeline().get("nul").incr("n").execute()) == [b"a\0b\r\n", 1]
    value(cache.sadd("s", "a", "b"))
    assert set(value(cache.smembers("s"))) == {"a", "b"}
    assert type(value(cache.dump("nul"))) is bytes


def test_a_value_of_100_megabytes(cache: Any) -> None:
    data = b"\0\xff" * 50_000_000
    value(cache.set("large", data))
    assert value(cache.get("large")) == data
    assert value(cache.delete("large")) == 1
    assert [len(pool._idle) for pool in pools()] == [1]


# Pipelines


def test_a_pipeline_is_one_request(cache: Any) -> None:
    pipeline = cache.pipeline().set("a", 1).incr("a").get("a").mget([])
    assert len(pipeline) == 4
    request = pipeline.execute()
    assert request.getwait(5).data == [True, 2, "2", []]
    assert (len(pipeline), value(pipeline.execute())) == (0, [])
    assert request.getwait().method == "PIPELINE"


def test_an_error_in_a_pipeline(cache: Any) -> None:
    import redis

    result = cache.pipeline().set("a", "secret").lpush("a", "secret").set("b", 2).execute().getwait(5)
    assert (result.status, result.code, result.data) == (2, 500, None)
    assert result.reason.startswith("command 2 of the pipeline (LPUSH): WRONGTYPE")
    assert "secret" not in repr(result) + str(result.error)
    assert value(cache.get("b")) == "2"
    data = value(cache.pipeline().get("a").lpush("a", 1).get("b").execute(raise_on_error=False))
    assert [type(each) for each in data] == [str, redis.ResponseError, str]


def test_an_atomic_pipeline(cache: Any) -> None:
    import redis

    assert value(cache.pipeline(atomic=True).set("a", 1).mget([]).incr("a").execute()) == [True, [], 2]
    assert value(cache.pipeline(atomic=True).execute()) == []
    result = cache.pipeline(atomic=True).set("a", 5).execute_command("INCR").execute().getwait(5)
    assert result.reason.startswith("command 2 of the pipeline (INCR): wrong number of arguments")
    assert value(cache.get("a")) == "2"  # nothing of it was done
    data = value(cache.pipeline(atomic=True).lpush("a", 1).incr("a").execute(raise_on_error=False))
    assert (type(data[0]), data[1]) == (redis.ResponseError, 3)
    result = cache.pipeline(atomic=True).incr("a").lpush("a", 1).execute().getwait(5)
    assert result.reason.startswith("command 2 of the pipeline (LPUSH): WRONGTYPE")


# Where it goes


@pytest.mark.row("WAS-RD-03")
def test_user_password_and_database(redis_address: servers.Address, cache: Any) -> None:
    where, password = redis_address.where, redis_address.password
    value(was.redis(where, "3", ("", password)).set("k", "three"))
    value(was.redis(where, dbname=4, auth=f":{password}").set("k", "four"))
    assert value(was.redis(where, dbname="3", auth=(redis_address.user, password)).get("k")) == "three"
    assert value(was.redis(f"{where}/4//{password}").get("k")) == "four"
    assert value(was.db(where, skitai.DB_REDIS, auth=("", password)).get("k")) is None
    value(cache.acl_setuser("reader", enabled=True, passwords=["+word"], keys=["*"], commands=["+get", "+select"]))
    reader = was.redis(where, "3", ("reader", "word"))
    assert value(reader.get("k")) == "three"
    assert reader.set("k", 1).getwait(5).reason.endswith("has no permissions to run the 'set' command")
    value(cache.acl_deluser("reader"))


@pytest.mark.row("WAS-RD-04", "ALIAS-05")
def test_one_and_all_members_of_a_cluster(redis_address: servers.Address, cache: Any) -> None:
    member = f"{redis_address.where}/%d/{redis_address.user}/{redis_address.password}"
    skitai.alias("@caches", skitai.DB_REDIS, [member % 5, member % 6])
    assert [result.data for result in was.redis.map("@caches").incr("n").getswait(5)] == [1, 1]
    request = was.redis.lb("@caches").incr("n")
    assert value(request) == 2
    assert sorted(was.redis.map("@caches").get("n").getswait(5).data) == ["1", "2"]
    assert sorted(was.db.map("@caches").pipeline().get("n").execute().getswait(5).data) == [["1"], ["2"]]
    assert repr(was.redis.map("@caches")) == "<was.redis.map @caches>"
    assert redis_address.password not in repr(request) + repr(pools())


@pytest.mark.row("LB-03", "LB-07")
def test_another_member_when_one_cannot_be_reached(redis_address: servers.Address, cache: Any) -> None:
    skitai.alias("@halves", skitai.DB_REDIS, [f"127.0.0.1:{servers.free_port()}", redis_address.member])
    for number in range(1, 5):
        assert value(was.redis.lb("@halves").incr("n")) == number


@pytest.mark.row("CACHE-05", "CACHE-03")
def test_results_are_kept(redis_address: servers.Address, cache: Any) -> None:
    value(cache.rpush("k", "a"))
    request = cache.lrange("k", 0, -1)
    request.getwait(5).cache(60)
    value(cache.rpush("k", "b"))
    again = cache.lrange("k", 0, -1).getwait(5)
    assert (again.data, again.is_cached) == (["a"], True)
    assert value(cache.lrange("k", 0, 5)) == ["a", "b"]
    assert value(cache.as_bytes.lrange("k", 0, -1)) == [b"a", b"b"]
    fresh = was.redis(redis_address.where, auth=redis_address.auth, use_cache=False)
    assert value(fresh.lrange("k", 0, -1)) == ["a", "b"]
    cache.pipeline().get("n").execute().getwait(5).cache(60)
    value(cache.set("n", 1))
    assert value(cache.pipeline().get("n").execute()) == [None]
    assert value(cache.pipeline().get("n").get("n").execute()) == ["1", "1"]


def test_a_callback_gets_the_result(redis_address: servers.Address, cache: Any) -> None:
    from gevent.event import AsyncResult

    came: AsyncResult[Any] = AsyncResult()
    was.redis(redis_address.where, auth=redis_address.auth, callback=came.set).incr("n")
    assert came.get(timeout=5).data == 1


def test_the_single_thread_mode(redis_address: servers.Address, in_request: Context) -> None:
    _modes.current.threads = 0
    stub = in_request.redis(redis_address.where)
    with pytest.raises(RuntimeError, match="callback"):
        stub.get("k")
    with pytest.raises(RuntimeError, match="callback"):
        stub.zadd("k", {"a": 1}, nx=True, xx=True)
    with pytest.raises(RuntimeError, match="Cannot wait"):
        stub.subscribe("news")


def test_with_tls(tmp_path: Any) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    port = servers.free_port()
    server = servers.Redis(
        "--tls-port", str(port), "--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-auth-clients", "no",
        "--tls-key-file", str(tmp_path / "key.pem"), "--tls-ca-cert-file", str(tmp_path / "ca.pem"),
    )  # fmt: skip
    try:
        member = f"127.0.0.1:{port}//default/{server.address.password}"
        skitai.alias("@safe", skitai.DB_REDIS, member, ssl=True, verify=str(tmp_path / "ca.pem"))
        binary = bytes(range(256)) * 4_000
        assert value(was.redis("@safe").set("k", binary)) is True
        assert value(was.redis("@safe").get("k")) == binary
        with was.redis("@safe").subscribe("news") as messages:
            assert value(was.redis("@safe").publish("news", "x")) == 1
            assert next(iter(messages)).data == "x"
        skitai.alias("@unknown", skitai.DB_REDIS, member, ssl=True)
        result = was.redis("@unknown").get("k").getwait(5)
        assert (result.status, result.code) == (2, 715)
        skitai.alias("@anyone", skitai.DB_REDIS, member, ssl=True, verify=False)
        assert value(was.redis("@anyone").get("k")) == binary
    finally:
        server.stop()


@pytest.mark.skipif(shutil.which("valkey-server") is None, reason="apt-get install valkey-server")
def test_valkey() -> None:
    server = servers.Redis(name="valkey-server")
    try:
        stub = was.redis(server.address.where, auth=server.address.auth)
        assert value(stub.pipeline(atomic=True).set("k", 1).incr("k").execute()) == [True, 2]
        assert stub.hello_there().getwait(5).status == 2
    finally:
        server.stop()


# The process


def test_a_child_process_leaves_the_connection_to_its_parent(cache: Any) -> None:
    first = value(cache.client_id())
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert value(cache.client_id()) == first


@pytest.fixture(autouse=True)
def no_other_settings() -> Iterator[None]:
    yield
    assert _settings.current.verify is True
