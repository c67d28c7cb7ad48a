"""JSON Web Tokens (RFC 7519) signed with HMAC, made and checked by PyJWT.

``from aquests.lib import jwt`` is the same under our launcher.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import Any, Final

import jwt as pyjwt
from jwt.algorithms import HMACAlgorithm

#: What is accepted. ``none`` is not, whatever a token says, and neither is a public key algorithm: the secret could be
#: taken for its key.
ALGORITHMS: Final = ("HS256", "HS384", "HS512")

_HASHES = {"HS256": HMACAlgorithm.SHA256, "HS384": HMACAlgorithm.SHA384, "HS512": HMACAlgorithm.SHA512}
_STANDARD_TO_URL = str.maketrans("+/", "-_")
#: The claim "sub" of older issuers is a number; who reads it knows.
_OPTIONS: Any = {"verify_sub": False, "verify_aud": False, "verify_iss": False}


def gen_token(secret_key: bytes | str, claim: dict[str, Any], alg: str = "HS256") -> str:
    """Return a signed token ``header.claim.signature``.

    Args:
        secret_key: at least as long as the hash of ``alg`` (32 bytes for HS256); PyJWT warns about a shorter one.
        claim: what the token says. ``exp`` (seconds since 1970) ends its life.
        alg: HS256, HS384 or HS512.

    Raises:
        ValueError: another algorithm.
    """
    if alg not in ALGORITHMS:
        raise ValueError(f"the algorithm is one of {', '.join(ALGORITHMS)}, not {alg!r}")
    return pyjwt.encode(claim, secret_key, alg)


def get_claim(secret_key: bytes | str, token: str | bytes) -> dict[str, Any] | None:
    """Return what a token says, or ``None`` when it must not be believed.

    Its signature must be right, and ``exp`` and ``nbf`` must allow it now if they are there. Its parts may be in
    base64url, as RFC 7515 says, or in standard base64 with or without padding, as version 0.26 made them.
    """
    try:
        text = token.decode("ascii") if isinstance(token, bytes) else token
        if _is_base64url(text):
            return pyjwt.decode(text, secret_key, algorithms=list(ALGORITHMS), options=_OPTIONS)
        return _claim_of_standard_base64(secret_key, text)
    except (pyjwt.PyJWTError, ValueError):
        return None


def _is_base64url(token: str) -> bool:
    return not any(character in token for character in "+/=")


def _claim_of_standard_base64(key: bytes | str, token: str) -> dict[str, Any] | None:
    """The signature is over the text as it came: it is checked first, then the text is made base64url for PyJWT."""
    signed, _, signature = token.rpartition(".")
    plain = ".".join(part.translate(_STANDARD_TO_URL).rstrip("=") for part in token.split("."))
    algorithm = pyjwt.get_unverified_header(plain).get("alg")
    if algorithm not in ALGORITHMS:
        return None
    hmac = HMACAlgorithm(_HASHES[algorithm])
    if not hmac.verify(signed.encode("ascii"), hmac.prepare_key(key), _decode(signature)):
        return None
    options: Any = {**_OPTIONS, "verify_signature": False, "verify_exp": True, "verify_nbf": True, "verify_iat": True}
    return pyjwt.decode(plain, options=options)


def _decode(part: str) -> bytes:
    text = part.translate(_STANDARD_TO_URL).rstrip("=")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64") from error
