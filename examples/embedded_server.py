"""The server inside a gevent program of your own, which goes on with its work.

    python embedded_server.py            starts a server, asks it five things at once, prints the answers, and stops it

A program that is not patched by gevent can do it as well: the server itself only needs the hub of gevent.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402

from flask import Flask  # noqa: E402

from skitai import was  # noqa: E402
from skitai.hub import make_server  # noqa: E402

app = Flask(__name__)


@app.get("/square/<int:number>")
def square(number: int) -> dict[str, int]:
    time.sleep(0.1)
    return {"number": number, "square": number * number}


def main() -> None:
    server = make_server(("127.0.0.1", 0), app, log=sys.stderr)
    server.start()
    print(f"serving on port {server.server_port}")
    try:
        # ``was`` works outside of requests, too.
        calls = [was.get(f"http://127.0.0.1:{server.server_port}/square/{number}") for number in range(5)]
        for call in calls:
            print(call.getwait(5).data)
    finally:
        server.stop()
    print("stopped")


if __name__ == "__main__":
    main()
