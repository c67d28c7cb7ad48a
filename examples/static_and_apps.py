"""Several apps and a directory of files in one server.

    python static_and_apps.py
    curl -i http://127.0.0.1:5000/                 static/index.html, which clients may keep for 5 minutes
    curl -i http://127.0.0.1:5000/style.css        static/style.css, an hour
    curl http://127.0.0.1:5000/time                no such file, so the Flask app of this file answers
    curl http://127.0.0.1:5000/raw/                the other app of this file, a plain function
    curl http://127.0.0.1:5000/hello/              the app of another file

The longest mount point that covers a path gets the request; where a directory and an app share one, a file comes first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, url_for

pages = Flask(__name__, static_folder=None)


@pages.get("/time")
def time() -> dict[str, str]:
    return {"now": datetime.now(UTC).isoformat(), "served_at": url_for("time")}


def raw(env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"mounted at {env['SCRIPT_NAME']!r}, asked for {env['PATH_INFO']!r}\n".encode()]


if __name__ == "__main__":
    import skitai

    skitai.mount("/", "static")
    skitai.mount("/", __file__, "pages")
    skitai.mount("/raw", __file__, "raw")
    skitai.mount("/hello", "hello_wsgi.py")
    skitai.set_max_age("/", 300)
    skitai.set_max_age("/style.css", 3600)
    skitai.run(port=int(os.environ.get("PORT", 5000)))
