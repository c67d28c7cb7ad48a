"""Tables in Markdown, and one file that keeps the sections of the cases that were not run this time."""

from __future__ import annotations

import math
import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.contenders import OURSELVES, PYWSGI, SADDLE, US, Contender
from harness.idle import IdleSample
from harness.load import Sample
from harness.pages import PAGES

Samples = Sequence[Sample | None]

HEAD = """# Benchmark results

Written by `make bench`; do not edit. Machines differ and are shared, so **read the ratios, not the rates**: *us /
peer* is our median over the peer's in the same run, with the smallest and largest of the rounds in brackets. Each
server has a core of its own, wrk and the upstream have another; rounds go through all servers in turn, each started
fresh, its pages checked, and warmed up before it is measured. A run in which wrk saw an error or a status other than
200 is not counted but named. *Others* is the most that other programs took of either core: a measurement in which
that is above 10 % is made again, once; if it is disturbed again, its rate does not count. *Rounds* says how many rates
counted; bracketed ratios are of rounds in which both did.

*CPU us* is the steadier figure: microseconds of processor time that all processes of the server used, by `/proc`, per
response that wrk counted (median of all rounds, disturbed ones too); *CPU peer / us* is the peer's over ours.
*Server core* is the share of its core that the server used: well below 100 % means that something else (the load
generator, waiting) was the limit; then the ratio of the rates flatters the slower one, and that of the CPU does not.
"""

TITLES = {
    "hello": "Hello world (WSGI; uvicorn: raw ASGI)",
    "varied": "Hello world, every request different (query and cookie)",
    "tls": "Hello world over TLS 1.3 (HTTP/1.1, certificate on P-256)",
    "flask": "Hello world in Flask",
    "fanout": "Fan-out page: 5 upstream calls of 20 ms each",
    "saddle": "Saddle beside other frameworks",
    "databases": "Databases: queries that run beside each other in one page",
    "http2": "HTTP/2 without TLS (prior knowledge)",
    "http2-tls": "HTTP/2 over TLS",
    "grpc": "Unary gRPC calls without TLS",
    "log": "What our request log costs",
    "idle": "Idle keep-alive connections",
}
# Ratios us / peer that the project aims at (and the floor it must not fall below).
HELLO_AIMS = {
    **{(page.key, "hypercorn"): "3" for case in ("http2", "http2-tls") for page in PAGES[case]},
    "gunicorn -k gevent": "8 (floor 6)",
    "uvicorn (raw ASGI)": "2 (floor 1.5)",
    "granian (wsgi)": "1.1 (floor 0.9)",
    "bjoern": "0.8 (floor 0.65)",
}
# Peers on the same driver, which we are to be ahead of.
PSYCOPG2 = ("psycopg2, redis-py in threads (gunicorn gthread)", "psycogreen, redis-py (gunicorn -k gevent)")
# Pages of the case of frameworks in which Saddle is to be ahead of Falcon too.
AHEAD_OF_FALCON = ("saddle-hello", "saddle-arguments")
# The one that the others of a table are compared with, where that is not our server.
BASES = {"saddle": SADDLE}
# What a reader has to know of a case.
NOTES = {
    "databases": [
        "plain WSGI or ASGI apps, 20 connections to PostgreSQL each; PostgreSQL and Redis share the core of wrk, so "
        "where that is used up the rates are those of the database: read the CPU",
        "rows read as tuples: `result.tuples` of ours, what psycopg2 makes, the records of asyncpg; read by name: "
        "`result.data` of ours, which are dicts with attributes, the dicts of psycopg2's RealDictCursor, the records "
        "of asyncpg; `select 1` is read by name from ours and by position from the others",
    ],
    "saddle": [
        "all but Starlette on this project's server, from one environment; Starlette is served by uvicorn, so its row "
        "compares both",
        "sessions: Saddle encrypts and authenticates the values, the others sign them only; Bottle by its signed "
        "cookies (with pickle), Falcon, which has none, by itsdangerous, as Flask and Starlette do themselves",
        "Saddle through WSGI is the same app behind a plain WSGI callable",
        "nearly all of the Jinja2 page is Jinja2's own work, the same for all",
    ],
}
AIMS = {
    **{(page.key, name): "> 1" for page in PAGES["databases"] for name in PSYCOPG2},
    **{(page.key, "hypercorn"): "3" for case in ("http2", "http2-tls") for page in PAGES[case]},
    **{(page.key, "Saddle through WSGI"): "> 1" for page in PAGES["saddle"]},
    **{(page.key, "Flask"): "3" for page in PAGES["saddle"]},
    **{(key, "Falcon"): "> 1" for key in AHEAD_OF_FALCON},
    **{("varied", name): aim for name, aim in HELLO_AIMS.items()},
    **{("hello", name): aim for name, aim in HELLO_AIMS.items()},
    **{(page.key, "grpcio"): "> 1" for page in PAGES["grpc"]},
    ("flask", "gunicorn -k gevent"): "> 1",
    ("flask", PYWSGI): "> 1",
    ("flask", "waitress"): "> 1",
    ("flask", "granian (wsgi)"): "> 1",
    ("flask", "bjoern"): "0.9",
    ("fanout", "uvicorn + aiohttp"): "3",
    ("fanout", "gunicorn gevent + requests"): "12",
}


