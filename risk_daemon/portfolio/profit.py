"""What was gained and lost for good today, by venue: for people, no rule looks at it.

Every holding has a cost: what it was worth when the day began, and what was paid for what came since, by our own
prices at that moment. What leaves takes its part of the cost along (average cost). So the cost of all holdings
together changes only where something was sold for more or less than it had cost, where a position paid out, or by
fees, funding and interest: that change, less what flowed in and out, is the realised profit. What is not realised
is the rest of the day's profit. A flow counts as profit until its second witness has told of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.model.units import EXACT, ZERO, finite, fixed, plain
from risk_daemon.portfolio.unexplained import POSITIONS, AssetMove

Rate = Callable[[str], Decimal | None]
KEPT_DAYS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class DayProfit:
    """What a venue realised on an ended day, in the reference currency."""

    day: str
    venue: str
    realized: Decimal


class _Costs:
    """One venue's holdings at cost, since `day` began. costs: None where no price was known when something came.

    base: what all of them cost when it began. unbased: what was there then, without a price yet. is_unknown: some of
    that moved before it had one, so nobody will ever know what it cost. is_begun: false between a new start of the
    day and the moment that losses are measured from; earlier: what the day had realised before that.
    """

    def __init__(self, day: str) -> None:
        self.day = day
        self.costs: dict[str, Decimal | None] = {}
        self.base = ZERO
        self.flows = ZERO
        self.unbased: set[str] = set()
        self.is_unknown = False
        self.is_begun = False
        self.earlier: Decimal | None = ZERO

    def forget(self) -> None:
        """Begin anew, in the middle of the day."""
        self.earlier, self.is_begun = self.whole(), False
        self.costs, self.base, self.flows, self.unbased, self.is_unknown = {}, ZERO, ZERO, set(), False

    def begin(self, amounts: Mapping[str, Decimal], rate: Rate) -> None:
        """What is held now costs what it is worth now."""
        self.is_begun = True
        self.costs = {asset: _worth(amount, rate(asset)) for asset, amount in amounts.items()}
        self.unbased = {asset for asset, cost in self.costs.items() if cost is None}
        self.base = sum((cost for cost in self.costs.values() if cost is not None), ZERO)

    def move(self, asset: str, units: Decimal, value: Decimal | None, after: Decimal) -> None:
        """So many units came (+) or went (-), worth `value`; `after` is what is held then."""
        before, cost = EXACT.subtract(after, units), self.costs.get(asset, ZERO)
        self.is_unknown = self.is_unknown or asset in self.unbased
        if after == 0:
            self.costs.pop(asset, None)
        elif value is None:
            self.costs[asset] = None
        elif before * after <= 0:  # there was nothing, or a debt became a holding: all of it is new
            self.costs[asset] = fixed(EXACT.divide(EXACT.multiply(value, after), units))
        elif cost is None:
            return
        elif abs(after) > abs(before):
            self.costs[asset] = EXACT.add(cost, value)
        else:
            self.costs[asset] = fixed(EXACT.divide(EXACT.multiply(cost, after), before))

    def price(self, amounts: Mapping[str, Decimal], rate: Rate) -> None:
        """What came unpriced costs what it is worth by its first price."""
        for asset in [asset for asset, cost in self.costs.items() if cost is None]:
            cost = _worth(amounts.get(asset, ZERO), rate(asset))
            if cost is not None:
                self.costs[asset] = cost
                self.base = EXACT.add(self.base, cost) if asset in self.unbased else self.base
                self.unbased.discard(asset)

    def total(self) -> Decimal | None:
        """None while the cost of something is not known."""
        known = [cost for cost in self.costs.values() if cost is not None]
        return sum(known, ZERO) if len(known) == len(self.costs) else None

    def realized(self) -> Decimal | None:
        total = self.total() if self.is_begun else None
        return None if total is None or self.is_unknown else fixed(total - self.base - self.flows)

    def whole(self) -> Decimal | None:
        """Of all of the day, whatever losses are measured from."""
        realized = self.realized() if self.is_begun else ZERO
        return None if realized is None or self.earlier is None else EXACT.add(self.earlier, realized)


class Profits:
    """Realised profit of the running day by venue, and of the days before."""

    def __init__(self) -> None:
        self._venues: dict[str, _Costs] = {}
        self._days: list[DayProfit] = []

    @property
    def days(self) -> tuple[DayProfit, ...]:
        """Days that have ended, oldest first."""
        return tuple(self._days)

    def day(self, venue: str) -> str | None:
        """The day that is counted there; None before anything was seen."""
        costs = self._venues.get(venue)
        return None if costs is None else costs.day

    def realized(self, venue: str) -> Decimal | None:
        """Since the day began, in the reference currency. None where it is not known."""
        costs = self._venues.get(venue)
        return None if costs is None else costs.realized()

    def forget(self) -> None:
        """Losses are measured from another moment: so is what is realised. Not known before `look` may begin again."""
        for costs in self._venues.values():
            costs.forget()

    def look(
        self, venue: str, day: str, amounts: Mapping[str, Decimal], rate: Rate, *, may_begin_again: bool = True
    ) -> bool:
        """Begin a day when it comes, and price what had no price. Returns whether anything began.

        may_begin_again: it is known what losses are measured from.
        """
        costs = self._venues.get(venue)
        if costs is not None and not costs.is_begun and not may_begin_again:
            return False
        if costs is not None and costs.day >= day:
            if costs.is_begun:
                costs.price(amounts, rate)
                return False
            costs.begin(amounts, rate)
            return True
        if costs is not None and (realized := costs.whole()) is not None:
            self._days = [*self._days, DayProfit(day=costs.day, venue=venue, realized=realized)][-KEPT_DAYS:]
        self._venues[venue] = costs = _Costs(day)
        costs.begin(amounts, rate)
        return True

    def moved(self, venue: str, moves: Iterable[AssetMove], amounts: Mapping[str, Decimal]) -> None:
        """Holdings changed to `amounts`. What positions are worth is nobody's until they are closed."""
        costs = self._venues.get(venue)
        if costs is None or not costs.is_begun:
            return
        for move in moves:
            if move.asset != POSITIONS:
                costs.move(move.asset, move.units, move.value, amounts.get(move.asset, ZERO))

    def flowed(self, venue: str, value: Decimal) -> None:
        """Money worth `value` came in (or went out, below zero): it is no profit."""
        costs = self._venues.get(venue)
        if costs is not None and costs.is_begun:
            costs.flows = EXACT.add(costs.flows, value)

    def snapshot(self) -> dict[str, Any]:
        return {
            "venues": {venue: _costs_to_json(costs) for venue, costs in self._venues.items()},
            "days": [{"day": one.day, "venue": one.venue, "realized": plain(one.realized)} for one in self._days],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take back what was persisted. What can't be read is not known: it is for people, and refuses no start."""
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            self._restore(data)

    def _restore(self, data: Mapping[str, Any]) -> None:
        self._venues = {venue: _costs_from_json(saved) for venue, saved in data["venues"].items()}
        self._days = [
            DayProfit(day=row["day"], venue=row["venue"], realized=finite(row["realized"])) for row in data["days"]
        ]


def _worth(amount: Decimal, rate: Decimal | None) -> Decimal | None:
    return None if rate is None else fixed(EXACT.multiply(amount, rate))


def _costs_to_json(costs: _Costs) -> dict[str, Any]:
    return {
        "day": costs.day,
        "base": plain(costs.base),
        "flows": plain(costs.flows),
        "unbased": sorted(costs.unbased),
        "is_unknown": costs.is_unknown,
        "is_begun": costs.is_begun,
        "earlier": None if costs.earlier is None else plain(costs.earlier),
        "costs": {asset: None if cost is None else plain(cost) for asset, cost in costs.costs.items()},
    }


def _costs_from_json(saved: Mapping[str, Any]) -> _Costs:
    costs = _Costs(saved["day"])
    costs.base, costs.flows, costs.unbased = finite(saved["base"]), finite(saved["flows"]), set(saved["unbased"])
    costs.is_unknown = saved["is_unknown"] is True
    # Earlier versions knew of no second beginning.
    costs.is_begun = saved.get("is_begun", True) is True
    costs.earlier = None if (earlier := saved.get("earlier", "0")) is None else finite(earlier)
    costs.costs = {asset: None if cost is None else finite(cost) for asset, cost in saved["costs"].items()}
    return costs
