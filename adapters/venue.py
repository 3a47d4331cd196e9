"""What is known of an exchange, as one value, and what an account on it needs.

ccxt knows hundreds of exchanges by its unified calls, and says of each what it can do. What stands here
comes on top of that: how orders are listed whole, what a reply looks like, how much may be asked. A value
that says only half of what belongs together is refused when it is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, Market
from adapters.budget import Pool
from adapters.cancel_plans import Parts, ScopePlan
from adapters.cancel_probes import Probe
from adapters.dead_man import DeadMan
from adapters.envelopes import Check
from adapters.failures import NO_CODES, Codes
from adapters.fills import FillSource
from adapters.key_audit import KeyAudit
from adapters.wire import SocketDialect
from risk_daemon.errors import ConfigError

NOTHING: Mapping[str, Any] = MappingProxyType({})
_NOT_COVERED = (
    "it is not known which orders its listing leaves out: triggers, algos and the venue's own bots, above all"
)
_REDUCE_ONLY: Mapping[str, Any] = MappingProxyType({"reduceOnly": True})
_LEG_ONLY: Mapping[str, Any] = MappingProxyType({"reduceOnly": True, "hedged": True})


@dataclass(frozen=True, slots=True)
class VenueSettings:
    """What an account needs. `exchange` is a ccxt id; `endpoint` a loopback server that stands for it.

    allow_unproven: guard it even where nothing can be proven; a trip there never ends with "proven". local_address: the
    one of this machine's that calls leave from: some exchanges count them by address, whoever's key they carry.
    """

    name: str
    exchange: str
    markets: frozenset[Market]
    endpoint: str | None = None
    sandbox: bool = False
    api_key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    reference_currency: str = "USDT"
    options: Mapping[str, Any] = field(default_factory=lambda: NOTHING, repr=False)
    allow_unproven: bool = False
    local_address: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written anywhere."""
        return tuple(secret for secret in (self.api_key, self.secret, self.password) if secret)

    @property
    def fingerprint(self) -> str:
        """Names the account without revealing its key."""
        return hashlib.sha256(f"{self.exchange}\n{self.api_key}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Wallet:
    """Where a derivatives account states its balance without unrealised profit.

    rows: the names that lead to the list of assets in the raw reply; asset, amount, debt: fields of a row.
    """

    rows: tuple[str, ...]
    asset: str
    amount: str
    debt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One exchange. What is not given is left to ccxt, and is weaker.

    exchange: its id in ccxt. options: of the ccxt client.
    dialect: reads it by calls of its own, and streams over sockets of its own; None: by ccxt's unified calls.
    scopes: every slice of its orders, whatever markets are configured; None: one a market, as ccxt lists them.
    parts: what its listings are asked for by parts of (their `each`), where no dialect knows it.
    replies: what its own replies look like, by the last word of the path or the last two, "" for all others; None: as
        at connect.
    lane_width: how many signed calls may be under way at once: one where a nonce must rise, or where nobody knows;
        many where a time is signed.
    pools: its own count of our calls. burst_s: how far calls that none of them counts may run ahead of ccxt's pace.
    probe: how a key is asked whether it may cancel; None: it can't be asked. perp_probe: the same for its
        contracts, on a venue whose keys may do one without the other.
    wallet: where its balance excludes unrealised profit; a perp market needs it, unless a dialect reads it.
    shares_wallet: spot and derivatives have one wallet: asked twice, it would count twice.
    marks_apart: its tickers have neither mark nor bid and ask: marks are asked for by a call of their own.
    deposits_reach_spot: elsewhere a deposit lands in a wallet apart, and would move a baseline that no money reached.
    codes: what its error codes mean. dead_men: its switches. key_audit: how it tells what the key may do.
    unprovable: what may hold or place orders on it that no call lists, one sentence each: a proof names them.
    reduce_params: what makes a market order of ccxt's one that can only reduce; leg_params: the same on an account
        that holds a long and a short of one market apart. ccxt tells the leg by the side of the order.
    closes_margin: whether `reduce_params` make it one that closes a position on margin too, and spares the holding.
    client_id_length: how many letters and digits a client order id may have.
    fills: where it tells what was executed; None: as ccxt lists it.

    Raises ConfigError for half a venue.
    """

    exchange: str
    options: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    dialect: Callable[[VenueSettings, Any], SocketDialect] | None = None
    scopes: tuple[ScopePlan, ...] | None = None
    parts: Mapping[str, Parts] = field(default_factory=lambda: NOTHING)
    replies: Mapping[str, Check] | None = None
    lane_width: int = 1
    pools: Sequence[Pool] = ()
    burst_s: float = 1.0
    probe: Probe | None = None
    perp_probe: Probe | None = None
    wallet: Wallet | None = None
    shares_wallet: bool = False
    marks_apart: bool = False
    deposits_reach_spot: bool = False
    codes: Codes = NO_CODES
    dead_men: tuple[DeadMan, ...] = ()
    key_audit: KeyAudit | None = None
    unprovable: tuple[str, ...] = ()
    reduce_params: Mapping[str, Any] = field(default_factory=lambda: _REDUCE_ONLY)
    leg_params: Mapping[str, Any] = field(default_factory=lambda: _LEG_ONLY)
    closes_margin: bool = False
    client_id_length: int = 32
    fills: FillSource | None = None

    def __post_init__(self) -> None:
        wrong = next(filter(None, (_half(self), _wrong_scopes(self.scopes), _wrong_numbers(self))), None)
        if wrong is not None:
            raise ConfigError(f"the venue {self.exchange!r} is not whole: {wrong}")


def unprovable(venue: Venue) -> tuple[str, ...]:
    """What no proof covers on this venue, one sentence each."""
    return (_NOT_COVERED,) if venue.scopes is None else venue.unprovable


def _half(venue: Venue) -> str | None:
    if not venue.exchange:
        return "it has no name"
    if venue.dialect is not None and venue.scopes is None:
        return "a dialect of its own, and no scopes: its orders could not be proven gone"
    if venue.dialect is not None and venue.replies is None:
        return "a dialect of its own, and no replies: an odd one would be believed"
    if venue.replies is not None and not all(map(callable, venue.replies.values())):
        return "a row of its replies is no check"
    if venue.replies is not None and "" not in venue.replies:
        return 'its replies lack the row "": one without a row would be believed'
    unknown = _unknown_parts(venue)
    if unknown:
        return f"listings by {', '.join(sorted(unknown))}, and nothing that tells those parts"
    is_read = venue.dialect is not None or venue.wallet is not None
    if not is_read and any(plan.scope.markets & PERP_MARKETS for plan in venue.scopes or ()):
        return "scopes of a perp market, and no wallet: unrealised profit would count twice"
    return None


def _unknown_parts(venue: Venue) -> set[str]:
    """What a listing or a cancel is asked for by parts of, and nobody knows; a count that nobody takes is as bad."""
    if venue.dialect is not None:
        return set()
    calls = [plan.calls for plan in venue.scopes or () if plan.calls is not None]
    wanted = {each for own in calls for each in (own.listing.each, *(cancel.each for cancel in own.cancels))}
    counted = {own.listing.counted for own in calls}
    return {name for name in (wanted - venue.parts.keys()) | counted if name is not None}


def _wrong_scopes(scopes: tuple[ScopePlan, ...] | None) -> str | None:
    if scopes is None:
        return None
    names = [plan.scope.name for plan in scopes]
    if not names:
        return "it has no scope: nothing would be listed, and that would look like a proof"
    twice = next((name for name in names if names.count(name) > 1), None)
    return None if twice is None else f"it has two scopes named {twice!r}"


def _wrong_numbers(venue: Venue) -> str | None:
    if venue.lane_width < 1:
        return f"a lane of width {venue.lane_width} lets no call through"
    if any(pool.decay_per_s <= 0 or pool.for_urgent + pool.for_sweep >= pool.ceiling for pool in venue.pools):
        return "a counter that never falls, or leaves nothing to ordinary calls"
    return "calls can't run behind the pace" if venue.burst_s < 0 else None
