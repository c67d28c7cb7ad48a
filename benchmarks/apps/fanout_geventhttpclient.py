"""The fan-out page for ``gunicorn -k gevent`` with geventhttpclient, a fast client of that world."""

from __future__ import annotations

import os

import gevent
from flask import Flask
from geventhttpclient import HTTPClient

app = Flask(__name__)
client = HTTPClient(
    "127.0.0.1", int(os.environ["UPSTREAM_PORT"]), concurrency=1000, connection_timeout=10, network_timeout=10
)


def fetch() -> str:
    """One call."""
    with client.get("/item") as response:
        body: bytes = response.read()
        return body.decode()


@app.get("/")
def page() -> str:
    """Five calls at once, answers joined in order."""
    calls = [gevent.spawn(fetch) for _ in range(5)]
    return "".join(call.get() for call in calls)
