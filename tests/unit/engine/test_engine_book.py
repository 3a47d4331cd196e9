"""Falls at constant prices by what the venue's own book says: traded, moved, late, unexplained."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.model.events import EventName, Flow
from tests.core_world import World, amounts, price


def opened(**spot: object) -> World:
    """Venues whose books tell of everything. 10,000 USDT, or `spot` in place of half of it."""
    world = World()
    world.tells_trades = True
    if spot:
        world.holdings["spot"] = amounts(**spot)
    return world.start()


def tripped(world: World) -> bool:
    return bool(world.records(EventName.CIRCUIT_BREAKER_TRIGGERED))


def lose_by_trade(world: World, amount: object, venue: str = "perp") -> None:
    world.trade(venue, USDT=-Decimal(str(amount)))


def withdraw(world: World, amount: object, venue: str = "perp") -> None:
    world.move_money(venue, "USDT", -Decimal(str(amount)))
    world.tell_balance(venue, "USDT")


# --- traded, moved, unexplained --------------------------------------------------------------------------


def test_a_traded_loss_trips_at_once() -> None:
    world = opened()
    lose_by_trade(world, 600)
    world.run(4.0)
    assert tripped(world)


def test_a_loss_by_a_bad_trade_trips_at_once_though_both_its_legs_moved() -> None:
    world = opened()
    world.trade("spot", USDT=-4_000, BTC="0.06")  # 0.06 BTC are worth 3,000
    world.run(4.0)
    assert tripped(world)


def test_half_of_the_account_missing_from_two_readings_in_a_row_is_no_loss_before_flow_wait() -> None:
    world = opened()
    world.holdings["perp"] = {}
    world.read_all()
    world.run(6.0)
    world.read_all()
    assert world.gate == "confirming"
    world.run(50.0)
    assert not tripped(world)
    world.holdings["perp"] = amounts(USDT=5_000)
    world.read_all()
    world.run(5.0)
    assert not tripped(world)
    assert world.gate == "open"


def test_what_nobody_explains_counts_as_loss_after_flow_wait() -> None:
    world = opened()
    withdraw(world, 600)
    world.run(58.0)
    assert not tripped(world)
    assert world.gate != "open"
    world.run(6.0)
    assert tripped(world)


@pytest.mark.parametrize("late_s", [0.0, 5.0, 20.0, 50.0])
def test_a_withdrawal_whose_row_comes_late_trips_nothing(late_s: float) -> None:
    world = opened()
    withdraw(world, 600)
    world.run(late_s)
    world.book_flow("perp", "USDT", -600)
    world.run(75.0)
    assert not tripped(world)
    assert world.gate == "open"
    assert world.loss == 0.0
    assert len(world.records(EventName.FLOW_DETECTED)) == 1


def test_an_asset_with_a_new_name_after_a_gap_is_no_loss() -> None:
    world = opened(OLD=1_000)
    for venue in ("spot", "perp"):
        world.prices[venue] |= {"OLD/USDT": price("OLD/USDT", 5), "NEW/USDT": price("NEW/USDT", 5)}
    world.read_all()
    world.run(30.0)
    world.forget()
    world.holdings["spot"] = {}
    world.read_all()
    world.run(3.0)
    assert world.gate == "confirming"
    world.holdings["spot"] = amounts(NEW=1_000)
    world.read_all()
    world.run(80.0)
    assert not tripped(world)
    assert world.gate == "open"


@pytest.mark.parametrize("is_booked", [True, False])
def test_the_legs_of_a_trade_three_seconds_apart_are_no_loss(is_booked: bool) -> None:
    world = opened()
    if is_booked:
        world.book_trade("spot", USDT=-4_000, BTC="0.08")
    world.stream_balances("spot", USDT=1_000)
    world.run(3.0)
    assert not tripped(world)
    world.stream_balances("spot", BTC="0.08")
    world.run(80.0)
    assert not tripped(world)
    assert world.gate == "open"


@pytest.mark.parametrize("amount", [-5_000, 5_000])
def test_a_row_that_the_holdings_never_show_moves_no_baseline_and_is_told(amount: int) -> None:
    """A withdrawal that was cancelled, a deposit into a wallet that is not guarded."""
    world = opened()
    world.book_flow("perp", "USDT", amount)
    world.list_flows("perp")
    world.run(100.0)
    assert not tripped(world)
    assert world.gate == "open"
    assert world.engine.baselines.capital == 10_000
    [row] = world.records(EventName.FLOW_UNMATCHED)
    assert row.fields["amount"] == str(amount)
    lose_by_trade(world, 600)
    world.run(4.0)
    assert tripped(world)


def test_a_row_that_the_holdings_never_show_hides_a_loss_for_flow_wait_at_most() -> None:
    world = opened(BTC="0.1")
    world.book_flow("perp", "USDT", -3_000)
    world.list_flows("perp")
    world.stream_price("BTC/USDT", 40_000)  # 10 % lost
    world.run(66.0)
    assert tripped(world)


def test_a_loss_of_the_size_of_a_withdrawal_that_never_happened_is_a_loss() -> None:
    world = opened()
    world.book_flow("perp", "USDT", -600)
    world.list_flows("perp")
    world.run(5.0)
    lose_by_trade(world, 620)
    world.run(70.0)
    assert tripped(world)


def test_a_withdrawal_among_many_trades_is_found() -> None:
    world = opened(USDT=2_500, BTC="0.05")
    for number in range(40):
        sign = 1 if number % 2 else -1
        world.book_trade("spot", USDT=Decimal("-100.05") * sign, BTC=Decimal("0.002") * sign)
        world.move_money("spot", "USDT", Decimal("-100.05") * sign)
        world.move_money("spot", "BTC", Decimal("0.002") * sign)
        if number == 20:
            world.book_flow("spot", "USDT", -1_000)
            world.move_money("spot", "USDT", -1_000)
        if number % 7 == 0:
            world.read_all()
        world.run(1.0)
    world.run(80.0)
    assert not tripped(world)
    assert world.gate == "open"
    assert world.loss == pytest.approx(0.0, abs=0.0002)
    assert world.engine.portfolio.net_flows == -1_000


def test_a_bot_that_trades_all_day_does_not_keep_a_hole_young() -> None:
    """What is missing counts as loss after flow_wait, however much is bought and sold meanwhile."""
    world = opened(USDT=2_500, BTC="0.05")
    world.move_money("spot", "USDT", -700)
    world.tell_balance("spot", "USDT")
    for number in range(80):
        sign = 1 if number % 2 else -1
        world.trade("spot", USDT=Decimal(-50) * sign, BTC=Decimal("0.001") * sign)
        world.run(1.0)
    assert tripped(world)


# --- before the baselines ---------------------------------------------------------------------------------


@pytest.mark.parametrize("age_s", [3_600.0, 60.0, 1.0])
@pytest.mark.parametrize("amount", [600, -600])
@pytest.mark.parametrize("seen_after_s", [0.0, 20.0, 300.0])
@pytest.mark.parametrize("clock_off_s", [-5.0, 0.0, 5.0])
def test_a_row_from_before_the_baselines_is_history(
    age_s: float, amount: int, seen_after_s: float, clock_off_s: float
) -> None:
    """The holdings have it already. No clock of ours is asked: the venue's may be off."""
    world = World()
    world.tells_trades = True
    wall = world.clock.now().wall + clock_off_s
    world.trades["perp"].append(
        Flow(flow_id="old", venue="perp", asset="USDT", amount=Decimal(-1), wall=wall - age_s + 0.5, kind="trade")
    )
    row = Flow(
        flow_id="before",
        venue="perp",
        asset="USDT",
        amount=Decimal(amount),
        wall=wall - age_s,
        kind="deposit" if amount > 0 else "withdrawal",
    )
    if seen_after_s == 0.0:
        world.ledger["perp"].append(row)
    world.start()
    world.run(seen_after_s)
    if row not in world.ledger["perp"]:
        world.ledger["perp"].append(row)
    world.list_flows("perp")
    world.run(90.0)
    assert world.engine.baselines.capital == 10_000
    assert not tripped(world)
    assert world.gate == "open"
    assert not world.records(EventName.FLOW_DETECTED)
    lose_by_trade(world, 520)
    world.run(4.0)
    assert tripped(world)


