"""The route table: a tree of states built once, in which the static parts of a URL go first.

Each node is what has been read of a path so far. A segment leads on by its text, then by a pattern that shares the
segment with text (the longest text in front first), then as int, float and string; a path takes all that is left. So
exact rules come before those with variables, longer texts before shorter ones, and equals in the order of declaration:
the app, then its parts in the order of their mounts. Where a way ends in nothing the next one is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from skitai.saddle.endpoint import ByContentType, Endpoint
from skitai.saddle.errors import MethodNotAllowed, MissingSlash, NotFound
from skitai.saddle.rules import FLOAT, INT, PATH, TEXT, Kind, Rule, Segment, Variable
from skitai.saddle.urlencoded import decode_component

#: What a route without ``methods`` takes; a server that lets others through gets them routed as well.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Stands for every method that is not among them.
ANY = "*"

Target = Endpoint | ByContentType
Values = tuple[Any, ...]
#: The target of each method.
Leaf = dict[str, Target]

_ORDER = {INT: 0, FLOAT: 1, TEXT: 2}


class _Pattern:
    """A segment with both text and variables, as ``page-<int:number>.html``."""

    def __init__(self, segment: Segment) -> None:
        self.kinds: list[Kind] = []
        self.head = len(segment[0]) if isinstance(segment[0], str) else 0
        text = ""
        for piece in segment:
            if isinstance(piece, Variable):
                self.kinds.append(piece.kind)
                text += f"({piece.kind.pattern})"
            else:
                text += re.escape(quote(piece, safe="~!$&'()*+,;=:@"))
        self._match = re.compile(text).fullmatch
        self.key = text

    def read(self, segment: str) -> list[Any] | None:
        """Return the values in a segment that is still percent-encoded, ``None`` when it does not match."""
        match = self._match(segment)
        if match is None:
            return None
        values = [kind.read(text) for kind, text in zip(self.kinds, match.groups(), strict=True)]
        return None if None in values else values


class _Node:
    """A state."""

    __slots__ = ("kinds", "leaf", "only", "patterns", "rest", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.patterns: list[tuple[_Pattern, _Node]] = []
        self.kinds: list[tuple[Kind, _Node]] = []
        self.rest: Leaf | None = None
        self.leaf: Leaf | None = None
        self.only: tuple[Kind, _Node] | None = None  # the one way on, when it is that of a variable

    def child(self, segment: Segment) -> _Node:
        """Return the state after a segment of a rule, made when there is none."""
        if all(isinstance(piece, str) for piece in segment):
            return self.static.setdefault("".join(map(str, segment)), _Node())
        if len(segment) == 1 and isinstance(segment[0], Variable):
            kind = segment[0].kind
            for known, node in self.kinds:
                if known is kind:
                    return node
            self.kinds.append((kind, _Node()))
            node = self.kinds[-1][1]
            self.kinds.sort(key=lambda each: _ORDER[each[0]])
            return node
        return self._pattern_child(_Pattern(segment))

    def _pattern_child(self, pattern: _Pattern) -> _Node:
        for known, node in self.patterns:
            if known.key == pattern.key:
                return node
        node = _Node()
        self.patterns.append((pattern, node))
        self.patterns.sort(key=lambda each: -each[0].head)
        return node

    def settle(self) -> None:
        """Note, once all rules are in, where there is no choice."""
        if len(self.kinds) == 1 and not self.static and not self.patterns and self.rest is None:
            self.only = self.kinds[0]
        for node in self._children():
            node.settle()

    def _children(self) -> Iterator[_Node]:
        yield from self.static.values()
        yield from (node for _, node in self.patterns)
        yield from (node for _, node in self.kinds)


class Table:
    """The routes of an app, ready for requests.

    Args:
        endpoints: of each route one for each of its methods, in the order of declaration, parts after the app.

    Attributes:
        statics: rules without variables: path to method to target. A look-up here is all that most requests need.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._root = _Node()
        self.statics: dict[str, Leaf] = {}
        shared: dict[int, dict[str, list[Endpoint]]] = {}
        leaves: dict[int, Leaf] = {}
        for endpoint in endpoints:
            leaf = self._leaf(endpoint.route.rule)
            leaves[id(leaf)] = leaf
            by_method = shared.setdefault(id(leaf), {})
            by_method.setdefault(endpoint.method, []).append(endpoint)
        for number, by_method in shared.items():
            _fill(leaves[number], by_method)
        self._root.settle()

    def _leaf(self, rule: Rule) -> Leaf:
        node = self._root
        for segment in rule.segments:
            last = segment[0] if segment else None
            if isinstance(last, Variable) and last.kind is PATH:
                if node.rest is None:
                    node.rest = {}
                return node.rest
            node = node.child(segment)
        if node.leaf is None:
            node.leaf = {}
        if rule.is_exact and "%" not in rule.text and rule.text.isascii():
            self.statics[rule.text] = node.leaf
        return node.leaf

    def find(self, path: str, method: str) -> tuple[Target, Values]:
        """Return the target of a request and the values of the variables of its rule.

        Args:
            path: below the mount point, still percent-encoded, with its leading slash.

        Raises:
            NotFound: no rule matches. MethodNotAllowed: one does, but not for this method.
            MissingSlash: the path lacks its trailing slash.
            BadRequest: its percent-encoding is not valid.
        """
        allowed: set[str] = set()
        found = self._search(path, method, allowed)
        if found is not None:
            return found
        if allowed:
            raise MethodNotAllowed(allowed)
        if not path.endswith("/") and self._search(path + "/", method, set()) is not None:
            raise MissingSlash
        raise NotFound

    def methods(self, path: str) -> frozenset[str]:
        """Return the methods that some rule for ``path`` takes."""
        allowed: set[str] = set()
        self._search(path, "", allowed)
        return frozenset(allowed)

    def _search(self, path: str, method: str, allowed: set[str]) -> tuple[Target, Values] | None:
        pieces = path[1:].split("/")
        texts = [decode_component(piece, plus=False) for piece in pieces] if "%" in path else pieces
        return _walk(self._root, pieces, texts, 0, (), method, allowed)


