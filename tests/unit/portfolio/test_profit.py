"""Realised profit: the change of what all holdings cost, less flows."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.portfolio.profit import Profits
from risk_daemon.portfolio.unexplained import POSITIONS, AssetMove

DAY = "2026-11-21"


class Account:
    """One venue's holdings and prices, as the books would tell of them."""

    def __init__(self, **amounts: object) -> None:
        self.prices: dict[str, Decimal] = {"USDT": Decimal(1)}
        self.amounts = {asset: Decimal(str(amount)) for asset, amount in amounts.items()}
        self.profits = Profits()

    def look(self, day: str = DAY) -> Account:
        self.profits.look("v", day, dict(self.amounts), self.prices.get)
        return self

    def move(self, asset: str, units: object) -> Account:
        size, price = Decimal(str(units)), self.prices.get(asset)
        after = self.amounts.get(asset, Decimal(0)) + size
        self.amounts[asset] = after
        if not after:
            del self.amounts[asset]
        value = None if price is None else size * price
        self.profits.moved("v", [AssetMove(asset=asset, units=size, value=value)], dict(self.amounts))
        return self

    @property
    def realized(self) -> Decimal | None:
        return self.profits.realized("v")


def test_a_rise_of_what_is_held_is_not_realised() -> None:
    account = Account(USDT=1_000, BTC=1)
    account.prices["BTC"] = Decimal(50_000)
    account.look()
    account.prices["BTC"] = Decimal(60_000)
    assert account.look().realized == 0


def test_a_sale_realises_what_it_brought_above_the_cost() -> None:
    account = Account(BTC=1)
    account.prices["BTC"] = Decimal(50_000)
    account.look()
    account.prices["BTC"] = Decimal(60_000)
    account.move("BTC", "-0.5").move("USDT", 30_000)
    assert account.realized == 5_000


def test_what_is_bought_costs_what_was_paid_and_the_fee_is_a_loss() -> None:
    account = Account(USDT=60_030)
    account.prices["BTC"] = Decimal(60_000)
    account.look().move("USDT", -60_030).move("BTC", 1)
    assert account.realized == -30
    account.prices["BTC"] = Decimal(61_000)
    assert account.look().realized == -30
    assert account.move("BTC", -1).move("USDT", 61_000).realized == 970


def test_what_a_position_pays_out_is_realised_and_what_it_is_worth_is_not() -> None:
    account = Account(USDT=1_000).look()
    worth = AssetMove(asset=POSITIONS, units=Decimal(70), value=Decimal(70))
    account.profits.moved("v", [worth], dict(account.amounts))
    assert account.realized == 0
    assert account.move("USDT", 55).realized == 55


def test_flows_are_no_profit() -> None:
    account = Account(USDT=1_000).look().move("USDT", 500)
    assert account.realized == 500, "only its own row in the venue's book says that it is a flow"
    account.profits.flowed("v", Decimal(500))
    assert account.realized == 0


def test_a_debt_that_is_paid_back_for_less_than_it_was_worth_is_a_gain() -> None:
    account = Account(USDT=1_000)
    account.prices["BTC"] = Decimal(50_000)
    account.look().move("BTC", -1).move("USDT", 50_000)
    assert account.realized == 0
    account.prices["BTC"] = Decimal(40_000)
    account.move("BTC", "1.5").move("USDT", -60_000)
    assert account.realized == 10_000, "half a coin is held beyond the debt, at what it cost"


def test_without_a_price_nothing_is_known_and_the_first_price_is_the_cost() -> None:
    account = Account(USDT=1_000, NEW=10).look()
    assert account.realized is None
    account.prices["NEW"] = Decimal(2)
    assert account.look().realized == 0
    account.move("USDT", -100).move("ODD", 50)
    assert account.realized is None
    account.prices["ODD"] = Decimal(2)
    assert account.look().realized == 0, "bought for 100, worth 100 by its first price"


