"""``was.response``, what a function may return, and shortcuts."""

# ruff: noqa: UP031, SIM115 - the documents' own code, and files that the server closes

from __future__ import annotations

import gzip
import io
import os
import socket
import sys
import time
import xmlrpc.client
import zlib
from email.utils import parsedate_to_datetime
from wsgiref.util import setup_testing_defaults

import pytest

from skitai.errors import ClientDisconnected
from skitai.lib import producers
from skitai.saddle.compression import choose
from skitai.saddle.streams import Stream


@pytest.fixture
def give(app, visit):
    """``give(function)`` is the answer to a request for a function of ``was``."""
    calls = []

    @app.route("/")
    def call(was, **args):
        return calls[-1](was)

    client = visit(app)

    def give(function, method="GET", path="/", **options):
        calls.append(function)
        return client.request(method, path, **options)

    give.client = client
    return give


@pytest.mark.row("SAD-RESP-01")
def test_content_is_200_and_html(give) -> None:
    answer = give(lambda was: "content")
    assert (answer.status, answer.reason, answer.text) == (200, "OK", "content")
    assert answer.headers["Content-Type"] == "text/html"


@pytest.mark.row("SAD-RESP-27")
def test_server_and_date_are_always_sent(app, run) -> None:
    contents = {"text": "x", "empty": "", "stream": iter(["x"])}
    app.route("/<kind>")(lambda was, kind: contents[kind])
    app.route("/none")(lambda was: was.response("204 No Content"))
    app.route("/fails")(lambda was: 1 / 0)
    server = run({"": app})
    for path in ("/text", "/empty", "/stream", "/none", "/fails", "/no/where"):
        fields = server.request("GET", path, [("Host", "test")]).headers
        assert fields["Server"].startswith("Skitai/"), path
        age = parsedate_to_datetime(fields["Date"]).timestamp() - time.time()
        assert abs(age) < 60, path


@pytest.mark.row("SAD-RESP-02", "SAD-RESP-03")
def test_three_ways_to_say_the_same(give) -> None:
    # fmt: off
    def first (was):
      return was.response ("200 OK", "page", [("Cache-Control", "max-age=60")])

    def second (was):
      return was.response (body = "page", headers = [("Cache-Control", "max-age=60")])

    def third (was):
      was.response.set_header ("Cache-Control", "max-age=60")
      return "page"
    # fmt: on
    answers = [give(each) for each in (first, second, third)]
    for answer in answers:
        assert (answer.status, answer.reason, answer.text) == (200, "OK", "page")
        assert answer.headers["Cache-Control"] == "max-age=60"
        assert dict(answer.headers) | {"Date": ""} == dict(answers[0].headers) | {"Date": ""}


@pytest.mark.parametrize("status", ["200", "abc OK", "20 OK", "", 200, "200OK", "100 Continue", "200 O\r\nK"])
def test_a_status_that_is_none_is_an_assertion_error(give, status) -> None:
    def wrong(was):
        with pytest.raises(AssertionError):
            was.response(status, "x")
        with pytest.raises(AssertionError):
            was.response.set_status(status)
        return "checked"

    assert give(wrong).text == "checked"


@pytest.mark.row("SAD-RESP-04")
def test_set_header_replaces_but_adds_cookies(give) -> None:
    def fields(was):
        was.response.set_header("X-One", "1")
        was.response.set_header("x-one", "2")
        was.response.set_header("Set-Cookie", "a=1")
        was.response.set_header("Set-Cookie", "b=2")
        return "x"

    answer = give(fields)
    assert [value for name, value in answer.fields if name.lower() == "x-one"] == ["2"]
    assert [value for name, value in answer.fields if name.lower() == "set-cookie"] == ["a=1", "b=2"]


@pytest.mark.row("SAD-RESP-05")
def test_without_body_there_is_a_page_of_the_status(give) -> None:
    # fmt: off
    def hello (was):
      # if body is not given, automaticcally generated with default error template.
      return was.response ("404 Not Found")
    # fmt: on
    answer = give(hello, path="/?a=<b>".replace("<", "%3C").replace(">", "%3E"))
    assert (answer.status, answer.reason) == (404, "Not Found")
    assert "404 Not Found" in answer.text
    assert "/?a=%3Cb%3E" in answer.text
    assert "Time: " in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "599 &lt;Odd&gt;" in give(lambda was: was.response("599 <Odd>")).text
    assert give(lambda was: was.response("204 No Content")).content == b""
    assert give(lambda was: was.response("404 Not Found", "own page")).text == "own page"


