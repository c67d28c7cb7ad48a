"""Forms with files: what arrives, where it lies and for how long, and what hostile ones get."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from skitai.saddle import Saddle, multipart_forms
from skitai.saddle.uploads import UploadedFile

# The form of the documents.
FORM = """
    <form enctype="multipart/form-data" method="post">
    <input type="hidden" name="submit-hidden" value="Genious">
    <p></p>What is your name? <input type="text" name="submit-name" value="Hans Roh"></p>
    <p></p>What files are you sending? <br />
    <input type="file" name="file">
    </p>
    <input type="submit" value="Send">
    <input type="reset">
  </form>
  """

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(disposition: str, content: bytes = b"", *more: str) -> bytes:
    lines = "\r\n".join([f"Content-Disposition: form-data{disposition}", *more]).encode()
    return f"--{BOUNDARY}\r\n".encode() + lines + b"\r\n\r\n" + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def named(content: bytes, name: str) -> io.BytesIO:
    """A file for the test client."""
    stream = io.BytesIO(content)
    stream.name = name
    return stream


def content_of(value: object) -> object:
    if isinstance(value, list):
        return [content_of(each) for each in value]
    return value.read() if isinstance(value, UploadedFile) else value


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """Where files lie until they are saved."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.fixture
def target(tmp_path) -> Path:
    directory = tmp_path / "saved"
    directory.mkdir()
    return directory


@pytest.fixture
def seen(app) -> list:
    """The fields of each form that was posted to ``/upload``."""
    seen: list[dict[str, object]] = []

    @app.route("/upload")
    def upload(was, **form):
        content = {name: content_of(value) for name, value in form.items()}
        seen.append({"form": form, "content": content, "body": was.request.body})
        return "done"

    return seen


@pytest.mark.row("SAD-UPLOAD-01")
def test_files_and_values_by_name(app, visit, seen, temporary) -> None:
    client = visit(app)
    answer = client.post(
        "/upload",
        data=[("submit-hidden", "Genious"), ("submit-name", "Hans Röh"), ("tag", "a"), ("tag", "b")],
        files=[("file", named(b"\x00content\r\n", "one.bin")), ("two", named(b"1", "1")), ("two", named(b"2", "2"))],
    )
    assert answer.text == "done"
    content, form = seen[0]["content"], seen[0]["form"]
    assert content["submit-hidden"] == "Genious"
    assert content["submit-name"] == "Hans Röh"
    assert content["tag"] == ["a", "b"]
    assert content["file"] == b"\x00content\r\n"
    assert [each.name for each in form["two"]] == ["1", "2"]
    assert os.listdir(temporary) == []


@pytest.mark.row("SAD-UPLOAD-01", "SAD-REQ-21")
def test_the_example_of_the_documents(app, visit, target) -> None:
    @app.route("/upload")
    def upload(was, **form):
        if was.request.command == "get":
            return FORM
        else:
            file = form.get("file")
            if file:
                file.save(target, dup="o")  # overwrite
                return "saved"
            return "nothing"

    client = visit(app)
    assert client.get("/upload").text == FORM
    fields = {"submit-hidden": "Genious", "submit-name": "Hans Roh"}
    assert client.post("/upload", data=fields, files={"file": named(b"one", "a.txt")}).text == "saved"
    assert client.post("/upload", data=fields, files={"file": named(b"two", "a.txt")}).text == "saved"
    assert [each.name for each in target.iterdir()] == ["a.txt"]
    assert (target / "a.txt").read_bytes() == b"two"
    # What a browser sends when no file was chosen.
    empty = body(part('; name="file"; filename=""', b"", "Content-Type: application/octet-stream"))
    assert client.post("/upload", data=empty, headers=TYPE).text == "nothing"


