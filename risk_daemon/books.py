"""What is owned, what flowed in and out, and what losses are measured from: put together for the rules.

Known: every expected part was seen, in this run or in the last; then losses are judged. Started: all of
it was read in this run, and everything held has a price; then the gate may open and baselines rise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.activity import Activity
from risk_daemon.baselines import Baselines
from risk_daemon.breakers.base import EvaluationContext
from risk_daemon.clock import Instant
from risk_daemon.decision import KeepSample, ReadNow
from risk_daemon.engine_settings import EngineSettings
from risk_daemon.equity_history import EquityHistory
from risk_daemon.events import (
    BalancesSeen,
    EventName,
    FlowsListed,
    Kind,
    PositionsSeen,
    PricesSeen,
    Source,
    StreamConfirmed,
)
from risk_daemon.flows import FlowTracker
from risk_daemon.portfolio import Equity, PortfolioManager
from risk_daemon.turn import Turn
from risk_daemon.units import ZERO, plain
from risk_daemon.venue_days import VenueDays
from risk_daemon.views import Views

NEVER = float("-inf")
LOOK_AT_VENUES_EVERY_S = 1.0
TELL_OF_VENUES_EVERY_S = 5.0  # often enough to know what a venue began the day with
LEDGER_KINDS = frozenset({Kind.FLOWS, Kind.BALANCES, Kind.POSITIONS})


@dataclass(frozen=True, slots=True)
class Picture:
    """The equity to judge by. suspected_high: its upper end if unexplained falls are losses and rises no gains."""

    equity: Equity
    suspected_high: Decimal


class Books:
    """Portfolio, flows, baselines, history and the bots' deeds, moved together."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.portfolio = PortfolioManager(settings.baselines.initial_capital, settings.reference, settings.portfolio)
        self.baselines = Baselines(settings.baselines)
        self.flows = FlowTracker(settings.flows)
        self.venue_days = VenueDays(self.baselines.calendar, settings.baselines.peak_hold_s)
        self.views = Views(self.portfolio, self.flows, self.venue_days)
        self.history = EquityHistory()
        self.activity = Activity()
        self._looked_at_venues_mono = NEVER
        self.is_known = False
        self.is_started = False
        self._prices_rest_mono: dict[str, float] = {}

    # --- what comes in -----------------------------------------------------------------------------

    def take_frame(self, event: BalancesSeen | PositionsSeen | PricesSeen | StreamConfirmed, turn: Turn) -> None:
        """What a venue says it holds, or what something is worth."""
        change = self.portfolio.apply(event)
        if change.moved and not isinstance(event, PricesSeen | StreamConfirmed):
            self.flows.moved(change.venue, change.moved, turn.now.mono, event.requested_mono)
        if isinstance(event, PricesSeen):
            turn.by_prices = True
            if event.source is Source.REST:
                last = self._prices_rest_mono.get(event.venue, NEVER)
                self._prices_rest_mono[event.venue] = max(last, event.requested_mono)
        turn.persist = turn.persist or change.holdings
        self._look_for_start()

    def take_listing(self, event: FlowsListed, turn: Turn) -> None:
        """The rows of a ledger."""
        new = self.flows.listed(event)
        turn.persist = turn.persist or bool(new)

    def let_time_pass(self, now_mono: float) -> None:
        """What was not confirmed in time becomes an interval."""
        self.portfolio.refresh(now_mono)
        self._look_for_start()

    def _look_for_start(self) -> None:
        """With baselines from the last run, an asset without a price does not keep us from judging the rest."""
        if self.is_started:
            return
        gaps = self.portfolio.unseen() if self.baselines.began_wall is not None else self.portfolio.missing()
        self.is_known = not gaps
        self.is_started = not (gaps or self.portfolio.missing() or self.portfolio.unconfirmed())

    # --- flows -------------------------------------------------------------------------------------

    def settle_flows(self, turn: Turn) -> None:
        """Move the baselines by the flows that both witnesses have told of, and ask for missing witnesses.

        What is not explained yet counts as not having happened: it may be another flow, or the other
        end of this one.
        """
        now_mono, portfolio = turn.now.mono, self.portfolio
        settled = self.flows.settle(
            now_mono,
            portfolio.rate,
            balances_mono=lambda venue: portfolio.rest_mono(venue, Kind.BALANCES),
            account_mono=portfolio.read_mono,
        )
        if settled:
            total = sum((value for _, value in settled), ZERO)
            after = portfolio.equity - self.flows.net()
            self.baselines.rescale(after - total, after)
            self.history.rescale(after - total, after)
            portfolio.net_flows += total
            turn.persist = True
        for venue in {flow.venue for flow, _ in settled}:
            self._venue_flowed(venue, sum((value for flow, value in settled if flow.venue == venue), ZERO))
        for flow, value in settled:
            amounts = {"amount": plain(flow.amount), "value": plain(value)}
            facts = {"venue": flow.venue, "flow_id": flow.flow_id, "kind": flow.kind, "asset": flow.asset, **amounts}
            turn.record(EventName.FLOW_DETECTED, **facts)
        venues = self.flows.wants_listing(now_mono, portfolio.equity) if self.is_known else ()
        if venues:
            self.flows.probed(venues, now_mono)
            turn.act(ReadNow(LEDGER_KINDS, frozenset(venues)))

    def _venue_flowed(self, venue: str, amount: Decimal) -> None:
        after = self.portfolio.venue_equity(venue) - self.flows.net(venue)
        self.venue_days.flowed(venue, after - amount, after)

    # --- what is asked -----------------------------------------------------------------------------

    def picture(self, now_mono: float) -> Picture | None:
        """What is known of the equity; None before everything expected was seen.

        Flows that only one witness has told of widen the interval both ways.
        """
        if not self.is_known:
            return None
        interval, flows = self.portfolio.interval(), self.flows
        fall, rise = flows.unverified()
        leaving, coming = flows.pending(self.portfolio.rate)
        equity = Equity(interval.value, interval.low - rise - coming, interval.high + fall + leaving)
        suspected = interval.high + leaving + flows.unsettled_fall(now_mono) - flows.settled_rise(now_mono)
        return Picture(equity, suspected)

    def observe(self, picture: Picture | None, turn: Turn) -> None:
        """Let baselines rise by what is known for certain. While a trade is half told, nothing is."""
        if picture is None or not self.is_started or self.flows.unsettled_fall(turn.now.mono):
            return
        equity = picture.equity
        rest_mono = self._rest_mono(turn.now.mono)
        if self.baselines.observe(equity.low, turn.now, trusted=equity.is_trusted, rest_mono=rest_mono):
            turn.persist = True
        # What is on its way in or out, or not known, is no return: the minute waits for its sample.
        sample = self.history.observe(equity, turn.now) if equity.is_trusted else None
        if sample is not None:
            turn.act(KeepSample(sample))
        self._observe_venues(turn)

    def _observe_venues(self, turn: Turn) -> None:
        """Costs a pass over all holdings, so only now and then: for people less often than for a rule."""
        now_mono = turn.now.mono
        every_s = LOOK_AT_VENUES_EVERY_S if self.settings.watches_venues else TELL_OF_VENUES_EVERY_S
        if now_mono - self._looked_at_venues_mono < every_s:
            return
        self._looked_at_venues_mono = now_mono
        self.views.look()
        for venue, view in self.views.venue_views().items():
            equity = view.equity
            if equity is not None and self.venue_days.observe(venue, equity, turn.now):
                turn.persist = True

    def context(self, picture: Picture | None) -> EvaluationContext:
        """What the rules may look at."""
        equity, suspected = (None, None) if picture is None else (picture.equity, picture.suspected_high)
        return EvaluationContext(
            equity, suspected, self.baselines, accounts=self.views, activity=self.activity, history=self.history
        )

    def are_read_since(self, mono: float) -> bool:
        """Whether every expected part was read over REST, requested at `mono` or later.

        Every price that values something must have been named: a reply that leaves one out confirms nothing.
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
        stale_after_s = self.settings.portfolio.stale_after_s
        counting = [read for venue, kind, read in self._reads() if now_mono - read <= stale_after_s(venue, kind)]
        return min(counting, default=None)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Documents to persist, by name."""
        return {
            "baselines": self.baselines.snapshot(),
            "portfolio": self.portfolio.snapshot(),
            "flows": self.flows.snapshot(),
            "venue_days": self.venue_days.snapshot(),
        }

    def restore(self, documents: Mapping[str, Any], now: Instant) -> None:
        """Take back what was persisted."""
        if "baselines" in documents:
            self.baselines.restore(documents["baselines"])
        if "portfolio" in documents:
            self.portfolio.restore(documents["portfolio"])
        if "flows" in documents:
            self.flows.restore(documents["flows"], now)
        if "venue_days" in documents:
            self.venue_days.restore(documents["venue_days"])
        self._look_for_start()