@pytest.mark.row("SAD-RESP-06")
def test_a_traceback_that_is_meant_to_be_seen(app, give) -> None:
    # fmt: off
    def raise_exception (was):
      try:
        raise ValueError ("Test <Error>")
      except:  # noqa: E722
        return was.response ("500 Internal Server Error", exc_info = sys.exc_info ())
    # fmt: on
    assert app.debug is False
    answer = give(raise_exception)
    assert answer.status == 500
    assert "ValueError: Test &lt;Error&gt;" in answer.text
    assert "raise_exception" in answer.text


@pytest.mark.row("SAD-RESP-07")
def test_text_is_utf_8_and_bytes_are_as_they_are(give) -> None:
    assert give(lambda was: "ä한").content == "ä한".encode()
    for raw in (b"\xff\x00", bytearray(b"\xff\x00"), memoryview(b"\xff\x00")):
        assert give(lambda was, raw=raw: raw).content == b"\xff\x00"


class Closing:
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


class Reader(Closing):
    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size):
        return self._file.read(min(size, 3))


class More(Closing):
    def __init__(self, *pieces):
        self._pieces = [*pieces, b""]

    def more(self):
        return self._pieces.pop(0)


class OldIterator(Closing):
    """An iterator of Python 2, and one of the documents."""

    def __init__(self, name, *pieces):
        self._pieces = list(pieces)
        setattr(self, name, self._step)

    def _step(self):
        if not self._pieces:
            raise StopIteration
        return self._pieces.pop(0)


class NewIterator(Closing):
    def __init__(self, *pieces):
        self._pieces = iter(pieces)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._pieces)


@pytest.mark.row("SAD-RESP-08", "SAD-RESP-14")
def test_a_file_like_object_is_streamed_and_closed(give, tmp_path) -> None:
    reader = Reader(b"0123456789")
    assert give(lambda was: reader).content == b"0123456789"
    assert reader.closed == 1
    (tmp_path / "file").write_text("ä" * 100_000, encoding="utf-8")
    opened = []

    def from_disk(mode, **more):
        opened.append(open(tmp_path / "file", mode, **more))
        return opened[-1]

    answer = give(lambda was: from_disk("rb"))
    assert answer.content == ("ä" * 100_000).encode()
    assert give(lambda was: from_disk("r", encoding="utf-8")).content == ("ä" * 100_000).encode()
    assert give(lambda was: from_disk("rb"), method="HEAD").content == b""
    assert [each.closed for each in opened] == [True] * 3


@pytest.mark.row("SAD-RESP-09")
def test_iterators_are_streamed(give) -> None:
    def generate():
        yield "ä"
        yield b"\xff"

    assert give(lambda was: generate()).content == "ä".encode() + b"\xff"
    for iterator in (
        NewIterator("a", b"", b"b"),
        OldIterator("next", "a", "b"),
        OldIterator("_next", "a", "b"),
    ):
        assert give(lambda was, iterator=iterator: iterator).content == b"ab"
        assert iterator.closed == 1


@pytest.mark.row("SAD-RESP-10")
def test_more_is_called_until_it_has_no_more(give) -> None:
    content = More(b"a", "ä", b"b")
    assert give(lambda was: content).content == "aäb".encode()
    assert content.closed == 1


