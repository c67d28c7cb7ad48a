"""What an app or Saddle itself raises to end a request with a status.

SkitaiError
├── HttpError                   any status of 400 and more, with what the client is told
│   ├── BadRequest                  400: the client's input is wrong; the text names it
│   │   ├── ArgumentError               an argument is missing, unknown or of the wrong type (a TypeError)
│   │   ├── InvalidJson                 the body is no JSON (a ValueError)
│   │   └── InvalidFileName             a file cannot be called that (a ValueError)
│   ├── NotFound                    404
│   ├── MethodNotAllowed            405, with Allow
│   ├── ContentTooLarge             413
│   └── UnsupportedMediaType        415
├── MissingSlash                the path is routed with a slash at its end only
├── TemplateMissing             was.render() was told a name that no template has (a LookupError)
├── CookieTooLarge              browsers would drop the cookie; sessions and messages live in cookies (a ValueError)
└── SetupError                  an app is put together wrongly (a ConfigurationError)
    └── MissingSecureKey            a session or message box is used without a key (an AssertionError)
"""

from __future__ import annotations

from collections.abc import Iterable

from skitai.errors import ConfigurationError, SkitaiError
from skitai.wire.fields import Fields


class HttpError(SkitaiError):
    """Ends a request with an error status.

    Args:
        status: 400 to 599.
        detail: one sentence for the client; it is escaped where it is shown.
        fields: header fields that go with it.
    """

    def __init__(self, status: int, detail: str = "", fields: Fields | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.fields: Fields = fields or []

    def __str__(self) -> str:
        return f"{self.status} {self.detail}" if self.detail else str(self.status)


class BadRequest(HttpError):
    """400: what the client sent is wrong.

    Args:
        detail: what is wrong, naming the part of the request but not its bytes.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(400, detail)


class NothingReturned(HttpError, TypeError):
    """500: a function returned ``None``, most often because a ``return`` is missing.

    Args:
        name: of the function.
    """

    def __init__(self, name: str) -> None:
        super().__init__(500, f"{name} returned None: return the content of the response, '' for an empty one")


class ArgumentError(BadRequest, TypeError):
    """An argument of a routed function is missing, is not one that it takes, or has the wrong type.

    Args:
        name: of the argument. reason: the rest of the sentence.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"argument {name!r} {reason}")
        self.name = name


class InvalidJson(BadRequest, ValueError):
    """The request body is no JSON document."""


class InvalidFileName(BadRequest, ValueError):
    """What is to be the name of a file has a directory in it, or characters that some system takes for more."""


class NotFound(HttpError):
    """404: nothing is routed there."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(404, detail)


class MethodNotAllowed(HttpError):
    """405, with the Allow field that it must have (RFC 9110 section 15.5.6).

    Args:
        allowed: the methods that there are.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        super().__init__(405, "", [("Allow", ", ".join(self.allowed))])


class ContentTooLarge(HttpError):
    """413: the body, or a part of it, is larger than the app takes."""

    def __init__(self, detail: str) -> None:
        super().__init__(413, detail)


class UnsupportedMediaType(HttpError):
    """415: the function does not take a body of this content type."""

    def __init__(self, detail: str) -> None:
        super().__init__(415, detail)


class MissingSlash(SkitaiError):
    """Nothing is routed at the path of a request, but there is with a slash behind it."""


class SetupError(ConfigurationError):
    """An app is put together wrongly; the text says what to change."""


class TemplateMissing(SkitaiError, LookupError):
    """There is no template of that name.

    Args:
        name: of the template. directory: where it was looked for.
    """

    def __init__(self, name: str, directory: str) -> None:
        super().__init__(name, directory)
        self.name = name
        self.directory = directory

    def __str__(self) -> str:
        return f"there is no template {self.name!r} in {self.directory}"


class CookieTooLarge(SkitaiError, ValueError):
    """A cookie is larger than browsers keep; they would drop it without a word.

    Args:
        name: of the cookie. size: of its whole Set-Cookie field in bytes. most: that there may be.
    """

    def __init__(self, name: str, size: int, most: int) -> None:
        super().__init__(name, size, most)
        self.name = name
        self.size = size
        self.most = most

    def __str__(self) -> str:
        return (
            f"cookie {self.name!r} would have {self.size} bytes, and browsers drop one of more than {self.most}: "
            "keep a key in it, and the data on the server"
        )


class MissingSecureKey(SetupError, AssertionError):
    """A session or message box is used without a key to seal its cookie.

    Args:
        name: of the cookie.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"cookie {self.name!r} needs a key: set app.securekey to a long random string, the same in every process "
            'that shares the cookie; python -c "import secrets; print(secrets.token_urlsafe(32))" makes one'
        )
