"""What ``app.users`` says about a user, and whether someone is that user."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from skitai.saddle.errors import SetupError
from skitai.wire.logins import ALGORITHMS, BasicLogin, DigestLogin, account_hash, algorithm_of


@dataclass(frozen=True)
class User:
    """``was.request.user``.

    Attributes:
        name: with which the user logged in. realm: into which. info: what ``app.users`` has besides the password.
    """

    name: str
    realm: str
    info: Any = None


class Account:
    """An entry of ``app.users``.

    Args:
        password: in plain text, or what :func:`~skitai.wire.logins.account_hash` makes of it.
        is_encrypted: which of both. info: for the app.

    Raises:
        SetupError: the password is no text, or it is to be encrypted and does not look so.
    """

    def __init__(self, password: str, is_encrypted: bool = False, info: Any = None) -> None:
        if not isinstance(password, str):
            raise SetupError("a password in app.users is a str, or the first item of a tuple is")
        self._password = password
        self.algorithm = algorithm_of(password) if is_encrypted else None
        if is_encrypted and self.algorithm is None:
            raise SetupError('an encrypted password in app.users is the MD5 or SHA-256 of "user:realm:password" in hex')
        self.info = info

    @classmethod
    def of(cls, entry: Any) -> Account:
        """Make one of what ``app.users.get()`` returned: a password, or (password, encrypted[, info]).

        Raises:
            SetupError: it is none of these.
        """
        if isinstance(entry, str):
            return cls(entry)
        if isinstance(entry, (tuple, list)) and 1 <= len(entry) <= 3:
            return cls(entry[0], *(bool(each) for each in entry[1:2]), *entry[2:])
        raise SetupError("app.users.get(name) returns a password, (password, encrypted) or (password, encrypted, info)")

    def is_proved(self, login: BasicLogin | DigestLogin, realm: str, method: str) -> bool:
        """Tell whether a client knows the password.

        The work is the same whether the user exists and however the password is kept, and hashes are compared, whose
        length says nothing.
        """
        made = {each: account_hash(each, login.user, realm, self._password) for each in ALGORITHMS}
        if isinstance(login, DigestLogin):
            kept = made[login.algorithm] if self.algorithm is None else self._password.lower()
            is_equal = compare_digest(login.expected(kept, method).encode(), login.response.lower().encode())
            return is_equal and self.knows(login)
        given = {each: account_hash(each, login.user, realm, login.password) for each in ALGORITHMS}
        algorithm = self.algorithm or ALGORITHMS[0]
        kept = made[algorithm] if self.algorithm is None else self._password.lower()
        return compare_digest(kept.encode(), given[algorithm].encode())

    def knows(self, login: BasicLogin | DigestLogin) -> bool:
        """Tell whether a login can be checked at all: not by another algorithm than the password is encrypted by."""
        return self.algorithm is None or isinstance(login, BasicLogin) or self.algorithm == login.algorithm

    def __repr__(self) -> str:
        return f"<Account {'encrypted' if self.algorithm else 'plain'}>"


#: Checked for a user that does not exist, so that the time does not tell; its password is known to nobody.
NOBODY = Account(secrets.token_hex(16))
