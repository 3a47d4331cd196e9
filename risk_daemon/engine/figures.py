"""Equity, losses and state as people and programs read them. Unknown is None, never 0."""

from __future__ import annotations

from typing import Any

from risk_daemon.engine.books import Books
from risk_daemon.engine.decision import Turn
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.model.units import plain


def figures_of(books: Books, state: CircuitBreakerState, now_mono: float) -> dict[str, Any]:
    """The figures for logs and files: ratios are numbers, amounts decimal strings."""
    picture = books.picture(now_mono)
    equity = None if picture is None else picture.equity
    loss = None if equity is None else books.baselines.loss_ratio(equity.value)
    drawdown = None if equity is None else books.baselines.drawdown_ratio(equity.value)
    return {
        "equity": None if equity is None else plain(equity.value),
        "equity_low": None if equity is None else plain(equity.low),
        "equity_high": None if equity is None else plain(equity.high),
        "trusted": equity is not None and books.is_started and equity.is_trusted,
        "loss_ratio": None if loss is None else float(loss),
        "drawdown_ratio": None if drawdown is None else float(drawdown),
        "state": state.value,
    }


class Updates:
    """Tells `portfolio_update`: once every `every_s` at most, while something changes, and with every new state."""

    def __init__(self, books: Books, every_s: float) -> None:
        self._books = books
        self._every_s = every_s
        self._told: tuple[Any, ...] = ()
        self._told_mono = float("-inf")

    def tell(self, before: CircuitBreakerState, after: CircuitBreakerState, turn: Turn) -> None:
        """Nothing is told before the first baseline."""
        now_mono = turn.now.mono
        is_due = now_mono - self._told_mono >= self._every_s
        if not (is_due or before is not after) or not self._books.is_started or self._books.baselines.capital is None:
            return
        figures, unpriced = figures_of(self._books, after, now_mono), list(self._books.portfolio.unpriced())
        told = (figures["equity"], figures["equity_low"], figures["equity_high"], unpriced)
        if told == self._told and before is after:
            return
        self._told, self._told_mono = told, now_mono
        turn.records.insert(0, RiskEvent(EventName.PORTFOLIO_UPDATE, {**figures, "unpriced": unpriced}))
