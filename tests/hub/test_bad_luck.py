"""A supervisor that is killed, and reloads under load, over real processes and real signals."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM, SIGUSR1

import gevent
import gevent.event
import pytest

from tests.scripts import PATIENCE, Script, Workplace, await_end, children, is_alive
from tests.servers import free_port

#: Its app says how often the loop turned while a request was held, and how many bytes it was sent.
SERVER = """
import os, gevent

def app(env, start_response):
    turns = 0
    def count():
        nonlocal turns
        turns += 1
    watcher = gevent.get_hub().loop.prepare()
    watcher.start(count)
    if env["PATH_INFO"] == "/hold":
        open("held", "w").close()
        while not os.path.exists("gate"):
            gevent.sleep(0.05)
    size = len(env["wsgi.input"].read())
    watcher.stop()
    watcher.close()
    start_response("200 OK", [])
    return [f"{{size}} {{turns}} {{os.getpid()}}".encode()]

if __name__ == "__main__":
    import skitai
    skitai.mount("/", app)
    skitai.run(port=0{more})
"""


def read(sock: socket.socket) -> list[int]:
    """The numbers of an answer behind which the connection is closed."""
    with sock, sock.makefile("rb") as file:
        return [int(each) for each in file.read().rpartition(b"\r\n\r\n")[2].split()]


def await_file(path: Path) -> None:
    with gevent.Timeout(PATIENCE, TimeoutError(f"no {path}")):
        while not path.exists():
            gevent.sleep(0.01)


def await_closed(port: int) -> None:
    """Wait until nobody listens any more."""
    with gevent.Timeout(PATIENCE, TimeoutError(f"port {port} still listens")):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
            except ConnectionError:
                return
            gevent.sleep(0.01)


def await_ready(script: Script, workers: int) -> None:
    for index in range(1, workers + 1):
        script.line(rf"\(worker {index}\) started")


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_finish_what_they_do_when_their_supervisor_is_killed(workplace: Workplace, workers: int) -> None:
    script = workplace.serve(SERVER.format(more=f", workers={workers}"))
    await_ready(script, workers)
    pids = children(script.process.pid)
    held = script.connect()
    held.sendall(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await_file(workplace.directory / "held")
    upload = script.connect()
    upload.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + bytes(100_000))
    script.get()  # the server has looked at the upload

    script.signal(SIGKILL)
    await_closed(script.port)
    gevent.sleep(1.5)  # longer than what a second signal to stop would be given
    assert any(is_alive(pid) for pid in pids)
    upload.sendall(bytes(200_000))
    size, turns, _ = read(upload)
    assert size == 300_000
    assert turns < 1000
    workplace.file("gate")
    _, turns, _ = read(held)
    # It looked for its gate every 50 ms. A loop that hears of the death again and again turns 100,000 times a second.
    assert turns < 1000
    for pid in pids:
        await_end(pid)
    assert script.end() == -SIGKILL
    assert "the parent process is gone: ending after the requests in flight" in script.text


def test_the_grace_bounds_workers_without_a_supervisor(workplace: Workplace) -> None:
    script = workplace.serve(SERVER.format(more=", grace=0.1"))
    await_ready(script, 1)
    [pid] = children(script.process.pid)
    held = script.connect()
    held.sendall(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await_file(workplace.directory / "held")
    script.signal(SIGKILL)
    await_end(pid)
    assert read(held) == []
    assert script.end() == -SIGKILL


def test_a_worker_that_loads_its_app_ends_with_its_supervisor(workplace: Workplace) -> None:
    """It would keep the port open, and never look."""
    workplace.file("slow.py", "import os\nopen('loading', 'w').write(str(os.getpid()))\nwhile True: pass\n")
    script = workplace.serve("import skitai\nskitai.mount('/', 'slow.py')\nskitai.run(port=0)\n")
    await_file(workplace.directory / "loading")
    [pid] = children(script.process.pid)
    script.signal(SIGKILL)
    await_end(pid)
    assert script.end() == -SIGKILL


class Clients:
    """Clients that keep their connections, ask all the time, and count what they get."""

    def __init__(self, port: int, count: int) -> None:
        self.answers = self.goodbyes = 0
        self.lost: list[str] = []
        self._port = port
        self._is_over = False
        self._clients = [gevent.spawn(self._ask) for _ in range(count)]

    def _ask(self) -> None:
        while not self._is_over:
            with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE) as sock:
                while not self._is_over:
                    try:
                        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                        answer = sock.recv(65536)
                    except OSError as error:
                        self.lost.append(repr(error))
                        break
                    if not answer.startswith(b"HTTP/1.1 200 "):
                        self.lost.append(repr(answer))
                        break
                    self.answers += 1
                    if b"\r\nConnection: close\r\n" in answer:
                        self.goodbyes += 1
                        break

    def stop(self) -> None:
        self._is_over = True
        gevent.joinall(self._clients, timeout=PATIENCE, raise_error=True)


def reload(script: Script) -> None:
    old = children(script.process.pid)
    script.signal(SIGHUP)
    script.next_line("new workers are ready")
    for pid in old:
        await_end(pid)


@pytest.mark.row("RUN-34")
@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_lose_no_request_of_kept_connections(workplace: Workplace, workers: int) -> None:
    # Nobody reads the console meanwhile.
    script = workplace.serve(SERVER.format(more=f", workers={workers}, request_log=False"))
    await_ready(script, workers)
    clients = Clients(script.port, 8)
    for _ in range(3):
        reload(script)
    clients.stop()
    assert clients.lost == []
    assert clients.goodbyes >= 8, "each connection was told when it was answered for the last time"
    assert script.stop() == 0


def test_an_idle_connection_outlives_a_reload_by_one_request(workplace: Workplace) -> None:
    script = workplace.serve(SERVER.format(more=", keep_alive=60, limits={'drain_time': 60}"))
    await_ready(script, 1)
    [old] = children(script.process.pid)
    with script.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Connection: close" not in sock.recv(65536)
        script.signal(SIGHUP)
        script.next_line("new workers are ready")
        await_ready(script, 1)
        gevent.sleep(1.5)  # longer than what a stop leaves to idle connections
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = sock.recv(65536)
        assert re.search(rb"\r\nConnection: close\r\n.* %d$" % old, answer, re.DOTALL), answer
        assert sock.recv(65536) == b""
    await_end(old)
    assert script.stop() == 0


def test_a_stop_does_not_wait_for_idle_connections_of_a_reload(workplace: Workplace) -> None:
    script = workplace.serve(SERVER.format(more=", keep_alive=1000, grace=1000, limits={'drain_time': 1000}"))
    await_ready(script, 1)
    with script.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Connection: close" not in sock.recv(65536)
        script.signal(SIGHUP)
        script.next_line("new workers are ready")
        script.signal(SIGTERM)
        assert sock.recv(65536) == b""
        assert script.end() == 0


# Signals that come at the wrong time; every pair of them is in test_supervisor_states.py

LOADING = """
import os, time
open("loading", "w").close()
while not os.path.exists("gate"):
    time.sleep(0.01)
