"""What an asset is worth in the reference currency, and by which path.

Several venues may quote the same pair: one stays the source while it is fresh, so that two venues a few
basis points apart don't make the equity flicker; when it goes stale, a fresh one takes over. A path goes
from an asset to the reference currency directly or over hubs. A fresh path comes before a stale one, of
stale ones the one that was known last (never an ancient price before a recent one), then the shorter.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from risk_daemon.model.account import HUBS
from risk_daemon.model.events import PricesSeen
from risk_daemon.model.units import EXACT, ONE, ZERO
from risk_daemon.portfolio.quotes import SETTLE_S, Pair, Quote, Quotes
from risk_daemon.portfolio.witnesses import NOTHING_FOUND, Comparison

FRESH = float("-inf")
NEVER_STALE = float("inf")

Mark = tuple[str, str]
Cost = tuple[float, int]


class Step(NamedTuple):
    """The next hop of an asset towards the reference currency. doubt: how far the rate may be off, either way."""

    parent: str
    rate: Decimal
    stale: bool
    doubt: Decimal = ZERO


class PriceBook:
    """Prices of instruments by venue, with ages, and the conversion paths over them.

    price_stale_s: age in seconds after which a price is stale; `stale_by_venue` overrides it.
    pegs: assets whose price in the reference currency is decreed, never stale. settle_s: see quotes.py.
    """

    def __init__(
        self,
        reference: str,
        *,
        price_stale_s: float = 30.0,
        stale_by_venue: Mapping[str, float] | None = None,
        pegs: Mapping[str, Decimal] | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.reference = reference
        self._hubs = tuple(dict.fromkeys((reference, *HUBS)))
        self._quotes = Quotes(price_stale_s, stale_by_venue, settle_s)
        self._by_pair: dict[Pair, list[Quote]] = {}
        self._source: dict[Pair, Quote] = {}
        self._doubt: dict[Pair, float] = {}
        self._parents: dict[str, str | None] = {}
        self._hub_costs: dict[str, Cost] = {}
        self._hub_parents: dict[str, str] = {}
        self.plan_version = 0
        for asset, value in (pegs or {}).items():
            self._choose((asset, reference), _peg(asset, reference, value))
        self._plan_hubs()

    # --- what comes in -----------------------------------------------------------------------------

    def apply(self, seen: PricesSeen) -> tuple[list[Pair], list[Mark]]:
        """Take a frame in. Returns the pairs and marks whose value or freshness changed.

        `plan_version` grows whenever a path over hubs may have changed.
        """
        return self._take(self._quotes.apply(seen))

    def expire(self, now_mono: float) -> tuple[list[Pair], list[Mark]]:
        """Mark as stale what was not confirmed in time; returns what changed by it, as `apply` does."""
        return self._take(self._quotes.expire(now_mono))

    def set_ages(self, price_stale_s: float, stale_by_venue: Mapping[str, float]) -> None:
        """So long a price holds from now on; what is too old by that, `expire` finds."""
        self._quotes.set_ages(price_stale_s, stale_by_venue)

    def confirm_stream(self, venue: str, mono: float) -> None:
        """The price stream of `venue` was alive at `mono`: what it gave since connecting still holds."""
        self._quotes.confirm_stream(venue, mono)

    def stream_lost(self, venue: str) -> None:
        """What the stream gave is confirmed no further."""
        self._quotes.stream_lost(venue)

    # --- what is asked -----------------------------------------------------------------------------

    def found(self, venue: str) -> Comparison:
        """What the last frame of `venue` showed of its two witnesses."""
        return self._quotes.found.get(venue, NOTHING_FOUND)

    def doubted(self) -> tuple[Mark, ...]:
        """Venue and symbol of every price that stream and REST tell differently."""
        return self._quotes.doubted()

    def mark(self, venue: str, symbol: str) -> Quote | None:
        """The last mark of an instrument, or None if there never was one."""
        return self._quotes.get(venue, symbol)

    def step(self, asset: str) -> Step | None:
        """The next hop of `asset`, or None if no path leads to the reference currency."""
        parent = self._parents.get(asset) or self._parent(asset)
        if parent is None:
            return None
        quote = self._source.get((asset, parent))
        if quote is None or (parent, asset) in self._source:
            quote = self._edge(asset, parent)
        if quote is None:
            return None
        is_direct = quote.pair == (asset, parent)
        rate = quote.value if is_direct else EXACT.divide(ONE, quote.value)
        if quote.other is None:
            return Step(parent, rate, quote.is_stale)
        other = quote.other if is_direct else EXACT.divide(ONE, quote.other)
        return Step(parent, rate, quote.is_stale, abs(EXACT.subtract(rate, other)))

    def seen_mono(self, asset: str) -> float | None:
        """When the price that `asset` hangs by was last really given, not merely confirmed."""
        parent = self._parent(asset)
        quote = None if parent is None else self._edge(asset, parent)
        return None if quote is None else quote.seen_mono

    def rest_mono(self, asset: str) -> float:
        """When the oldest price on the asset's path was asked for over REST; inf if it needs none."""
        oldest = NEVER_STALE
        while asset != self.reference:
            parent = self._parent(asset)
            quote = None if parent is None else self._edge(asset, parent)
            if parent is None or quote is None:
                return oldest
            oldest, asset = min(oldest, quote.rest_mono), parent
        return oldest

    def is_hub(self, asset: str) -> bool:
        return asset in self._hubs

    def hubs(self) -> tuple[str, ...]:
        """The assets a path may lead through, the reference currency first."""
        return self._hubs

    def age_s(self, venue: str, now_mono: float) -> float | None:
        """Seconds since any price of `venue` was confirmed; None if there never was one."""
        return self._quotes.age_s(venue, now_mono)

    # --- sources -----------------------------------------------------------------------------------

    def _take(self, quotes: Iterable[Quote]) -> tuple[list[Pair], list[Mark]]:
        pairs: list[Pair] = []
        marks: list[Mark] = []
        replan = False
        for quote in quotes:
            marks.append((quote.venue, quote.symbol))
            pair = quote.pair
            if pair is None:
                continue
            if self._source.get(pair) is quote and not quote.is_stale and self._doubt.get(pair) == FRESH:
                pairs.append(pair)  # nearly always: the source of its pair said something new
            elif self._choose(pair, quote):
                pairs.append(pair)
                replan = self._note_doubt(pair) or replan
        if replan:
            self._plan_hubs()
        return pairs, marks

    def _choose(self, pair: Pair, changed: Quote) -> bool:
        """Choose the pair's source anew, now that one of its quotes changed. Whether that changes the pair."""
        quotes = self._by_pair.setdefault(pair, [])
        if changed not in quotes:
            quotes.append(changed)
        before = self._source.get(pair)
        if before is None or before.is_stale:
            self._source[pair] = min(quotes, key=lambda quote: (quote.doubt, quote is not before, quote.venue))
        return changed is self._source[pair] or before is not self._source[pair]

    def _note_doubt(self, pair: Pair) -> bool:
        """Remember the pair's freshness. Where it changed, paths must be looked for anew: True for the hubs'."""
        doubt = self._source[pair].doubt
        if self._doubt.get(pair) == doubt:
            return False
        self._doubt[pair] = doubt
        for asset in pair:
            self._parents.pop(asset, None)
        return pair[0] in self._hubs and pair[1] in self._hubs

    # --- paths -------------------------------------------------------------------------------------

    def _edge(self, asset: str, parent: str) -> Quote | None:
        """What prices `asset` in `parent`, in either direction."""
        direct, inverse = self._source.get((asset, parent)), self._source.get((parent, asset))
        if direct is None or inverse is None:
            return direct or inverse
        return direct if direct.doubt <= inverse.doubt else inverse

    def _parent(self, asset: str) -> str | None:
        if asset in self._hubs:
            return self._hub_parents.get(asset)
        if asset not in self._parents:
            self._parents[asset] = self._best_parent(asset)
        return self._parents[asset]

    def _best_parent(self, asset: str) -> str | None:
        costs = []
        for hub, (doubt, steps) in self._hub_costs.items():
            edge = self._edge(asset, hub)
            if edge is not None:
                costs.append((max(doubt, edge.doubt), steps + 1, hub))
        return min(costs)[2] if costs else None

    def _plan_hubs(self) -> None:
        """Best paths from every hub to the reference over the handful of hubs (Dijkstra)."""
        costs: dict[str, Cost] = {}
        parents: dict[str, str] = {}
        queue: list[tuple[float, int, str, str | None]] = [(FRESH, 0, self.reference, None)]
        while queue:
            doubt, steps, hub, parent = heapq.heappop(queue)
            if hub in costs:
                continue
            costs[hub] = (doubt, steps)
            if parent is not None:
                parents[hub] = parent
            for other in self._hubs:
                edge = None if other in costs else self._edge(other, hub)
                if edge is not None:
                    heapq.heappush(queue, (max(doubt, edge.doubt), steps + 1, other, hub))
        if (costs, parents) != (self._hub_costs, self._hub_parents):
            self.plan_version += 1
            self._parents.clear()
        self._hub_costs, self._hub_parents = costs, parents


def _peg(asset: str, reference: str, value: Decimal) -> Quote:
    """A price by decree: always fresh, always confirmed."""
    return Quote("peg", asset, (asset, reference), value, NEVER_STALE, NEVER_STALE, rest_mono=NEVER_STALE)
