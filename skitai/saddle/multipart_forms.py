"""``multipart/form-data`` (RFC 7578): fields become text, files go to disk as they arrive.

The bytes are pulled from the connection and pushed into the parser, so that neither a field nor a file is ever held
longer than it must be, and a request that asks for too much ends at the byte that is too many.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from skitai.saddle.errors import BadRequest, ContentTooLarge
from skitai.saddle.file_names import plain_name
from skitai.saddle.uploads import Content, UploadedFile
from skitai.saddle.urlencoded import MOST_NAME

if TYPE_CHECKING:
    from skitai.lib.attributes import AttributeDict
    from skitai.saddle.request import Request

CONTENT_TYPE = "multipart/form-data"

_PIECE = 64 * 1024
#: Characters of a boundary. RFC 2046 section 5.1.1 has 70; some clients take more, and nobody more than this.
_MOST_BOUNDARY = 200
_is_boundary = re.compile(rf"[\x20-\x7e]{{0,{_MOST_BOUNDARY - 1}}}[\x21-\x7e]").fullmatch
# RFC 7578 section 4.2 forbids it, and old clients send it for names that are not ASCII.
_find_extended_name = re.compile(r";\s*filename\*\s*=\s*\"?utf-8'[^']*'([^;\"\s]*)", re.IGNORECASE).search
#: What a field may be encoded in (RFC 7578 section 4.5); one that does not say so is UTF-8.
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252"}


@dataclass(frozen=True)
class Form:
    """What a body had.

    Attributes:
        pairs: (name, value) in order; the value is text, an UploadedFile, or ``None`` for a file input left empty.
        body: the bytes of all, ``None`` when there are more than ``app.config.max_cache_size``.
    """

    pairs: list[tuple[str, Any]]
    body: bytes | None


def read(request: Request) -> Form:
    """Read the form of a request; its files are removed when the request ends.

    Raises:
        BadRequest: it is malformed or ends early, or has too many fields.
        ContentTooLarge: it, or one of its files, is larger than ``app.config`` allows.
        ProtocolError, ClientDisconnected: as reading the body raises them.
    """
    config = request.app.config
    most = int(config.max_multipart_body_size)
    length = request.get_header("content-length") or ""
    if length.isdigit() and int(length) > most:
        raise ContentTooLarge(f"the request body is larger than {most} bytes")
    reader = _Reader(config)
    request._was.at_end(reader.discard)
    kept = _Kept(int(config.max_cache_size))
    size = 0
    try:
        parser = PushMultipartParser(_boundary(request))
        while piece := request._exchange.body.read(_PIECE):
            size += len(piece)
            if size > most:
                raise ContentTooLarge(f"the request body is larger than {most} bytes")
            kept.add(piece)
            for event in parser.parse(piece):
                reader.take(event)
        parser.close()  # complains when the end is missing
    except MultipartError as error:
        # The parser keeps its error, and that by its traceback the parser and this frame with all that was read.
        error.__traceback__ = None
        # The texts of the parser name what is wrong, and quote nothing.
        raise BadRequest(f"the form cannot be read: {error.args[0]}") from error
    return Form(reader.pairs, kept.value)


class _Kept:
    """The bytes so far, as long as they are few."""

    def __init__(self, most: int) -> None:
        self._pieces: list[bytes] = []
        self._left = most

    def add(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left >= 0:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    @property
    def value(self) -> bytes | None:
        return b"".join(self._pieces) if self._left >= 0 else None


class _Reader:
    """Makes fields of the events of the parser: a segment, then its bytes, then ``None``.

    Args:
        config: of the app.
    """

    def __init__(self, config: AttributeDict) -> None:
        self.pairs: list[tuple[str, Any]] = []
        self._files: list[UploadedFile] = []
        self._content = Content()
        self._most_fields = int(config.max_form_fields)
        self._most_file = int(config.max_upload_file_size)
        # All text together is held in memory, as it is for a form that is not multipart.
        self._most_text = self._text_left = int(config.max_post_body_size)
        self._name = ""
        self._charset = self._mimetype = ""
        self._file: UploadedFile | None = None
        self._is_empty_input = False
        self._text: list[bytes] = []

    def take(self, event: MultipartSegment | bytes | None) -> None:
        """Take the next event. Raises as :func:`read`."""
        if event is None:
            self._end()
        elif isinstance(event, (bytes, bytearray)):
            self._add(bytes(event))
        else:
            self._begin(event)

    def discard(self) -> None:
        """Remove the files that were not saved. Each is tried; the first error of one is raised in the end."""
        self._content.close()
        failed: OSError | None = None
        while self._files:
            try:
                self._files.pop().remove()
            except OSError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _begin(self, segment: MultipartSegment) -> None:
        if len(self.pairs) >= self._most_fields:
            raise BadRequest(f"the request has more than {self._most_fields} fields")
        if not segment.name:
            raise BadRequest("a field of the form has no name")
        if len(segment.name) > MOST_NAME:
            raise BadRequest("the name of a field is too long")
        self._name = segment.name
        self._charset = (segment.charset or "utf-8").lower()
        self._mimetype = segment.content_type or "application/octet-stream"
        self._text = []
        filename = _file_name(segment)
        self._is_empty_input = filename == ""
        if filename:
            self._open(filename)

    def _open(self, filename: str) -> None:
        self._file = UploadedFile(plain_name(filename), self._mimetype, self._content)
        self._files.append(self._file)

    def _add(self, data: bytes) -> None:
        if self._is_empty_input and self._file is None:
            # A blob without a name: there is content, so it is a file.
            self._open("")
        if self._file is None:
            self._text_left -= len(data)
            if self._text_left < 0:
                raise ContentTooLarge(f"the fields of the form are larger than {self._most_text} bytes")
            self._text.append(data)
        elif self._file.size + len(data) > self._most_file:
            raise ContentTooLarge(f"a file is larger than {self._most_file} bytes")
        else:
            self._file.write(data)

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.finish()
            self.pairs.append((self._name, file))
        elif self._is_empty_input:
            self.pairs.append((self._name, None))
        else:
            self.pairs.append((self._name, self._decoded()))

    def _decoded(self) -> str:
        if self._charset not in _CHARSETS:
            raise BadRequest("a field of the form is in a character set that is not known here")
        try:
            return b"".join(self._text).decode(self._charset)
        except UnicodeDecodeError:
            raise BadRequest("a field of the form has bytes that are no text") from None


def _boundary(request: Request) -> str:
    boundary: str = parse_options_header(request.get_header("content-type", ""))[1].get("boundary", "")
    if not _is_boundary(boundary):
        raise BadRequest("the form has no boundary, or one that is not valid")
    return boundary


def _file_name(segment: MultipartSegment) -> str | None:
    """Return the name of the file in a segment, ``None`` when it is a field."""
    if segment.filename is not None:
        return str(segment.filename)
    match = _find_extended_name(segment.header("Content-Disposition") or "")
    return unquote(match[1], errors="replace") if match else None
