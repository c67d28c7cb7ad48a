"""What is left of a request that has ended: nothing, also where the garbage collector has not run yet."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from skitai.saddle import Saddle
from skitai.saddle.request import Request
from skitai.saddle.testing import Client


def ended_at_once(was: Any) -> Any:
    proxy = was.aresponse(print)
    proxy.done("x")
    return proxy


USES: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda was: "x",
    "body": lambda was: str(len(was.request.body)),
    "arguments": lambda was: str(len(was.request.args)),
    "headers": lambda was: was.request.headers["host"],
    "response": lambda was: was.response("200 OK", "x", [("X-A", "b")]),
    "cookie": lambda was: was.cookie.set("a", "b") or "x",
    "session": lambda was: was.session.set("a", "b") or "x",
    "named session": lambda was: was.session.mount("ADM").set("a", "b") or "x",
    "mbox": lambda was: was.mbox.send("a") or "x",
    "env": lambda was: was.env["REQUEST_METHOD"],
    "g": lambda was: setattr(was.g, "was", 1) or "x",
    "stream": lambda was: (each for each in ("x", was.request.method)),
    "async response": lambda was: ended_at_once(was),
    "file": lambda was: was.fstream(__file__),
    "failure": lambda was: 1 // 0,
    "refusal": lambda was: was.request.json(),
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("use", USES)
def test_nothing_waits_for_the_garbage_collector(
    app: Saddle, visit: Callable[..., Client], no_collector: None, use: str
) -> None:
    # The body of a request would wait with it: a few hundred of them fill the memory before anything is collected.
    app.securekey = "a key"
    ended: list[weakref.ref[Any]] = []

    @app.route("/", methods=["POST"])
    def function(was, **form):
        ended.append(weakref.ref(was))
        return USES[use](was)

    client = visit(app)
    # The sealed cookie is none, which is told in the log.
    client.post("/", b"{", headers={"Content-Type": "application/json", "Cookie": "SESS_=AQ; MBOX_=AQ"})
    assert [each() for each in ended] == [None]


FORM = "multipart/form-data; boundary=b"
FILE = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'

BODIES = {
    "truncated form": (FORM, FILE + b"x"),
    "malformed form": (FORM, b"--b\r\nContent-Disposition: nothing\r\n\r\nx\r\n--b--\r\n"),
    "large file": (FORM, FILE + b"x" * 2000 + b"\r\n--b--\r\n"),
    "no boundary": ("multipart/form-data", FILE),
    "bad encoding": ("application/x-www-form-urlencoded", b"a=%zz"),
    "bad UTF-8": ("application/x-www-form-urlencoded", b"a=\xff"),
    "unknown argument": ("application/x-www-form-urlencoded", b"b=1"),
    "XML-RPC": ("text/xml", b"<methodCall><methodName>" + b"x" * 100),
    "unknown method": ("text/xml", b"<methodCall><methodName>x</methodName></methodCall>"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_neither_does_what_was_refused(
    app: Saddle, visit: Callable[..., Client], no_collector: None, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    app.config.max_upload_file_size = 1000
    made: list[weakref.ref[Any]] = []
    make = Request.__init__

    def note(request: Request, was: Any) -> None:
        made.append(weakref.ref(request))
        make(request, was)

    monkeypatch.setattr(Request, "__init__", note)
    app.route("/", methods=["POST"])(lambda was, a: "x")
    content_type, body = BODIES[kind]
    assert visit(app).post("/", body, headers={"Content-Type": content_type}).status in (200, 400, 413)
    assert made and [each() for each in made] == [None]