def app(env, start_response):
    start_response("200 OK", [])
    return ["{version}"]
"""


def test_a_reload_that_is_wanted_during_a_reload_follows_it(workplace: Workplace) -> None:
    workplace.file("gate")
    workplace.file("one.py", LOADING.format(version="first"))
    script = workplace.serve("import skitai\nskitai.mount('/', 'one.py')\nskitai.run(port=0)\n")
    await_ready(script, 1)
    (workplace.directory / "gate").unlink()
    (workplace.directory / "loading").unlink()
    workplace.file("one.py", LOADING.format(version="second"))
    script.signal(SIGHUP)
    await_file(workplace.directory / "loading")
    workplace.file("one.py", LOADING.format(version="third"))
    script.signal(SIGHUP)
    script.next_line("SIGHUP: another reload follows the reload that goes on")
    workplace.file("gate")
    for _ in range(2):
        script.next_line("new workers are ready")
    with gevent.Timeout(PATIENCE):
        while script.get().text != "third":
            pass
    assert script.stop() == 0


def test_a_reload_that_hangs_is_given_up_and_the_next_one_is_done(workplace: Workplace) -> None:
    workplace.file("gate")
    workplace.file("one.py", LOADING.format(version="first"))
    script = workplace.serve("import skitai\nskitai.mount('/', 'one.py')\nskitai.run(port=0, reload_time=1)\n")
    await_ready(script, 1)
    (workplace.directory / "loading").unlink()
    workplace.file("one.py", "open('loading', 'w').close()\nwhile True: pass\n")
    script.signal(SIGHUP)
    await_file(workplace.directory / "loading")
    workplace.file("one.py", LOADING.format(version="mended"))
    script.signal(SIGHUP)
    assert script.get().text == "first"
    script.next_line(r"reload given up, the old workers stay: worker 1 \(pid \d+\) was not ready within 1 s")
    script.next_line("new workers are ready")
    with gevent.Timeout(PATIENCE):
        while script.get().text != "mended":
            pass
    assert script.stop() == 0


@pytest.mark.row("LOG-11")
def test_a_rotation_under_load_renames_each_file_once(workplace: Workplace) -> None:
    port = free_port()
    logs = workplace.directory / "logs"
    script = workplace.serve(
        SERVER.format(more=", workers=2, logpath='logs'").replace("port=0", f"port={port}"),
    )
    with gevent.Timeout(PATIENCE):
        while not (logs / "server.log").exists() or (logs / "server.log").read_text().count("started on") < 2:
            gevent.sleep(0.01)
    clients = Clients(port, 4)
    for rotations in (1, 2):
        before = clients.answers
        with gevent.Timeout(PATIENCE):
            while clients.answers < before + 1000:
                gevent.sleep(0.01)
        script.signal(SIGUSR1)
        with gevent.Timeout(PATIENCE):
            while len(list(logs.glob("request-*.log"))) < rotations:
                gevent.sleep(0.01)
    clients.stop()
    assert script.stop() == 0
    assert clients.lost == []
    files = [*logs.glob("request-*.log"), logs / "request.log"]
    assert len(files) == 3
    assert sum(file.read_text().count("GET / ") for file in files) == clients.answers
