"""All venues together: what is held, and what it is worth as an interval.

Holdings are kept by venue *and* asset: two venues holding USDT add up. A component that was not
confirmed in time counts as its last value +- `stale_band` of its gross value, so one dead small venue
neither blinds the guard nor hides a crash elsewhere. Every update costs the same, however many
holdings there are (see valuation.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.model.events import (
    BalancesSeen,
    Kind,
    Position,
    PositionsSeen,
    Price,
    PricesSeen,
    Source,
    StreamConfirmed,
)
from risk_daemon.model.units import ZERO, finite, fixed, plain
from risk_daemon.portfolio.account import ACCOUNT_KINDS, NEVER, Account, Change
from risk_daemon.portfolio.prices import Mark, PriceBook
from risk_daemon.portfolio.quotes import Pair, Quote
from risk_daemon.portfolio.settings import PortfolioSettings
from risk_daemon.portfolio.valuation import Valuation

__all__ = ["Equity", "PortfolioManager", "PortfolioSettings", "PortfolioSummary"]

DEFAULT_VENUE = "default"

# Prices of the last run stand in until a venue gives one: always stale, older than any other.
LAST_RUN = "last run"

# Less than this part of the equity unknown: it is trusted. The fees of a busy minute are.
TRUSTED_WIDTH = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Equity:
    """The portfolio's worth in the reference currency: what it is if nothing changed unseen, and its interval."""

    value: Decimal
    low: Decimal
    high: Decimal

    @property
    def is_trusted(self) -> bool:
        """Whether next to nothing is unknown."""
        return self.high is self.low or self.high - self.low <= abs(self.value) * TRUSTED_WIDTH


@dataclass(frozen=True, slots=True)
class PortfolioSummary:
    """Figures for people, in the reference currency; `pnl_percent` is in percent. Net of flows."""

    initial_capital: Decimal
    current_value: Decimal
    total_pnl: Decimal
    pnl_percent: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    net_flows: Decimal
    reference_currency: str