@pytest.mark.row("SAD-UPLOAD-02", "SAD-UPLOAD-03", "SAD-UPLOAD-06")
def test_attributes_of_a_file(app, visit, temporary) -> None:
    @app.route("/upload")
    def upload(was, file):
        assert file.path == file.file
        assert os.path.isabs(file.path) and Path(file.path).parent == temporary
        assert Path(file.path).read_bytes() == file.read() == file.read("rb") == "hé".encode()
        assert file.read("r") == "hé"
        with pytest.raises(ValueError, match="mode"):
            file.read("wb")
        assert os.stat(file.path).st_mode & 0o077 == 0
        return f"{file.name}|{file.size}|{file.mimetype}"

    client = visit(app)
    data = body(part('; name="file"; filename="C:\\Users\\hans\\notes.txt"', "hé".encode(), "Content-Type: Text/Plain"))
    assert client.post("/upload", data=data, headers=TYPE).text == "notes.txt|3|text/plain"


@pytest.mark.row("SAD-UPLOAD-04")
def test_remove_deletes_and_the_end_does_too(app, visit, temporary) -> None:
    kept = []

    @app.route("/<how>")
    def upload(was, how, file):
        kept.append(file.path)
        assert os.path.exists(file.path)
        if how == "remove":
            file.remove()
            assert not os.path.exists(file.path)
            file.remove()  # twice is fine
        if how == "fail":
            raise RuntimeError("on purpose")
        return "done"

    client = visit(app)
    for how, status in (("keep", 200), ("remove", 200), ("fail", 500)):
        assert client.post(f"/{how}", files={"file": named(b"x", "x")}).status == status
    assert len(kept) == 3
    assert os.listdir(temporary) == []


def test_a_file_lives_until_its_response_is_sent(app, visit, temporary) -> None:
    @app.route("/echo")
    def echo(was, file):
        def pieces():
            yield b"now: "
            with open(file.path, "rb") as stream:
                yield stream.read()

        return pieces()

    assert visit(app).post("/echo", files={"file": named(b"later", "x")}).text == "now: later"
    assert os.listdir(temporary) == []


@pytest.mark.row("SAD-UPLOAD-05")
def test_save_makes_unique_or_overwrites(app, visit, target, temporary) -> None:
    paths = []

    @app.route("/save")
    def save(was, file, **how):
        options = {name: how[name] for name in ("name", "dup") if name in how}
        path = file.save(how.get("into", target), mkdir="mkdir" in how, **options)
        assert file.path == path
        assert os.path.exists(path)
        file.remove()  # only what is temporary
        paths.append(os.path.relpath(path, target))
        return "done"

    client = visit(app)

    def post(content: bytes, sent: str, **how: object) -> int:
        return client.post("/save", data=how, files={"file": named(content, sent)}).status

    assert [post(each, "a.txt") for each in (b"0", b"1", b"2")] == [200, 200, 200]
    assert paths == ["a.txt", "a.1.txt", "a.2.txt"]
    assert [(target / path).read_bytes() for path in paths] == [b"0", b"1", b"2"]
    assert post(b"3", "a.txt", dup="o") == 200
    assert post(b"4", "a.txt", name="other") == 200
    assert post(b"5", "a.txt", name="other", dup="u") == 200
    assert paths[3:] == ["a.txt", "other", "other.1"]
    assert (target / "a.txt").read_bytes() == b"3"
    assert post(b"6", "a.txt", into=str(target / "new" / "er")) == 500  # without mkdir
    assert post(b"7", "a.txt", into=str(target / "new" / "er"), mkdir="yes") == 200
    assert (target / "new" / "er" / "a.txt").read_bytes() == b"7"
    assert os.listdir(temporary) == []
    assert not [name for name in os.listdir(target) if name.startswith(".")]


def test_a_saved_file_has_the_mode_of_a_new_one(temporary, target) -> None:
    file = UploadedFile("a", "text/plain")
    file.finish()
    (target / "new").write_bytes(b"")
    assert os.stat(file.save(target)).st_mode == os.stat(target / "new").st_mode


def test_save_over_file_systems(temporary, target, monkeypatch) -> None:
    replace = os.replace

    def refuse(source: str, to: str) -> None:
        if source.startswith(str(temporary)):
            raise OSError(18, "Invalid cross-device link")
        replace(source, to)

    file = UploadedFile("a", "text/plain")
    file.write(b"content")
    file.finish()
    monkeypatch.setattr(os, "replace", refuse)
    assert Path(file.save(target)).read_bytes() == b"content"
    assert os.listdir(temporary) == []
    assert os.listdir(target) == ["a"]


