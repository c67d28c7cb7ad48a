"""``was`` as a module, and which request's ``was`` it is."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any
from unittest import mock

import gevent
import pytest
from gevent.event import Event

import skitai.was
from skitai import was
from skitai.net import logs, pool
from skitai.was import _context
from skitai.was._context import Context, activate, current, wasc
from skitai.wire import xmlrpc

from .conftest import FakeExchange


def in_task(work: Any) -> Any:
    """Run ``work`` on a worker greenlet, as a request does, and return what it returned."""
    done = Event()
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        finally:
            done.set()

    pool.spawn(run)
    assert done.wait(5)
    return found[0]


# The module


@pytest.mark.row("CONST-19")
def test_the_module_is_the_service_object() -> None:
    assert isinstance(was, ModuleType)
    assert was is skitai.was is sys.modules["skitai.was"]
    assert callable(was.get)
    from skitai.was import get

    assert repr(get) == "<was.get>"


def test_its_parts_can_be_imported_and_none_hides_a_service() -> None:
    import skitai.was._http_pool as part

    assert part.__name__ == "skitai.was._http_pool"
    assert {name for name in vars(was) if not name.startswith("_")} <= {"annotations", "sys", "ModuleType", "Any",
                                                                       "TYPE_CHECKING"}  # fmt: skip


def test_tests_of_an_app_can_patch_it() -> None:
    with mock.patch("skitai.was.get", return_value="double") as double:
        assert was.get("x") == "double"
        double.assert_called_once_with("x")
    assert repr(was.get) == "<was.get>"
    with mock.patch.object(was, "log") as double:
        was.log("x")
    double.assert_called_once_with("x")
    assert was.tojson([1]) == "[1]"


def test_it_can_be_reloaded() -> None:
    importlib.reload(skitai.was)
    assert repr(was.get) == "<was.get>"
    assert was.tojson([1]) == "[1]"


def test_names_that_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="no_such_service"):
        _ = was.no_such_service
    with pytest.raises(AttributeError):
        _ = was._no_such_part
    assert not hasattr(was, "nope")


@pytest.mark.row("UTIL-11")
def test_its_text() -> None:
    assert str(was) == "was: Skitai WSGI Appliation Service"
    assert str(Context(FakeExchange())) == str(was)


def test_importing_it_patches_nothing_and_is_light() -> None:
    script = """
