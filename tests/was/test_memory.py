"""Large answers: their memory goes back to the system."""

from __future__ import annotations

import os

from skitai import was

from .conftest import Link, Peers

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
#: Answers of more than 32 MB, which is as far as glibc moves the bound above which a block has pages of its own.
BLOCK = b"x" * 1_000_000
BLOCKS = 40
CALLS = 8


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE_SIZE


def test_memory_of_many_large_answers_at_one_time_goes_back_to_the_system(peers: Peers) -> None:
    def behave(link: Link) -> None:
        while link.read():
            link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BLOCKS * len(BLOCK)))
            for _ in range(BLOCKS):
                link.send(BLOCK)

    url = peers(behave).url()
    assert len(was.get(url).getwait(10).content) == BLOCKS * len(BLOCK)
    before = resident_bytes()
    calls = [was.get(url) for _ in range(CALLS)]
    assert [len(call.getwait(30).content) for call in calls] == [BLOCKS * len(BLOCK)] * CALLS
    del calls
    # 320 MB were held; a list of the parts of each would leave most of that behind.
    assert resident_bytes() - before < 60_000_000
