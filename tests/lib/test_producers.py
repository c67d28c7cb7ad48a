"""Bodies in pieces."""

from io import BytesIO, StringIO

import pytest

from skitai.lib import producers


@pytest.mark.parametrize(
    ("producer", "pieces"),
    [
        (producers.simple_producer(b"abcdef", 4), [b"abcd", b"ef"]),
        (producers.simple_producer("äb"), ["äb".encode()]),
        (producers.list_producer([b"a", "b", b"", "c"]), [b"a", b"b", b"c"]),
        (producers.iter_producer(str(n) for n in range(3)), [b"0", b"1", b"2"]),
        (producers.file_producer(BytesIO(b"abcdef"), 4), [b"abcd", b"ef"]),
        (producers.closing_stream_producer(StringIO("ä")), ["ä".encode()]),
        (producers.simple_producer(b""), []),
    ],
)
def test_pieces(producer: producers.Producer, pieces: list[bytes]) -> None:
    found = []
    while piece := producer.more():
        found.append(piece)
    assert found == pieces
    assert producer.more() == b""


def test_they_are_iterable() -> None:
    assert b"".join(producers.simple_producer(b"abcdef", 4)) == b"abcdef"


def test_a_file_is_closed_at_its_end() -> None:
    file = BytesIO(b"abc")
    list(producers.file_producer(file))
    assert file.closed


def test_a_generator_is_closed_when_the_client_went_away() -> None:
    ended = []

    def pieces():
        try:
            yield b"a"
            yield b"b"
        finally:
            ended.append(True)

    producer = producers.iter_producer(pieces())
    assert producer.more() == b"a"
    producer.close()
    assert ended == [True]


def test_a_closing_stream_tells_once() -> None:
    told: list[object] = []
    stream = BytesIO(b"abc")
    producer = producers.closing_stream_producer(stream, callback=told.append)
    assert list(producer) == [b"abc"]
    producer.close()
    assert told == [stream]
    assert stream.closed
