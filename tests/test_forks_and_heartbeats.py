"""Processes that apps fork, and workers whose loop stands still: with real processes."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from typing import Any

import gevent
import pytest
import trustme

from tests.hub.http2_client import Http2Client
from tests.scripts import Script, Workplace

APP = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
import skitai

def square(number):
    return number * number

def app(environ, start_response):
    path = environ["PATH_INFO"]
    text = str(os.getpid())
    if path == "/process":
        multiprocessing.Process(target=time.sleep, args=(30,), daemon=True).start()
    elif path == "/fork":
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    elif path == "/exit" and os.fork() == 0:
        sys.exit(0)
    elif path == "/raise" and os.fork() == 0:
        raise ValueError("in the child")
    elif path == "/return" and os.fork() == 0:
        pass
    elif path == "/executor":
        with ProcessPoolExecutor(2) as pool:
            text = str(list(pool.map(square, range(4))))
    elif path == "/queue":
        queue = multiprocessing.Queue()
        multiprocessing.Process(target=queue.put, args=("from the child",)).start()
        text = queue.get(timeout=10)
    elif path == "/subprocess-in-child":
        import subprocess
        receiving, sending = multiprocessing.Pipe()
        def work():
            sending.send(subprocess.run(["echo", "hi"], capture_output=True, text=True).stdout)
        multiprocessing.Process(target=work).start()
        while not receiving.poll(0):
            time.sleep(0.01)
        text = receiving.recv()
    elif path == "/was-in-child":
        from skitai import was
        receiving, sending = multiprocessing.Pipe()
        url = f"http://127.0.0.1:{environ['SERVER_PORT']}/"
        was.get(url).getwait(5)
        def work():
            sending.send(was.get(url).getwait(5).text)
        multiprocessing.Process(target=work).start()
        while not receiving.poll(0):
            time.sleep(0.01)
        text = str(receiving.recv() == text)
    elif path == "/pool":
        with multiprocessing.Pool(2) as pool:
            text = str(pool.map(square, range(3)))
    elif path == "/threads":
        from multiprocessing.pool import ThreadPool
        with ThreadPool(2) as pool:
            text = str(pool.map(square, range(3)))
    elif path == "/stream":
        def parts():
            yield b"part"
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
            raise ValueError("broken")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return parts()
    elif path == "/block":
        end = time.perf_counter() + float(environ["QUERY_STRING"].partition("=")[2])
        while time.perf_counter() < end:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]

if __name__ == "__main__":
    skitai.mount("/", app)
    skitai.run(port=0, %s)
"""


@pytest.fixture
def script(workplace: Workplace) -> Script:
    return workplace.script(APP % "grace=1").start()


REQUEST = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"


def ask(sock: socket.socket, path: bytes = b"/") -> bytes:
    """The body of one answer of a kept connection."""
    sock.sendall(REQUEST % path)
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += sock.recv(65536)
    assert len(body) == length
    return body


@pytest.mark.parametrize("path", ["/process", "/fork"])
def test_a_child_serves_nobody(script: Script, path: str) -> None:
    kept = [script.connect() for _ in range(10)]
    worker = {ask(each) for each in kept}
    assert len(worker) == 1
    script.get(path)
    assert {script.get().text.encode() for _ in range(40)} == worker
    assert {ask(each) for each in kept} == worker
    for each in kept:
        each.close()


@pytest.mark.parametrize("path", [b"/exit", b"/raise", b"/return"])
def test_a_child_that_comes_back_ends_without_an_answer(script: Script, path: bytes) -> None:
    sock = script.connect()
    worker = ask(sock, path)
    for _ in range(5):
        assert ask(sock) == worker  # no second answer of the child between them
    assert {script.get().text.encode() for _ in range(20)} == {worker}
    if path == b"/return":
        script.line("that a request had forked came back to the server and ends here")
    elif path == b"/raise":
        script.line("ValueError.* in the child")
    sock.close()


