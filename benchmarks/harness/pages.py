"""What is asked in each case, and how its answer is checked: before it is measured, and after."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.load import Shape, fetch, visit
from harness.process import BenchError

SCRIPTS = Path(__file__).resolve().parent
HELLO = b"Hello, world!"
DOCUMENT = {"message": "Hello, world!", "numbers": [1, 2, 3], "ok": True}
CALLS = 5
ROWS = "".join(
    f"\n<tr><td>{number}</td><td>{html.escape(f'Pen & paper {number}')}</td><td>{number * 1.25:.2f}</td></tr>"
    for number in range(50)
)
TABLE = (
    "<!DOCTYPE html>\n<html><head><title>50 rows</title></head><body><table>" + ROWS + "\n</table></body></html>"
).encode()

Check = Callable[[int], Sequence[str]]


@dataclass(frozen=True)
class Page:
    """One thing to ask for.

    Attributes:
        key: by which the report knows it.
        shape: how wrk asks.
        check: given the port, asks and compares; returns header fields that wrk has to send.
        title: above its table, when its case has several.
    """

    key: str
    shape: Shape
    check: Check
    title: str = ""


def answers(expected: bytes, path: str = "/", scheme: str = "http") -> Check:
    """A check that the body of ``path`` is ``expected``, but for the line break that some add at the end."""

    def check(port: int) -> Sequence[str]:
        body = fetch(port, path, scheme)
        if body.rstrip(b"\n") != expected.rstrip(b"\n"):
            raise BenchError(f"wrong page: {body[:60]!r} instead of {expected[:60]!r}")
        return ()

    return check


def check_document(port: int) -> Sequence[str]:
    """Compare the document: how it is written is up to the framework."""
    body = fetch(port, "/json")
    try:
        document = json.loads(body)
    except ValueError as error:
        raise BenchError(f"no JSON: {body[:60]!r}") from error
    if document != DOCUMENT:
        raise BenchError(f"wrong document: {body[:60]!r}")
    return ()


def check_arguments(port: int) -> Sequence[str]:
    """Compare two different ones, and see that the second is an int or nothing."""
    answers(b"2000 5 anna", "/arguments/1999/4/anna")(port)
    answers(b"8 9 ben", "/arguments/7/8/ben")(port)
    try:
        fetch(port, "/arguments/1999/four/anna")
    except BenchError:
        return ()
    raise BenchError("an argument that is no number was taken")


def check_session(port: int) -> Sequence[str]:
    """See that a session is both read and written; its cookie is what wrk sends, so each request does both."""
    fields: tuple[str, ...] = ()
    for number in (b"1", b"2", b"3"):
        body, cookies = visit(port, "/session", fields)
        if body != number or not cookies:
            raise BenchError(f"visit {number!r} answered {body[:60]!r} and {len(cookies)} cookies")
        fields = ("Cookie: " + "; ".join(cookies),)
    return fields


# Path, answer and title: how many queries of a page run at once.
DATABASE_PAGES = [
    *((f"/one/{count}", b"%d" % count, f"PostgreSQL, {count} concurrent `select 1`") for count in (1, 4, 16)),
    *(
        (f"/{kind}/{count}", b"%d" % (count * 499_500), f"PostgreSQL, {count} concurrent selects of 1,000 rows{read}")
        for kind, read in (("rows", ", read as tuples"), ("named", ", read by name"))
        for count in (1, 4, 16)
    ),
    *((f"/get/{count}", b"%d" % count, f"Redis, {count} concurrent GET") for count in (1, 16)),
]


GRPC_PATH = "/routeguide.RouteGuide/GetFeature"
#: A message with its prefix, as ``examples/route_guide.proto`` has it, and the name in the answer.
GRPC_BODY = bytes.fromhex("0000000011089aa68cc30110969f989cfdffffffff01")
GRPC_NAME = b"here"


def check_grpc(port: int) -> Sequence[str]:
    """Call the method by grpcio, in a process of its own that no patch of ours reaches."""
    try:
        import grpc
    except ImportError as error:
        raise BenchError("the check of gRPC needs grpcio: make setup") from error
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = channel.unary_unary(GRPC_PATH)(GRPC_BODY[5:], timeout=10, wait_for_ready=True)
        except grpc.RpcError as error:
            raise BenchError(f"the call failed: {error!r}") from error
    if GRPC_NAME not in answer:
        raise BenchError(f"wrong message: {answer!r}")
    return ("content-type: application/grpc", "te: trailers")


def http2_pages(case: str, scheme: str) -> list[Page]:
    """A short and a longer text, on one stream after the other and on a hundred at the same time."""
    return [
        Page(
            f"{case}-{name}-{streams}",
            Shape(1, path, streams=streams, scheme=scheme),
            answers(body, path, scheme),
            f"{title}, {streams} {'stream' if streams == 1 else 'streams'}",
        )
        for name, path, body, title in (("hello", "/", HELLO, "Hello world"), ("10k", "/10k", TEN_KB, "10 KB"))
        for streams in (1, 100)
    ]


TEN_KB = b"x" * 10_240

PAGES: dict[str, list[Page]] = {
    "http2": http2_pages("http2", "http"),
    "http2-tls": http2_pages("http2-tls", "https"),
    "grpc": [
        Page(
            f"grpc-{streams}",
            Shape(4, GRPC_PATH, streams=streams, body=GRPC_BODY),
            check_grpc,
            f"4 connections, {streams} {'call' if streams == 1 else 'calls'} at a time on each",
        )
        for streams in (1, 50)
    ],
    "hello": [Page("hello", Shape(64), answers(HELLO))],
    "varied": [Page("varied", Shape(64, script=SCRIPTS / "varied.lua"), answers(HELLO))],
    "tls": [Page("tls", Shape(64, scheme="https"), answers(HELLO, scheme="https"))],
    "flask": [Page("flask", Shape(64), answers(HELLO))],
    "log": [Page("log", Shape(64), answers(HELLO))],
    "fanout": [Page("fanout", Shape(128), answers(b"twenty\n" * CALLS))],
    "databases": [
        *(
            Page(f"databases-{path.strip('/').replace('/', '-')}", Shape(32, path), answers(expected, path), title)
            for path, expected, title in DATABASE_PAGES
        )
    ],
    "idle": [Page("idle", Shape(1), answers(HELLO))],
    "saddle": [
        Page("saddle-hello", Shape(64), answers(HELLO), "Hello world"),
        Page("saddle-json", Shape(64, "/json"), check_document, "JSON"),
        Page(
            "saddle-arguments",
            Shape(64, "/arguments/1999/4/anna", SCRIPTS / "arguments.lua"),
            check_arguments,
            "Three arguments in the URL, two of them integers, other ones in every request",
        ),
        Page("saddle-page", Shape(64, "/page"), answers(TABLE, "/page"), "Jinja2 page of 50 rows"),
        Page("saddle-session", Shape(64, "/session"), check_session, "A session read and written"),
    ],
}
