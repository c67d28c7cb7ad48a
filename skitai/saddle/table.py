"""The route table: a tree of states built once, in which the static parts of a URL go first.

Each node is what has been read of a path so far. A segment leads on by its text, then by a pattern that shares the
segment with text (the longest text in front first), then as int, float and string; a path takes all that is left. So
exact rules come before those with variables, longer texts before shorter ones, and equals in the order of declaration:
the app, then its parts in the order of their mounts. Where a way ends in nothing the next one is tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from skitai.saddle.endpoint import ByContentType, Endpoint
from skitai.saddle.errors import MethodNotAllowed, MissingSlash, NotFound
from skitai.saddle.rules import FLOAT, INT, PATH, TEXT, Kind, Rule, Segment, Variable
from skitai.saddle.urlencoded import decode_component

#: What a route without ``methods`` takes. Others are for routes that list them: a function that was written for these
#: must not take ``get`` or PROPFIND for one of them.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Stands for every method that is not among them.
ANY = "*"
_KNOWN = frozenset(METHODS)

Target = Endpoint | ByContentType
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
                if piece.kind is TEXT and self.kinds:
                    # A text takes anything, so where the rest fails behind the nearest end of what is before it, it
                    # fails behind all others too. Without this they would be tried, for three texts in cubic time.
                    text = f"(?>{text})"
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
    """A state.

    Attributes:
        static, patterns, kinds, rest: the ways on, in the order in which they are tried. leaf: where the path may end.
        has_choice: whether it takes more than a look at one of them; else there are texts only, or ``read`` and
            ``following`` are the one variable.
    """

    __slots__ = ("following", "has_choice", "kinds", "leaf", "patterns", "read", "rest", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.patterns: list[tuple[_Pattern, _Node]] = []
        self.kinds: list[tuple[Kind, _Node]] = []
        self.rest: Leaf | None = None
        self.leaf: Leaf | None = None
        self.has_choice = True
        self.read: Callable[[str], Any] | None = None
        self.following: _Node = self

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
        ways = len(self.kinds) + len(self.patterns) + bool(self.static) + (self.rest is not None)
        if ways <= 1 and not self.patterns and self.rest is None:
            self.has_choice = False
            for kind, node in self.kinds:
                self.read, self.following = kind.read, node
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

    def find(self, path: str, method: str) -> tuple[Target, Sequence[Any]]:
        """Return the target of a request and the values of the variables of its rule.

        Args:
            path: below the mount point, still percent-encoded, with its leading slash.

        Raises:
            NotFound: no rule matches. MethodNotAllowed: one does, but not for this method.
            MissingSlash: the path lacks its trailing slash.
            BadRequest: its percent-encoding is not valid.
        """
        pieces = path[1:].split("/")
        texts = pieces if "%" not in path else _decode(pieces)
        found = _walk(self._root, pieces, texts, 0, [], method)
        if found is not None:
            return found
        allowed = self.methods(path)
        if allowed:
            raise MethodNotAllowed(allowed)
        if not path.endswith("/") and self.methods(path + "/"):
            raise MissingSlash
        raise NotFound

    def methods(self, path: str) -> frozenset[str]:
        """Return the methods that some rule for ``path`` takes."""
        pieces = path[1:].split("/")
        allowed: set[str] = set()
        for leaf in _leaves(self._root, pieces, _decode(pieces), 0):
            allowed.update(leaf)
            if ANY in leaf:
                allowed.update(METHODS)
                allowed.discard(ANY)
        return frozenset(allowed)


def _decode(pieces: list[str]) -> list[str]:
    return [decode_component(piece, plus=False) for piece in pieces]


def _walk(
    node: _Node, pieces: list[str], texts: list[str], position: int, values: list[Any], method: str
) -> tuple[Target, Sequence[Any]] | None:
    """Follow a path from a state. ``pieces`` are its segments as sent, ``texts`` the same decoded."""
    end = len(pieces)
    # Without a choice there is no recursion: most paths are matched in this loop alone.
    while position < end:
        if node.has_choice:
            return _choose(node, pieces, texts, position, values, method)
        if node.read is not None:
            value = node.read(pieces[position])
            if value is None:
                return None
            values.append(value)
            node = node.following
        else:
            following = node.static.get(texts[position])
            if following is None:
                return None
            node = following
        position += 1
    target = None if node.leaf is None else _target(node.leaf, method)
    return None if target is None else (target, values)


def _target(leaf: Leaf, method: str) -> Target | None:
    return leaf.get(method) or (leaf.get(ANY) if method in _KNOWN else None)


def _choose(
    node: _Node, pieces: list[str], texts: list[str], position: int, values: list[Any], method: str
) -> tuple[Target, Sequence[Any]] | None:
    """Try the ways on from a state until one leads to a target of the method."""
    for following, further in _ways(node, pieces, texts, position):
        found = _walk(following, pieces, texts, position + 1, [*values, *further], method)
        if found is not None:
            return found
    if node.rest is not None:
        target = _target(node.rest, method)
        if target is not None:
            return target, [*values, _rest(pieces, position)]
    return None


def _ways(node: _Node, pieces: list[str], texts: list[str], position: int) -> Iterator[tuple[_Node, Sequence[Any]]]:
    """Yield the states after one more segment, each with the values in it."""
    static = node.static.get(texts[position])
    if static is not None:
        yield static, ()
    for pattern, following in node.patterns:
        several = pattern.read(pieces[position])
        if several is not None:
            yield following, several
    for kind, following in node.kinds:
        value = kind.read(pieces[position])
        if value is not None:
            yield following, (value,)


def _leaves(node: _Node, pieces: list[str], texts: list[str], position: int) -> Iterator[Leaf]:
    """Yield every end that a path leads to, whatever its methods."""
    if position == len(pieces):
        if node.leaf is not None:
            yield node.leaf
        return
    for following, _ in _ways(node, pieces, texts, position):
        yield from _leaves(following, pieces, texts, position + 1)
    if node.rest is not None:
        yield node.rest


def _rest(pieces: list[str], position: int) -> Any:
    return PATH.read("/".join(pieces[position:]))


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
