"""Serve ``module:name`` with us: ``python -m gevent.monkey serve_skitai.py PORT MODULE:NAME [log]``.

``log`` writes the request log to a temporary file, as a deployed server would; otherwise there is none, as with the
peers.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from dataclasses import replace

from skitai.hub import make_server
from skitai.settings import ServerSettings

if __name__ == "__main__":
    module, _, name = sys.argv[2].partition(":")
    app = getattr(importlib.import_module(module), name)
    settings = ServerSettings(workers=0)
    # Idle connections are to stay: 10,000 of them take longer to open than the two seconds that are the default.
    settings = replace(settings, limits=replace(settings.limits, keep_alive=600.0))
    with tempfile.TemporaryFile("w") as log:
        port = int(sys.argv[1])
        wanted = log if "log" in sys.argv[3:] else None
        make_server(("127.0.0.1", port), app, log=wanted, settings=settings).serve_forever()
