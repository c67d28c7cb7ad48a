"""The app of a member: it answers from its own shard. ``member.py`` serves it.

    /search?q=WORDS     the best documents with these words
    /document?name=X    one document; 404 when it is in another shard
    /about              what this member has

Every answer is JSON and says how long this member took (``took_ms``). ``delay=MS`` makes it take longer.
"""

from __future__ import annotations

import os
import time
from typing import Any

from corpus import documents
from flask import Flask, Response, g, jsonify, request
from index import Index

MAX_DELAY = 2000
MAX_LIMIT = 50

shard, shards = (int(number) for number in os.environ.get("SHARD", "1/3").split("/"))
# This file is executed in each worker process, before that serves: a member that answers has its index.
index = Index(documents(shard - 1, shards))

app = Flask(__name__)


@app.before_request
def delay() -> None:
    g.started = time.perf_counter()
    milliseconds = request.args.get("delay", 0, int)
    # Sleeping and waiting give way to other requests; only work of the processor itself holds them up.
    time.sleep(min(max(milliseconds, 0), MAX_DELAY) / 1000)


@app.get("/search")
def search() -> Response:
    limit = min(max(request.args.get("limit", 10, int), 1), MAX_LIMIT)
    total, hits = index.search(request.args.get("q", ""), limit)
    return answer(total=total, hits=hits)


@app.get("/document")
def document() -> tuple[Response, int]:
    found = index.read(request.args.get("name", ""))
    return answer(document=found and found._asdict()), 200 if found else 404


@app.get("/about")
def about() -> Response:
    return answer(documents=len(index), pid=os.getpid())


def answer(**facts: Any) -> Response:
    took = (time.perf_counter() - g.started) * 1000
    return jsonify(shard=shard, shards=shards, took_ms=round(took, 2), **facts)
