"""What is held and what it is worth, what was gained, and how far every limit is: the money part of the status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from risk_daemon.breakers.base import VenueView
from risk_daemon.breakers.loss import LossCircuitBreaker
from risk_daemon.engine.engine import Engine
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Position
from risk_daemon.model.status import (
    DayProfitStatus,
    DistanceStatus,
    HoldingStatus,
    PositionStatus,
    ProfitsStatus,
    ProfitStatus,
)
from risk_daemon.model.units import EXACT, ZERO, fixed, plain
from risk_daemon.portfolio.manager import Equity, PortfolioManager
from risk_daemon.portfolio.positions import unrealized
from risk_daemon.portfolio.profit import DayProfit

SHOWN_DAYS = 31


def distances(engine: Engine, now: Instant) -> tuple[DistanceStatus, ...]:
    """Of every rule about a loss of the whole portfolio, the nearest first; what is not known last."""
    equity = engine.judged(now.mono)
    rules = [rule for rule in engine.manager.get_all_breakers() if isinstance(rule, LossCircuitBreaker)]
    found = [_distance(engine, rule, equity, now) for rule in rules]
    return tuple(one for _, one in sorted(found, key=lambda each: (each[0] is None, each[0] or ZERO)))


def _distance(
    engine: Engine, rule: LossCircuitBreaker, equity: Equity | None, now: Instant
) -> tuple[Decimal | None, DistanceStatus]:
    at = None if equity is None else rule.equity_at_limit(equity.value, engine.baselines, now)
    loss = None if equity is None else rule.loss_of(equity.value, engine.baselines, now)
    left = None if at is None or equity is None else fixed(equity.value - at)
    return left, DistanceStatus(
        rule=rule.name,
        action=rule.action.name.lower(),
        loss=None if loss is None else rule.limit.fact(loss),
        limit=rule.limit.fact(rule.limit.size),
        equity=_text(at),
        left=_text(left),
    )


def positions(portfolio: PortfolioManager) -> tuple[PositionStatus, ...]:
    """Every open position of every venue."""
    return tuple(_position(portfolio, venue, one) for venue in portfolio.venues() for one in portfolio.positions(venue))


def _position(portfolio: PortfolioManager, venue: str, position: Position) -> PositionStatus:
    mark, rate = portfolio.prices.mark(venue, position.symbol), portfolio.rate(position.settle)
    profit = worth = None
    if mark is not None and rate is not None:
        profit, worth = (fixed(EXACT.multiply(one, rate)) for one in unrealized(position, mark.value))
    return PositionStatus(
        venue=venue,
        symbol=position.symbol,
        quantity=plain(position.quantity),
        entry=plain(fixed(position.entry)),
        mark=None if mark is None else plain(mark.value),
        value=_text(worth),
        unrealized=_text(profit),
        stale=None if mark is None else mark.is_stale,
    )


def holdings(portfolio: PortfolioManager) -> tuple[HoldingStatus, ...]:
    """Every asset of every venue that is not zero."""
    return tuple(
        _holding(portfolio, venue, asset, amount)
        for venue in portfolio.venues()
        for asset, amount in portfolio.amounts(venue).items()
    )


def _holding(portfolio: PortfolioManager, venue: str, asset: str, amount: Decimal) -> HoldingStatus:
    rate = portfolio.rate(asset)
    return HoldingStatus(
        venue=venue,
        asset=asset,
        amount=plain(amount),
        price=_text(rate),
        value=None if rate is None else plain(fixed(EXACT.multiply(amount, rate))),
        stale=None if rate is None else portfolio.is_stale(asset),
    )


def profits(engine: Engine, now: Instant, views: Mapping[str, VenueView]) -> ProfitsStatus:
    """Of the running day, in all and by venue. views: of every venue, as they are now."""
    books, equity = engine.books, engine.judged(now.mono)
    venues = tuple(engine.portfolio.settings.expected)
    realized = {venue: books.profits.realized(venue) for venue in venues}
    still_open = _open_profits(engine)
    loss = None if equity is None else engine.baselines.daily_loss(equity.value)
    whole = _profit(None if loss is None else -loss, _sum(realized.values()), _sum(still_open.values()))
    return ProfitsStatus(
        total=whole.total,
        realized=whole.realized,
        unrealized=whole.unrealized,
        open=whole.open,
        day=max((day for venue in venues if (day := books.profits.day(venue)) is not None), default=None),
        venues={venue: _profit(_gained(views[venue]), realized[venue], still_open[venue]) for venue in venues},
        days=tuple(map(_day, books.profits.days[-SHOWN_DAYS * max(1, len(venues)) :])),
    )


def _gained(view: VenueView) -> Decimal | None:
    return None if view.equity is None or view.paid_in is None else view.equity.value - view.paid_in


def _profit(total: Decimal | None, realized: Decimal | None, still_open: Decimal | None) -> ProfitStatus:
    rest = None if total is None or realized is None else total - realized
    return ProfitStatus(total=_text(total), realized=_text(realized), unrealized=_text(rest), open=_text(still_open))


def _open_profits(engine: Engine) -> dict[str, Decimal | None]:
    """Of all positions by venue; None where one of them can't be known."""
    known: dict[str, list[Decimal | None]] = {venue: [] for venue in engine.portfolio.settings.expected}
    for one in engine.books.views.position_views():
        known.setdefault(one.venue, []).append(None if one.unrealized is None else one.unrealized.value)
    return {venue: _sum(profits) if profits else ZERO for venue, profits in known.items()}


def _day(one: DayProfit) -> DayProfitStatus:
    return DayProfitStatus(day=one.day, venue=one.venue, realized=plain(one.realized))


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    """None where one of them is not known, or there are none."""
    given = tuple(values)
    known = [value for value in given if value is not None]
    return sum(known, ZERO) if known and len(known) == len(given) else None


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(fixed(number) + ZERO)  # no -0
