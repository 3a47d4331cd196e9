"""Prices as venues gave them, each with when it was last known to hold.

A quote is fresh while it is confirmed: by the reply or frame that gave it, or by a sign of life of the
stream that gave it since it connected. One that was not confirmed in time is stale, and says so.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.model.events import Price, PricesSeen, Source
from risk_daemon.portfolio.witnesses import Comparison, Heard, Row, Terms, Witnesses

Pair = tuple[str, str]
NO_STREAM = -1
NEVER = float("-inf")

# Prices closer than this part of each other are the same price: two books, a moment apart.
PRICE_TOLERANCE = Decimal("0.005")
SETTLE_S = 0.25


@dataclass(slots=True, eq=False)
class Quote:
    """One venue's price of one instrument. pair: (base, quote) if it may be used as an exchange rate.

    seen_mono: when the value was really given. confirmed_mono: as `seen_mono`, or when it went stale, the
    last moment it was known to hold. epoch: the stream connection that gave it. rest_mono: when the last REST
    read that said the same of the instrument was begun. other: while it is in question, what the
    witness that is not in force says.
    """

    venue: str
    symbol: str
    pair: Pair | None
    value: Decimal
    seen_mono: float
    confirmed_mono: float
    is_stale: bool = False
    epoch: int = NO_STREAM
    rest_mono: float = NEVER
    other: Decimal | None = None

    @property
    def doubt(self) -> float:
        """For comparing: -inf while fresh, and the larger the longer ago it was known to hold."""
        return -self.confirmed_mono if self.is_stale else float("-inf")


class Quotes:
    """Every quote by venue and symbol. stale_by_venue: seconds, over the general `stale_s`.

    settle_s: what a stream said so long before a REST request may be what REST says. found: by venue, what its last
    frame showed of the two witnesses.
    """

    def __init__(
        self, stale_s: float, stale_by_venue: Mapping[str, float] | None = None, settle_s: float = SETTLE_S
    ) -> None:
        self._stale_s = stale_s
        self._stale_by_venue = dict(stale_by_venue or {})
        self._quotes: dict[tuple[str, str], Quote] = {}
        self._epoch: dict[str, int] = {}
        self._alive_mono: dict[str, float] = {}
        # One entry a fresh quote: when it must be looked at again.
        self._expiries: list[tuple[float, int, Quote]] = []
        self._count = 0
        self._terms = Terms(PRICE_TOLERANCE, settle_s)
        self._witnesses: dict[str, Witnesses[Decimal]] = {}
        self.found: dict[str, Comparison] = {}

    def get(self, venue: str, symbol: str) -> Quote | None:
        return self._quotes.get((venue, symbol))

    def apply(self, seen: PricesSeen) -> list[Quote]:
        """Take a frame in; returns the quotes whose value or freshness changed. What is not above 0 is no price."""
        witnesses = self._witnesses.get(seen.venue)
        if witnesses is None:
            witnesses = self._witnesses[seen.venue] = Witnesses(self._terms)
        changed = []
        for price in seen.prices:
            quote = self._take(price, seen, witnesses) if price.value > 0 else None
            if quote is not None:
                changed.append(quote)
        self.found[seen.venue] = witnesses.close(seen.source)
        return changed

    def doubted(self) -> tuple[tuple[str, str], ...]:
        """Venue and symbol of every price in question."""
        return tuple((venue, symbol) for venue, found in self._witnesses.items() for symbol in sorted(found.doubted))

    def confirm_stream(self, venue: str, mono: float) -> None:
        """The price stream of `venue` was alive at `mono`: what it gave since connecting still holds."""
        self._alive_mono[venue] = max(mono, self._alive_mono.get(venue, mono))

    def stream_lost(self, venue: str) -> None:
        """What the stream gave is confirmed no further; the next stream starts a new epoch."""
        for quote in self._quotes.values():
            if quote.venue == venue:
                quote.confirmed_mono = self._confirmed(quote)
        if venue in self._witnesses:
            self._witnesses[venue].forget_stream()
        self._epoch[venue] = self._epoch.get(venue, 0) + 1
        self._alive_mono.pop(venue, None)

    def expire(self, now_mono: float) -> list[Quote]:
        """Mark as stale what was not confirmed in time. Costs nothing when nothing is due."""
        gone = []
        while self._expiries and self._expiries[0][0] < now_mono:
            quote = heapq.heappop(self._expiries)[2]
            confirmed_mono = self._confirmed(quote)
            if confirmed_mono + self._stale_after_s(quote.venue) >= now_mono:
                self._watch(quote, confirmed_mono)
                continue
            quote.is_stale, quote.confirmed_mono = True, confirmed_mono
            gone.append(quote)
        return gone

    def set_ages(self, stale_s: float, stale_by_venue: Mapping[str, float]) -> None:
        """So long a quote holds from now on; one that is stale is so until it is confirmed."""
        self._stale_s, self._stale_by_venue, self._expiries = stale_s, dict(stale_by_venue), []
        for quote in self._quotes.values():
            if not quote.is_stale:
                self._watch(quote, self._confirmed(quote))

    def age_s(self, venue: str, now_mono: float) -> float | None:
        """Seconds since any price of `venue` was confirmed; None if there never was one."""
        moments = [self._confirmed(quote) for quote in self._quotes.values() if quote.venue == venue]
        return now_mono - max(moments) if moments else None

    def _take(self, price: Price, seen: PricesSeen, witnesses: Witnesses[Decimal]) -> Quote | None:
        """The quote, if it changed. Which of two witnesses is in force is decided in `witnesses.py`."""
        quote = self._quotes.get((seen.venue, price.symbol))
        if quote is None:
            quote = self._new(price, seen)
        row = witnesses.rows.get(price.symbol) or witnesses.row(price.symbol, None)
        value, mono = price.value, seen.requested_mono
        if seen.source is Source.STREAM:
            is_taken = witnesses.hear(price.symbol, row, value, value, mono)
        else:
            is_taken = self._answer(price, mono, quote, row, witnesses)
        other, quote.other = quote.other, row.other
        is_changed = other != quote.other
        if not is_taken:
            return quote if is_changed else None
        quote.seen_mono = mono
        if mono > quote.confirmed_mono:
            quote.confirmed_mono = mono
        if seen.source is Source.STREAM:
            quote.epoch = self._epoch.setdefault(seen.venue, 0)
        if value == quote.value and not quote.is_stale and price.converts is (quote.pair is not None):
            return quote if is_changed else None
        was_stale, quote.is_stale = quote.is_stale, False
        quote.value = value
        if price.converts:
            quote.pair = (price.base, price.quote)
        if was_stale:
            self._watch(quote, quote.confirmed_mono)
        return quote

    @staticmethod
    def _answer(
        price: Price, asked_mono: float, quote: Quote, row: Row[Decimal], witnesses: Witnesses[Decimal]
    ) -> bool:
        """Whether this price, which REST tells, is in force now."""
        heard = witnesses.answer(price.symbol, row, price.value, price.value, asked_mono)
        if heard in (Heard.TAKEN, Heard.KEPT, Heard.OVERRULED):
            quote.rest_mono = max(quote.rest_mono, asked_mono)
        return heard in (Heard.TAKEN, Heard.OVERRULED)

    def _new(self, price: Price, seen: PricesSeen) -> Quote:
        mono = seen.requested_mono
        quote = Quote(seen.venue, price.symbol, None, price.value, mono, mono, is_stale=True)
        self._quotes[seen.venue, price.symbol] = quote
        return quote

    def _confirmed(self, quote: Quote) -> float:
        if quote.epoch == self._epoch.get(quote.venue, 0) and self._vouches(quote):
            return max(quote.confirmed_mono, self._alive_mono.get(quote.venue, quote.confirmed_mono))
        return quote.confirmed_mono

    def _vouches(self, quote: Quote) -> bool:
        """Whether a sign of life of the stream says that the quote still holds."""
        witnesses = self._witnesses.get(quote.venue)
        return quote.other is None and (witnesses is None or not witnesses.is_aside)

    def _stale_after_s(self, venue: str) -> float:
        return self._stale_by_venue.get(venue, self._stale_s)

    def _watch(self, quote: Quote, confirmed_mono: float) -> None:
        self._count += 1
        due = confirmed_mono + self._stale_after_s(quote.venue)
        heapq.heappush(self._expiries, (due, self._count, quote))
