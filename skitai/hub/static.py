"""Static files of mounted directories, for GET and HEAD (RFC 9110 sections 8.8, 13)."""

from __future__ import annotations

import errno
import hashlib
import mimetypes
import os
import re
import stat
import time
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING

from gevent import get_hub

from skitai.errors import ClientDisconnected
from skitai.wire.fields import Fields
from skitai.wire.mounts import MountTable, best_prefix

if TYPE_CHECKING:
    from skitai.hub.exchange import Exchange
    from skitai.hub.server import Server
    from skitai.hub.site import Handler

WELL_KNOWN = "/.well-known"
INDEXES = ("index.htm", "index.html")

#: Files up to this many bytes go out in one send with their head; larger ones by sendfile(2).
MOST_INLINE = 64 * 1024

# Types that the system's tables leave out or spell in an old way.
_TYPES = mimetypes.MimeTypes()
for _type, _ending in (
    ("text/javascript", ".js"),
    ("text/javascript", ".mjs"),
    ("text/css", ".css"),
    ("application/json", ".map"),
    ("application/manifest+json", ".webmanifest"),
    ("application/wasm", ".wasm"),
    ("font/woff2", ".woff2"),
    ("image/avif", ".avif"),
    ("image/webp", ".webp"),
):
    _TYPES.add_type(_type, _ending)


#: Entity tags of a list (RFC 9110 section 8.8.3); one may have commas inside.
_find_tags = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"').findall


class StaticHandler:
    """Serves the directories of one virtual host.

    Args:
        server: whose settings and pool are used.
        directories: by mount point.
        fallback: gives the handler of a request for which there is no file, ``None`` for 404.
    """

    def __init__(
        self, server: Server, directories: MountTable[str], fallback: Callable[[Exchange], Handler | None]
    ) -> None:
        self._server = server
        self._directories: MountTable[str] = MountTable()
        for point, path in directories:
            self._directories.add(point, os.path.realpath(path))
        self._fallback = fallback

    def covers(self, path: str) -> bool:
        """Tell whether a directory is mounted at or above ``path``."""
        return self._directories.first(path) is not None

    def accept(self, exchange: Exchange) -> None:
        """Take an exchange; called in the hub. Files are read on a worker, outside the slots of apps."""
        if exchange.method in ("GET", "HEAD"):
            self._server.pool.run(self._serve, exchange)
        else:
            self._server.answer_soon(exchange, 405, extra=[("Allow", "GET, HEAD")])

    def _serve(self, exchange: Exchange) -> None:
        try:
            if not self._send(exchange):
                self._pass_on(exchange)
        except ClientDisconnected:
            exchange.abort()
        except Exception:
            self._server.logs.server.traceback(tag=str(exchange.transaction))
            if exchange.is_started:
                exchange.abort()
            else:
                self._server.answer(exchange, 500)

    def _pass_on(self, exchange: Exchange) -> None:
        handler = self._fallback(exchange)
        if handler is None:
            self._server.answer(exchange, 404)
        else:
            get_hub().loop.run_callback(self._server.hand_to, handler, exchange)

    def _send(self, exchange: Exchange) -> bool:
        """Answer when there is a file or a directory; ``False`` when there is none."""
        if not is_safe(exchange.path):
            return False
        for point, root in self._directories.find(exchange.path):
            if not self._server.settings.dot_files and has_dot_name(exchange.path, len(point)):
                continue
            found = locate(root, exchange.path[len(point) :])
            if found is None:
                continue
            path, status = found
            if stat.S_ISDIR(status.st_mode):
                if not exchange.path.endswith("/"):
                    self._to_slash(exchange)
                    return True
                continue
            return self._send_file(exchange, path)
        return False

    def _to_slash(self, exchange: Exchange) -> None:
        location = "/" + exchange.raw_path.lstrip("/") + "/" + ("?" + exchange.query if exchange.query else "")
        self._server.answer(exchange, 301, extra=[("Location", location)])

    def _send_file(self, exchange: Exchange, path: str) -> bool:
        try:
            # O_NONBLOCK: opening a FIFO that took the file's place must not wait for its writer.
            number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                self._server.answer(exchange, 403)
                return True
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise  # the file may well be there
            return False
        with os.fdopen(number, "rb", buffering=0) as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                return False
            fields = self._fields(exchange.path, status)
            outcome = precondition(exchange, dict(fields)["ETag"], status.st_mtime)
            if outcome == 304:
                exchange.respond(304, fields, b"")
                return True
            if outcome == 412:
                self._server.answer(exchange, 412, "The file is another one by now.", fields[:2])
                return True
            fields.append(("Content-Type", content_type(path)))
            if status.st_size <= MOST_INLINE and exchange.method == "GET":
                exchange.respond(200, fields, file.read(status.st_size) or b"")
                return True
            exchange.start(200, fields, length=status.st_size)
            if exchange.method == "GET":
                exchange.send_file(file, 0, status.st_size)
            exchange.finish()
        return True

    def _fields(self, path: str, status: os.stat_result) -> Fields:
        fields = [("ETag", etag(status)), ("Last-Modified", formatdate(int(status.st_mtime), usegmt=True))]
        age = best_prefix(self._server.settings.max_ages, path)
        if age:
            fields += [("Cache-Control", f"max-age={age}"), ("Expires", formatdate(time.time() + age, usegmt=True))]
        return fields


