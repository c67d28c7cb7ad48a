"""Uploads, read back by the parser that servers use."""

from io import BytesIO

import multipart
import pytest

from skitai.errors import LocalProtocolError
from skitai.wire import formdata


def parts(form: object) -> list[multipart.MultipartPart]:
    body = b"".join(p.read() if formdata.is_file(p) else p for p in formdata.pieces(form, "b0"))  # type: ignore[arg-type]
    return list(multipart.MultipartParser(BytesIO(body), "b0", strict=True))


class NamedFile(BytesIO):
    def __init__(self, name: object, data: bytes = b"x") -> None:
        super().__init__(data)
        self.name = name


def test_fields_and_files() -> None:
    file = NamedFile("/tmp/logo.png", b"\x89PNG\r\n")
    found = parts({"user": "Hans Röh", "n": 5, "file": file, "raw": b"\xff"})
    assert [part.name for part in found] == ["user", "n", "file", "raw"]
    assert found[0].value == "Hans Röh"
    assert found[1].value == "5"
    assert (found[2].filename, found[2].content_type, found[2].raw) == ("logo.png", "image/png", b"\x89PNG\r\n")
    assert found[3].raw == b"\xff"


@pytest.mark.parametrize(
    ("name", "filename", "kind"),
    [("a.unknown-type", "a.unknown-type", "application/octet-stream"), (5, "file", "application/octet-stream"),
     ("C:\\dir\\b.txt", "b.txt", "text/plain")],
)  # fmt: skip
def test_names_of_files(name: object, filename: str, kind: str) -> None:
    part = parts({"f": NamedFile(name)})[0]
    assert (part.filename, part.content_type) == (filename, kind)


def test_a_list_repeats_its_name() -> None:
    assert [(part.name, part.value) for part in parts([("a", ["1", "2"]), ("b", "3")])] == [
        ("a", "1"), ("a", "2"), ("b", "3"),
    ]  # fmt: skip


def test_a_name_cannot_break_out_of_its_header() -> None:
    body = b"".join(formdata.pieces({'a"\r\nX-Evil: 1': "v"}, "b0"))
    assert b'name="a%22%0D%0AX-Evil: 1"' in body


def test_the_boundary_of_ready_made_bytes() -> None:
    assert formdata.boundary_of(b"--abc'd\r\nContent-...") == "abc'd"
    with pytest.raises(LocalProtocolError, match="boundary"):
        formdata.boundary_of(b"user=x")


def test_content_type() -> None:
    assert formdata.content_type("abc") == "multipart/form-data; boundary=abc"
    assert formdata.content_type("a b") == 'multipart/form-data; boundary="a b"'
    assert formdata.new_boundary() != formdata.new_boundary()
