"""Messages that came and wait for the app, within a bound: above it their client is not read."""

from __future__ import annotations

#: Messages, and bytes or characters of them, above which the client is not read.
MOST_MESSAGES = 32
MOST_SIZE = 256 * 1024


class Inbox:
    """First in, first out."""

    __slots__ = ("_messages", "_size")

    def __init__(self) -> None:
        self._messages: list[tuple[str | None, str | bytes]] = []
        self._size = 0

    def put(self, event: str | None, content: str | bytes) -> None:
        """Keep a message, or an event of the WebSocket."""
        self._messages.append((event, content))
        self._size += len(content)

    def take(self) -> tuple[str | None, str | bytes]:
        """Return the oldest one."""
        event, content = self._messages.pop(0)
        self._size -= len(content)
        return event, content

    def take_all(self) -> list[str | bytes]:
        """Return all messages."""
        messages, self._messages = self._messages, []
        self._size = 0
        return [content for _, content in messages]

    def drop_messages(self) -> None:
        """Forget the messages; events of the WebSocket stay."""
        self._messages = [each for each in self._messages if each[0] is not None]
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether no more should come for now."""
        return len(self._messages) >= MOST_MESSAGES or self._size >= MOST_SIZE

    def __len__(self) -> int:
        return len(self._messages)
