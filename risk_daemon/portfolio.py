"""Holdings and positions of every venue, and what they are worth together, as an interval.

Holdings are kept by venue *and* asset: two venues holding USDT add up. A component that was not
confirmed in time counts as its last value +- `stale_band` of its gross value, so one dead small venue
neither blinds the guard nor hides a crash elsewhere. Every update costs the same, however many
holdings there are (see valuation.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from risk_daemon.events import BalancesSeen, Kind, Position, PositionsSeen, Price, PricesSeen, Source, StreamConfirmed
from risk_daemon.prices import Mark, Pair, PriceBook
from risk_daemon.units import ONE, ZERO, finite, plain
from risk_daemon.valuation import NOTHING, Sums, Valuation, fixed

DEFAULT_VENUE = "default"
NEVER = float("-inf")

# A trade's two balance rows, or a position's close and its profit, arrive within this time of each other.
LEGS_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class PortfolioSettings:
    """What counts as fresh, in seconds; `expected` names the kinds each venue must give before start."""

    expected: Mapping[str, frozenset[Kind]] = field(default_factory=dict)
    stale_s: Mapping[Kind, float] = field(
        default_factory=lambda: {Kind.BALANCES: 45.0, Kind.POSITIONS: 45.0, Kind.PRICES: 30.0}
    )
    stale_s_by_venue: Mapping[str, Mapping[Kind, float]] = field(default_factory=dict)
    stale_band: Decimal = Decimal("0.2")
    ignore_assets: frozenset[str] = frozenset()
    dust_below: Decimal = ONE
    pegs: Mapping[str, Decimal] = field(default_factory=dict)

    def stale_after_s(self, venue: str, kind: Kind) -> float:
        """Age in seconds after which `kind` of `venue` is stale."""
        return self.stale_s_by_venue.get(venue, {}).get(kind, self.stale_s[kind])


@dataclass(frozen=True, slots=True)
class Equity:
    """The portfolio's worth in the reference currency: what it is if nothing changed unseen, and its interval."""

    value: Decimal
    low: Decimal
    high: Decimal

    @property
    def is_trusted(self) -> bool:
        """Whether nothing is unknown."""
        return self.low == self.high


@dataclass(frozen=True, slots=True)
class Change:
    """What one input did. moved: change of holdings and positions at constant prices, in the reference currency."""

    venue: str | None = None
    moved: Decimal = ZERO
    holdings: bool = False
    prices: bool = False
    unpriced: tuple[str, ...] = ()


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


@dataclass(slots=True)
class _Account:
    """One venue's holdings and positions, with when each was last known to hold."""

    amounts: dict[str, Decimal] = field(default_factory=dict)
    row_mono: dict[str, float] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    components: dict[str, Sums] = field(default_factory=dict)
    confirmed: dict[Kind, float] = field(default_factory=dict)
    rest_mono: dict[Kind, float] = field(default_factory=dict)
    stale: dict[Kind, bool] = field(default_factory=lambda: {Kind.BALANCES: True, Kind.POSITIONS: True})
    restored: bool = False
    falls: deque[tuple[float, Decimal]] = field(default_factory=deque)
    unpriced_rise: dict[str, float] = field(default_factory=dict)
    covers: dict[str, Decimal] = field(default_factory=dict)


