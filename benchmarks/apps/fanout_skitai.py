"""The fan-out page for us: Flask and ``was``, nothing else."""

from __future__ import annotations

import os

from flask import Flask

from skitai import was

URL = f"http://127.0.0.1:{os.environ['UPSTREAM_PORT']}/item"
app = Flask(__name__)


@app.get("/")
def page() -> str:
    """Five calls at once, answers joined in order."""
    calls = [was.get(URL) for _ in range(5)]
    return "".join(call.getwait(10).text for call in calls)