import sys
from skitai import was
from gevent import monkey
assert not monkey.saved, monkey.saved
heavy = {"flask", "jinja2", "h2", "psycopg2", "redis", "pymongo", "grpc", "google", "jwt", "werkzeug"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert not [name for name in sys.modules if name.startswith(("skitai.hub", "skitai.saddle"))]
print(was.tojson({"ok": True}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ('{"ok": true}\n', 0), done.stderr


def test_it_works_in_a_process_that_is_not_patched(peers: Any) -> None:
    peer = peers.saying(b"ok")
    script = """
import sys, threading
from skitai import was
def call(): print(was.get(sys.argv[1]).getwait(5).text)
call()
thread = threading.Thread(target=call); thread.start(); thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, peer.url()], capture_output=True, text=True, check=False, timeout=15
    )
    assert (done.stdout, done.returncode) == ("ok\nok\n", 0), done.stderr


def test_a_context_is_no_part_of_a_pickle() -> None:
    assert pickle.loads(pickle.dumps(_context.NAMES)) == _context.NAMES


# Names


@pytest.mark.row("WAS-GEN-09")
def test_every_service_has_its_name() -> None:
    names = "get post put delete patch options trace head upload rpc grpc ws wss db postgresql sqlite3 redis mongodb"
    bodies = [method + kind for method in ("post", "put", "patch") for kind in ("form", "json", "xml", "nvp")]
    for name in [*names.split(), *bodies]:
        service = getattr(was, name)
        assert callable(service), name
        assert callable(service.lb), name
        assert callable(service.map), name


@pytest.mark.row("WAS-GEN-10")
def test_registered_objects_are_attributes_of_every_was(in_request: Context) -> None:
    wasc.register("database", {"a": 1})
    try:
        assert was.database == in_request.database == wasc.database == {"a": 1}
        wasc.register("database", 2)
        assert was.database == 2
    finally:
        assert wasc.unregister("database") == 2
    with pytest.raises(AttributeError, match=r"wasc\.register\('database'"):
        _ = was.database
    with pytest.raises(KeyError):
        wasc.unregister("database")


@pytest.mark.parametrize("name", ["get", "log", "txnid", "_x", "a b", "", "request", "exchange"])
def test_names_that_cannot_be_registered(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be registered"):
        wasc.register(name, 1)


# Which request


@pytest.mark.row("WAS-GEN-19")
def test_outside_any_request() -> None:
    assert current() is was.wasc is wasc
    assert (was.txnid(), wasc.log_tag) == ("", "")
    with pytest.raises(AttributeError, match=r"was\.request"):
        _ = was.request


@pytest.mark.row("TXN-07")
def test_inside_a_request() -> None:
    def request() -> Any:
        activate(Context(FakeExchange("GTID-C7-R8", 2001)))
        view = was.request
        return was.txnid(), view.gtxid, view.ltxid, view.get_gtxid(), view.get_ltxid(5), view.method

    assert in_task(request) == ("GTID-C7-R8/2001", "GTID-C7-R8", 2001, "GTID-C7-R8", 2006, "GET")
    assert current() is wasc


def test_two_requests_at_once_do_not_meet() -> None:
    both = Event()
    seen = {}
    done = Event()

    def request(name: str) -> None:
        activate(Context(FakeExchange(name)))
        if name == "b":
            both.set()
        both.wait()
        seen[name] = was.txnid()
        if len(seen) == 2:
            done.set()

    pool.spawn(request, "a")
    pool.spawn(request, "b")
    assert done.wait(5)
    assert seen == {"a": "a/1000", "b": "b/1000"}


def test_the_next_task_of_a_worker_sees_nothing_of_the_last() -> None:
    in_task(lambda: activate(Context(FakeExchange())))
    assert in_task(current) is wasc


@pytest.mark.parametrize("how", ["spawn", "spawn_later", "thread", "executor", "grandchild", "timer"])
def test_what_a_view_starts_finds_its_request(how: str) -> None:
    def view() -> str:
        activate(Context(FakeExchange("GTID-C1-R9")))
        found: list[str] = []

        def look() -> None:
            found.append(was.txnid())

        if how == "spawn":
            gevent.spawn(look).join()
        elif how == "spawn_later":
            gevent.spawn_later(0.001, look).join()
        elif how == "thread":
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        elif how == "executor":
            with ThreadPoolExecutor(2) as executor:
                executor.submit(look).result()
        elif how == "timer":
            timer = threading.Timer(0.001, look)
            timer.start()
            timer.join()
        else:
            gevent.spawn(lambda: gevent.spawn(look).join()).join()
        return found[0]

    assert in_task(view) == "GTID-C1-R9/1000"


def test_threads_of_a_view_call_services_of_its_request(peers: Any) -> None:
    peer = peers.saying(b"ok")

    def view() -> None:
        activate(Context(FakeExchange()))
        threads = [threading.Thread(target=lambda: was.get(peer.url()).getwait(5)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    in_task(view)
    assert sorted(request.header("x-ltxn-id") for request in peer.received) == ["1001", "1002", "1003"]


# Utilities


@pytest.mark.row("UTIL-02")
def test_json() -> None:
    assert was.tojson({"a": [1, None]}) == '{"a": [1, null]}'
    assert was.fromjson('{"a": "ä"}') == was.fromjson('{"a": "ä"}'.encode()) == {"a": "ä"}


@pytest.mark.row("UTIL-03", "UTIL-04")
def test_xml() -> None:
    document = was.toxml((1, None, {"a": "ä"}), usedatetime=1)
    assert was.fromxml(document) == ((1, None, {"a": "ä"}), None)
    assert was.fromxml(was.toxml([1])) == (([1],), None)
    assert was.fromxml(xmlrpc.dump_call("a.b", (5,))) == ((5,), "a.b")
    moment = was.fromxml(was.toxml((__import__("datetime").datetime(2026, 1, 2),)), 1)[0][0]
    assert (moment.year, moment.day) == (2026, 2)


@pytest.mark.row("UTIL-05", "UTIL-06")
def test_grpc_messages() -> None:
    class Message:
        value = b""

        def SerializeToString(self) -> bytes:
            return self.value

        def ParseFromString(self, data: bytes) -> int:
            self.value = data
            return len(data)

    message = Message()
    assert was.fromgrpc(message, b"abc") is message
    assert was.togrpc(message) == b"abc"


@pytest.mark.row("TXN-06")
def test_log_lines_carry_the_transaction(capfd: pytest.CaptureFixture[str], in_request: Context) -> None:
    was.log("outside")
    in_request.log("inside", "warn")
    try:
        raise ZeroDivisionError("caught")
    except ZeroDivisionError:
        in_request.traceback()
        in_request.traceback("mine")
        in_request.traceback(id="other")
    logs.current().flush()
    lines = capfd.readouterr().out
    assert "[info] outside" in lines
    assert "[warn:GTID-C1-R1/1000] inside" in lines
    assert lines.count("caught") == 3
    assert "mine" in lines
    assert "other" in lines


def test_single_thread_mode_is_told() -> None:
    wasc.numthreads = 8
    assert (wasc.numthreads, wasc.single_threaded) == (8, False)
    wasc.numthreads = 0
    assert wasc.single_threaded


def test_settings_of_the_process() -> None:
    from skitai.was import _settings

    wasc.configure(idle_time=3, verify=False)
    assert (_settings.current.idle_time, _settings.current.verify) == (3, False)
    with pytest.raises(TypeError, match="no_such"):
        wasc.configure(no_such=1)
