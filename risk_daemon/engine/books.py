"""What is owned, what flowed in and out, and what losses are measured from: put together for the rules.

Known: every expected part was seen, in this run or in the last; then losses are judged. Started: all of
it was read in this run, and everything held has a price; then the gate may open and baselines rise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from risk_daemon.baselines.agreement import Agreement, Standing
from risk_daemon.baselines.baselines import Baselines
from risk_daemon.baselines.equity_history import SAMPLE_EVERY_S, EquityHistory
from risk_daemon.baselines.venue_days import VenueDays
from risk_daemon.breakers.base import EvaluationContext
from risk_daemon.engine.account_views import Views
from risk_daemon.engine.decision import KeepSample, ReadNow, Turn
from risk_daemon.engine.settings import EngineSettings
from risk_daemon.gate.activity import Activity
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    BalancesSeen,
    EventName,
    Flow,
    FlowsListed,
    FundBegan,
    Kind,
    PositionsSeen,
    PricesSeen,
    ReadingsWanted,
    Source,
    StreamConfirmed,
)
from risk_daemon.model.units import EXACT, ONE, ZERO, plain
from risk_daemon.portfolio.account import ACCOUNT_KINDS, Change
from risk_daemon.portfolio.flows import FlowTracker, Settled
from risk_daemon.portfolio.manager import TRUSTED_WIDTH, Equity, PortfolioManager
from risk_daemon.portfolio.profit import Profits
from risk_daemon.portfolio.rereads import Rereads
from risk_daemon.portfolio.witnesses import NOTHING_FOUND, Comparison

NEVER = float("-inf")
LOOK_AT_VENUES_EVERY_S = 1.0
_KIND_OF = {BalancesSeen: Kind.BALANCES, PositionsSeen: Kind.POSITIONS, PricesSeen: Kind.PRICES}
TELL_OF_VENUES_EVERY_S = 5.0  # often enough to know what a venue began the day with
LEDGER_KINDS = frozenset({Kind.FLOWS, Kind.BALANCES, Kind.POSITIONS})
PRICES_ONLY = frozenset({Kind.PRICES})
READ_KINDS = frozenset(ACCOUNT_KINDS) | PRICES_ONLY

# While baselines wait: the accounts are read so many times in `peak_hold_s`, prices so many times; and not for ever.
ACCOUNTS_A_HOLD = 2
PRICES_A_HOLD = 6
LEAST_PAUSE_S = 0.5
MOST_ASKS = 60

# Read anew so long before something goes stale: sums of seconds are rounded.
EARLY_S = 0.001


class Picture(NamedTuple):
    """The equity to judge by. suspected_high: its upper end if unexplained falls are losses and rises no gains.

    unsettled_fall: what of the falls is so young that the second row of a trade may still come.
    """

    equity: Equity
    suspected_high: Decimal
    unsettled_fall: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class _RestRead:
    """When the oldest REST read that still counts was begun; None if none does. So it is known `until_mono`."""

    begun_mono: float | None
    until_mono: float


class Books:
    """Portfolio, flows, baselines, history and the bots' deeds, moved together."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.portfolio = PortfolioManager(settings.baselines.initial_capital, settings.reference, settings.portfolio)
        self.baselines = Baselines(settings.baselines)
        self.agreement = Agreement(settings.baselines.peak_hold_s)
        self.flows = FlowTracker(settings.flows)
        self.venue_days = VenueDays(self.baselines.calendar, settings.baselines.peak_hold_s)
        self.profits = Profits()
        self.views = Views(self.portfolio, self.flows, self.venue_days)
        self.history = EquityHistory()
        self.activity = Activity()
        self._looked_at_venues_mono = self._settled_mono = NEVER
        self.watch_venues(False)
        self._unpriced: dict[str, float] = {}
        self._told_unpriced: set[str] = set()
        self.is_known = False
        self.is_started = False
        self._prices_rest_mono: dict[str, float] = {}
        self._rest_read: _RestRead | None = None
        self.rereads = Rereads()
        self._stretch: int | None = None
        self._has_read = True
        self._asks = 0
        self._asked_mono = self._asked_accounts_mono = NEVER

    def reconfigure(self, settings: EngineSettings, now_mono: float) -> None:
        """Other ages of data and another lookback: the rest of the books' settings is to be as it was."""
        self.settings, self._rest_read = settings, None
        self.portfolio.reconfigure(settings.portfolio, now_mono)
        self.baselines.reconfigure(settings.baselines)

    def watch_venues(self, watches_venues: bool) -> None:
        """Whether some rule wants the venues' starts of the day."""
        self._watches_venues = watches_venues
        self._look_at_venues_every_s = LOOK_AT_VENUES_EVERY_S if watches_venues else TELL_OF_VENUES_EVERY_S

    # --- what comes in -----------------------------------------------------------------------------

    def take_frame(self, event: BalancesSeen | PositionsSeen | PricesSeen | StreamConfirmed, turn: Turn) -> None:
        """What a venue says it holds, or what something is worth."""
        change = self.portfolio.apply(event)
        if not isinstance(event, StreamConfirmed):
            self._note_reading(event, change, turn)
        turn.persist = turn.persist or change.holdings
        if not self.is_started:
            self._look_for_start()

    def _note_reading(self, event: BalancesSeen | PositionsSeen | PricesSeen, change: Change, turn: Turn) -> None:
        """What follows from it besides the worth of things."""
        is_rest = event.source is Source.REST
        if is_rest:
            self._rest_read = None
        if isinstance(event, PricesSeen):
            turn.by_prices = True
            if is_rest:
                last = self._prices_rest_mono.get(event.venue, NEVER)
                self._prices_rest_mono[event.venue] = max(last, event.requested_mono)
        else:
            self._has_read = self._has_read or is_rest
            if change.moves:
                self._take_moves(change, event.requested_mono, turn.now.mono)
                self.agreement.moved(change.venue, change.moved)
        if change.found is not NOTHING_FOUND:
            self._take_found(change.found, event, turn)

    def _take_moves(self, change: Change, seen_mono: float, now_mono: float) -> None:
        """Note with what moved what was there then. One venue's worth costs a pass: only where a rule asks for it."""
        equity = self.portfolio.equity if self.is_started else None
        is_large = equity is not None and abs(change.moved) > abs(equity) * self.settings.flows.probe_ratio
        there = self.portfolio.venue_equity(change.venue) if is_large and self._watches_venues else None
        self.flows.moved(change.venue, change.moves, now_mono, seen_mono, equity=equity, equity_there=there)
        self.profits.moved(change.venue, change.moves, self.portfolio.amounts(change.venue))

    def _take_found(self, found: Comparison, event: BalancesSeen | PositionsSeen | PricesSeen, turn: Turn) -> None:
        """Stream and REST differ: tell it once the stream is proven wrong, and read again."""
        kind = _KIND_OF[type(event)]
        if found.overruled:
            turn.record(EventName.STREAM_CONTRADICTED, venue=event.venue, kind=kind, rows=list(found.overruled))
        if found.asks:
            self.rereads.want(event.venue, kind, turn.now.mono)

    def read_again(self, turn: Turn) -> None:
        """Ask for what stream and REST differ on."""
        if not self.rereads.due:
            return
        for venue, kind in self.rereads.take_due(turn.now.mono):
            turn.act(ReadNow(frozenset({kind}), frozenset({venue})))

    def take_wish(self, event: FundBegan | ReadingsWanted, turn: Turn) -> None:
        """A start that is to be taken for a fund, or everything that is to be read now."""
        if isinstance(event, ReadingsWanted):
            turn.act(ReadNow(READ_KINDS))
        else:
            turn.persist = self.baselines.fund.begin(event.founding, event.seat) or turn.persist

    def take_listing(self, event: FlowsListed, turn: Turn) -> None:
        """The rows of a ledger."""
        new = self.flows.listed(event)
        turn.persist = turn.persist or bool(new)

    def let_time_pass(self, turn: Turn) -> None:
        """What was not confirmed in time becomes an interval."""
        self.portfolio.refresh(turn.now.mono)
        self._look_for_start()
        self._tell_unpriced(turn)

    def _tell_unpriced(self, turn: Turn) -> None:
        """What is held and has had no price for `flow_wait` counts nothing from then on: that is told, once."""
        now_mono = turn.now.mono
        self._unpriced = {asset: self._unpriced.get(asset, now_mono) for asset in self.portfolio.unpriced()}
        self._told_unpriced &= self._unpriced.keys()
        for asset, since_mono in self._unpriced.items():
            if asset not in self._told_unpriced and now_mono - since_mono >= self.settings.flows.flow_wait_s:
                self._told_unpriced.add(asset)
                turn.record(EventName.ASSET_UNPRICED, asset=asset)

    def _look_for_start(self) -> None:
        """With baselines from the last run, an asset without a price does not keep us from judging the rest."""
        if self.is_started:
            return
        gaps = self.portfolio.unseen() if self.baselines.began_wall is not None else self.portfolio.missing()
        self.is_known = not gaps
        self.is_started = not (gaps or self.portfolio.missing() or self.portfolio.unconfirmed())

    # --- flows -------------------------------------------------------------------------------------

    def settle_flows(self, turn: Turn) -> None:
        """Move the baselines by the flows that both witnesses have told of, and ask for missing witnesses."""
        now_mono, portfolio = turn.now.mono, self.portfolio
        self._settled_mono = now_mono
        self.flows.follow_prices(now_mono, portfolio.equity, is_whole=self.is_started)
        if self.flows.is_at_rest:
            return
        if self.flows.is_waiting:
            self._settle(turn)
        venues = self.flows.wants_listing(now_mono, portfolio.equity) if self.is_known else ()
        if venues:
            self.flows.probed(venues, now_mono)
            turn.act(ReadNow(LEDGER_KINDS, frozenset(venues)))

    def _settle(self, turn: Turn) -> None:
        now_mono, portfolio = turn.now.mono, self.portfolio
        settled, unmatched = self.flows.settle(
            now_mono,
            portfolio.rate,
            portfolio.equity,
            equity_of=portfolio.venue_equity,
            balances_mono=lambda venue: portfolio.rest_mono(venue, Kind.BALANCES),
            account_mono=portfolio.read_mono,
        )
        for one in settled:
            self._move_baselines(one)
            turn.persist = True
            turn.record(EventName.FLOW_DETECTED, **_flow_facts(one.flow), value=plain(one.value))
        for flow in unmatched:
            turn.persist = True
            turn.record(EventName.FLOW_UNMATCHED, **_flow_facts(flow), fund_start_rose=self._raise_fund_start(flow))

    def _raise_fund_start(self, flow: Flow) -> bool:
        """A deposit that the holdings did not show may have come together with a loss: that must not hide in a fund."""
        fund = self.baselines.fund
        if flow.amount < 0 or not fund.is_since(flow.wall) or not self.flows.count_in_fund(flow):
            return False
        fund.pay(flow.amount * (self.portfolio.rate(flow.asset) or ZERO))
        return True

    def _move_baselines(self, settled: Settled) -> None:
        """By what was there when it flowed, not by what is there now: what came later is none of it."""
        venue, value = settled.flow.venue, settled.value
        after, after_there = settled.after, settled.after_there
        self.portfolio.net_flows += value
        self._pay_into_fund(settled)
        if settled.in_baselines:
            return
        self.baselines.rescale(after - value, after, is_past=settled.is_past, is_late=settled.is_late)
        self.history.rescale(after - value, after)
        self.profits.flowed(venue, value)
        self.venue_days.flowed(venue, after_there - value, after_there, is_past=settled.is_past_there)
        self.flows.flowed(settled, self._ratio(after, value), self._ratio(after_there, value))

    def _pay_into_fund(self, settled: Settled) -> None:
        """What its start knows of does not move it. Where a row that came in is younger, its lot is another one."""
        fund, value = self.baselines.fund, settled.value
        is_in = settled.in_fund and (value < 0 or not fund.is_since(settled.flow.wall))
        if not (is_in or settled.is_counted):
            fund.pay(value)

    def _ratio(self, after: Decimal, value: Decimal) -> Decimal:
        """How a flow of `value` moves what is measured by ratio; what was empty, or is now, moves by none."""
        is_empty = min(after, after - value) <= self.settings.baselines.empty_below
        return ONE if is_empty else EXACT.divide(after, after - value)

    # --- what is asked -----------------------------------------------------------------------------

    def picture(self, now_mono: float) -> Picture | None:
        """What is known of the equity; None before everything expected was seen.

        What only one witness has told of widens the interval.
        """
        if not self.is_known:
            return None
        interval, flows = self.portfolio.interval(), self.flows
        if flows.is_silent(now_mono):
            return Picture(interval, interval.high)
        more, less = flows.doubts(now_mono, self.portfolio.rate)
        equity = Equity(interval.value, interval.low - less, interval.high + more)
        young = flows.unsettled_fall(now_mono)
        return Picture(equity, equity.high - flows.fall() + young - flows.settled_rise(now_mono), young)

    def observe(self, picture: Picture | None, turn: Turn) -> None:
        """Let baselines rise by what is known for certain. While a trade is half told, nothing is.

        A bot that trades all the time must not keep the day from beginning: so half of a tiny one is no matter.
        """
        if picture is None or not self.is_started:
            return
        had_baselines, had_fund = self.baselines.capital is not None, self.baselines.fund.money is not None
        self._observe(picture, turn)
        if not had_baselines and self.baselines.capital is not None:
            self.flows.note_baselines()
        if not had_fund and self.baselines.fund.money is not None:
            self.flows.note_fund_start()

    def _observe(self, picture: Picture, turn: Turn) -> None:
        if picture.unsettled_fall and picture.unsettled_fall > abs(picture.equity.value) * TRUSTED_WIDTH:
            if self._has_read and self._is_read_whole():
                self.agreement.doubt(picture.equity.value)
            turn.persist = self.baselines.turn(turn.now) or turn.persist
            return
        equity = picture.equity
        is_trusted, standing = equity.is_trusted, self._compare(equity.value, turn.now.mono)
        is_sure = is_trusted and standing.stretch is not None
        rest_mono = self._rest_mono(turn.now.mono)
        if self.baselines.observe(equity.low, turn.now, trusted=is_sure, rest_mono=rest_mono, agreed=standing.holds):
            turn.persist = True
        # What is on its way in or out, or not known, is no return: the minute waits for its sample.
        sample = self.history.observe(equity, turn.now) if is_trusted else None
        if sample is not None:
            turn.act(KeepSample(sample))
        if turn.now.mono - self._looked_at_venues_mono >= self._look_at_venues_every_s:
            self._observe_venues(standing, turn)

    def _compare(self, equity: Decimal, now_mono: float) -> Standing:
        """What the last readings of the accounts say of one another. Before a new stretch nothing was sure."""
        agreement = self.agreement
        if self._has_read:
            self._has_read = False
            if self._is_read_whole():
                agreement.read(equity, now_mono)
        standing = agreement.standing(equity)
        if standing.stretch is not None and standing.stretch != self._stretch:
            self._stretch = standing.stretch
            if self.baselines.capital is None:
                self.flows.begin_anew(keeps=self.baselines.fund.money is not None)
            self.baselines.begin_anew()
            self.venue_days.begin_anew()
        return standing

    def _is_read_whole(self) -> bool:
        """Whether every account was read since the last reading was complete."""
        venues = (venue for venue, kinds in self.settings.portfolio.expected.items() if kinds & set(ACCOUNT_KINDS))
        return all(self.portfolio.read_mono(venue) >= self.agreement.begun_mono for venue in venues)

    def ask_for_readings(self, turn: Turn) -> None:
        """While baselines wait for readings that agree, the schedule is too slow; but a venue is not asked for ever."""
        is_waiting = self.baselines.is_waiting or (self._watches_venues and self.venue_days.is_waiting)
        if not (self.is_started and is_waiting):
            self._asks = 0
            return
        now_mono, hold_s = turn.now.mono, self.settings.baselines.peak_hold_s
        last_mono = self.agreement.begun_mono if self.agreement.taken else NEVER
        since_accounts_s = now_mono - max(last_mono, self._asked_accounts_mono)
        if self._asks >= MOST_ASKS:
            return
        if since_accounts_s >= max(hold_s / ACCOUNTS_A_HOLD, LEAST_PAUSE_S):
            self._asked_accounts_mono = now_mono
            turn.act(ReadNow(READ_KINDS))
        elif now_mono - self._asked_mono >= max(hold_s / PRICES_A_HOLD, LEAST_PAUSE_S):
            turn.act(ReadNow(PRICES_ONLY))
        else:
            return
        self._asks, self._asked_mono = self._asks + 1, now_mono

    def forget_baselines(self, now_mono: float) -> None:
        """A reset with `current`: readings requested from now on say what losses are measured from."""
        self.baselines.forget()
        self.venue_days.forget()
        self.profits.forget()
        self.agreement.restart(now_mono)

    def waiting(self) -> tuple[str, ...]:
        """What baselines wait for, in words; empty when there are all."""
        return tuple(f"{name} ({self.agreement.text()})" for name in self.baselines.waiting())

    def _observe_venues(self, standing: Standing, turn: Turn) -> None:
        """Costs a pass over all holdings, so only now and then."""
        now_mono, is_steady = turn.now.mono, standing.stretch is not None
        self._looked_at_venues_mono = now_mono
        self.views.look(now_mono)
        self._look_at_profits(turn)
        for venue, view in self.views.venue_views().items():
            if view.equity is not None and self.venue_days.observe(
                venue, view.equity, turn.now, steady=is_steady, agreed=standing.holds
            ):
                turn.persist = True

    def _look_at_profits(self, turn: Turn) -> None:
        day = self.baselines.calendar.key(turn.now.wall)
        for venue in self.portfolio.venues():
            amounts, is_known = self.portfolio.amounts(venue), not self.baselines.is_waiting
            if self.profits.look(venue, day, amounts, self.portfolio.rate, may_begin_again=is_known):
                turn.persist = True

    def context(self, picture: Picture | None) -> EvaluationContext:
        """What the rules may look at."""
        equity, suspected = (None, None) if picture is None else (picture.equity, picture.suspected_high)
        return EvaluationContext(
            equity, suspected, self.baselines, accounts=self.views, activity=self.activity, history=self.history
        )

    def ground(self, now: Instant) -> tuple[object, ...]:
        """All that the rules' answers rest on besides the equity, and the deeds of bots and people."""
        return (self.baselines.figures(), self.history.last, self.views.seen, int(now.wall // SAMPLE_EVERY_S))

    def are_read_since(self, mono: float) -> bool:
        """Whether every expected part was read over REST, requested at `mono` or later.

        Every price that values something must have been named: a reply that leaves one out confirms nothing, nor
        does one that contradicts what is in force.
        """
        return all(read >= mono for _, _, read in self._reads()) and self.portfolio.priced_mono() >= mono

    def _reads(self) -> list[tuple[str, Kind, float]]:
        """Venue, kind, and when its last REST read was begun."""
        prices, account = self._prices_rest_mono, self.portfolio.rest_mono
        return [
            (venue, kind, prices.get(venue, NEVER) if kind is Kind.PRICES else account(venue, kind))
            for venue, kinds in self.settings.portfolio.expected.items()
            for kind in kinds
        ]

    def _rest_mono(self, now_mono: float) -> float | None:
        """When the oldest REST read that still counts was begun. What is stale counts as doubt anyway."""
        if self._rest_read is None or now_mono >= self._rest_read.until_mono:
            stale_after_s = self.settings.portfolio.stale_after_s
            times = [(read, stale_after_s(venue, kind)) for venue, kind, read in self._reads()]
            counting = [(read, stale_s) for read, stale_s in times if now_mono - read <= stale_s]
            until_mono = min((read + stale_s for read, stale_s in counting), default=float("inf"))
            self._rest_read = _RestRead(min((read for read, _ in counting), default=None), until_mono - EARLY_S)
        return self._rest_read.begun_mono

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Documents to persist, by name."""
        return {
            "baselines": self.baselines.snapshot(),
            "portfolio": self.portfolio.snapshot(),
            "flows": self.flows.snapshot(self._settled_mono),
            "venue_days": self.venue_days.snapshot(),
            "profit": self.profits.snapshot(),
        }

    def restore(self, documents: Mapping[str, Any], now: Instant) -> None:
        """Take back what was persisted."""
        self._settled_mono, self._rest_read = now.mono, None
        if "baselines" in documents:
            self.baselines.restore(documents["baselines"])
        if "portfolio" in documents:
            self.portfolio.restore(documents["portfolio"])
        if "flows" in documents:
            self.flows.restore(documents["flows"], now)
        if "venue_days" in documents:
            self.venue_days.restore(documents["venue_days"])
        if "profit" in documents:
            self.profits.restore(documents["profit"])
        self._look_for_start()


def _flow_facts(flow: Flow) -> dict[str, Any]:
    return {
        "venue": flow.venue,
        "flow_id": flow.flow_id,
        "kind": flow.kind,
        "asset": flow.asset,
        "amount": plain(flow.amount),
    }