@pytest.mark.row("SAD-RESP-11", "CONST-21")
def test_producers(give, tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    closed = []
    for make, content in (
        (lambda: producers.simple_producer("text"), b"text"),
        (lambda: producers.list_producer([b"a", "b"]), b"ab"),
        (lambda: producers.iter_producer(iter(["a", "b"])), b"ab"),
        (lambda: producers.file_producer(open(tmp_path / "file", "rb")), b"x" * 100_000),
        (lambda: producers.closing_stream_producer(io.BytesIO(b"y"), callback=closed.append), b"y"),
    ):
        assert give(lambda was, make=make: make()).content == content
    assert len(closed) == 1


@pytest.mark.row("SAD-RESP-12")
def test_lists_are_joined(give) -> None:
    assert give(lambda was: ["a", b"b", "ä"]).content == "abä".encode()
    assert give(lambda was: ("a", "b")).content == b"ab"
    reader, more = Reader(b"file"), More(b"more")
    mixed = give(lambda was: ["text ", reader, (piece for piece in (" gen ", b"x ")), more])
    assert mixed.content == b"text file gen x more"
    assert (reader.closed, more.closed) == (1, 1)


@pytest.mark.row("SAD-RESP-14")
def test_close_is_called_when_the_client_goes_away(app) -> None:
    endless = NewIterator(*[b"x" * 1000] * 100)
    app.route("/")(lambda was: endless)
    answer = app.test_client().get("/", patience=5000)
    assert answer.exchange.is_aborted and not answer.exchange.is_finished
    assert endless.closed == 1


@pytest.mark.row("SAD-RESP-14")
def test_close_is_called_when_the_connection_breaks(app, run, until) -> None:
    endless = NewIterator(*[b"x" * 100_000] * 10_000)
    app.route("/")(lambda was: endless)
    server = run({"": app})
    with server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert sock.recv(100)
    until(lambda: endless.closed)
    assert endless.closed == 1


def test_a_stream_that_fails_at_once_is_an_error_page_and_later_breaks_off(give, written) -> None:
    def early():
        raise RuntimeError("no first piece")
        yield b""

    answer = give(lambda was: early())
    assert answer.status == 500
    assert "no first piece" in written.app and "no first piece" not in answer.text


@pytest.mark.parametrize("body", [b"{", b'"\xff"'])
def test_what_a_client_did_wrong_is_told_by_a_stream_as_well(app, visit, written, body) -> None:
    @app.route("/", methods=["POST"], access_control_allow_origin="*")
    def stream(was):
        yield was.request.json()["text"]

    client = visit(app)
    assert client.post("/", b'{"text": "x"}').text == "x"
    answer = client.post("/", body)
    assert answer.status == 400
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "400 for POST /: the request body is no JSON document" in written.app


def test_a_stream_whose_client_has_gone_before_it_began_is_closed(app) -> None:
    class Gone(NewIterator):
        def __next__(self):
            raise ClientDisconnected("gone")

    body, environ = Gone(), {}
    app.route("/")(lambda was: body)
    setup_testing_defaults(environ)
    with pytest.raises(ClientDisconnected):
        app(environ, lambda status, fields: None)
    assert body.closed == 1
    assert app.test_client().get("/").exchange.is_aborted
    assert body.closed == 2


def test_what_cannot_be_committed_closes_its_body(app, visit) -> None:
    body = NewIterator("x")

    @app.route("/")
    def page(was):
        was.cookie["a"] = "b"
        was.session["a"] = "x" * 5000
        return body

    app.securekey = "a key"
    assert visit(app).get("/").status == 500
    assert body.closed == 1


@pytest.mark.row("SAD-RESP-15")
def test_set_and_get_status(give) -> None:
    def status(was):
        assert was.response.get_status() == "200 OK"
        was.response.set_status("404 Not Found")
        return was.response.get_status()

    answer = give(status)
    assert (answer.status, answer.text) == (404, "404 Not Found")


@pytest.mark.row("SAD-RESP-16", "SAD-RESP-17")
def test_fields_as_a_list_and_as_a_dictionary(give) -> None:
    def fields(was):
        response = was.response
        response.set_headers([("X-One", "1"), ("X-Two", "2")])
        assert response.get_headers() == [("X-One", "1"), ("X-Two", "2")]
        assert (response.get_header("x-ONE"), response.get_header("x-none")) == ("1", None)
        response.del_header("x-one")
        response["X-Three"] = "3"
        assert response["x-three"] == "3" and "X-Three" in response
        response["X-Four"] = "4"
        del response["x-four"]
        return "x"

    answer = give(fields)
    assert {name for name, _ in answer.fields if name.startswith("X-")} == {"X-Two", "X-Three"}


@pytest.mark.row("SAD-RESP-18")
def test_a_promise_is_nothing_over_http_1(give) -> None:
    # fmt: off
    def promise (was):
      was.response.hint_promise ('/images/A.png')
      was.response.hint_promise ('/images/B.png')
      return was.response (
        "200 OK",
        (
          'Promise Sent<br><br>'
          '<img src="/images/A.png">'
          '<img src="/images/B.png">'
        )
      )
    # fmt: on
    answer = give(promise)
    plain = give(lambda was: was.response("200 OK", answer.text))
    assert answer.text == 'Promise Sent<br><br><img src="/images/A.png"><img src="/images/B.png">'
    assert (answer.status, answer.reason) == (200, "OK")
    # No Link field, no interim response: it is as if nothing had been promised.
    assert dict(answer.fields) | {"Date": ""} == dict(plain.fields) | {"Date": ""}


@pytest.mark.row("SAD-RESP-19")
def test_redirect(give) -> None:
    answer = give(lambda was: was.redirect("/there?a=ä b"))
    assert (answer.status, answer.reason) == (302, "Object Moved")
    assert answer.headers["Location"] == "/there?a=%C3%A4%20b"
    assert answer.headers["Cache-Control"] == "max-age=0"
    assert "/there" in answer.text
    answer = give(lambda was: was.redirect("/x", "301 Moved", "own", [("X-Own", "1")]))
    assert (answer.status, answer.text, answer.headers["X-Own"]) == (301, "own", "1")


def test_a_redirection_to_what_is_not_routed_says_so(give, written) -> None:
    assert give(lambda was: was.redirect(was.ab("nothing"))).status == 500
    assert "was.redirect() takes a URL, not None; was.ab() gives None for what is not routed" in written.app


@pytest.mark.row("SAD-RESP-19")
def test_cookies_and_messages_go_along_with_a_redirect(app, give) -> None:
    app.securekey = "a key of this test"

    def leave(was):
        was.cookie["name"] = "hans"
        was.session["n"] = 1
        was.mbox.send("hello", "flash")
        return was.redirect("/there")

    assert give(leave).status == 302
    assert {each.name for each in give.client.cookies} == {"name", "SESS_", "MBOX_"}
    seen = give(lambda was: f"{was.cookie['name']} {was.session['n']} {was.mbox.get()[0][4]}")
    assert seen.text == "hans 1 hello"


@pytest.mark.parametrize("value", ["/x\r\nSet-Cookie: a=b", "/x\nX: y", "/x\x00", "/x\ud800"])
def test_a_line_break_never_gets_into_a_header(give, written, value) -> None:
    for function in (
        lambda was: was.redirect(value),
        lambda was: was.response.set_header("X-Field", value),
        lambda was: was.response("200 OK", "x", [("X-Field", value)]),
        lambda was: was.response("200 OK", "x", [(value, "x")]),
    ):
        answer = give(function)
        assert answer.status == 400
        assert "Set-Cookie" not in answer.headers
        assert "Traceback" not in answer.text
    assert "400 for GET" in written.app


@pytest.mark.row("SAD-RESP-20")
def test_jstream(give) -> None:
    # fmt: off
    def getjson (was):
      return was.jstream ({'mydata': 'myvalue'})
    # fmt: on
    answer = give(getjson)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"mydata": "myvalue"}
    assert give(lambda was: was.jstream([1], "key")).json() == {"key": [1]}


