"""The supervisor, over real processes and real signals."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1

import gevent
import gevent.event
import pytest

from skitai.hub.backoff import Backoff
from tests.scripts import PATIENCE, Script, await_end, children, is_alive

SERVER = """
import os, gevent

def app(env, start_response):
    path = env["PATH_INFO"]
    if path.startswith("/hold"):
        open("held" + path[5:], "w").close()
        while not os.path.exists("gate"):
            gevent.sleep(0.01)
    start_response("200 OK", [])
    return [str(os.getpid())]

if __name__ == "__main__":
    import skitai
    skitai.mount("/", app)
    skitai.run(port=0{more})
"""


def ask(script: Script, path: str) -> socket.socket:
    """Send a request without waiting for its answer."""
    sock = script.connect()
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    return sock


def read(sock: socket.socket) -> str:
    """The body of the answer."""
    with sock, sock.makefile("rb") as file:
        return file.read().rpartition(b"\r\n\r\n")[2].decode()


def await_file(path) -> None:
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


@pytest.mark.row("RUN-34", "LOG-12")
def test_workers_share_one_socket_and_the_master_serves_nothing(workplace) -> None:
    script = workplace.serve(SERVER.format(more=", workers=2"))
    ports = {script.line(rf"Skitai/\S+ \(worker {index}\) started on 127\.0\.0\.1:(\d+)")[1] for index in (1, 2)}
    assert len(ports) == 1
    workers = children(script.process.pid)
    assert len(workers) == 2
    assert int(script.get().text) in workers
    assert script.stop() == 0


def test_the_master_has_no_loop_and_no_threads(workplace) -> None:
    script = workplace.serve(SERVER.format(more=""))
    assert script.port
    pid = script.process.pid
    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    files = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            files.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    assert not any("eventpoll" in file or "eventfd" in file for file in files)


@pytest.mark.row("RUN-34", "RUN-35")
@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stop_waits_for_requests_in_flight(workplace, number, workers: int) -> None:
    script = workplace.serve(SERVER.format(more=f", workers={workers}"))
    port = script.port
    in_flight = ask(script, "/hold")
    await_file(workplace.directory / "held")
    script.signal(number)
    await_closed(port)
    assert script.process.poll() is None
    workplace.file("gate")
    assert int(read(in_flight)) > 0
    assert script.end() == 0
    # Nothing is lost on a normal stop, so the request is in the log.
    assert re.search(r"GET /hold HTTP/1\.1 200", script.text)


@pytest.mark.row("RUN-35")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_stop_is_bounded_by_the_grace(workplace, workers: int) -> None:
    script = workplace.serve(SERVER.format(more=f", workers={workers}, grace=0.2"))
    in_flight = ask(script, "/hold")
    await_file(workplace.directory / "held")
    assert script.stop() == 0
    assert read(in_flight) == ""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_second_signal_a_second_later_stops_now(workplace, workers: int) -> None:
    script = workplace.serve(SERVER.format(more=f", workers={workers}, grace=1000"))
    port = script.port
    in_flight = ask(script, "/hold")
    await_file(workplace.directory / "held")
    script.signal(SIGTERM)
    await_closed(port)
    # Two wishes that come at once, as from a terminal to a whole group, are one.
    script.signal(SIGINT)
    gevent.sleep(1.1)
    assert script.process.poll() is None
    script.signal(SIGTERM)
    assert script.end() == 0
    assert read(in_flight) == ""


def test_a_worker_that_does_not_listen_is_killed(workplace) -> None:
    script = workplace.serve(
        """
        def app(env, start_response):
            open("held", "w").close()
            while True:
                pass

        import skitai
        skitai.mount("/", app)
        skitai.run(port=0, grace=0.2)
        """
    )
    in_flight = ask(script, "/")
    await_file(workplace.directory / "held")
    assert script.stop() == 0
    assert "does not end: killed" in script.text
    in_flight.close()


@pytest.mark.row("RUN-34")
@pytest.mark.parametrize("number", [SIGKILL, SIGTERM])
def test_a_worker_that_ends_is_replaced(workplace, number) -> None:
    script = workplace.serve(SERVER.format(more=", workers=2"))
    for index in (1, 2):
        script.line(rf"\(worker {index}\) started")
    victim = children(script.process.pid)[0]
    os.kill(victim, number)
    script.next_line(r"worker \d \(pid \d+\) (was killed by SIGKILL|ended with exit code 0); a new one starts in 1 s")
    script.next_line(r"\(worker \d\) started")
    workers = children(script.process.pid)
    assert len(workers) == 2
    assert victim not in workers
    assert int(script.get().text) in workers
    assert script.stop() == 0


def test_a_worker_that_dies_at_once_is_replaced_with_growing_delays(workplace) -> None:
    workplace.file("dying.py", "import os\nos._exit(7)\n")
    script = workplace.serve("import skitai\nskitai.mount('/', 'dying.py')\nskitai.run(port=0)\n")
    for delay in ("1", "2"):
        script.next_line(rf"worker 1 \(pid \d+\) ended with exit code 7; a new one starts in {delay} s")
    assert script.stop() == 0


def test_delays_double_up_to_a_ceiling() -> None:
    backoff = Backoff(5, 600)
    assert [backoff.next_delay() for _ in range(9)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    backoff.reset()
    assert backoff.next_delay() == 5


def test_sighup_starts_new_workers_before_the_old_ones_stop(workplace) -> None:
    workplace.file("one.py", "def app(env, start_response):\n    start_response('200 OK', [])\n    return ['old']\n")
    script = workplace.serve(
        SERVER.format(more=", workers=2").replace(
            "    skitai.run", "    skitai.mount('/one', 'one.py')\n    skitai.run"
        )
    )
    for index in (1, 2):
        script.line(rf"\(worker {index}\) started")
    assert script.get("/one/").text == "old"
    workplace.file(
        "one.py", "def app(env, start_response):\n    start_response('200 OK', [])\n    return ['brand new']\n"
    )
    old = children(script.process.pid)
    in_flight = ask(script, "/hold")
    await_file(workplace.directory / "held")
    script.signal(SIGHUP)
    script.next_line("SIGHUP: starting new workers")
    answered = 0
    with gevent.Timeout(PATIENCE):
        while script.get("/one/").text != "brand new":
            answered += 1
    script.next_line("new workers are ready: stopping the old ones")
    workplace.file("gate")
    assert int(read(in_flight)) in old
    for pid in old:
        await_end(pid)
    # One that has just ended stays a child until the supervisor looks.
    assert len([pid for pid in children(script.process.pid) if is_alive(pid)]) == 2
    assert script.get("/one/").text == "brand new"
    assert script.stop() == 0


def test_old_workers_stay_when_new_ones_do_not_start(workplace) -> None:
    workplace.file("one.py", "def app(env, start_response):\n    start_response('200 OK', [])\n    return ['old']\n")
    script = workplace.serve("import skitai\nskitai.mount('/', 'one.py')\nskitai.run(port=0, workers=2)\n")
    for index in (1, 2):
        script.line(rf"\(worker {index}\) started")
    workplace.file("one.py", "import os\nos._exit(7)\n")
    script.signal(SIGHUP)
    script.next_line("reload given up, the old workers stay: new worker . .pid .*ended with exit code 7")
    assert script.get("/").text == "old"
    workplace.file("one.py", "def app(env, start_response):\n    start_response('200 OK', [])\n    return ['fixed']\n")
    script.signal(SIGHUP)
    script.next_line("new workers are ready")
    # The old workers accept clients until the signal reaches them.
    with gevent.Timeout(PATIENCE):
        while script.get("/").text != "fixed":
            pass
    assert script.stop() == 0


@pytest.mark.row("LOG-11")
@pytest.mark.parametrize("workers", [0, 2])
def test_sigusr1_rotates_the_logs(workplace, workers: int) -> None:
    logs = workplace.directory / "logs"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    script = workplace.serve(
        SERVER.format(more=f", workers={workers}, logpath='logs'").replace("port=0", f"port={port}")
    )
    await_file(logs / "server.log")
    with gevent.Timeout(PATIENCE):
        while (logs / "server.log").read_text().count("started on") < max(workers, 1):
            gevent.sleep(0.01)
    assert script.get("/before", port=port).status == 200
    script.signal(SIGUSR1)
    with gevent.Timeout(PATIENCE):
        while not list(logs.glob("request-????????.log")) or not list(logs.glob("server-????????.log")):
            gevent.sleep(0.01)
    assert script.get("/behind", port=port).status == 200
    assert script.stop() == 0
    [rotated] = logs.glob("request-*.log")
    assert "GET /before" in rotated.read_text()
    assert "GET /behind" in (logs / "request.log").read_text()
    assert len(list(logs.glob("server-*.log"))) == 1


def test_workers_end_when_their_master_is_killed(workplace) -> None:
    script = workplace.serve(SERVER.format(more=", workers=2"))
    for index in (1, 2):
        script.line(rf"\(worker {index}\) started")
    workers = children(script.process.pid)
    script.signal(SIGKILL)
    for pid in workers:
        await_end(pid)
    assert script.end() == -SIGKILL


def test_a_worker_does_not_run_what_the_script_left_for_its_end(workplace) -> None:
    script = workplace.serve(
        "import atexit\natexit.register(print, 'end of the script')\n"
        "def at(env, start_response):\n    import atexit; atexit.register(print, 'end of a worker')\n"
        "    start_response('200 OK', [])\n    return ['x']\n"
        "import skitai\nskitai.mount('/', at)\nskitai.run(port=0)\n"
    )
    assert script.get().text == "x"
    assert script.stop() == 0
    assert script.text.count("end of a worker") == 1
    assert script.text.count("end of the script") == 1


@pytest.mark.row("LOG-02")
def test_logs_go_to_the_console_without_a_directory(workplace) -> None:
    script = workplace.serve(SERVER.format(more=""))
    assert script.get("/seen").status == 200
    assert script.stop() == 0
    assert "GET /seen HTTP/1.1 200" in script.text


@pytest.mark.row("RUN-08", "LOG-01", "LOG-02", "CLI-02")
@pytest.mark.parametrize("is_verbose", [False, True])
def test_logs_go_to_a_directory_and_with_v_to_the_console_too(workplace, is_verbose: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    logs = workplace.directory / "made" / "logs"
    text = SERVER.format(more=", logpath='made/logs'").replace("port=0", f"port={port}")
    script = workplace.serve(text, *(["-v"] if is_verbose else []))
    with gevent.Timeout(PATIENCE):
        while not (logs / "server.log").exists() or "started on" not in (logs / "server.log").read_text():
            gevent.sleep(0.01)
    assert script.get("/seen", port=port).status == 200
    assert script.stop() == 0
    assert "GET /seen HTTP/1.1 200" in (logs / "request.log").read_text()
    assert "application / imported." in (logs / "app.log").read_text()
    assert ("GET /seen HTTP/1.1 200" in script.text) is is_verbose
    assert ("started on" in script.text) is is_verbose
    if not is_verbose:
        assert script.text == ""


def test_no_request_is_lost_while_workers_are_exchanged(workplace) -> None:
    script = workplace.serve(SERVER.format(more=", workers=2"))
    for index in (1, 2):
        script.line(rf"\(worker {index}\) started")
    is_over = gevent.event.Event()

    def ask_again_and_again() -> int:
        count = 0
        while not is_over.is_set():
            assert int(script.get().text) > 0
            count += 1
        return count

    clients = [gevent.spawn(ask_again_and_again) for _ in range(4)]
    for _ in range(3):
        old = children(script.process.pid)
        script.signal(SIGHUP)
        script.next_line("new workers are ready")
        for pid in old:
            await_end(pid)
    is_over.set()
    gevent.joinall(clients, timeout=PATIENCE, raise_error=True)
    assert all(client.value > 0 for client in clients)
