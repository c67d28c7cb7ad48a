"""Tables in Markdown, and one file that keeps the sections of the cases that were not run this time."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.contenders import PYWSGI, US, Contender
from harness.idle import IdleSample
from harness.load import Sample

HEAD = """# Benchmark results

Written by `make bench`; do not edit. Machines differ and are shared, so **read the ratios, not the rates**: *us /
peer* is our median over the peer's in the same run, with the smallest and largest of the rounds in brackets. Each
server has a core of its own, wrk and the upstream have another; rounds go through all servers in turn, each started
fresh, its page checked, and warmed up before it is measured. A run in which wrk saw an error or a status other than
200 is not counted but named. *Server core* is the share of its core that the server used: well below 100 % means
that something else (the load generator, waiting) was the limit, and the ratio flatters the slower one. *Others* is
the most that other programs took of either core in any round counted: a measurement in which that is above 10 %
does not count, whatever its rate, and is made again, at most twice. *Rounds* says how many counted; bracketed
ratios are of rounds in which both did.
"""

TITLES = {
    "hello": "Hello world (WSGI; uvicorn: raw ASGI)",
    "varied": "Hello world, every request different (query and cookie)",
    "flask": "Hello world in Flask",
    "fanout": "Fan-out page: 5 upstream calls of 20 ms each",
    "log": "What our request log costs",
    "idle": "Idle keep-alive connections",
}
# Ratios us / peer that the project aims at (and the floor it must not fall below).
HELLO_AIMS = {
    "gunicorn -k gevent": "8 (floor 6)",
    "uvicorn (raw ASGI)": "2 (floor 1.5)",
    "granian (wsgi)": "1.1 (floor 0.9)",
    "bjoern": "0.8 (floor 0.65)",
}
AIMS = {
    **{("varied", name): aim for name, aim in HELLO_AIMS.items()},
    **{("hello", name): aim for name, aim in HELLO_AIMS.items()},
    ("flask", "gunicorn -k gevent"): "> 1",
    ("flask", PYWSGI): "> 1",
    ("flask", "waitress"): "> 1",
    ("flask", "granian (wsgi)"): "> 1",
    ("flask", "bjoern"): "0.9",
    ("fanout", "uvicorn + aiohttp"): "3",
    ("fanout", "gunicorn gevent + requests"): "12",
}


def ratio(ours: Sequence[Sample | None], theirs: Sequence[Sample | None]) -> str:
    """Our median over theirs, with the extremes of the rounds; a dash when one side has no figure."""
    mine = [sample.rate for sample in ours if sample]
    other = [sample.rate for sample in theirs if sample]
    if not mine or not other:
        return "-"
    rounds = [a.rate / b.rate for a, b in zip(ours, theirs, strict=False) if a and b]
    spread = f" ({min(rounds):.2f} to {max(rounds):.2f})" if rounds else ""
    return f"**{statistics.median(mine) / statistics.median(other):.2f}**{spread}"


def rate_row(case: str, name: str, samples: Sequence[Sample | None], ours: Sequence[Sample | None]) -> str:
    """One server's line of a table of rates."""
    good = [sample for sample in samples if sample]
    if not good:
        return f"| {name} | - | | | | | | | | | 0 of {len(samples)} |"
    rates = [sample.rate for sample in good]
    cells = [
        name,
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        "" if name == US else ratio(ours, samples),
        AIMS.get((case, name), ""),
        f"{statistics.median(sample.median_ms for sample in good):.2f}",
        f"{statistics.median(sample.p99_ms for sample in good):.2f}",
        f"{statistics.median(sample.server_core for sample in good):.0%}",
        f"{statistics.median(sample.load_core for sample in good):.0%}",
        f"{max(sample.others for sample in good):.0%}",
        f"{len(good)} of {len(samples)}",
    ]
    return "| " + " | ".join(cells) + " |"


def rate_table(case: str, results: Mapping[str, Sequence[Sample | None]]) -> list[str]:
    """The table of one case measured by wrk; the server with the most responses first."""
    best = {name: max((sample.rate for sample in samples if sample), default=0.0) for name, samples in results.items()}
    ours = results.get(US, ())
    lines = [
        "| server | req/s, median | min to max | us / peer | aim | median ms | p99 ms "
        "| server core | load core | others | rounds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = sorted(best, key=best.__getitem__, reverse=True)
    return lines + [rate_row(case, name, results[name], ours) for name in order]


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
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def versions_section(
    source: str, ours: Mapping[str, str], peers: Mapping[str, str], contenders: Sequence[Contender]
) -> str:
    """What ran, without a word about where."""
    needed = {package for contender in contenders for package in contender.packages} | {"flask"}
    own = ("gevent", "greenlet", "httptools", "flask")
    return "\n".join(
        [
            "## Versions",
            "",
            f"- {os.cpu_count()} CPUs, Python {platform.python_version()}",
            "- peers: " + ", ".join(f"{name} {peers.get(name, 'not installed')}" for name in sorted(needed)),
            f"- us: skitai {source}, "
            + ", ".join(f"{name} {ours[name]}" for name in own if name in ours),
            "",
        ]
    )


def merge(path: Path, sections: Mapping[str, str], versions: str) -> str:
    """The whole report: new sections, and the old text of ``path`` for cases that are not among them."""
    old = re.split(r"^(?=## )", path.read_text(), flags=re.MULTILINE)[1:] if path.exists() else []
    kept = {text.splitlines()[0][3:]: text.rstrip() + "\n" for text in old}
    parts = [sections.get(case) or kept.get(title) for case, title in TITLES.items()]
    return "\n".join([HEAD, *(part for part in parts if part), versions])
