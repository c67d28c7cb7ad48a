#!/usr/bin/env python3
"""Measure this project's server beside its peers and write the table of ratios.

    benchmarks/run.py [--case hello,fanout] [--seconds 5] [--rounds 3] [--peers bjoern,granian] [--output FILE]

Needs Linux, wrk, taskset and, for the peer bjoern, the headers of libev. Only loopback is used.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.contenders import APPS, CASES, PEERS_BIN, ROOT, Contender, environment, our_python
from harness.idle import IdleSample, measure_idle
from harness.load import Cores, Sample, Shape, check_page, fetch, figure, measure, run_wrk
from harness.peers_env import ensure_peers, versions
from harness.process import BenchError, Process, free_port
from harness.report import idle_table, merge, rate_table, section, versions_section

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
HELLO = b"Hello, world!"
CALLS = 5
PAGES = {"fanout": b"twenty\n" * CALLS}
# Enough for the upstream's 20 ms not to be what limits the check of its capacity.
UPSTREAM_CONNECTIONS = 2000
VARIED = Path(__file__).resolve().parent / "harness" / "varied.lua"
SHAPES = {
    "hello": Shape(64),
    "varied": Shape(64, script=VARIED),
    "flask": Shape(64),
    "log": Shape(64),
    "fanout": Shape(128),
}
# A share of a core that other programs may take before a measurement is made again, and how often it is made at most.
DISTURBED = 0.10
TRIES = 3
# Seconds beyond the measurement after which a server is ended whatever happens: start, warm-up, 10,000 connects, stop.
SPARE = 120


class Bench:
    """One run of some cases; collects the sections of the report."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.seconds: int = options.seconds
        self.rounds: int = options.rounds
        self.wanted: list[str] = options.peers
        cores = sorted(os.sched_getaffinity(0))
        self.cores = Cores(server=cores[0], load=cores[-1])
        self.folder = folder
        self.notes: list[str] = []

    def contenders(self, case: str) -> list[Contender]:
        """Those of ``case`` that were asked for and can run; the others are noted."""
        chosen = [one for one in CASES[case] if not self.wanted or any(word in one.name for word in self.wanted)]
        return [one for one in chosen if self.can_run(one)]

    def can_run(self, contender: Contender) -> bool:
        """Whether the contender is installed; if not, the table says so."""
        possible = all(package in self.peer_versions for package in contender.packages)
        if not possible:
            self.note(f"{contender.name}: not installed here, not measured")
        return possible

    def note(self, text: str) -> None:
        """Print a remark and keep it for the section at hand."""
        print("   ", text, flush=True)
        self.notes.append(text)

    @contextmanager
    def upstream(self) -> Iterator[tuple[Process, int]]:
        """The 20 ms service, on the core of the load."""
        port = free_port()
        command = [str(PEERS_BIN / "python"), "upstream.py", str(port)]
        seconds = (self.seconds + SPARE) * self.rounds * TRIES * 4
        log = self.folder / "upstream.log"
        with Process(command, self.cores.load, seconds, log, environment(port), APPS) as process:
            process.wait_for_port(port)
            yield process, port

    @contextmanager
    def server(self, contender: Contender, page: bytes, upstream_port: int = 0) -> Iterator[tuple[Process, int]]:
        """One contender, started and seen to answer the right page."""
        port = free_port()
        command = [part.format(port=port) for part in contender.command]
        log = self.folder / "server.log"
        env = environment(upstream_port)
        with Process(command, self.cores.server, self.seconds + SPARE, log, env, APPS) as process:
            process.wait_for_port(port)
            check_page(port, page)
            yield process, port

    def sample(self, case: str, contender: Contender, upstream: tuple[Process, int] | None) -> Sample | None:
        """One measurement, or None when it cannot be counted (the reason is noted)."""
        page = PAGES.get(case, HELLO)
        try:
            with self.server(contender, page, upstream[1] if upstream else 0) as (process, port):
                answered = int(fetch(upstream[1], "/count")) if upstream else 0
                service = upstream[0] if upstream else None
                sample = measure(process, port, self.cores, SHAPES[case], self.seconds, service)
                if upstream:
                    check_calls(sample, int(fetch(upstream[1], "/count")) - answered)
                check_page(port, page)
        except BenchError as error:
            self.note(f"{contender.name}: not counted: {error}")
            return None
        shares = f"server core {sample.server_core:.0%}, others {sample.others:.0%}"
        print(f"    {contender.name}: {sample.rate:,.0f}/s, {shares}", flush=True)
        return sample

    def calm_sample(self, case: str, contender: Contender, upstream: tuple[Process, int] | None) -> Sample | None:
        """The first of ``TRIES`` measurements that other programs did not disturb, or None (which is noted)."""
        for _ in range(TRIES):
            sample = self.sample(case, contender, upstream)
            if sample is None or sample.others <= DISTURBED:
                return sample
        self.note(f"{contender.name}: a round is not counted: other programs disturbed it {TRIES} times")
        return None

    def rate_section(self, case: str) -> str:
        """A case that wrk measures."""
        contenders = self.contenders(case)
        results: dict[str, list[Sample | None]] = {one.name: [] for one in contenders}
        with self.upstream() if case == "fanout" else no_upstream() as upstream:
            if upstream:
                self.note(self.capacity(upstream))
            for number in range(self.rounds):
                print(f"  {case}, round {number + 1} of {self.rounds}", flush=True)
                for one in contenders:
                    results[one.name].append(self.calm_sample(case, one, upstream))
        condition = f"{SHAPES[case].connections} connections, {self.seconds} s each, rounds: {self.rounds}."
        return section(case, condition, rate_table(case, results), self.notes)

    def capacity(self, upstream: tuple[Process, int]) -> str:
        """What the upstream can do alone, so that the reader sees it is not the limit."""
        report = run_wrk(upstream[1], self.cores.load, Shape(UPSTREAM_CONNECTIONS, "/item"), 2)
        rate = figure(r"Requests/sec:\s+([\d.]+)", report)
        most = SHAPES["fanout"].connections / 0.020
        return (
            f"the upstream alone, on one core together with wrk, answers {rate:,.0f} calls/s, enough for "
            f"{rate / CALLS:,.0f} pages/s; waiting 20 ms allows {most:,.0f} pages/s at most"
        )

    def idle_section(self, case: str) -> str:
        """The case of memory; once per contender, as memory is not noisy."""
        results: dict[str, IdleSample] = {}
        for one in self.contenders(case):
            try:
                with self.server(one, HELLO) as (process, port):
                    results[one.name] = sample = measure_idle(process, port, HELLO)
                print(f"    {one.name}: {sample.bytes_each:,.0f} bytes each, / {sample.median_ms:.2f} ms", flush=True)
            except BenchError as error:
                self.note(f"{one.name}: not counted: {error}")
        condition = "10,000 connections, each made one request and then waits; `/` is asked 500 times over one more."
        return section(case, condition, idle_table(results), self.notes)

    def run(self, cases: Sequence[str]) -> dict[str, str]:
        """Measure each case and return its section of the report."""
        self.peer_versions = ensure_peers()
        os.sched_setaffinity(0, {self.cores.load})
        sections = {}
        for case in cases:
            print(case, flush=True)
            self.notes = []
            sections[case] = self.idle_section(case) if case == "idle" else self.rate_section(case)
        return sections


@contextmanager
def no_upstream() -> Iterator[None]:
    """In place of an upstream, for pages that call none."""
    yield None


def check_calls(sample: Sample, answered: int) -> None:
    """Raise BenchError when the pages of ``sample`` cannot all have made their calls."""
    if answered < sample.requests * CALLS:
        raise BenchError(f"{sample.requests} pages made only {answered} upstream calls")


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
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement (1 to 60)")
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


def prepare() -> None:
    """Tools there, files enough for 10,000 sockets, and a way out on SIGTERM that still ends the servers."""
    for tool in ("wrk", "taskset", "timeout"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed; on Debian: apt-get install wrk util-linux coreutils")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def main(arguments: Sequence[str]) -> int:
    """Run the cases and write the report."""
    options = parse(arguments)
    prepare()
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
