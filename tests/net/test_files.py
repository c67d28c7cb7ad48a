"""Files that somebody else names: regular ones are opened, nothing else is waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from skitai.errors import ConfigurationError
from skitai.net.certificates import named_hosts
from skitai.net.files import is_file_or_directory, open_regular
from skitai.net.tls import client_context, server_context
from skitai.settings import TlsSettings
from skitai.wire.client_certificate import ClientCertificate


@pytest.fixture
def odd(tmp_path: Path) -> list[str]:
    """A FIFO that nobody writes to, a link to it, a socket and devices."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
    return [*(str(tmp_path / name) for name in ("fifo", "link", "socket")), "/dev/zero", "/dev/tty", "/dev/null"]


def test_only_regular_files_are_opened(odd: list[str], tmp_path: Path) -> None:
    for path in [*odd, str(tmp_path), str(tmp_path / "missing")]:
        with pytest.raises(OSError, match=r".+"):
            open_regular(path)
    with pytest.raises(ValueError, match="null"):
        open_regular(str(tmp_path / "a\0b"))
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "to").symlink_to(tmp_path / "file")
    for name in ("file", "to"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"


def test_a_refused_file_leaves_no_descriptor(odd: list[str]) -> None:
    def is_open(path: str) -> bool:
        numbers = os.listdir("/proc/self/fd")
        return any(os.path.realpath(path) == os.path.realpath(f"/proc/self/fd/{number}") for number in numbers)

    for path in [each for each in odd if each != "/dev/null"]:
        with pytest.raises(OSError, match=r".+"):
            open_regular(path)
        assert not is_open(path)


def test_what_can_be_read_without_waiting(odd: list[str], tmp_path: Path) -> None:
    assert not any(is_file_or_directory(path) for path in odd)
    assert is_file_or_directory(tmp_path) and is_file_or_directory(tmp_path / "missing")


def test_certificates(odd: list[str], tmp_path: Path) -> None:
    for path in odd[:3]:
        for use in (
            lambda path: server_context(path),
            lambda path: client_context(path),
            lambda path: client_context(True, certificate=ClientCertificate(path)),
            lambda path: named_hosts(path),
        ):
            with pytest.raises(ConfigurationError, match=r"no regular file|not a regular file|cannot read"):
                use(path)


def test_authorities_of_clients(odd: list[str], tmp_path: Path) -> None:
    import trustme

    certfile = str(tmp_path / "server.pem")
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certfile)
    with pytest.raises(ConfigurationError, match="no regular file"):
        server_context(certfile, odd[0])
    with pytest.raises(ConfigurationError, match="no regular file"):
        server_context(certfile, settings=TlsSettings(client_ca=odd[0]))
    with pytest.raises(ConfigurationError, match="no regular file"):
        server_context(certfile, settings=TlsSettings(client_ca=certfile, client_crl=odd[0]))
