"""``skitai.run()``, over real processes."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sys

import gevent
import pytest

from tests.scripts import PATIENCE

HELLO = """
def app(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

if __name__ == "__main__":
    import skitai
    skitai.mount("/", app)
    skitai.run(port=0{more})
"""

# Tells what the server of an app looks like from inside.
INSPECT = """
import json

def app(env, start_response):
    import os
    from skitai.was import _cache
    from skitai.was._context import wasc
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({{
        "thread": env["skitai.thread"], "multithread": env["wsgi.multithread"],
        "multiprocess": env["wsgi.multiprocess"], "numthreads": wasc.numthreads,
        "rcache": _cache.results.capacity, "cwd": os.getcwd(),
        "pid": os.getpid(), "name": __name__, "scheme": env["wsgi.url_scheme"],
    }})]

if __name__ == "__main__":
    import skitai
    skitai.mount("/", app)
    skitai.run(port=0{more})
"""


def inspect(workplace, more: str = "") -> dict:
    return json.loads(workplace.serve(INSPECT.format(more=more)).get().text)


@pytest.mark.row("RUN-39", "RUN-38", "CLI-01")
def test_the_first_example_of_the_document(workplace) -> None:
    """As written, but for a port from the system."""
    script = workplace.serve(
        """
        #WSGI App

        def app (env, start_response):
          start_response ("200 OK", [("Content-Type", "text/plain")])
          return ['Hello World']

        app.use_reloader = True
        app.debug = True

        if __name__ == "__main__":

          import skitai

          skitai.mount ('/', app)
          skitai.run (
            address = "127.0.0.1",
            port = 0
          )
        """
    )
    answer = script.get()
    assert (answer.status, answer.text) == (200, "Hello World")
    assert answer.headers["Content-Type"] == "text/plain"
    assert script.stop() == 0


@pytest.mark.row("RUN-01")
def test_run_blocks_until_it_is_stopped_and_ends_the_process(workplace) -> None:
    script = workplace.serve(HELLO.format(more="") + '    print("behind run")\n')
    assert script.get().text == "hello"
    assert script.process.poll() is None
    assert script.stop() == 0
    assert "behind run" not in script.text


@pytest.mark.row("RUN-01")
def test_keywords_replace_what_calls_set(workplace) -> None:
    script = workplace.serve(
        """
        def one(env, start_response):
            start_response("200 OK", [])
            return [b"one"]

        def two(env, start_response):
            start_response("200 OK", [])
            return [b"two"]

        import skitai
        skitai.mount("/", one)
        skitai.mount("/one", one)
        skitai.run(port=0, mount=("/", two))
        """
    )
    assert script.get("/").text == "two"
    assert script.get("/one/").text == "two"


@pytest.mark.row("RUN-01")
def test_nothing_mounted_is_an_error(workplace) -> None:
    script = workplace.script("import skitai\nskitai.run(port=0)\n")
    assert script.run() == 2
    assert "app.py:2: No mount point: call skitai.mount" in script.text


@pytest.mark.row("RUN-01")
def test_nothing_mounted_can_be_caught_as_a_system_error(workplace) -> None:
    script = workplace.script(
        "import skitai\ntry:\n  skitai.run(port=0)\nexcept SystemError as error:\n  print('caught', error)\n"
    )
    assert script.run() == 0
    assert "caught No mount point" in script.text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", ports=80", "no keyword 'ports': did you mean port?"),
        (", threads=-1", "threads=-1 cannot be"),
        (", threads='4'", "threads='4' cannot be"),
        (", workers=1.5", "workers=1.5 cannot be"),
        (", keep_alive=None", "keep_alive=None cannot be"),
        (", limits={'request_lines': 1}", "there is no limit 'request_lines'"),
        (", limits={'request_line': 0}", "limit request_line=0 cannot be"),
        (", certfile='nowhere.pem'", "no such file: 'nowhere.pem'"),
        (", mount=5", "mount=5 cannot be read"),
        (", mount=('/', 'nowhere')", "'nowhere' cannot be mounted: there is neither a directory"),
        (", mount=('/', 'nowhere.py')", "'nowhere.py' cannot be mounted: there is no file"),
        (", mount=('here', 'nowhere.py')", "'here' is no mount point"),
        (", mount=('/', '@members')", "no reverse proxy yet"),
        (", mount=('/', 5)", "5 cannot be mounted"),
        (", clusters={'@a': ('smtp', 'x')}", "unknown type 'smtp'"),
        (", address='no.such.host.invalid'", "has no address"),
        (", address='192.0.2.1'", "this machine has no address 192.0.2.1"),
        (", logpath='/dev/null/x'", "logpath /dev/null/x cannot be used"),
    ],
)
def test_what_is_wrong_is_said_with_a_next_step(workplace, more: str, message: str) -> None:
    script = workplace.script(HELLO.format(more=more))
    assert script.run() == 2
    assert message in script.text
    assert "Traceback" not in script.text


def test_a_taken_port_is_named(workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        script = workplace.script(HELLO.format(more="").replace("port=0", f"port={port}"))
        assert script.run() == 2
    assert f"port {port} of 127.0.0.1 is already in use" in script.text
    assert "skitai.run(port=...)" in script.text
    assert "Traceback" not in script.text


@pytest.mark.row("RUN-02", "RUN-03")
def test_address_and_port_default_to_loopback_5000() -> None:
    from skitai.configuration import Options

    assert (Options().address, Options().port) == ("127.0.0.1", 5000)


@pytest.mark.row("RUN-02", "RUN-03")
def test_address_and_port_are_bound(workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    script = workplace.serve(HELLO.format(more=", address='127.0.0.1'").replace("port=0", f"port={port}"))
    assert script.port == port
    assert script.get().text == "hello"


@pytest.mark.row("RUN-02")
def test_all_addresses_are_bound_by_0_0_0_0(workplace) -> None:
    script = workplace.serve(HELLO.format(more=", address='0.0.0.0'"))
    assert script.line(r"started on 0\.0\.0\.0:\d+")
    assert script.get().text == "hello"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_ipv6_address_is_bound(workplace) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback here")
    script = workplace.serve(HELLO.format(more=", address='::1'"))
    port = int(script.line(r"started on \[::1\]:(\d+)")[1])
    connection = http.client.HTTPConnection("::1", port, timeout=20)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"hello"
    connection.close()


GATED = """
import os, gevent
running = []
most = 0

