"""Serve ``module:name`` as users do: ``python -m skitai serve_skitai.py PORT MODULE:NAME [log] [tls CERT KEY]``.

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
    skitai.mount("/", getattr(importlib.import_module(module), name))
    if "tls" in sys.argv[3:]:
        place = sys.argv.index("tls")
        skitai.enable_ssl(sys.argv[place + 1], sys.argv[place + 2])
    with tempfile.TemporaryDirectory() as directory:
        skitai.run(
            port=int(sys.argv[1]),
            workers=0,
            logpath=directory,
            request_log="log" in sys.argv[3:],
            # Idle connections are to stay: opening 10,000 takes longer than the two seconds that are the default.
            keep_alive=600,
        )
