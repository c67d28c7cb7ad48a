"""Routed functions as XML-RPC methods. Peers: the standard library's client in a process of its own, and was.rpc."""

from __future__ import annotations

import json
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Any, Literal

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from skitai.saddle import Saddle, Saddlery
from skitai.saddle.testing import Answer, Client
from skitai.was._context import wasc

XML = {"Content-Type": "text/xml"}


def call(client: Client, method: str, *params: Any, path: str | None = None, **options: Any) -> Any:
    """What a method returns; a fault is raised."""
    answer = post(client, xmlrpc.client.dumps(params, method, allow_none=True), path, **options)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/xml"
    return value_of(answer)


def post(client: Client, document: str | bytes, path: str | None = None, **options: Any) -> Answer:
    headers = {**XML, **options.pop("headers", {})}
    return client.post(path or client.point or "/", document, headers=headers, **options)


def value_of(answer: Answer) -> Any:
    (value,), _ = xmlrpc.client.loads(answer.content, use_builtin_types=True)
    return value


def fault(client: Client, method: str, *params: Any) -> xmlrpc.client.Fault:
    with pytest.raises(xmlrpc.client.Fault) as raised:
        call(client, method, *params)
    return raised.value


def in_process(code: str, *arguments: object) -> Any:
    """Run a script in a process of its own; return what it printed as JSON."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def adding(app: Saddle) -> Saddle:
    """The server of the documents."""

    @app.route("/add")
    def index(was, num1, num2):
        return num1 + num2

    return app


# Methods

# The client of version 0.15's document, its address given and its result printed.
CLIENT = """
import sys, xmlrpc.client as rpc

