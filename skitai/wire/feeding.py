"""How the body of a request comes to its app."""

from __future__ import annotations

from enum import Enum, auto


class Feeding(Enum):
    """What a handler may say of a request, before any of its body is there."""

    #: Small bodies are read before the app is called; how large one may be and how long it may take is bounded.
    WHOLE = auto()
    #: As WHOLE, but the app bounds what it takes itself.
    MESSAGES = auto()
    #: The app is called at once and bounds what it takes; the client may pause for as long as the response goes on.
    AT_ONCE = auto()
