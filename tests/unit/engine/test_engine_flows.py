"""Deposits, withdrawals and transfers through the engine: no loss ratio moves, no loss is hidden."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest

from risk_daemon.engine.decision import ReadNow
from risk_daemon.model.events import EventName, Kind
from tests.core_world import World, amounts, engine_settings, price, with_


def world_with_a_loss() -> World:
    """10,000 of capital, 2 % lost by price, half of it in BTC."""
    world = World()
    world.holdings["spot"] = amounts(BTC="0.1")
    world.start()
    world.stream_price("BTC/USDT", 48_000)
    world.run(30.0)
    assert world.loss == 0.02
    return world


def show(world: World, amount: int) -> None:
    """The holdings of perp show a flow."""
    world.move_money("perp", "USDT", amount)
    world.tell_balance("perp", "USDT")


def book(world: World, amount: int) -> None:
    """The ledger of perp tells of a flow, and is read."""
    world.book_flow("perp", "USDT", amount)
    world.ledger_dead.clear()
    world.list_flows("perp")


def ratios(world: World) -> tuple[float, float, float]:
    equity = world.engine.portfolio.equity
    baselines = world.engine.baselines
    found = (baselines.loss_ratio(equity), baselines.drawdown_ratio(equity), baselines.daily_loss_ratio(equity))
    return tuple(round(float(ratio), 9) for ratio in found if ratio is not None)  # type: ignore[return-value]


@pytest.mark.parametrize("amount", [-2_500, 5_000, -4_999])
@pytest.mark.parametrize("first", ["ledger", "balance"])
@pytest.mark.parametrize("lag_s", [0.0, 1.5, 20.0])
def test_a_flow_moves_no_loss_ratio_whichever_witness_comes_first(amount: int, first: str, lag_s: float) -> None:
    world = world_with_a_loss()
    world.run(1.0)
    before = ratios(world)
    world.read_every_s, world._next_read = 15.0, world.now + 15.0
    ledger_is_late = first == "balance" and lag_s > 2.0
    if ledger_is_late:
        # a ledger that says "nothing" must not be asked: a venue this late must be slow in answering too
        world.ledger_dead.add("perp")

    for step in (book, show) if first == "ledger" else (show, book):
        step(world, amount)
        world.run(lag_s)
    world.run(90.0)
    assert ratios(world) == before
    assert world.state == "ACTIVE"
    assert world.gate == "open"
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)
    [flow] = world.records(EventName.FLOW_DETECTED)
    assert flow.fields["amount"] == str(amount)
    assert world.engine.portfolio.net_flows == amount


@pytest.mark.parametrize("amount", [-2_500, 5_000, -4_999])
@pytest.mark.parametrize("mark", [47_500, 49_000])
@pytest.mark.parametrize("late_s", [0.5, 2.5, 20.0])
def test_what_prices_did_between_a_flow_and_its_row_is_profit_or_loss_of_what_was_there_then(
    amount: int, mark: int, late_s: float
) -> None:
    world = world_with_a_loss()
    world.ledger_dead.add("perp")
    show(world, amount)
    world.run(late_s / 2)
    world.stream_price("BTC/USDT", mark)
    world.run(late_s / 2)
    book(world, amount)
    world.run(12.0)
    with_it = 9_800 + amount
    worth = with_it + Decimal("0.1") * (mark - 48_000)
    assert world.loss == pytest.approx(float(1 - Decimal("0.98") * worth / with_it), abs=1e-9)
    assert world.state != "TRIGGERED"


@pytest.mark.parametrize("amount", [-2_500, 5_000])
@pytest.mark.parametrize(("lie", "is_true"), [(46_500, True), (96_000, True), (24_000, False), (480_000, False)])
@pytest.mark.parametrize("shown_s", [-0.3, 0.1, 0.5])
@pytest.mark.parametrize("booked_s", [0.0, 6.0])
def test_a_price_that_is_wrong_for_a_moment_is_no_part_of_a_flow(
    amount: int, lie: int, is_true: bool, shown_s: float, booked_s: float
) -> None:
    """Whether the flow comes in that moment, before it or after it, and wherever its row comes."""
    world = world_with_a_loss()
    before = ratios(world)
    world.ledger_dead.add("perp")

    world.later(1.0 + shown_s, partial(show, world, amount))
    world.later(1.0, lambda: world.stream_price("BTC/USDT", lie, is_true=is_true))
    world.later(1.4, lambda: world.stream_price("BTC/USDT", 48_000))
    world.later(1.0 + max(shown_s, booked_s), partial(book, world, amount))
    world.run(12.0)
    assert ratios(world) == before
    assert world.state == "ACTIVE"
    assert world.gate == "open"


def test_a_fall_a_moment_before_a_flow_counts_in_full_and_one_after_it_as_part_of_what_is_left() -> None:
    losses = []
    for fall_s, flow_s in ((0.0, 0.5), (0.5, 0.0)):
        world = world_with_a_loss()
        world.later(1.0 + fall_s, lambda world=world: world.stream_price("BTC/USDT", 46_000))  # type: ignore[misc]
        world.later(1.0 + flow_s, lambda world=world: world.move_money("perp", "USDT", 5_000))  # type: ignore[misc]
        world.later(1.01 + flow_s, lambda world=world: world.tell_balance("perp", "USDT"))  # type: ignore[misc]
        world.later(2.0, lambda world=world: world.book_flow("perp", "USDT", 5_000))  # type: ignore[misc]
        world.run(90.0)
        losses.append(world.loss)
    assert losses == pytest.approx([0.04, 1 - 0.98 * 14_600 / 14_800], abs=1e-9)


def test_the_same_ledger_row_counts_once() -> None:
    world = world_with_a_loss()
    world.book_flow("perp", "USDT", 5_000)
    world.move_money("perp", "USDT", 5_000)
    world.tell_balance("perp", "USDT")
    for _ in range(5):
        world.run(2.0)
        world.list_flows("perp")
    assert len(world.records(EventName.FLOW_DETECTED)) == 1
    assert world.engine.baselines.capital == pytest.approx(Decimal(10_000) * 14_800 / 9_800)


def test_everything_taken_out_and_put_in_again() -> None:
    world = world_with_a_loss()
    before = ratios(world)
    world.move_money("perp", "USDT", -5_000)
    world.book_flow("perp", "USDT", -5_000)
    world.move_money("spot", "BTC", "-0.1")
    world.book_flow("spot", "BTC", "-0.1")
    world.tell_balance("perp", "USDT")
    world.tell_balance("spot", "BTC")
    world.run(90.0)
    assert world.state == "ACTIVE"
    assert world.engine.portfolio.equity == 0
    assert world.loss == 0.0
    world.move_money("perp", "USDT", 20_000)
    world.book_flow("perp", "USDT", 20_000)
    world.tell_balance("perp", "USDT")
    world.run(90.0)
    assert ratios(world) == before
    assert world.state == "ACTIVE"


@pytest.mark.parametrize("order", ["out first", "in first", "both at once"])
@pytest.mark.parametrize("pause_s", [0.5, 30.0])
def test_a_transfer_between_two_configured_venues_is_neutral(order: str, pause_s: float) -> None:
    world = world_with_a_loss()
    before = ratios(world)

    def one_side(venue: str, amount: int) -> None:
        world.move_money(venue, "USDT", amount)
        world.book_flow(venue, "USDT", amount)
        world.tell_balance(venue, "USDT")

    sides = [("perp", -3_000), ("spot", 3_000)]
    for venue, amount in reversed(sides) if order == "in first" else sides:
        one_side(venue, amount)
        if order != "both at once":
            world.run(pause_s)
    world.run(90.0)
    assert ratios(world) == before
    assert world.state == "ACTIVE"
    assert world.gate == "open"
    assert world.engine.baselines.capital == pytest.approx(Decimal(10_000), abs=Decimal("1e-12"))


def test_a_deposit_and_a_withdrawal_that_cancel_out_before_anybody_looks() -> None:
    world = world_with_a_loss()
    before = ratios(world)
    world.book_flow("perp", "USDT", 4_000)
    world.book_flow("perp", "USDT", -4_000)
    world.list_flows("perp")
    world.run(150.0)
    assert ratios(world) == before
    assert world.state == "ACTIVE"
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.is_trusted


def test_a_withdrawal_that_the_ledger_explains_never_trips() -> None:
    world = world_with_a_loss()
    world.book_flow("perp", "USDT", -4_000)
    world.move_money("perp", "USDT", -4_000)
    decision = world.tell_balance("perp", "USDT")
    assert decision.gate.locked is False, "a fall is judged after settle_legs"
    world.run(0.26)
    assert world.gate == "confirming"
    asked = [action for action in world.actions(ReadNow) if isinstance(action, ReadNow)]
    assert any(Kind.FLOWS in action.kinds for action in asked)
    world.run(3.0)
    assert world.gate == "open"
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)
    assert world.loss == 0.02


def test_a_fall_that_the_ledger_does_not_explain_trips() -> None:
    world = world_with_a_loss()
    world.stream_balances("perp", USDT=4_000)
    world.run(5.0)
    assert world.state == "TRIGGERED"
    assert world.gate == "capital_loss"


def test_a_fall_is_not_believed_from_a_ledger_that_is_older_than_it() -> None:
    """A listing requested before the fall, or right at it, proves nothing about it."""
    world = world_with_a_loss()
    world.ledger_dead |= {"spot", "perp"}
    world.stream_balances("perp", USDT=4_000)
    world.ledger_dead.clear()
    world.list_flows("perp")
    world.ledger_dead |= {"spot", "perp"}
    world.run(20.0)
    assert world.state != "TRIGGERED"
    assert world.gate == "confirming"


def test_a_fall_without_any_listing_trips_after_flow_wait() -> None:
    world = world_with_a_loss()
    world.ledger_dead |= {"spot", "perp"}
    world.stream_balances("perp", USDT=4_000)
    world.run(59.0)
    assert world.state != "TRIGGERED"
    assert world.gate in ("confirming", "blind")
    world.run(3.5)
    assert world.state == "TRIGGERED"


def test_a_streamed_fall_on_a_venue_that_then_dies_trips_after_flow_wait() -> None:
    world = world_with_a_loss()
    world.stream_balances("perp", USDT=3_000)
    world.dead.add("perp")
    world.run(40.0)
    assert world.gate in ("confirming", "blind")
    world.run(23.0)
    assert world.state == "TRIGGERED"


def test_a_streamed_fall_that_the_balance_read_disproves_is_a_phantom() -> None:
    world = world_with_a_loss()
    world.stream_balances("perp", USDT=3_000)
    world.holdings["perp"] = amounts(USDT=5_000)
    world.run(5.0)
    assert world.state == "ACTIVE"
    assert world.gate == "open"
    assert len(world.records(EventName.PHANTOM_BREACH)) == 1


def test_a_price_breach_is_not_held_up_by_a_fall_that_waits_for_its_ledger() -> None:
    world = world_with_a_loss()
    world.ledger_dead |= {"spot", "perp"}
    world.stream_balances("perp", USDT=4_000)
    world.run(5.0)
    assert world.gate == "confirming"
    world.stream_price("BTC/USDT", 40_000)  # 10 % lost even if the fall were a withdrawal
    world.run(2.5)
    assert world.state == "TRIGGERED"


def test_a_price_breach_that_recovers_into_an_unexplained_fall_still_waits_for_the_ledger() -> None:
    world = world_with_a_loss()
    world.ledger_dead |= {"spot", "perp"}
    world.latency_s = 1.0
    world.stream_price("BTC/USDT", 40_000)
    world.stream_balances("perp", USDT=4_000)
    world.run(0.3)
    world.stream_price("BTC/USDT", 48_000)
    world.run(10.0)
    assert world.state != "TRIGGERED"
    assert world.gate == "confirming"
    world.run(55.0)
    assert world.state == "TRIGGERED"


def test_a_trading_loss_does_not_hide_behind_a_withdrawal_of_its_size() -> None:
    """A row in the ledger explains one fall, not two."""
    world = world_with_a_loss()
    world.book_flow("perp", "USDT", -1_000)
    world.list_flows("perp")
    world.stream_balances("perp", USDT=4_000)
    world.run(5.0)
    assert world.state == "ACTIVE"
    world.stream_balances("perp", USDT=3_000)
    world.run(10.0)
    assert world.state == "TRIGGERED"


def test_a_loss_does_not_hide_behind_a_deposit_that_is_not_in_the_ledger_yet() -> None:
    world = world_with_a_loss()
    world.ledger_dead |= {"spot", "perp"}
    world.stream_balances("perp", USDT=10_000)
    world.run(1.0)
    world.stream_price("BTC/USDT", 40_000)
    world.run(3.0)
    assert world.gate == "confirming"
    world.book_flow("perp", "USDT", 5_000)
    world.ledger_dead.clear()
    world.run(10.0)
    assert world.state == "TRIGGERED"


def test_a_gain_without_a_ledger_row_becomes_equity() -> None:
    world = world_with_a_loss()
    world.stream_balances("perp", USDT=5_500)
    world.run(60.0)
    assert world.gate == "open"
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.is_trusted
    assert world.engine.baselines.peak == 10_300


def test_an_unexplained_rise_never_becomes_a_peak_before_the_ledger_was_read() -> None:
    world = world_with_a_loss()
    world.ledger_dead |= {"spot", "perp"}
    peak = world.engine.baselines.peak
    world.stream_balances("perp", USDT=50_000)
    world.run(55.0)
    assert world.engine.baselines.peak == peak
    world.book_flow("perp", "USDT", 45_000)
    world.ledger_dead.clear()
    world.run(30.0)
    assert ratios(world)[1] == pytest.approx(0.02)


def test_a_deposit_of_an_asset_without_a_price_waits_for_its_price() -> None:
    world = world_with_a_loss()
    before = ratios(world)
    world.book_flow("spot", "NEWT", 400)
    world.move_money("spot", "NEWT", 400)
    world.tell_balance("spot", "NEWT")
    world.list_flows("spot")
    world.run(120.0)
    assert ratios(world) == before
    world.prices["spot"]["NEWT/USDT"] = price("NEWT/USDT", 10)
    world.run(120.0)
    assert world.engine.portfolio.equity == 13_800
    assert ratios(world) == before


def test_a_flow_of_an_ignored_asset_is_no_flow() -> None:
    settings = with_(engine_settings(), portfolio={"ignore_assets": frozenset({"BTC"})})
    world = World(settings).start()
    world.book_flow("spot", "BTC", 1)
    world.move_money("spot", "BTC", 1)
    world.tell_balance("spot", "BTC")
    world.list_flows("spot")
    world.run(120.0)
    assert world.engine.baselines.capital == 10_000
    assert world.engine.portfolio.equity == 10_000


def test_a_venue_without_a_ledger_counts_every_fall_as_loss() -> None:
    world = World(with_(engine_settings(), flows={"without_ledger": frozenset({"spot", "perp"})})).start()
    world.stream_balances("perp", USDT=4_000)
    world.run(3.0)
    assert world.state == "TRIGGERED"


def test_fees_of_a_busy_bot_never_ask_for_the_ledger_and_never_cost_trust() -> None:
    world = World().start()
    world.forget()
    usdt, btc = Decimal(5_000), Decimal(0)
    for n in range(600):
        usdt, btc = (usdt - 1_000, btc + Decimal("0.02")) if n % 2 == 0 else (usdt + Decimal("999.99"), Decimal(0))
        world.stream_balances("spot", USDT=usdt)
        world.run(0.1)
        world.stream_balances("spot", BTC=btc)
        world.run(0.1)
    assert world.gate == "open"
    assert not world.actions(ReadNow)
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.is_trusted


def test_half_told_trades_of_a_busy_bot_keep_no_peak_down() -> None:
    world = World()
    world.holdings["perp"] = amounts(BTC="0.1")
    world.start()
    world.stream_price("BTC/USDT", 60_000)
    for _ in range(60):
        world.stream_balances("spot", USDT=3_800)
        world.run(0.1)
        world.stream_balances("spot", BTC="0.02")
        world.run(0.4)
        world.stream_balances("spot", BTC=0)
        world.run(0.1)
        world.stream_balances("spot", USDT=5_000)
        world.run(0.4)
    assert world.engine.baselines.peak == 11_000


def test_an_account_that_was_emptied_still_knows_a_debt() -> None:
    """Below zero is a loss of everything, also after everything was taken out."""
    world = world_with_a_loss()
    world.move_money("perp", "USDT", -5_000)
    world.book_flow("perp", "USDT", -5_000)
    world.move_money("spot", "BTC", "-0.1")
    world.book_flow("spot", "BTC", "-0.1")
    world.tell_balance("perp", "USDT")
    world.tell_balance("spot", "BTC")
    world.run(90.0)
    world.stream_balances("perp", USDT=-500)
    world.run(10.0)
    assert world.state == "TRIGGERED"


def test_a_small_flow_while_equity_is_below_zero_hides_nothing() -> None:
    world = world_with_a_loss()
    world.ledger_dead |= {"spot", "perp"}
    world.dead |= {"spot", "perp"}
    world.stream_price("BTC/USDT", 1_000)
    world.stream_balances("spot", BTC="-6")
    world.book_flow("perp", "USDT", -1)
    world.dead.clear()
    world.ledger_dead.clear()
    world.run(90.0)
    assert world.state == "TRIGGERED"
