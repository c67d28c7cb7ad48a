"""Map-reduce over XML-RPC: every member counts a word in its share, and the counts are added up here.

    PORT=5001 SHARE=1/2 python xmlrpc_member.py &
    PORT=5002 SHARE=2/2 python xmlrpc_member.py &
    python map_reduce_xmlrpc.py
    curl 'http://127.0.0.1:5000/count?word=object'      the sum, and what each member had
    curl http://127.0.0.1:5000/methods                  what one of the members, whichever, offers

Stop one of the members: the sum is that of the others, and the answer says who is missing.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request

from skitai import was

app = Flask(__name__)


@app.get("/count")
def count() -> dict[str, Any]:
    word = request.args.get("word", "object")
    results = was.rpc.map("@counters/rpc2").count(word).getswait(5)  # map: all members at once
    counts = [result.data for result in results if result.code == 200]
    return {
        "word": word,
        "times": sum(each["times"] for each in counts),  # reduce
        "texts": sum(each["texts"] for each in counts),
        "members": counts,
        "codes": results.code,
        "missing": ["{}:{}".format(*result.node) for result in results if result.code != 200],
    }


@app.get("/methods")
def methods() -> list[str]:
    names: list[str] = was.rpc.lb("@counters/rpc2").system.listMethods().getwait(5, reraise=True).data
    return names


if __name__ == "__main__":
    import skitai

    skitai.alias("@counters", skitai.PROTO_HTTP, os.environ.get("MEMBERS", "127.0.0.1:5001,127.0.0.1:5002"))
    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", 5000)))
