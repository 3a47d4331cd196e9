"""One venue's two witnesses of what moved: its holdings, and its own book. See flows.py for what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Flow, FlowsListed
from risk_daemon.model.units import ONE, ZERO, finite, fixed, plain
from risk_daemon.portfolio.pending import (
    Pending,
    Trade,
    flow_from_json,
    flow_to_json,
    lot_from_json,
    lot_to_json,
    pending_from_json,
    pending_to_json,
)
from risk_daemon.portfolio.settled import Rate, Scene, Settled, Total, chained_flows, settled_flow, worth_then
from risk_daemon.portfolio.unexplained import POSITIONS, AssetMove, Lot, Unexplained, are_same
from risk_daemon.portfolio.young_rows import YoungRows

# What is about the same: a withdrawal's fee may be booked apart.
NEAR = Decimal("0.1")
# A row that is late by more than `flow_wait_s` must fit better.
NEAR_WHEN_LATE = Decimal("0.01")
# Lots whose sum is this part of them or less are a whole trade, if it is next to nothing for the portfolio, too.
BALANCED = Decimal("0.01")

REMEMBER_S = 90 * 86400.0
REMEMBER_TRADES_S = 7_200.0
REMEMBER_UNMATCHED_S = 86_400.0
NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFlowSettings:
    """Seconds, as in FlowSettings. has_ledger: whether the venue has a book at all."""

    flow_wait_s: float = 60.0
    settle_legs_s: float = 0.25
    lag_s: float = 2.0
    steady_s: float = 3.0
    has_ledger: bool = True


class VenueFlows:
    """What one venue's holdings and book have told.

    total: what its holdings moved in all, so far. tells_trades: whether its book explains everything, once it is there.
    """

    def __init__(self, settings: VenueFlowSettings) -> None:
        self.settings = settings
        self.unexplained = Unexplained()
        self.young = YoungRows()
        self.total = ZERO
        self.tells_trades = False
        self._pending: list[Pending] = []
        self._unbooked: list[Trade] = []
        self._history: list[Flow] = []
        self._seen: dict[str, float] = {}
        self._seen_trades: dict[str, float] = {}
        self._has_listing = False
        self._began_wall = NEVER
        self._trades_wall = NEVER
        self._listed_mono = self._listed_first_mono = NEVER
        self._unpriced_mono = NEVER

    @property
    def net(self) -> Decimal:
        """The worth of what nothing explains yet."""
        return self.unexplained.net

    @property
    def has_listing(self) -> bool:
        """Whether its book was ever read."""
        return self._has_listing

    @property
    def is_waiting(self) -> bool:
        """Whether only one witness has told of something."""
        return bool(self._pending or self._unbooked or self.unexplained)

    # --- witnesses ---------------------------------------------------------------------------------

    def moved(
        self,
        moves: Sequence[AssetMove],
        now_mono: float,
        seen_mono: float,
        *,
        amount: Decimal,
        total: Total,
        equity: Decimal | None = None,
        equity_there: Decimal | None = None,
    ) -> None:
        """One reading's changes, worth `amount`. total: what all venues moved so far, these included.

        equity, equity_there: the worth of everything, or of this venue, with them; None where it is not known.
        """
        legs_s = self.settings.settle_legs_s
        if any(move.value is None and move.units > 0 for move in moves):
            self._unpriced_mono = now_mono
            for lot in self.unexplained.lots():
                lot.bought_unpriced = lot.bought_unpriced or now_mono - lot.mono <= legs_s
        self.total += amount
        for move in moves:
            lot = self._lot(move.asset, move.units, move.value or ZERO, now_mono, total)
            lot.seen_mono, lot.bought_unpriced = seen_mono, now_mono - self._unpriced_mono <= legs_s
            lot.by_prices = None if equity is None else equity - total.worth
            lot.by_prices_there = None if equity_there is None else equity_there - self.total
            self.unexplained.post(lot)
        if amount:
            self.young.add(now_mono, amount)

    def listed(self, listing: FlowsListed) -> tuple[Flow, ...]:
        """Take a listing of the book in; returns the flows not seen before.

        What the first listing ever names, and what is not newer than its newest row, by the venue's own clock, was
        there before the baselines: it counts only if the holdings show it after all.
        """
        is_first, self._has_listing = not self._has_listing, True
        if is_first:
            rows = (*listing.flows, *(listing.trades or ()))
            self._began_wall = max((row.wall for row in rows), default=NEVER)
            self._listed_first_mono = listing.requested_mono
            self._history = sorted(rows, key=lambda row: -row.wall)
        self._take_trades(listing, is_first=is_first)
        self._listed_mono = max(self._listed_mono, listing.requested_mono)
        new = {flow.flow_id: flow for flow in listing.flows if flow.flow_id not in self._seen}
        for flow in new.values():
            self._seen[flow.flow_id] = flow.wall
            if flow.amount:
                is_certain = flow.wall > self._began_wall
                row = Pending(flow=flow, listed_mono=listing.requested_mono, is_certain=is_certain)
                self._pending.append(row)
        _forget_before(self._seen, REMEMBER_S)
        return tuple(new.values())

    def _take_trades(self, listing: FlowsListed, *, is_first: bool) -> None:
        """New rows of trades, those of one trade together. They are booked when the holdings are looked at."""
        self.tells_trades = listing.trades is not None
        is_first_of_run = self._listed_mono == NEVER
        groups: dict[tuple[bool, str], list[Flow]] = {}
        for row in sorted(listing.trades or (), key=lambda row: row.wall):
            is_old = row.wall <= self._trades_wall if is_first_of_run else row.flow_id in self._seen_trades
            self._seen_trades[row.flow_id] = row.wall
            if not is_old:
                is_certain = not is_first and row.wall > self._began_wall
                groups.setdefault((is_certain, row.group or row.flow_id), []).append(row)
        self._trades_wall = max((self._trades_wall, *self._seen_trades.values()))
        self._unbooked += (
            Trade(rows=tuple(rows), listed_mono=listing.requested_mono, is_certain=is_certain)
            for (is_certain, _), rows in groups.items()
        )
        _forget_before(self._seen_trades, REMEMBER_TRADES_S)

    # --- what follows ------------------------------------------------------------------------------

    def settle(self, scene: Scene) -> tuple[list[Settled], list[Flow]]:
        """(flows that both witnesses have told of by now, flows that the holdings did not show in time), once each."""
        settled: list[Settled] = []
        unmatched: list[Flow] = []
        if self._history:
            self._look_for_news(scene)
        if self._unbooked:
            self._book(scene)
        waiting = [row for row in self._pending if self._waits_for_prices(row, scene)]
        if self._pending:
            settled = self._match([row for row in self._pending if row not in waiting], scene)
            known, unmatched = self._drop_unmatched(scene)
            settled += known
        if self.unexplained:
            self._decide(scene, named=frozenset(row.flow.asset for row in waiting))
        return settled, unmatched

    def note_baselines(self) -> None:
        """All baselines were taken."""
        self.unexplained.note_baselines()

    def note_fund_start(self) -> None:
        """The start of a fund was taken."""
        self.unexplained.note_fund_start()
        for row in self._pending:
            row.is_counted = False
            if row.lot is not None and row.lot.units < 0:
                row.lot.in_fund = True

    def _waits_for_prices(self, row: Pending, scene: Scene) -> bool:
        """Whether what was there when it flowed will be known better in a moment.

        No row waits for longer than twice `steady_s`, nor until its change would be taken for loss or gain.
        """
        if scene.now_mono - row.listed_mono >= 2 * self.settings.steady_s:
            return False
        ages = [scene.now_mono - lot.mono for lot in self.unexplained.lots() if lot.asset == row.flow.asset]
        if not ages or max(ages) >= self.settings.flow_wait_s:
            return False
        return min(ages) < self.settings.steady_s and scene.is_wild()

    def _look_for_news(self, scene: Scene) -> None:
        """The first listing came after something had moved: its newest rows that add up to just that are no history.

        They are looked for among all rows of an asset, for a trade and a flow of it may be one change for us.
        """
        if scene.now_mono - self._listed_first_mono > self.settings.flow_wait_s:
            self._history = []
        for asset in self.unexplained.assets():
            units, told = self.unexplained.units(asset), ZERO
            rows = [row for row in self._history if row.asset == asset]
            for number, row in enumerate(rows, 1):
                told += row.amount
                if told and are_same(told, units):
                    self._take_as_news(rows[:number], scene)
                    break

    def _take_as_news(self, rows: Sequence[Flow], scene: Scene) -> None:
        """What was held to be history is certain."""
        self._forget_history(rows)
        pending = {row.flow.flow_id: row for row in self._pending}
        for row in rows:
            if row.flow_id in pending:
                pending[row.flow_id].is_certain = True
            elif row.flow_id in self._seen_trades:
                self._book_row(row, scene)

    def doubts(self, now_mono: float, rate: Rate, worth: Decimal) -> tuple[Decimal, Decimal]:
        """How much more, and how much less, its worth may be than it seems. worth: that of what is in question."""
        leaving = coming = ZERO
        for row in self._pending:
            if row.is_awaited and now_mono - row.listed_mono < self.settings.flow_wait_s:
                value = row.flow.amount * (rate(row.flow.asset) or ZERO)
                leaving, coming = leaving + max(ZERO, -value), coming + max(ZERO, value)
        return max(-worth, leaving), max(worth, coming)

    # --- trades ------------------------------------------------------------------------------------

    def _book(self, scene: Scene) -> None:
        """Let the rows of trades explain what they can. What bought something without a price waits for one."""
        now_mono, rate = scene.now_mono, scene.rate
        trades, self._unbooked = self._unbooked, []
        newest_mono = NEVER
        for trade in trades:
            if not trade.is_certain:
                self._book_history(trade)
                continue
            is_due = now_mono - trade.listed_mono >= self.settings.flow_wait_s
            if not is_due and any(row.amount > 0 and rate(row.asset) is None for row in trade.rows):
                self._unbooked.append(trade)
                continue
            newest_mono = max(newest_mono, trade.listed_mono)
            for row in trade.rows:
                self._book_row(row, scene)
        self.unexplained.drop_positions(newest_mono)

    def _book_row(self, row: Flow, scene: Scene) -> None:
        price = scene.rate(row.asset)
        if row.amount and price != 0:
            value = fixed(row.amount * (price or ZERO))
            self.unexplained.book(self._lot(row.asset, row.amount, value, scene.now_mono, scene.total))

    def _book_history(self, trade: Trade) -> None:
        """What may lie behind us explains only what is in question to the unit."""
        for row in trade.rows:
            if self.unexplained.take_same(row.asset, row.amount) is not None:
                self._forget_history([row])

    def _lot(self, asset: str, units: Decimal, value: Decimal, mono: float, total: Total) -> Lot:
        return Lot(
            asset=asset,
            units=units,
            value=value,
            mono=mono,
            seen_mono=mono,
            total=total.worth,
            venue_total=self.total,
            number=total.number,
        )

    def _forget_history(self, rows: Sequence[Flow]) -> None:
        """What explained something explains nothing else."""
        self._history = [row for row in self._history if row not in rows]

    # --- flows -------------------------------------------------------------------------------------

    def _match(self, rows: Sequence[Pending], scene: Scene) -> list[Settled]:
        """The flows of `rows` that the holdings show: each by itself, or all of an asset together."""
        while self._find(self._shown_exactly, rows, scene) or self._find(self._shown_nearly, rows, scene):
            continue  # what one flow leaves over may be another one
        settled = self._shown_together(rows, scene)
        for row in [row for row in rows if row in self._pending]:
            price = scene.rate(row.flow.asset)
            if price == 0:
                self._pending.remove(row)
                settled.append(settled_flow(row.flow, ZERO, None, scene, self.total))
            elif row.lot is not None and price is not None:
                self._pending.remove(row)
                one = settled_flow(row.flow, worth_then(row.flow, row.lot, price), row.lot, scene, self.total)
                settled.append(replace(one, is_counted=row.is_counted))
        settled += [] if self.tells_trades else self._shown_by_worth(rows, scene)
        if settled and self._history:
            self._forget_history([one.flow for one in settled])
        return settled

    def _find(self, shown: Callable[[Pending, Scene], Lot | None], rows: Sequence[Pending], scene: Scene) -> bool:
        """Whether the holdings show one of the flows, as they did not before."""
        for row in rows:
            if row.lot is None:
                row.lot = shown(row, scene)
                if row.lot is not None:
                    return True
        return False

    def _shown_exactly(self, row: Pending, scene: Scene) -> Lot | None:
        asset, units = row.flow.asset, row.flow.amount
        lot = self.unexplained.take_same(asset, units)
        if lot is None and self.unexplained.take_same_aside(asset, units):
            return self._lot(asset, units, ZERO, NEVER, scene.total)
        return lot

    def _shown_nearly(self, row: Pending, _scene: Scene) -> Lot | None:
        asset, units = row.flow.asset, row.flow.amount
        if not row.is_certain:
            return None
        lot = self.unexplained.take_near_over(asset, units, NEAR_WHEN_LATE, in_baselines=False)
        if lot is None and not row.is_told and self._is_near(asset, units):
            lot = self.unexplained.take_flow(asset, units)
        return lot

    def _is_near(self, asset: str, units: Decimal) -> bool:
        """Whether about this amount is in question, and the book had its time to name something that fits better."""
        newest = self.unexplained.newest(asset)
        if newest is None or abs(self.unexplained.units(asset) - units) > abs(units) * NEAR:
            return False
        return not self.tells_trades or self._listed_mono >= newest.seen_mono + self.settings.lag_s

    def _shown_together(self, candidates: Sequence[Pending], scene: Scene) -> list[Settled]:
        """Flows that hide each other: their sum is what is in question of their asset, be it nothing."""
        settled: list[Settled] = []
        waiting = [row for row in candidates if row.is_awaited]
        for asset in {row.flow.asset: None for row in waiting}:
            rows, price = [row for row in waiting if row.flow.asset == asset], scene.rate(asset)
            units = sum((row.flow.amount for row in rows), ZERO)
            if len(rows) < 2 or not price or abs(self.unexplained.units(asset) - units) > abs(units) * NEAR:
                continue
            lot = self.unexplained.take_flow(asset, units)
            self._pending = [row for row in self._pending if row not in rows]
            settled += chained_flows([row.flow for row in rows], price, lot, scene, self.total)
        return settled

    def _shown_by_worth(self, candidates: Sequence[Pending], scene: Scene) -> list[Settled]:
        """A book without trades can't tell what else moved the same asset: then the worth of it all must do."""
        settled = []
        for row in [row for row in candidates if row.is_awaited and row in self._pending]:
            value = fixed(row.flow.amount * (scene.rate(row.flow.asset) or ZERO))
            if value and self.net / value >= ONE - NEAR:
                self._pending.remove(row)
                settled.append(settled_flow(row.flow, value, None, scene, self.total))
                self.unexplained.post(self._lot(POSITIONS, -value, -value, NEVER, scene.total))
        return settled

    def _drop_unmatched(self, scene: Scene) -> tuple[list[Settled], list[Flow]]:
        """Rows that the holdings should have shown by now. Those that are told are left out; the old ones forgotten.

        The first are no such: the holdings showed them before all baselines were taken. They come last, so that what
        came since has its own change.
        """
        known, told = [], []
        for row in [row for row in self._pending if row.lot is None]:
            waited_s = scene.now_mono - row.listed_mono
            if waited_s >= (REMEMBER_UNMATCHED_S if row.is_certain else self.settings.flow_wait_s):
                self._pending.remove(row)
            elif row.is_awaited and waited_s >= self.settings.flow_wait_s:
                if scene.balances_mono < row.listed_mono + self.settings.lag_s:
                    continue
                flow, row.is_told = row.flow, True
                lot = self.unexplained.take_near_over(flow.asset, flow.amount, NEAR_WHEN_LATE, in_baselines=True)
                if lot is None:
                    told.append(flow)
                else:
                    self._pending.remove(row)
                    value = worth_then(flow, lot, scene.rate(flow.asset) or ZERO)
                    known.append(settled_flow(flow, value, lot, scene, self.total))
        return known, told

    def count_in_fund(self, flow: Flow) -> bool:
        """Whether a fund's start rises by a row that the holdings did not show. If they do later, it knows of it.

        What brings back what a row took out, and they showed neither, is a withdrawal that was cancelled.
        """
        left_out = [row for row in self._pending if row.is_told and row.lot is None and row.flow.asset == flow.asset]
        gone = next((row for row in left_out if are_same(row.flow.amount, -flow.amount)), None)
        if gone is not None:
            self._pending.remove(gone)
            return False
        for row in left_out:
            row.is_counted = row.is_counted or row.flow.flow_id == flow.flow_id
        return True

    # --- loss or gain ------------------------------------------------------------------------------

    def _decide(self, scene: Scene, *, named: frozenset[str]) -> None:
        """Take out of the question what is answered: a fair trade, and what nobody explained for long enough.

        named: assets that a row of a flow names, only it is not matched yet: the book is not silent on them.
        """
        found, settings, now_mono = self.unexplained, self.settings, scene.now_mono
        gross = sum((abs(lot.value) for lot in found.lots()), ZERO)
        if abs(found.net) <= min(scene.small, gross * BALANCED):
            found.set_aside(now_mono)
        verified_mono = self._verified_mono(scene.account_mono)
        for lot in list(found.lots()):
            waited_s = now_mono - lot.mono
            is_verified = lot.seen_mono <= verified_mono and not lot.bought_unpriced and waited_s >= self._least_s()
            is_late = waited_s >= settings.flow_wait_s and self._may_count(lot)
            if is_late or (is_verified and lot.asset not in named):
                found.close(lot)
        found.forget(now_mono)

    def _may_count(self, lot: Lot) -> bool:
        """What fell counts, whatever the book says. What rose is no gain before the book was listed since.

        It may be a deposit: as a gain it would hide a loss of its size.
        """
        return (
            lot.value <= ZERO
            or not self.settings.has_ledger
            or self._listed_mono >= lot.seen_mono + self.settings.lag_s
        )

    def _verified_mono(self, account_mono: float) -> float:
        """Changes up to then were read again, and are no flows by what this venue's book can tell."""
        if not self.settings.has_ledger:
            return account_mono
        return NEVER if self.tells_trades else min(self._listed_mono - self.settings.lag_s, account_mono)

    def _least_s(self) -> float:
        return 0.0 if self.settings.has_ledger else self.settings.lag_s

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self, now_mono: float) -> dict[str, Any]:
        """Rows that were seen, and what has only one witness yet, as JSON-able data."""
        shown = [row.lot for row in self._pending if row.lot is not None and row.lot.mono > NEVER]
        return {
            "seen": dict(self._seen),
            "has_listing": self._has_listing,
            "tells_trades": self.tells_trades,
            "began_wall": None if self._began_wall == NEVER else self._began_wall,
            "trades_wall": None if self._trades_wall == NEVER else self._trades_wall,
            "pending": [pending_to_json(row, now_mono) for row in self._pending],
            "history": [{**flow_to_json(row), "is_trade": row.flow_id in self._seen_trades} for row in self._history],
            "history_waited_s": now_mono - self._listed_first_mono if self._history else 0.0,
            "aside": {asset: list(map(plain, units)) for asset, units in self.unexplained.aside().items()},
            "lots": [lot_to_json(lot, now_mono) for lot in (*self.unexplained.lots(), *shown) if not lot.is_over],
            "over": [lot_to_json(lot, now_mono) for lot in (*self.unexplained.over(), *shown) if lot.is_over],
        }

    def restore(self, saved: Mapping[str, Any], now: Instant) -> None:
        """Go on waiting for the second witness. A row has all the time there is from now, if it is no history."""
        self._seen, self._has_listing = dict(saved["seen"]), saved["has_listing"]
        self.tells_trades = saved["tells_trades"]
        self._began_wall = NEVER if saved["began_wall"] is None else saved["began_wall"]
        self._trades_wall = NEVER if saved["trades_wall"] is None else saved["trades_wall"]
        self._pending = [pending_from_json(row, now.mono) for row in saved["pending"]]
        self._listed_first_mono = now.mono - float(saved.get("history_waited_s", 0.0))
        for row in saved.get("history", ()):
            self._history.append(flow_from_json(row))
            if row["is_trade"]:
                self._seen_trades[row["flow_id"]] = row["wall"]
        for asset, amounts in saved["aside"].items():
            for units in amounts:
                self.unexplained.restore_aside(asset, finite(units), now.mono)
        for row in saved["lots"]:
            self.unexplained.post(lot_from_json(row, now.mono))
        for row in saved.get("over", ()):
            self.unexplained.remember(lot_from_json(row, now.mono))


def _forget_before(seen: dict[str, float], seconds: float) -> None:
    """Measured by the venue's own clock, so that a jump of ours makes no row new again."""
    newest = max(seen.values(), default=NEVER)
    for row_id in [row_id for row_id, wall in seen.items() if newest - wall > seconds]:
        del seen[row_id]