s = rpc.Server ("http://127.0.0.1:%s/rpc" % sys.argv[1]) # RPC App mount point
result = s.add (10000, 5000)
print(result)
"""


@pytest.mark.row("SAD-XMLRPC-01", "SAD-XMLRPC-02", "SAD-XMLRPC-03")
def test_the_sample_of_the_documents(adding: Saddle, run: Callable[..., Any]) -> None:
    assert in_process(CLIENT, run({"/rpc": adding}).port) == 15000


@pytest.mark.row("SAD-XMLRPC-02")
@pytest.mark.parametrize("target", ["/rpc", "/rpc/", "/rpc/RPC2"])
def test_where_a_client_may_send_it(adding: Saddle, visit: Callable[..., Client], target: str) -> None:
    client = visit(adding, "/rpc")
    assert call(client, "add", 2, 3, path=target) == 5


def test_at_the_root_a_client_that_names_no_path_asks_for_rpc2(adding: Saddle, run: Callable[..., Any]) -> None:
    code = CLIENT.replace("%s/rpc", "%s")
    assert in_process(code, run({"/": adding}).port) == 15000


def test_the_client_of_was(adding: Saddle, run: Callable[..., Any]) -> None:
    stub = wasc.rpc(f"http://127.0.0.1:{run({'/rpc': adding}).port}/rpc")
    assert stub.add(10000, 5000).getwait(5).data == 15000
    assert stub.add("a", "b").getwait(5).data == "ab"
    with pytest.raises(xmlrpc.client.Fault):
        _ = stub.subtract(1, 2).getwait(5).data


@pytest.mark.row("SAD-XMLRPC-01")
@pytest.mark.parametrize(
    "content_type", ["text/xml", "application/xml", "application/xml+rpc", "Text/XML; charset=utf-8"]
)
def test_content_types(adding: Saddle, visit: Callable[..., Client], content_type: str) -> None:
    assert call(visit(adding), "add", 2, 3, headers={"Content-Type": content_type}) == 5


@pytest.mark.row("SAD-XMLRPC-01")
def test_dots_are_slashes(app: Saddle, visit: Callable[..., Client]) -> None:
    part = Saddlery()

    @app.route("/books/count")
    def count(was, shelf="all"):
        return [shelf, was.ab("count")]

    @part.route("/list/")
    def listed(was):
        return was.subapp is part

    @part.route("/<int:number>/title")
    def title(was, number, language):
        return [number, language]

    app.mount("/store", part)
    client = visit(app, "/rpc")
    assert call(client, "books.count") == ["all", "/rpc/books/count"]
    assert call(client, "books.count", "A") == ["A", "/rpc/books/count"]
    assert call(client, "store.list") is True
    assert call(client, "store.7.title", "de") == [7, "de"]


@pytest.mark.row("SAD-XMLRPC-03")
def test_the_name_of_a_function_is_no_method(adding: Saddle, visit: Callable[..., Client]) -> None:
    client = visit(adding)
    assert call(client, "add", 1, 2) == 3
    assert fault(client, "index", 1, 2).faultCode == 1


def test_a_route_that_takes_no_post_is_no_method(app: Saddle) -> None:
    @app.route("/read", methods=["GET"])
    def read(was):
        return "read"

    assert fault(app.test_client(), "read").faultString == "Error Occured"


@pytest.mark.row("SAD-PKG-04", "SAD-PKG-09")
def test_parts_in_parts_and_apps_beside_each_other(run: Callable[..., Any]) -> None:
    outer, inner, first, second = Saddlery(), Saddlery(), Saddle(__name__), Saddle(__name__)

    @inner.route("/who")
    def who(was):
        return was.app.packagename

    module = ModuleType("inner")
    module.part = inner  # type: ignore[attr-defined]
    outer.mount("/inner", module, "part")
    first.mount("/outer", outer)
    first.packagename = "first"

    @second.route("/who")
    def who2(was):
        return "second"

    port = run({"/one": first, "/two": second}).port
    one, two = (wasc.rpc(f"http://127.0.0.1:{port}/{point}") for point in ("one", "two"))
    assert one.outer.inner.who().getwait(5).data == "first"
    assert two.who().getwait(5).data == "second"


# Values

PLAIN = st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32))) + "\ufffe\uffff")
)
VALUES = st.recursive(
    PLAIN | TEXT | st.sampled_from(["\t", "\r\n", "\r", "a\n", "<&>", "]]>", ""]) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.row("SAD-XMLRPC-01", "SAD-XMLRPC-06")
@given(st.lists(VALUES, max_size=4))
def test_values_come_back_as_they_were(values: list[Any]) -> None:
    app = Saddle(__name__)

    @app.route("/echo")
    def echo(was, a=None, b=None, c=None, d=None):
        return [a, b, c, d]

    document = xmlrpc.client.dumps(tuple(values), "echo", allow_none=True).replace("\r", "&#13;")
    answer = post(app.test_client(), document.encode())
    assert value_of(answer) == values + [None] * (4 - len(values))


@pytest.mark.row("SAD-RESP-13")
@pytest.mark.parametrize("value", [15000, 1.5, True, {"a": [1, "b"]}, [], b"\0", datetime(2026, 1, 2)])
def test_what_is_no_page_may_be_the_value_of_a_call(
    app: Saddle, visit: Callable[..., Client], value: Any, written: Any
) -> None:
    app.route("/value")(lambda was: value)
    client = visit(app)
    assert call(client, "value") == value
    if not isinstance(value, (bytes, list)):
        assert client.get("/value").status == 500
        assert f"a function returned {type(value).__name__}" in written.app


@pytest.mark.row("SAD-XMLRPC-06")
def test_none(app: Saddle, run: Callable[..., Any]) -> None:
    @app.route("/is-none")
    def is_none(was, value):
        return [value is None, None]

    @app.route("/nothing")
    def nothing(was):
        return None

    code = """
import sys, json, xmlrpc.client
with xmlrpc.client.ServerProxy("http://127.0.0.1:" + sys.argv[1], allow_none=True) as proxy:
    print(json.dumps([getattr(proxy, "is-none")(None), proxy.nothing()]))
"""
    assert in_process(code, run({"/": app}).port) == [[True, None], None]


def test_bytes_and_times(app: Saddle) -> None:
    @app.route("/kinds")
    def kinds(was, data: bytes, when: datetime):
        return [type(data).__name__, type(when).__name__, data[::-1], when.replace(year=2000)]

    moment = datetime(2026, 11, 21, 9, 30)
    found = call(app.test_client(), "kinds", b"\0\xff", moment)
    assert found == ["bytes", "datetime", b"\xff\0", datetime(2000, 11, 21, 9, 30)]


def test_arguments_are_converted_as_annotated(app: Saddle) -> None:
    @app.route("/typed")
    def typed(was, number: int, names: list[str], on: bool = False):
        return [number, names, on]

    client = app.test_client()
    assert call(client, "typed", "7", ["a", "b"], True) == [7, ["a", "b"], True]
    assert fault(client, "typed", "x", []).faultString == "Error Occured: argument 'number' is not a whole number"


def test_a_large_answer_is_encoded_for_those_who_take_it(app: Saddle, run: Callable[..., Any]) -> None:
    @app.route("/many")
    def many(was, count):
        return ["x"] * count

    code = """
