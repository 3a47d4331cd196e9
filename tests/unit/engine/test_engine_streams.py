"""A stream and REST that tell different things: who is believed, for how long, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest

from risk_daemon.engine.decision import ReadNow, SetGate
from risk_daemon.model.events import (
    BalancesSeen,
    EventName,
    Kind,
    PositionsSeen,
    PricesSeen,
    Source,
    StreamConfirmed,
    VenueLost,
)
from risk_daemon.portfolio.unexplained import AssetMove
from tests.core_world import PERP, SPOT, World, amounts, engine_settings, perp, price, with_

# design-2 9.3: within `confirm_within` and one reading (here every 15 s) after REST tells of the loss.
READ_S, CONFIRM_S = 15.0, 2.0
# A fall in holdings counts once a ledger that may be `ledger_lag` behind does not explain it.
LEDGER_S = 4.0
PACES = [0.05, 0.2, 1.0, 4.0]


def btc_world(held: object = "0.1") -> World:
    """10,000 USDT, some of it in BTC at 50,000, on one venue."""
    world = World(engine_settings(venues={"spot": SPOT}))
    world.holdings["spot"] = amounts(USDT=10_000 - 50_000 * Decimal(str(held)), BTC=held)
    world.latency_s = 0.1
    world.start()
    assert world.gate == "open"
    world.forget()
    return world


def usdt_world() -> World:
    world = World(engine_settings(venues={"spot": SPOT}))
    world.holdings["spot"] = amounts(USDT=10_000)
    world.start()
    assert world.gate == "open"
    world.forget()
    return world


def talk(world: World, every_s: float, say: Callable[[], object]) -> None:
    """Say it again and again."""

    def once() -> None:
        say()
        talk(world, every_s, say)

    world.later(every_s, once)


def say_price(world: World, value: object) -> None:
    world.send(PricesSeen("spot", world.now, Source.STREAM, (price("BTC/USDT", value),)))


def say_usdt(world: World, amount: object) -> None:
    world.send(BalancesSeen("spot", world.now, Source.STREAM, amounts(USDT=amount), complete=False))


def set_price(world: World, value: object) -> None:
    """The truth, and what REST says; nothing is streamed."""
    world.prices["spot"]["BTC/USDT"] = price("BTC/USDT", value)


def ask_price(world: World) -> None:
    """A read on schedule that takes as long as any other."""
    asked = world.now
    world.later(world.latency_s, lambda: world.read("spot", Kind.PRICES, asked))


def trip_s(world: World, within_s: float) -> float:
    """Seconds until the trip."""
    since = world.now
    while world.state != "TRIGGERED":
        assert world.now - since <= within_s, f"not locked after {within_s} s; the gate is {world.gate}"
        world.run(0.05)
    return world.now - since


def gate_moves(world: World) -> list[SetGate]:
    return [action for action in world.actions(SetGate) if isinstance(action, SetGate)]


# --- a stream that repeats the past, or lags -------------------------------------------------------


@pytest.mark.parametrize("every_s", PACES)
def test_a_price_stream_that_repeats_hides_no_loss(every_s: float) -> None:
    world = btc_world()
    talk(world, every_s, lambda: say_price(world, 50_000))
    world.run(READ_S)
    set_price(world, 40_000)
    world.read("spot", Kind.PRICES)
    assert trip_s(world, CONFIRM_S + 1.0) <= CONFIRM_S + 1.0


@pytest.mark.parametrize("every_s", PACES)
def test_a_balance_stream_that_repeats_hides_no_loss(every_s: float) -> None:
    world = usdt_world()
    talk(world, every_s, lambda: say_usdt(world, 10_000))
    world.run(READ_S)
    world.move_money("spot", "USDT", -900)
    world.read("spot", Kind.BALANCES)
    trip_s(world, CONFIRM_S + LEDGER_S)
    world.run(5.0)
    assert world.loss == pytest.approx(0.09)
    contradicted = world.records(EventName.STREAM_CONTRADICTED)
    fields = {"venue": "spot", "kind": Kind.BALANCES, "rows": ["USDT"]}
    assert [record.fields for record in contradicted] == [fields]


@pytest.mark.parametrize("every_s", PACES)
def test_a_position_stream_that_repeats_hides_no_loss(every_s: float) -> None:
    """It says that all is flat; REST shows a position that has lost 1,000."""
    world = World(engine_settings(venues={"perp": PERP}))
    world.holdings["perp"] = amounts(USDT=10_000)
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 50_000)
    world.start()
    flat = perp(0, 60_000)
    talk(world, every_s, lambda: world.send(PositionsSeen("perp", world.now, Source.STREAM, (flat,), complete=False)))
    world.run(READ_S)
    world.positions["perp"][flat.symbol] = perp("0.1", 60_000)
    world.read("perp", Kind.POSITIONS)
    trip_s(world, CONFIRM_S + LEDGER_S)


@pytest.mark.parametrize("every_s", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("fall_s", [0.0, 5.0, 40.0])
def test_a_lag_of_30_s_costs_no_more_than_a_reading(every_s: float, fall_s: float) -> None:
    """From 50,000 to 40,000 (a loss of 10 %) at once or slowly; the stream says what was true 30 s ago."""
    world = btc_world()
    began = world.now + 20.0

    def true_price(at: float) -> Decimal:
        part = min(1.0, max(0.0, at - began) / fall_s) if fall_s else float(at >= began)
        return Decimal(50_000) - round(Decimal(10_000 * part), 1)

    talk(world, 0.05, lambda: set_price(world, true_price(world.now)))
    talk(world, every_s, lambda: say_price(world, true_price(world.now - 30.0)))
    talk(world, 3.0, lambda: ask_price(world))
    world.read_every_s = 1_000.0
    world.run(began + fall_s / 2 - world.now)  # a loss of 5 % is true from here on
    trip_s(world, 3.0 + CONFIRM_S + 1.0)


@pytest.mark.parametrize("every_s", PACES)
def test_a_return_to_what_was_said_before_hides_no_loss(every_s: float) -> None:
    """The stream has told of the first loss itself, and goes back to repeating the past."""
    world = usdt_world()
    world.stream_balances("spot", USDT=9_700)
    world.run(READ_S)
    talk(world, every_s, lambda: say_usdt(world, 10_000))
    world.run(READ_S + 1.0)
    assert world.loss == pytest.approx(0.03)
    world.move_money("spot", "USDT", -400)
    trip_s(world, READ_S + CONFIRM_S + LEDGER_S)


@pytest.mark.parametrize("every_s", PACES)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_restart_does_not_help_a_stream_that_repeats(every_s: float, is_first: bool) -> None:
    """Whether the first word of the new run is the stream's or REST's."""
    world = usdt_world()
    world.move_money("spot", "USDT", -900)
    world = world.restart()
    talk(world, every_s, lambda: say_usdt(world, 10_000))
    if is_first:
        say_usdt(world, 10_000)
    world.begin()
    trip_s(world, READ_S + CONFIRM_S + LEDGER_S)


@pytest.mark.parametrize("every_s", PACES)
def test_a_new_connection_does_not_help_a_stream_that_repeats(every_s: float) -> None:
    """It is lost every 7 s, and goes on where it was."""
    world = usdt_world()
    talk(world, every_s, lambda: say_usdt(world, 10_000))
    talk(world, 7.0, lambda: world.send(VenueLost("spot", "stream: dropped", Kind.BALANCES)))
    world.run(READ_S)
    world.move_money("spot", "USDT", -900)
    trip_s(world, READ_S + CONFIRM_S + LEDGER_S)


@pytest.mark.parametrize("lag_s", [1.0, 30.0])
@pytest.mark.parametrize("how", ["lag", "drops"])
def test_a_balance_stream_that_lags_hides_no_loss(how: str, lag_s: float) -> None:
    """A balance stream that is behind, over one connection or many."""
    world = usdt_world()
    began = world.now + 10.0

    def true_usdt(at: float) -> int:
        return 9_100 if at >= began else 10_000

    talk(world, 0.3, lambda: say_usdt(world, true_usdt(world.now - lag_s)))
    if how == "drops":
        talk(world, 3.0, lambda: world.send(VenueLost("spot", "stream: dropped", Kind.BALANCES)))
    world.run(10.0)
    world.move_money("spot", "USDT", -900)
    trip_s(world, READ_S + CONFIRM_S + LEDGER_S)


# --- what a question means -------------------------------------------------------------------------


def test_a_contradicted_row_is_an_interval_for_one_read() -> None:
    world = btc_world()
    say_price(world, 50_000)
    set_price(world, 49_000)
    world.read("spot", Kind.PRICES, world.now - 0.1)  # on its way when the stream spoke
    equity = world.engine.judged(world.now)
    assert equity is not None
    assert (equity.value, equity.low, equity.high) == (10_000, 9_900, 10_100)
    assert not equity.is_trusted
    assert [action.kinds for action in world.actions(ReadNow)] == [frozenset({Kind.PRICES})]
    assert not world.engine.books.are_read_since(world.now - 0.1)
    say_price(world, 50_000)
    world.run(0.1)
    equity = world.engine.judged(world.now)
    assert equity is not None
    assert (equity.low, equity.high) == (9_900, 9_900)
    assert world.records(EventName.STREAM_CONTRADICTED)[0].fields == {
        "venue": "spot",
        "kind": Kind.PRICES,
        "rows": ["BTC/USDT"],
    }


def test_a_question_ends_when_the_stream_says_what_rest_said() -> None:
    world = usdt_world()
    say_usdt(world, 10_000)
    world.holdings["spot"] = amounts(USDT=9_900)
    world.read("spot", Kind.BALANCES, world.now - 0.05)
    say_usdt(world, 9_900)
    equity = world.engine.portfolio.interval()
    assert (equity.low, equity.high) == (9_900, 9_900)
    world.run(60.0)
    assert world.records(EventName.STREAM_CONTRADICTED) == []


def test_a_sign_of_life_keeps_no_contradicted_row_fresh() -> None:
    """REST contradicts once and is not heard of again: the stream vouches for nothing, and all becomes stale."""
    world = usdt_world()
    say_usdt(world, 10_000)
    world.holdings["spot"] = amounts(USDT=9_900)
    world.read("spot", Kind.BALANCES, world.now - 0.05)
    world.dead.add("spot")

    def live() -> None:
        world.send(StreamConfirmed("spot", Kind.BALANCES, world.now))
        say_usdt(world, 10_000)

    talk(world, 0.5, live)
    world.run(50.0)
    equity = world.engine.portfolio.interval()
    assert equity.high - equity.low > 4_000


def test_what_moved_is_told_once() -> None:
    """When REST proves right, and not again when the stream is believed again: two reads without a contradiction."""
    world = usdt_world()
    moved: list[Decimal] = []
    tell = world.engine.books.flows.moved

    def told(venue: str, moves: Sequence[AssetMove], *rest: float, **there: Decimal | None) -> None:
        moved.extend(move.units for move in moves)
        tell(venue, moves, *rest, **there)

    world.engine.books.flows.moved = told  # type: ignore[method-assign,assignment]
    lies = [True]
    talk(world, 0.05, lambda: say_usdt(world, 10_000 if lies[0] else world.holdings["spot"]["USDT"]))
    world.run(READ_S)
    world.move_money("spot", "USDT", -200)
    world.run(READ_S)
    assert moved == [-200]
    lies[0] = False
    world.run(4 * READ_S)
    assert moved == [-200]
    assert world.engine.portfolio.equity == 9_800
    world.stream_balances("spot", USDT=9_700)  # it is believed at once again
    assert world.engine.portfolio.equity == 9_700


@pytest.mark.parametrize("every_s", PACES)
def test_a_lying_stream_floods_neither_the_venue_nor_the_gate(every_s: float) -> None:
    """Four minutes of lies about a loss below the limit."""
    world = usdt_world()
    talk(world, every_s, lambda: say_usdt(world, 10_000))
    world.move_money("spot", "USDT", -200)
    world.forget()
    world.run(240.0)
    asked = [action for action in world.actions(ReadNow) if isinstance(action, ReadNow)]
    assert sum(Kind.BALANCES in action.kinds for action in asked) < 30
    assert len(gate_moves(world)) <= 4
    assert len(world.records(EventName.STREAM_CONTRADICTED)) <= 2
    assert world.loss == pytest.approx(0.02)


@pytest.mark.parametrize("every_s", PACES)
def test_a_lying_stream_does_not_make_the_gate_flicker(every_s: float) -> None:
    """A loss that passes the limit by what REST says: the gate shuts for good within a reading."""
    world = btc_world()
    talk(world, every_s, lambda: say_price(world, 50_000))
    world.run(READ_S)
    world.forget()
    set_price(world, 40_000)
    world.run(READ_S + CONFIRM_S + 1.0)
    assert world.state == "TRIGGERED"
    assert len(gate_moves(world)) <= 4


# --- a stream that tells the truth -----------------------------------------------------------------


@pytest.mark.parametrize("latency_s", [0.005, 0.1, 0.6])
def test_the_truth_about_a_price_trips_against_a_frozen_rest(latency_s: float) -> None:
    """REST says 50,000 for ever, as the stream once did, which has moved on."""
    world = btc_world()
    world.latency_s = latency_s
    now = [50_000]
    talk(world, 0.05, lambda: say_price(world, now[0]))
    world.run(READ_S)
    now[0] = 40_000
    trip_s(world, CONFIRM_S + 0.5)
    assert world.records(EventName.STREAM_CONTRADICTED) == []


def test_the_truth_about_a_balance_trips_against_a_frozen_rest() -> None:
    world = usdt_world()
    say_usdt(world, 10_000)
    world.run(READ_S)
    talk(world, 0.05, lambda: say_usdt(world, 9_100))
    trip_s(world, CONFIRM_S + LEDGER_S)
    assert world.records(EventName.STREAM_CONTRADICTED) == []


def test_a_quicker_stream_stays_in_force() -> None:
    """REST is 0.8 s behind; the price falls by 1 % a second, and comes back."""
    world = btc_world("0.02")
    began = world.now

    def true_price(at: float) -> Decimal:
        s = min(20.0, max(0.0, at - began))
        return Decimal(50_000) - round(Decimal(500 * min(s, 20.0 - s)), 1)

    talk(world, 0.05, lambda: set_price(world, true_price(world.now - 0.8)))
    talk(world, 0.05, lambda: say_price(world, true_price(world.now)))
    talk(world, 0.7, lambda: ask_price(world))
    for _ in range(95):
        world.run(0.2)
        quote = world.engine.portfolio.prices.mark("spot", "BTC/USDT")
        assert quote is not None
        assert abs(quote.value - true_price(world.now)) <= 100
    assert world.records(EventName.STREAM_CONTRADICTED) == []


def test_a_wild_tick_is_still_a_phantom() -> None:
    world = btc_world()
    say_price(world, 25_000)
    assert world.gate == "confirming"
    world.run(0.2)
    assert world.gate == "open"
    assert len(world.records(EventName.PHANTOM_BREACH)) == 1
    assert world.records(EventName.STREAM_CONTRADICTED) == []


def test_a_burst_of_wild_ticks_is_a_phantom_where_rest_is_alive() -> None:
    """Half a second of them, while REST moves a little."""
    world = btc_world()
    for wild in range(10):
        world.later(0.05 * wild, lambda: say_price(world, 25_000))
    talk(world, 0.3, lambda: set_price(world, 50_000 + world.now % 7))
    world.later(0.55, lambda: say_price(world, 50_001))
    world.run(READ_S)
    assert world.state == "ACTIVE"
    assert world.gate == "open"


def test_a_silent_stream_gives_way_at_once() -> None:
    """A thin market whose mid moves without a trade: REST is in force, nobody is set aside."""
    world = btc_world("0.01")
    say_price(world, 50_000)
    world.run(READ_S)
    for value in (49_000, 48_500, 49_500):
        set_price(world, value)
        world.run(READ_S)
        quote = world.engine.portfolio.prices.mark("spot", "BTC/USDT")
        assert quote is not None
        assert (quote.value, quote.other) == (value, None)
    assert world.records(EventName.STREAM_CONTRADICTED) == []
    assert world.actions(ReadNow) == []


def test_without_confirmation_a_loss_that_rest_tells_trips_too() -> None:
    world = World(with_(engine_settings(venues={"spot": SPOT}), confirmation={"enabled": False}))
    world.holdings["spot"] = amounts(USDT=5_000, BTC="0.1")
    world.start()
    talk(world, 0.05, lambda: say_price(world, 50_000))
    world.run(READ_S)
    set_price(world, 40_000)
    world.read("spot", Kind.PRICES)
    trip_s(world, 1.0)
