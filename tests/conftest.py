"""Tests run in a cooperative process, as apps do: patched before anything else is imported."""

from skitai import patches

patches.apply()
