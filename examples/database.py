"""A guest book, and a page that asks several questions of one or several databases at once.

    python database.py
    curl -d name=Kim -d text=Hello http://127.0.0.1:5000/sign
    curl http://127.0.0.1:5000/

SQLite needs no server. Others join in when the environment says where they are:

    PG=127.0.0.1:5432/mydb/user/password REDIS=127.0.0.1:6379 MONGO=127.0.0.1:27017/mydb python database.py

Then each entry goes to all of them, and the page shows what each one has. One that is down leaves a gap in the page.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from typing import Any

import skitai
from skitai.saddle import Saddle

FILE = os.environ.get("FILE") or os.path.join(tempfile.gettempdir(), "guestbook.db")
PG, REDIS, MONGO = (os.environ.get(name) for name in ("PG", "REDIS", "MONGO"))

app = Saddle(__name__)


@app.startup
def make_tables(wasc: Any) -> None:
    table = "create table if not exists guests (name text, text text)"
    wasc.sqlite3("@sqlite").execute(table).wait(5)
    if PG:
        wasc.postgresql("@pg").execute(table).getwait(5)


@app.route("/")
def home(was: Any) -> Any:
    began = time.perf_counter()
    sqlite = was.sqlite3("@sqlite")
    asked = {  # all of these are on their way before the first one is waited for
        "latest": sqlite.execute("select name, text from guests order by rowid desc limit 10"),
        "count": sqlite.execute("select count(*) as entries from guests"),
        "names": sqlite.execute(
            "select name, count(*) as entries from guests group by name order by 2 desc, 1 limit 3"
        ),
    }
    if PG:
        asked["postgresql"] = was.postgresql("@pg").execute("select name, text from guests limit 10")
    if REDIS:
        asked["redis"] = was.redis("@redis").lrange("guests", 0, 9)
    if MONGO:
        asked["mongodb"] = was.mongodb("@mongo").findall("guests", {})
    page = {name: shown(request.getwait(2)) for name, request in asked.items()}
    return was.jstream({**page, "seconds": time.perf_counter() - began})


@app.route("/sign", methods=["POST"])
def sign(was: Any, name: str, text: str) -> Any:
    insert = "insert into guests values ({0}, {0})"
    requests = [was.sqlite3("@sqlite").execute(insert.format("?"), [name, text])]
    if PG:
        requests.append(was.postgresql("@pg").execute(insert.format("%s"), [name, text]))
    if REDIS:
        requests.append(was.redis("@redis").lpush("guests", f"{name}: {text}"))
    if MONGO:
        requests.append(was.mongodb("@mongo").insert("guests", {"name": name, "text": text}))
    for request in requests:
        request.wait(2)  # raises when it failed
    return was.redirect("/", "303 See Other")


def shown(result: Any) -> Any:
    """What an answer holds, in what JSON has words for."""
    if result.status != 3:
        return f"{result.code} {result.reason}"
    return json.loads(json.dumps(result.data, default=str))


if __name__ == "__main__":
    skitai.alias("@sqlite", skitai.DB_SQLITE3, FILE)
    for name, kind, address in (
        ("@pg", skitai.DB_PGSQL, PG),
        ("@redis", skitai.DB_REDIS, REDIS),
        ("@mongo", skitai.DB_MONGODB, MONGO),
    ):
        if address:
            skitai.alias(name, kind, address)
    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", 5000)))
