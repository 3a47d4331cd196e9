"""The accounts as the day's snapshots have them, made of what the engine knows.

What is not known makes no row: whoever reads the rows misses it, and takes nothing for 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import NamedTuple
from uuid import UUID

from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.engine.engine import Engine
from risk_daemon.model.clock import Instant
from risk_daemon.portfolio.account import ACCOUNT_KINDS
from risk_daemon.portfolio.manager import PortfolioManager
from risk_daemon.state.store.snapshots import DEFAULT_LIMIT, Snapshot


def snapshots_of(engine: Engine, now: Instant, guard: str, accounts: Mapping[str, UUID]) -> dict[str, Snapshot]:
    """By venue: every account whose worth now and whose start of the running day are sure.

    accounts: ids by venue. Costs a pass over all holdings.
    """
    calendar = engine.baselines.calendar
    day = calendar.key(now.wall)
    make = partial(
        Snapshot,
        guard=guard,
        wall=now.wall,
        trading_day=day,
        day_ends_wall=calendar.end_wall(now.wall),
        reference_currency=engine.settings.reference,
        guard_start_of_day=_guard_start(engine, day),
        loss_limit=daily_limit(engine),
    )
    sure = {venue: _amounts(engine, now, venue, day) for venue in accounts}
    return {
        venue: make(
            account_id=accounts[venue],
            start_of_day_equity=amounts.start,
            current_equity=amounts.current,
            realized_pnl=amounts.realized,
            unrealized_pnl=None if amounts.realized is None else amounts.current - amounts.start - amounts.realized,
        )
        for venue, amounts in sure.items()
        if amounts is not None
    }


def daily_limit(engine: Engine) -> Decimal:
    """The least limit of a loss of the day that is a ratio; 3 % where there is none."""
    rules = (rule for rule in engine.manager.get_all_breakers() if isinstance(rule, DailyLossCircuitBreaker))
    return min((rule.limit.size for rule in rules if rule.limit.is_ratio), default=DEFAULT_LIMIT)


class _Amounts(NamedTuple):
    """realized: None where it is not known."""

    start: Decimal
    current: Decimal
    realized: Decimal | None


def _amounts(engine: Engine, now: Instant, venue: str, day: str) -> _Amounts | None:
    """None where the start of that day, or the worth now, is not sure."""
    start, view = engine.books.venue_days.start_of(venue), engine.venue_view(venue)
    if start.name != day or start.is_provisional or view.paid_in is None:
        return None
    if view.equity is None or not view.equity.is_trusted or not _is_seen_whole(engine.portfolio, venue, now.mono):
        return None
    profits = engine.books.profits
    realized = profits.realized(venue) if profits.day(venue) == day else None
    return _Amounts(view.paid_in, view.equity.value, realized)


def _guard_start(engine: Engine, day: str) -> Decimal | None:
    """What the guard's own ratio of the day is measured from; None where it has nothing to lose, or it is not sure."""
    baselines = engine.baselines
    is_sure = baselines.is_day_settled and not baselines.is_emptied and baselines.day == day
    return baselines.start_of_day if is_sure else None


def _is_seen_whole(portfolio: PortfolioManager, venue: str, now_mono: float) -> bool:
    """Whether the accounts were read lately, in this run, and everything in them has a price.

    What has no price counts for nothing in a worth: a debt like that would hide a loss.
    """
    settings = portfolio.settings
    for kind in settings.expected[venue] & set(ACCOUNT_KINDS):
        age_s = portfolio.age_s(venue, kind, now_mono)
        if age_s is None or age_s > settings.stale_after_s(venue, kind):
            return False
    has_rates = all(portfolio.rate(asset) is not None for asset in portfolio.amounts(venue))
    return has_rates and all(
        portfolio.prices.mark(venue, one.symbol) is not None and portfolio.rate(one.settle) is not None
        for one in portfolio.positions(venue)
    )