def test_a_row_of_the_first_listing_that_the_holdings_show_later_is_a_flow() -> None:
    """It was booked after the balances had been read, and before the book was."""
    world = World()
    world.tells_trades = True
    world.book_flow("perp", "USDT", -1_000)
    world.start()
    withdraw(world, 1_000)
    world.run(80.0)
    assert world.loss == 0.0
    assert not tripped(world)


# --- a loss and a flow at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["loss", "withdrawal"])
@pytest.mark.parametrize("apart_s", [0.0, 0.5, 5.0])
def test_a_loss_before_a_withdrawal_is_a_loss_of_the_whole(first: str, apart_s: float) -> None:
    """2.6 % lost and half withdrawn is 2.6 % lost, whichever of the two is verified first."""
    world = opened()
    world.holdings["spot"] = amounts(USDT=0)
    world.holdings["perp"] = amounts(USDT=10_000)
    world.book_flow("spot", "USDT", -5_000)
    world.book_flow("perp", "USDT", 5_000)
    world.read_all()
    world.run(80.0)
    assert world.loss == 0.0
    world.stream_balances("perp", USDT=9_740)
    world.run(apart_s)
    world.stream_balances("perp", USDT=4_870)
    for step in ("loss", "withdrawal") if first == "loss" else ("withdrawal", "loss"):
        if step == "loss":
            world.book_trade("perp", USDT=-260)
        else:
            world.book_flow("perp", "USDT", -4_870)
        world.list_flows("perp")
        world.run(3.0)
    world.run(80.0)
    assert not tripped(world)
    assert world.loss == pytest.approx(0.026)
    assert world.gate == "open"


