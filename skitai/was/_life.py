"""``was.restart()`` and ``was.shutdown()``: what the process that serves can be asked for."""

from __future__ import annotations

from typing import Protocol

from skitai.errors import LaunchError


class Control(Protocol):
    """Whoever runs the server of this process."""

    def restart(self, grace: float | None) -> None:
        """Serve anew."""

    def shutdown(self, grace: float | None) -> None:
        """Serve no more."""


_control: Control | None = None


def use(control: Control | None) -> None:
    """Say who runs the server of this process; ``None`` when there is none any more."""
    global _control
    _control = control


def control() -> Control:
    """Return who runs the server of this process.

    Raises:
        LaunchError: nobody does: the server is embedded in a program, which may stop it itself.
    """
    if _control is None:
        raise LaunchError(
            "this process serves by no skitai.run(), so was.restart() and was.shutdown() have nothing to act on: "
            "call stop() of the server that you made"
        )
    return _control
