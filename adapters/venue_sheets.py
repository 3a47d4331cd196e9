"""What can be read, streamed, listed, cancelled, proven and switched on each exchange, from the data of its file.

Nothing is asked of anybody: `risk-daemon venues` and docs/venues.md are made from this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from adapters.base import Market
from adapters.cancel_plans import Cancel, CancelBy, Listing, ScopePlan
from adapters.fills import FillSource
from adapters.lean_ccxt import ccxt_pro
from adapters.registry import VENUES
from adapters.venue import Venue, unprovable


class Standing(StrEnum):
    """Whether a sweep can prove that no order is left, nor anything that would place one."""

    PROVABLE = "provable"
    PROVABLE_BUT = "provable but for"
    NOT_PROVABLE = "not provable"
    NOT_GUARDED = "not guarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeSheet:
    """One scope, in words."""

    name: str
    kind: str
    markets: tuple[str, ...]
    listing: str
    cancels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSheet:
    """One dead man's switch, in words."""

    markets: tuple[str, ...]
    timeout: str
    one_for: str
    covers: str
    leaves: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSheet:
    """One exchange. not_covered: what a proof leaves out, or why there is none, one sentence each.

    calls_at_once: how many signed calls may be under way. tells_key: it says what a key may do; asks_cancel: whether
    it may cancel can be found out without cancelling. fills: where what was executed is read.
    """

    exchange: str
    standing: Standing
    not_covered: tuple[str, ...]
    markets: tuple[str, ...] = ()
    scopes: tuple[ScopeSheet, ...] = ()
    switches: tuple[SwitchSheet, ...] = ()
    calls_at_once: int = 1
    tells_key: bool = False
    asks_cancel: bool = False
    fills: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def sheet_of(venue: Venue) -> VenueSheet:
    """An exchange that has a file."""
    missing = unprovable(venue)
    standing = Standing.PROVABLE_BUT if missing else Standing.PROVABLE
    plans = venue.scopes or ()
    markets = frozenset[Market]().union(*(plan.scope.markets for plan in plans))
    return VenueSheet(
        exchange=venue.exchange,
        standing=Standing.NOT_PROVABLE if venue.scopes is None else standing,
        not_covered=missing,
        markets=_names(markets),
        scopes=tuple(map(_scope, plans)),
        switches=tuple(
            SwitchSheet(
                markets=_names(switch.markets),
                timeout=f"{switch.least_s:g} to {switch.most_s:g} s",
                one_for="a market" if switch.by_market else "an account",
                covers=switch.covers,
                leaves=switch.leaves,
            )
            for switch in venue.dead_men
        ),
        calls_at_once=venue.lane_width,
        tells_key=venue.key_audit is not None,
        asks_cancel=venue.probe is not None,
        fills=_fills(venue),
    )


def _fills(venue: Venue) -> str:
    source = venue.fills or FillSource()
    by_symbol = any(call.by_symbol for call in source.calls)
    listed = "list of each market that is traded" if by_symbol else "list"
    return " and ".join(filter(None, ("stream" if source.is_streamed else "", listed if source.calls else ""))) or "no"


def sheets() -> tuple[VenueSheet, ...]:
    """Every exchange that ccxt knows: first those with a file, then by name."""
    streamed = set(ccxt_pro().exchanges)
    import ccxt

    known = tuple(sheet_of(venue) for venue in VENUES.values())
    others = sorted((set(ccxt.exchanges) | streamed) - VENUES.keys())
    return (*known, *(_without_a_file(exchange, streamed) for exchange in others))


def _without_a_file(exchange: str, streamed: Iterable[str]) -> VenueSheet:
    if exchange not in streamed:
        why = "ccxt has no streams of it, and the guard needs them"
        return VenueSheet(exchange=exchange, standing=Standing.NOT_GUARDED, not_covered=(why,))
    has: Mapping[str, Any] = getattr(ccxt_pro(), exchange)().has
    lacking = [name for name in ("fetchBalance", "fetchOpenOrders", "fetchTickers") if has.get(name) is not True]
    if not any(has.get(name) is True for name in ("cancelAllOrders", "cancelOrders", "cancelOrder")):
        lacking.append("a cancel")
    if lacking:
        why = f"ccxt lacks {', '.join(lacking)} there"
        return VenueSheet(exchange=exchange, standing=Standing.NOT_GUARDED, not_covered=(why,))
    missing = unprovable(Venue(exchange=exchange))
    spot = ("spot",)
    return VenueSheet(exchange=exchange, standing=Standing.NOT_PROVABLE, not_covered=missing, markets=spot)


def _names(markets: Iterable[Market]) -> tuple[str, ...]:
    wanted = frozenset(markets)
    return tuple(market.value for market in Market if market in wanted)


def _scope(plan: ScopePlan) -> ScopeSheet:
    scope, calls = plan.scope, plan.calls
    return ScopeSheet(
        name=scope.name,
        kind=scope.kind.value,
        markets=_names(scope.markets),
        listing="one call" if calls is None else _listing(calls.listing),
        cancels=(plan.cancel_by.value,) if calls is None else tuple(dict.fromkeys(map(_cancel, calls.cancels))),
    )


def _listing(listing: Listing) -> str:
    parts = [] if listing.each is None else [f"one call each of the {listing.each}"]
    if listing.page_rows is not None:
        parts.append(f"pages of {listing.page_rows}" if listing.next_page else f"{listing.page_rows} rows at most")
    if listing.windows is not None:
        days = listing.windows.back_s / 86_400
        parts.append(f"windows of {listing.windows.span_s / 86_400:g} days, {days:g} days back")
    return ", ".join(parts) or "one call"


def _cancel(cancel: Cancel) -> str:
    if cancel.by is CancelBy.BATCH:
        return f"ids, {cancel.rows} to a call"
    if cancel.by is CancelBy.ALL and cancel.each is not None:
        return f"one call each of the {cancel.each}"
    return {
        CancelBy.ALL: "one call for the scope",
        CancelBy.SYMBOL: "one call for each symbol",
    }.get(cancel.by, "one call for each order")
