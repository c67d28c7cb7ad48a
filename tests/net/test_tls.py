"""Contexts of both roles."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from skitai.errors import ConfigurationError
from skitai.net.tls import client_context, server_context


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``cert.pem``, ``key.pem``, ``both.pem``, and ``locked.pem`` whose key has the passphrase ``open``."""
    from cryptography.hazmat.primitives import serialization

    place = tmp_path_factory.mktemp("certificates")
    issued = trustme.CA().issue_cert("127.0.0.1")
    chain = issued.cert_chain_pems[0].bytes()
    (place / "cert.pem").write_bytes(chain)
    issued.private_key_pem.write_to_path(str(place / "key.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(place / "both.pem"))
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open"),
    )
    (place / "locked.pem").write_bytes(locked)
    return place


def test_one_file_or_two(files: Path) -> None:
    for context in (
        server_context(str(files / "both.pem")),
        server_context(str(files / "cert.pem"), str(files / "key.pem")),
        server_context(str(files / "cert.pem"), str(files / "locked.pem"), "open"),
    ):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_mode == ssl.CERT_NONE


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_the_recipe_of_the_documents(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "rsa:2048", "-x509", "-keyout", "server.pem", "-out", "server.pem",
         "-days", "365", "-nodes", "-subj", "/CN=localhost"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    server_context(str(tmp_path / "server.pem"))


@pytest.mark.parametrize(
    ("certfile", "keyfile", "passphrase", "text"),
    [
        ("none.pem", None, None, "no such file"),
        ("cert.pem", "none.pem", None, "no such file"),
        ("cert.pem", None, None, "cannot use the certificate"),
        ("cert.pem", "locked.pem", None, "give its passphrase"),
        ("cert.pem", "locked.pem", "wrong", "cannot use the certificate"),
    ],
)
def test_what_is_wrong_is_said(
    files: Path, certfile: str, keyfile: str | None, passphrase: str | None, text: str
) -> None:
    key = str(files / keyfile) if keyfile else None
    with pytest.raises(ConfigurationError, match=text):
        server_context(str(files / certfile), key, passphrase)


def test_a_client_checks_unless_told_otherwise(files: Path) -> None:
    checking = client_context()
    assert checking.verify_mode == ssl.CERT_REQUIRED
    assert checking.check_hostname
    assert checking.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context() is checking
    careless = client_context(False)
    assert (careless.verify_mode, careless.check_hostname) == (ssl.CERT_NONE, False)
    assert client_context(str(files / "cert.pem")).verify_mode == ssl.CERT_REQUIRED
    assert client_context(str(files)).verify_mode == ssl.CERT_REQUIRED


def test_authorities_that_cannot_be_read(files: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"key\.pem"):
        client_context(str(files / "key.pem"))
