"""An XML-RPC service by the standard library, as a WSGI app. ``map_reduce_xmlrpc.py`` asks several of them.

    PORT=5001 SHARE=1/2 python xmlrpc_member.py
    python -c "import xmlrpc.client as x; print(x.ServerProxy('http://127.0.0.1:5001/rpc2').count('object'))"

It counts words in its share of Python's help topics.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pydoc_data.topics import topics
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher

share, shares = (int(number) for number in os.environ.get("SHARE", "1/2").split("/"))
texts = [text for position, (_, text) in enumerate(sorted(topics.items())) if position % shares == share - 1]
words = Counter(word for text in texts for word in text.split())


def count(word: Any) -> dict[str, int]:
    """How often a word is in our texts, and in how many of them."""
    return {"times": words[word], "texts": sum(word in text.split() for text in texts)}


dispatcher = SimpleXMLRPCDispatcher(allow_none=True)
dispatcher.register_introspection_functions()
dispatcher.register_function(count)


def app(env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if env["REQUEST_METHOD"] != "POST" or env["PATH_INFO"].rstrip("/") != "/rpc2":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"POST to /rpc2\n"]
    answer = dispatcher._marshaled_dispatch(env["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/xml")])
    return [answer.encode() if isinstance(answer, str) else answer]


if __name__ == "__main__":
    import skitai

    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", 5001)))
