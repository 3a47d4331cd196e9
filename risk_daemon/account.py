"""One venue's holdings and positions: what it holds, since when that is known, what a new reading moved.

A reading is evidence about the moment it was requested: an older one never overwrites a newer row.
What was not confirmed in time is stale: it keeps its last value, and doubt `stale_band` wide on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from risk_daemon.events import BalancesSeen, Kind, Position, PositionsSeen, Source
from risk_daemon.prices import PriceBook
from risk_daemon.unexplained import POSITIONS, AssetMove
from risk_daemon.units import EXACT, ONE, ZERO, finite, fixed, plain
from risk_daemon.valuation import NOTHING, Sums, Valuation

NEVER = float("-inf")
ACCOUNT_KINDS = (Kind.BALANCES, Kind.POSITIONS)


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
class Change:
    """What one reading did. moves: changes of holdings and positions at constant prices."""

    venue: str
    moves: tuple[AssetMove, ...] = ()
    holdings: bool = False

    @property
    def moved(self) -> Decimal:
        """The worth of all of them, in the reference currency; what has no price counts nothing."""
        return sum((move.value for move in self.moves if move.value is not None), ZERO)


@dataclass(slots=True)
class _Freshness:
    """When one kind of reading was last known to hold, and last read whole over REST."""

    confirmed_mono: float = NEVER
    rest_mono: float = NEVER
    is_stale: bool = True


class Account:
    """The books of one venue. Its components are kept in the portfolio's tree.

    hang: gives an asset its place in the tree.
    """

    def __init__(
        self,
        venue: str,
        settings: PortfolioSettings,
        tree: Valuation,
        prices: PriceBook,
        hang: Callable[[str], None],
    ) -> None:
        self.venue = venue
        self.amounts: dict[str, Decimal] = {}
        self.positions: dict[str, Position] = {}
        self._settings = settings
        self._tree = tree
        self._prices = prices
        self._hang = hang
        self._components: dict[str, Sums] = {}
        self._amount_mono: dict[str, float] = {}
        self._position_mono: dict[str, float] = {}
        self._freshness = {kind: _Freshness() for kind in ACCOUNT_KINDS}
        self._restored: frozenset[Kind] = frozenset()

    # --- what is asked -----------------------------------------------------------------------------

    def is_known(self, kind: Kind) -> bool:
        """Whether there is a picture of this kind, if only from the last run."""
        return self._freshness[kind].confirmed_mono > NEVER or kind in self._restored

    def confirmed_mono(self, kind: Kind) -> float:
        """When `kind` was last known to hold; -inf if never in this run."""
        return self._freshness[kind].confirmed_mono

    def rest_mono(self, kind: Kind) -> float:
        """When the last complete REST read of `kind` was begun; -inf if there was none."""
        return self._freshness[kind].rest_mono

    def is_stale(self, kind: Kind) -> bool:
        return self._freshness[kind].is_stale

    def holds(self, asset: str) -> bool:
        """Whether the asset must be priced: it is held, or some position is settled in it."""
        return asset in self.amounts or any(position.settle == asset for position in self.positions.values())

    def assets(self) -> set[str]:
        """Every asset that must be priced: what is held, and what positions are settled in."""
        return set(self.amounts) | {position.settle for position in self.positions.values()}

    def holdings_value(self) -> Decimal:
        """Holdings in the reference currency. Costs one pass over them."""
        return sum((EXACT.multiply(amount, self._rate(asset)) for asset, amount in self.amounts.items()), ZERO)

    def unrealized_pnl(self) -> Decimal:
        """Unrealised profit in the reference currency. Costs one pass over the positions."""
        return sum((sums.value * self._settle_rate(symbol) for symbol, sums in self._components.items()), ZERO)

    def component(self, symbol: str) -> Sums:
        """Unrealised profit, notional and doubt of a position, in its settle asset."""
        return self._components[symbol]

    def doubt(self) -> Decimal:
        """How far its worth may be from what it seems, either way. Costs one pass over holdings and positions."""
        band = self._settings.stale_band
        is_unsure = self._freshness[Kind.BALANCES].is_stale
        holdings = sum(
            (
                EXACT.multiply(abs(amount) * band, self._rate(asset))
                for asset, amount in self.amounts.items()
                if is_unsure or self._tree.is_stale(asset)
            ),
            ZERO,
        )
        return holdings + sum(
            (sums.doubt * self._settle_rate(symbol) for symbol, sums in self._components.items()), ZERO
        )

    # --- what comes in -----------------------------------------------------------------------------

    def apply_balances(self, seen: BalancesSeen) -> Change:
        """Take a frame in, whole."""
        if seen.source is Source.REST and seen.requested_mono < self.rest_mono(Kind.BALANCES):
            return Change(self.venue)
        was_known = self.is_known(Kind.BALANCES)
        rows = {**dict.fromkeys(self.amounts, ZERO), **seen.amounts} if seen.complete else seen.amounts
        moves = []
        for asset, amount in rows.items():
            before = self.amounts.get(asset, ZERO)
            if self._set_amount(asset, fixed(amount), seen.requested_mono):
                moves.append(self._move(asset, before))
        self._confirm_reading(Kind.BALANCES, seen.requested_mono, seen.source, complete=seen.complete)
        return Change(self.venue, tuple(moves) if was_known else (), holdings=bool(moves))

    def apply_positions(self, seen: PositionsSeen) -> Change:
        """Take a frame in, whole."""
        if seen.requested_mono < self.rest_mono(Kind.POSITIONS):
            return Change(self.venue)
        was_known = self.is_known(Kind.POSITIONS)
        new = {position.symbol: position for position in seen.positions}
        rows: dict[str, Position | None] = {**dict.fromkeys(self.positions), **new} if seen.complete else {**new}
        moved, changed = ZERO, False
        for symbol, position in rows.items():
            before = self.positions.get(symbol)
            moved += self._set_position(symbol, position, seen.requested_mono)
            changed = changed or self.positions.get(symbol) != before
        self._confirm_reading(Kind.POSITIONS, seen.requested_mono, seen.source, complete=seen.complete)
        worth = fixed(moved)
        moves = (AssetMove(asset=POSITIONS, units=worth, value=worth),) if worth and was_known else ()
        return Change(self.venue, moves, holdings=changed)

    def confirm(self, kind: Kind, mono: float) -> None:
        """What is known of `kind` still held at `mono`."""
        freshness = self._freshness[kind]
        if freshness.confirmed_mono == NEVER:
            return
        freshness.confirmed_mono = max(mono, freshness.confirmed_mono)
        self._set_stale(kind, stale=False)

    def refresh(self, now_mono: float) -> None:
        """Let time pass: what was not confirmed in time becomes doubtful."""
        for kind, freshness in self._freshness.items():
            age_s = now_mono - freshness.confirmed_mono
            self._set_stale(kind, stale=age_s > self._settings.stale_after_s(self.venue, kind))

    def revalue(self, symbol: str) -> Decimal:
        """Value a position by its present mark; returns what that moved, in the reference currency."""
        position = self.positions[symbol]
        old, new = self._components.get(symbol, NOTHING), self._position_sums(position)
        if new == old:
            return ZERO
        self._components[symbol] = new
        change = new.minus(old)
        self._tree.add(position.settle, change)
        return change.value * self._settle_rate(symbol)

    # --- balances ----------------------------------------------------------------------------------

    def _set_amount(self, asset: str, amount: Decimal, mono: float) -> bool:
        """Whether the holding changed."""
        if mono < self._amount_mono.get(asset, NEVER):
            return False
        self._amount_mono[asset] = mono
        before = self.amounts.get(asset, ZERO)
        if amount == before or asset in self._settings.ignore_assets:
            return False
        if not self._tree.has(asset):
            self._hang(asset)
        self._tree.add(asset, self._holding(amount).minus(self._holding(before)))
        if amount:
            self.amounts[asset] = amount
        else:
            del self.amounts[asset]
        return True

    def _move(self, asset: str, before: Decimal) -> AssetMove:
        """The change of a holding from `before`, with its worth."""
        units = EXACT.subtract(self.amounts.get(asset, ZERO), before)
        rate = self._tree.rate_to_reference(asset)
        return AssetMove(asset=asset, units=units, value=None if rate is None else fixed(EXACT.multiply(units, rate)))

    def _holding(self, amount: Decimal) -> Sums:
        gross = abs(amount)
        is_stale = self._freshness[Kind.BALANCES].is_stale
        return Sums(amount, gross, fixed(gross * self._settings.stale_band) if is_stale else ZERO)

    def _rate(self, asset: str) -> Decimal:
        return self._tree.rate_to_reference(asset) or ZERO

    # --- positions ---------------------------------------------------------------------------------

    def _set_position(self, symbol: str, position: Position | None, mono: float) -> Decimal:
        """What the new state of the position moved, in the reference currency. None or quantity 0: it is closed."""
        if mono < self._position_mono.get(symbol, NEVER):
            return ZERO
        self._position_mono[symbol] = mono
        old = self.positions.get(symbol)
        if position == old:
            return ZERO
        moved = ZERO
        if old is not None:
            moved -= self._components[symbol].value * self._settle_rate(symbol)
            self._tree.add(old.settle, NOTHING.minus(self._components.pop(symbol)))
            del self.positions[symbol]
        if position is not None and position.quantity:
            if not self._tree.has(position.settle):
                self._hang(position.settle)
            self.positions[symbol], self._components[symbol] = position, NOTHING
            moved += self.revalue(symbol)
        return moved

    def _position_sums(self, position: Position) -> Sums:
        quote = self._prices.mark(self.venue, position.symbol)
        pnl, notional = unrealized(position, position.entry if quote is None else quote.value)
        doubtful = quote is None or quote.is_stale or self._freshness[Kind.POSITIONS].is_stale
        return Sums(pnl, notional, fixed(notional * self._settings.stale_band) if doubtful else ZERO)

    def _settle_rate(self, symbol: str) -> Decimal:
        return self._rate(self.positions[symbol].settle)

    # --- freshness ---------------------------------------------------------------------------------

    def _confirm_reading(self, kind: Kind, mono: float, source: Source, *, complete: bool) -> None:
        """Only a complete reading says that the rest still holds, too."""
        freshness = self._freshness[kind]
        is_guarded = self.venue in self._settings.expected
        if not complete and (is_guarded or freshness.confirmed_mono > NEVER):
            return
        if source is Source.REST:
            freshness.rest_mono = max(mono, freshness.rest_mono)
        freshness.confirmed_mono = max(mono, freshness.confirmed_mono)
        self._set_stale(kind, stale=False)

    def _set_stale(self, kind: Kind, *, stale: bool) -> None:
        if self._freshness[kind].is_stale is stale:
            return
        before = {asset: self._holding(amount) for asset, amount in self.amounts.items()}
        self._freshness[kind].is_stale = stale
        if kind is Kind.BALANCES:
            for asset, amount in self.amounts.items():
                self._tree.add(asset, self._holding(amount).minus(before[asset]))
        else:
            for symbol in self.positions:
                self.revalue(symbol)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """What is known of the venue, as JSON-able data."""
        marks = {symbol: self._prices.mark(self.venue, symbol) for symbol in self.positions}
        return {
            "known": [kind.value for kind in ACCOUNT_KINDS if self.is_known(kind)],
            "amounts": {asset: plain(amount) for asset, amount in self.amounts.items()},
            "positions": [position_to_json(position) for position in self.positions.values()],
            "marks": {symbol: plain(mark.value) for symbol, mark in marks.items() if mark is not None},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take the last known picture as it was; all of it is stale until the venue confirms it."""
        for asset, amount in saved["amounts"].items():
            self._set_amount(asset, finite(amount), NEVER)
        for position in map(position_from_json, saved["positions"]):
            self._set_position(position.symbol, position, NEVER)
        self._restored = frozenset(Kind(kind) for kind in saved["known"])