class PortfolioManager:
    """Keeps the books. Not thread-safe.

    initial_capital: what losses are measured from, in `reference`; None until it is known.
    """

    def __init__(
        self,
        initial_capital: Decimal | float | str | None = None,
        reference: str = "USDT",
        settings: PortfolioSettings | None = None,
    ) -> None:
        self.settings = settings or PortfolioSettings()
        self.reference = reference
        self.initial_capital = None if initial_capital is None else finite(initial_capital)
        self.net_flows = ZERO
        self.prices = PriceBook(
            reference,
            price_stale_s=self.settings.stale_s[Kind.PRICES],
            stale_by_venue={
                v: by[Kind.PRICES] for v, by in self.settings.stale_s_by_venue.items() if Kind.PRICES in by
            },
            pegs=self.settings.pegs,
        )
        self._tree = Valuation(reference, self.settings.stale_band)
        self._accounts: dict[str, _Account] = {venue: _Account() for venue in self.settings.expected}
        self._cover = ZERO
        self._plan_version = self.prices.plan_version
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
        value = finite(price)
        if value <= 0:
            raise ValueError(f"the price of {base} must be above zero, got {price!r}")
        other = quote or self.reference
        self.apply(PricesSeen(venue, 0.0, Source.STREAM, (Price(f"{base}/{other}", base, other, value),)))

    def update_position(
        self, position: Position, mark: Decimal | float | str | None = None, venue: str = DEFAULT_VENUE
    ) -> None:
        """Set a position (quantity 0 closes it) and, if given, its mark price."""
        if mark is not None:
            price = Price(position.symbol, position.underlying, position.settle, finite(mark), converts=False)
            self.apply(PricesSeen(venue, 0.0, Source.STREAM, (price,)))
        self.apply(PositionsSeen(venue, 0.0, Source.STREAM, (position,), complete=False))

    def summary(self) -> PortfolioSummary:
        """The figures for people. Raises ValueError while no initial capital is set."""
        if self.initial_capital is None:
            raise ValueError("no initial capital is set")
        value = self._tree.root.value
        paid_in = self.initial_capital + self.net_flows
        total, unrealized = value - paid_in, self.unrealized_pnl()
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
        return self._tree.root.value

    def interval(self) -> Equity:
        """The equity with its interval. What bought an asset without a price may still be there: it widens upward."""
        root = self._tree.root
        return Equity(root.value, root.value - root.doubt, root.value + root.doubt + self._cover)

    def unrealized_pnl(self) -> Decimal:
        """Unrealised profit of all positions, in the reference currency. Costs one pass over the positions."""
        total = ZERO
        for account in self._accounts.values():
            for symbol, sums in account.components.items():
                total += sums.value * self.rate(account.positions[symbol].settle)
        return fixed(total)

    def venue_equity(self, venue: str) -> Decimal:
        """One venue's worth in the reference currency. Costs one pass over its holdings."""
        account = self._accounts.get(venue, _Account())
        total = sum((amount * self.rate(asset) for asset, amount in account.amounts.items()), ZERO)
        pnl = (s.value * self.rate(account.positions[symbol].settle) for symbol, s in account.components.items())
        return fixed(total + sum(pnl, ZERO))

    def rate(self, asset: str) -> Decimal:
        """Reference currency for one `asset`; 0 for an asset that counts nothing (ignored, or without a price)."""
        return self._tree.rate_to_reference(asset) or ZERO

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
        assets = {a for account in self._accounts.values() for a, amount in account.amounts.items() if amount}
        assets |= {p.settle for account in self._accounts.values() for p in account.positions.values()}
        return frozenset(assets - self.settings.ignore_assets - {self.reference})

    def unpriced(self) -> tuple[str, ...]:
        """Held assets without a price path."""
        return tuple(sorted(asset for asset in self.held_assets() if not self._tree.is_priced(asset)))

    def missing(self) -> tuple[str, ...]:
        """What stands between us and a first complete picture, in words; empty when nothing does."""
        gaps = [
            f"{venue} {kind}"
            for venue, kinds in self.settings.expected.items()
            for kind in sorted(kinds & {Kind.BALANCES, Kind.POSITIONS})
            if kind not in self._accounts[venue].confirmed and not self._accounts[venue].restored
        ]
        marks = [
            f"mark of {symbol} on {venue}"
            for venue, account in self._accounts.items()
            for symbol in account.positions
            if self.prices.mark(venue, symbol) is None
        ]
        return (*gaps, *marks, *(f"price of {asset}" for asset in self.unpriced()))

    def unconfirmed(self) -> tuple[str, ...]:
        """Venue and kind of everything expected that no complete REST read has confirmed since start."""
        return tuple(
            f"{venue} {kind}"
            for venue, kinds in self.settings.expected.items()
            for kind in sorted(kinds & {Kind.BALANCES, Kind.POSITIONS})
            if kind not in self._accounts[venue].rest_mono
        )

    def rest_mono(self, venue: str, kind: Kind) -> float:
        """When the last complete REST read of `kind` was begun; -inf if there was none."""
        return self._accounts[venue].rest_mono.get(kind, NEVER)

    def age_s(self, venue: str, kind: Kind, now_mono: float) -> float | None:
        """Seconds since `kind` of `venue` was last known to hold; None if it never was."""
        if kind is Kind.PRICES:
            return self.prices.age_s(venue, now_mono)
        account = self._accounts.get(venue)
        return None if account is None or kind not in account.confirmed else now_mono - account.confirmed[kind]

    # --- what comes in -----------------------------------------------------------------------------

    def apply(self, seen: BalancesSeen | PositionsSeen | PricesSeen | StreamConfirmed) -> Change:
        """Take one frame in, whole."""
        match seen:
            case BalancesSeen():
                return self._apply_balances(seen)
            case PositionsSeen():
                return self._apply_positions(seen)
            case PricesSeen():
                return self._apply_prices(seen)
            case StreamConfirmed():
                self._confirm_stream(seen)
                return Change()

    def stream_lost(self, venue: str, kind: Kind | None) -> None:
        """A stream ended: from now on only REST confirms. None means all of the venue's."""
        if kind in (None, Kind.PRICES):
            self.prices.stream_lost(venue)

    def refresh(self, now_mono: float) -> bool:
        """Let time pass: what was not confirmed in time becomes an interval. True if anything changed."""
        pairs, marks = self.prices.expire(now_mono)
        self._reprice(pairs, marks)
        changed = bool(pairs or marks)
        for venue, account in self._accounts.items():
            for kind, was_stale in account.stale.items():
                confirmed = account.confirmed.get(kind, NEVER)
                stale = now_mono - confirmed > self.settings.stale_after_s(venue, kind)
                if stale is not was_stale:
                    self._set_stale(venue, account, kind, stale)
                    changed = True
        return changed

    def is_skewed(self, within_s: float) -> bool:
        """Whether legs of one underlying are priced from moments further apart than `within_s` seconds."""
        for venue, account in self._accounts.items():
            for symbol, position in account.positions.items():
                mark, seen = self.prices.mark(venue, symbol), self.prices.seen_mono(position.underlying)
                holds_other_leg = any(a.amounts.get(position.underlying) for a in self._accounts.values())
                if mark and seen and holds_other_leg and abs(mark.seen_mono - seen) > within_s:
                    return True
        return False

    # --- balances ----------------------------------------------------------------------------------

    def _apply_balances(self, seen: BalancesSeen) -> Change:
        account = self._accounts.setdefault(seen.venue, _Account())
        if seen.source is Source.REST and seen.requested_mono < account.rest_mono.get(Kind.BALANCES, NEVER):
            return Change(venue=seen.venue)
        known = self._is_known(seen.venue, account, Kind.BALANCES)
        rows = dict(seen.amounts)
        if seen.complete:
            rows = {**dict.fromkeys(account.amounts, ZERO), **rows}
        moved, changed, unpriced = ZERO, False, []
        for asset, amount in rows.items():
            step = self._set_amount(account, asset, fixed(amount), seen.requested_mono)
            if step:
                changed, moved = True, moved + step * self.rate(asset)
                if amount and asset not in self.settings.ignore_assets and not self._tree.is_priced(asset):
                    unpriced.append(asset)
                    self._note_unpriced(account, asset, step, seen.requested_mono)
        self._confirm(seen.venue, account, Kind.BALANCES, seen.requested_mono, seen.source, seen.complete)
        self._note_fall(account, moved, seen.requested_mono)
        return Change(seen.venue, fixed(moved) if known else ZERO, holdings=changed, unpriced=tuple(unpriced))

    def _set_amount(self, account: _Account, asset: str, amount: Decimal, mono: float) -> Decimal:
        """The step the holding made. A reply requested before a stream row never overwrites that row."""
        if mono < account.row_mono.get(asset, NEVER):
            return ZERO
        account.row_mono[asset] = mono
        before = account.amounts.get(asset, ZERO)
        step = amount - before
        if not step and asset in account.amounts:
            return ZERO
        if asset in self.settings.ignore_assets:
            return ZERO
        if not self._tree.has(asset):
            self._hang(asset)
        old, new = self._holding(before, account), self._holding(amount, account)
        self._tree.add(asset, _difference(new, old))
        if amount:
            account.amounts[asset] = amount
        else:
            account.amounts.pop(asset, None)
            self._uncover(account, asset)
        return step

    def _holding(self, amount: Decimal, account: _Account) -> Sums:
        gross = abs(amount)
        return Sums(amount, gross, fixed(gross * self.settings.stale_band) if account.stale[Kind.BALANCES] else ZERO)

    # --- an asset without a price: what it was bought with may still be there ------------------------

    def _note_unpriced(self, account: _Account, asset: str, step: Decimal, mono: float) -> None:
        if step > 0:
            account.unpriced_rise[asset] = mono
            recent = sum((fall for at, fall in account.falls if mono - at <= LEGS_WITHIN_S), ZERO)
            account.falls.clear()
            self._add_cover(account, asset, recent)

    def _note_fall(self, account: _Account, moved: Decimal, mono: float) -> None:
        if moved >= 0:
            return
        for asset, at in account.unpriced_rise.items():
            if mono - at <= LEGS_WITHIN_S and account.amounts.get(asset):
                self._add_cover(account, asset, -moved)
                return
        account.falls.append((mono, -moved))
        while mono - account.falls[0][0] > LEGS_WITHIN_S:
            account.falls.popleft()

    def _add_cover(self, account: _Account, asset: str, amount: Decimal) -> None:
        account.covers[asset] = account.covers.get(asset, ZERO) + amount
        self._cover += amount

    def _uncover(self, account: _Account, asset: str) -> None:
        account.unpriced_rise.pop(asset, None)
        self._cover -= account.covers.pop(asset, ZERO)

    # --- positions ---------------------------------------------------------------------------------

    def _apply_positions(self, seen: PositionsSeen) -> Change:
        account = self._accounts.setdefault(seen.venue, _Account())
        if seen.requested_mono < account.rest_mono.get(Kind.POSITIONS, NEVER):
            return Change(venue=seen.venue)
        known = self._is_known(seen.venue, account, Kind.POSITIONS)
        listed = {p.symbol: p for p in seen.positions}
        closed = [s for s in account.positions if s not in listed] if seen.complete else []
        moved, changed = ZERO, False
        for symbol in closed:
            changed, moved = True, moved + self._drop_position(seen.venue, account, symbol, seen.requested_mono)
        for position in seen.positions:
            if position != account.positions.get(position.symbol):
                changed, moved = True, moved + self._set_position(seen.venue, account, position, seen.requested_mono)
        self._confirm(seen.venue, account, Kind.POSITIONS, seen.requested_mono, seen.source, seen.complete)
        self._note_fall(account, moved, seen.requested_mono)
        return Change(seen.venue, fixed(moved) if known else ZERO, holdings=changed)

    def _set_position(self, venue: str, account: _Account, position: Position, mono: float) -> Decimal:
        before = self._drop_position(venue, account, position.symbol, mono)
        if not position.quantity or mono < account.row_mono.get(position.symbol, NEVER):
            return before
        account.positions[position.symbol] = position
        if not self._tree.has(position.settle):
            self._hang(position.settle)
        return before + self._revalue_position(venue, account, position.symbol)

    def _drop_position(self, venue: str, account: _Account, symbol: str, mono: float) -> Decimal:
        """What leaving out the position moved, in the reference currency."""
        if mono < account.row_mono.get(symbol, NEVER):
            return ZERO
        account.row_mono[symbol] = mono
        position = account.positions.pop(symbol, None)
        if position is None:
            return ZERO
        old = account.components.pop(symbol, NOTHING)
        self._tree.add(position.settle, _difference(NOTHING, old))
        return -old.value * self.rate(position.settle)

    def _revalue_position(self, venue: str, account: _Account, symbol: str) -> Decimal:
        """What valuing the position anew moved, in the reference currency."""
        position = account.positions[symbol]
        old, new = account.components.get(symbol, NOTHING), self._position_sums(venue, account, position)
        if new == old:
            return ZERO
        account.components[symbol] = new
        self._tree.add(position.settle, _difference(new, old))
        return (new.value - old.value) * self.rate(position.settle)

    def _position_sums(self, venue: str, account: _Account, position: Position) -> Sums:
        quote = self.prices.mark(venue, position.symbol)
        mark = position.entry if quote is None else quote.value
        pnl, notional = unrealized(position, mark)
        doubtful = quote is None or quote.stale or account.stale[Kind.POSITIONS]
        return Sums(pnl, notional, fixed(notional * self.settings.stale_band) if doubtful else ZERO)

    # --- prices ------------------------------------------------------------------------------------

    def _apply_prices(self, seen: PricesSeen) -> Change:
        pairs, marks = self.prices.apply(seen)
        self._reprice(pairs, marks)
        return Change(seen.venue, prices=bool(pairs or marks))

    def _reprice(self, pairs: Iterable[Pair], marks: Iterable[Mark]) -> None:
        if self.prices.plan_version != self._plan_version:
            self._rehang()
        for asset in dict.fromkeys(asset for pair in pairs for asset in pair):
            if self._tree.has(asset) or self.prices.is_hub(asset):
                self._hang(asset)
        for venue, symbol in marks:
            account = self._accounts.get(venue)
            if account is not None and symbol in account.positions:
                self._revalue_position(venue, account, symbol)

    def _rehang(self) -> None:
        """Paths over the hubs changed: take the moved hubs off first, so that no loop can form."""
        self._plan_version = self.prices.plan_version
        for hub in self.prices.hubs():
            step = self.prices.step(hub)
            if step is not None and self._tree.parent(hub) not in (None, step.parent):
                self._tree.set_rate(hub, None, None, stale=False)
        for asset in self._tree.assets():
            self._hang(asset)

    def _hang(self, asset: str) -> None:
        """Hang the asset by its present path, what it hangs by first. A known path is never given up for none."""
        step = self.prices.step(asset)
        if step is None:
            return
        if step.parent != self.reference and not self._tree.is_priced(step.parent):
            self._hang(step.parent)
        self._tree.set_rate(asset, step.parent, step.rate, stale=step.stale)
        for account in self._accounts.values():
            if asset in account.covers and self._tree.is_priced(asset):
                self._uncover(account, asset)

    # --- freshness ---------------------------------------------------------------------------------

    def _is_known(self, venue: str, account: _Account, kind: Kind) -> bool:
        """Whether there was a picture before: the first one is no change."""
        return kind in account.confirmed or account.restored or venue not in self.settings.expected

    def _confirm(self, venue: str, account: _Account, kind: Kind, mono: float, source: Source, complete: bool) -> None:
        if not complete and (kind in account.confirmed or venue in self.settings.expected):
            return
        if source is Source.REST:
            account.rest_mono[kind] = max(mono, account.rest_mono.get(kind, NEVER))
        self._confirm_at(venue, account, kind, mono)

    def _confirm_stream(self, seen: StreamConfirmed) -> None:
        if seen.kind is Kind.PRICES:
            self.prices.confirm_stream(seen.venue, seen.mono)
        elif seen.venue in self._accounts and seen.kind in self._accounts[seen.venue].confirmed:
            self._confirm_at(seen.venue, self._accounts[seen.venue], seen.kind, seen.mono)

    def _confirm_at(self, venue: str, account: _Account, kind: Kind, mono: float) -> None:
        account.confirmed[kind] = max(mono, account.confirmed.get(kind, NEVER))
        if account.stale[kind]:
            self._set_stale(venue, account, kind, stale=False)

    def _set_stale(self, venue: str, account: _Account, kind: Kind, stale: bool) -> None:
        before = {asset: self._holding(amount, account) for asset, amount in account.amounts.items()}
        account.stale[kind] = stale
        if kind is Kind.BALANCES:
            for asset, old in before.items():
                self._tree.add(asset, _difference(self._holding(account.amounts[asset], account), old))
        for symbol in account.positions:
            self._revalue_position(venue, account, symbol)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Holdings, positions and the prices that value them, as JSON-able data."""
        rates = {a: self._tree.rate_to_reference(a) for a in self.held_assets()}
        return {
            "net_flows": plain(self.net_flows),
            "rates": {asset: plain(rate) for asset, rate in rates.items() if rate is not None},
            "venues": {venue: self._account_snapshot(venue, account) for venue, account in self._accounts.items()},
        }

    def _account_snapshot(self, venue: str, account: _Account) -> dict[str, Any]:
        marks = {symbol: self.prices.mark(venue, symbol) for symbol in account.positions}
        return {
            "known": account.restored or Kind.BALANCES in account.confirmed,
            "amounts": {asset: plain(amount) for asset, amount in account.amounts.items()},
            "positions": [_position_to_json(p) for p in account.positions.values()],
            "marks": {symbol: plain(mark.value) for symbol, mark in marks.items() if mark is not None},
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take the last known picture as stale: every part is an interval until a venue confirms it."""
        self.net_flows = finite(data["net_flows"])
        rates = tuple(Price(f"{a}/{self.reference}", a, self.reference, finite(r)) for a, r in data["rates"].items())
        self.apply(PricesSeen("last run", NEVER, Source.REST, rates))
        for venue, saved in data["venues"].items():
            if venue in self._accounts and saved["known"]:
                self._restore_account(venue, saved)
        self.refresh(0.0)

    def _restore_account(self, venue: str, saved: Mapping[str, Any]) -> None:
        positions = tuple(_position_from_json(p) for p in saved["positions"])
        marks = tuple(
            Price(p.symbol, p.underlying, p.settle, finite(saved["marks"][p.symbol]), converts=False)
            for p in positions
            if p.symbol in saved["marks"]
        )
        amounts = {asset: finite(amount) for asset, amount in saved["amounts"].items()}
        self.apply(PricesSeen(venue, NEVER, Source.REST, marks))
        self.apply(BalancesSeen(venue, NEVER, Source.STREAM, amounts, complete=True))
        self.apply(PositionsSeen(venue, NEVER, Source.STREAM, positions, complete=True))
        account = self._accounts[venue]
        account.restored = True
        account.confirmed.clear()
        for kind in (Kind.BALANCES, Kind.POSITIONS):
            self._set_stale(venue, account, kind, stale=True)