def test_what_cannot_be_saved_stays_and_leaves_nothing(temporary, target) -> None:
    (target / "a").mkdir()
    file = UploadedFile("a", "text/plain")
    file.write(b"content")
    file.finish()
    with pytest.raises(OSError):
        file.save(target, dup="o")  # there is a directory of that name
    with pytest.raises(FileNotFoundError):
        file.save(target / "missing")
    with pytest.raises(ValueError, match="dup"):
        file.save(target, dup="x")
    assert os.listdir(target) == ["a"]
    assert file.read() == b"content"
    assert file.save(target) == str(target / "a.1")
    with pytest.raises(ValueError, match="already"):
        file.save(target)


def test_a_symbolic_link_is_not_followed(temporary, target, tmp_path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for dup, name in (("o", "a"), ("u", "a.1")):
        (target / "a").unlink(missing_ok=True)
        (target / "a").symlink_to(outside)
        file = UploadedFile("a", "text/plain")
        file.finish()
        assert file.save(target, dup=dup) == str(target / name)
        assert outside.read_text() == "mine"


# Where a name leads

EVIL = [
    "../../etc/passwd",
    "..",
    ".",
    "/etc/passwd",
    "C:\\Windows\\system.ini",
    "C:system.ini",
    "\\\\server\\share\\x",
    "x.txt:stream",
    "NUL",
    "com1.txt",
    "a\x00.txt",
    "..\\..\\x",
    "trailing. . ",
    "a/",
    "\u202etxt.exe",
    "n" * 5000,
]


@pytest.mark.row("SAD-UPLOAD-03", "SAD-UPLOAD-05")
@pytest.mark.parametrize("name", EVIL, ids=ascii)
def test_a_name_never_leads_out_of_the_directory(app, target, temporary, written, name) -> None:
    @app.route("/save")
    def save(was, file, name=None):
        return os.path.dirname(file.save(target, name))

    client = app.test_client()
    answer = client.post("/save", files={"file": named(b"x", "good")}, data={"name": name})
    assert answer.status == 400, answer.text
    assert "400 for POST /save" in written.app
    assert "Traceback" not in written.app + answer.text
    assert os.listdir(target) == []
    sent = name.replace("\x00", "")[:3000]
    answer = client.post("/save", data=body(part(f'; name="file"; filename="{sent}"', b"x")), headers=TYPE)
    assert answer.text == str(target)
    (saved,) = os.listdir(target)
    assert not set(saved) & set('/\\:\x00<>"|?*')
    assert len(saved.encode()) < 255
    assert os.listdir(temporary) == []


# Limits


@pytest.mark.row("SAD-UPLOAD-07", "SAD-APP-11", "SAD-APP-12")
@pytest.mark.parametrize("limit", ["max_upload_file_size", "max_multipart_body_size"])
def test_what_is_too_large_gets_413(app, visit, seen, temporary, written, limit) -> None:
    app.config[limit] = 100_000
    client = visit(app)
    assert client.post("/upload", files={"file": named(b"x" * 90_000, "x")}).status == 200
    seen.clear()
    answer = client.post("/upload", files={"file": named(b"x" * 100_001, "x")})
    assert answer.status == 413
    assert "Traceback" not in answer.text + written.app
    assert seen == []
    assert os.listdir(temporary) == []
    assert client.post("/upload", files={"file": named(b"x", "x")}).status == 200


@pytest.mark.row("SAD-APP-11", "SAD-APP-12")
def test_defaults_of_the_limits(app) -> None:
    assert app.config.max_multipart_body_size == 20 * 1024 * 1024
    assert app.config.max_upload_file_size == 20_000_000


@pytest.mark.row("SAD-APP-10", "SAD-REQ-05")
def test_small_bodies_are_kept_as_well(app, visit, seen) -> None:
    assert app.config.max_cache_size == 5 * 1024 * 1024
    app.config.max_cache_size = 1000
    client = visit(app)
    data = body(part('; name="a"', b"1"), part('; name="file"; filename="f"', b"x" * 100))
    client.post("/upload", data=data, headers=TYPE)
    assert seen[0]["body"] == data
    client.post("/upload", files={"file": named(b"x" * 1001, "f")})
    assert seen[1]["body"] is None
    assert seen[1]["content"]["file"] == b"x" * 1001


def test_the_body_may_be_asked_for_first(app, visit) -> None:
    bodies = []

    @app.before_request
    def before(was):
        bodies.append(was.request.body)

    @app.route("/upload")
    def upload(was, a, file):
        return a + file.read("r")

    data = body(part('; name="a"', b"1"), part('; name="file"; filename="f"', b"2"))
    assert visit(app).post("/upload", data=data, headers=TYPE).text == "12"
    assert bodies == [data]


# Bad input


def test_ten_thousand_fields(app, visit, seen, written) -> None:
    data = body(*(part(f'; name="n{number}"', b"1") for number in range(10_000)))
    answer = visit(app).post("/upload", data=data, headers=TYPE)
    assert answer.status == 400
    assert "more than 1000 fields" in answer.text and "more than 1000 fields" in written.app
    assert seen == []


BAD = {
    "wrong boundary": body(part('; name="a"', b"1")).replace(BOUNDARY.encode(), b"another"),
    "no end": body(part('; name="a"', b"1"))[:-4],
    "cut in a file": body(part('; name="a"; filename="x"', b"1" * 100))[:150],
    "nothing but text": b"hello",
    "no disposition": f"--{BOUNDARY}\r\nX: y\r\n\r\n1\r\n--{BOUNDARY}--\r\n".encode(),
    "not form-data": body(part('; name="a"', b"1").replace(b"form-data", b"attachment")),
    "no name": body(part("", b"1")),
    "empty name": body(part('; name=""', b"1")),
    "huge name": body(part(f'; name="{"n" * 5000}"', b"1")),
    "huge header": body(part('; name="a"', b"1", "X-Y: " + "z" * 70_000)),
    "many headers": body(part('; name="a"', b"1", *(f"X-{n}: y" for n in range(100)))),
    "name that is no UTF-8": body(part('; name="@"', b"1")).replace(b"@", b"\xff"),
    "value that is no UTF-8": body(part('; name="a"', b"\xff\xfe")),
    "unknown charset": body(part('; name="a"', b"1", "Content-Type: text/plain; charset=rot13")),
    "codec that is no charset": body(part('; name="a"', b"1", "Content-Type: text/plain; charset=unicode_escape")),
    "bare line feeds": body(part('; name="a"', b"1")).replace(b"\r\n", b"\n"),
    "wrong part length": body(part('; name="a"', b"1", "Content-Length: 5")),
    "header that is none": body(part('; name="a"', b"1", "nonsense")),
}


@pytest.mark.parametrize("kind", BAD)
def test_malformed_bodies(app, visit, seen, temporary, written, kind) -> None:
    client = visit(app)
    answer = client.post("/upload", data=BAD[kind], headers=TYPE)
    assert answer.status == 400, answer.text
    assert "400 for POST /upload" in written.app
    assert "Traceback" not in answer.text + written.app
    assert seen == []
    assert os.listdir(temporary) == []
    assert client.post("/upload", data={"a": "next"}).text == "done"
    assert seen[0]["content"] == {"a": "next"}


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "; boundary=",
        '; boundary=""',
        "; boundary=" + "b" * 300,
        '; boundary="a\tb"',
        "; boundary=\xff",
        "; other=1",
    ],
)
def test_no_boundary(app, visit, seen, written, parameters) -> None:
    headers = {"Content-Type": f"multipart/form-data{parameters}"}
    answer = visit(app).post("/upload", data=body(part('; name="a"', b"1")), headers=headers)
    assert answer.status == 400
    assert "no boundary" in answer.text
    assert seen == []


