"""The implementation summary: portfolio, circuit breaker, events and order manager, in a program of one's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal

import pytest

from adapters.base import Capabilities, Market, OrderListing, OrderScope
from oms import OrderManager
from risk_daemon import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    PortfolioManager,
    RiskEvent,
    event_stream,
)
from risk_daemon.engine.states import TABLE, Trigger
from risk_daemon.errors import ExitCode, VenueUnavailable
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName, Order, Position
from tests.seeds.common import ROOT

LOSSES = [("9800", "ACTIVE"), ("9650", "WARNING"), ("9580", "WARNING"), ("9450", "TRIGGERED")]


def made() -> tuple[PortfolioManager, CircuitBreaker, list[RiskEvent]]:
    """10,000 USDT, limit 5 %, warning 3 %, and what it tells."""
    portfolio = PortfolioManager(10_000, "USDT")
    portfolio.update_balance("USDT", 10_000)
    breaker = CircuitBreaker(CircuitBreakerConfig(10_000, "USDT").with_threshold(5.0).with_warning(3.0), portfolio)
    told: list[RiskEvent] = []
    breaker.subscribe(told.append)
    return portfolio, breaker, told


def names(told: list[RiskEvent]) -> list[str]:
    return [event.name.value for event in told if event.name is not EventName.PORTFOLIO_UPDATE]


def perp(quantity: object, entry: object) -> Position:
    return Position(
        symbol="BTC/USDT:USDT",
        quantity=Decimal(str(quantity)),
        entry=Decimal(str(entry)),
        settle="USDT",
        underlying="BTC",
    )


# --- portfolio -----------------------------------------------------------------------------------------


def test_002_01_five_percent_of_initial_capital_shuts_trading_down() -> None:
    portfolio, breaker, _ = made()
    portfolio.update_balance("USDT", "9500.01")
    assert breaker.check() is CircuitBreakerState.WARNING
    assert breaker.is_trading_allowed
    portfolio.update_balance("USDT", 9_500)
    assert breaker.check() is CircuitBreakerState.TRIGGERED
    assert not breaker.is_trading_allowed


def test_002_02_balances_of_assets_and_venues() -> None:
    portfolio = PortfolioManager(10_000, "USDT")
    portfolio.update_price("BTC", 50_000)
    portfolio.update_price("ETH", 2_000)
    portfolio.update_balance("USDT", 1_000, venue="kraken")
    portfolio.update_balance("USDT", 2_000, venue="mexc")
    portfolio.update_balance("BTC", "0.1", venue="kraken")
    portfolio.update_balance("ETH", 1, venue="mexc")
    assert portfolio.equity == 10_000
    assert (portfolio.venue_equity("kraken"), portfolio.venue_equity("mexc")) == (6_000, 4_000)


def test_002_03_positions_with_their_profit() -> None:
    portfolio = PortfolioManager(10_000, "USDT")
    portfolio.update_position(perp("0.5", 50_000), mark=51_000, venue="krakenfutures")
    assert portfolio.position_pnl("krakenfutures", "BTC/USDT:USDT") is not None
    assert portfolio.unrealized_pnl() == 500
    portfolio.update_position(perp("-0.5", 50_000), mark=51_000, venue="krakenfutures")
    assert portfolio.unrealized_pnl() == -500
    portfolio.update_position(perp(0, 50_000), venue="krakenfutures")
    assert portfolio.unrealized_pnl() == 0
    assert portfolio.positions("krakenfutures") == ()


def test_002_04_everything_is_valued_in_the_reference_currency() -> None:
    portfolio = PortfolioManager(10_000, "USDT")
    portfolio.update_balance("SOL", 10)
    assert portfolio.unpriced() == ("SOL",)
    portfolio.update_price("SOL", "0.004", quote="BTC")
    portfolio.update_price("BTC", 50_000)
    assert portfolio.equity == 2_000, "over BTC"
    assert portfolio.unpriced() == ()


def test_002_05_value_unrealised_and_percent() -> None:
    portfolio = PortfolioManager(10_000, "USDT")
    portfolio.update_balance("USDT", 9_700)
    portfolio.update_position(perp("0.1", 50_000), mark=47_500)
    summary = portfolio.summary()
    assert (summary.initial_capital, summary.current_value) == (10_000, 9_450)
    assert (summary.total_pnl, summary.unrealized_pnl, summary.pnl_percent) == (-550, -250, Decimal("-5.5"))


def test_002_06_realised_is_what_is_not_unrealised() -> None:
    portfolio = PortfolioManager(10_000, "USDT")
    portfolio.update_balance("USDT", 9_700)
    portfolio.update_position(perp("0.1", 50_000), mark=47_500)
    assert portfolio.summary().realized_pnl == -300
    portfolio.update_position(perp(0, 50_000))
    portfolio.update_balance("USDT", 9_450)
    assert portfolio.summary().realized_pnl == -550
    assert portfolio.summary().unrealized_pnl == 0


# --- circuit breaker -----------------------------------------------------------------------------------


def test_002_07_four_states() -> None:
    assert [state.value.title() for state in CircuitBreakerState] == ["Active", "Warning", "Triggered", "Disabled"]
    portfolio, breaker, _ = made()
    seen = [breaker.check()]
    for worth in (9_650, 9_450):
        portfolio.update_balance("USDT", worth)
        seen.append(breaker.check())
    portfolio.update_balance("USDT", 10_000)
    breaker.reset()
    breaker.disable()
    seen.append(breaker.state)
    assert seen == list(CircuitBreakerState)


def test_002_08_five_percent_unless_told_otherwise() -> None:
    assert CircuitBreakerConfig(10_000, "USDT").loss_threshold == Decimal("0.05")
    config = CircuitBreakerConfig(10_000, "USDT").with_threshold(7.5)
    portfolio = PortfolioManager(10_000, "USDT")
    breaker = CircuitBreaker(config, portfolio)
    portfolio.update_balance("USDT", 9_300)
    assert breaker.check() is not CircuitBreakerState.TRIGGERED
    portfolio.update_balance("USDT", 9_250)
    assert breaker.check() is CircuitBreakerState.TRIGGERED


def test_002_09_the_warning_is_three_percent_and_optional() -> None:
    assert CircuitBreakerConfig(10_000, "USDT").warning_threshold == Decimal("0.03")
    portfolio = PortfolioManager(10_000, "USDT")
    silent = CircuitBreaker(CircuitBreakerConfig(10_000, "USDT").with_warning(None), portfolio)
    portfolio.update_balance("USDT", 9_600)
    assert silent.check() is CircuitBreakerState.ACTIVE


def test_002_11_every_change_of_state_is_an_event() -> None:
    portfolio, breaker, told = made()
    for worth in (9_650, 9_900, 9_650, 9_450):
        portfolio.update_balance("USDT", worth)
        breaker.check()
    portfolio.update_balance("USDT", 10_000)
    breaker.reset()
    breaker.disable()
    breaker.enable()
    assert names(told) == [
        "warning_triggered",
        "warning_cleared",
        "warning_triggered",
        "circuit_breaker_triggered",
        "circuit_breaker_reset",
        "circuit_breaker_disabled",
        "circuit_breaker_enabled",
    ]


def test_002_13_a_configuration_is_built_step_by_step() -> None:
    plain = CircuitBreakerConfig(10_000.0, "USDT")
    built = plain.with_threshold(5.0).with_warning(3.0)
    assert (built.initial_capital, built.reference_currency) == (10_000, "USDT")
    assert (built.loss_threshold, built.warning_threshold) == (Decimal("0.05"), Decimal("0.03"))
    assert plain.with_threshold(10).loss_threshold == Decimal("0.10")
    assert plain.loss_threshold == Decimal("0.05"), "the one it was built from stays as it was"
    assert plain.with_warning(6.0).with_threshold(10.0) == plain.with_threshold(10.0).with_warning(6.0)


def test_002_14_closing_positions_is_a_flag_that_is_off() -> None:
    config = CircuitBreakerConfig(10_000, "USDT")
    assert config.auto_close_positions is False
    assert config.with_auto_close_positions(False).auto_close_positions is False
    assert config.with_auto_close_positions(True).auto_close_positions is True


def test_002_15_the_five_kinds_of_event() -> None:
    assert {
        "portfolio_update",
        "warning_triggered",
        "circuit_breaker_triggered",
        "circuit_breaker_reset",
        "system_shutdown",
    } <= {name.value for name in EventName}
    portfolio, breaker, told = made()
    portfolio.update_balance("USDT", 9_450)
    breaker.check()
    update, triggered = told
    assert (update.name, triggered.name) == (EventName.PORTFOLIO_UPDATE, EventName.CIRCUIT_BREAKER_TRIGGERED)
    assert (triggered.fields["loss_ratio"], triggered.fields["equity"]) == (0.055, "9450")


# --- order manager -------------------------------------------------------------------------------------


class Account:
    """An exchange account as a sweep sees it. What is in `book` is the truth; a broken one answers nothing."""

    capabilities = Capabilities()

    def __init__(self, name: str, market: Market, orders: int, *, broken: bool = False) -> None:
        self.name = name
        self.markets = frozenset({market})
        self.scopes: Sequence[OrderScope] = (OrderScope(f"{market.value}_plain", self.markets),)
        self.broken = broken
        self.book = [
            Order(
                venue=name,
                scope=self.scopes[0].name,
                order_id=f"{name}-{number}",
                symbol="BTC/USDT",
                side="buy",
                order_type="limit",
            )
            for number in range(orders)
        ]

    async def list_orders(self, scope: OrderScope) -> OrderListing:
        self._answer()
        return OrderListing(self.name, scope.name, asyncio.get_running_loop().time(), tuple(self.book))

    async def cancel_orders(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        self._answer()
        self.book.clear()

    def _answer(self) -> None:
        if self.broken:
            raise VenueUnavailable("503")


class LoopClock:
    """The clock of a loop whose time is virtual."""

    def now(self) -> Instant:
        mono = asyncio.get_running_loop().time()
        return Instant(mono, 1_700_000_000.0 + mono)


def accounts(*, broken: bool = False, **times_s: float) -> tuple[OrderManager, Account, Account, Account]:
    """Two spot accounts and one of perps, with orders on each."""
    kraken, mexc = Account("kraken", Market.SPOT, 3), Account("mexc", Market.SPOT, 2, broken=broken)
    futures = Account("krakenfutures", Market.PERP, 4)
    oms = OrderManager(clock=LoopClock(), cancel_deadline_s=30.0, **times_s)
    oms.add_spot_adapter(kraken)  # type: ignore[arg-type]
    oms.add_spot_adapter(mexc)  # type: ignore[arg-type]
    oms.add_perp_adapter(futures)  # type: ignore[arg-type]
    return oms, kraken, mexc, futures


@pytest.mark.looptime
async def test_002_16_one_manager_for_many_accounts() -> None:
    oms, *venues = accounts()
    result = await oms.cancel_all_orders()
    assert result.proven
    assert set(result.venues) == {"kraken", "mexc", "krakenfutures"}
    assert [venue.book for venue in venues] == [[], [], []]


@pytest.mark.looptime
async def test_002_17_spot_perp_or_everything() -> None:
    oms, kraken, mexc, futures = accounts()
    assert (await oms.cancel_all_spot_orders()).proven
    assert (len(kraken.book), len(mexc.book), len(futures.book)) == (0, 0, 4)
    assert (await oms.cancel_all_perp_orders()).proven
    assert futures.book == []
    kraken.book.append(
        Order(venue="kraken", scope="spot_plain", order_id="late", symbol="BTC/USDT", side="buy", order_type="limit")
    )
    assert (await oms.cancel_all_orders()).proven
    assert kraken.book == []


@pytest.mark.looptime
async def test_002_18_an_account_that_fails_keeps_no_other_from_being_emptied() -> None:
    oms, kraken, _, futures = accounts(broken=True)
    result = await oms.cancel_all_orders()
    assert not result.proven, "one that did not answer proves nothing"
    assert {name: venue.proven for name, venue in result.venues.items()} == {
        "kraken": True,
        "mexc": False,
        "krakenfutures": True,
    }
    assert kraken.book == futures.book == []
    assert "503" in str(result.unproven_reason)


@pytest.mark.looptime
async def test_002_19_the_result_says_what_was_cancelled_where() -> None:
    oms, *_ = accounts()
    result = await oms.cancel_all_orders(trip_id="trip-1")
    assert result.trip_id == "trip-1"
    assert {name: venue.proven for name, venue in result.venues.items()} == dict.fromkeys(result.venues, True)
    assert all(venue.first_cancel_s is not None for venue in result.venues.values())


# --- demo, in a program --------------------------------------------------------------------------------


def test_002_20_the_four_losses() -> None:
    portfolio, breaker, _ = made()
    for worth, state in LOSSES:
        portfolio.update_balance("USDT", worth)
        assert breaker.check().value == state
    assert portfolio.summary().pnl_percent == Decimal("-5.50")


@pytest.mark.parametrize(
    ("worth", "percent"), [("9800", "-2.00"), ("9650", "-3.50"), ("9580", "-4.20"), ("9450", "-5.50")]
)
def test_002_20_in_percent(worth: str, percent: str) -> None:
    portfolio = PortfolioManager(10_000, "USDT")
    portfolio.update_balance("USDT", worth)
    assert portfolio.summary().pnl_percent == Decimal(percent)


def test_002_23_a_warning_at_three_and_the_end_at_five_percent() -> None:
    portfolio, breaker, told = made()
    for worth in ("9701", "9700", "9501", "9500"):
        portfolio.update_balance("USDT", worth)
        breaker.check()
    assert names(told) == ["warning_triggered", "circuit_breaker_triggered"]


@pytest.mark.looptime
async def test_002_25_events_go_to_a_task_of_ones_own() -> None:
    portfolio, breaker, _ = made()
    events = event_stream(breaker)
    seen: list[str] = []

    async def watch() -> None:
        async for event in events:
            seen.append(event.name.value)
            if event.name is EventName.CIRCUIT_BREAKER_TRIGGERED:
                return

    watching = asyncio.create_task(watch())
    for worth, _ in LOSSES:
        portfolio.update_balance("USDT", worth)
        breaker.check()
    await asyncio.wait_for(watching, 1.0)
    assert seen[-1] == "circuit_breaker_triggered"


@pytest.mark.looptime
async def test_002_28_from_a_balance_to_empty_books() -> None:
    portfolio, breaker, _ = made()
    oms, *venues = accounts()
    portfolio.update_balance("USDT", 9_450)
    if breaker.check() is CircuitBreakerState.TRIGGERED:
        await oms.cancel_all_orders()
    assert [venue.book for venue in venues] == [[], [], []]


# --- how to use it -------------------------------------------------------------------------------------


def test_002_30_capital_and_currency() -> None:
    portfolio = PortfolioManager(10_000.0, "USDT")
    assert (portfolio.initial_capital, portfolio.reference) == (10_000, "USDT")


def test_002_31_a_balance_without_a_venue() -> None:
    portfolio = PortfolioManager(10_000, "USDT")
    portfolio.update_balance("USDT", 9_400)
    assert portfolio.equity == Decimal(9_400)


def test_002_32_a_breaker_of_configuration_and_portfolio() -> None:
    portfolio = PortfolioManager(10_000, "USDT")
    breaker = CircuitBreaker(CircuitBreakerConfig(10_000, "USDT"), portfolio)
    events: list[RiskEvent] = []
    end = breaker.subscribe(events.append)
    portfolio.update_balance("USDT", 9_500)
    breaker.check()
    end()
    breaker.check()
    assert [event.name for event in events] == [EventName.PORTFOLIO_UPDATE, EventName.CIRCUIT_BREAKER_TRIGGERED]


@pytest.mark.looptime
async def test_002_32_the_channel_is_there_before_anybody_reads() -> None:
    portfolio, breaker, _ = made()
    events = event_stream(breaker)
    portfolio.update_balance("USDT", 9_400)
    breaker.check()
    seen = [(await asyncio.wait_for(anext(events), 1.0)).name.value for _ in range(2)]
    assert seen == ["portfolio_update", "circuit_breaker_triggered"]


def test_002_33_what_is_not_known_triggers_nothing_and_allows_nothing() -> None:
    """The summary's own order of steps: two venues, a check after each of their balances."""
    portfolio = PortfolioManager(10_000, "USDT", venues=("kraken", "mexc"))
    breaker = CircuitBreaker(CircuitBreakerConfig(10_000, "USDT"), portfolio)
    assert (breaker.check(), breaker.is_trading_allowed) == (CircuitBreakerState.ACTIVE, False)
    portfolio.update_balance("USDT", 6_000, venue="kraken")
    assert (breaker.check(), breaker.is_trading_allowed) == (CircuitBreakerState.ACTIVE, False)
    portfolio.update_balance("USDT", 4_000, venue="mexc")
    assert (breaker.check(), breaker.is_trading_allowed) == (CircuitBreakerState.ACTIVE, True)
    portfolio.update_balance("USDT", 3_500, venue="mexc")
    assert breaker.check() is CircuitBreakerState.TRIGGERED


