"""Credentials of every kind, through everything that a call shows: reprs, errors, log lines."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from skitai import was
from skitai.net import logs
from skitai.net.logs import LogFile, Logs
from skitai.wire import clusters

from .conftest import Peers

SECRET = "s3cr3t"


class Written:
    """All that was logged."""

    def __init__(self) -> None:
        self._stream = io.BytesIO()
        self._file = LogFile(sink=lambda data: self._add(data))
        self.logs = Logs(self._file, self._file, self._file)

    def _add(self, data: bytes) -> None:
        self._stream.write(data)

    @property
    def text(self) -> str:
        self._file.flush()
        return self._stream.getvalue().decode()


@pytest.fixture
def written() -> Iterator[Written]:
    before = logs.current()
    made = Written()
    logs.use(made.logs)
    yield made
    logs.use(before)


def shown(thing: Any) -> str:
    """Everything that tells of a request, its result and its error."""
    result = thing.getwait(5)
    texts = [
        repr(thing),
        str(thing),
        repr(result),
        str(result),
        repr(result.request),
        repr(thing.call),
        repr(result.node),
    ]
    error = result.error
    if error is not None:
        texts += ["".join(traceback.format_exception(error)), repr(error)]
    return "\n".join(texts)


#: Calls to a server that is not there, and calls that cannot be made.
CALLS: dict[str, Callable[[str], Any]] = {
    "get": lambda where: was.get(f"http://joe:{SECRET}@{where}/?token={SECRET}"),
    "post": lambda where: was.post(f"http://{SECRET}@{where}/", {"a": "b"}, headers={"Cookie": f"a={SECRET}"}),
    "auth": lambda where: was.get(
        f"http://{where}/", auth=("joe", SECRET), headers={"Authorization": f"Basic {SECRET}"}
    ),
    "token": lambda where: was.get(f"http://{where}/", auth=(SECRET,)),
    "rpc": lambda where: was.rpc(f"http://joe:{SECRET}@{where}/rpc").method(),
    "ws": lambda where: was.ws(f"ws://joe:{SECRET}@{where}/?access_token={SECRET}", "hi"),
    "postgresql": lambda where: was.postgresql(where, "db", ("joe", SECRET)).execute("select 1"),
    "postgresql, all in one": lambda where: was.postgresql(f"{where}/db/joe/{SECRET}").execute("select 1"),
    "postgresql, a URL as name": lambda where: was.postgresql(where, f"postgres://joe:{SECRET}@h/db").execute(
        "select 1"
    ),
    "redis": lambda where: was.redis(f"{where}/0/joe/{SECRET}").get("a"),
    "mongodb": lambda where: was.mongodb(where, "db", ("joe", SECRET)).findone("a", {}),
    "alias of a database": lambda where: was.postgresql("@db").execute("select 1"),
    "no URL": lambda where: was.get(f"htp://joe:{SECRET}@{where}/"),
    "no host": lambda where: was.get(f"http://joe:{SECRET}@1.2/"),
    "a raw at sign": lambda where: was.get(f"http://joe:a@{SECRET}@{where}/"),
    "a raw slash": lambda where: was.get(f"http://joe:a/{SECRET}@{where}/"),
    "a blank": lambda where: was.get(f"http://joe:a {SECRET}@{where}/"),
    "a control character": lambda where: was.get(f"http://joe:{SECRET}\x07@{where}/"),
    "a token that cannot be": lambda where: was.get(f"http://{where}/", auth=(f"{SECRET}\n",)),
    "a field that cannot be": lambda where: was.get(f"http://{where}/", headers={"Authorization": f"{SECRET}\n"}),
    "no database": lambda where: was.postgresql(f"joe:{SECRET}@{where}").execute("select 1"),
    "a DSN for a server": lambda where: was.redis(f"redis://joe:{SECRET}@{where}/0").get("a"),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_a_call_shows(peers: Peers, written: Written, name: str) -> None:
    where = peers.refusing()
    clusters.define("@db", "postgresql", f"{where}/db/joe/{SECRET}")
    thing = CALLS[name](where)
    assert SECRET not in shown(thing)
    assert SECRET not in written.text


def test_stubs_and_places(peers: Peers) -> None:
    where = peers.refusing()
    url = f"http://joe:{SECRET}@{where}/a"
    for stub in (
        was.rpc(url),
        was.grpc(url),
        was.postgresql(f"{where}/db/joe/{SECRET}"),
        was.redis(f"{where}/0/j/{SECRET}"),
    ):
        assert SECRET not in repr(stub)


def test_results_and_their_headers(peers: Peers) -> None:
    peer = peers.saying(
        b"", "302 Found", f"Set-Cookie: a={SECRET}", f"Set-Cookie: b={SECRET}", f"Location: http://u:{SECRET}@h/"
    )
    result = was.get(peer.url()).getwait(5)
    assert SECRET not in repr(result.headers)
    assert result.headers["location"] == f"http://u:{SECRET}@h/"  # who asks for it, gets it


def test_log_lines(written: Written) -> None:
    was.log(f"connecting to redis://:{SECRET}@h:6379/0")
    was.log(f"first\nmongodb://joe:{SECRET}@h1,h2/db")
    was.log({"password": SECRET})
    try:
        raise ValueError(f"invalid dsn: host=h password={SECRET}") from OSError(f"http://joe:{SECRET}@h/")
    except ValueError:
        was.traceback()
    assert SECRET not in written.text
    assert len(written.text.splitlines()) == 5
