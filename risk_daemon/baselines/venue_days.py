"""What each venue was worth when the day began, net of what was moved in and out of it since."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from risk_daemon.baselines.median_window import MedianWindow
from risk_daemon.baselines.period_start import PeriodStart
from risk_daemon.baselines.trading_day import TradingDay
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import ONE, finite, plain
from risk_daemon.portfolio.manager import Equity

EMPTY_BELOW = ONE


class VenueDays:
    """Starts of the day by venue, taken like the portfolio's own: the median by time over `hold_s` of what is sure."""

    def __init__(self, calendar: TradingDay, hold_s: float) -> None:
        self._calendar = calendar
        self._hold_s = hold_s
        self._starts: dict[str, PeriodStart] = {}
        self._windows: dict[str, MedianWindow] = {}
        self._emptied_at: dict[str, Decimal] = {}

    def start_of(self, venue: str) -> PeriodStart:
        """The start of the running day of `venue`; without a value where it is not known."""
        if venue not in self._starts:
            self._starts[venue], self._windows[venue] = PeriodStart(self._calendar.key), MedianWindow(self._hold_s)
        return self._starts[venue]

    @property
    def is_waiting(self) -> bool:
        """Whether the start of some venue's day is still to be taken."""
        return any(start.is_provisional for start in self._starts.values())

    def observe(self, venue: str, equity: Equity, now: Instant, *, steady: bool, agreed: bool) -> bool:
        """Take a venue's worth in. Returns whether a start of day changed.

        steady: whether it goes on with what the last readings of the accounts said; agreed: and they agreed for long.
        What held until now is the last word of a day that ends now.
        """
        start, window = self.start_of(venue), self._windows[venue]
        sure = window.median(now.mono) if agreed else None
        changed = sure is not None and start.settle(sure, now)
        changed = start.turn(now) or changed
        if equity.is_trusted and steady:
            window.add(now.mono, equity.low)
        else:
            window.clear()
        return changed

    def begin_anew(self) -> None:
        """The accounts hold something else now: what was sure before says nothing of what is."""
        for window in self._windows.values():
            window.clear()

    def flowed(self, venue: str, before: Decimal, after: Decimal, *, is_past: bool = False) -> None:
        """Flows took the venue from `before` to `after`. One that they emptied has nothing to lose until a refill.

        is_past: more has moved since; where that emptied the venue, this flow came before the emptying.
        """
        start, amount = self.start_of(venue), after - before
        self._windows[venue].clear()
        start.pay(amount)
        emptied_at = self._emptied_at.get(venue)
        if emptied_at is not None and is_past and min(before, after) > EMPTY_BELOW:
            start.map(lambda value: value * after / before)
        elif emptied_at is not None:
            if after > EMPTY_BELOW:
                del self._emptied_at[venue]
                start.map(lambda value: value * after / emptied_at)
        elif before > EMPTY_BELOW and after <= EMPTY_BELOW:
            self._emptied_at[venue] = before
        elif before > EMPTY_BELOW:
            start.map(lambda value: value * after / before)
        else:
            start.map(lambda value: value + amount)

    def is_emptied(self, venue: str) -> bool:
        """Whether flows took out all there was."""
        return venue in self._emptied_at

    def forget(self) -> None:
        """Take the next sure values."""
        self._emptied_at.clear()
        for start in self._starts.values():
            start.forget()
        self.begin_anew()

    def snapshot(self) -> dict[str, Any]:
        return {
            "starts": {venue: start.snapshot() for venue, start in self._starts.items()},
            "emptied_at": {venue: plain(at) for venue, at in self._emptied_at.items()},
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        for venue, saved in data["starts"].items():
            self.start_of(venue).restore(saved)
        self._emptied_at = {venue: finite(at) for venue, at in data["emptied_at"].items()}
