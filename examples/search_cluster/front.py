"""The front of the search cluster: plain Flask, which asks the members with ``was``.

    MEMBERS=127.0.0.1:5001,127.0.0.1:5002,127.0.0.1:5003 PORT=5000 python front.py

and open http://127.0.0.1:5000/. Every page is JSON with ``?format=json``.

    /search?q=WORDS   asks all members at once and merges what they found (map-reduce)
    /one?q=WORDS      asks one member, the next one each time (load balancing)
    /fanout           several calls at once; ``&serial=1`` makes them one after another, to compare
    /document?name=X  reads one document from whichever member has it
"""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request

from skitai import was

# Seconds that a page waits for the members, counted from the first call.
PATIENCE = 3
PAGE_SIZE = 20
MAX_CALLS = 12
MAX_DELAY = 1000
MAX_QUERY = 200

app = Flask(__name__)


@app.get("/")
def home() -> Response:
    clock = Clock()
    results = was.get.map("@search/about").getswait(PATIENCE)
    clock.stop()
    return page("home.html", clock, results)


@app.get("/search")
def search() -> Response:
    query = read_query()
    clock = Clock()
    results = was.get.map("@search/search", {"q": query, "limit": PAGE_SIZE}).getswait(PATIENCE)
    clock.stop()
    answers = [result.data for result in results if is_answer(result)]
    hits = [{**hit, "shard": answer["shard"]} for answer in answers for hit in answer["hits"]]
    # Documents are spread by chance, so each shard weighs words much alike and their ranks can be compared.
    hits.sort(key=lambda hit: (hit["rank"], hit["name"]))
    total = sum(answer["total"] for answer in answers)
    return page("search.html", clock, results, query=query, total=total, hits=hits[:PAGE_SIZE])


@app.get("/one")
def one() -> Response:
    query = read_query()
    clock = Clock()
    result = was.get.lb("@search/search", {"q": query, "limit": PAGE_SIZE}).getwait(PATIENCE)
    clock.stop()
    answer = result.data if is_answer(result) else {"total": 0, "hits": [], "shard": None, "shards": None}
    return page(
        "one.html", clock, [result], query=query, answered_by=name_of(result),
        total=answer["total"], hits=answer["hits"], shard=answer["shard"], shards=answer["shards"],
    )  # fmt: skip


@app.get("/fanout")
def fanout() -> Response:
    count = read_number("calls", 6, 1, MAX_CALLS)
    delay = read_number("delay", 100, 0, MAX_DELAY)
    is_serial = request.args.get("serial") == "1"
    clock = Clock()
    if is_serial:
        results = [was.get("@search/about", {"delay": delay}).getwait(PATIENCE) for _ in range(count)]
    else:
        # Request early: all of them are under way when the first one is waited for.
        calls = [was.get("@search/about", {"delay": delay}) for _ in range(count)]
        results = [call.getwait(PATIENCE) for call in calls]
    clock.stop()
    return page("fanout.html", clock, results, calls_made=count, delay=delay, serial=is_serial)


@app.get("/document")
def document() -> Response:
    clock = Clock()
    name = request.args.get("name", "")[:MAX_QUERY]
    results = was.get.map("@search/document", {"name": name}).getswait(PATIENCE)
    clock.stop()
    # A member whose shard does not have it says 404, which is an answer as well. One that says nothing may have it.
    found = next((result.data["document"] for result in results if is_answer(result)), None)
    missing = 404 if all(has_replied(result) for result in results) else 503
    return page("document.html", clock, results, 200 if found else missing, name=name, document=found)


class Clock:
    """How long the calls of a page took together."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.milliseconds = 0.0

    def stop(self) -> None:
        self.milliseconds = round((time.perf_counter() - self._started) * 1000, 2)


def page(template: str, clock: Clock, results: Any, status: int = 200, **facts: Any) -> Response:
    """What was found and how long that took, as HTML or JSON."""
    calls = [describe(result) for result in results]
    failed = [call for call in calls if not call["ok"]]
    if len(failed) == len(calls):
        status = 503
    alone = round(sum(call["took_ms"] or 0 for call in calls), 2)
    facts.update(calls=calls, failed=failed, alone_ms=alone, together_ms=clock.milliseconds)
    response = jsonify(facts) if wants_json() else make_response(render_template(template, **facts))
    response.status_code = status
    response.headers["Vary"] = "Accept"
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
    return response


def describe(result: Any) -> dict[str, Any]:
    """One call: who answered, or did not and why, and how long the member worked for it."""
    data = result.data if has_replied(result) else {}
    return {
        "member": name_of(result),
        "shard": data.get("shard"),
        "documents": data.get("documents"),
        "ok": has_replied(result),
        "code": result.code,
        "reason": result.reason,
        "took_ms": data.get("took_ms"),
    }


def has_replied(result: Any) -> bool:
    # status 3: the member answered, whatever it said; 1: it took too long; 2: it could not be reached.
    return bool(result.status == 3 and result.code < 500)


def is_answer(result: Any) -> bool:
    return bool(result.status == 3 and result.code == 200)


def name_of(result: Any) -> str:
    return "{}:{}".format(*result.node) if result.node else "no member"


def wants_json() -> bool:
    wanted = request.args.get("format")
    if wanted in ("json", "html"):
        return wanted == "json"
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def read_query() -> str:
    return request.args.get("q", "")[:MAX_QUERY].strip()


def read_number(name: str, default: int, least: int, most: int) -> int:
    return min(max(request.args.get(name, default, int), least), most)


if __name__ == "__main__":
    import skitai

    members = os.environ.get("MEMBERS", "127.0.0.1:5001,127.0.0.1:5002,127.0.0.1:5003")
    skitai.alias("@search", skitai.PROTO_HTTP, members)
    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", 5000)), threads=32)
