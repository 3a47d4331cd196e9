"""Deposits, withdrawals and transfers: equity that moves without profit or loss.

Two witnesses tell of a flow, in either order: a holding that changes at constant prices, and a row
in the venue's ledger. Until both are in, the change is neither loss nor gain:

    a change without a row    unverified: no breach and no peak is believed from it before a complete
                              ledger listing, requested `ledger_lag_s` later, shows no flow behind it
    a row without a change    pending: equity is uncertain by the flow until the holdings show it

A trade's legs, a closed position and its profit cancel out within one venue, so what is left of a
venue's changes at constant prices is flows, fees and bad fills.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from risk_daemon.events import Flow, FlowsListed
from risk_daemon.units import ZERO, finite, plain

# A change explains a flow if it shows at least this part of it: fees and small trades ride along.
EXPLAINS = Decimal("0.9")
REMEMBER_S = 90 * 86400.0


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


@dataclass(frozen=True, slots=True)
class _Move:
    mono: float
    amount: Decimal


@dataclass(frozen=True, slots=True)
class _Pending:
    flow: Flow
    listed_mono: float
    is_old: bool


@dataclass(slots=True)
class _Venue:
    moves: deque[_Move] = field(default_factory=deque)
    pending: list[_Pending] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    listed_mono: float = float("-inf")
    probed_mono: float = float("-inf")

    def net(self, since_mono: float = float("-inf")) -> Decimal:
        return sum((move.amount for move in self.moves if move.mono >= since_mono), ZERO)


class FlowTracker:
    """Brings the two witnesses together. Amounts are in the reference currency unless they name an asset."""

    def __init__(self, settings: FlowSettings | None = None) -> None:
        self.settings = settings or FlowSettings()
        self._venues: dict[str, _Venue] = {}

    # --- witnesses ---------------------------------------------------------------------------------

    def moved(self, venue: str, amount: Decimal, mono: float) -> None:
        """Holdings of `venue` changed by `amount` at constant prices."""
        if amount:
            self._venue(venue).moves.append(_Move(mono, amount))

    def listed(self, listing: FlowsListed, wall: float, *, counts: bool) -> tuple[Flow, ...]:
        """Take a complete listing in; returns the flows not seen before.

        counts: False while there is no baseline yet, so that the flow lies behind us.
        """
        venue = self._venue(listing.venue)
        venue.listed_mono = max(venue.listed_mono, listing.requested_mono)
        new = tuple(flow for flow in listing.flows if flow.flow_id not in venue.seen)
        for flow in new:
            venue.seen[flow.flow_id] = flow.wall
            if counts:
                is_old = wall - flow.wall > self.settings.flow_wait_s
                venue.pending.append(_Pending(flow, listing.requested_mono, is_old))
        self._forget(venue, wall)
        return new

    def settle(
        self, now_mono: float, balances_mono: Callable[[str], float], rate: Callable[[str], Decimal]
    ) -> tuple[Flow, ...]:
        """The pending flows that the holdings show by now; each is returned once.

        balances_mono: when a venue's last complete balance read was begun. rate: asset -> reference.
        """
        settled: list[Flow] = []
        for name, venue in self._venues.items():
            for pending in tuple(venue.pending):
                value = pending.flow.amount * rate(pending.flow.asset)
                if self._shows(venue, value):
                    venue.moves.append(_Move(venue.moves[-1].mono, -value))
                elif not self._is_due(pending, now_mono, balances_mono(name)):
                    continue
                venue.pending.remove(pending)
                settled.append(pending.flow)
            self._drop_verified(name, venue, now_mono)
        return tuple(settled)

    # --- what follows for the equity ---------------------------------------------------------------

    def unsettled_fall(self, now_mono: float) -> Decimal:
        """Falls so young that the second row of a trade may still come."""
        since = now_mono - self.settings.settle_legs_s
        return sum((max(ZERO, -venue.net(since)) for venue in self._venues.values()), ZERO)

    def unverified_fall(self) -> Decimal:
        """Falls that a flow may explain."""
        return sum((max(ZERO, -venue.net()) for venue in self._venues.values()), ZERO)

    def unverified_rise(self) -> Decimal:
        """Rises that a flow may explain."""
        return sum((max(ZERO, venue.net()) for venue in self._venues.values()), ZERO)

    def pending_in(self, rate: Callable[[str], Decimal]) -> Decimal:
        """Deposits that the ledger lists and the holdings don't show yet."""
        return sum((max(ZERO, value) for value in self._pending_values(rate)), ZERO)

    def pending_out(self, rate: Callable[[str], Decimal]) -> Decimal:
        """Withdrawals that the ledger lists and the holdings don't show yet."""
        return sum((max(ZERO, -value) for value in self._pending_values(rate)), ZERO)

    def wants_listing(self, now_mono: float, equity: Decimal) -> tuple[str, ...]:
        """Venues whose ledger should be read now, because their holdings changed by more than a trade's fee."""
        threshold = abs(equity) * self.settings.probe_ratio
        return tuple(
            name
            for name, venue in self._venues.items()
            if name not in self.settings.without_ledger
            and abs(venue.net()) > threshold
            and now_mono - venue.probed_mono >= self.settings.probe_every_s
            and now_mono - venue.moves[-1].mono >= self.settings.settle_legs_s
        )

    def probed(self, venues: Iterable[str], now_mono: float) -> None:
        """The ledgers of `venues` are being read now."""
        for name in venues:
            self._venue(name).probed_mono = now_mono

    def next_due(self, now_mono: float) -> float | None:
        """When the next young fall is settled: the engine should look again then."""
        due = [v.moves[-1].mono + self.settings.settle_legs_s for v in self._venues.values() if v.moves]
        later = [moment for moment in due if moment > now_mono]
        return min(later) if later else None

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        return {
            name: {"seen": venue.seen, "pending": [_flow_to_json(p.flow) for p in venue.pending]}
            for name, venue in self._venues.items()
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """What was pending is old by now: the next balance read after a listing shows it."""
        for name, saved in data.items():
            venue = self._venue(name)
            venue.seen = dict(saved["seen"])
            venue.pending = [_Pending(_flow_from_json(f), float("-inf"), is_old=True) for f in saved["pending"]]

    # --- inside ------------------------------------------------------------------------------------

    def _venue(self, name: str) -> _Venue:
        return self._venues.setdefault(name, _Venue())

    def _pending_values(self, rate: Callable[[str], Decimal]) -> list[Decimal]:
        return [p.flow.amount * rate(p.flow.asset) for v in self._venues.values() for p in v.pending]

    def _shows(self, venue: _Venue, value: Decimal) -> bool:
        net = venue.net()
        return bool(value) and (net <= value * EXPLAINS if value < 0 else net >= value * EXPLAINS)

    def _is_due(self, pending: _Pending, now_mono: float, balances_mono: float) -> bool:
        """Whether the holdings must show the flow by now, even if other changes hide it."""
        if pending.is_old:
            return balances_mono >= pending.listed_mono
        waited = now_mono - pending.listed_mono >= self.settings.flow_wait_s
        return waited and balances_mono >= pending.listed_mono + self.settings.ledger_lag_s

    def _drop_verified(self, name: str, venue: _Venue, now_mono: float) -> None:
        """A change that the ledger had time to explain, and did not, is loss or gain."""
        wait = self.settings.settle_legs_s if name in self.settings.without_ledger else self.settings.flow_wait_s
        verified_to = max(venue.listed_mono - self.settings.ledger_lag_s, now_mono - wait)
        while venue.moves and venue.moves[0].mono <= verified_to:
            venue.moves.popleft()

    def _forget(self, venue: _Venue, wall: float) -> None:
        for flow_id in [i for i, at in venue.seen.items() if wall - at > REMEMBER_S]:
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