def ratio(ours: Samples, theirs: Samples) -> str:
    """Our median rate over theirs, with the extremes of the rounds; a dash when one side has no figure."""
    mine, other = ([sample.rate for sample in calm(samples)] for samples in (ours, theirs))
    if not mine or not other:
        return "-"
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=False) if a and b and a.is_calm and b.is_calm]
    rounds = [a.rate / b.rate for a, b in pairs]
    spread = f" ({min(rounds):.2f} to {max(rounds):.2f})" if rounds else ""
    return f"**{statistics.median(mine) / statistics.median(other):.2f}**{spread}"


def calm(samples: Samples) -> list[Sample]:
    """Those whose rate counts."""
    return [sample for sample in samples if sample and sample.is_calm]


def cpu_us(samples: Samples) -> float:
    """The median processor time of a response, 0 when nothing was measured."""
    return statistics.median([sample.cpu_us for sample in samples if sample] or [0.0])


def cpu_cells(samples: Samples, ours: Samples) -> list[str]:
    """The processor time of a response, and its ratio to ours."""
    mine, theirs = cpu_us(ours), cpu_us(samples)
    return [f"{theirs:.1f}", f"**{theirs / mine:.2f}**" if mine and samples is not ours else ""]


def rate_cells(samples: Samples, ours: Samples, aim: str) -> list[str]:
    """The figures of the measurements whose rate counts; empty when none does."""
    good = calm(samples)
    if not good:
        return ["-", "", "", aim, "", "", "", "", ""]
    rates = [sample.rate for sample in good]
    return [
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        "" if samples is ours else ratio(ours, samples),
        aim,
        f"{statistics.median(sample.median_ms for sample in good):.2f}",
        f"{statistics.median(sample.p99_ms for sample in good):.2f}",
        f"{statistics.median(sample.server_core for sample in good):.0%}",
        f"{statistics.median(sample.load_core for sample in good):.0%}",
        f"{max(sample.others for sample in good):.0%}",
    ]


def rate_row(key: str, name: str, samples: Samples, ours: Samples, rounds: int) -> str:
    """One server's line of a table of rates."""
    cpu = cpu_cells(samples, ours) if any(samples) else ["-", ""]
    rate = rate_cells(samples, ours, AIMS.get((key, name), ""))
    cells = [name, *rate[:4], *cpu, *rate[4:], f"{len(calm(samples))} of {rounds}"]
    return "| " + " | ".join(cells) + " |"


def rate_table(case: str, key: str, results: Mapping[str, Samples], rounds: int) -> list[str]:
    """The table of one page measured by wrk; the server that needs the least processor time first."""
    ours = results.get(BASES.get(case, US), ())
    lines = [
        "| server | req/s, median | min to max | us / peer | aim | CPU us | CPU peer / us "
        "| median ms | p99 ms | server core | load core | others | rounds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = sorted(results, key=lambda name: cpu_us(results[name]) or math.inf)
    return lines + [rate_row(key, name, results[name], ours, rounds) for name in order]


def page_tables(case: str, results: Mapping[str, Mapping[str, Samples]], rounds: int) -> list[str]:
    """The tables of all pages of a case, each under its title when there are several."""
    lines: list[str] = []
    for page in PAGES[case]:
        lines += [f"### {page.title}", ""] if page.title else []
        lines += [*rate_table(case, page.key, results[page.key], rounds), ""]
    return lines[:-1]


def idle_table(results: Mapping[str, IdleSample]) -> list[str]:
    """The table of memory; the server with the smallest cost first."""
    lines = [
        "| server | KB each | resident before | with them | closed | `/` median ms | `/` p99 ms | asked again: kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, sample in sorted(results.items(), key=lambda item: item[1].bytes_each):
        resident = " | ".join(f"{size / 1e6:.1f} MB" for size in (sample.before, sample.during, sample.after))
        times = f"{sample.median_ms:.2f} | {sample.p99_ms:.2f}"
        lines.append(
            f"| {name} | {sample.bytes_each / 1000:.2f} | {resident} | {times} | {sample.alive} of {sample.sampled} |"
        )
    return lines


def section(case: str, condition: str, table: Sequence[str], notes: Sequence[str]) -> str:
    """One case of the report."""
    lines = [f"## {TITLES[case]}", "", condition, "", *table]
    remarks = [*NOTES.get(case, ()), *notes]
    if remarks:
        lines += ["", *(f"- {remark}" for remark in remarks)]
    return "\n".join(lines) + "\n"


def versions_section(
    source: str, ours: Mapping[str, str], peers: Mapping[str, str], contenders: Sequence[Contender]
) -> str:
    """What ran, without a word about where."""
    needed = {package for contender in contenders for package in contender.packages} - {OURSELVES} | {"flask"}
    own = ("gevent", "greenlet", "httptools", "flask")
    return "\n".join(
        [
            "## Versions",
            "",
            f"- {os.cpu_count()} CPUs, Python {platform.python_version()}",
            "- peers: " + ", ".join(f"{name} {peers.get(name, 'not installed')}" for name in sorted(needed)),
            f"- us: skitai {source}, " + ", ".join(f"{name} {ours[name]}" for name in own if name in ours),
            "",
        ]
    )


def merge(path: Path, sections: Mapping[str, str], versions: str) -> str:
    """The whole report: new sections, and the old text of ``path`` for cases that are not among them."""
    old = re.split(r"^(?=## )", path.read_text(), flags=re.MULTILINE)[1:] if path.exists() else []
    kept = {text.splitlines()[0][3:]: text.rstrip() + "\n" for text in old}
    parts = [sections.get(case) or kept.get(title) for case, title in TITLES.items()]
    return "\n".join([HEAD, *(part for part in parts if part), versions])
