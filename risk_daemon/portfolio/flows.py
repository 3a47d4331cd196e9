"""Deposits, withdrawals and transfers: equity that moves without profit or loss.

Two witnesses tell of every change at constant prices: the holdings, and the venue's own book. What only one of
them has told of is neither loss nor gain yet, and widens the equity's interval, for `flow_wait_s` at most:

    a change that a row of a trade, a fee, funding ... explains     a loss or gain, at once
    a change that a row of a deposit, withdrawal ... explains       a flow: the baselines move with it
    a change without a row                                          in question; then it is a loss or gain
    a flow's row without a change                                   in question; then it is left out, and told

A book that tells of no trades explains nothing by its silence but this: what it does not name, and the account
still shows when it is read again, `ledger_lag_s` later, was no flow. How the two meet at one venue stands in
venue_flows.py and unexplained.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Flow, FlowsListed
from risk_daemon.model.units import ONE, ZERO
from risk_daemon.portfolio.price_track import PriceTrack
from risk_daemon.portfolio.settled import Rate, Scene, Settled, Total
from risk_daemon.portfolio.unexplained import AssetMove
from risk_daemon.portfolio.venue_flows import VenueFlows, VenueFlowSettings

__all__ = ["FlowSettings", "FlowTracker", "Settled"]

NEVER = float("-inf")

# The last time that the book is asked for a change is so long before its time is over.
LAST_PROBE_S = 3.0


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """flow_wait_s: how long a change may wait for the book, and a flow's row for its change.

    settle_legs_s: how long the second row of a trade may take. ledger_lag_s: how far a venue's book may be behind
    its balances. probe_ratio: a change of this part of equity asks for the book, at once and then with growing gaps.
    steady_s: what was there when it flowed is what prices made of it for so long before and after (price_track.py).
    """

    flow_wait_s: float = 60.0
    settle_legs_s: float = 0.25
    ledger_lag_s: float = 2.0
    ledger_lag_s_by_venue: Mapping[str, float] = field(default_factory=dict)
    probe_every_s: float = 1.0
    probe_at_least_every_s: float = 15.0
    probe_ratio: Decimal = Decimal("0.001")
    steady_s: float = 3.0
    without_ledger: frozenset[str] = frozenset()

    def of(self, venue: str) -> VenueFlowSettings:
        """What holds for one venue."""
        return VenueFlowSettings(
            flow_wait_s=self.flow_wait_s,
            settle_legs_s=self.settle_legs_s,
            lag_s=self.ledger_lag_s_by_venue.get(venue, self.ledger_lag_s),
            steady_s=self.steady_s,
            has_ledger=venue not in self.without_ledger,
        )


@dataclass(slots=True)
class _Probe:
    """When a venue's book was asked for last, and how long to wait before the next time."""

    mono: float = NEVER
    gap_s: float = 0.0


