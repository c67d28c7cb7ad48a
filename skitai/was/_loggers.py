"""``wasc.logger``: the logs of the process for apps."""

from __future__ import annotations

from skitai.net import logs
from skitai.net.rotation import Rotation


class Loggers:
    """Gives logs by name and makes further ones."""

    def get(self, name: str) -> logs.Logger:
        """Return the log ``server``, ``request``, ``app``, or one that was made.

        Returns:
            A callable ``logger(message, category)`` with the methods ``log`` and ``trace``.

        Raises:
            KeyError: there is none of that name.
        """
        return logs.current().get(name)

    def make_logger(self, name: str, freq: Rotation = "daily") -> logs.Logger:
        """Make ``<name>.log`` beside the other logs, and return it as :meth:`get` does.

        Args:
            freq: ``"daily"``, ``"weekly"`` or ``"monthly"``: when the file is renamed.

        Raises:
            TypeError: there is one of that name already.
            ValueError: the name is not safe as a file name, or ``freq`` is none of the three.
        """
        return logs.current().make(name, freq)
