"""What flows in or out of a fund's member: its start moves by it once, however late the row is, whatever happens."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.fund.membership import FUND
from risk_daemon.model.events import EventName, FundBegan, HaltRequested, LeaseSeen, ResetRequested
from tests.core_world import World, engine_settings, with_

SEAT = ("f00d", "b.00000001")
LATE_S = [0.5, 12.0, 30.0, 100.0]


def member(*, began: bool = True) -> World:
    """A guard whose gate waits for the fund's leave, and has it for an hour."""
    world = World(with_(engine_settings(), leases=frozenset({FUND}))).start()
    world.sweeps_take_s = 1.0
    lend(world)
    if began:
        begin_fund(world)
    return world


def begin_fund(world: World) -> None:
    world.send(FundBegan(*SEAT))
    world.run(15.0)
    assert start_of(world) is not None


def lend(world: World) -> None:
    world.send(LeaseSeen(by=FUND, until_mono=world.now + 36_000))


def start_of(world: World) -> Decimal | None:
    return world.engine.baselines.fund.of(*SEAT)


def flows(world: World) -> list[tuple[str, bool | None]]:
    """Each flow that was told of, and whether the start rose by it though nothing showed it."""
    told = world.records(EventName.FLOW_DETECTED, EventName.FLOW_UNMATCHED)
    return [(record.name.value, record.fields.get("fund_start_rose")) for record in told]


def moves(world: World, amount: object, venue: str = "spot") -> None:
    """Money comes or goes, and the stream says so."""
    world.move_money(venue, "USDT", amount)
    world.tell_balance(venue, "USDT")


def books(world: World, amount: object, venue: str = "spot") -> None:
    """The venue's book has a row of it, and is read."""
    world.book_flow(venue, "USDT", amount)
    lists(world)


def lists(world: World) -> None:
    world.ledger_dead.clear()
    for venue in world.expected:
        world.list_flows(venue)


def reset(world: World, rebaseline: str) -> None:
    world.send(ResetRequested(reason="looked", operator="anna", rebaseline=rebaseline))
    assert world.engine.trip is None


def halt(world: World) -> None:
    world.send(HaltRequested("night", "anna"))
    world.run(2.0)


def restart(world: World) -> None:
    world.restart()
    world.begin()
    lend(world)


def check(world: World, start: int, loss: int = 0) -> None:
    """Once all is settled: the start, what is measured as lost, and a gate that is open."""
    world.run(150.0)
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert start_of(world) == start
    assert (start - judged.high, start - judged.low) == (loss, loss)
    assert world.gate == "open"


# --- a reset while a row is not there yet --------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("rebaseline", ["current", "keep"])
@pytest.mark.parametrize("late_s", LATE_S)
@pytest.mark.parametrize("is_silent", [True, False])
@pytest.mark.parametrize("amount", [1_000, -300])
def test_a_reset_swallows_no_flow_whose_row_is_not_there_yet(
    amount: int, is_silent: bool, late_s: float, rebaseline: str, restarts: bool
) -> None:
    """is_silent: the book does not answer; else it answers, and does not name the flow yet."""
    world = member()
    halt(world)
    if is_silent:
        world.ledger_dead = {"spot", "perp"}
    moves(world, amount)
    world.run(1.0)
    reset(world, rebaseline)
    if restarts:
        world.run(0.3)
        restart(world)
    world.run(late_s)
    books(world, amount)
    check(world, 10_000 + amount)
    assert flows(world) == [("flow_detected", None)]
    capital = world.engine.baselines.capital
    assert capital is not None
    assert capital == 10_000 + amount, "of its own too, by whatever way"


@pytest.mark.parametrize("rebaseline", ["current", "keep"])
def test_a_row_that_came_before_the_reset_counts_once(rebaseline: str) -> None:
    world = member()
    halt(world)
    moves(world, 1_000)
    books(world, 1_000)
    world.run(1.0)
    reset(world, rebaseline)
    check(world, 11_000)


def test_while_it_is_in_question_the_gain_is_not_sure_and_the_gate_waits() -> None:
    world = member()
    halt(world)
    world.ledger_dead = {"spot", "perp"}
    moves(world, 1_000)
    reset(world, "current")
    world.run(200.0)
    judged, start = world.engine.judged(world.now), start_of(world)
    assert judged is not None
    assert start is not None
    assert start - judged.low == 0, "it may be a deposit"
    assert world.engine.baselines.capital is None
    assert world.gate == "starting"
    lists(world)
    check(world, 10_000, loss=-1_000)
    assert world.engine.baselines.capital == 11_000


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("amount", [1_000, -300])
def test_what_counted_before_a_reset_with_current_moves_the_fund_s_start_alone(amount: int, restarts: bool) -> None:
    world = member()
    moves(world, amount)
    world.run(70.0)
    halt(world)
    reset(world, "current")
    world.run(30.0)
    assert world.engine.baselines.capital == 10_000 + amount
    if restarts:
        restart(world)
    books(world, amount)
    check(world, 10_000 + amount)
    assert world.engine.baselines.capital == world.engine.baselines.start_of_day == 10_000 + amount