class FlowTracker:
    """Brings the two witnesses of all venues together. Amounts are in the reference currency."""

    def __init__(self, settings: FlowSettings | None = None) -> None:
        self.settings = settings or FlowSettings()
        self._venues: dict[str, VenueFlows] = {}
        self._probes: dict[str, _Probe] = {}
        self._total = Total(ZERO, 0)
        self._by_prices = PriceTrack(self.settings.steady_s)
        self._moved_mono = NEVER
        self._is_waiting: bool | None = None
        self._is_probing = False
        self._unrefined_mono: deque[float] = deque()
        self._refined_mono = NEVER

    # --- witnesses ---------------------------------------------------------------------------------

    def moved(
        self,
        venue: str,
        moves: Sequence[AssetMove],
        now_mono: float,
        seen_mono: float,
        *,
        equity: Decimal | None = None,
        equity_there: Decimal | None = None,
    ) -> None:
        """Holdings or positions changed at constant prices, as one reading about `seen_mono` shows.

        equity, equity_there: the worth of everything, or of this venue, with them; None where it is not known.
        """
        self._moved_mono, self._is_waiting = now_mono, None
        amount = sum((move.value for move in moves if move.value is not None), ZERO)
        self._total = Total(self._total.worth + amount, self._total.number + 1)
        self._unrefined_mono.append(now_mono)
        self._venue(venue).moved(
            moves, now_mono, seen_mono, amount=amount, total=self._total, equity=equity, equity_there=equity_there
        )

    def listed(self, listing: FlowsListed) -> tuple[Flow, ...]:
        """Take a listing of a venue's book in; returns the flows not seen before."""
        self._is_waiting = None
        return self._venue(listing.venue).listed(listing)

    def follow_prices(self, now_mono: float, equity: Decimal, *, is_whole: bool) -> None:
        """Note what prices made of the equity by now. is_whole: whether it is that of everything, at prices of now."""
        if not is_whole:
            self._by_prices.clear()
            return
        self._by_prices.add(now_mono, equity - self._total.worth)
        until_mono = NEVER
        while self._unrefined_mono and self._unrefined_mono[0] + self.settings.steady_s <= now_mono:
            until_mono = self._unrefined_mono.popleft()
        if until_mono > NEVER:
            self._refine(until_mono, now_mono)

    def settle(
        self,
        now_mono: float,
        rate: Rate,
        equity: Decimal,
        *,
        equity_of: Callable[[str], Decimal],
        balances_mono: Callable[[str], float],
        account_mono: Callable[[str], float],
    ) -> tuple[list[Settled], list[Flow]]:
        """(flows that both witnesses have told of by now, flows that the holdings did not show in time), once each.

        equity_of: a venue's worth. balances_mono, account_mono: when the last complete read of a venue's balances, and
        of all of the account, was begun.
        """
        settled: list[Settled] = []
        unmatched: list[Flow] = []
        small = abs(equity) * self.settings.probe_ratio
        self._is_waiting = None
        for name, venue in self._venues.items():
            if venue.is_waiting:
                scene = Scene(
                    now_mono=now_mono,
                    rate=rate,
                    total=self._total,
                    equity=equity,
                    equity_there=partial(equity_of, name),
                    small=small,
                    balances_mono=balances_mono(name),
                    account_mono=account_mono(name),
                    is_wild=partial(self._is_wild, now_mono, small),
                )
                found = venue.settle(scene)
                settled += found[0]
                unmatched += found[1]
        return sorted(settled, key=lambda one: one.number), unmatched

    def _is_wild(self, now_mono: float, small: Decimal) -> bool:
        """Whether prices moved the equity by more than `small` lately. Costs a pass over what they made of it."""
        return self._by_prices.spread(now_mono - 2 * self.settings.steady_s) > small

    def _refine(self, until_mono: float, now_mono: float) -> None:
        """Put the median around the moment in the place of what prices happened to say in it."""
        for venue in self._venues.values():
            for lot in venue.unexplained.parts():
                if self._refined_mono < lot.mono <= until_mono and lot.by_prices is not None:
                    lot.by_prices = self._by_prices.around(lot.mono, now_mono)
        self._refined_mono = until_mono

    def flowed(self, settled: Settled, ratio: Decimal, ratio_there: Decimal) -> None:
        """Baselines moved by `ratio` with a flow, those of its venue by `ratio_there`."""
        for name, venue in self._venues.items():
            venue.unexplained.grow(settled.number, ratio, ratio_there if name == settled.flow.venue else ONE)

    def begin_anew(self, *, keeps: bool) -> None:
        """What losses are measured from is taken from now on: what moved before is no news.

        keeps: it is news for the start of a fund, which is not taken anew: what is in question stays so.
        """
        self._is_waiting = None
        for venue in self._venues.values():
            if keeps:
                venue.unexplained.drop_aside()
            else:
                venue.unexplained.drop()

    def note_baselines(self) -> None:
        """All baselines were taken: a late row of what counts by now moves none of them."""
        for venue in self._venues.values():
            venue.note_baselines()

    def note_fund_start(self) -> None:
        """The start of a fund was taken: a late row of what went out by now does not lower it."""
        for venue in self._venues.values():
            venue.note_fund_start()

    def count_in_fund(self, flow: Flow) -> bool:
        """Whether a fund's start rises by a row that the holdings did not show. If they do later, it knows of it."""
        return self._venue(flow.venue).count_in_fund(flow)

    # --- what follows for the equity ---------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether only one witness has told of something, at any venue."""
        if self._is_waiting is None:
            self._is_waiting = any(venue.is_waiting for venue in self._venues.values())
        return self._is_waiting

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to settle, and no book to ask for."""
        return self._is_waiting is False and not self._is_probing

    def is_silent(self, now_mono: float) -> bool:
        """Whether nothing is in question, nor so young that it may be half of a trade: the equity is what it seems."""
        return self._moved_mono <= now_mono - self.settings.settle_legs_s and not self.is_waiting

    def doubts(self, now_mono: float, rate: Rate, venue: str | None = None) -> tuple[Decimal, Decimal]:
        """How much more, and how much less, the equity may be than it seems, of one venue or all."""
        more = less = ZERO
        for found in self._venues.values() if venue is None else [self._venue(venue)]:
            if found.is_waiting:
                worth = found.unexplained.worth() if venue is None else found.unexplained.worth_there()
                its_more, its_less = found.doubts(now_mono, rate, worth)
                more, less = more + its_more, less + its_less
        return more, less

    def fall(self) -> Decimal:
        """Falls that nothing explains yet, above zero or zero."""
        worths = (venue.unexplained.worth() for venue in self._venues.values())
        return sum((-worth for worth in worths if worth < 0), ZERO)

    def unsettled_fall(self, now_mono: float) -> Decimal:
        """Falls so young that the second row of a trade may still come."""
        return sum((fall for _, fall, _ in self._young(now_mono)), ZERO)

    def settled_rise(self, now_mono: float) -> Decimal:
        """Rises that nothing explains yet, less falls elsewhere, that are not half of a trade: deposits, maybe."""
        settled = (venue.unexplained.worth() - rise for venue, _, rise in self._young(now_mono))
        return max(ZERO, sum(settled, ZERO))

    # --- the ledgers -------------------------------------------------------------------------------

    def wants_listing(self, now_mono: float, equity: Decimal) -> tuple[str, ...]:
        """Venues whose book should be read now: they changed by more than a trade's fee, and nobody says why."""
        if not (self.is_waiting or self._is_probing):
            return ()
        self._is_probing = self.is_waiting
        threshold = abs(equity) * self.settings.probe_ratio
        wanted = []
        for name, venue in self._venues.items():
            probe = self._probes.setdefault(name, _Probe())
            if abs(venue.net) <= threshold:
                probe.gap_s = 0.0
            elif self._is_due(name, venue, now_mono) and self._is_settled(venue, threshold, now_mono):
                wanted.append(name)
        return tuple(wanted)

    def _is_due(self, name: str, venue: VenueFlows, now_mono: float) -> bool:
        """Whether to ask again: with growing gaps, and once more just before the change counts as loss or gain."""
        if name in self.settings.without_ledger:
            return False
        probe, oldest_mono = self._probes[name], venue.unexplained.oldest_mono()
        last_mono = NEVER if oldest_mono is None else oldest_mono + self.settings.flow_wait_s - LAST_PROBE_S
        is_last = probe.mono < last_mono <= now_mono
        return is_last or now_mono - probe.mono >= max(probe.gap_s, self.settings.probe_every_s)

    def _is_settled(self, venue: VenueFlows, threshold: Decimal, now_mono: float) -> bool:
        """Whether more than half a trade is left of the venue's changes."""
        fall, rise = venue.young.extremes(now_mono - self.settings.settle_legs_s)
        return venue.net + fall < -threshold or venue.net - rise > threshold

    def probed(self, venues: Iterable[str], now_mono: float) -> None:
        """The books of `venues` are being read now; the next time they are asked for later."""
        settings = self.settings
        for name in venues:
            probe = self._probes.setdefault(name, _Probe())
            gap_s = max(2 * probe.gap_s, settings.probe_every_s)
            probe.mono, probe.gap_s = now_mono, min(gap_s, settings.probe_at_least_every_s)

    def next_due(self, now_mono: float) -> float | None:
        """When the next young fall is settled: the engine should look again then."""
        if self._moved_mono + self.settings.settle_legs_s <= now_mono:
            return None
        due = (venue.young.last_mono + self.settings.settle_legs_s for venue in self._venues.values())
        return min((moment for moment in due if moment > now_mono), default=None)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self, now_mono: float) -> dict[str, Any]:
        """What each venue's witnesses told, as JSON-able data."""
        return {name: venue.snapshot(now_mono) for name, venue in self._venues.items()}

    def restore(self, data: Mapping[str, Any], now: Instant) -> None:
        """Go on waiting for the second witnesses."""
        self._is_waiting = None
        for name, saved in data.items():
            self._venue(name).restore(saved, now)

    # --- inside ------------------------------------------------------------------------------------

    def _venue(self, name: str) -> VenueFlows:
        if name not in self._venues:
            self._venues[name] = VenueFlows(self.settings.of(name))
        return self._venues[name]

    def _young(self, now_mono: float) -> Iterator[tuple[VenueFlows, Decimal, Decimal]]:
        since_mono = now_mono - self.settings.settle_legs_s
        return ((venue, *venue.young.extremes(since_mono)) for venue in self._venues.values())
