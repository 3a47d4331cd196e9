"""Deposits, withdrawals and transfers: equity that moves without profit or loss.

Two witnesses tell of a flow, in either order: a holding that changes at constant prices, and a row
in the venue's ledger. Until both are in, the change is neither loss nor gain:

    a change without a row    unverified: no breach and no peak is believed from it before the account
                              was read again and a complete ledger listing, requested `ledger_lag_s`
                              later, shows no flow behind it
    a row without a change    pending: equity is uncertain by the flow until the holdings show it

A trade's legs, a closed position and its profit cancel out within one venue, so what is left of a
venue's changes at constant prices is flows, fees and bad fills.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from risk_daemon.clock import Instant
from risk_daemon.events import Flow, FlowsListed
from risk_daemon.units import ONE, ZERO, finite, fixed, plain

# A change explains a flow if it shows at least this part of it: fees and small trades ride along.
EXPLAINS = Decimal("0.9")
REMEMBER_S = 90 * 86400.0
NEVER = float("-inf")

# Rows whose sum is this part of them or less are a whole trade: what is left is its cost.
BALANCED = Decimal("0.01")

# Rows that follow each other are one change, but not for longer than this many times `settle_legs_s`.
LONGEST_CHANGE = 4

Rate = Callable[[str], Decimal | None]
"""Units of the reference currency for one asset: 0 for one that is ignored, None for one without a price."""


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """flow_wait_s: how long a change may wait for the ledger, and a ledger row for its change.

    settle_legs_s: how long the second row of a trade may take. ledger_lag_s: how far a venue's ledger
    may be behind its balances. probe_ratio: a change of this part of equity asks for the ledger at once.
    """

    flow_wait_s: float = 60.0
    settle_legs_s: float = 0.25
    ledger_lag_s: float = 2.0
    probe_every_s: float = 1.0
    probe_ratio: Decimal = Decimal("0.001")
    without_ledger: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Move:
    """One change of a venue's holdings: rows that came close together, until they cancel out as a trade's do.

    seen_mono: the moment that the newest reading in it is evidence about.
    """

    first_mono: float
    mono: float
    seen_mono: float
    amount: Decimal
    gross: Decimal

    def takes(self, mono: float, legs_s: float) -> bool:
        """Whether a row at `mono` belongs to this change."""
        is_close = mono - self.mono <= legs_s and mono - self.first_mono <= LONGEST_CHANGE * legs_s
        return is_close and abs(self.amount) > self.gross * BALANCED

    def add(self, amount: Decimal, mono: float, seen_mono: float) -> None:
        self.amount += amount
        self.gross += abs(amount)
        self.mono, self.seen_mono = mono, max(self.seen_mono, seen_mono)


class _Rows:
    """The largest fall and rise that the newest rows make up. Amortised, a row costs the same at any rate.

    A sum over the newest rows is the total now less the total before the first of them: the largest
    falls from the highest of those, the largest rise from the lowest.
    """

    __slots__ = ("_highest", "_lowest", "_total", "last_mono")

    def __init__(self) -> None:
        self._total = ZERO
        self._highest: deque[tuple[float, Decimal]] = deque()
        self._lowest: deque[tuple[float, Decimal]] = deque()
        self.last_mono = NEVER

    def add(self, mono: float, amount: Decimal) -> None:
        before = self._total
        while self._highest and self._highest[-1][1] <= before:
            self._highest.pop()
        while self._lowest and self._lowest[-1][1] >= before:
            self._lowest.pop()
        self._highest.append((mono, before))
        self._lowest.append((mono, before))
        self._total, self.last_mono = before + amount, mono

    def extremes(self, since_mono: float) -> tuple[Decimal, Decimal]:
        """Fall and rise over rows younger than `since_mono`, both above zero or zero."""
        if self.last_mono <= since_mono:
            return ZERO, ZERO
        for totals in (self._highest, self._lowest):
            while totals[0][0] <= since_mono:
                totals.popleft()
        return max(ZERO, self._highest[0][1] - self._total), max(ZERO, self._total - self._lowest[0][1])


@dataclass(frozen=True, slots=True)
class _Pending:
    """is_certain: it was not in the venue's first listing ever, so it happened since. Else it may lie behind us."""

    flow: Flow
    listed_mono: float
    is_certain: bool = True


