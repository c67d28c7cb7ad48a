"""What certificate files say: where they are, whom they are for, and whether others can read their keys."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from skitai.errors import ConfigurationError
from skitai.net.files import open_regular

#: Where a certificate file that does not exist as it was given is looked for.
PLACES: Final = ("/etc/skitaid/cert",)

_HOST_NAME: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_BEGIN_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class Certificate:
    """The files of one certificate.

    Attributes:
        certfile: PEM file of the certificate and its chain, perhaps with the key in it.
        keyfile: PEM file of the private key, when it is not in ``certfile``.
        passphrase: of an encrypted key.
        names: hosts that it is shown for; empty takes those that it names itself.
    """

    certfile: str
    keyfile: str | None = None
    passphrase: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: object) -> Certificate:
        """Return what a setting says: a path, or a dict with the attributes above.

        Raises:
            ConfigurationError: it is neither, or has other keys or values.
        """
        if isinstance(given, str):
            return cls(given)
        if not isinstance(given, dict) or not isinstance(given.get("certfile"), str):
            raise ConfigurationError(
                f"a further certificate is a path or a dict with 'certfile', not a {type(given).__name__}"
            )
        unknown = set(given) - {"certfile", "keyfile", "passphrase", "names"}
        if unknown:
            raise ConfigurationError(
                f"the certificate {given['certfile']!r} has no setting {sorted(unknown)[0]!r}; "
                "there are certfile, keyfile, passphrase, names"
            )
        names = given.get("names") or ()
        if isinstance(names, str):
            names = names.replace(",", " ").split()
        return cls(given["certfile"], given.get("keyfile"), given.get("passphrase"), tuple(map(_host_name, names)))

    @property
    def key_path(self) -> str:
        """The file that has the private key."""
        return self.keyfile or self.certfile

    def hosts(self) -> tuple[str, ...]:
        """Return the host names that it is shown for, ``*.example.com`` for one label more.

        Raises:
            ConfigurationError: none are given, and the certificate names no host either.
        """
        if self.names:
            return self.names
        found = tuple(dict.fromkeys(named_hosts(self.certfile)))
        if not found:
            raise ConfigurationError(
                f"the certificate in {self.certfile!r} names no host, so no client can ask for it: "
                "give its names=[...], or a certificate with a subjectAltName"
            )
        return found


def named_hosts(certfile: str) -> list[str]:
    """Return the host names in the subjectAltName of a certificate; without such an extension, its common name.

    Raises:
        ConfigurationError: the file cannot be read, or has no certificate.
    """
    from cryptography import x509  # takes 40 ms, and most servers have one certificate
    from cryptography.x509.oid import NameOID

    try:
        with open_regular(certfile) as file:
            data = file.read()
        # A key before the certificate is allowed in PEM, but not to this parser.
        leaf = x509.load_pem_x509_certificate(data[data.find(_BEGIN_CERTIFICATE) :])
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        common = [str(each.value) for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        return [name.lower() for name in common if _HOST_NAME.fullmatch(name.lower())]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read the certificate in {certfile!r}: {error}") from error
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def sought(path: str, places: Iterable[str] = PLACES) -> str:
    """Return where a certificate or key file is: as given, or else under the same name in one of ``places``.

    What is nowhere is returned as given, so that the message about it names what somebody wrote.
    """
    if not os.path.exists(path):
        for place in places:
            found = os.path.join(place, path)
            if os.path.exists(found):
                return found
    return path


def readable_keys(certificates: Sequence[Certificate]) -> list[str]:
    """Return a warning for each private key that other users of this machine may read."""
    warnings = []
    for path in dict.fromkeys(each.key_path for each in certificates):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            warnings.append(f"the private key in {path} may be read by other users (mode {mode:03o}): chmod 600 {path}")
    return warnings


def _host_name(given: object) -> str:
    name = str(given).lower().removesuffix(".")
    if not isinstance(given, str) or not _HOST_NAME.fullmatch(name):
        raise ConfigurationError(f"{given!r} is no host name: give names like 'www.example.com' or '*.example.com'")
    return name
