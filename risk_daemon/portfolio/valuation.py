"""A sum over thousands of holdings that costs the same to change whether there are twenty or twenty thousand.

Assets form a tree: each hangs below the asset it is priced in, the reference currency is the root.
A node carries three sums in its own units, of its own components and of its children:

    value   what it is worth
    gross   the same without signs: what a price change could move
    doubt   half the width of the interval of what is not known freshly

A change climbs from its node to the root and touches nothing else. What climbs over an edge is
rounded to QUANTUM, so sums are exact: adding and taking away again leaves no trace. It climbs thousands of times a
second, so it reckons with plain operators: EXACT is the context meanwhile.
"""

from __future__ import annotations

from decimal import Decimal, getcontext, setcontext
from typing import NamedTuple

from risk_daemon.errors import check
from risk_daemon.model.units import EXACT, ONE, QUANTUM, ZERO


class Sums(NamedTuple):
    """value, gross and doubt of a component or node, in units of its asset."""

    value: Decimal
    gross: Decimal
    doubt: Decimal

    def minus(self, other: Sums) -> Sums:
        """What must be added to `other` to get this."""
        return Sums(
            EXACT.subtract(self.value, other.value),
            EXACT.subtract(self.gross, other.gross),
            EXACT.subtract(self.doubt, other.doubt),
        )


NOTHING = Sums(ZERO, ZERO, ZERO)


class _Node:
    __slots__ = ("asset", "doubt", "gross", "lifted", "parent", "rate", "rate_doubt", "rate_stale", "value")

    def __init__(self, asset: str) -> None:
        self.asset = asset
        self.value = ZERO
        self.gross = ZERO
        self.doubt = ZERO
        self.parent: _Node | None = None
        self.rate: Decimal | None = None
        self.rate_stale = False
        self.rate_doubt = ZERO
        self.lifted: tuple[Decimal, Decimal, Decimal] = NOTHING


class Valuation:
    """The tree. `root` holds the portfolio's sums in the reference currency.

    stale_band: half the relative width of a stale component's interval (0.2 = +- 20 % of its gross value).
    """

    def __init__(self, reference: str, stale_band: Decimal) -> None:
        self._band = stale_band
        self._root = _Node(reference)
        self._root.rate = ONE
        self._nodes: dict[str, _Node] = {reference: self._root}

    @property
    def root(self) -> Sums:
        """Sums of everything that has a price path, in the reference currency."""
        return Sums(self._root.value, self._root.gross, self._root.doubt)

    @property
    def value(self) -> Decimal:
        """Worth of everything that has a price path, in the reference currency."""
        return self._root.value

    @property
    def doubt(self) -> Decimal:
        """How far that may be off, either way."""
        return self._root.doubt

    def assets(self) -> tuple[str, ...]:
        """Every asset that ever had a component or a rate."""
        return tuple(self._nodes)

    def has(self, asset: str) -> bool:
        return asset in self._nodes

    def parent(self, asset: str) -> str | None:
        """What `asset` hangs below, or None."""
        node = self._nodes.get(asset)
        return None if node is None or node.parent is None else node.parent.asset

    def is_priced(self, asset: str) -> bool:
        """Whether a chain of rates leads from `asset` to the reference currency."""
        node = self._nodes.get(asset)
        while node is not None and node is not self._root:
            node = None if node.rate is None else node.parent
        return node is not None

    def is_stale(self, asset: str) -> bool:
        """Whether some rate on the way from `asset` to the reference currency is stale."""
        node = self._nodes.get(asset)
        while node is not None and not node.rate_stale:
            node = node.parent
        return node is not None

    def rate_to_reference(self, asset: str) -> Decimal | None:
        """Units of the reference currency for one `asset`; None without a price path."""
        node = self._nodes.get(asset)
        rate = ONE
        while node is not None:
            if node is self._root:
                return rate
            if node.rate is None:
                return None
            rate = EXACT.multiply(rate, node.rate)
            node = node.parent
        return None

    def add(self, asset: str, change: Sums) -> None:
        """Add `change` (in units of `asset`) to the asset's own components."""
        node = self._node(asset)
        node.value = EXACT.add(node.value, change.value)
        node.gross = EXACT.add(node.gross, change.gross)
        node.doubt = EXACT.add(node.doubt, change.doubt)
        self._climb(node)

    def rate_doubt(self, asset: str) -> Decimal:
        """How far `rate_to_reference` may be off where two witnesses of a price differ. 0 without a price path."""
        node, doubt, rate = self._nodes.get(asset), ZERO, ONE
        while node is not None and node is not self._root and node.rate is not None:
            high = EXACT.add(node.rate, node.rate_doubt)
            doubt = EXACT.add(EXACT.multiply(doubt, high), EXACT.multiply(rate, node.rate_doubt))
            rate, node = EXACT.multiply(rate, node.rate), node.parent
        return doubt

    def set_rate(
        self, asset: str, parent: str | None, rate: Decimal | None, *, stale: bool, doubt: Decimal = ZERO
    ) -> None:
        """Hang `asset` below `parent` at `rate` units of parent for one asset; None takes it off the tree.

        doubt: how far the rate may be off, either way.
        """
        node = self._nodes.get(asset) or self._node(asset)
        check(node is not self._root, "the reference currency has no rate")
        above = None if parent is None else self._nodes.get(parent) or self._node(parent)
        if above is not node.parent:
            self._detach(node)
            node.parent = above
        node.rate = rate
        node.rate_stale, node.rate_doubt = stale, doubt
        self._climb(node)

    def _node(self, asset: str) -> _Node:
        node = self._nodes.get(asset)
        if node is None:
            node = self._nodes[asset] = _Node(asset)
        return node

    def _detach(self, node: _Node) -> None:
        node.rate = None
        self._climb(node)

    def _lift(self, node: _Node) -> tuple[Decimal, Decimal, Decimal]:
        """The node's value, gross and doubt in units of its parent."""
        rate = node.rate
        if rate is None:
            return NOTHING
        value = (node.value * rate).quantize(QUANTUM)
        gross = value if node.gross == node.value else (node.gross * rate).quantize(QUANTUM)
        doubt = ZERO
        if node.rate_stale:
            doubt = (gross * self._band).quantize(QUANTUM)
        elif node.doubt:
            doubt = (node.doubt * rate).quantize(QUANTUM)
        if node.rate_doubt:
            doubt += ((node.gross + node.doubt) * node.rate_doubt).quantize(QUANTUM)
        return value, gross, doubt

    def _climb(self, node: _Node) -> None:
        outer = getcontext()
        if outer is not EXACT:
            setcontext(EXACT)
        try:
            while node.parent is not None:
                before, after = node.lifted, self._lift(node)
                if after == before:
                    return
                node.lifted = after
                node = node.parent
                node.value += after[0] - before[0]
                node.gross += after[1] - before[1]
                if after[2] or before[2]:
                    node.doubt += after[2] - before[2]
        finally:
            if outer is not EXACT:
                setcontext(outer)
