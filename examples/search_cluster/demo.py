"""A search cluster: three members with a shard each, and a front that asks them. Run it and open the page.

    python demo.py [--port 5000]      serve until Ctrl-C
    python demo.py --check            ask every page, kill a member, ask again; exit with 0 or 1

The texts are described in ``corpus.py``. Everything it starts ends with it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from check import Checks, check_cluster
from servers import HERE, Server, Servers, StartError

MEMBERS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description="A search cluster of three members and a front, on this machine.")
    parser.add_argument("--port", type=int, help="of the page; 5000 when not given, with --check any free one")
    parser.add_argument("--check", action="store_true", help="ask every page, kill a member, ask again, and end")
    options = parser.parse_args()
    try:
        return check(options.port or 0) if options.check else serve(5000 if options.port is None else options.port)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1


def start(servers: Servers, port: int) -> tuple[Server, list[Server]]:
    """Start the members on free ports, each with its shard, and then the front, which is told where they are."""
    members = [
        servers.start(f"member {number}", "member.py", PORT="0", SHARD=f"{number}/{MEMBERS}")
        for number in range(1, MEMBERS + 1)
    ]
    for member in members:
        member.wait_until_ready()
    addresses = ",".join(member.address for member in members)
    front = servers.start("front", "front.py", PORT=str(port), MEMBERS=addresses)
    front.wait_until_ready()
    return front, members


def serve(port: int) -> int:
    """Serve until a signal, or until the front ends by itself."""
    print("Starting three members, which read and index their texts, and the front ...", flush=True)
    with Servers(on_line=show) as servers:
        front, members = start(servers, port)
        print(f"\n  http://{front.address}/   Ctrl-C ends it.\n", flush=True)
        print("Kill a member and reload the page; a lost one can be started again:")
        for number, member in enumerate(members, 1):
            again = f"PORT={member.port} SHARD={number}/{MEMBERS} {sys.executable} {HERE / 'member.py'}"
            print(f"  kill {member.process.pid:<8} ends {member.name} at {member.address}\n    {again}")
        print(flush=True)
        gone: set[str] = set()
        while front.process.poll() is None:
            report_gone(members, gone)
            try:
                front.process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        print("The front ended.", file=sys.stderr)
        return 1


def report_gone(members: list[Server], gone: set[str]) -> None:
    """Say once that a member has ended."""
    for member in members:
        if member.name not in gone and member.process.poll() is not None:
            gone.add(member.name)
            print(f"{member.name} at {member.address} ended; the others go on.", flush=True)


def show(name: str, line: str) -> None:
    """Pass a line of a server's log on."""
    print(f"{name:8} | {line}", end="", flush=True)


def check(port: int) -> int:
    """Ask every page before and after the loss of a member, and print what came."""
    checks = Checks()
    began = time.perf_counter()
    servers = Servers()
    with servers:
        front, members = start(servers, port)
        print(f"Three members and the front serve after {time.perf_counter() - began:.1f} s: http://{front.address}/")
        check_cluster(checks, front, members)
    ends = {name: code for name, code in servers.exit_codes.items() if name != members[1].name}
    checks.expect("the servers end with exit code 0 when asked to", set(ends.values()) == {0}, str(ends))
    if checks.failed:
        for server in servers.all:
            print(f"\nThe end of the log of {server.name}:\n{''.join(server.lines[-20:])}", file=sys.stderr)
    print(f"\n{checks.passed} checks passed, {checks.failed} failed.")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