def unrealized(position: Position, mark: Decimal) -> tuple[Decimal, Decimal]:
    """Unrealised profit and notional of a position, both in its settle asset.

    Linear: quantity x size x (mark - entry). Inverse: quantity x size x (1/entry - 1/mark).
    """
    size = EXACT.multiply(position.quantity, position.contract_size)
    if position.inverse:
        change = EXACT.subtract(EXACT.divide(ONE, position.entry), EXACT.divide(ONE, mark))
        return fixed(EXACT.multiply(size, change)), fixed(EXACT.divide(abs(size), mark))
    profit = EXACT.multiply(size, EXACT.subtract(mark, position.entry))
    return fixed(profit), fixed(EXACT.multiply(abs(size), mark))


def position_to_json(position: Position) -> dict[str, Any]:
    """A position as JSON-able data."""
    return {
        "symbol": position.symbol,
        "quantity": plain(position.quantity),
        "entry": plain(position.entry),
        "settle": position.settle,
        "underlying": position.underlying,
        "contract_size": plain(position.contract_size),
        "inverse": position.inverse,
    }


def position_from_json(data: Mapping[str, Any]) -> Position:
    """The reverse of `position_to_json`."""
    return Position(
        symbol=data["symbol"],
        quantity=finite(data["quantity"]),
        entry=finite(data["entry"]),
        settle=data["settle"],
        underlying=data["underlying"],
        contract_size=finite(data["contract_size"]),
        inverse=data["inverse"],
    )