@dataclass(slots=True)
class _Venue:
    """One venue's witnesses. net: the sum of `moves`. rows: the same, row by row. has_listing: in any run."""

    moves: deque[_Move] = field(default_factory=deque)
    net: Decimal = ZERO
    rows: _Rows = field(default_factory=_Rows)
    pending: list[_Pending] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    has_listing: bool = False
    listed_mono: float = NEVER
    probed_mono: float = NEVER

    def add(self, amount: Decimal, mono: float, seen_mono: float, legs_s: float) -> None:
        if self.moves and self.moves[-1].takes(mono, legs_s):
            self.moves[-1].add(amount, mono, seen_mono)
        else:
            self.moves.append(_Move(mono, mono, seen_mono, amount, abs(amount)))
        self.net += amount
        self.rows.add(mono, amount)

    def take(self, amount: Decimal) -> None:
        """A flow explains `amount`: take it off the changes of its direction, the largest first."""
        self.net -= amount
        same_way = sorted((m for m in self.moves if m.amount * amount > 0), key=lambda move: -abs(move.amount))
        for move in same_way:
            part = min(amount, move.amount, key=abs)
            move.amount -= part
            amount -= part
        if amount and same_way:
            same_way[0].amount -= amount


class FlowTracker:
    """Brings the two witnesses together. Amounts are in the reference currency unless they name an asset."""

    def __init__(self, settings: FlowSettings | None = None) -> None:
        self.settings = settings or FlowSettings()
        self._venues: dict[str, _Venue] = {}

    # --- witnesses ---------------------------------------------------------------------------------

    def moved(self, venue: str, amount: Decimal, now_mono: float, seen_mono: float) -> None:
        """Holdings of `venue` changed by `amount` at constant prices, as a reading about `seen_mono` shows."""
        if amount:
            self._venue(venue).add(amount, now_mono, seen_mono, self.settings.settle_legs_s)

    def listed(self, listing: FlowsListed) -> tuple[Flow, ...]:
        """Take a complete listing in; returns the flows not seen before.

        What the first listing ever names may lie behind us or be on its way: it counts only if the
        holdings show it. No clock of ours is compared with the venue's.
        """
        venue = self._venue(listing.venue)
        is_certain, venue.has_listing = venue.has_listing, True
        venue.listed_mono = max(venue.listed_mono, listing.requested_mono)
        new = {flow.flow_id: flow for flow in listing.flows if flow.flow_id not in venue.seen}
        for flow in new.values():
            venue.seen[flow.flow_id] = flow.wall
            if flow.amount:
                venue.pending.append(_Pending(flow, listing.requested_mono, is_certain))
        self._forget(venue)
        return tuple(new.values())

    def settle(
        self,
        now_mono: float,
        rate: Rate,
        *,
        balances_mono: Callable[[str], float],
        account_mono: Callable[[str], float],
    ) -> tuple[tuple[Flow, Decimal], ...]:
        """The pending flows that the holdings show by now, with their worth; each is returned once.

        balances_mono, account_mono: when the last complete read of a venue's balances, and of all of
        the account, was begun.
        """
        settled: list[tuple[Flow, Decimal]] = []
        for name, venue in self._venues.items():
            if venue.pending:
                settled += self._settle_venue(venue, now_mono, rate, balances_mono(name))
            if venue.moves:
                self._drop_verified(name, venue, now_mono, account_mono(name))
        return tuple(settled)

    # --- what follows for the equity ---------------------------------------------------------------

    def unverified(self, venue: str | None = None) -> tuple[Decimal, Decimal]:
        """Falls and rises that a flow may explain, of one venue or all, both as amounts above zero."""
        nets = [found.net for found in self._chosen(venue)]
        return sum((-net for net in nets if net < 0), ZERO), sum((net for net in nets if net > 0), ZERO)

    def net(self, venue: str | None = None) -> Decimal:
        """All changes that a flow may explain, of one venue or all."""
        return sum((found.net for found in self._chosen(venue)), ZERO)

    def unsettled_fall(self, now_mono: float) -> Decimal:
        """Falls so young that the second row of a trade may still come."""
        return sum((fall for _, fall, _ in self._young(now_mono)), ZERO)

    def settled_rise(self, now_mono: float) -> Decimal:
        """Unverified rises, less falls elsewhere, that are not half of a trade: deposits, maybe."""
        return max(ZERO, sum((venue.net - rise for venue, _, rise in self._young(now_mono)), ZERO))

    def pending(self, rate: Rate, venue: str | None = None) -> tuple[Decimal, Decimal]:
        """What ledgers list and holdings don't show yet: withdrawals and deposits, both above zero."""
        flows = (p.flow for found in self._chosen(venue) for p in found.pending if p.is_certain)
        values = [flow.amount * (rate(flow.asset) or ZERO) for flow in flows]
        return sum((-value for value in values if value < 0), ZERO), sum((v for v in values if v > 0), ZERO)

    # --- the ledgers -------------------------------------------------------------------------------

    def wants_listing(self, now_mono: float, equity: Decimal) -> tuple[str, ...]:
        """Venues whose ledger should be read now, because their holdings changed by more than a trade's fee."""
        threshold = abs(equity) * self.settings.probe_ratio
        return tuple(
            name
            for name, venue in self._venues.items()
            if abs(venue.net) > threshold
            and name not in self.settings.without_ledger
            and now_mono - venue.probed_mono >= self.settings.probe_every_s
            and self._is_settled(venue, threshold, now_mono)
        )

    def _is_settled(self, venue: _Venue, threshold: Decimal, now_mono: float) -> bool:
        """Whether more than half a trade is left of the venue's changes."""
        fall, rise = venue.rows.extremes(now_mono - self.settings.settle_legs_s)
        return venue.net + fall < -threshold or venue.net - rise > threshold

    def probed(self, venues: Iterable[str], now_mono: float) -> None:
        """The ledgers of `venues` are being read now."""
        for name in venues:
            self._venue(name).probed_mono = now_mono

    def next_due(self, now_mono: float) -> float | None:
        """When the next young fall is settled: the engine should look again then."""
        due = (venue.rows.last_mono + self.settings.settle_legs_s for venue in self._venues.values())
        return min((moment for moment in due if moment > now_mono), default=None)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Ledger rows that were seen, and what has only one witness yet, as JSON-able data."""
        return {
            name: {
                "seen": dict(venue.seen),
                "has_listing": venue.has_listing,
                "pending": [_flow_to_json(pending.flow) for pending in venue.pending if pending.is_certain],
                "unverified": plain(venue.net),
            }
            for name, venue in self._venues.items()
        }

    def restore(self, data: Mapping[str, Any], now: Instant) -> None:
        """Go on waiting for the second witness, with all the time there is from now."""
        for name, saved in data.items():
            venue = self._venue(name)
            venue.seen, venue.has_listing = dict(saved["seen"]), saved["has_listing"]
            venue.pending = [_Pending(_flow_from_json(flow), now.mono) for flow in saved["pending"]]
            self.moved(name, finite(saved["unverified"]), now.mono, now.mono)

    # --- inside ------------------------------------------------------------------------------------

    def _chosen(self, venue: str | None) -> Iterable[_Venue]:
        return self._venues.values() if venue is None else [self._venue(venue)]

    def _venue(self, name: str) -> _Venue:
        return self._venues.setdefault(name, _Venue())

    def _young(self, now_mono: float) -> Iterator[tuple[_Venue, Decimal, Decimal]]:
        since_mono = now_mono - self.settings.settle_legs_s
        return ((venue, *venue.rows.extremes(since_mono)) for venue in self._venues.values())

    def _settle_venue(
        self, venue: _Venue, now_mono: float, rate: Rate, balances_mono: float
    ) -> list[tuple[Flow, Decimal]]:
        """Those that are shown or due one by one, then those that are shown together. Without a price they wait."""
        self._drop_behind_us(venue, now_mono)
        settled = []
        for pending, value in self._valued(venue, rate):
            if self._is_shown(venue, value) or self._is_due(pending, now_mono, balances_mono):
                venue.take(self._explained(venue, value))
                venue.pending.remove(pending)
                settled.append((pending.flow, value))
        left = [(pending, value) for pending, value in self._valued(venue, rate) if pending.is_certain]
        total = sum((value for _, value in left), ZERO)
        if total and abs(venue.net - total) <= abs(total) * (ONE - EXPLAINS):
            venue.take(total)
            together = [pending for pending, _ in left]
            venue.pending = [pending for pending in venue.pending if pending not in together]
            settled += [(pending.flow, value) for pending, value in left]
        return settled

    def _drop_behind_us(self, venue: _Venue, now_mono: float) -> None:
        """A row of the first listing that the holdings did not show in its time was in them from the start."""
        since_mono = now_mono - self.settings.flow_wait_s
        venue.pending = [p for p in venue.pending if p.is_certain or p.listed_mono > since_mono]

    def _valued(self, venue: _Venue, rate: Rate) -> list[tuple[_Pending, Decimal]]:
        """Pending flows whose asset has a price, with their worth."""
        priced = ((pending, rate(pending.flow.asset)) for pending in venue.pending)
        return [(pending, fixed(pending.flow.amount * price)) for pending, price in priced if price is not None]

    def _is_shown(self, venue: _Venue, value: Decimal) -> bool:
        return bool(value) and venue.net / value >= EXPLAINS

    def _explained(self, venue: _Venue, value: Decimal) -> Decimal:
        """What of the unverified changes the flow explains: all of it, or as much as there is of its direction."""
        if not value or venue.net * value <= 0:
            return ZERO
        return value if self._is_shown(venue, value) else min(value, venue.net, key=abs)

    def _is_due(self, pending: _Pending, now_mono: float, balances_mono: float) -> bool:
        """Whether the holdings must show the flow by now, even if other changes hide it."""
        waited = pending.is_certain and now_mono - pending.listed_mono >= self.settings.flow_wait_s
        return waited and balances_mono >= pending.listed_mono + self.settings.ledger_lag_s

    def _drop_verified(self, name: str, venue: _Venue, now_mono: float, account_mono: float) -> None:
        """A change that was read again, and that the ledger had time to explain and did not, is loss or gain."""
        lone = name in self.settings.without_ledger
        wait_s = self.settings.settle_legs_s if lone else self.settings.flow_wait_s
        verified_mono = min(venue.listed_mono - self.settings.ledger_lag_s, account_mono)
        while venue.moves and (venue.moves[0].seen_mono <= verified_mono or now_mono - venue.moves[0].mono >= wait_s):
            venue.net -= venue.moves.popleft().amount

    def _forget(self, venue: _Venue) -> None:
        """Measured by the venue's own clock, so that a jump of ours makes no row new again."""
        newest = max(venue.seen.values(), default=NEVER)
        for flow_id in [flow_id for flow_id, wall in venue.seen.items() if newest - wall > REMEMBER_S]:
            del venue.seen[flow_id]


def _flow_to_json(flow: Flow) -> dict[str, Any]:
    return {
        "flow_id": flow.flow_id,
        "venue": flow.venue,
        "asset": flow.asset,
        "amount": plain(flow.amount),
        "wall": flow.wall,
        "kind": flow.kind,
    }


def _flow_from_json(data: Mapping[str, Any]) -> Flow:
    return Flow(data["flow_id"], data["venue"], data["asset"], finite(data["amount"]), data["wall"], data["kind"])
