"""asyncio inside requests: many at once, each with a loop of its own."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import flask
import gevent
import pytest
from greenlet import gettrace

AT_ONCE = 20
VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="none")


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)

    @app.get("/view")
    async def view() -> str:
        before = flask.request.args["n"]
        await asyncio.sleep(0.01)
        assert flask.request.args["n"] == before
        return before

    @app.get("/run")
    def run() -> str:
        VAR.set(flask.request.args["n"])

        async def work() -> str:
            await asyncio.sleep(0.01)
            return VAR.get()

        return asyncio.run(work())

    @app.get("/loop")
    def loop() -> str:
        number = flask.request.args["n"]
        loop = asyncio.new_event_loop()
        try:
            assert loop.run_until_complete(asyncio.sleep(0.005, number)) == number
            return loop.run_until_complete(asyncio.sleep(0.005, number))
        finally:
            loop.close()

    @app.get("/gather")
    def gather() -> str:
        async def work() -> list[str]:
            return await asyncio.gather(*[asyncio.sleep(0.01, flask.request.args["n"]) for _ in range(5)])

        answer = asyncio.run(work())
        assert len(set(answer)) == 1
        return answer[0]

    @app.get("/thread")
    def thread() -> str:
        async def work() -> str:
            await asyncio.to_thread(time.sleep, 0.01)
            return await asyncio.get_running_loop().run_in_executor(None, VAR.get) and flask.request.args["n"]

        return asyncio.run(work())

    @app.get("/blocking")
    def blocking() -> str:
        async def work() -> str:
            gevent.sleep(0.01)  # a call that waits as greenlets do, in the middle of a coroutine
            assert asyncio.get_running_loop().is_running()
            await asyncio.sleep(0)
            return flask.request.args["n"]

        return asyncio.run(work())

    @app.get("/stream")
    def stream() -> flask.Response:
        number = flask.request.args["n"]

        async def parts() -> Any:
            for each in number:
                await asyncio.sleep(0.001)
                yield each

        async def one(each: Any) -> Any:
            return await anext(each, None)

        def pieces() -> Any:
            with asyncio.Runner() as runner:
                each = parts()
                while (piece := runner.run(one(each))) is not None:
                    yield piece

        return flask.Response(pieces())

    @app.get("/process")
    def process() -> str:
        async def work() -> str:
            child = await asyncio.create_subprocess_exec("echo", flask.request.args["n"], stdout=subprocess.PIPE)
            output, _ = await child.communicate()
            assert child.returncode == 0
            return output.decode().strip()

        return asyncio.run(work())

    return app


def answers(server: Any, path: str) -> list[str]:
    """What as many clients get as ask at one time."""

    def ask(number: int) -> str:
        client = server.connect()
        body: bytes = client.request("GET", f"{path}?n={number}").body
        client.close()
        return body.decode()

    greenlets = [gevent.spawn(ask, number) for number in range(AT_ONCE)]
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    return [each.value for each in greenlets]


@pytest.mark.parametrize("path", ["/view", "/run", "/loop", "/gather", "/thread", "/blocking", "/stream", "/process"])
def test_many_requests_run_loops_at_one_time(serve: Any, open_files: Callable[[], int], until: Any, path: str) -> None:
    server = serve(flask_app())
    expected = [str(number) for number in range(AT_ONCE)]
    assert answers(server, path) == expected
    before = open_files()
    for _ in range(3):
        assert answers(server, path) == expected
    until(lambda: open_files() <= before + 2, "no loop has left a selector or a socket behind")
    assert asyncio._get_running_loop() is None
    assert gettrace() is None  # switches cost nothing when no loop runs


def test_they_wait_beside_each_other_and_beside_others(serve: Any) -> None:
    """Each waits for all: it would not end if one had to wait for another to finish."""
    arrived = 0

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        nonlocal arrived

        async def work() -> None:
            nonlocal arrived
            arrived += 1
            while arrived < AT_ONCE:
                await asyncio.sleep(0.001)

        asyncio.run(work())
        start_response("200 OK", [])
        return [b"done"]

    assert answers(serve(app), "/") == ["done"] * AT_ONCE


def test_a_timeout_of_gevent_cancels_what_the_loop_does() -> None:
    seen = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append("ended")

    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        asyncio.run(work())
    assert seen == ["cancelled", "ended"]
    assert asyncio.run(asyncio.sleep(0, "next")) == "next"


def test_a_greenlet_that_is_killed_leaves_no_loop_behind() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    greenlet = gevent.spawn(lambda: asyncio.run(work()))
    gevent.sleep(0.01)
    greenlet.kill()
    assert ended == [True]
    assert asyncio._get_running_loop() is None
    assert gettrace() is None


def test_async_generators_are_ended_by_the_loop_that_began_them() -> None:
    """The hooks of a loop belong to the thread as well: those of one greenlet must not be seen by another one."""
    ended: list[tuple[int, bool]] = []

    async def numbers(number: int) -> Any:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(0.001)
                yield number
        finally:
            await asyncio.sleep(0)
            ended.append((number, asyncio.get_running_loop() is loop))

    async def work(number: int) -> Any:
        each = numbers(number)
        assert await anext(each) == number
        return each  # not exhausted: the end of the loop ends it

    jobs = [gevent.spawn(lambda number: asyncio.run(work(number)), number) for number in range(AT_ONCE)]
    gevent.joinall(jobs, timeout=20, raise_error=True)
    assert sorted(ended) == [(number, True) for number in range(AT_ONCE)]
    assert sys.get_asyncgen_hooks() == (None, None)


def test_errors_are_those_of_asyncio() -> None:
    async def fail() -> None:
        raise ValueError("of the coroutine")

    async def nested() -> None:
        coroutine = asyncio.sleep(0)
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    with pytest.raises(ValueError, match="of the coroutine"):
        asyncio.run(fail())
    with pytest.raises(RuntimeError, match=r"asyncio\.run\(\) cannot be called from a running event loop"):
        asyncio.run(nested())
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_who_traces_switches_goes_on_doing_so() -> None:
    code = (
        "from skitai import patches; patches.apply()\n"
        "import asyncio, gevent, greenlet\n"
        "seen = []\n"
        "def trace(event, args): seen.append(event)\n"
        "greenlet.settrace(trace)\n"
        "gevent.joinall([gevent.spawn(lambda: asyncio.run(asyncio.sleep(0.01))) for _ in range(3)], raise_error=True)\n"
        "assert greenlet.gettrace() is trace and seen\n"
        "print('ok')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "ok\n", result.stderr


DJANGO = """
import asyncio, sys
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"], DEBUG=False)
import django
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

async def view(request):
    await asyncio.sleep(0.05)
    return HttpResponse(request.GET["n"])

urlpatterns = [path("", view)]
app = get_wsgi_application()
"""


def test_async_views_of_django(tmp_path: Any) -> None:
    pytest.importorskip("django")
    code = (
        "from skitai import patches; patches.apply()\n" + DJANGO + "\n"
        "import gevent\n"
        "def ask(n):\n"
        "    environ = {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/', 'QUERY_STRING': f'n={n}', 'SERVER_NAME': 'a',\n"
        "               'SERVER_PORT': '80', 'wsgi.input': __import__('io').BytesIO(), 'wsgi.url_scheme': 'http'}\n"
        "    status = []\n"
        "    body = b''.join(app(environ, lambda *args: status.append(args[0])))\n"
        "    return status[0], body\n"
        "jobs = [gevent.spawn(ask, n) for n in range(20)]\n"
        "gevent.joinall(jobs, timeout=20, raise_error=True)\n"
        "assert [job.value for job in jobs] == [('200 OK', str(n).encode()) for n in range(20)]\n"
        "print('ok')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert result.stdout == "ok\n", result.stderr
