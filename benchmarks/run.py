#!/usr/bin/env python3
"""Measure this project's server beside its peers and write the table of ratios.

    benchmarks/run.py [--case hello,fanout] [--seconds 2] [--rounds 3] [--peers bjoern,granian] [--output FILE]

Needs Linux, wrk, taskset and, for the peer bjoern, the headers of libev. Only loopback is used.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.bench import Bench
from harness.contenders import CASES, ROOT, our_python
from harness.peers_env import versions
from harness.report import merge, versions_section

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def source_version() -> str:
    """The version of our code: its commit, and a digest of its files, which also sees what is not committed."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    files = sorted((ROOT / "skitai").rglob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    return f"{done.stdout.strip() or 'without git'} (source {digest})"


def words(text: str) -> list[str]:
    """A comma-separated list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; ends the program with a message when it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure the server beside its peers.")
    parser.add_argument("--case", type=words, default=list(CASES), help="cases, by comma: " + ", ".join(CASES))
    parser.add_argument("--seconds", type=int, default=2, help="length of one measurement (1 to 60)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each server (1 to 20)")
    parser.add_argument("--peers", type=words, default=[], help="only servers whose name contains one of these words")
    parser.add_argument("--output", default=str(RESULTS), help="file of the report; - prints it only")
    options = parser.parse_args(arguments)
    unknown = set(options.case) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if not (1 <= options.seconds <= 60 and 1 <= options.rounds <= 20):
        parser.error("--seconds is 1 to 60, --rounds is 1 to 20")
    return options


def prepare(cases: Sequence[str]) -> None:
    """Tools there, files enough for 10,000 sockets, and a way out on SIGTERM that still ends the servers."""
    tools = ["wrk", "taskset", "timeout"]
    tools += ["h2load"] if any("http2" in case or case == "grpc" for case in cases) else []
    tools += ["openssl"] if any("tls" in case for case in cases) else []
    for tool in tools:
        if shutil.which(tool) is None:
            packages = "wrk nghttp2-client openssl util-linux coreutils"
            sys.exit(f"{tool} is not installed; on Debian: apt-get install {packages}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def main(arguments: Sequence[str]) -> int:
    """Run the cases and write the report."""
    options = parse(arguments)
    prepare(options.case)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        source = source_version()
        sections = bench.run(options.case)
        if source_version() != source:
            source += ", but it was edited during the run: measure again"
    everyone = [one for case in CASES.values() for one in case]
    found = versions_section(source, versions(our_python()), bench.peer_versions, everyone)
    report = merge(Path(options.output), sections, found)
    if options.output == "-":
        print(report)
    else:
        Path(options.output).write_text(report)
        print(f"written: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
