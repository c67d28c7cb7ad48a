"""A server in the background: start, stop, restart and ``-f``, over real processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL, SIGTERM

import gevent
import pytest

from tests.scripts import PATIENCE, Script, Workplace, await_end, children, clean_environment, is_alive

SERVER = """
import os, sys

def app(env, start_response):
    start_response("200 OK", [])
    return [str(os.getpid())]

if __name__ == "__main__":
    import skitai
    skitai.mount("/", app)
    skitai.run(port={port}, logpath="logs"{more})
"""


class Daemon:
    """A script that is started and stopped by commands; each command is a process that ends."""

    def __init__(self, workplace: Workplace, text: str = SERVER, more: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.directory = workplace.directory
        self.script: Script = workplace.script(text.format(port=self.port, more=more))
        self.text = ""

    def __call__(self, *arguments: str) -> int:
        result = subprocess.run(
            [sys.executable, str(self.script.path), *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd="/",
            env=clean_environment(),
            check=False,
        )
        self.text = result.stdout + result.stderr
        return result.returncode

    @property
    def pid_file(self) -> Path:
        return self.directory / ".pid"

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def get(self) -> int:
        return int(self.script.get(port=self.port).text)

    def await_server(self) -> int:
        """Wait until the server answers; return the pid of the worker that did."""
        with gevent.Timeout(PATIENCE):
            while True:
                try:
                    return self.get()
                except ConnectionError:
                    gevent.sleep(0.02)


@pytest.fixture
def daemon(workplace):
    made = []

    def make(*args, **keywords) -> Daemon:
        made.append(Daemon(workplace, *args, **keywords))
        return made[-1]

    yield make
    for each in made:
        if each.pid_file.exists():
            each("stop")


@pytest.mark.row("CLI-03", "CLI-05")
def test_start_and_stop(daemon) -> None:
    server = daemon()
    assert server("start") == 0
    assert "skitai: started" in server.text
    # Ready when the command ends: no waiting.
    worker = server.get()
    master = server.pid
    assert worker in children(master)
    assert os.getsid(master) != os.getsid(0)
    assert [os.readlink(f"/proc/{master}/fd/{fd}") for fd in (0, 1)] == [
        "/dev/null",
        str(server.directory / "logs/stderr.log"),
    ]
    assert server("stop") == 0
    # Gone when the command ends.
    assert not is_alive(master)
    assert not server.pid_file.exists()
    assert "GET / HTTP/1.1 200" in (server.directory / "logs/request.log").read_text()


@pytest.mark.row("CLI-04", "CLI-05")
def test_the_letters(daemon) -> None:
    server = daemon()
    assert server("-d") == 0
    first = server.pid
    assert server("-r") == 0
    assert server.pid != first
    assert server("-s") == 0
    assert not server.pid_file.exists()


@pytest.mark.row("CLI-06")
def test_restart(daemon) -> None:
    server = daemon()
    assert server("start") == 0
    first = server.pid
    assert server("restart") == 0
    assert not is_alive(first)
    assert server.get() in children(server.pid)
    assert server.pid != first


@pytest.mark.row("CLI-06")
def test_restart_starts_what_does_not_run(daemon) -> None:
    server = daemon()
    assert server("restart") == 0
    assert server.get()


@pytest.mark.row("CLI-05")
def test_stop_without_a_server(daemon) -> None:
    server = daemon()
    assert server("stop") == 2
    assert "Cannot find process" in server.text


@pytest.mark.row("CLI-05")
def test_a_pid_file_left_over_misleads_nobody(daemon) -> None:
    server = daemon()
    # Our own pid: it must not be signalled.
    server.pid_file.write_text(f"{os.getpid()}\n")
    assert server("stop") == 2
    assert "Cannot find process" in server.text
    server.pid_file.write_text(f"{os.getpid()}\n")
    assert server("start") == 0
    assert server.pid != os.getpid()


def test_a_second_start_is_refused(daemon) -> None:
    server = daemon()
    assert server("start") == 0
    assert server("start") == 2
    assert f"already running as process {server.pid}" in server.text
    assert server.get()


@pytest.mark.row("CLI-03")
def test_the_background_has_no_console(daemon) -> None:
    server = daemon()
    assert server("start", "-v") == 2
    assert "-v logs to the console, which a server in the background does not have" in server.text


def test_a_start_that_fails_tells_why(daemon) -> None:
    server = daemon()
    with socket.create_server(("127.0.0.1", server.port)):
        assert server("start") == 2
    assert f"port {server.port} of 127.0.0.1 is already in use" in server.text
    assert not server.pid_file.exists()


def test_a_start_that_crashes_tells_why(daemon, monkeypatch) -> None:
    server = daemon(
        SERVER.replace(
            "    skitai.run", "    import skitai.hub.binding as b\n    b.bind = lambda *_: 1 / 0\n    skitai.run"
        )
    )
    assert server("start") == 1
    assert "ZeroDivisionError" in server.text


def test_what_a_server_prints_goes_beside_its_logs(daemon) -> None:
    server = daemon(SERVER.replace("    start_response", "    print('printed', flush=True)\n    start_response"))
    assert server("start") == 0
    server.get()
    assert "printed" in (server.directory / "logs/stderr.log").read_text()


@pytest.mark.row("CLI-07")
def test_a_crashed_server_is_started_again(daemon) -> None:
    server = daemon()
    assert server("start", "-f") == 0
    parent = server.pid
    [master] = children(parent)
    worker = server.get()
    os.kill(master, SIGKILL)
    # Its workers notice, so the port is free again.
    await_end(worker)
    assert server.await_server() != worker
    assert children(parent) != [master]
    log = (server.directory / "logs/server.log").read_text()
    assert "server was killed by SIGKILL; it starts again in 5 s" in log
    assert server("stop") == 0
    assert not is_alive(parent)


FAIL_SAFE = """
import os, sys
from skitai import patches
patches.apply()
from skitai.errors import ConfigurationError
from skitai.hub import daemon
from skitai.net.logs import Logs