@pytest.mark.row("SAD-RESP-21")
def test_xstream(give) -> None:
    for obj, loaded in (((1, "a"), (1, "a")), ([1, None], ([1, None],)), ("x", ("x",))):
        answer = give(lambda was, obj=obj: was.xstream(obj, 1))
        assert answer.headers["Content-Type"] == "text/xml"
        assert xmlrpc.client.loads(answer.content)[0] == loaded


@pytest.mark.row("SAD-RESP-22")
def test_gstream(give) -> None:
    class Message:
        def SerializeToString(self):
            return b"\x08\x01"

    answer = give(lambda was: was.gstream(Message()))
    assert (answer.headers["Content-Type"], answer.content) == ("application/grpc", b"\x08\x01")


@pytest.mark.row("SAD-RESP-23", "SAD-RESP-29")
def test_fstream(app, visit, tmp_path) -> None:
    (tmp_path / "mypicnic.mp4").write_bytes(b"film" * 10_000)

    # fmt: off
    @app.route ("/<filename>")
    def getfile (was, filename):
      return was.fstream ('%s/%s' % (tmp_path, filename))

    @app.route ("/streaming")
    def streaming (was):
      return was.response ("200 OK", open (tmp_path / "mypicnic.mp4", "rb"), headers = [("Content-Type", "video/mp4")])

    @app.route ("/csv")
    def build_csv (was):
      def generate():
        for row in (["a", "b"], ["c", "d"]):
          yield ','.join(row) + '\n'
      return was.response ("200 OK", generate (), headers = [("Content-Type", "text/csv")])
    # fmt: on
    client = visit(app)
    answer = client.get("/mypicnic.mp4")
    assert answer.content == b"film" * 10_000
    assert answer.headers["Content-Type"] == "application/octet-stream"
    if answer.headers.get("Server") and "Transfer-Encoding" not in answer.headers:
        assert answer.headers["Content-Length"] == "40000"
    assert client.get("/missing").status == 500
    answer = client.get("/streaming")
    assert (answer.headers["Content-Type"], answer.content) == ("video/mp4", b"film" * 10_000)
    answer = client.get("/csv")
    assert (answer.headers["Content-Type"], answer.text) == ("text/csv", "a,b\nc,d\n")