def test_much_text_is_not_held_in_memory(app, visit, seen) -> None:
    app.config.max_post_body_size = 50_000
    client = visit(app)
    data = body(*(part(f'; name="n{number}"', b"x" * 10_000) for number in range(6)))
    assert client.post("/upload", data=data, headers=TYPE).status == 413
    assert client.post("/upload", files={"file": named(b"x" * 60_000, "f")}).status == 200


def test_other_character_sets_and_names(app, visit, seen) -> None:
    data = body(
        part('; name="latin"', b"\xe9", "Content-Type: text/plain; charset=ISO-8859-1"),
        part('; name="a"b"', b"1").replace(b'a"b', b"a%22b"),
        part("; name=bare; filename=bare.txt", b"2"),
        part("; name=\"old\"; filename*=UTF-8''n%C3%A4me.txt", b"3"),
        part('; name="blob"; filename=""', b"4", "Content-Type: image/png"),
    )
    assert visit(app).post("/upload", data=data, headers=TYPE).status == 200
    form = seen[0]["form"]
    assert (form["latin"], form['a"b']) == ("é", "1")
    assert (form["bare"].name, form["old"].name, form["blob"].name) == ("bare.txt", "näme.txt", "file")
    assert form["blob"].mimetype == "image/png"


def test_preamble_and_epilogue_are_skipped(app, visit, seen) -> None:
    data = b"This is a preamble.\r\n" + body(part('; name="a"', b"1")) + b"and this an epilogue" * 1000
    assert visit(app).post("/upload", data=data, headers=TYPE).status == 200
    assert seen[0]["content"] == {"a": "1"}


