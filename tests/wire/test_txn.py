"""Transaction ids."""

import pytest

from skitai.wire.txn import Transaction


@pytest.mark.row("TXN-01", "TXN-02")
def test_a_request_without_ids_gets_them() -> None:
    transaction = Transaction.receive(None, None, 4676, 67)
    assert transaction.gtxnid == "GTID-C4676-R67"
    assert transaction.received == 1000
    assert str(transaction) == "GTID-C4676-R67/1000"


def hop(sender: Transaction) -> Transaction:
    fields = dict(sender.next_call())
    return Transaction.receive(fields["X-Gtxn-Id"], fields["X-Ltxn-Id"], 9, 9)


def test_the_numbers_of_the_documents() -> None:
    first = Transaction.receive(None, None, 1, 1)
    second, third = hop(first), hop(first)
    assert (second.received, third.received) == (2001, 2002)
    assert hop(second).received == 3002
    assert hop(third).received == 3003
    assert {second.gtxnid, third.gtxnid} == {first.gtxnid}


@pytest.mark.row("TXN-08")
def test_the_received_number_stays_while_calls_are_made() -> None:
    transaction = Transaction.receive("g", "1001", 1, 1)
    transaction.next_call()
    transaction.next_lines()
    assert transaction.received == 2001
    assert transaction.ltxnid == 2003
    assert str(transaction) == "g/2001"


def test_lines_say_what_fields_say() -> None:
    one, two = Transaction("g", 1000), Transaction("g", 1000)
    assert one.next_lines() == "".join(f"{name}: {value}\r\n" for name, value in two.next_call())


@pytest.mark.row("TXN-04")
@pytest.mark.parametrize("ltxnid", [None, "", "abc", "-5", "1e3", "1000000000000", "١٠٠٠"])
def test_a_garbled_local_id_counts_as_the_first_hop(ltxnid: str | None) -> None:
    transaction = Transaction.receive("GTID-C1-R1", ltxnid, 2, 2)
    assert (transaction.gtxnid, transaction.received) == ("GTID-C1-R1", 1000)


@pytest.mark.parametrize("gtxnid", ["", "a b", "a\x7f", "ä", "x" * 129])
def test_a_global_id_that_could_spoil_logs_is_replaced(gtxnid: str) -> None:
    assert Transaction.receive(gtxnid, "1001", 3, 4).gtxnid == "GTID-C3-R4"