@pytest.mark.parametrize("name", ["..%2Fsecret", "a%2F..%2F..%2Fsecret", "..%5Csecret", ".."])
def test_a_path_that_leads_upwards_is_no_file_of_fstream(app, visit, tmp_path, name) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a..b").write_text("fine")
    (tmp_path / "secret").write_text("secret")
    app.route("/<filename>")(lambda was, filename: was.fstream("%s/data/%s" % (tmp_path, filename)))
    client = visit(app)
    answer = client.get(f"/{name}")
    assert answer.status == 400
    assert str(tmp_path) not in answer.text
    assert client.get("/a..b").text == "fine"


def test_fstream_says_how_long_the_file_is(app, run, tmp_path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 40_000)
    app.route("/")(lambda was: was.fstream(str(tmp_path / "f")))
    response = run({"": app}).request("GET", "/", [("Host", "test")])
    assert (response.headers["Content-Length"], len(response.content)) == ("40000", 40_000)


@pytest.mark.row("SAD-RESP-24")
def test_long_text_is_compressed_when_the_client_accepts_it(give, tmp_path) -> None:
    page = "<p>page</p>" * 500
    (tmp_path / "f").write_text(page)

    def as_type(content_type, content=page):
        return lambda was: was.response("200 OK", content, [("Content-Type", content_type)])

    def coding(function, accepted):
        answer = give(function, headers={"Accept-Encoding": accepted})
        return answer.headers.get("Content-Encoding"), answer.content

    name, content = coding(lambda was: page, "gzip, deflate")
    assert name == "gzip" and gzip.decompress(content) == page.encode()
    name, content = coding(lambda was: page, "deflate;q=1.0")
    assert name == "deflate" and zlib.decompress(content) == page.encode()
    for content_type in ("text/csv", "application/json", "application/json-rpc"):
        assert coding(as_type(content_type), "gzip")[0] == "gzip"
    # Of unknown length, also when it turns out short.
    name, content = coding(lambda was: (piece for piece in ("a", "b")), "gzip")
    assert name == "gzip" and gzip.decompress(content) == b"ab"
    name, content = coding(lambda was: was.fstream(str(tmp_path / "f"), "text/plain"), "gzip")
    assert name == "gzip" and gzip.decompress(content) == page.encode()
    for function, accepted in (
        (lambda was: page, ""),
        (lambda was: page, "br, gzip;q=0"),
        (lambda was: "x" * 2048, "gzip"),
        (as_type("image/png"), "gzip"),
        (lambda was: was.response("200 OK", page, [("Content-Encoding", "identity")]), "gzip"),
    ):
        assert coding(function, accepted)[0] in (None, "identity")
    assert give(lambda was: page).headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("deflate, gzip", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("gzip;q=0, *", "deflate"),
        ("br", None),
        ("gzip;q=x", None),
        ("", None),
    ],
)
def test_which_coding(accepted, coding) -> None:
    assert choose(accepted) == coding


