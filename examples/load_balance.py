"""One address for several servers: requests take turns, and a server that is down is left out.

    PORT=5001 python hello_wsgi.py &
    PORT=5002 python hello_wsgi.py &
    python load_balance.py
    curl http://127.0.0.1:5000/          which member answered, and what; ask several times

Stop one of the members: no request fails. ``MEMBERS=host:port,host:port`` names others.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from skitai import was

app = Flask(__name__)


@app.get("/")
def hello() -> tuple[dict[str, str], int]:
    result: Any = was.get.lb("@hello/").getwait(5)
    if result.status != 3:  # none of the members could be reached in time
        return {"error": f"{result.code} {result.reason}"}, 503
    host, port = result.node
    return {"member": f"{host}:{port}", "said": result.text.strip()}, result.code


if __name__ == "__main__":
    import skitai

    skitai.alias("@hello", skitai.PROTO_HTTP, os.environ.get("MEMBERS", "127.0.0.1:5001,127.0.0.1:5002"))
    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", 5000)))
