"""Skitai, a Python application server."""
from .constants import *  # noqa: F403
