"""llhttp, the parser of Node.js, as an oracle: it must read the same in whatever our reader accepts.

The other way round does not hold: llhttp takes much that ours refuses.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skitai.errors import RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.http1 import Data, RequestHead, RequestReader
from tests.wire.corpus import CASES, Case
from tests.wire.generated import mutations, requests

Message = tuple[str, str, list[tuple[str, str]], bytes]

#: What llhttp refuses although the RFCs allow it, so it cannot tell.
UNKNOWN_TO_LLHTTP = {
    "version 1.2", "version 1.9", "method lower case", "method mixed case", "method unknown", "method of one letter",
    "method of all special tchar", "method of digits", "method that is longer than ours", "method PRI with a path",
    "absolute-form ws+x.y-1://b/", "chunk: extension after blanks", "Content-Length with get", "Content-Length with X",
    "Transfer-Encoding: '\\t chunked \\t'", "chunk: trailer Content-Length", "chunk: trailer Transfer-Encoding",
}  # fmt: skip


class Oracle:
    """Collects what llhttp calls back."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def on_message_begin(self) -> None:
        self.target = b""
        self.fields: list[tuple[str, str]] = []
        self.body = b""
        self.has_ended = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_ended:
            self.fields.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        self.has_ended = True  # what comes now are trailers

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        target = self.target.decode("latin-1")
        self.messages.append((method, target, routed(method, target, self.fields), self.body))


def routed(method: str, target: str, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return fields with the host of the target in Host (RFC 9112 section 3.2.2), which llhttp leaves to its caller."""
    if target.startswith(("/", "*")):
        return fields
    authority = target if method == "CONNECT" else urlsplit(target).netloc
    if not any(name.lower() == "host" for name, _ in fields):
        return [("Host", authority), *fields]
    return [(name, authority if name.lower() == "host" else value) for name, value in fields]


def read_by_llhttp(data: bytes) -> list[Message]:
    """Return the messages; raises HttpParserError."""
    oracle = Oracle()
    while data:
        try:
            oracle.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # It stops for another protocol; we have none to change to, and read on as after any request.
            data = data[upgrade.args[0] :]
            oracle.parser = httptools.HttpRequestParser(oracle)
        else:
            break
    return oracle.messages


def read_by_us(data: bytes) -> tuple[list[Message], bool]:
    """Return the messages, and whether nothing was refused and none is incomplete."""
    reader = RequestReader(Limits())
    messages: list[Message] = []
    head: RequestHead | None = None
    body = b""
    reader.feed(data)
    try:
        while (event := reader.next()) is not None:
            if isinstance(event, Data):
                body += event.content
                continue
            if isinstance(event, RequestHead):
                head, body = event, b""
                if head.has_body:
                    continue
            assert head is not None
            messages.append((head.method, head.target, head.fields, body))
    except RemoteProtocolError:
        return messages, False
    return messages, reader.is_between


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if isinstance(case.outcome, list) and case.name not in UNKNOWN_TO_LLHTTP],
    ids=lambda case: case.name,
)
def test_corpus(case: Case) -> None:
    messages, is_clean = read_by_us(case.data)
    assert is_clean
    assert read_by_llhttp(case.data) == messages


@given(st.lists(requests(), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_valid_requests(pipeline: list[tuple[bytes, Message]]) -> None:
    data = b"".join(each for each, _ in pipeline)
    expected = [message for _, message in pipeline]
    assert read_by_us(data) == (expected, True)
    assert read_by_llhttp(data) == expected


@given(st.data())
@settings(max_examples=2000, deadline=None)
def test_mutated_requests(data: st.DataObject) -> None:
    """What is still accepted of a broken request is refused by llhttp or read the same, so nothing can be smuggled."""
    mutated = data.draw(mutations(data.draw(requests())[0]))
    messages, is_clean = read_by_us(mutated)
    if not is_clean:
        return
    try:
        theirs = read_by_llhttp(mutated)
    except httptools.HttpParserError:
        return
    assert theirs == messages
