"""``threads=N``: how many app calls run at one time, in what order others wait, and what does not count."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai.hub.site import Site


class Gate:
    """An app whose calls wait until each is let go."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.order: list[str] = []
        self.most = 0
        self._gates: dict[str, Event] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        name = environ["PATH_INFO"]
        self.running.append(name)
        self.order.append(name)
        self.most = max(self.most, len(self.running))
        self._gate(name).wait()
        self.running.remove(name)
        start_response("200 OK", [])
        return [name.encode()]

    def let_go(self, name: str) -> None:
        self._gate(name).set()

    def _gate(self, name: str) -> Event:
        return self._gates.setdefault(name, Event())


def get(server: Any, target: str) -> Any:
    return server.connect().send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")


def run_all(serve: Any, until: Any, threads: int, slots: int) -> None:
    gate = Gate()
    server = serve(gate, threads=threads)
    names = [f"/{number:02}" for number in range(2 * slots + 5)]
    clients = []
    for name in names:
        clients.append(get(server, name))
        until(lambda: server.server.slots.busy + server.server.slots.waiting == len(clients))
    assert gate.running == names[:slots]
    assert server.server.slots.waiting == len(names) - slots
    for done, name in enumerate(names):
        gate.let_go(name)
        assert clients[done].read().body == name.encode()
        until(lambda done=done: gate.order == names[: done + 1 + slots])  # first in, first out
    assert gate.most == slots


@pytest.mark.row("RUN-04")
def test_four_at_one_time_the_others_in_order(serve, until):
    run_all(serve, until, 4, 4)


@pytest.mark.row("RUN-05")
@pytest.mark.parametrize("threads", [1, 8])
def test_another_number(serve, until, threads):
    run_all(serve, until, threads, threads)


def test_threads_0_is_one_at_a_time(serve, until):
    run_all(serve, until, 0, 1)


@pytest.mark.row("RUN-04")
def test_static_files_and_pages_of_the_server_need_no_slot(serve, until, mounted, tmp_path):
    (tmp_path / "a.txt").write_text("static")
    gate = Gate()
    site = Site()
    site.mount_app("/app", mounted(gate))
    site.mount_directory("/", str(tmp_path))
    server = serve(site=site, threads=1)
    waiting = get(server, "/app/")
    until(lambda: gate.running)
    assert server.get("/a.txt").body == b"static"
    assert server.get("/nothing").status == 404
    gate.let_go("/")
    assert waiting.read().status == 200


def test_a_streamed_body_holds_no_slot(serve):
    go = Event()

    def app(environ, start_response):
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/stream":
            return parts()
        return [b"hello"]

    def parts() -> Any:
        yield b"begin"
        go.wait()
        yield b"end"

    server = serve(app, threads=1)
    streams = [get(server, "/stream") for _ in range(3)]
    for each in streams:
        each.read_head()
    assert server.get().body == b"hello"
    go.set()
    for each in streams:
        assert each.read_exactly(10 + 8 + 5) == b"5\r\nbegin\r\n3\r\nend\r\n0\r\n\r\n"


def test_an_exception_gives_its_slot_back(serve):
    def app(environ, start_response):
        raise SystemExit

    server = serve(app, threads=1)
    client = server.connect()
    for _ in range(3):
        assert client.request().status == 500
    assert server.server.slots.busy == 0


def test_a_client_that_is_gone_gives_its_slot_back(serve, until):
    gate = Gate()
    server = serve(gate, threads=1)
    client = get(server, "/a")
    until(lambda: gate.running)
    client.reset()
    until(lambda: server.server.connections == 0)
    assert server.server.slots.busy == 1  # nothing is killed
    gate.let_go("/a")
    until(lambda: server.server.slots.busy == 0)


def test_greenlets_of_a_view_belong_to_its_request(serve):
    from skitai import was

    def app(environ, start_response):
        number = environ["skitai.was"].exchange.number
        seen = []
        gevent.joinall([gevent.spawn(lambda: seen.append(was.request is not None and current_number()))])
        start_response("200 OK", [])
        return [str(seen == [number]).encode()]

    def current_number() -> int:
        from skitai.was._context import current

        return current().exchange.number

    client = serve(app).connect()
    assert [client.request().body for _ in range(3)] == [b"True"] * 3
