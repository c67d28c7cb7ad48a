#!/usr/bin/env python3
"""Measure WebSockets beside other servers: echoes per second, and the time of a broadcast to a room.

    benchmarks/websocket.py [--seconds 2] [--rounds 3] [--python PATH] [--output FILE]

Each server has one core, the load another one. In every round each server is measured after the other, so that ratios
of one run can be trusted more than its numbers. Only loopback is used.
"""

from __future__ import annotations

import argparse
import base64
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.contenders import PEERS_BIN
from harness.peers_env import ensure_peers

HERE = Path(__file__).resolve().parent
APPS = HERE / "apps"
CONNECTIONS = 100
MEMBERS = 1000
SIZES = (100, 65536)

#: Name, command; PYTHON is the interpreter of the peers.
SERVERS: dict[str, list[str]] = {
    "skitai (Saddle)": [sys.executable, "-m", "skitai", "ws_skitai.py", "{port}"],
    "uvicorn (websockets, uvloop)": [
        "PYTHON", "-m", "uvicorn", "ws_asgi:app", "--port", "{port}", "--log-level", "error",
    ],
    "uvicorn (wsproto, uvloop)": [
        "PYTHON", "-m", "uvicorn", "ws_asgi:app", "--port", "{port}", "--log-level", "error", "--ws", "wsproto",
    ],
    "websockets (asyncio)": ["PYTHON", "ws_websockets.py", "{port}"],
    "aiohttp": ["PYTHON", "ws_aiohttp.py", "{port}"],
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def server(command: Sequence[str], python: str, core: int, most_seconds: int) -> Iterator[tuple[int, int]]:
    """Run a server on one core until the end of the block; the system ends it after ``most_seconds`` in any case.

    Gives its port and its process id.
    """
    port = free_port()
    words = [word.replace("PYTHON", python).format(port=port) for word in command]
    prefix = ["timeout", str(most_seconds), "taskset", "-c", str(core)]
    process = subprocess.Popen([*prefix, *words], cwd=APPS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > ends:
                    raise SystemExit(f"{' '.join(words)} did not start") from None
                time.sleep(0.05)
        yield port, int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    finally:
        process.terminate()
        process.wait()


def processor_seconds(pid: int) -> float:
    """Processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shake_hands(port: int, path: str) -> socket.socket:
    """Open a WebSocket without extensions."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    return sock


def masked(size: int) -> tuple[bytes, int]:
    """A frame of a client with ``size`` bytes of text, and the bytes of the frame that echoes it."""
    body = b"x" * size  # a mask of zeros leaves it as it is
    if size < 126:
        return bytes([0x81, 0x80 | size, 0, 0, 0, 0]) + body, 2 + size
    if size < 65536:
        return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + body, 4 + size
    return b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + body, 10 + size


def echoes(port: int, pid: int, size: int, seconds: float) -> tuple[float, float]:
    """Echoes per second over all connections, each with one message under way, and processor microseconds for each."""
    frame, expected = masked(size)
    socks = {sock.fileno(): sock for sock in (shake_hands(port, "/echo") for _ in range(CONNECTIONS))}
    poll = select.epoll()
    for number, sock in socks.items():
        poll.register(number, select.EPOLLIN)
        sock.sendall(frame)
    left = dict.fromkeys(socks, expected)
    count, began, before = 0, 0.0, 0.0
    warm_until = time.perf_counter() + 0.5
    while True:
        now = time.perf_counter()
        if not began and now >= warm_until:
            began, count, before = now, 0, processor_seconds(pid)
        if began and now >= began + seconds:
            break
        for number, _ in poll.poll(1):
            sock = socks[number]
            data = len(sock.recv(262144))
            assert data, "the server closed the connection"
            left[number] -= data
            if not left[number]:
                count += 1
                left[number] = expected
                sock.sendall(frame)
    rate = count / (time.perf_counter() - began)
    cost = (processor_seconds(pid) - before) * 1e6 / count
    for sock in socks.values():
        sock.close()
    poll.close()
    return rate, cost


def broadcasts(port: int, pid: int, times: int = 50) -> tuple[float, float]:
    """Milliseconds until all members have what one of them says, the median; and those that the processor takes."""
    frame, expected = masked(100)
    socks = {sock.fileno(): sock for sock in (shake_hands(port, "/chat?room=1") for _ in range(MEMBERS))}
    poll = select.epoll()
    for number in socks:
        poll.register(number, select.EPOLLIN)
    first = next(iter(socks.values()))
    taken = []
    before = processor_seconds(pid)
    for _ in range(times):
        left = dict.fromkeys(socks, expected)
        began = time.perf_counter()
        first.sendall(frame)
        while left:
            for number, _ in poll.poll(5):
                left[number] -= len(socks[number].recv(4096))
                if not left[number]:
                    del left[number]
        taken.append((time.perf_counter() - began) * 1000)
    cost = (processor_seconds(pid) - before) * 1000 / times
    for sock in socks.values():
        sock.close()
    poll.close()
    return statistics.median(taken), cost


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Measure WebSockets beside other servers.")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default="", help="interpreter with the peers, instead of the one that run.py makes")
    parser.add_argument("--output", default="")
    options = parser.parse_args(arguments)
    if not options.python:
        ensure_peers()
        options.python = str(PEERS_BIN / "python")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    results: dict[str, dict[str, list[float]]] = {name: {} for name in SERVERS}
    most = int(options.seconds * 4 + 90)
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", flush=True)
        for name, command in SERVERS.items():
            with server(command, options.python, cores[0], most) as (port, pid):
                found = {}
                for size in SIZES:
                    rate, cost = echoes(port, pid, size, options.seconds)
                    found |= {f"echo {size} B, per second": rate, f"echo {size} B, us CPU": cost}
                found["broadcast, ms"], found["broadcast, ms CPU"] = broadcasts(port, pid)
            for case, value in found.items():
                results[name].setdefault(case, []).append(value)
            print("   ", name, {case: round(value, 1) for case, value in found.items()}, flush=True)
    text = table(results)
    print(text)
    if options.output:
        Path(options.output).write_text(text)
    return 0


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """The medians, and how they compare with the first server."""
    cases = list(next(iter(results.values())))
    lines = [
        "# WebSocket benchmark",
        "",
        f"{CONNECTIONS} connections with one message under way each; a room of {MEMBERS} members. Medians of rounds;",
        "in brackets, how much better (above 1) or worse our server is; where others use the machine too, processor",
        "time says more than rates. Written by `benchmarks/websocket.py`.",
        "",
        f"| server | {' | '.join(cases)} |",
        "|---|" + "---|" * len(cases),
    ]
    ours = {case: statistics.median(values) for case, values in next(iter(results.values())).items()}
    for name, found in results.items():
        cells = []
        for case in cases:
            value = statistics.median(found[case])
            ratio = ours[case] / value if case.endswith("per second") else value / ours[case]
            cells.append(f"{value:,.{0 if value > 1000 else 1}f} ({ratio:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
