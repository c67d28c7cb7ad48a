"""A run of some cases: every round goes through all servers, each started fresh, and through the pages of the case."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from harness.contenders import APPS, CASES, PEERS_BIN, Contender, environment
from harness.databases import Databases
from harness.idle import IdleSample, measure_idle
from harness.load import (
    WARM_UP,
    Cores,
    HasTime,
    Sample,
    Shape,
    fetch,
    figure,
    measure,
    run_h2load,
    run_wrk,
    warm_page,
)  # fmt: skip
from harness.pages import CALLS, HELLO, PAGES, Page
from harness.peers_env import ensure_peers
from harness.process import BenchError, Process, StartError, free_port
from harness.report import idle_table, page_tables, section

# Enough for the upstream's 20 ms not to be what limits the check of its capacity.
UPSTREAM_CONNECTIONS = 2000
# How often a disturbed measurement is made at most.
TRIES = 2
# Seconds beyond the measurements after which a server is ended whatever happens: start, warm-up, 10,000 connects, stop.
SPARE = 120


class Beside(NamedTuple):
    """What runs beside the servers of a case, because their pages call it.

    Attributes:
        process: whose time counts as load. env: how the servers find it.
        port: of the upstream, whose calls are counted; 0 for what is no upstream.
    """

    process: HasTime
    env: Mapping[str, str]
    port: int = 0


Running = tuple[Process, int]


class Bench:
    """One run of some cases; collects the sections of the report.

    Attributes:
        peer_versions: of what the environment of the peers holds.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.seconds: int = options.seconds
        self.rounds: int = options.rounds
        self.wanted: list[str] = options.peers
        cores = sorted(os.sched_getaffinity(0))
        self.cores = Cores(server=cores[0], load=cores[-1])
        self.folder = folder
        self.notes: list[str] = []
        # Pairs of the name of a contender and the key of a page that it cannot serve: they are not tried again.
        self.broken: set[tuple[str, str]] = set()
        self.peer_versions: dict[str, str] = {}

    def run(self, cases: Sequence[str]) -> dict[str, str]:
        """Measure each case and return its section of the report."""
        self.peer_versions = ensure_peers()
        os.sched_setaffinity(0, {self.cores.load})
        return {case: self.section(case) for case in cases}

    def section(self, case: str) -> str:
        """One case; one that cannot be measured at all says why."""
        print(case, flush=True)
        self.notes = []
        try:
            return self.idle_section(case) if case == "idle" else self.rate_section(case)
        except BenchError as error:
            self.note(f"not measured: {error}")
            return section(case, "", (), self.notes)

    def note(self, text: str) -> None:
        """Print a remark and keep it, once, for the section at hand."""
        print("   ", text, flush=True)
        if text not in self.notes:
            self.notes.append(text)

    # Who takes part

    def contenders(self, case: str) -> list[Contender]:
        """Those of ``case`` that were asked for and can run; the others are noted."""
        chosen = [one for one in CASES[case] if not self.wanted or any(word in one.name for word in self.wanted)]
        return [one for one in chosen if self.can_run(one)]

    def can_run(self, contender: Contender) -> bool:
        """Whether the contender is installed; if not, the table says so."""
        missing = [package for package in contender.packages if package not in self.peer_versions]
        missing += [] if shutil.which(contender.command[0]) else [contender.command[0]]
        if missing:
            self.note(f"{contender.name}: left out: {', '.join(missing)} is not installed")
        return not missing

    # What runs

    @cached_property
    def certificate(self) -> Path:
        """A certificate on the curve P-256 with its key, in one file that all servers take."""
        path = self.folder / "server.pem"
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command = ["openssl", "req", "-x509", *key, "-subj", "/CN=localhost", "-keyout", path, "-out", path]
        subprocess.run(command, check=True, capture_output=True)
        return path

    @contextmanager
    def upstream(self) -> Iterator[Beside]:
        """The 20 ms service, on the core of the load."""
        port = free_port()
        command = [str(PEERS_BIN / "python"), "upstream.py", str(port)]
        seconds = (self.seconds + SPARE) * self.rounds * TRIES * 4
        log = self.folder / "upstream.log"
        with Process(command, self.cores.load, seconds, log, environment(), APPS) as process:
            process.wait_for_port(port)
            beside = Beside(process, {"UPSTREAM_PORT": str(port)}, port)
            self.note(self.capacity(beside))
            yield beside

    @contextmanager
    def databases(self) -> Iterator[Beside]:
        """PostgreSQL and Redis, on the core of the load."""
        with Databases(self.cores.load) as databases:
            yield Beside(databases, databases.env)

    @contextmanager
    def server(self, contender: Contender, pages: int, beside: Beside | None) -> Iterator[Running]:
        """One contender, started."""
        port = free_port()
        command = [part.format(port=port, cert=self.certificate) for part in contender.command]
        log = self.folder / "server.log"
        env = environment(beside.env if beside else None)
        with Process(command, self.cores.server, self.seconds * pages * TRIES + SPARE, log, env, APPS) as process:
            process.wait_for_port(port)
            yield process, port

    def beside(self, case: str) -> AbstractContextManager[Beside | None]:
        """What the pages of ``case`` call."""
        if case == "fanout":
            return self.upstream()
        return self.databases() if case == "databases" else nullcontext()

    # Rates

    def rate_section(self, case: str) -> str:
        """A case that wrk measures."""
        contenders, pages = self.contenders(case), PAGES[case]
        results: dict[str, dict[str, list[Sample | None]]] = {
            page.key: {one.name: [] for one in contenders} for page in pages
        }
        with self.beside(case) as beside:
            for number in range(self.rounds):
                print(f"  {case}, round {number + 1} of {self.rounds}", flush=True)
                for one in contenders:
                    samples = self.samples(one, pages, beside)
                    for page in pages:
                        results[page.key][one.name].append(samples.get(page.key))
        connections = pages[0].shape.connections
        how = "connection" if connections == 1 else "connections"
        condition = f"{connections} {how}, {self.seconds} s each, rounds: {self.rounds}."
        return section(case, condition, page_tables(case, results, self.rounds), self.notes)

    def samples(self, contender: Contender, pages: Sequence[Page], beside: Beside | None) -> dict[str, Sample]:
        """One measurement of each page by its key; those that cannot be made are left out and noted."""
        samples: dict[str, Sample] = {}
        todo = [page for page in pages if (contender.name, page.key) not in self.broken]
        if not todo:
            return samples
        try:
            with self.server(contender, len(pages), beside) as running:
                for page in todo:
                    sample = self.page_sample(contender, page, running, beside, is_cold=page is todo[0])
                    if sample:
                        samples[page.key] = sample
        except StartError as error:
            self.note(f"{contender.name}: left out: {error}")
            self.broken.update((contender.name, page.key) for page in pages)
        return samples

    def page_sample(
        self, contender: Contender, page: Page, running: Running, beside: Beside | None, is_cold: bool
    ) -> Sample | None:
        """One measurement of one page of a running server, or None when it cannot be counted (which is noted)."""
        process, port = running
        name = f"{contender.name} ({page.key})" if page.title else contender.name
        try:
            shape = replace(page.shape, fields=tuple(page.check(port)))
        except BenchError as error:
            self.note(f"{name}: left out: {error}")
            self.broken.add((contender.name, page.key))
            return None
        try:
            if page.shape.streams:
                run_h2load(port, self.cores.load, shape, WARM_UP)
            elif is_cold:
                run_wrk(port, self.cores.load, shape, WARM_UP)
            else:
                warm_page(port, shape)
            sample = self.calm_sample(name, process, port, shape, beside)
            page.check(port)
        except BenchError as error:
            self.note(f"{name}: a round is not counted: {error}")
            return None
        return sample

    def calm_sample(self, name: str, process: Process, port: int, shape: Shape, beside: Beside | None) -> Sample:
        """The first of ``TRIES`` measurements that other programs did not disturb, or the last (which is noted)."""
        for _ in range(TRIES):
            answered = count(beside)
            sample = measure(process, port, self.cores, shape, self.seconds, beside.process if beside else None)
            if beside and beside.port:
                check_calls(sample, count(beside) - answered)
            shares = f"server core {sample.server_core:.0%}, others {sample.others:.0%}"
            print(f"    {name}: {sample.rate:,.0f}/s, {sample.cpu_us:.1f} us CPU each, {shares}", flush=True)
            if sample.is_calm:
                return sample
        self.note(f"{name}: the rate of a round is not counted: other programs disturbed it {TRIES} times")
        return sample

    def capacity(self, beside: Beside) -> str:
        """What the upstream can do alone, so that the reader sees it is not the limit."""
        report = run_wrk(beside.port, self.cores.load, Shape(UPSTREAM_CONNECTIONS, "/item"), 2)
        rate = figure(r"Requests/sec:\s+([\d.]+)", report)
        most = PAGES["fanout"][0].shape.connections / 0.020
        return (
            f"the upstream alone, on one core together with wrk, answers {rate:,.0f} calls/s, enough for "
            f"{rate / CALLS:,.0f} pages/s; waiting 20 ms allows {most:,.0f} pages/s at most"
        )

    # Memory

    def idle_section(self, case: str) -> str:
        """The case of memory; once per contender, as memory is not noisy."""
        results: dict[str, IdleSample] = {}
        for one in self.contenders(case):
            try:
                with self.server(one, 1, None) as (process, port):
                    PAGES[case][0].check(port)
                    results[one.name] = sample = measure_idle(process, port, HELLO)
                print(f"    {one.name}: {sample.bytes_each:,.0f} bytes each, / {sample.median_ms:.2f} ms", flush=True)
            except BenchError as error:
                self.note(f"{one.name}: not counted: {error}")
        condition = "10,000 connections, each made one request and then waits; `/` is asked 500 times over one more."
        return section(case, condition, idle_table(results), self.notes)


def count(beside: Beside | None) -> int:
    """How many calls the upstream answered so far."""
    return int(fetch(beside.port, "/count")) if beside and beside.port else 0


def check_calls(sample: Sample, answered: int) -> None:
    """Raise BenchError when the pages of ``sample`` cannot all have made their calls."""
    if answered < sample.requests * CALLS:
        raise BenchError(f"{sample.requests} pages made only {answered} upstream calls")
