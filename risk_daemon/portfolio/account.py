"""One venue's holdings and positions: what it holds, since when that is known, what a new reading moved.

A reading is evidence about the moment it was requested: an older one never overwrites a newer row. Where stream
and REST differ, `witnesses.py` says which is in force; while that is open, the row is as doubtful as they differ.
What was not confirmed in time is stale: it keeps its last value, and doubt `stale_band` wide on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from risk_daemon.model.events import BalancesSeen, Kind, Position, PositionsSeen, Source
from risk_daemon.model.units import EXACT, ZERO, finite, fixed, plain
from risk_daemon.portfolio.positions import cost, position_from_json, position_to_json, unrealized
from risk_daemon.portfolio.prices import PriceBook
from risk_daemon.portfolio.settings import PortfolioSettings
from risk_daemon.portfolio.unexplained import POSITIONS, AssetMove
from risk_daemon.portfolio.valuation import NOTHING, Sums, Valuation
from risk_daemon.portfolio.witnesses import NOTHING_FOUND, Comparison, Heard, Row, Terms, Witnesses

NEVER = float("-inf")
ACCOUNT_KINDS = (Kind.BALANCES, Kind.POSITIONS)

# What a stream writes as a binary number may differ in its last digits.
AMOUNT_TOLERANCE = Decimal("0.0001")
# Entry prices are rounded, and not the same way everywhere.
POSITION_TOLERANCE = Decimal("0.005")


class Change(NamedTuple):
    """What one reading did. moves: changes of holdings and positions at constant prices.

    found: what it showed of stream and REST where they differ.
    """

    venue: str
    moves: tuple[AssetMove, ...] = ()
    holdings: bool = False
    found: Comparison = NOTHING_FOUND

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
        self.settings = settings
        self._tree = tree
        self._prices = prices
        self._hang = hang
        self._components: dict[str, Sums] = {}
        self._held: Witnesses[Decimal] = Witnesses(Terms(AMOUNT_TOLERANCE, settings.settle_legs_s))
        self._open: Witnesses[Position | None] = Witnesses(Terms(POSITION_TOLERANCE, settings.settle_legs_s))
        self._questions: dict[tuple[Kind, str], tuple[str, Decimal]] = {}
        self._read_mono = dict.fromkeys(ACCOUNT_KINDS, NEVER)
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
        band = self.settings.stale_band
        is_unsure = self._freshness[Kind.BALANCES].is_stale
        holdings = sum(
            (
                EXACT.multiply(abs(amount) * band, self._rate(asset))
                for asset, amount in self.amounts.items()
                if is_unsure or self._tree.is_stale(asset)
            ),
            ZERO,
        )
        for asset in self.assets():  # prices in question
            unsure = self._tree.rate_doubt(asset)
            holdings += EXACT.multiply(abs(self.amounts.get(asset, ZERO)), unsure) if unsure else ZERO
        holdings += sum((doubt * self._rate(asset) for asset, doubt in self._questions.values()), ZERO)
        return holdings + sum(
            (sums.doubt * self._settle_rate(symbol) for symbol, sums in self._components.items()), ZERO
        )

    # --- what comes in -----------------------------------------------------------------------------

    def apply_balances(self, seen: BalancesSeen) -> Change:
        """Take a frame in, whole."""
        if self._is_late(Kind.BALANCES, seen):
            return Change(self.venue)
        was_known = self.is_known(Kind.BALANCES)
        known = dict.fromkeys((*self.amounts, *self._held.rows), ZERO)
        rows = {**known, **seen.amounts} if seen.complete else seen.amounts
        moves = []
        for asset, amount in rows.items():
            before = self.amounts.get(asset, ZERO)
            if self._weigh_amount(asset, fixed(amount), seen) and self._set_amount(asset, fixed(amount)):
                moves.append(self._move(asset, before))
        found = self._close(Kind.BALANCES, self._held, seen)
        return Change(self.venue, tuple(moves) if was_known else (), bool(moves), found)

    def apply_positions(self, seen: PositionsSeen) -> Change:
        """Take a frame in, whole."""
        if self._is_late(Kind.POSITIONS, seen):
            return Change(self.venue)
        was_known = self.is_known(Kind.POSITIONS)
        new = {position.symbol: position for position in seen.positions}
        known = dict.fromkeys((*self.positions, *self._open.rows))
        rows: dict[str, Position | None] = {**known, **new} if seen.complete else {**new}
        moved, changed = ZERO, False
        for symbol, position in rows.items():
            before = self.positions.get(symbol)
            if self._weigh_position(symbol, position, seen):
                moved += self._set_position(symbol, position)
            self._question_position(symbol)
            changed = changed or self.positions.get(symbol) != before
        worth = fixed(moved)
        moves = (AssetMove(asset=POSITIONS, units=worth, value=worth),) if worth and was_known else ()
        found = self._close(Kind.POSITIONS, self._open, seen)
        return Change(self.venue, moves, changed, found)

    def confirm(self, kind: Kind, mono: float) -> None:
        """What is known of `kind` still held at `mono`, says a stream: not one that REST contradicts."""
        freshness = self._freshness[kind]
        if freshness.confirmed_mono == NEVER or not self._witnesses(kind).is_sure:
            return
        freshness.confirmed_mono = max(mono, freshness.confirmed_mono)
        self._set_stale(kind, stale=False)

    def stream_lost(self, kind: Kind | None) -> None:
        """A stream ended (None: all of them): what it said stands no more."""
        for each in ACCOUNT_KINDS if kind is None else (kind,):
            self._witnesses(each).forget_stream()

    def refresh(self, now_mono: float) -> None:
        """Let time pass: what was not confirmed in time becomes doubtful."""
        for kind, freshness in self._freshness.items():
            age_s = now_mono - freshness.confirmed_mono
            self._set_stale(kind, stale=age_s > self.settings.stale_after_s(self.venue, kind))

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

    def _weigh_amount(self, asset: str, amount: Decimal, seen: BalancesSeen) -> bool:
        """Whether this amount is in force."""
        if asset in self.settings.ignore_assets:
            return False
        row = self._held.row(asset, self.amounts.get(asset, ZERO))
        is_taken = _weigh(self._held, asset, row, amount, amount, seen)
        if row.is_doubted or (Kind.BALANCES, asset) in self._questions:
            value = amount if is_taken else self.amounts.get(asset, ZERO)
            self._question(Kind.BALANCES, asset, asset, ZERO if row.other is None else abs(value - row.other))
        return is_taken

    def _set_amount(self, asset: str, amount: Decimal) -> bool:
        """Whether the holding changed."""
        before = self.amounts.get(asset, ZERO)
        if amount == before or asset in self.settings.ignore_assets:
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
        return Sums(amount, gross, fixed(gross * self.settings.stale_band) if is_stale else ZERO)

    def _rate(self, asset: str) -> Decimal:
        return self._tree.rate_to_reference(asset) or ZERO

    # --- positions ---------------------------------------------------------------------------------

    def _weigh_position(self, symbol: str, position: Position | None, seen: PositionsSeen) -> bool:
        """Whether this state of the position is in force."""
        row = self._open.row(symbol, cost(self.positions.get(symbol)))
        return _weigh(self._open, symbol, row, cost(position), position, seen)

    def _question_position(self, symbol: str) -> None:
        """While REST and the stream differ on it, its profit may be what either says."""
        row, held = self._open.rows[symbol], self.positions.get(symbol)
        if row.is_doubted:
            settle = next(position.settle for position in (held, row.other) if position is not None)
            self._question(Kind.POSITIONS, symbol, settle, abs(self._profit(held) - self._profit(row.other)))
        elif (Kind.POSITIONS, symbol) in self._questions:
            self._question(Kind.POSITIONS, symbol, "", ZERO)

    def _profit(self, position: Position | None) -> Decimal:
        quote = None if position is None else self._prices.mark(self.venue, position.symbol)
        return ZERO if position is None or quote is None else unrealized(position, quote.value)[0]

    def _set_position(self, symbol: str, position: Position | None) -> Decimal:
        """What the new state of the position moved, in the reference currency. None or quantity 0: it is closed."""
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
        doubt = fixed(notional * self.settings.stale_band) if doubtful else ZERO
        if quote is not None and quote.other is not None:
            doubt += abs(pnl - unrealized(position, quote.other)[0])
        return Sums(pnl, notional, doubt)

    def _settle_rate(self, symbol: str) -> Decimal:
        return self._rate(self.positions[symbol].settle)

    # --- two witnesses -----------------------------------------------------------------------------

    def doubted(self) -> tuple[tuple[Kind, str], ...]:
        """Kind and name of every row in question."""
        return tuple((kind, name) for kind in ACCOUNT_KINDS for name in sorted(self._witnesses(kind).doubted))

    def _witnesses(self, kind: Kind) -> Witnesses[Any]:
        return self._held if kind is Kind.BALANCES else self._open

    def _is_late(self, kind: Kind, seen: BalancesSeen | PositionsSeen) -> bool:
        """Whether REST was asked for something newer, and has answered."""
        if seen.source is Source.REST and seen.requested_mono >= self._read_mono[kind]:
            self._read_mono[kind] = seen.requested_mono
            return False
        return seen.source is Source.REST

    def _question(self, kind: Kind, name: str, asset: str, doubt: Decimal) -> None:
        """The row's worth is doubtful by `doubt` of `asset`, either way; 0 ends the question."""
        before_asset, before = self._questions.pop((kind, name), (asset, ZERO))
        if before:
            self._tree.add(before_asset, NOTHING.minus(Sums(ZERO, ZERO, before)))
        if doubt:
            if not self._tree.has(asset):
                self._hang(asset)
            self._questions[kind, name] = (asset, fixed(doubt))
            self._tree.add(asset, Sums(ZERO, ZERO, fixed(doubt)))

    def _close(self, kind: Kind, witnesses: Witnesses[Any], seen: BalancesSeen | PositionsSeen) -> Comparison:
        """The frame is taken in. A reading that contradicts the stream confirms nothing."""
        is_refuted = witnesses.is_refuted
        found = witnesses.close(seen.source)
        if not is_refuted and (seen.source is Source.REST or witnesses.is_sure):
            self._confirm_reading(kind, seen.requested_mono, seen.source, complete=seen.complete)
        return found

    # --- freshness ---------------------------------------------------------------------------------

    def _confirm_reading(self, kind: Kind, mono: float, source: Source, *, complete: bool) -> None:
        """Only a complete reading says that the rest still holds, too."""
        freshness = self._freshness[kind]
        is_guarded = self.venue in self.settings.expected
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
            self._set_amount(asset, finite(amount))
        for position in map(position_from_json, saved["positions"]):
            self._set_position(position.symbol, position)
        self._restored = frozenset(Kind(kind) for kind in saved["known"])


def _weigh(
    witnesses: Witnesses[Any], name: str, row: Row[Any], value: Decimal, other: Any, seen: BalancesSeen | PositionsSeen
) -> bool:
    """Whether what this frame says of the row is in force."""
    if seen.source is Source.STREAM:
        return witnesses.hear(name, row, value, other, seen.requested_mono)
    return witnesses.answer(name, row, value, other, seen.requested_mono) in (Heard.TAKEN, Heard.OVERRULED)
