"""Serve ``module:name`` with bjoern, which has no command of its own: ``serve_bjoern.py PORT MODULE:NAME``."""

from __future__ import annotations

import importlib
import sys

import bjoern

if __name__ == "__main__":
    module, _, name = sys.argv[2].partition(":")
    bjoern.run(getattr(importlib.import_module(module), name), "127.0.0.1", int(sys.argv[1]))
