"""What ``demo.py --check`` asks of a running cluster."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from servers import Server

# Seconds for one page.
PATIENCE = 20.0
HOSTILE = ['"', "NEAR(a b", "AND OR NOT", "name:*", "a\0b", "'; DROP TABLE documents; --", "\x80\ud7ff%", "x" * 5000]
SCRIPT = "<script>alert(1)</script>"


class Checks:
    """Prints and counts what is as it should be and what is not."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def expect(self, what: str, is_so: bool, seen: str = "") -> None:
        """Count one check, and print it with what was seen."""
        self.passed += is_so
        self.failed += not is_so
        print(f"  {'ok  ' if is_so else 'FAIL'} {what}{': ' + seen if seen else ''}", flush=True)


class Page:
    """One answer of the front.

    Args:
        front: that is asked.
        path: of the page.
        arguments: of its query.

    Attributes:
        status, type, text: of the answer.
    """

    def __init__(self, front: Server, path: str, **arguments: Any) -> None:
        url = f"http://{front.address}{path}?{urllib.parse.urlencode(arguments)}"
        try:
            response = urllib.request.urlopen(url, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            self.status: int = response.status
            self.type: str = response.headers.get_content_type()
            self.text: str = response.read().decode()

    @property
    def facts(self) -> dict[str, Any]:
        """What a page says when it is asked for JSON."""
        facts: dict[str, Any] = json.loads(self.text)
        return facts


def ask(front: Server, path: str, **arguments: Any) -> dict[str, Any]:
    """A page as JSON, with its ``status``."""
    page = Page(front, path, format="json", **arguments)
    return {"status": page.status, **page.facts}


def times(facts: dict[str, Any]) -> str:
    """How long the calls of a page took."""
    return f"{facts['alone_ms']:.1f} ms alone, {facts['together_ms']:.1f} ms together"


def check_cluster(checks: Checks, front: Server, members: list[Server]) -> None:
    """Ask every page, kill the second member, and ask again."""
    print("\nWith all members:")
    check_pages(checks, front)
    check_home(checks, front, members)
    whole = check_search(checks, front, members)
    check_one(checks, front, {member.address for member in members})
    check_fanout(checks, front)
    check_untrusted(checks, front)
    lost = members[1]
    lost.kill()
    print(f"\nAfter kill -9 of {lost.name} ({lost.address}):")
    # First, so that the front finds out about the loss while it balances, and fails over.
    check_one(checks, front, {member.address for member in members if member is not lost})
    check_lost(checks, front, members, lost, whole)
    check_fanout(checks, front)


def check_pages(checks: Checks, front: Server) -> None:
    """Browsers get HTML from every page."""
    for path in ("/", "/search", "/one", "/fanout", "/document"):
        page = Page(front, path, q="generator", name="json.dumps")
        is_page = page.status == 200 and page.type == "text/html" and "Together, as waited for" in page.text
        checks.expect(f"GET {path} is a page", is_page, f"{page.status} {page.type}, {len(page.text)} characters")


def check_home(checks: Checks, front: Server, members: list[Server]) -> None:
    """The home page has heard from every member, and one of them has the document that is asked for."""
    facts = ask(front, "/")
    counts = [call["documents"] for call in facts["calls"]]
    is_whole = len(counts) == len(members) and all(counts)
    checks.expect("/ has heard from all members", is_whole, f"{counts} texts; {times(facts)}")
    facts = ask(front, "/document", name="json.dumps")
    is_found = facts["document"] is not None and "JSON" in facts["document"]["text"]
    checks.expect("/document reads from the member that has it", is_found, f"json.dumps; {times(facts)}")


def check_search(checks: Checks, front: Server, members: list[Server]) -> dict[str, Any]:
    """A search is answered by all members, merged in order; returns what it found."""
    facts = ask(front, "/search", q="generator")
    order = [call["member"] for call in facts["calls"]]
    checks.expect("/search asks every member", order == [member.address for member in members], times(facts))
    ranks = [hit["rank"] for hit in facts["hits"]]
    shards = sorted({hit["shard"] for hit in facts["hits"]})
    is_merged = bool(ranks) and ranks == sorted(ranks) and len(shards) == len(members)
    checks.expect("/search merges what they found", is_merged, f"{facts['total']} texts, shards {shards} on the page")
    return facts


def check_one(checks: Checks, front: Server, expected: set[str]) -> None:
    """Load balancing reaches just the members that are up, and no request fails."""
    answers = [ask(front, "/one", q="generator") for _ in range(12)]
    seen = {answer["answered_by"] for answer in answers}
    is_fine = all(answer["status"] == 200 and not answer["failed"] for answer in answers)
    checks.expect(f"/one asks {len(expected)} members in turn, none fails", is_fine and seen == expected,
                  f"12 answers from {len(seen)} members; the last: {times(answers[-1])}")  # fmt: skip


def check_fanout(checks: Checks, front: Server) -> None:
    """Calls made at once take as long as one of them."""
    at_once = ask(front, "/fanout", calls=6, delay=100)
    serial = ask(front, "/fanout", calls=6, delay=100, serial=1)
    is_fine = not at_once["failed"] and not serial["failed"] and at_once["together_ms"] < serial["together_ms"] / 2
    seen = f"{times(at_once)}; one after another {serial['together_ms']:.1f} ms"
    checks.expect("/fanout makes 6 calls of 100 ms at once", is_fine, seen)


def check_untrusted(checks: Checks, front: Server) -> None:
    """No query is taken for search syntax or for HTML."""
    pages = [Page(front, path, q=query) for query in HOSTILE for path in ("/search", "/one")]
    seen = sorted({page.status for page in pages})
    checks.expect("no query is taken for search syntax", seen == [200], f"{len(pages)} queries, status {seen}")
    page = Page(front, "/search", q=SCRIPT)
    checks.expect("no query is taken for HTML", SCRIPT not in page.text and "&lt;script&gt;" in page.text)


def check_lost(checks: Checks, front: Server, members: list[Server], lost: Server, whole: dict[str, Any]) -> None:
    """A search without one member finds what the others have, and says who is missing."""
    facts = ask(front, "/search", q="generator")
    failed = [call["member"] for call in facts["failed"]]
    why = ", ".join(f"{call['code']} {call['reason']}" for call in facts["failed"])
    is_partial = facts["status"] == 200 and 0 < facts["total"] < whole["total"]
    left = len(members) - 1
    checks.expect(f"/search answers with what {left} members have", is_partial,
                  f"{facts['total']} of {whole['total']} texts; {times(facts)}")  # fmt: skip
    checks.expect("/search says which member failed", failed == [lost.address], f"{failed} {why}")
    page = Page(front, "/search", q="generator")
    is_told = page.status == 200 and f"{lost.address} did not answer" in page.text
    checks.expect("its page says so, too", is_told)
    home = ask(front, "/")
    up = sum(call["ok"] for call in home["calls"])
    checks.expect("/ goes on", home["status"] == 200 and up == left, f"{up} of {len(members)} members are up")
