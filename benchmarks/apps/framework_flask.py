"""The five pages in Flask."""

from __future__ import annotations

from flask import Flask, jsonify, render_template, session
from flask.typing import ResponseReturnValue
from framework_data import COUNTER, DOCUMENT, HELLO, ROWS, SECRET, TEMPLATE, TITLE

app = Flask(__name__)
app.secret_key = SECRET


@app.get("/")
def hello() -> str:
    """A short text."""
    return HELLO


@app.get("/json")
def json() -> ResponseReturnValue:
    """A small document."""
    return jsonify(DOCUMENT)


@app.get("/arguments/<int:year>/<int:month>/<name>")
def arguments(year: int, month: int, name: str) -> str:
    """Three arguments out of the path."""
    return f"{year + 1} {month + 1} {name}"


@app.get("/page")
def page() -> str:
    """A page of 50 rows."""
    return render_template(TEMPLATE, title=TITLE, rows=ROWS)


@app.get("/session")
def visit() -> str:
    """A value read from the session, and written to it."""
    visits = session.get(COUNTER, 0) + 1
    session[COUNTER] = visits
    return str(visits)