def app(env, start_response):
    global most
    path = env["PATH_INFO"]
    start_response("200 OK", [])
    if path == "/seen":
        return [" ".join(seen).encode()]
    seen.append(path)
    running.append(path)
    most = max(most, len(running))
    while not os.path.exists("gate"):
        gevent.sleep(0.01)
    running.remove(path)
    return [str(most).encode()]

seen = []
if __name__ == "__main__":
    import skitai
    skitai.mount("/", app)
    skitai.mount("/", "static")
    skitai.run(port=0, threads={threads})
"""


@pytest.mark.row("RUN-04", "RUN-05")
@pytest.mark.parametrize("threads", [1, 2])
def test_at_most_n_handlers_run_and_the_rest_queues_first_in_first_out(workplace, threads: int) -> None:
    workplace.file("static/file.txt", "static")
    script = workplace.serve(GATED.format(threads=threads))
    paths = [f"/{number}" for number in range(6)]
    asked = []
    for path in paths:
        asked.append(script.connect())
        asked[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        # A static file needs no slot, so it is served while all are taken. With its answer, what was sent before it
        # has been read by the server.
        assert script.get("/file.txt").text == "static"
    workplace.file("gate")
    answers = []
    for each in asked:
        with each, each.makefile("rb") as file:
            answers.append(int(file.read().rpartition(b"\r\n\r\n")[2]))
    assert max(answers) == threads
    assert script.get("/seen").text == " ".join(paths)


@pytest.mark.row("RUN-04")
@pytest.mark.parametrize(("more", "number"), [("", 1000), (", threads=4", 4), (", threads=8", 8)])
def test_apps_see_the_number_of_threads(workplace, more: str, number: int) -> None:
    seen = inspect(workplace, more)
    assert (seen["thread"], seen["multithread"], seen["numthreads"]) == (number, True, number)


@pytest.mark.row("RUN-25", "RUN-18")
@pytest.mark.parametrize(("more", "number"), [("", 100), (", rcache_objmax=7", 7)])
def test_the_result_cache_gets_its_size(workplace, more: str, number: int) -> None:
    assert inspect(workplace, more)["rcache"] == number


SINGLE = """
import gevent
from flask import Flask
from skitai import was

flask = Flask(__name__)
running = 0