def test_a_child_leaves_connections_of_http2_alone(script: Script) -> None:
    client = Http2Client(script.connect())
    worker = client.request(path="/fork").body
    for _ in range(5):
        assert client.request().body == worker
    assert client.goodbye is None
    client.sock.close()


def test_a_child_leaves_tls_alone(workplace: Workplace) -> None:
    authority = trustme.CA()
    certificate = workplace.directory / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    script = workplace.script(APP % f"grace=1, certfile={str(certificate)!r}").start()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["http/1.1"])
    sock: Any = context.wrap_socket(script.connect(), server_hostname="localhost")
    worker = ask(sock, b"/exit")
    assert {ask(sock) for _ in range(5)} == {worker}  # no close_notify of the child
    sock.close()


def test_a_broken_stream_ends_although_a_child_lives(script: Script) -> None:
    sock = script.connect()
    sock.sendall(REQUEST % b"/stream")
    data = b""
    while part := sock.recv(65536):  # no longer than PATIENCE: the child lives for 30 s
        data += part
        if b"part" in data:
            sock.settimeout(10)
    assert not data.endswith(b"0\r\n\r\n")
    sock.close()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/executor", "[0, 1, 4, 9]"), ("/queue", "from the child"), ("/threads", "[0, 1, 4]"),
        ("/subprocess-in-child", "hi\n"), ("/was-in-child", "True"),
    ],
)  # fmt: skip
def test_what_works_in_children(script: Script, path: str, text: str) -> None:
    for _ in range(2):
        answer = script.get(path)
        assert (answer.status, answer.text) == (200, text)
    assert script.get().status == 200


def test_a_pool_of_multiprocessing_is_refused(script: Script) -> None:
    assert script.get("/pool").status == 500
    script.line("use concurrent.futures.ProcessPoolExecutor, or multiprocessing.pool.ThreadPool")
    assert script.get().status == 200


# Signs of life


def test_a_request_that_holds_the_loop_is_named_with_its_stack(workplace: Workplace) -> None:
    script = workplace.script(APP % "grace=1, blocked_loop=0.2").start()
    assert script.get("/block?secret=1").status == 200
    script.line(r"the loop is held by GET /block for 0\.\d s now")
    script.line(r"while time\.perf_counter\(\) < end")
    script.line(r"the loop goes on after \d\.\d s")
    script.stop()
    assert "secret" not in "".join(line for line in script.output if "held" in line)
    assert script.text.count("the loop is held") == 1


def test_it_is_silent_when_told(workplace: Workplace) -> None:
    script = workplace.script(APP % "grace=1, blocked_loop=0").start()
    assert script.get("/block?s=1.5").status == 200
    script.stop()
    assert "the loop is held" not in script.text


def test_a_worker_without_a_sign_of_life_is_replaced(workplace: Workplace) -> None:
    script = workplace.script(APP % "grace=1, worker_timeout=1, blocked_loop=0").start()
    first = script.get().text
    sock = script.connect()
    sock.sendall(REQUEST % b"/block?s=600")
    script.line(rf"worker 1 \(pid {first}\) gave no sign of life for \d s and is killed")
    script.line(r'File ".*", line \d+ in app')
    script.line("was killed by SIGKILL; a new one starts")
    assert script.get().text != first
    sock.close()


def test_a_worker_that_is_stopped_is_replaced(workplace: Workplace) -> None:
    script = workplace.script(APP % "grace=1, worker_timeout=1").start()
    first = script.get().text
    os.kill(int(first), signal.SIGSTOP)
    script.line(r"gave no sign of life for \d s and is killed")
    script.line("no stack: it is stopped")
    assert script.get().text != first


def test_a_worker_that_goes_on_in_time_is_kept(workplace: Workplace) -> None:
    script = workplace.script(APP % "grace=1, worker_timeout=3").start()
    first = script.get().text
    for _ in range(2):
        assert script.get("/block?s=1").text == first
    gevent.sleep(0)
    assert script.get().text == first
    script.stop()
    assert "no sign of life" not in script.text
