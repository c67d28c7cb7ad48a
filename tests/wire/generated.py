"""Hypothesis strategies for requests and responses, as bytes and as what must be read from them."""

from __future__ import annotations

from hypothesis import strategies as st

TCHAR = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: Names that say something about the message come from the strategies below alone.
_SPECIAL = {
    "host", "content-length", "transfer-encoding", "expect", "connection", "upgrade", "content_length",
    "transfer_encoding", "proxy-connection",
}  # fmt: skip

methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND", "M-SEARCH"])
targets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=60).map(
    "/".__add__
)
hosts = st.sampled_from(["a", "example.org", "example.org:8080", "[::1]:80", "1.2.3.4", "a_b.c"])
names = st.text(TCHAR, min_size=1, max_size=20).filter(lambda name: name.lower() not in _SPECIAL)
values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"], include_characters="\t"),
    max_size=40,
).map(lambda value: value.strip(" \t"))
fields = st.lists(st.tuples(names, values), max_size=12)
blanks = st.text(" \t", max_size=3)
bodies = st.binary(max_size=200)
extensions = st.sampled_from(["", ";a", ";a=b", ';a="b;c"', ";a;b=c"])


@st.composite
def chunked_bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return (chunks with extensions and trailers, content)."""
    parts = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    data = b""
    for part in parts:
        size = f"{len(part):{draw(st.sampled_from(['x', 'X', '04x']))}}"
        data += f"{size}{draw(extensions)}\r\n".encode() + part + b"\r\n"
    trailers = "".join(f"{name}: {value}\r\n" for name, value in draw(st.lists(st.tuples(names, values), max_size=3)))
    return data + b"0\r\n" + trailers.encode("latin-1") + b"\r\n", b"".join(parts)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, list[tuple[str, str]], bytes]]:
    """Return (bytes, (method, target, fields, body)) of a valid request."""
    method, target = draw(methods), draw(targets)
    lines = [("Host", draw(hosts)), *draw(fields)]
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    sent = body = b""
    if framing == "length":
        sent = body = draw(bodies)
        lines.insert(draw(st.integers(0, len(lines))), ("Content-Length", str(len(body))))
    elif framing == "chunked":
        sent, body = draw(chunked_bodies())
        lines.insert(draw(st.integers(0, len(lines))), ("Transfer-Encoding", "chunked"))
    # llhttp takes no tab behind "chunked".
    text = "".join(
        f"{name}:{draw(blanks)}{value}{draw(blanks) if value != 'chunked' else ''}\r\n" for name, value in lines
    )
    return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode("latin-1") + sent, (method, target, lines, body)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Return ``data`` in pieces."""
    positions = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return [data[a:b] for a, b in zip([0, *positions], [*positions, len(data)], strict=True)]


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """Return ``data`` with some octets replaced, removed, doubled or put in."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 3))
        new = draw(
            st.sampled_from(
                [b"", b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"\xff", b"\r\n\r\n"]
            )
        )
        data = data[:at] + new + data[at + length :]
    return data
