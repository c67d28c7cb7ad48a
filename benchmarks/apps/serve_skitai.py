"""Serve ``module:name`` with us as users do: ``python -m skitai serve_skitai.py PORT MODULE:NAME [log] [tls=FILE]``.

``log`` writes the request log to a temporary directory, as a deployed server would; otherwise there is none, as with
the peers. The server is in this process (``workers=0``), so that the harness measures and ends one process.
"""

from __future__ import annotations

import importlib
import sys
import tempfile

import skitai

if __name__ == "__main__":
    module, _, name = sys.argv[2].partition(":")
    for word in sys.argv[3:]:
        if word.startswith("tls="):
            skitai.enable_ssl(word.removeprefix("tls="))
    skitai.mount("/", getattr(importlib.import_module(module), name))
    with tempfile.TemporaryDirectory() as directory:
        skitai.run(
            port=int(sys.argv[1]),
            workers=0,
            logpath=directory,
            request_log="log" in sys.argv[3:],
            # Idle connections are to stay: opening 10,000 takes longer than the two seconds that are the default.
            keep_alive=600,
        )
