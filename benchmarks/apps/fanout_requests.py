"""The fan-out page for ``gunicorn -k gevent`` with requests: a pooled session, a greenlet per call."""

from __future__ import annotations

import os

import gevent
import requests
from flask import Flask
from requests.adapters import HTTPAdapter

URL = f"http://127.0.0.1:{os.environ['UPSTREAM_PORT']}/item"
app = Flask(__name__)
session = requests.Session()
# 128 connections x 5 calls are in flight at most; a smaller pool would throw connections away.
session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1000))


@app.get("/")
def page() -> str:
    """Five calls at once, answers joined in order."""
    calls = [gevent.spawn(session.get, URL, timeout=10) for _ in range(5)]
    return "".join(call.get().text for call in calls)