codes = [{codes}]
runs = 0

def serve(life_line):
    print("run", flush=True)
    code = codes[len(open("runs").read())]
    open("runs", "a").write("x")
    if code == "wrong":
        raise ConfigurationError("wrong")
    return code

open("runs", "w").close()
daemon.FIRST_DELAY = 0.01
log = Logs.to_console().server
sys.exit(daemon.fail_safe(serve, log, lambda error: print("told:", error, flush=True)))
"""


@pytest.mark.row("CLI-07")
@pytest.mark.parametrize(
    ("codes", "lines", "result"),
    [
        ("0, 1", "run", 0),
        ("1, 1, 1, 0", "run 0.01 run 0.02 run 0.04 run", 0),
        ("3, 3, 0", "run 0 run 0 run", 0),
        ("1, 'wrong', 0", "run 0.01 run told: wrong", 2),
    ],
)
def test_exit_codes_decide_what_fail_safe_does(workplace, codes: str, lines: str, result: int) -> None:
    script = workplace.script(FAIL_SAFE.format(codes=codes))
    process = subprocess.run(
        [sys.executable, str(script.path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=workplace.directory,
        check=False,
    )
    seen = re.sub(r".*starts again in (\S+) s", r"\1", process.stdout)
    assert " ".join(seen.splitlines()) == lines
    assert process.returncode == result


@pytest.mark.row("CLI-07")
def test_fail_safe_in_the_foreground_ends_with_its_server(workplace) -> None:
    script = workplace.serve(SERVER.format(port=0, more="").replace(', logpath="logs"', ""), "-f")
    assert script.get().status == 200
    script.signal(SIGTERM)
    assert script.end() == 0


def test_the_server_ends_when_its_fail_safe_parent_is_killed(workplace) -> None:
    script = workplace.serve(SERVER.format(port=0, more="").replace(', logpath="logs"', ""), "-f")
    assert script.port
    [master] = children(script.process.pid)
    script.signal(SIGKILL)
    await_end(master)
    script.end()
    assert "stopping within 30 s: the parent process is gone" in script.text


@pytest.mark.row("CLI-08")
def test_arguments_of_its_own_reach_the_script(workplace) -> None:
    script = workplace.serve(
        "import sys\ndef app(env, start_response):\n"
        "    start_response('200 OK', [])\n    return [' '.join(sys.argv[1:])]\n"
        "import skitai\nskitai.mount('/', app)\nskitai.run(port=0)\n",
        "--config",
        "start",
        "-x",
    )
    assert script.get().text == "--config start -x"
