"""Hello world in plain Flask, the same file for every server."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """The whole page."""
    return "Hello, world!"
