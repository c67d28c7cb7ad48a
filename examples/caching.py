"""Answers of slow services, kept for a while.

python caching.py
curl http://127.0.0.1:5000/            asks the slow service: number 1
curl http://127.0.0.1:5000/            at once, from the cache: number 1 again, for a minute
curl 'http://127.0.0.1:5000/?new=1'    asks again, and keeps that answer: number 2
curl http://127.0.0.1:5000/            number 2, from the cache
"""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

from flask import Flask, request

from skitai import was

app = Flask(__name__)
numbers = itertools.count(1)


@app.get("/slow")
def slow() -> dict[str, int]:
    time.sleep(0.2)
    return {"number": next(numbers)}


@app.get("/")
def home() -> dict[str, Any]:
    began = time.perf_counter()
    url = f"http://127.0.0.1:{request.environ['SERVER_PORT']}/slow"
    # use_cache=False asks the service whatever is kept.
    result = was.get(url, use_cache="new" not in request.args).getwait(5)
    if not result.is_cached:
        result.cache(60)  # ignored when there was no answer
    return {"is_cached": result.is_cached, "seconds": time.perf_counter() - began, **result.data}


if __name__ == "__main__":
    import skitai

    skitai.set_max_rcache(100)
    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", 5000)))
