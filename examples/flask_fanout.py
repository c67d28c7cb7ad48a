"""Five slow services, asked at once by a Flask app that knows nothing of its server.

    python flask_fanout.py
    curl http://127.0.0.1:5000/          all five answers, after the time of the slowest one: about 0.2 s
    curl http://127.0.0.1:5000/serial    the same one after another: about 1 s

The slow services are views of this same app, so that there is nothing else to start.
"""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Flask, request

from skitai import was

DELAY = 0.2

app = Flask(__name__)


@app.get("/slow/<int:number>")
def slow(number: int) -> dict[str, Any]:
    time.sleep(DELAY)  # gives way to other requests: the server has made the standard library cooperative
    return {"number": number, "transaction": was.txnid()}


@app.get("/")
def at_once() -> dict[str, Any]:
    began = time.perf_counter()
    calls = [was.get(f"{here()}/slow/{number}") for number in range(5)]  # each one starts here ...
    answers = [call.getwait(5).data for call in calls]  # ... and is waited for here
    return {"seconds": time.perf_counter() - began, "answers": answers}


@app.get("/serial")
def serial() -> dict[str, Any]:
    began = time.perf_counter()
    answers = [was.get(f"{here()}/slow/{number}").getwait(5).data for number in range(5)]
    return {"seconds": time.perf_counter() - began, "answers": answers}


def here() -> str:
    # Not request.host_url: what a client writes into Host must not decide whom we ask.
    return f"http://127.0.0.1:{request.environ['SERVER_PORT']}"


if __name__ == "__main__":
    import skitai

    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", 5000)))