import sys, xmlrpc.client
print(len(xmlrpc.client.ServerProxy("http://127.0.0.1:" + sys.argv[1]).many(5000)))
"""
    assert in_process(code, run({"/": app}).port) == 5000
    answer = post(app.test_client(), xmlrpc.client.dumps((5000,), "many"), headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"


# Faults


@pytest.mark.row("SAD-XMLRPC-04")
def test_faults(app: Saddle, written: Any, visit: Callable[..., Client]) -> None:
    @app.route("/fail")
    def fail(was):
        raise ZeroDivisionError("secret")

    client = visit(app)
    for method in ("fail", "unknown", "a..b", "../fail", "fail/", "%66ail", "ä", " fail"):
        found = fault(client, method)
        assert (found.faultCode, found.faultString) == (1, "Error Occured"), method
    assert "<class 'ZeroDivisionError'> secret" in written.app
    assert "XML-RPC method 'unknown'" in written.app


@pytest.mark.row("SAD-XMLRPC-04")
def test_faults_in_debug_mode_have_the_traceback(app: Saddle) -> None:
    @app.route("/fail")
    def fail(was):
        raise ZeroDivisionError("no \0 secret")

    app.debug = True
    client = app.test_client()
    found = fault(client, "fail")
    assert found.faultCode == 1
    assert "Traceback (most recent call last)" in found.faultString
    assert "ZeroDivisionError: no \ufffd secret" in found.faultString
    assert "Traceback" in fault(client, "unknown").faultString


def test_wrong_arguments_are_named(adding: Saddle) -> None:
    client = adding.test_client()
    assert fault(client, "add", 1).faultString == "Error Occured: argument 'num2' is missing"
    assert fault(client, "add", 1, 2, 3).faultString == "Error Occured: argument 'number 3' is one too many"


def test_a_method_may_raise_a_fault_of_its_own(app: Saddle, written: Any) -> None:
    @app.route("/full")
    def full(was):
        raise xmlrpc.client.Fault(507, "the shelf is full")

    found = fault(app.test_client(), "full")
    assert (found.faultCode, found.faultString) == (507, "the shelf is full")
    assert "[expt:" not in written.app


class Secretive:
    __slots__ = ()


@pytest.mark.parametrize("value", [Secretive(), {1: "x"}, 2**40, "\0", iter("ab"), {"a"}, ["\ud800"]])
def test_what_cannot_be_marshalled_is_a_fault(app: Saddle, written: Any, value: Any) -> None:
    @app.route("/value")
    def give(was):
        return value

    client = app.test_client()
    assert fault(client, "value").faultString == "Error Occured"
    assert "[expt:" in written.app


def test_streams_are_no_values(app: Saddle, written: Any) -> None:
    closed = []

    @app.route("/stream")
    def stream(was):
        proxy = was.aresponse(lambda response, proxy: None)
        proxy.on_close(lambda: closed.append(True))
        return proxy

    assert fault(app.test_client(), "stream").faultString == "Error Occured"
    assert closed == [True]


# Several calls at once


@pytest.mark.row("SAD-XMLRPC-05")
def test_multicall(app: Saddle, written: Any, run: Callable[..., Any]) -> None:
    @app.route("/divide")
    def divide(was, a, b):
        return a // b

    @app.route("/bad")
    def bad(was):
        return "\0"

    code = """
import sys, json, xmlrpc.client
proxy = xmlrpc.client.ServerProxy("http://127.0.0.1:" + sys.argv[1])
calls = xmlrpc.client.MultiCall(proxy)
calls.divide(6, 3); calls.divide(1, 0); calls.unknown(); calls.bad(); calls.divide(9, 3)
results, found = calls(), []
for number in range(5):
    try:
        found.append(results[number])
    except xmlrpc.client.Fault as fault:
        found.append([fault.faultCode, fault.faultString])