def test_002_33_a_check_after_an_update_triggers() -> None:
    portfolio, breaker, _ = made()
    portfolio.update_balance("USDT", 9_400)
    assert not breaker.is_triggered, "nobody has looked yet"
    breaker.check()
    assert breaker.is_triggered
    assert breaker.state is CircuitBreakerState.TRIGGERED


@pytest.mark.looptime
async def test_002_34_events_are_received_one_after_the_other() -> None:
    portfolio, breaker, _ = made()
    stream = event_stream(breaker)
    portfolio.update_balance("USDT", 9_400)
    breaker.check()
    assert (await anext(stream)).name is EventName.PORTFOLIO_UPDATE
    assert (await anext(stream)).name is EventName.CIRCUIT_BREAKER_TRIGGERED
    await stream.aclose()


@pytest.mark.looptime
async def test_002_35_triggered_cancel_everything_and_end_with_one() -> None:
    portfolio, breaker, _ = made()
    oms, *venues = accounts()
    portfolio.update_balance("USDT", 9_400)
    breaker.check()
    assert breaker.is_triggered
    result = await oms.cancel_all_orders()
    assert result.proven, "only then a program may end with 1"
    assert not any(venue.book for venue in venues)
    assert ExitCode.TRIGGERED_AND_PROVEN == 1


