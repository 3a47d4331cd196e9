"""What an asset is worth in the reference currency, by which path, and how old that knowledge is.

Pairs come from venues. Several venues may quote the same pair: one stays the source while it is
fresh, so that two venues a few basis points apart don't make the equity flicker; when it goes
stale, a fresh one takes over. A path goes from an asset to the reference currency directly, or
through at most a chain of hubs; fresh pairs before stale ones, then fewer steps.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.events import Price, PricesSeen, Source
from risk_daemon.units import ONE

HUBS = ("USD", "USDT", "USDC", "BTC", "ETH")
NEVER_STALE = float("inf")

Pair = tuple[str, str]
Mark = tuple[str, str]


@dataclass(slots=True)
class Quote:
    """One venue's price of one instrument, and when it was last known to hold."""

    value: Decimal
    confirmed_mono: float
    seen_mono: float
    stale: bool = False
    epoch: int = -1


@dataclass(frozen=True, slots=True)
class Step:
    """The next hop of an asset towards the reference currency."""

    parent: str
    rate: Decimal
    stale: bool


class PriceBook:
    """Prices of instruments by venue, with ages, and the conversion paths over them.

    price_stale_s: age in seconds after which a price is stale; `stale_by_venue` overrides it.
    pegs: assets whose price in the reference currency is decreed, never stale.
    """

    def __init__(
        self,
        reference: str,
        *,
        price_stale_s: float = 30.0,
        stale_by_venue: Mapping[str, float] | None = None,
        pegs: Mapping[str, Decimal] | None = None,
    ) -> None:
        self.reference = reference
        self._stale_s = price_stale_s
        self._stale_by_venue = dict(stale_by_venue or {})
        self._hubs = tuple(dict.fromkeys((reference, *HUBS)))
        self._pairs: dict[Pair, dict[str, Quote]] = {}
        self._source: dict[Pair, str] = {}
        self._marks: dict[Mark, Quote] = {}
        self._epoch: dict[str, int] = {}
        self._alive_mono: dict[str, float] = {}
        self._expiries: list[tuple[float, int, str, Quote, Pair | None, Mark | None]] = []
        self._count = 0
        self.plan_version = 0
        self._hub_costs: dict[str, tuple[int, int]] = {}
        self._hub_parents: dict[str, str] = {}
        for asset, value in (pegs or {}).items():
            self._pairs[(asset, reference)] = {"peg": Quote(value, NEVER_STALE, NEVER_STALE)}
            self._source[(asset, reference)] = "peg"
        self._plan_hubs()

    # --- what comes in -----------------------------------------------------------------------------

    def apply(self, seen: PricesSeen) -> tuple[list[Pair], list[Mark]]:
        """Take a frame in. Returns the pairs and marks whose value or freshness changed.

        `plan_version` grows whenever a hub hangs elsewhere than before.
        """
        pairs: list[Pair] = []
        marks: list[Mark] = []
        replan = False
        for price in seen.prices:
            if price.converts:
                pair = (price.base, price.quote)
                changed, new = self._take_pair(pair, price, seen)
                replan = replan or (new and self._between_hubs(pair))
                if changed or new:
                    pairs.append(pair)
            if self._take_mark((seen.venue, price.symbol), price, seen):
                marks.append((seen.venue, price.symbol))
        if replan:
            self._plan_hubs()
        return pairs, marks

    def confirm_stream(self, venue: str, mono: float) -> None:
        """The price stream of `venue` was alive at `mono`: what it gave since connecting still holds."""
        self._alive_mono[venue] = max(mono, self._alive_mono.get(venue, mono))

    def stream_lost(self, venue: str) -> None:
        """What the stream gave is confirmed no further; the next stream starts a new epoch."""
        self._epoch[venue] = self._epoch.get(venue, 0) + 1
        self._alive_mono.pop(venue, None)

    def expire(self, now_mono: float) -> tuple[list[Pair], list[Mark]]:
        """Mark as stale what was not confirmed in time. Costs nothing when nothing is due."""
        pairs: list[Pair] = []
        marks: list[Mark] = []
        while self._expiries and self._expiries[0][0] < now_mono:
            _, _, venue, quote, pair, mark = heapq.heappop(self._expiries)
            due = self._confirmed(venue, quote) + self._stale_after(venue)
            if due >= now_mono:
                self._schedule(due, venue, quote, pair, mark)
                continue
            quote.stale = True
            if pair is not None:
                self._choose_source(pair)
                pairs.append(pair)
            if mark is not None:
                marks.append(mark)
        if any(self._between_hubs(pair) for pair in pairs):
            self._plan_hubs()
        return pairs, marks

    # --- what is asked -----------------------------------------------------------------------------

    def mark(self, venue: str, symbol: str) -> Quote | None:
        """The last mark of an instrument, or None if there never was one."""
        return self._marks.get((venue, symbol))

    def step(self, asset: str) -> Step | None:
        """The next hop of `asset`, or None if no path leads to the reference currency."""
        if asset == self.reference:
            return None
        parent = self._hub_parents.get(asset) if asset in self._hubs else self._best_parent(asset)
        return None if parent is None else self._edge(asset, parent)

    def is_hub(self, asset: str) -> bool:
        return asset in self._hubs

    def hubs(self) -> tuple[str, ...]:
        """The assets a path may lead through, the reference currency first."""
        return self._hubs

    def age_s(self, venue: str, now_mono: float) -> float | None:
        """Seconds since any price of `venue` was confirmed; None if there never was one."""
        moments = [self._confirmed(v, q) for quotes in self._pairs.values() for v, q in quotes.items() if v == venue]
        moments += [self._confirmed(v, q) for (v, _), q in self._marks.items() if v == venue]
        return now_mono - max(moments) if moments else None

    def seen_mono(self, asset: str) -> float | None:
        """When the pair that `asset` hangs by was last really seen, not merely confirmed."""
        step = self.step(asset)
        if step is None:
            return None
        for pair in ((asset, step.parent), (step.parent, asset)):
            quote = self._current(pair)
            if quote is not None:
                return quote.seen_mono
        return None

    # --- inside ------------------------------------------------------------------------------------

    def _take_pair(self, pair: Pair, price: Price, seen: PricesSeen) -> tuple[bool, bool]:
        quotes = self._pairs.setdefault(pair, {})
        quote = quotes.get(seen.venue)
        new = quote is None
        if quote is None:
            quote = quotes[seen.venue] = Quote(price.value, seen.requested_mono, seen.requested_mono)
            self._stamp(quote, seen)
            self._schedule(seen.requested_mono + self._stale_after(seen.venue), seen.venue, quote, pair, None)
        elif not self._update(quote, price.value, seen, pair, None):
            return False, False
        before = self._source.get(pair)
        source = self._choose_source(pair)
        return source == seen.venue or source != before, new

    def _take_mark(self, key: Mark, price: Price, seen: PricesSeen) -> bool:
        quote = self._marks.get(key)
        if quote is None:
            quote = self._marks[key] = Quote(price.value, seen.requested_mono, seen.requested_mono)
            self._stamp(quote, seen)
            self._schedule(seen.requested_mono + self._stale_after(seen.venue), seen.venue, quote, None, key)
            return True
        return self._update(quote, price.value, seen, None, key)

    def _update(self, quote: Quote, value: Decimal, seen: PricesSeen, pair: Pair | None, mark: Mark | None) -> bool:
        """Whether value or freshness changed. An older reply never overwrites a newer row."""
        if seen.requested_mono < quote.seen_mono:
            return False
        changed = value != quote.value or quote.stale
        quote.value = value
        quote.seen_mono = seen.requested_mono
        quote.confirmed_mono = max(quote.confirmed_mono, seen.requested_mono)
        self._stamp(quote, seen)
        if quote.stale:
            quote.stale = False
            self._schedule(seen.requested_mono + self._stale_after(seen.venue), seen.venue, quote, pair, mark)
            if pair is not None and self._between_hubs(pair):
                self._plan_hubs()
        return changed

    def _between_hubs(self, pair: Pair) -> bool:
        return pair[0] in self._hubs and pair[1] in self._hubs

    def _stamp(self, quote: Quote, seen: PricesSeen) -> None:
        if seen.source is Source.STREAM:
            quote.epoch = self._epoch.setdefault(seen.venue, 0)

    def _confirmed(self, venue: str, quote: Quote) -> float:
        if quote.epoch == self._epoch.get(venue, 0):
            return max(quote.confirmed_mono, self._alive_mono.get(venue, quote.confirmed_mono))
        return quote.confirmed_mono

    def _stale_after(self, venue: str) -> float:
        return self._stale_by_venue.get(venue, self._stale_s)

    def _schedule(self, due: float, venue: str, quote: Quote, pair: Pair | None, mark: Mark | None) -> None:
        self._count += 1
        heapq.heappush(self._expiries, (due, self._count, venue, quote, pair, mark))

    def _choose_source(self, pair: Pair) -> str:
        quotes = self._pairs[pair]
        current = self._source.get(pair)
        if current is not None and not quotes[current].stale:
            return current
        fresh = [venue for venue, quote in quotes.items() if not quote.stale]
        chosen = min(fresh) if fresh else (current or min(quotes))
        self._source[pair] = chosen
        return chosen

    def _current(self, pair: Pair) -> Quote | None:
        source = self._source.get(pair)
        return None if source is None else self._pairs[pair][source]

    def _edge(self, asset: str, parent: str) -> Step | None:
        direct, inverse = self._current((asset, parent)), self._current((parent, asset))
        if direct is not None and (inverse is None or not direct.stale or inverse.stale):
            return Step(parent, direct.value, direct.stale)
        if inverse is not None:
            return Step(parent, ONE / inverse.value, inverse.stale)
        return None

    def _best_parent(self, asset: str) -> str | None:
        best: tuple[int, int, str] | None = None
        for hub, (stale_steps, steps) in self._hub_costs.items():
            edge = self._edge(asset, hub) if hub != asset else None
            if edge is not None:
                cost = (stale_steps + edge.stale, steps + 1, hub)
                best = cost if best is None or cost < best else best
        return None if best is None else best[2]

    def _plan_hubs(self) -> None:
        """Shortest paths from every hub to the reference over the handful of hubs (Dijkstra)."""
        costs: dict[str, tuple[int, int]] = {}
        parents: dict[str, str] = {}
        queue: list[tuple[int, int, str, str | None]] = [(0, 0, self.reference, None)]
        while queue:
            stale_steps, steps, hub, parent = heapq.heappop(queue)
            if hub in costs:
                continue
            costs[hub] = (stale_steps, steps)
            if parent is not None:
                parents[hub] = parent
            for other in self._unreached(costs):
                edge = self._edge(other, hub)
                if edge is not None:
                    heapq.heappush(queue, (stale_steps + edge.stale, steps + 1, other, hub))
        if parents != self._hub_parents:
            self.plan_version += 1
        self._hub_costs, self._hub_parents = costs, parents

    def _unreached(self, reached: Iterable[str]) -> list[str]:
        known = set(reached)
        return [hub for hub in self._hubs if hub not in known]