print(json.dumps(found))
"""
    failed = [1, "Error Occured"]
    assert in_process(code, run({"/": app}).port) == [2, failed, failed, failed, 3]
    assert "ZeroDivisionError" in written.app


@pytest.mark.row("SAD-XMLRPC-05")
@pytest.mark.parametrize(
    "inner",
    [
        {"methodName": "system.multicall", "params": [[]]},
        {"methodName": "add"},
        {"params": [1, 2]},
        {"methodName": ["add"], "params": []},
        {"methodName": "add", "params": {"num1": 1}},
        "add",
        None,
        7,
    ],
)
def test_calls_that_are_none(adding: Saddle, inner: Any) -> None:
    good = {"methodName": "add", "params": [1, 2]}
    first, second = call(adding.test_client(), "system.multicall", [inner, good])
    assert first["faultCode"] == 1
    assert first["faultString"].startswith("Error Occured")
    assert second == [3]


@pytest.mark.parametrize("params", [(), (1,), ({},), ([], [])])
def test_a_multicall_takes_one_list(adding: Saddle, params: tuple[Any, ...]) -> None:
    assert "takes one list of calls" in fault(adding.test_client(), "system.multicall", *params).faultString


def test_calls_of_a_multicall_do_not_share_the_status(app: Saddle) -> None:
    @app.route("/away")
    def away(was):
        was.response["X-Away"] = "yes"
        return was.response("403 Forbidden", "go away")

    @app.route("/hello")
    def hello(was):
        was.cookie.set("seen", "yes")
        return "hello"

    calls = [{"methodName": name, "params": []} for name in ("away", "hello")]
    answer = post(app.test_client(), xmlrpc.client.dumps((calls,), "system.multicall"))
    assert answer.status == 200
    assert "X-Away" not in answer.headers
    assert "seen=yes" in answer.headers["Set-Cookie"]
    first, second = value_of(answer)
    assert first["faultString"] == "Error Occured: 403 Forbidden"
    assert second == ["hello"]


# Around a call


@pytest.mark.row("SAD-XMLRPC-07")
def test_hooks_run_around_calls(app: Saddle, visit: Callable[..., Client]) -> None:
    events: list[str] = []

    @app.before_request
    def before(was):
        events.append("before")

    @app.finish_request
    def finish(was):
        events.append("finish")

    @app.failed_request
    def failed(was, exc_info):
        events.append(f"failed {exc_info[0].__name__}")

    @app.teardown_request
    def teardown(was):
        events.append("teardown")

    @app.route("/divide")
    def divide(was, a, b):
        events.append(f"divide {was.request.args.a}/{was.request.args.b}")
        return a // b

    client = visit(app)
    assert call(client, "divide", 6, 3) == 2
    assert events == ["before", "divide 6/3", "finish", "teardown"]
    events.clear()
    fault(client, "divide", 6, 0)
    assert events == ["before", "divide 6/0", "failed ZeroDivisionError", "teardown"]
    events.clear()
    calls = [{"methodName": "divide", "params": params} for params in ([1, 1], [1, 0])]
    call(client, "system.multicall", calls)
    assert events == [
        "before", "divide 1/1", "finish", "teardown", "before", "divide 1/0", "failed ZeroDivisionError", "teardown"
    ]  # fmt: skip


def test_what_a_hook_answers_is_the_value(app: Saddle) -> None:
    @app.failed_request
    def failed(was, exc_info):
        return {"failed": str(exc_info[1])}

    @app.route("/fail")
    def fail(was):
        raise KeyError("x")

    assert call(app.test_client(), "fail") == {"failed": "'x'"}


def test_a_login_is_asked_for_as_of_a_page(app: Saddle, run: Callable[..., Any]) -> None:
    app.authorization = "basic"
    app.users = {"hans": "secret"}
    app.realm = "books"

    @app.route("/count", authenticate=True)
    def count(was, shelf="A"):
        return was.request.user.name

    # Whoever has not logged in does not learn what the function takes.
    assert post(app.test_client(), xmlrpc.client.dumps((1, 2, 3), "count")).status == 401

    code = """