def test_a_refused_login_leaves_no_files(app, temporary, monkeypatch) -> None:
    app.realm, app.users = "R", {"a": "b"}

    @app.route("/upload", authenticate=True)
    def upload(was, file): ...

    monkeypatch.setattr(UploadedFile, "__init__", None)
    assert app.test_client().post("/upload", files={"file": named(b"x", "x")}).status == 401


@given(
    st.lists(st.tuples(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=9), st.binary())),
    st.integers(1, 70),
)
def test_every_file_comes_through_whole(files, step) -> None:
    app = Saddle(__name__)
    seen = []

    @app.route("/")
    def upload(was, **form):
        for name, value in form.items():
            for each in value if isinstance(value, list) else [value]:
                seen.append((name, each.read()))
        return "done"

    client = app.test_client()
    # Browsers write a quote and a line break of a name as %22, %0D and %0A, and a percent sign as it is: what comes
    # back of a name that has such a text in it is the character, so names here have no percent sign.
    sent = [(name.replace("\\", "_").replace("%", "_"), content) for name, content in files]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multipart_forms, "_PIECE", step)  # cut anywhere, also inside of a boundary
        answer = client.post("/", files=[(name, named(content, "f")) for name, content in sent])
    assert answer.status == 200, answer.text
    assert sorted(seen) == sorted(sent)


@given(st.binary(max_size=300))
def test_no_bytes_are_an_error_of_ours(data) -> None:
    app = Saddle(__name__)
    app.route("/")(lambda was, **form: "done")
    body = f"--{BOUNDARY}\r\n".encode() + data
    assert app.test_client().post("/", data=body, headers=TYPE).status in (200, 400)


# Other people's clients


def test_curl(app, run, seen, tmp_path) -> None:
    port = run({"": app}).port
    file = tmp_path / "größe.txt"
    file.write_bytes(b"content\n" * 20_000)
    command = ["curl", "-sS", "-F", f"file=@{file};type=text/x-notes", "-F", "name=Hans Röh", "-F", "empty="]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}/upload"], capture_output=True, timeout=30)
    assert (done.stdout, done.stderr) == (b"done", b"")
    file_seen = seen[0]["form"]["file"]
    assert (file_seen.name, file_seen.size, file_seen.mimetype) == ("größe.txt", 160_000, "text/x-notes")
    assert seen[0]["content"]["file"] == file.read_bytes()
    assert (seen[0]["content"]["name"], seen[0]["content"]["empty"]) == ("Hans Röh", "")


def test_curl_in_chunks(app, run, seen, tmp_path) -> None:
    port = run({"": app}).port
    (tmp_path / "x").write_bytes(b"x" * 300_000)
    command = ["curl", "-sS", "-H", "Transfer-Encoding: chunked", "-F", f"file=@{tmp_path / 'x'}"]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}/upload"], capture_output=True, timeout=30)
    assert done.stdout == b"done", done
    assert seen[0]["content"]["file"] == b"x" * 300_000