def test_002_35_a_program_that_does_so_ends_with_one() -> None:
    """As a process of its own, with the order of steps of the summary."""
    program = (
        "import asyncio, sys\n"
        "from tests.seeds.test_002_library import accounts, made\n"
        "async def main():\n"
        "    portfolio, breaker, _ = made()\n"
        "    oms, *venues = accounts(settle_s=0.0, order_flight_s=0.0, lease_s=0.0)\n"
        "    portfolio.update_balance('USDT', 9_400)\n"
        "    breaker.check()\n"
        "    if breaker.is_triggered:\n"
        "        result = await oms.cancel_all_orders()\n"
        "        sys.exit(1 if result.proven and not any(venue.book for venue in venues) else 4)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 1


@pytest.mark.looptime
async def test_002_37_adapters_are_added_for_spot_and_for_perps() -> None:
    oms, kraken, mexc, futures = accounts()
    result = await oms.cancel_all_spot_orders()
    assert set(result.venues) == {kraken.name, mexc.name}
    assert set((await oms.cancel_all_perp_orders()).venues) == {futures.name}


# --- performance and safety ----------------------------------------------------------------------------


@pytest.mark.looptime
async def test_002_60_a_slow_reader_loses_nothing() -> None:
    portfolio, breaker, told = made()
    stream = event_stream(breaker)
    for number in range(5_000):
        portfolio.update_balance("USDT", 10_000 + number)
        breaker.check()
    assert [await anext(stream) for _ in range(5_000)] == told
    await stream.aclose()


def test_002_62_there_is_an_answer_for_every_state_and_trigger() -> None:
    assert set(TABLE) == {(state, trigger) for state in CircuitBreakerState for trigger in Trigger}
    leaves = {
        trigger for (state, trigger), step in TABLE.items() if state is CircuitBreakerState.TRIGGERED and step.moved
    }
    assert leaves == {Trigger.RESET, Trigger.EXPIRE}
    for worth in (None, float("nan"), "abc", float("inf")):
        portfolio, breaker, _ = made()
        with pytest.raises(ValueError):
            portfolio.update_balance("USDT", worth)  # type: ignore[arg-type]
        assert breaker.check() is CircuitBreakerState.ACTIVE
        assert portfolio.equity == 10_000