import sys, json, xmlrpc.client
found = []
for user in ("", "hans:secret@", "hans:wrong@"):
    try:
        found.append(xmlrpc.client.ServerProxy(f"http://{user}127.0.0.1:" + sys.argv[1]).count())
    except xmlrpc.client.ProtocolError as error:
        found.append([error.errcode, error.headers["WWW-Authenticate"]])
print(json.dumps(found))
"""
    first, second, third = in_process(code, run({"/": app}).port)
    assert second == "hans"
    assert first[0] == third[0] == 401
    assert "books" in first[1]


def test_cookies_of_calls_that_succeed_only(app: Saddle) -> None:
    @app.route("/set")
    def set_cookie(was, fails):
        was.cookie.set("name", "value")
        if fails:
            raise ValueError("too late")
        return True

    client = app.test_client()
    fault(client, "set", True)
    assert [cookie.name for cookie in client.cookies] == []
    call(client, "set", False)
    assert [cookie.name for cookie in client.cookies] == ["name"]


# Other requests with XML


def test_a_route_that_names_the_type_gets_the_document(app: Saddle, visit: Callable[..., Client]) -> None:
    @app.route("/hello", methods=["POST"], content_types=["text/xml"])
    def hello(was):
        return was.request.body

    @app.route("/other")
    def other(was):
        return "other"

    client = visit(app)
    assert post(client, "<hello/>", "/hello").content == b"<hello/>"
    assert value_of(post(client, xmlrpc.client.dumps((), "other"), "/other")) == "other"
    document = xmlrpc.client.dumps((), "hello")
    assert value_of(post(client, document)) == document.encode()  # as a method it is still there


def test_other_methods_than_post_are_no_calls(app: Saddle) -> None:
    @app.route("/", methods=["GET", "PUT"])
    def index(was):
        return was.request.body or "nothing"

    client = app.test_client()
    assert client.put("/", "<a/>", headers=XML).content == b"<a/>"
    assert client.get("/", headers=XML).content == b"nothing"


# Hostile documents

CALL = "<methodCall><methodName>add</methodName><params>%s</params></methodCall>"
LAUGHS = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>' + CALL % "<param/>"
FILE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + (
    CALL % "<param><value>&e;</value></param><param><value>b</value></param>"
)
HOSTILE = {
    "text": "hello",
    "cut": xmlrpc.client.dumps((1, 2), "add")[:-20],
    "other document": "<html><body/></html>",
    "no method": "<methodCall><params></params></methodCall>",
    "empty method": "<methodCall><methodName></methodName></methodCall>",
    "response": xmlrpc.client.dumps((1,), methodresponse=True),
    "fault": xmlrpc.client.dumps(xmlrpc.client.Fault(1, "x")),
    "entities": LAUGHS,
    "file": FILE,
    "not a number": CALL % "<param><value><int>x</int></value></param>",
    "digits": CALL % f"<param><value><int>{'9' * 100_000}</int></value></param>",
    "not base64": CALL % "<param><value><base64>\xff</base64></value></param>",
    "wrong order": "<methodCall></value></methodCall>",
    "NUL": CALL % "<param><value>\0</value></param>",
    "bytes": b"\xff\xfe\x00<",
    "bad utf-8": b"<methodCall><methodName>\xff</methodName></methodCall>",
    "unknown encoding": b'<?xml version="1.0" encoding="x-none"?><methodCall/>',
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_hostile_documents(adding: Saddle, written: Any, document: str | bytes) -> None:
    client = adding.test_client()
    answer = post(client, document)
    assert answer.status == 400
    assert b"Traceback" not in answer.content
    assert "the XML-RPC document names no method" in written.app or "no XML-RPC call" in written.app
    assert call(client, "add", 1, 2) == 3


def test_deep_values(app: Saddle, written: Any) -> None:
    @app.route("/echo")
    def echo(was, value):
        return value

    deep = "<value><array><data>" * 50_000 + "</data></array></value>" * 50_000
    client = app.test_client()
    answer = post(client, (CALL % f"<param>{deep}</param>").replace("add", "echo"))
    assert answer.status in (200, 400)
    if answer.status == 200:
        with pytest.raises(xmlrpc.client.Fault, match="Error Occured"):
            value_of(answer)
    assert call(client, "echo", 1) == 1


def test_a_document_that_is_too_large(adding: Saddle, visit: Callable[..., Client]) -> None:
    adding.config.max_post_body_size = 1_000
    client = visit(adding)
    assert post(client, xmlrpc.client.dumps(("x" * 2_000, "y"), "add")).status == 413
    assert call(client, "add", 1, 2) == 3


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (CALL % text).encode("utf-8", "replace")))
def test_whatever_is_posted_gets_an_answer(document: bytes) -> None:
    app = Saddle(__name__)

    @app.route("/add")
    def add(was, num1=1, num2=2):
        return num1 + num2

    answer = post(app.test_client(), document or b"x")
    assert answer.status in (200, 400)
    assert b"Traceback" not in answer.content


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (Literal["a"], {}, "is not one of a"),
        (Literal["a"], [], "is given more than once"),
        (list[Literal["a"]], [[]], "is not one of a"),
        (Colour, {}, "is not one of red"),
        (Colour, 1, "is not one of red"),
        (int, 1.5, "is not a whole number"),
        (int, float("inf"), "is not a whole number"),
        (int, float("nan"), "is not a whole number"),
        (float, {}, "is not a number"),
        (Decimal, {}, "is not a decimal number"),
    ],
)
def test_values_that_no_text_has(app: Saddle, written: Any, annotation: Any, value: Any, reason: str) -> None:
    def function(was, a):
        raise AssertionError("never called")

    function.__annotations__["a"] = annotation
    app.route("/f")(function)
    assert fault(app.test_client(), "f", value).faultString == f"Error Occured: argument 'a' {reason}"
    assert "expt" not in written.app


def test_an_int_that_no_float_can_be(app: Saddle) -> None:
    @app.route("/f")
    def function(was, a: float):
        raise AssertionError("never called")

    number = f"<value><int>{'1' * 400}</int></value>"
    document = f"<methodCall><methodName>f</methodName><params><param>{number}</param></params></methodCall>"
    with pytest.raises(xmlrpc.client.Fault, match="is not a number"):
        value_of(post(app.test_client(), document))


def test_a_multicall_has_so_many_calls(adding: Saddle) -> None:
    client = adding.test_client()
    calls = [{"methodName": "add", "params": [1, 2]}] * 1000
    assert call(client, "system.multicall", calls) == [[3]] * 1000
    assert "takes 1000 calls" in fault(client, "system.multicall", [*calls, calls[0]]).faultString
    adding.config.max_multicall = 2000
    assert len(call(client, "system.multicall", [*calls, calls[0]])) == 1001


def test_a_huge_name_does_not_fill_the_log(adding: Saddle, written: Any) -> None:
    client, name = adding.test_client(), "x" * 100_000
    assert post(client, xmlrpc.client.dumps((), name)).status == 400
    (answer,) = call(client, "system.multicall", [{"methodName": name, "params": []}])
    assert answer["faultString"] == "Error Occured: a call has a methodName and params"
    assert len(written.app) < 1000


def test_a_multicall_says_once_who_may_ask(adding: Saddle) -> None:
    adding.access_control_allow_origin = ["https://there.example"]
    calls = [{"methodName": "add", "params": [1, 2]}] * 3
    document = xmlrpc.client.dumps((calls,), "system.multicall")
    answer = post(adding.test_client(), document, headers={"Origin": "https://there.example"})
    assert value_of(answer) == [[3]] * 3
    assert [value for name, value in answer.fields if name == "Access-Control-Allow-Origin"] == [
        "https://there.example"
    ]


def test_one_login_is_for_all_calls_of_a_multicall(adding: Saddle, run: Callable[..., Any]) -> None:
    adding.authorization, adding.realm, adding.users, adding.authenticate = "digest", "R", {"hans": "secret"}, True
    calls = [{"methodName": "add", "params": [1, 2]}] * 3
    document = xmlrpc.client.dumps((calls,), "system.multicall")
    url = f"http://127.0.0.1:{run({'': adding}).port}/"
    with requests.Session() as session:
        session.auth, session.headers = requests.auth.HTTPDigestAuth("hans", "secret"), XML
        session.post(
            url, xmlrpc.client.dumps((1, 2), "add"), timeout=10
        )  # gets the challenge, which a multicall has not
        answer = session.post(url, document, timeout=10)
    assert xmlrpc.client.loads(answer.content)[0] == ([[3]] * 3,)
