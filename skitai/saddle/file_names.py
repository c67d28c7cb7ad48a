"""Names of files that came from somewhere else, made harmless."""

from __future__ import annotations

import re

from skitai.saddle.errors import InvalidFileName

#: Stands for a name of which nothing is left.
NAMELESS = "file"
#: Bytes of a name; file systems take 255, and a number may have to go in.
_MOST_BYTES = 200
#: Bytes of what stands behind the last dot; a longer one is no extension, and is cut as the rest.
_MOST_EXTENSION = 32

# What Windows does not take in a name, or takes for a drive or a stream ("C:x", "x.txt:y").
_forbidden = re.compile(r'[<>:"|?*]')
# Devices there, with any extension, in any directory.
_is_device = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])[ ]*(?:\..*)?", re.IGNORECASE
).fullmatch


def plain_name(sent: str) -> str:
    """Return the file name in what a client sent as one: without directories, and safe to create anywhere.

    Some browsers of the past sent whole paths, so both kinds of slashes end a directory. Characters that cannot be
    seen are dropped, and those that Windows does not take become ``_``; a device name gets one in front.
    """
    name = re.split(r"[/\\]", sent)[-1]
    name = "".join(character for character in name if character.isprintable())
    name = _forbidden.sub("_", name).strip().rstrip(". ")
    if not name:
        return NAMELESS
    name = _shortened(f"_{name}" if _is_device(name) else name)
    return f"_{name[1:]}" if _is_device(name) else name  # cutting may have made one


def checked_name(name: str) -> str:
    """Return a name that an app wants to give to a file, when it is one.

    Raises:
        InvalidFileName: it would lead out of its directory, or name something else than a file there.
    """
    if not name or name != plain_name(name):
        raise InvalidFileName("what is to be the name of a file is none")
    return name


def numbered(name: str, number: int) -> str:
    """Return ``name.1.ext`` for ``name.ext`` and 1; the name itself for 0."""
    if not number:
        return name
    stem, dot, extension = _split(name)
    return f"{stem}.{number}{dot}{extension}"


def _split(name: str) -> tuple[str, str, str]:
    stem, dot, extension = name.rpartition(".")
    return (stem, dot, extension) if stem else (name, "", "")


def _shortened(name: str) -> str:
    if len(name.encode()) <= _MOST_BYTES:
        return name
    stem, dot, extension = _split(name)
    if len(extension.encode()) > _MOST_EXTENSION:
        stem, dot, extension = name, "", ""
    most = _MOST_BYTES - len((dot + extension).encode())
    # A character that was cut apart is dropped. What is left may end as no name of Windows does.
    return stem.encode()[:most].decode("utf-8", "ignore").rstrip(". ") + dot + extension or NAMELESS
