"""Serve with gevent.pywsgi, without a log: ``python -m gevent.monkey serve_pywsgi.py PORT MODULE:NAME``.

pywsgi sends head and body apart and leaves Nagle's algorithm on, so each answer waits some 40 ms for the client's
delayed ACK. The listener therefore has TCP_NODELAY set, which accepted sockets inherit on Linux: the peer is measured
at its work, not at that wait.
"""

from __future__ import annotations

import importlib
import socket
import sys

from gevent.pywsgi import WSGIServer


def listener(port: int) -> socket.socket:
    """A listening socket whose connections send at once."""
    bound = socket.create_server(("127.0.0.1", port), backlog=4096)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.setblocking(False)
    return bound


if __name__ == "__main__":
    module, _, name = sys.argv[2].partition(":")
    WSGIServer(listener(int(sys.argv[1])), getattr(importlib.import_module(module), name), log=None).serve_forever()
