"""``was`` where no request is served: start hooks, their callbacks, and the greenlets and threads that they start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from skitai import was
from skitai.saddle import Saddle
from skitai.was import _engine

#: What belongs to a request.
OF_A_REQUEST = ("request", "env", "session", "mbox", "cookie", "response", "g", "app")


@pytest.fixture
def url(run: Callable[..., Any]) -> Iterator[str]:
    """Of a service."""
    app = Saddle("service")

    @app.route("/<name>")
    def answer(was, name):
        return name

    yield f"http://127.0.0.1:{run({'/': app}).port}"
    _engine.current().close()


def look(found: dict[str, Any], name: str, here: Any, url: str) -> None:
    """Note what works here."""
    missing = []
    for each in OF_A_REQUEST:
        try:
            getattr(here, each)
        except AttributeError:
            missing.append(each)
    found[name] = here.get(f"{url}/{name}").getwait(5).text, tuple(missing)


@pytest.mark.row("WAS-GEN-19")
def test_where_an_app_starts(app: Saddle, url: str, run: Callable[..., Any], written: Any) -> None:
    found: dict[str, Any] = {}

    @app.startup
    def startup(wasc):
        look(found, "startup", wasc, url)
        look(found, "module", was, url)
        greenlet = gevent.spawn(look, found, "greenlet", was, url)
        thread = threading.Thread(target=look, args=(found, "thread", was, url))
        thread.start()
        thread.join()
        greenlet.join()
        called = gevent.event.Event()

        def callback(result):
            look(found, "callback", was, url)
            called.set()

        wasc.get(f"{url}/x", callback=callback)
        called.wait(5)

    @app.route("/")
    def index(was):
        return "index"

    running = run({"/": app})
    assert running.request("GET", "/", [("Host", "a")]).content == b"index"
    assert found == {name: (name, OF_A_REQUEST) for name in ("startup", "module", "greenlet", "thread", "callback")}, (
        written.app
    )


def test_what_checks_logins_may_call_services(app: Saddle, url: str, run: Callable[..., Any]) -> None:
    class Users:
        """Accounts that another service knows."""

        def get(self, name: str) -> str:
            return was.get(f"{url}/secret-of-{name}").getwait(5).text

    app.authorization, app.realm, app.users, app.authenticate = "basic", "realm", Users(), True

    @app.route("/")
    def index(was):
        return was.request.user.name

    client = app.test_client()
    assert client.get("/", auth=("hans", "secret-of-hans")).text == "hans"
    assert client.get("/", auth=("hans", "secret-of-otto")).status == 401