@pytest.mark.row("SAD-RESP-25")
def test_a_body_of_unknown_length_is_chunked_or_ends_the_connection(app, run) -> None:
    app.route("/")(lambda was: (piece for piece in ("a", "b")))
    server = run({"": app})
    response = server.request("GET", "/", [("Host", "test")])
    assert (response.headers["Transfer-Encoding"], response.content) == ("chunked", b"ab")
    with server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        data = b""
        while piece := sock.recv(1000):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert body == b"ab"
    assert b"Transfer-Encoding" not in head and b"Connection: close" in head


@pytest.mark.row("SAD-RESP-26")
def test_empty_content_has_no_type(app, run) -> None:
    app.route("/")(lambda was: "")
    server = run({"": app})
    response = server.request("GET", "/", [("Host", "test")])
    assert (response.status, response.headers["Content-Length"]) == (200, "0")
    assert response.headers["Content-Type"] is None


@pytest.mark.row("WSGI-12")
def test_a_function_that_returns_nothing_is_500_and_named(app, visit, written) -> None:
    @app.route("/none")
    def forgot_to_return(was):
        "nothing".upper()

    @app.route("/done")
    def done(was):
        was.response.set_status("204 No Content")

    client = visit(app)
    answer = client.get("/none")
    assert answer.status == 500
    assert "forgot_to_return returned None" in answer.text
    assert "forgot_to_return returned None" in written.app
    assert (client.get("/done").status, client.get("/done").text) == (204, "")


@pytest.mark.row("SAD-RESP-28")
def test_render_ei(give) -> None:
    def render(was):
        try:
            raise ValueError("<wrong>")
        except ValueError:
            text, html, lines = (was.render_ei(sys.exc_info(), each) for each in (0, 1, 2))
        assert was.render_ei((None, None, None)) is not None
        assert "ValueError: <wrong>" in text and text.startswith("Traceback")
        assert "ValueError: &lt;wrong&gt;" in html
        assert lines == text.splitlines()
        return "checked"

    assert give(render).text == "checked"


@pytest.mark.parametrize("content", [5, 1.5, {"a": 1}, object(), [1], True])
def test_what_is_no_body_is_a_500_that_says_so_in_the_log(give, written, content) -> None:
    answer = give(lambda was: content)
    assert answer.status == 500
    assert "was.jstream" not in answer.text
    assert "is no body" in written.app


@pytest.mark.parametrize("piece", [5, None, [1], {"a": 1}, 1.5])
def test_a_piece_that_is_none_is_an_error_too(give, written, piece) -> None:
    class More:
        def more(self):
            return piece or (piece,)

    for function in (lambda was: iter([piece]), lambda was: [iter([piece]), "x"], lambda was: More()):
        answer = give(function)
        assert answer.status == 500
        assert b"\0" not in answer.content
    assert "a piece of a body is str or bytes, not" in written.app


def test_all_closers_are_called_although_one_fails() -> None:
    called = []

    def fail():
        raise RuntimeError("the first")

    stream = Stream([b"x"], [fail, lambda: called.append(1)])
    with pytest.raises(RuntimeError, match="the first"):
        stream.close()
    stream.close()
    assert called == [1]


@pytest.mark.parametrize("name", ["fifo", "link", "socket", "directory", "a%00b", "device"])
def test_fstream_waits_for_nobody(app, visit, tmp_path, name) -> None:
    """What is no regular file is refused; opening a FIFO would stop the worker until somebody writes to it."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
    app.route("/<filename>")(lambda was, filename: was.fstream(f"{tmp_path}/{filename}"))
    answer = visit(app).get(f"/{name}")
    assert answer.status == (400 if "%" in name else 500)
    assert str(tmp_path) not in answer.text
