"""The five pages in Saddle: ``app`` is served natively, ``wsgi`` is the same app as a plain WSGI callable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from framework_data import COUNTER, DOCUMENT, HELLO, ROWS, SECRET, TEMPLATE, TITLE

from skitai.saddle import Saddle

app = Saddle(__name__)
app.securekey = SECRET


@app.route("/")
def hello(was: Any) -> str:
    """A short text."""
    return HELLO


@app.route("/json")
def json(was: Any) -> Any:
    """A small document."""
    return was.jstream(DOCUMENT)


@app.route("/arguments/<int:year>/<int:month>/<name>")
def arguments(was: Any, year: int, month: int, name: str) -> str:
    """Three arguments out of the path."""
    return f"{year + 1} {month + 1} {name}"


@app.route("/page")
def page(was: Any) -> Any:
    """A page of 50 rows."""
    return was.render(TEMPLATE, title=TITLE, rows=ROWS)


@app.route("/session")
def session(was: Any) -> str:
    """A value read from the session, and written to it."""
    visits = was.session.get(COUNTER, 0) + 1
    was.session[COUNTER] = visits
    return str(visits)


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The app for a server that knows WSGI only."""
    answer: Iterable[bytes] = app(environ, start_response)
    return answer