def test_two_withdrawals_that_are_verified_in_the_other_order_move_no_ratio() -> None:
    world = opened(BTC="0.1")
    world.stream_price("BTC/USDT", 48_000)
    world.run(30.0)
    withdraw(world, 1_000)
    world.run(1.0)
    withdraw(world, 3_000)
    world.book_flow("perp", "USDT", -3_000)
    world.list_flows("perp")
    world.run(5.0)
    world.book_flow("perp", "USDT", -1_000)
    world.run(80.0)
    assert world.loss == pytest.approx(0.02)
    assert not tripped(world)


# --- what has no price -------------------------------------------------------------------------------------


def test_an_airdrop_of_a_token_without_a_price_never_blinds() -> None:
    world = opened()
    world.book_flow("spot", "SPAM", 1_000_000, "airdrop")
    world.move_money("spot", "SPAM", 1_000_000)
    world.tell_balance("spot", "SPAM")
    for _ in range(20):
        world.run(5.0)
        assert world.gate == "open"
    assert not world.records(EventName.BLIND_STARTED)
    assert [row.fields["asset"] for row in world.records(EventName.ASSET_UNPRICED)] == ["SPAM"]


def test_an_airdrop_and_a_loss_in_the_same_second_trip() -> None:
    world = opened()
    world.book_flow("spot", "SPAM", 1_000_000, "airdrop")
    world.book_trade("spot", USDT=-3_000)
    world.move_money("spot", "SPAM", 1_000_000)
    world.stream_balances("spot", USDT=2_000, SPAM=1_000_000)
    world.run(4.0)
    assert tripped(world)


def test_what_a_token_without_a_price_cost_counts_for_flow_wait_and_then_nothing() -> None:
    world = opened()
    world.trade("spot", USDT=-3_000, NEWT=100)
    world.run(55.0)
    assert not tripped(world)
    assert world.gate != "open"
    world.run(12.0)
    assert tripped(world)


def test_a_token_that_gets_its_price_in_time_is_worth_what_it_cost() -> None:
    world = opened()
    world.trade("spot", USDT=-3_000, NEWT=100)
    world.run(20.0)
    for venue in ("spot", "perp"):
        world.prices[venue]["NEWT/USDT"] = price("NEWT/USDT", 30)
    world.read_all()
    world.run(80.0)
    assert not tripped(world)
    assert world.gate == "open"
    assert world.engine.portfolio.equity == 10_000


# --- restarts ----------------------------------------------------------------------------------------------


def test_what_waits_for_its_row_waits_no_longer_by_being_restarted() -> None:
    world = opened()
    withdraw(world, 600)
    for _ in range(5):
        world.run(14.0)
        world.restart()
        world.tells_trades = True
        world.begin()
    assert world.state == "TRIGGERED" or tripped(world)


def test_trades_and_a_withdrawal_while_the_guard_was_down_are_told_apart() -> None:
    world = opened(USDT=2_500, BTC="0.05")
    world.trade("spot", USDT=-500, BTC="0.01")
    world.run(30.0)
    world.restart(down_s=600.0)
    world.book_trade("spot", USDT="-1000", BTC="0.02")
    world.move_money("spot", "USDT", -1_000)
    world.move_money("spot", "BTC", "0.02")
    world.book_flow("spot", "USDT", -900)
    world.move_money("spot", "USDT", -900)
    world.begin()
    world.run(80.0)
    assert not tripped(world)
    assert world.loss == pytest.approx(0.0)
    assert world.engine.portfolio.net_flows == -900
