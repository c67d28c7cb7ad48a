"""Large answers: their memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

from tests.scripts import PATIENCE, clean_environment

#: In a process of its own: what other tests have left in the heap of this one changes what its blocks do.
SCRIPT = """
from skitai import patches; patches.apply()

import os

from gevent.server import StreamServer

from skitai import was

# Answers of more than 32 MB, which is as far as glibc moves the bound above which a block has pages of its own.
BLOCK = b"x" * 1_000_000
BLOCKS = 40
CALLS = 8


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def serve(sock, address):
    while sock.recv(65536):
        sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % (BLOCKS * len(BLOCK)))
        for _ in range(BLOCKS):
            sock.sendall(BLOCK)


server = StreamServer(("127.0.0.1", 0), serve)
server.start()
url = f"http://127.0.0.1:{server.server_port}/"
assert len(was.get(url).getwait(10).content) == BLOCKS * len(BLOCK)
before = resident_bytes()
calls = [was.get(url) for _ in range(CALLS)]
assert [len(call.getwait(60).content) for call in calls] == [BLOCKS * len(BLOCK)] * CALLS
del calls
# 320 MB were held; a list of the parts of each would leave most of that behind.
kept = resident_bytes() - before
assert kept < 60_000_000, kept
"""


def test_memory_of_many_large_answers_at_one_time_goes_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=2 * PATIENCE, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