def unrealized(position: Position, mark: Decimal) -> tuple[Decimal, Decimal]:
    """Unrealised profit and notional of a position, both in its settle asset.

    Linear: quantity x size x (mark - entry). Inverse: quantity x size x (1/entry - 1/mark).
    """
    size = position.quantity * position.contract_size
    if position.inverse:
        return fixed(size * (ONE / position.entry - ONE / mark)), fixed(abs(size) / mark)
    return fixed(size * (mark - position.entry)), fixed(abs(size) * mark)


def _difference(new: Sums, old: Sums) -> Sums:
    return Sums(new.value - old.value, new.gross - old.gross, new.doubt - old.doubt)


def _position_to_json(p: Position) -> dict[str, Any]:
    return {
        "symbol": p.symbol,
        "quantity": plain(p.quantity),
        "entry": plain(p.entry),
        "settle": p.settle,
        "underlying": p.underlying,
        "contract_size": plain(p.contract_size),
        "inverse": p.inverse,
    }


def _position_from_json(data: Mapping[str, Any]) -> Position:
    return Position(
        symbol=data["symbol"],
        quantity=finite(data["quantity"]),
        entry=finite(data["entry"]),
        settle=data["settle"],
        underlying=data["underlying"],
        contract_size=finite(data["contract_size"]),
        inverse=data["inverse"],
    )