def attempt(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "allowed"

@flask.route("/get")
def get():
    return attempt(lambda: was.get("http://127.0.0.1:1/"))

@flask.route("/callback")
def callback():
    return attempt(lambda: was.get("http://127.0.0.1:1/", callback=print))

@flask.route("/map")
def map():
    return attempt(lambda: was.get.map("@members/"))

@flask.route("/one-at-a-time")
def one():
    global running
    running += 1
    most = running
    gevent.sleep(0.02)
    running -= 1
    return str(most)

if __name__ == "__main__":
    import skitai
    skitai.alias("@members", skitai.PROTO_HTTP, ["127.0.0.1:1", "127.0.0.1:2"])
    skitai.mount("/", flask)
    skitai.run(port=0, threads=0)
"""


@pytest.mark.row("RUN-06", "RUN-07")
def test_the_single_thread_mode_refuses_to_wait(workplace) -> None:
    script = workplace.serve(SINGLE)
    assert script.get("/get").text == "RuntimeError: Should have callback in Main thread"
    assert script.get("/callback").text == "allowed"
    assert script.get("/map").text == "AttributeError: Cannot use Map-Reduce with Single Thread"


@pytest.mark.row("RUN-06")
def test_the_single_thread_mode_runs_one_handler_at_a_time(workplace) -> None:
    script = workplace.serve(SINGLE)
    assert script.port
    asked = [gevent.spawn(script.get, "/one-at-a-time") for _ in range(5)]
    with gevent.Timeout(60):
        assert [each.get().text for each in asked] == ["1"] * 5


@pytest.mark.row("RUN-06")
def test_apps_see_the_single_thread_mode(workplace) -> None:
    seen = inspect(workplace, ", threads=0")
    assert (seen["thread"], seen["multithread"], seen["numthreads"]) == (0, False, 0)


@pytest.mark.row("RUN-10")
def test_workers_are_forked(workplace) -> None:
    script = workplace.serve(INSPECT.format(more=", workers=2"))
    script.line(r"\(worker 1\) started on")
    script.line(r"\(worker 2\) started on")
    assert json.loads(script.get().text)["multiprocess"] is True


@pytest.mark.row("RUN-10")
def test_one_worker_is_the_default(workplace) -> None:
    script = workplace.serve(INSPECT.format(more=""))
    seen = json.loads(script.get().text)
    assert seen["multiprocess"] is False
    assert seen["pid"] != script.process.pid


def test_no_worker_serves_in_the_process_itself(workplace) -> None:
    script = workplace.serve(INSPECT.format(more=", workers=0"))
    assert json.loads(script.get().text)["pid"] == script.process.pid
    assert script.stop() == 0


@pytest.mark.row("RUN-20", "RUN-21", "RUN-22", "RUN-23")
def test_the_working_directory_is_that_of_the_script(workplace, tmp_path) -> None:
    workplace.file("site/resources/list.txt", "from a relative path")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = workplace.script(
        """
        import os, skitai
        print("before run:", skitai.getswd(), skitai.joinpath("resources", "list.txt"))

        def app(env, start_response):
            start_response("200 OK", [])
            with open("resources/list.txt") as file:
                return ["|".join([os.getcwd(), skitai.getswd(), file.read()])]

        skitai.mount("/", app)
        skitai.run(port=0)
        """,
        "site/app.py",
    )
    script.start(cwd=elsewhere)
    here = str(tmp_path / "site")
    assert script.get().text == f"{here}|{here}|from a relative path"
    assert f"before run: {here} {here}/resources/list.txt" in script.text


@pytest.mark.row("RUN-21")
def test_the_working_directory_of_a_relative_script(workplace, tmp_path) -> None:
    script = workplace.script("import skitai\nprint('swd', skitai.getswd())\n", "site/app.py")
    script.path = script.path.relative_to(tmp_path)
    script.start(cwd=tmp_path, launcher=("-m", "skitai"))
    assert script.end() == 0
    assert f"swd {tmp_path}/site" in script.text


@pytest.mark.row("RUN-24")
def test_an_idle_connection_is_closed_after_its_time(workplace) -> None:
    brief = workplace.serve(
        HELLO.format(more="").replace("    skitai.mount", "    skitai.set_keep_alive(0.5)\n    skitai.mount")
    )
    patient = workplace.serve(HELLO.format(more=", keep_alive=300"), name="patient.py")
    kept = http.client.HTTPConnection("127.0.0.1", patient.port, timeout=60)
    closed = http.client.HTTPConnection("127.0.0.1", brief.port, timeout=60)
    for connection in (kept, closed):
        connection.request("GET", "/")
        connection.getresponse().read()
    assert closed.sock.recv(1) == b""
    kept.request("GET", "/")
    assert kept.getresponse().read() == b"hello"
    closed.close()
    kept.close()


@pytest.mark.row("RUN-40")
@pytest.mark.parametrize(
    "imports",
    [
        "import flask, requests, psycopg2, threading, ssl\nimport skitai",
        "import skitai\nimport flask, requests, psycopg2, threading",
    ],
)
def test_the_script_is_cooperative_whatever_it_imports_first(workplace, imports: str) -> None:
    script = workplace.serve(
        imports
        + """
import socket, time, gevent.monkey
print("run of the script")

app = flask.Flask(__name__)

@app.route("/")
def page():
    # The threads of a blocking library, and its sockets, take turns on one loop.
    done = []
    def work(number):
        time.sleep(0.05)
        done.append(number)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    names = ["socket", "ssl", "threading", "queue", "select", "subprocess", "time"]
    tls = requests.Session().get_adapter("https://x").poolmanager is not None
    import psycopg2.extensions
    return [len(done), all(map(gevent.monkey.is_module_patched, names)), tls,
            psycopg2.extensions.get_wait_callback() is not None]

if __name__ == "__main__":
    skitai.mount("/", app)
    skitai.run(port=0)
""",
    )
    assert json.loads(script.get().text) == [50, True, True, True]
    # Once unpatched, up to run(), and once patched.
    assert script.text.count("run of the script") == (2 if script.process else 0)


@pytest.mark.row("RUN-40")
def test_python_m_skitai_runs_a_script_once(workplace) -> None:
    script = workplace.script("print('run of the script')\n" + HELLO.format(more=""))
    script.start(launcher=("-m", "skitai"))
    assert script.get().text == "hello"
    assert script.text.count("run of the script") == 1


def test_importing_skitai_patches_nothing() -> None:
    import subprocess

    code = (
        "import skitai, sys; from skitai import mount, run; "
        "monkey = sys.modules.get('gevent.monkey'); import socket; "
        "print(bool(monkey and monkey.is_module_patched('socket')), socket.socket.__module__, 'ssl' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split() == ["False", "socket", "False"]


def test_the_escape_hatch_serves_unpatched(workplace) -> None:
    script = workplace.serve(
        """
        import gevent.monkey
        def app(env, start_response):
            start_response("200 OK", [])
            return [str(gevent.monkey.is_module_patched("socket"))]
        import skitai
        skitai.mount("/", app)
        skitai.run(port=0)
        """,
        SKITAI_NO_PATCH="1",
    )
    assert script.get().text == "False"
    assert script.stop() == 0


@pytest.mark.row("RUN-36")
def test_production_is_told_by_the_environment(monkeypatch) -> None:
    import skitai

    monkeypatch.delenv("SKITAI_PRODUCTION", raising=False)
    assert skitai.is_devel() is True
    monkeypatch.setenv("SKITAI_PRODUCTION", "1")
    assert skitai.is_devel() is False


@pytest.mark.row("RUN-15", "RUN-30")
@pytest.mark.parametrize("form", ["call", "keywords"])
def test_https_is_served_with_an_encrypted_key(workplace, tmp_path, form: str) -> None:
    import ssl

    import trustme
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass phrase"))
    )
    if form == "call":
        text = INSPECT.format(more="").replace(
            "    skitai.mount", "    skitai.enable_ssl('server.pem', 'key.pem', 'pass phrase')\n    skitai.mount"
        )
    else:
        text = INSPECT.format(more=", certfile='server.pem', keyfile='key.pem', passphrase='pass phrase'")
    script = workplace.serve(text)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connection = http.client.HTTPSConnection("127.0.0.1", script.port, timeout=60, context=context)
    connection.request("GET", "/")
    assert json.loads(connection.getresponse().read())["scheme"] == "https"
    connection.close()


def test_a_wrong_passphrase_ends_the_start(workplace, tmp_path) -> None:
    import trustme

    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    (tmp_path / "other.pem").write_bytes(trustme.CA().issue_cert("localhost").private_key_pem.bytes())
    script = workplace.script(HELLO.format(more=", certfile='server.pem', keyfile='other.pem'"))
    assert script.run() == 2
    assert "cannot use the certificate and key" in script.text


def test_the_request_log_can_be_left_out(workplace):
    script = workplace.serve(
        """
        def app(environ, start_response):
            environ["wsgi.errors"].write("seen " + environ["PATH_INFO"] + "\\n")
            start_response("200 OK", [])
            return [b""]

        if __name__ == "__main__":
            import skitai

            skitai.mount("/", app)
            skitai.run(port=0, request_log=False)
        """
    )
    assert script.get("/page").status == 200
    assert script.stop() == 0
    assert "seen /page" in script.text  # the app log is another one
    assert "GET /page" not in script.text


def test_a_reload_with_a_broken_app_keeps_the_workers_that_work(workplace):
    app = """
        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"VERSION"]
    """
    workplace.file("site/app.py", app.replace("VERSION", "one"))
    script = workplace.serve(
        """
        import skitai

        if __name__ == "__main__":
            skitai.mount("/", "site/app.py")
            skitai.run(port=0)
        """,
        name="service.py",
    )
    assert script.get("/").text == "one"
    workplace.file("site/app.py", "this is no Python")
    script.signal(signal.SIGHUP)
    script.line("reload given up, the old workers stay")
    assert "the app at / cannot be loaded" in script.text
    assert script.get("/").text == "one"
    workplace.file("site/app.py", app.replace("VERSION", "two and more"))
    script.signal(signal.SIGHUP)
    script.line("new workers are ready")
    # Told to stop is not stopped yet: the old worker may have taken one client more.
    with gevent.Timeout(PATIENCE, AssertionError("the old worker still serves")):
        while (text := script.get("/").text) == "one":
            gevent.sleep(0.02)
    assert text == "two and more"
    assert script.stop() == 0