def test_a_new_day_begins_with_nothing_and_the_old_one_is_remembered() -> None:
    account = Account(USDT=1_000).look().move("USDT", -40)
    account.look("2026-11-22")
    assert account.realized == 0
    assert [(one.day, one.venue, one.realized) for one in account.profits.days] == [(DAY, "v", Decimal(-40))]
    account.look(DAY)
    assert account.profits.day("v") == "2026-11-22", "a clock that is set back begins no day"


def test_measured_anew_it_is_unknown_until_it_may_begin_and_the_day_keeps_what_it_brought() -> None:
    account = Account(USDT=1_000).look().move("USDT", -40)
    account.profits.forget()
    saved = json.loads(json.dumps(account.profits.snapshot()))
    account.profits = Profits()
    account.profits.restore(saved)
    assert account.realized is None
    account.move("USDT", -7)
    account.profits.flowed("v", Decimal(5))
    assert account.profits.look("v", DAY, dict(account.amounts), account.prices.get, may_begin_again=False) is False
    assert account.realized is None
    assert account.look().realized == 0
    assert account.move("USDT", 10).realized == 10
    [ended] = account.look("2026-11-22").profits.days
    assert ended.realized == Decimal(-30)


def test_a_restart_goes_on() -> None:
    account = Account(USDT=1_000, BTC=1, NEW=3)
    account.prices["BTC"] = Decimal(50_000)
    account.look().move("USDT", 40)
    saved = json.loads(json.dumps(account.profits.snapshot()))
    account.profits = Profits()
    account.profits.restore(saved)
    account.prices["NEW"] = Decimal(1)
    assert account.look().realized == 40
    assert account.look("2026-11-22").profits.days[0].realized == 40


def test_of_a_venue_that_was_never_seen_nothing_is_known() -> None:
    profits = Profits()
    profits.flowed("v", Decimal(5))
    profits.moved("v", [AssetMove(asset="USDT", units=Decimal(1), value=Decimal(1))], {"USDT": Decimal(1)})
    assert (profits.realized("v"), profits.day("v")) == (None, None)


@given(
    st.lists(
        st.tuples(st.sampled_from(["BTC", "ETH"]), st.integers(-5, 5).filter(bool), st.integers(1, 100)), max_size=30
    )
)
def test_once_everything_is_sold_all_that_was_gained_is_realised(
    trades: list[tuple[str, int, int]],
) -> None:
    account = Account(USDT=10_000).look()
    for asset, units, price in trades:
        account.prices[asset] = Decimal(price)
        account.move(asset, units).move("USDT", -units * price)
    for asset in ("BTC", "ETH"):
        left = account.amounts.get(asset)
        if left:
            account.move(asset, -left).move("USDT", left * account.prices[asset])
    gained = account.amounts.get("USDT", Decimal(0)) - 10_000
    assert account.realized is not None
    assert abs(account.realized - gained) < Decimal("0.000001")


def test_what_was_sold_before_it_ever_had_a_price_leaves_the_day_unknown() -> None:
    account = Account(USDT=1_000, XYZ=10).look()
    account.move("XYZ", -5).move("USDT", 250)
    account.prices["XYZ"] = Decimal(50)
    assert account.look().realized is None
    saved = json.loads(json.dumps(account.profits.snapshot()))
    account.profits = Profits()
    account.profits.restore(saved)
    assert account.move("XYZ", -5).move("USDT", 250).realized is None
    assert account.look("2026-11-22").realized == 0
    assert account.profits.days == (), "a day that nobody knows is not remembered as a number"


@pytest.mark.parametrize("saved", [{}, {"venues": 3}, {"venues": {"v": {"day": DAY}}, "days": []}])
def test_what_can_not_be_read_is_not_known_and_refuses_no_start(saved: Any) -> None:
    profits = Profits()
    profits.restore(saved)
    assert (profits.realized("v"), profits.days) == (None, ())