def test_requests(app, run, seen) -> None:
    port = run({"": app}).port
    files = [("file", ("ü.bin", b"\x00" * 100_000, "image/png")), ("file", ("b", b"2"))]
    answer = requests.post(f"http://127.0.0.1:{port}/upload", files=files, data={"name": "Röh"}, timeout=30)
    assert answer.text == "done"
    assert seen[0]["content"] == {"file": [b"\x00" * 100_000, b"2"], "name": "Röh"}
    assert [each.name for each in seen[0]["form"]["file"]] == ["ü.bin", "b"]


def test_werkzeug(app, visit, seen) -> None:
    values = {"file": FileStorage(io.BytesIO(b"1\r\n--2"), "ü.txt", content_type="text/plain"), "name": "Röh"}
    boundary, data = encode_multipart(values)
    headers = {"Content-Type": f'multipart/form-data; boundary="{boundary}"'}
    assert visit(app).post("/upload", data=data, headers=headers).text == "done"
    assert seen[0]["content"] == {"file": b"1\r\n--2", "name": "Röh"}
    assert seen[0]["form"]["file"].name == "ü.txt"


def test_the_file_is_on_disk_while_it_arrives_and_gone_with_its_client(app, run, seen, temporary, until) -> None:
    sock = run({"": app}).connect()
    data = body(part('; name="file"; filename="x"', b"x" * 500_000))
    head = (
        f"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\nContent-Type: {TYPE['Content-Type']}\r\n"
    )
    sock.sendall(head.encode() + b"\r\n" + data[:400_000])
    until(lambda: [size for size in unnamed_in(temporary) if size > 100_000])
    assert os.listdir(temporary) == []  # no way to end the process leaves it there
    sock.close()
    until(lambda: not unnamed_in(temporary))
    assert seen == []


def unnamed_in(directory: Path) -> list[int]:
    """Sizes of the open files of a directory that have no name."""
    sizes = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}").startswith(f"{directory}/#"):
                sizes.append(os.stat(f"/proc/self/fd/{number}").st_size)
    return sizes


@pytest.mark.row("SAD-UPLOAD-02")
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("can_link", [True, False])
def test_a_file_has_a_name_when_the_app_asks_for_it(
    app, visit, temporary, target, monkeypatch, count, can_link
) -> None:
    """Alone it gets one without a copy; with others, or where that cannot be, a copy."""
    if not can_link:
        monkeypatch.setattr(os, "link", lambda *args, **options: (_ for _ in ()).throw(OSError(18, "cross-device")))
    seen = []

    @app.route("/upload")
    def upload(was, **form):
        assert os.listdir(temporary) == []
        texts = [repr(file) for file in form.values()]
        assert os.listdir(temporary) == []
        for file, text in zip(form.values(), texts, strict=True):
            assert text == f"<File {file.name} ({file.size} bytes, {file.mimetype}) saved as {file.path}>" == str(file)
            assert subprocess.check_output(["cat", file.path]) == file.read()
        assert len(os.listdir(temporary)) == count
        saved = [Path(file.save(target)).read_bytes() for file in form.values()]
        seen.append(([file.read() for file in form.values()], saved))
        return "done"

    files = [(f"f{number}", named(f"content {number}".encode(), f"{number}.txt")) for number in range(count)]
    assert visit(app).post("/upload", files=files).text == "done"
    contents = [f"content {number}".encode() for number in range(count)]
    assert seen == [(contents, contents)]
    assert os.listdir(temporary) == [] and unnamed_in(temporary) == []


def test_many_files_of_one_form_take_one_descriptor(app, visit, temporary, target) -> None:
    counts = []

    @app.route("/upload")
    def upload(was, **form):
        counts.append(len(unnamed_in(temporary)))
        return str([Path(file.save(target)).read_bytes() == file.read() for file in form.values()].count(True))

    files = [(f"f{number}", named(str(number).encode() * 1000, "x")) for number in range(300)]
    assert visit(app).post("/upload", files=files).text == "300"
    assert counts == [1]


def test_what_an_app_writes_to_the_path_is_what_it_saves(app, visit, temporary, target) -> None:
    @app.route("/upload")
    def upload(was, file):
        Path(file.path).write_bytes(b"changed")
        return Path(file.save(target)).read_bytes() + file.read()

    assert visit(app).post("/upload", files={"file": named(b"x", "x")}).text == "changedchanged"
    assert os.listdir(temporary) == []