@pytest.mark.parametrize("counts_already", [False, True])
@pytest.mark.parametrize("late_s", LATE_S)
@pytest.mark.parametrize("amount", [1_000, -300])
def test_a_reset_of_a_guard_that_does_not_run_swallows_none_either(
    amount: int, late_s: float, counts_already: bool
) -> None:
    world = member()
    moves(world, amount)
    world.ledger_dead = set() if counts_already else {"spot", "perp"}
    world.run(70.0 if counts_already else 1.0)
    halt(world)
    world.restart()
    reset(world, "current")
    world.restart(down_s=40.0)
    world.begin()
    lend(world)
    world.run(late_s)
    books(world, amount)
    check(world, 10_000 + amount)
    assert world.engine.baselines.capital == 10_000 + amount


def test_a_flow_after_the_reset_is_its_own_though_one_of_before_was_as_large() -> None:
    """The row of the first one never came; that of the second one comes before its change."""
    world = member()
    moves(world, 1_000)
    world.run(70.0)
    halt(world)
    reset(world, "current")
    world.run(30.0)
    books(world, 1_000)
    world.run(5.0)
    moves(world, 1_000)
    check(world, 11_000, loss=-1_000)
    assert world.engine.baselines.capital == 12_000


# --- a restart -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [0, 1, 3])
@pytest.mark.parametrize("late_s", [30.0, 100.0])
@pytest.mark.parametrize("amount", [1_000, -300])
def test_what_counted_already_is_named_by_a_late_row_after_a_restart_too(
    amount: int, late_s: float, restarts: int
) -> None:
    world = member()
    moves(world, amount)
    lists(world)
    world.run(70.0)
    assert start_of(world) == 10_000
    for _ in range(restarts):
        restart(world)
        world.run(20.0)
    world.run(late_s)
    books(world, amount)
    check(world, 10_000 + amount)
    assert world.engine.baselines.capital == 10_000 + amount


def test_what_was_worn_down_while_it_was_in_question_is_named_by_its_row_after_a_restart() -> None:
    world = member()
    moves(world, 1_000)
    world.run(0.5)
    moves(world, -300)
    world.run(70.0)
    restart(world)
    world.run(30.0)
    books(world, 1_000)
    check(world, 11_000, loss=300)


# --- what the start knows of ---------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("late_s", [5.0, 100.0])
@pytest.mark.parametrize("amount", [1_000, -300])
def test_what_flowed_before_the_start_was_taken_does_not_move_it(amount: int, late_s: float, restarts: bool) -> None:
    world = member(began=False)
    world.book_flow("spot", "USDT", amount)
    world.ledger_dead = {"spot"}
    moves(world, amount)
    lists_nothing(world)
    world.run(70.0)
    begin_fund(world)
    assert start_of(world) == 10_000 + amount
    if restarts:
        restart(world)
    world.run(late_s)
    show(world)
    check(world, 10_000 + amount)


def lists_nothing(world: World) -> None:
    """The book answers, and is not as far yet."""
    world.hidden = world.ledger["spot"]
    world.ledger["spot"] = []
    lists(world)


def show(world: World) -> None:
    """The book is as far now."""
    world.ledger["spot"] = world.hidden
    lists(world)


def test_a_young_row_that_fits_a_gain_of_before_the_start_counts_all_the_same() -> None:
    """Its own change is not there yet; it counts as a gain when it comes."""
    world = member(began=False)
    moves(world, 1_000)
    world.run(70.0)
    begin_fund(world)
    assert start_of(world) == 11_000
    books(world, 1_000)
    world.run(5.0)
    moves(world, 1_000)
    check(world, 12_000)


# --- a row that nothing shows --------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("loss", [200, 1_000, 1_400])
def test_a_deposit_that_came_with_a_loss_in_one_reading_hides_none_of_it(loss: int, restarts: bool) -> None:
    world = member()
    moves(world, 1_000 - loss)
    world.run(70.0)
    if restarts:
        restart(world)
    books(world, 1_000)
    world.run(30.0)
    if restarts:
        restart(world)
    world.run(70.0)
    lists(world)
    check(world, 11_000, loss=loss)
    for _ in range(3):
        restart(world)
        lists(world)
        world.run(100.0)
    check(world, 11_000, loss=loss)


def test_two_deposits_of_one_size_in_one_reading_are_two() -> None:
    world = member()
    moves(world, 1_000)
    world.run(70.0)
    books(world, 500)
    world.run(100.0)
    assert flows(world) == [("flow_unmatched", True)]
    restart(world)
    books(world, 500)
    check(world, 11_000)


def test_a_row_that_the_holdings_show_after_it_was_left_out_counts_once() -> None:
    world = member()
    books(world, 1_000)
    world.run(100.0)
    assert start_of(world) == 11_000, "too high a start trips early"
    restart(world)
    world.run(30.0)
    moves(world, 1_000)
    check(world, 11_000)


def test_a_withdrawal_that_was_cancelled_moves_nothing() -> None:
    world = member()
    books(world, -1_000)
    world.run(100.0)
    assert start_of(world) == 10_000
    restart(world)
    world.run(30.0)
    books(world, 1_000)
    world.run(100.0)
    check(world, 10_000)
    books(world, 1_000)
    world.run(100.0)
    assert start_of(world) == 11_000, "one row for one"


def test_a_withdrawal_that_nothing_shows_lowers_no_start() -> None:
    world = member()
    moves(world, -300)
    world.run(70.0)
    books(world, -1_000)
    check(world, 10_000, loss=300)
    assert flows(world) == [("flow_unmatched", False)]


def test_without_a_fund_a_row_that_nothing_shows_is_left_out() -> None:
    world = member(began=False)
    books(world, 1_000)
    world.run(100.0)
    assert flows(world) == [("flow_unmatched", False)]
    assert world.engine.baselines.capital == 10_000
