"""What a venue's holdings show and its book does not explain: asset by asset, in units.

A change of a holding is posted with its sign, a row of the book that is profit or loss with the other one. What
both tell of leaves nothing, whichever came first. What is left is a lot: something came or went, and nobody says
why. Its worth is that of the moment when it was seen, so that a price can't move it.

Three places: *open* lots are in question; those of a fair trade are set *aside* at once, to meet their rows later;
and what was in question for long enough is *over*: it counts as loss or gain, unless a late row names it. The start of
a fund's member is taken once, so such a row must find its lot after a reset and after a restart, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from heapq import nlargest

from risk_daemon.model.units import EXACT, ONE, ZERO, fixed

POSITIONS = ""
"""The asset of what positions moved at constant prices; its units are worth."""

SAME = Decimal("1e-6")
"""Amounts that differ by this part or less are the same: a book and a balance may round differently."""

ASIDE_FOR_S = 7_200.0
OVER_FOR_S = 86_400.0
_OVER_MAX = 1_000
_OVER_KEPT_MAX = 100
_HIDDEN_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetMove:
    """units: how much of the asset came (+) or went (-). value: its worth in the reference currency; None: unpriced."""

    asset: str
    units: Decimal
    value: Decimal | None


@dataclass(slots=True, kw_only=True, eq=False)
class Lot:
    """So much of an asset came (+) or went (-).

    value: its worth when it was seen, in the reference currency. mono: when it was seen. seen_mono: the moment the
    reading is evidence about. total, venue_total: all that all venues', or this one's, holdings had moved by then,
    this lot included: for telling what came after it; number: the order of such moves. bought_unpriced: something
    without a price came with it. is_over: it counted as loss or gain already. eroded: what came later and cancelled
    a part of it out, in units. hidden: what it and others cancelled out between them: each may yet be named by a row.
    by_prices, by_prices_there: what prices had made of the equity by then, in all or there: all of it, less all such
    moves. None: not known; then prices are taken to be what they are now.
    grown, grown_there: how the baselines of all venues, or of this one, moved with flows since. What was in question
    before a flow is as large a part of them as it was: were it a flow, they would have moved by it first.
    in_baselines, in_fund: all baselines, or the start of a fund, were taken when it was there: they know of it.
    """

    asset: str
    units: Decimal
    value: Decimal
    mono: float
    seen_mono: float
    total: Decimal = ZERO
    venue_total: Decimal = ZERO
    number: int = 0
    by_prices: Decimal | None = None
    by_prices_there: Decimal | None = None
    bought_unpriced: bool = False
    is_over: bool = False
    eroded: Decimal = ZERO
    hidden: tuple[Lot, ...] = ()
    grown: Decimal = ONE
    grown_there: Decimal = ONE
    in_baselines: bool = False
    in_fund: bool = False

    def is_same(self, units: Decimal) -> bool:
        """Whether it is this amount, but for rounding."""
        return are_same(self.units, units)


def are_same(units: Decimal, others: Decimal) -> bool:
    """Whether both are the same amount, but for rounding."""
    return abs(units - others) <= abs(others) * SAME


class Unexplained:
    """The lots of one venue. net: the worth of the open ones."""

    def __init__(self) -> None:
        self.net = ZERO
        self._open: dict[str, list[Lot]] = {}
        self._aside: dict[str, deque[tuple[float, Decimal]]] = {}
        self._over: deque[Lot] = deque()
        self._has_grown = False

    def __bool__(self) -> bool:
        return bool(self._open)

    # --- what is asked -----------------------------------------------------------------------------

    def lots(self) -> Iterator[Lot]:
        """The open lots."""
        return (lot for lots in self._open.values() for lot in lots)

    def assets(self) -> tuple[str, ...]:
        """What is in question."""
        return tuple(self._open)

    def parts(self) -> Iterator[Lot]:
        """The open lots, and what they hide."""
        return (part for lot in self.lots() for part in (lot, *lot.hidden))

    def oldest_mono(self) -> float | None:
        """When the oldest open lot was seen; None if there is none."""
        return min((lot.mono for lot in self.lots()), default=None)

    def worth(self) -> Decimal:
        """What is in question, measured like the baselines of all venues now."""
        return self._grown(lambda lot: lot.grown) if self._has_grown and self._open else self.net

    def worth_there(self) -> Decimal:
        """What is in question, measured like the baselines of this venue now."""
        return self._grown(lambda lot: lot.grown_there) if self._has_grown and self._open else self.net

    def _grown(self, by: Callable[[Lot], Decimal]) -> Decimal:
        return sum((fixed(EXACT.multiply(lot.value, by(lot))) for lot in self.lots()), ZERO)

    def units(self, asset: str) -> Decimal:
        """How much of an asset is in question."""
        return sum((lot.units for lot in self._open.get(asset, ())), ZERO)

    def newest(self, asset: str) -> Lot | None:
        """The open lot of an asset that was seen last."""
        lots = self._open.get(asset)
        return lots[-1] if lots else None

    # --- what comes in -----------------------------------------------------------------------------

    def post(self, lot: Lot) -> None:
        """Something changed. It cancels out with open lots of the other direction, the newest first.

        The newest, so that what was not explained for long does not get young again by what happens since.
        """
        lots = self._open.setdefault(lot.asset, [])
        self._has_grown = self._has_grown or lot.grown != ONE or lot.grown_there != ONE
        while lots and lot.units * lots[-1].units < 0:
            if abs(lots[-1].units) > abs(lot.units):
                self._take_part(lots[-1], -lot.units)
                lots[-1].eroded += lot.units
                lots[-1].hidden = (*lots[-1].hidden, *_parts(lot))[-_HIDDEN_MAX:]
                return
            last = lots.pop()
            self.net -= last.value
            hidden = (*lot.hidden, *_parts(last))[-_HIDDEN_MAX:]
            lot = replace(_shrunk(lot, lot.units + last.units), hidden=hidden)
        if lot.units:
            lots.append(lot)
            self.net += lot.value
        if not lots:
            del self._open[lot.asset]

    def book(self, row: Lot) -> None:
        """A row of the book that is profit or loss. What it explains is in question no more.

        What the holdings don't show of it yet is in question the other way round: they should, any moment.
        """
        if self.take_same(row.asset, row.units) is not None:
            return
        left = self._take_aside(row.asset, row.units)
        left = self.take(row.asset, left)
        left = self._take_over(row.asset, left)
        if left:
            self.post(_shrunk(replace(row, units=-row.units, value=-row.value), -left))

    def grow(self, until: int, ratio: Decimal, ratio_there: Decimal) -> None:
        """Baselines moved with a flow, the move of that number: what was in question by then moves with them."""
        for lot in self.lots():
            if lot.number <= until:
                lot.grown, lot.grown_there = lot.grown * ratio, lot.grown_there * ratio_there
                self._has_grown = True

    # --- what explains it --------------------------------------------------------------------------

    def take_same(self, asset: str, units: Decimal) -> Lot | None:
        """Take out the open lot of just this amount, if there is one, be it hidden by another."""
        lots = self._open.get(asset, [])
        found = next((lot for lot in reversed(lots) if lot.is_same(units)), None)
        if found is None:
            return self._take_hidden(lots, units)
        lots.remove(found)
        self.net -= found.value
        if not lots:
            del self._open[asset]
        return found

    def _take_hidden(self, lots: list[Lot], units: Decimal) -> Lot | None:
        """Without the hidden one, what hid it is as large as it was."""
        for lot in reversed(lots):
            found = next((hidden for hidden in reversed(lot.hidden) if hidden.is_same(units)), None)
            if found is not None:
                lot.hidden = tuple(hidden for hidden in lot.hidden if hidden is not found)
                lot.units, lot.value = lot.units - found.units, lot.value - found.value
                self.net -= found.value
                return found
        return None

    def take_same_aside(self, asset: str, units: Decimal) -> bool:
        """Take out just this amount of what was set aside, if it is there."""
        rows = self._aside.get(asset, deque())
        found = next((row for row in rows if are_same(row[1], units)), None)
        if found is not None:
            rows.remove(found)
        return found is not None

    def take_near_over(self, asset: str, units: Decimal, within: Decimal, *, in_baselines: bool) -> Lot | None:
        """Take out the lot of about this amount (within that part of it) that counts as loss or gain already.

        in_baselines: whether all baselines know of it. Of two that fit as well it is the one that hides no loss of a
        fund's member, even if it is the wrong one.
        """
        lots = (lot for lot in self._over if lot.asset == asset and lot.in_baselines == in_baselines)
        alike = (lot for lot in lots if abs(lot.units - units) <= abs(units) * within)
        found = min(alike, key=lambda lot: (abs(lot.units - units), lot.in_fund == (units > 0)), default=None)
        if found is not None:
            self._over.remove(found)
        return found

    def take_flow(self, asset: str, units: Decimal) -> Lot | None:
        """Take this much out of the open lots, for a flow. Returns the newest as it was: it tells when it flowed.

        What is left of that lot counts as having come before: a loss in the same reading stays one of the whole.
        Where the lots are less than the flow, something else came the other way: that is in question now.
        """
        newest = self.newest(asset)
        if newest is None:
            return None
        as_it_was = replace(newest)
        left = self.take(asset, units)
        taken = as_it_was.value - newest.value
        newest.total, newest.venue_total = newest.total - taken, newest.venue_total - taken
        if left:
            other = _shrunk(as_it_was, -left)
            came_later = as_it_was.eroded * other.units > 0
            since = other.value if came_later else -_shrunk(as_it_was, units).value
            self.post(replace(other, total=other.total + since, venue_total=other.venue_total + since, eroded=ZERO))
        return as_it_was

    def take(self, asset: str, units: Decimal) -> Decimal:
        """Take up to this much out of the open lots of its direction, the newest first. Returns what is left of it."""
        lots = self._open.get(asset, [])
        while units and lots and lots[-1].units * units > 0:
            if abs(lots[-1].units) > abs(units):
                self._take_part(lots[-1], units)
                return ZERO
            last = lots.pop()
            self.net -= last.value
            units -= last.units
        if asset in self._open and not lots:
            del self._open[asset]
        return units

    def _take_part(self, lot: Lot, units: Decimal) -> None:
        """Make a lot smaller by less than all of it."""
        left = _shrunk(lot, lot.units - units)
        self.net -= lot.value - left.value
        lot.units, lot.value = left.units, left.value

    def _take_aside(self, asset: str, units: Decimal) -> Decimal:
        """The oldest first: rows come in the order of the trades."""
        rows, kept = self._aside.get(asset, deque()), deque[tuple[float, Decimal]]()
        while rows and units:
            mono, amount = rows.popleft()
            if amount * units < 0:
                kept.append((mono, amount))
                continue
            part = min(amount, units, key=abs)
            units -= part
            if amount != part:
                kept.append((mono, amount - part))
        rows.extendleft(reversed(kept))
        return units

    def _take_over(self, asset: str, units: Decimal) -> Decimal:
        for lot in [lot for lot in self._over if lot.asset == asset and lot.units * units > 0]:
            if not units:
                break
            part = min(lot.units, units, key=abs)
            units -= part
            if part == lot.units:
                self._over.remove(lot)
            else:
                left = _shrunk(lot, lot.units - part)
                lot.units, lot.value = left.units, left.value
        return units

    # --- when it is decided ------------------------------------------------------------------------

    def set_aside(self, mono: float) -> None:
        """Together the open lots are worth next to nothing: a fair trade, or an asset with a new name."""
        for asset, lots in self._open.items():
            if asset != POSITIONS:
                self._aside.setdefault(asset, deque()).extend((mono, lot.units) for lot in lots)
        self._open.clear()
        self.net = ZERO

    def close(self, lot: Lot) -> None:
        """An open lot counts as loss or gain from now on. What it hides may be named like itself."""
        lots = self._open[lot.asset]
        lots.remove(lot)
        self.net -= lot.value
        if not lots:
            del self._open[lot.asset]
        if lot.asset != POSITIONS:
            for part in _parts(lot):
                if part.units:
                    self.remember(part)

    def remember(self, lot: Lot) -> None:
        """It counts as loss or gain; a late row may name it. Where there are too many the smallest one is forgotten."""
        lot.is_over = True
        self._over.append(lot)
        if len(self._over) > _OVER_MAX:
            self._over.remove(min(self._over, key=_weight))

    def over(self) -> list[Lot]:
        """The largest of what counts as loss or gain, the oldest first."""
        return sorted(nlargest(_OVER_KEPT_MAX, self._over, key=_weight), key=lambda lot: lot.mono)

    def drop_positions(self, until_mono: float) -> None:
        """The book has told of trades since: what positions moved before is explained by them."""
        for lot in [lot for lot in self._open.get(POSITIONS, ()) if lot.seen_mono <= until_mono]:
            self.close(lot)

    def aside(self) -> dict[str, list[Decimal]]:
        """What was set aside, by asset: what came in all, and what went."""
        sums = {}
        for asset, rows in self._aside.items():
            came, went = (sum((units for _, units in rows if units * sign > 0), ZERO) for sign in (1, -1))
            sums[asset] = [units for units in (came, went) if units]
        return {asset: units for asset, units in sums.items() if units}

    def restore_aside(self, asset: str, units: Decimal, mono: float) -> None:
        """So much of an asset was set aside before."""
        self._aside.setdefault(asset, deque()).append((mono, units))

    def note_baselines(self) -> None:
        """All baselines were taken: what counts by now is in them."""
        for lot in self._over:
            lot.in_baselines = True

    def note_fund_start(self) -> None:
        """The start of a fund was taken: what counts by now is in it, and what went out, even if it is in question.

        What had no price when it came was no part of any equity.
        """
        counted = (lot for lot in self._over if lot.value)
        for lot in (*counted, *(lot for lot in (*self._over, *self.parts()) if lot.units < 0)):
            lot.in_fund = True

    def drop_aside(self) -> None:
        """What was set aside is remembered no more."""
        self._aside.clear()

    def drop(self) -> None:
        """Nothing is in question any more, and nothing is remembered."""
        self._open.clear()
        self._aside.clear()
        self._over.clear()
        self.net = ZERO

    def forget(self, now_mono: float) -> None:
        """Let go of what no row will name any more."""
        for rows in self._aside.values():
            while rows and now_mono - rows[0][0] > ASIDE_FOR_S:
                rows.popleft()
        while self._over and now_mono - self._over[0].mono > OVER_FOR_S:
            self._over.popleft()


def _weight(lot: Lot) -> Decimal:
    """What has no worth yet may get one."""
    return abs(lot.value) or Decimal("Infinity")


def _parts(lot: Lot) -> tuple[Lot, ...]:
    """What it is the sum of: what it hides, and itself as it came, each to be named by a row."""
    if not lot.hidden:
        return (lot,)
    units = lot.units - sum((part.units for part in lot.hidden), ZERO)
    value = lot.value - sum((part.value for part in lot.hidden), ZERO)
    return (*lot.hidden, replace(lot, units=units, value=value, hidden=()))


def _shrunk(lot: Lot, units: Decimal) -> Lot:
    """The same with less of it."""
    if units == lot.units or not lot.units:
        return replace(lot, units=units)
    return replace(lot, units=units, value=fixed(EXACT.divide(EXACT.multiply(lot.value, units), lot.units)))