class PortfolioManager:
    """Keeps the books. Not thread-safe.

    initial_capital: what losses are measured from, in `reference`; None until it is known. venues: those whose
    balances must be told before the worth is known; without them, the first balance of any is all there is.
    """

    def __init__(
        self,
        initial_capital: Decimal | float | str | None = None,
        reference: str = "USDT",
        settings: PortfolioSettings | None = None,
        *,
        venues: Iterable[str] = (),
    ) -> None:
        self.settings = settings or PortfolioSettings()
        self._awaited = tuple(venues)
        self.reference = reference
        self.initial_capital = None if initial_capital is None else finite(initial_capital)
        self.net_flows = ZERO
        self.prices = PriceBook(
            reference,
            price_stale_s=self.settings.stale_s[Kind.PRICES],
            stale_by_venue=self.settings.price_stale_s_by_venue,
            pegs=self.settings.pegs,
            settle_s=self.settings.settle_legs_s,
        )
        self._tree = Valuation(reference, self.settings.stale_band)
        self._accounts: dict[str, Account] = {}
        self._plan_version = self.prices.plan_version
        self._maybe_unpriced: set[str] = set()
        for venue in self.settings.expected:
            self._account(venue)
        for hub in self.prices.hubs():
            self._hang(hub)

    # --- for a program of one's own ----------------------------------------------------------------

    def update_balance(self, asset: str, amount: Decimal | float | str, venue: str = DEFAULT_VENUE) -> None:
        """Set how much of `asset` the venue holds (free + locked, minus debt). Raises ValueError if not finite."""
        self.apply(BalancesSeen(venue, 0.0, Source.STREAM, {asset: finite(amount)}, complete=False))

    def update_price(
        self, base: str, price: Decimal | float | str, quote: str | None = None, venue: str = DEFAULT_VENUE
    ) -> None:
        """Set the price of one `base` in `quote` (default: the reference currency). Raises ValueError if not > 0."""
        other = quote or self.reference
        self.apply(PricesSeen(venue, 0.0, Source.STREAM, (Price(f"{base}/{other}", base, other, _positive(price)),)))

    def update_position(
        self, position: Position, mark: Decimal | float | str | None = None, venue: str = DEFAULT_VENUE
    ) -> None:
        """Set a position (quantity 0 closes it) and, if given, its mark. Raises ValueError if the mark is not > 0."""
        if mark is not None:
            price = Price(position.symbol, position.underlying, position.settle, _positive(mark), converts=False)
            self.apply(PricesSeen(venue, 0.0, Source.STREAM, (price,)))
        self.apply(PositionsSeen(venue, 0.0, Source.STREAM, (position,), complete=False))

    def summary(self) -> PortfolioSummary:
        """The figures for people. Raises ValueError while no initial capital is set."""
        if self.initial_capital is None:
            raise ValueError("no initial capital is set")
        value, unrealized = self.equity, self.unrealized_pnl()
        paid_in = self.initial_capital + self.net_flows
        total = value - paid_in
        return PortfolioSummary(
            initial_capital=self.initial_capital,
            current_value=value,
            total_pnl=total,
            pnl_percent=total / paid_in * 100 if paid_in > 0 else ZERO,
            realized_pnl=total - unrealized,
            unrealized_pnl=unrealized,
            net_flows=self.net_flows,
            reference_currency=self.reference,
        )

    # --- what it is worth --------------------------------------------------------------------------

    @property
    def equity(self) -> Decimal:
        """Everything that has a price, in the reference currency."""
        return self._tree.value

    @property
    def gross(self) -> Decimal:
        """The same without signs, positions by their notional: what prices could move, and more."""
        return self._tree.root.gross

    def interval(self) -> Equity:
        """The equity with its interval."""
        value, doubt = self._tree.value, self._tree.doubt
        return Equity(value, value - doubt, value + doubt) if doubt else Equity(value, value, value)

    def unrealized_pnl(self) -> Decimal:
        """Unrealised profit of all positions, in the reference currency. Costs one pass over the positions."""
        return fixed(sum((account.unrealized_pnl() for account in self._accounts.values()), ZERO))

    def venue_equity(self, venue: str) -> Decimal:
        """One venue's worth in the reference currency. Costs one pass over its holdings."""
        account = self._accounts.get(venue)
        return ZERO if account is None else fixed(account.holdings_value() + account.unrealized_pnl())

    def venue_interval(self, venue: str) -> Equity | None:
        """One venue's worth with its interval; None before it was seen whole. Costs one pass over its holdings."""
        account, expected = self._accounts.get(venue), self.settings.expected.get(venue, frozenset())
        if account is None or not all(account.is_known(kind) for kind in expected & set(ACCOUNT_KINDS)):
            return None
        value, doubt = self.venue_equity(venue), fixed(account.doubt())
        return Equity(value, value - doubt, value + doubt)

    def position_pnl(self, venue: str, symbol: str) -> Equity | None:
        """Unrealised profit of one position with its interval, in the reference currency. None without any mark."""
        position = self._accounts[venue].positions[symbol]
        rate, sums = self.rate(position.settle), self._accounts[venue].component(symbol)
        if rate is None or self.prices.mark(venue, symbol) is None:
            return None
        value, doubt = fixed(sums.value * rate), fixed(sums.doubt * rate)
        if self._tree.is_stale(position.settle):
            doubt += abs(value) * self.settings.stale_band
        return Equity(value, value - doubt, value + doubt)

    def rate(self, asset: str) -> Decimal | None:
        """Reference currency for one `asset`: 0 for an ignored one, None without a price path."""
        return ZERO if asset in self.settings.ignore_assets else self._tree.rate_to_reference(asset)

    def is_stale(self, asset: str) -> bool:
        """Whether the price of an asset is older than it may be. One without a price is not stale but unknown."""
        return self._tree.is_stale(asset)

    # --- what is known -----------------------------------------------------------------------------

    def venues(self) -> tuple[str, ...]:
        return tuple(self._accounts)

    def amounts(self, venue: str) -> Mapping[str, Decimal]:
        """Holdings of one venue by asset."""
        return dict(self._accounts[venue].amounts) if venue in self._accounts else {}

    def positions(self, venue: str) -> tuple[Position, ...]:
        """Open positions of one venue."""
        return tuple(self._accounts[venue].positions.values()) if venue in self._accounts else ()

    def held_assets(self) -> frozenset[str]:
        """Every asset that must be priced: held somewhere, or what a position is settled in."""
        held = frozenset().union(*(account.assets() for account in self._accounts.values()))
        return held - {self.reference}

    def unpriced(self) -> tuple[str, ...]:
        """Held assets without a price path."""
        self._maybe_unpriced = {asset for asset in self._maybe_unpriced if not self._tree.is_priced(asset)}
        accounts = self._accounts.values()
        held = (asset for asset in self._maybe_unpriced if any(account.holds(asset) for account in accounts))
        return tuple(sorted(held))

    def missing(self) -> tuple[str, ...]:
        """What stands between us and a first complete picture, in words; empty when nothing does."""
        marks = (f"mark of {symbol} on {venue}" for venue, symbol, mark in self._marks() if mark is None)
        return (*self.unseen(), *marks, *(f"price of {asset}" for asset in self.unpriced()))

    def has_balances(self) -> bool:
        """Whether any venue has told of its balances."""
        return any(map(self._has_balances, self._accounts))

    def unseen(self) -> tuple[str, ...]:
        """Venue and kind of everything expected that was never seen, not in the last run either."""
        silent = (f"{venue} {Kind.BALANCES}" for venue in self._awaited if not self._has_balances(venue))
        unread = (f"{venue} {kind}" for venue, kind in self._expected() if not self._accounts[venue].is_known(kind))
        return (*silent, *unread)

    def unconfirmed(self) -> tuple[str, ...]:
        """Everything expected that was not read whole over REST in this run, and prices remembered or in question."""
        unread = (f"{venue} {kind}" for venue, kind in self._expected() if self.rest_mono(venue, kind) == NEVER)
        stale = sorted(f"fresh price of {asset}" for asset in self.held_assets() if self._tree.is_stale(asset))
        marks = (
            f"fresh mark of {symbol} on {venue}" for venue, symbol, mark in self._marks() if mark and mark.is_stale
        )
        doubted = (f"one word on the price of {symbol} on {venue}" for venue, symbol in self.prices.doubted())
        return (*unread, *stale, *marks, *doubted)

    def rest_mono(self, venue: str, kind: Kind) -> float:
        """When the last complete REST read of `kind` was begun; -inf if there was none."""
        return self._accounts[venue].rest_mono(kind)

    def read_mono(self, venue: str) -> float:
        """When the last REST read of the whole account was begun; -inf if there was none."""
        kinds = self.settings.expected.get(venue, frozenset()) & set(ACCOUNT_KINDS)
        return min((self._accounts[venue].rest_mono(kind) for kind in kinds), default=NEVER)

    def priced_mono(self) -> float:
        """When the oldest price that values a holding or position was asked for over REST; inf if none is needed.

        An answer that contradicts what is in force does not count.
        """
        paths = (self.prices.rest_mono(asset) for asset in self.held_assets())
        marks = [
            self.prices.mark(venue, position.symbol) for venue in self.venues() for position in self.positions(venue)
        ]
        return min((*paths, *(NEVER if mark is None else mark.rest_mono for mark in marks)), default=float("inf"))

    def age_s(self, venue: str, kind: Kind, now_mono: float) -> float | None:
        """Seconds since `kind` of `venue` was last known to hold; None if it never was."""
        if kind is Kind.PRICES:
            return self.prices.age_s(venue, now_mono)
        account = self._accounts.get(venue)
        if account is None or account.confirmed_mono(kind) == NEVER:
            return None
        return now_mono - account.confirmed_mono(kind)

    def is_skewed(self, within_s: float) -> bool:
        """Whether legs of one underlying are priced from moments further apart than `within_s` seconds."""
        legs = [
            (self.prices.mark(venue, symbol), self.prices.seen_mono(position.underlying))
            for venue, account in self._accounts.items()
            for symbol, position in account.positions.items()
            if any(position.underlying in other.amounts for other in self._accounts.values())
        ]
        return any(mark and seen is not None and abs(mark.seen_mono - seen) > within_s for mark, seen in legs)

    def _has_balances(self, venue: str) -> bool:
        return venue in self._accounts and self._accounts[venue].is_known(Kind.BALANCES)

    def _expected(self) -> list[tuple[str, Kind]]:
        kinds = ((venue, kinds) for venue, kinds in self.settings.expected.items())
        return [(venue, kind) for venue, expected in kinds for kind in ACCOUNT_KINDS if kind in expected]

    def _marks(self) -> list[tuple[str, str, Quote | None]]:
        """Venue, symbol and mark of every position."""
        accounts = self._accounts.items()
        return [(venue, symbol, self.prices.mark(venue, symbol)) for venue, a in accounts for symbol in a.positions]

    # --- what comes in -----------------------------------------------------------------------------

    def apply(self, seen: BalancesSeen | PositionsSeen | PricesSeen | StreamConfirmed) -> Change:
        """Take one frame in, whole."""
        match seen:
            case PricesSeen():
                self._reprice(*self.prices.apply(seen))
                return Change(seen.venue, found=self.prices.found(seen.venue))
            case BalancesSeen():
                return self._account(seen.venue).apply_balances(seen)
            case PositionsSeen():
                return self._account(seen.venue).apply_positions(seen)
            case StreamConfirmed(kind=Kind.PRICES):
                self.prices.confirm_stream(seen.venue, seen.mono)
            case StreamConfirmed() if seen.venue in self._accounts and seen.kind in ACCOUNT_KINDS:
                self._accounts[seen.venue].confirm(seen.kind, seen.mono)
        return Change(seen.venue)

    def stream_lost(self, venue: str, kind: Kind | None) -> None:
        """A stream ended: from now on only REST confirms. None means all of the venue's."""
        if kind in (None, Kind.PRICES):
            self.prices.stream_lost(venue)
        if venue in self._accounts and (kind is None or kind in ACCOUNT_KINDS):
            self._accounts[venue].stream_lost(kind)

    def refresh(self, now_mono: float) -> None:
        """Let time pass: what was not confirmed in time becomes an interval."""
        self._reprice(*self.prices.expire(now_mono))
        for account in self._accounts.values():
            account.refresh(now_mono)

    def reconfigure(self, settings: PortfolioSettings, now_mono: float) -> None:
        """Other ages. Whatever else is in the settings is to be as it was."""
        self.settings = settings
        self.prices.set_ages(settings.stale_s[Kind.PRICES], settings.price_stale_s_by_venue)
        for account in self._accounts.values():
            account.settings = settings
        self.refresh(now_mono)

    def _account(self, venue: str) -> Account:
        if venue not in self._accounts:
            self._accounts[venue] = Account(venue, self.settings, self._tree, self.prices, self._place)
        return self._accounts[venue]

    # --- prices ------------------------------------------------------------------------------------

    def _reprice(self, pairs: Iterable[Pair], marks: Iterable[Mark]) -> None:
        if self.prices.plan_version != self._plan_version:
            self._rehang()
        hubs, tree = self.prices.hubs(), self._tree
        for pair in pairs:
            for asset, above in (pair, pair[::-1]):  # only a hub can be what an asset hangs below
                if above in hubs and asset != self.reference and (asset in hubs or tree.has(asset)):
                    self._hang(asset)
        for venue, symbol in marks:
            account = self._accounts.get(venue)
            if account is not None and symbol in account.positions:
                account.revalue(symbol)

    def _rehang(self) -> None:
        """Paths over the hubs changed: take the moved hubs off first, so that no loop can form."""
        self._plan_version = self.prices.plan_version
        for hub in self.prices.hubs():
            step = self.prices.step(hub)
            if step is not None and self._tree.parent(hub) not in (None, step.parent):
                self._tree.set_rate(hub, None, None, stale=False)
        for asset in self._tree.assets():
            self._hang(asset)

    def _place(self, asset: str) -> None:
        """Give a new asset its place in the tree."""
        self._hang(asset)
        if not self._tree.is_priced(asset):
            self._maybe_unpriced.add(asset)

    def _hang(self, asset: str) -> None:
        """Hang the asset by its present path, what it hangs by first. A known path is never given up for none."""
        step = self.prices.step(asset)
        if step is None:
            return
        if step.parent != self.reference and not self._tree.is_priced(step.parent):
            self._hang(step.parent)
        self._tree.set_rate(asset, step.parent, step.rate, stale=step.stale, doubt=step.doubt)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Holdings, positions and the prices that value them, as JSON-able data."""
        rates = {asset: self._tree.rate_to_reference(asset) for asset in sorted(self.held_assets())}
        return {
            "net_flows": plain(self.net_flows),
            "rates": {asset: plain(rate) for asset, rate in rates.items() if rate is not None},
            "venues": {venue: account.snapshot() for venue, account in self._accounts.items()},
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the last known picture as stale: every part is an interval until a venue confirms it."""
        self.net_flows = finite(data["net_flows"])
        rates = tuple(Price(f"{a}/{self.reference}", a, self.reference, finite(r)) for a, r in data["rates"].items())
        self.apply(PricesSeen(LAST_RUN, NEVER, Source.REST, rates))
        for venue, saved in data["venues"].items():
            if venue in self.settings.expected:
                self._restore_marks(venue, saved)
                self._accounts[venue].restore(saved)
        self.refresh(0.0)

    def _restore_marks(self, venue: str, saved: Mapping[str, Any]) -> None:
        marks = saved["marks"]
        prices = tuple(
            Price(row["symbol"], row["underlying"], row["settle"], finite(marks[row["symbol"]]), converts=False)
            for row in saved["positions"]
            if row["symbol"] in marks
        )
        self.apply(PricesSeen(venue, NEVER, Source.REST, prices))


def _positive(price: Decimal | float | str) -> Decimal:
    value = finite(price)
    if value <= 0:
        raise ValueError(f"a price must be above zero, got {price!r}")
    return value
