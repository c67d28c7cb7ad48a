"""What all apps of the case of databases share: where the servers are, and what is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

POSTGRES = json.loads(os.environ["POSTGRES"])
REDIS = json.loads(os.environ["REDIS"])
CONNECTIONS = 20
ONE = "select 1 as n"
ROWS = "select n, 'row ' || n as text from generate_series(0, 999) n"


def answer(start_response: Callable[..., Any], found: int) -> list[bytes]:
    """A number as the response of a WSGI app."""
    body = b"%d" % found
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