def is_safe(path: str) -> bool:
    """Tell whether a decoded path may be looked up at all: no dot segments, no empty ones, no NUL, no backslash."""
    return not ("./" in path or "//" in path or "\0" in path or "\\" in path or path.endswith(("/..", "/.")))


def has_dot_name(path: str, start: int = 0) -> bool:
    """Tell whether a segment of a decoded path begins with a dot: files that were not put there to be served.

    Args:
        start: where to begin; what is in front is the mount point, which somebody has chosen.

    ``/.well-known/`` is the exception (RFC 8615): it is there to be served, but only at the root of a host.
    """
    if start == 0 and (path == WELL_KNOWN or path.startswith(WELL_KNOWN + "/")):
        start = len(WELL_KNOWN)
    return "/." in path[start:]


def locate(root: str, rest: str) -> tuple[str, os.stat_result] | None:
    """Return (path, status) of what ``rest`` names below ``root``; for a directory with an index that index.

    Args:
        root: a real path. rest: of a URL path that :func:`is_safe`, bytes in ISO 8859-1.

    Returns:
        ``None`` when there is nothing, or when a symbolic link leads out of ``root``.
    """
    name = os.fsdecode(rest.lstrip("/").encode("latin-1"))
    found = _below(root, os.path.join(root, name))
    if found is None or not stat.S_ISDIR(found[1].st_mode):
        # A regular file is not a directory: "page.html/" names nothing.
        return None if found is not None and rest.endswith("/") else found
    if rest.endswith("/"):
        for index in INDEXES:
            inner = _below(root, os.path.join(found[0], index))
            if inner is not None and stat.S_ISREG(inner[1].st_mode):
                return inner
    return found


def _below(root: str, path: str) -> tuple[str, os.stat_result] | None:
    try:
        real = os.path.realpath(path, strict=True)
        if real != root and not real.startswith(root.rstrip(os.sep) + os.sep):
            return None
        return real, os.stat(real)
    except OSError:
        return None


def etag(status: os.stat_result) -> str:
    """Return the entity tag of a file: the quoted MD5 of its size and its time in seconds."""
    text = f"{status.st_size}:{int(status.st_mtime)}"
    return f'"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}"'


def content_type(path: str) -> str:
    """Return the media type by the file's ending, ``text/plain`` for one that is not known."""
    kind, encoding = _TYPES.guess_type(path)
    if encoding is not None:  # "x.tar.gz" is sent as what it is, not as a tar with a content coding
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}.get(
            encoding, "application/octet-stream"
        )
    return kind or "text/plain"


def precondition(exchange: Exchange, tag: str, modified: float) -> int | None:
    """Evaluate the preconditions of a GET or HEAD in their order (RFC 9110 section 13.2.2).

    Args:
        tag: the entity tag of the file, a strong one. modified: when it was, as seconds.

    Returns:
        412 when the client asks for another version of the file than this one, 304 when it has this one, else ``None``.
    """
    wanted = exchange.header("if-match")
    if wanted is not None:
        if wanted.strip() != "*" and tag not in _find_tags(wanted):
            return 412
    elif _is_older(exchange.header("if-unmodified-since"), modified):
        return 412
    known = exchange.header("if-none-match")
    if known is not None:
        tags = [each.removeprefix("W/") for each in _find_tags(known)]
        return 304 if known.strip() == "*" or tag in tags else None
    since = exchange.header("if-modified-since")
    return 304 if since is not None and _is_older(since, modified) is False else None


def _is_older(date: str | None, modified: float) -> bool | None:
    """Whether a date is before a file was modified; ``None`` when there is none, or no valid one."""
    if date is None:
        return None
    try:
        # "Tue, 01 Jan 2030 00:00:00 GMT; length=5" is how old browsers sent it.
        return parsedate_to_datetime(date.partition(";")[0]).timestamp() < int(modified)
    except (ValueError, TypeError, OverflowError):
        return None
