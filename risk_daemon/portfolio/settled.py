"""What a flow that both witnesses told of is, and what it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from risk_daemon.model.events import Flow
from risk_daemon.model.units import EXACT, ZERO, fixed
from risk_daemon.portfolio.unexplained import Lot

Rate = Callable[[str], Decimal | None]
"""Units of the reference currency for one asset: 0 for one that is ignored, None for one without a price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A flow that both witnesses told of.

    value: its worth when it flowed. after, after_there: the equity with it, in all or of its venue, as it was then.
    The baselines move by that: a loss before it counts in full, one after it was none yet. is_past, is_past_there:
    more moved since. number: when it flowed, in the order of moves. is_late: it counted as loss or gain meanwhile.
    in_baselines, in_fund: all baselines, or the start of a fund, were taken meanwhile: they know of it. is_counted: the
    start of a fund rose by it already.
    """

    flow: Flow
    value: Decimal
    after: Decimal
    after_there: Decimal
    number: int
    is_past: bool = False
    is_past_there: bool = False
    is_late: bool = False
    in_baselines: bool = False
    in_fund: bool = False
    is_counted: bool = False


class Total(NamedTuple):
    """What the holdings of all venues moved so far: its worth, and in how many moves."""

    worth: Decimal
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What there is now.

    total: what all venues moved so far. equity, equity_there: the worth of everything, and of this venue. small: what
    is next to nothing for the portfolio. balances_mono, account_mono: when the last complete read of this venue's
    balances, and of all of the account, was begun. is_wild: whether prices moved it by more than that a moment ago.
    """

    now_mono: float
    rate: Rate
    total: Total
    equity: Decimal
    equity_there: Callable[[], Decimal]
    small: Decimal
    balances_mono: float
    account_mono: float
    is_wild: Callable[[], bool]


def worth_then(flow: Flow, lot: Lot | None, price: Decimal) -> Decimal:
    """What flowed at the price of the moment when it was seen; at `price` where there was none."""
    if lot is None or not lot.value or not lot.units:
        return fixed(flow.amount * price)
    return fixed(EXACT.divide(EXACT.multiply(flow.amount, lot.value), lot.units))


def settled_flow(flow: Flow, value: Decimal, lot: Lot | None, scene: Scene, total_there: Decimal) -> Settled:
    """By what was there when the lot was seen: all the moves by then, and what prices had made of it.

    total_there: what its venue's holdings moved so far.
    """
    equity, equity_there, total = scene.equity, scene.equity_there(), scene.total
    if lot is None:
        return Settled(flow=flow, value=value, after=equity, after_there=equity_there, number=total.number)
    is_priced = lot.by_prices is not None and lot.value
    by_prices = lot.by_prices if lot.by_prices is not None and is_priced else equity - total.worth
    by_prices_there = lot.by_prices_there if is_priced else None
    if by_prices_there is None:
        by_prices_there = equity_there - total_there
    return Settled(
        flow=flow,
        value=value,
        after=by_prices + lot.total,
        after_there=by_prices_there + lot.venue_total,
        number=lot.number,
        is_past=total.worth != lot.total,
        is_past_there=total_there != lot.venue_total,
        is_late=lot.is_over,
        in_baselines=lot.in_baselines,
        in_fund=lot.in_fund,
    )


def chained_flows(
    flows: Sequence[Flow], price: Decimal, lot: Lot | None, scene: Scene, total_there: Decimal
) -> list[Settled]:
    """Flows that one lot shows, the newest first: what the later ones moved came after the earlier ones."""
    settled, since = [], ZERO
    for flow in sorted(flows, key=lambda flow: -flow.wall):
        one = settled_flow(flow, worth_then(flow, lot, price), lot, scene, total_there)
        settled.append(
            replace(
                one,
                after=one.after - since,
                after_there=one.after_there - since,
                is_past=one.is_past or bool(since),
                is_past_there=one.is_past_there or bool(since),
            )
        )
        since += one.value
    return settled