def _walk(
    node: _Node, pieces: list[str], texts: list[str], position: int, values: Values, method: str, allowed: set[str]
) -> tuple[Target, Values] | None:
    """Follow a path from a state. ``pieces`` are its segments as sent, ``texts`` the same decoded."""
    end = len(pieces)
    # No choice, no recursion: a rule with three variables is matched in this loop alone.
    while node.only is not None and position < end:
        kind, following = node.only
        value = kind.read(pieces[position])
        if value is None:
            return None
        values = (*values, value)
        node = following
        position += 1
    if position == end:
        return _take(node.leaf, values, method, allowed)
    static = node.static.get(texts[position])
    if static is not None:
        found = _walk(static, pieces, texts, position + 1, values, method, allowed)
        if found is not None:
            return found
    for pattern, following in node.patterns:
        several = pattern.read(pieces[position])
        if several is not None:
            found = _walk(following, pieces, texts, position + 1, (*values, *several), method, allowed)
            if found is not None:
                return found
    for kind, following in node.kinds:
        value = kind.read(pieces[position])
        if value is not None:
            found = _walk(following, pieces, texts, position + 1, (*values, value), method, allowed)
            if found is not None:
                return found
    if node.rest is not None:
        return _take(node.rest, (*values, PATH.read("/".join(pieces[position:]))), method, allowed)
    return None


def _take(leaf: Leaf | None, values: Values, method: str, allowed: set[str]) -> tuple[Target, Values] | None:
    if leaf is None:
        return None
    target = leaf.get(method) or leaf.get(ANY)
    if target is not None and method:
        return target, values
    allowed.update(leaf if ANY not in leaf else METHODS)
    return None


def _fill(leaf: Leaf, by_method: dict[str, list[Endpoint]]) -> None:
    for method, endpoints in by_method.items():
        if len(endpoints) == 1 and not endpoints[0].route.content_types:
            leaf[method] = endpoints[0]
        elif not endpoints[0].route.content_types:
            leaf[method] = endpoints[0]  # it takes everything, so those after it are never reached
        else:
            leaf[method] = ByContentType(endpoints)
    if "GET" in leaf:
        leaf.setdefault("HEAD", leaf["GET"])  # RFC 9110 section 9.3.2: the same without its body
