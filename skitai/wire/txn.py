"""Transaction ids: one number for everything that a user's request sets off, on whatever servers.

The global id (gtxnid) is given to a request that arrives without one, and never changes. The local id (ltxnid) says
how deep and which: the first hop is 1000; its first call arrives at another server as 2001, its next as 2002; calls of
2001 arrive as 3002, 3003 and so on. The sender counts up and sends 1001, 1002; the receiver adds 1000. Past 999 calls
of one request the count runs into the digit of the depth: the ids stay unique per sender, the depth is hard to read.
"""

from __future__ import annotations

import re
from typing import Final

from skitai.wire.fields import field_line

GTXN_FIELD: Final = "X-Gtxn-Id"
LTXN_FIELD: Final = "X-Ltxn-Id"

FIRST_LTXNID: Final = 1000
_DEPTH: Final = 1000

# The value goes into logs and into the requests we send, so a client may not choose just any bytes for it.
_is_gtxnid = re.compile(r"[!-~]{1,128}").fullmatch
_is_ltxnid = re.compile(r"[0-9]{1,9}").fullmatch


class Transaction:
    """The ids of one request that is being served.

    Args:
        gtxnid: the id that all calls of one user's request share.
        ltxnid: the id of this request among them.

    Attributes:
        received: ltxnid as it was when the request began; logs show this one.
        ltxnid: the running number, one higher after each call.
    """

    __slots__ = ("gtxnid", "ltxnid", "received")

    def __init__(self, gtxnid: str, ltxnid: int) -> None:
        self.gtxnid = gtxnid
        self.received = ltxnid
        self.ltxnid = ltxnid

    @classmethod
    def receive(
        cls, gtxnid: str | None, ltxnid: str | None, connection_number: int, request_number: int
    ) -> Transaction:
        """Return the transaction of a request that arrived.

        Args:
            gtxnid: the X-Gtxn-Id field; without one, or when it is not 1 to 128 visible ASCII characters, a new id
                of the form ``GTID-C<connection>-R<request>`` is given.
            ltxnid: the X-Ltxn-Id field; when missing or no number, this request counts as the first hop.
            connection_number, request_number: unique over the workers of this server.
        """
        if gtxnid is None or not _is_gtxnid(gtxnid):
            return cls(f"GTID-C{connection_number}-R{request_number}", FIRST_LTXNID)
        if ltxnid is None or not _is_ltxnid(ltxnid):
            return cls(gtxnid, FIRST_LTXNID)
        return cls(gtxnid, int(ltxnid) + _DEPTH)

    def next_call(self) -> list[tuple[str, str]]:
        """Count one more call and return the two fields to send with it."""
        self.ltxnid += 1
        return [(GTXN_FIELD, self.gtxnid), (LTXN_FIELD, str(self.ltxnid))]

    def next_lines(self) -> str:
        """Count one more call and return its two field lines for the hot path."""
        self.ltxnid = number = self.ltxnid + 1
        return field_line(GTXN_FIELD, self.gtxnid) + field_line(LTXN_FIELD, str(number))

    def __str__(self) -> str:
        return f"{self.gtxnid}/{self.received}"

    def __repr__(self) -> str:
        return f"<Transaction {self}, {self.ltxnid - self.received} calls>"
