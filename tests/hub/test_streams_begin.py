"""Many requests at one time whose responses have no end: the last of them begins soon, too."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from gevent import get_hub

from tests.hub.conftest import PATIENCE, until
from tests.hub.http2_client import Http2Client


def test_the_last_of_many_streams_waits_for_no_slice_of_the_others(serve: Any) -> None:
    """Each began within the turn of its connection, and took it: the next one waited behind all that had begun.

    Turns of the loop are counted, not seconds: without what is tested there are ten for each stream before the last.
    """
    begun: list[int] = []
    is_over = False

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        begun.append(get_hub().loop.iteration)
        while not is_over:
            yield b"x"

    running = serve(app)
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as sock:
        client = Http2Client(sock, is_reading=False)
        for _ in range(60):
            client.open()
        until(lambda: len(begun) == 60)
        is_over = True
    assert begun[-1] - begun[0] < 200
