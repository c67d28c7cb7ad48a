"""The five pages in Bottle. What it has for sessions is its signed cookies."""

from __future__ import annotations

from typing import Any

from bottle import Bottle, request, response
from framework_data import COUNTER, DOCUMENT, HELLO, ROWS, SECRET, TEMPLATE, TEMPLATES, TITLE
from jinja2 import Environment, FileSystemLoader

app = Bottle()
# Its own adapter of Jinja2 does not escape; the page is the same for all.
templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)


@app.get("/")
def hello() -> str:
    """A short text."""
    return HELLO


@app.get("/json")
def json() -> dict[str, Any]:
    """A small document."""
    return DOCUMENT


@app.get("/arguments/<year:int>/<month:int>/<name>")
def arguments(year: int, month: int, name: str) -> str:
    """Three arguments out of the path."""
    return f"{year + 1} {month + 1} {name}"


@app.get("/page")
def page() -> str:
    """A page of 50 rows."""
    return templates.get_template(TEMPLATE).render(title=TITLE, rows=ROWS)


@app.get("/session")
def session() -> str:
    """A value read from a signed cookie, and written to it."""
    values = request.get_cookie("session", secret=SECRET) or {}
    visits = values.get(COUNTER, 0) + 1
    response.set_cookie("session", {**values, COUNTER: visits}, secret=SECRET, path="/", httponly=True, samesite="lax")
    return str(visits)
