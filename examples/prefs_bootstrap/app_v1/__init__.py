"""Prepares the app of this directory, once, while the server is configured."""

from __future__ import annotations

from typing import Any

import skitai

from . import links


def bootstrap(pref: Any) -> None:
    """Called by ``skitai.mount()`` with the preferences that the script gave."""
    pref.config.links = links.read(skitai.joinpath(pref.config.links_file))
    skitai.mount("/v1-notes", skitai.joinpath("notes"))
