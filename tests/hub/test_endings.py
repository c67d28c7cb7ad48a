"""What runs when a process of the server ends: handlers, threads, finalizers, those of the script once."""

from __future__ import annotations

import os
import re
from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, Signals

import pytest

from tests.scripts import Script, Workplace, await_end, children, is_alive

#: The script runs once: without it the first process is replaced by one that gevent patches from the first line on.
LAUNCHER = ("-m", "skitai")

SERVER = """
import atexit, os, tempfile, weakref

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

class Thing:
    pass

thing = Thing()
atexit.register(say, "end of the script")
weakref.finalize(thing, say, "end of its thing")
directory = tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(__file__)))
{before}

import skitai
skitai.mount("/", "app.py")
skitai.run(port=0{more})
"""

APP = """
import os

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

{what}

def app(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""

#: What an app registers, and what is said at the end of its worker.
KINDS = {
    "atexit": ("import atexit; atexit.register(say, 'it ends')", "it ends"),
    "weakref": ("import weakref\nclass A: pass\na = A(); weakref.finalize(a, say, 'finalized')", "finalized"),
    "a temporary directory": (
        "import tempfile\nclass D(tempfile.TemporaryDirectory):\n"
        "    @classmethod\n    def _cleanup(cls, *args, **more):\n"
        "        say('removed'); super()._cleanup(*args, **more)\n"
        "d = D(dir='.')",
        "removed",
    ),
    "logging": (
        "import logging.handlers\nclass Target(logging.Handler):\n    def emit(self, record): say('written')\n"
        "handler = logging.handlers.MemoryHandler(100, target=Target())\n"
        "handler.emit(logging.makeLogRecord({'msg': 'x', 'levelno': logging.INFO}))",
        "written",
    ),
    "a thread": (
        "import threading, time\ndef work():\n    time.sleep(0.3); say('worked')\n"
        "def begin():\n    threading.Thread(target=work).start()\n"
        "threading._register_atexit(begin)",
        "worked",
    ),
    "an executor": (
        "import concurrent.futures, time\npool = concurrent.futures.ThreadPoolExecutor(1)\n"
        "def work():\n    time.sleep(0.3); say('done')\n"
        "import threading\nthreading._register_atexit(lambda: pool.submit(work).result())",
        "done",
    ),
    "others run behind one that fails": (
        "import atexit, sys\natexit.register(say, 'still')\natexit.register(sys.exit, 7)\n"
        "atexit.register(lambda: 1 / 0)",
        "still",
    ),
    "a handler that waits": ("import atexit, time; atexit.register(lambda: (time.sleep(0.05), say('slept')))", "slept"),
}


def start(workplace: Workplace, what: str, before: str = "", more: str = "") -> tuple[Script, list[int]]:
    """Start a server; return it and its workers."""
    workplace.file("app.py", APP.format(what=what))
    script = workplace.script(SERVER.format(before=before, more=more), name="run.py").start(launcher=LAUNCHER)
    script.line(r"\(worker \d\) started")
    return script, children(script.process.pid)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_worker_registered_runs_at_its_end(workplace: Workplace, kind: str) -> None:
    what, said = KINDS[kind]
    script, _ = start(workplace, what)
    assert script.stop() == 0
    assert script.text.count(said) == 1, script.text
    for of_the_script in ("end of the script", "end of its thing"):
        assert script.text.count(of_the_script) == 1, "in the supervisor, once"
    assert script.text.index(said) < script.text.index("end of the script")
    assert not list(workplace.directory.glob("tmp*")), "the directory of the script went with the script"


def test_handlers_run_the_last_one_first(workplace: Workplace) -> None:
    script, _ = start(workplace, "import atexit; atexit.register(say, 'second'); atexit.register(say, 'first')")
    assert script.stop() == 0
    assert "first\nsecond\n" in script.text


def test_it_runs_when_workers_are_replaced_and_recycled(workplace: Workplace) -> None:
    script, [first] = start(workplace, "import atexit; atexit.register(say, 'end of', os.getpid())", more=", workers=1")
    script.signal(SIGHUP)
    script.next_line(rf"end of {first}$")
    await_end(first)
    assert list(workplace.directory.glob("tmp*")), "the directory of the script is still there"
    [second] = [pid for pid in children(script.process.pid) if is_alive(pid)]
    os.kill(second, SIGTERM)
    script.next_line(rf"end of {second}$")
    script.next_line(r"\(worker 1\) started")
    assert "end of the script" not in script.text
    assert script.stop() == 0
    assert len(re.findall(r"(?m)^end of \d+$", script.text)) == 3


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_signals_that_come_meanwhile_do_not_cut_it_short(workplace: Workplace, number: Signals) -> None:
    """A service manager signals the whole group, and rotates logs whenever it likes."""
    script, [pid] = start(
        workplace, "import atexit, time; atexit.register(lambda: (say('begins'), time.sleep(0.5), say('done')))"
    )
    script.signal(number)
    script.next_line("begins")
    for each in (SIGTERM, SIGINT, SIGHUP, SIGUSR1):
        os.kill(pid, each)
    script.signal(SIGUSR1)
    assert script.end() == 0
    assert "done" in script.text
    assert "was killed" not in script.text


@pytest.mark.parametrize(
    ("what", "culprit"),
    [
        ("import atexit, time; atexit.register(time.sleep, 1000)", "exit handlers"),
        ("import atexit\ndef spin():\n    while True: pass\natexit.register(spin)", "exit handlers"),
        (
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(1000,), name='sleeper').start()",
            "the thread 'sleeper'",
        ),
    ],
)
def test_the_end_is_bounded_and_says_what_did_not_end(workplace: Workplace, what: str, culprit: str) -> None:
    script, _ = start(workplace, what, "import skitai.hub.endings\nskitai.hub.endings.EXIT_TIME = 0.2")
    assert script.stop() == 0
    assert f"ends without {culprit}, not done within 0.2 s" in script.text


def test_who_is_told_to_end_now_ends(workplace: Workplace) -> None:
    script, [pid] = start(
        workplace, "import atexit, time; atexit.register(lambda: (say('begins'), time.sleep(1000), say('done')))"
    )
    script.signal(SIGTERM)
    script.next_line("begins")
    os.kill(pid, SIGUSR2)
    assert script.end() == 0
    assert "done" not in script.text


def test_daemonic_children_of_a_worker_end_with_it_and_those_of_the_script_do_not(workplace: Workplace) -> None:
    workplace.file("child.py", "import time\ndef wait():\n    time.sleep(1000)\n")
    begin = (
        "import multiprocessing, child\n"
        "p = multiprocessing.get_context('spawn').Process(target=child.wait, daemon=True); p.start()\n"
        "os.write(1, f'{who} {{p.pid}}\\n'.encode())\n"
    )
    guarded = begin.format(who="script").replace("\n", "\n    ").rstrip()
    workplace.file("app.py", APP.format(what=begin.format(who="worker")))
    script = workplace.script(
        "import os, sys\nsys.path.insert(0, '.')\nif __name__ == '__main__':\n    "
        + guarded
        + "\n    import skitai\n    skitai.mount('/', 'app.py')\n    skitai.run(port=0)\n",
        name="run.py",
    ).start(launcher=LAUNCHER)
    of_script = int(script.line(r"^script (\d+)")[1])
    of_worker = int(script.line(r"^worker (\d+)")[1])
    script.line(r"\(worker 1\) started")
    script.signal(SIGHUP)
    script.next_line("new workers are ready")
    await_end(of_worker)
    os.kill(of_script, 0)
    assert script.stop() == 0
    await_end(of_script)


def test_a_command_does_not_end_what_belongs_to_the_server(workplace: Workplace) -> None:
    """`start` returns when the server is ready; the script that it ran goes on as the server."""
    workplace.file("app.py", APP.format(what=""))
    script = workplace.script(SERVER.format(before="", more=", logpath='logs'"), name="run.py")
    assert script.start("start", launcher=LAUNCHER).end() == 0
    try:
        assert "end of the script" not in script.text
        assert list(workplace.directory.glob("tmp*"))
    finally:
        script.run("stop")


# Threads that are there before the fork


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("import threading, time\n"
         "threading.Thread(target=time.sleep, args=(1000,), daemon=True, name='refresh').start()", "'refresh'"),
        ("import gevent.monkey, time\ndef refresh():\n    gevent.monkey.get_original('time', 'sleep')(1000)\n"
         "gevent.monkey.get_original('_thread', 'start_new_thread')(refresh, ())\ntime.sleep(0.1)", "refresh()"),
    ],
)  # fmt: skip
def test_threads_that_a_fork_leaves_behind_are_named_once(workplace: Workplace, before: str, name: str) -> None:
    script, _ = start(workplace, "", before, ", workers=2")
    for index in (1, 2):
        script.line(rf"\(worker {index}\) started")
    script.signal(SIGHUP)
    script.next_line("new workers are ready")
    assert script.stop() == 0
    [line] = [each for each in script.text.splitlines() if "threads that run before" in each]
    assert name in line and "skitai.mount('/', 'app.py')" in line


def test_a_script_without_threads_is_not_warned(workplace: Workplace) -> None:
    script, _ = start(workplace, "", "import time, gevent\ngevent.get_hub().threadpool.apply(int)")
    assert script.stop() == 0
    assert "threads that run before" not in script.text
