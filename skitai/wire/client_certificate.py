"""The certificate that we show as a client."""

from __future__ import annotations

from dataclasses import dataclass, field

from skitai.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What we show to servers that ask for a certificate.

    Attributes:
        certfile: PEM file of the certificate and its chain, perhaps with the key in it.
        keyfile: PEM file of the private key, when it is not in ``certfile``. passphrase: of an encrypted key.
    """

    certfile: str
    keyfile: str | None = None
    passphrase: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, given: object) -> ClientCertificate | None:
        """Return what a setting says: a path, or a path, a key file and perhaps a passphrase; ``None`` stays so.

        Raises:
            ConfigurationError: it is none of these.
        """
        if given is None or isinstance(given, cls):
            return given
        parts = (given,) if isinstance(given, str) else given
        if isinstance(parts, (tuple, list)) and 1 <= len(parts) <= 3:
            certfile, *rest = parts
            if certfile and isinstance(certfile, str) and all(part is None or isinstance(part, str) for part in rest):
                return cls(certfile, *rest)
        raise ConfigurationError("cert is the path of a PEM file, or (certfile, keyfile), or with a passphrase third")
