from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import product

import pytest

import risk_daemon
from risk_daemon import CircuitBreaker, CircuitBreakerConfig, CircuitBreakerState, PortfolioManager, RiskEvent
from risk_daemon.engine.states import TABLE, Outcome, Trigger
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import EventName

A, W, T, D = CircuitBreakerState
S, R, X = Outcome.STAYS, Outcome.REFUSED, Outcome.WOULD_HAVE_TRIGGERED

# The page the table is taken from, row by row: where it goes, or why it stays.
PAGE = {
    #   WARN CLEAR BREACH HALT RESET EXPIRE DISABLE ENABLE
    A: (W, S, T, T, R, R, D, S),
    W: (S, A, T, T, R, R, D, S),
    T: (S, S, S, S, A, A, R, R),
    D: (S, S, X, T, R, R, S, A),
}


def test_the_table_is_total() -> None:
    assert set(TABLE) == set(product(CircuitBreakerState, Trigger))


@pytest.mark.parametrize(("state", "trigger"), list(product(CircuitBreakerState, Trigger)))
def test_the_table_says_what_the_page_says(state: CircuitBreakerState, trigger: Trigger) -> None:
    entry = PAGE[state][list(Trigger).index(trigger)]
    step = TABLE[(state, trigger)]
    assert (step.before, step.trigger) == (state, trigger)
    assert step.after is (entry if isinstance(entry, CircuitBreakerState) else state)
    assert step.outcome is (Outcome.MOVES if isinstance(entry, CircuitBreakerState) else entry)
    assert step.moved is isinstance(entry, CircuitBreakerState)


def test_only_reset_and_expire_lead_out_of_triggered() -> None:
    leaving = {trigger for (state, trigger), step in TABLE.items() if state is T and step.moved}
    assert leaving == {Trigger.RESET, Trigger.EXPIRE}


# --- for a program of one's own ------------------------------------------------------------------------


def breaker(warning: float | None = 3.0) -> tuple[CircuitBreaker, PortfolioManager, list[RiskEvent]]:
    book = PortfolioManager(10_000, "USDT")
    book.update_balance("USDT", 10_000)
    config = CircuitBreakerConfig(10_000, "USDT").with_threshold(5.0).with_warning(warning)
    found = CircuitBreaker(config, book, ManualClock())
    events: list[RiskEvent] = []
    found.subscribe(events.append)
    return found, book, events


def names(events: list[RiskEvent]) -> list[EventName]:
    return [event.name for event in events if event.name is not EventName.PORTFOLIO_UPDATE]


def test_warning_breach_and_reset() -> None:
    found, book, events = breaker()
    book.update_balance("USDT", 9_700)
    assert found.check() is W
    book.update_balance("USDT", 9_501)
    assert found.check() is W
    book.update_balance("USDT", 9_500)
    assert found.check() is T
    assert found.is_triggered
    assert not found.is_trading_allowed
    with pytest.raises(CircuitBreakerError, match="at once"):
        found.reset()
    book.update_balance("USDT", 10_000)
    assert found.check() is T
    found.reset()
    assert found.state is A
    assert names(events) == [
        EventName.WARNING_TRIGGERED,
        EventName.CIRCUIT_BREAKER_TRIGGERED,
        EventName.CIRCUIT_BREAKER_RESET,
    ]


def test_flows_do_not_count_as_losses() -> None:
    found, book, _ = breaker()
    book.update_balance("USDT", 5_000)
    book.net_flows = Decimal(-5_000)
    assert found.check() is A


def test_a_warning_clears() -> None:
    found, book, events = breaker()
    book.update_balance("USDT", 9_600)
    found.check()
    book.update_balance("USDT", 9_900)
    assert found.check() is A
    assert names(events) == [EventName.WARNING_TRIGGERED, EventName.WARNING_CLEARED]


def test_no_warning_when_told_so() -> None:
    found, book, _ = breaker(None)
    book.update_balance("USDT", 9_501)
    assert found.check() is A


def test_halt_and_refusals() -> None:
    found, _, events = breaker()
    with pytest.raises(CircuitBreakerError):
        found.reset()
    found.halt("enough")
    assert found.is_triggered
    for refused in (found.disable, found.enable):
        with pytest.raises(CircuitBreakerError):
            refused()
    assert events[-1].fields["reason"] == "enough"


def test_disabled_only_tells() -> None:
    found, book, events = breaker()
    found.disable()
    book.update_balance("USDT", 5_000)
    assert found.check() is D
    assert found.is_trading_allowed
    assert names(events)[-1] is EventName.WOULD_HAVE_TRIGGERED
    found.enable()
    assert found.check() is T


def test_a_listener_may_leave() -> None:
    found, _, _ = breaker()
    heard: list[RiskEvent] = []
    leave = found.subscribe(heard.append)
    found.check()
    leave()
    found.check()
    assert len(heard) == 1


@pytest.mark.parametrize("percent", [0, 100, -5, float("nan")])
def test_a_limit_lies_between_0_and_100_percent(percent: float) -> None:
    with pytest.raises(ValueError):
        CircuitBreakerConfig(10_000).with_threshold(percent)


@pytest.mark.parametrize("percent", [0, 100, -3, float("nan")])
def test_a_warning_lies_between_0_and_100_percent(percent: float) -> None:
    with pytest.raises(ValueError):
        CircuitBreakerConfig(10_000).with_warning(percent)


@pytest.mark.parametrize("percent", [5, 6])
def test_a_warning_lies_below_the_limit_when_it_is_used(percent: float) -> None:
    config = CircuitBreakerConfig(10_000).with_warning(percent)
    with pytest.raises(ValueError, match="below the loss threshold"):
        CircuitBreaker(config, PortfolioManager(10_000))
    CircuitBreaker(config.with_threshold(10), PortfolioManager(10_000))


def test_limit_and_warning_are_given_in_any_order() -> None:
    plain = CircuitBreakerConfig(10_000)
    assert plain.with_warning(6).with_threshold(10) == plain.with_threshold(10).with_warning(6)
    assert plain.with_warning(6).with_threshold(10).warning_threshold == Decimal("0.06")
    assert plain.with_warning(None).with_threshold(10).warning_threshold is None


def test_a_limit_below_the_warning_drops_it() -> None:
    config = CircuitBreakerConfig(10_000).with_threshold(2.0)
    assert (config.loss_threshold, config.warning_threshold) == (Decimal("0.02"), None)


def test_closing_positions_is_a_flag() -> None:
    config = CircuitBreakerConfig(10_000)
    assert config.with_auto_close_positions() == CircuitBreakerConfig(10_000, auto_close_positions=True)
    assert config.with_auto_close_positions(False) == config


@pytest.mark.parametrize("capital", [0, -1, None, float("inf")])
def test_a_capital_is_above_zero(capital: float) -> None:
    with pytest.raises(ValueError):
        CircuitBreakerConfig(capital)


def test_the_currencies_must_agree() -> None:
    with pytest.raises(ValueError, match="EUR"):
        CircuitBreaker(CircuitBreakerConfig(1, "EUR"), PortfolioManager(1, "USDT"))


# --- what is not known is no loss ----------------------------------------------------------------------


def whole(*venues: str) -> tuple[CircuitBreaker, PortfolioManager, list[RiskEvent]]:
    """A breaker of 10,000 that nothing was told yet."""
    book = PortfolioManager(10_000, "USDT", venues=venues)
    found = CircuitBreaker(CircuitBreakerConfig(10_000), book, ManualClock())
    events: list[RiskEvent] = []
    found.subscribe(events.append)
    return found, book, events


def test_nothing_told_yet_is_no_loss_and_no_leave_to_trade() -> None:
    found, book, events = whole()
    assert not found.is_trading_allowed
    assert found.check() is A
    assert (found.loss_ratio, found.missing()) == (None, ("any balance",))
    assert [event.name for event in events] == [EventName.PORTFOLIO_UPDATE]
    facts = events[0].fields
    assert (facts["loss_ratio"], facts["equity"], facts["missing"]) == (None, None, ["any balance"])
    book.update_balance("USDT", 0)
    assert found.check() is T, "nothing held is known, and all is lost"


def test_a_venue_that_has_not_told_is_waited_for() -> None:
    found, book, events = whole("kraken", "mexc")
    book.update_balance("USDT", 6_000, venue="kraken")
    assert found.check() is A
    assert not found.is_trading_allowed
    assert events[-1].fields["missing"] == ["mexc balances"]
    book.update_balance("USDT", 4_000, venue="mexc")
    assert found.check() is A
    assert found.is_trading_allowed
    assert found.loss_ratio == 0
    book.update_balance("USDT", 3_400, venue="mexc")
    assert found.check() is T


def test_a_holding_without_a_price_is_no_loss_and_no_leave_to_trade() -> None:
    found, book, events = whole()
    book.update_balance("USDT", 5_000)
    book.update_balance("BTC", "0.1")
    assert found.check() is A
    assert not found.is_trading_allowed
    assert events[-1].fields["missing"] == ["price of BTC"]
    book.update_price("BTC", 50_000)
    assert found.check() is A
    assert found.is_trading_allowed
    book.update_price("BTC", 45_000)
    assert found.check() is T


def test_what_is_not_known_clears_nothing() -> None:
    found, book, _ = breaker()
    book.update_balance("USDT", 9_600)
    assert found.check() is W
    book.update_balance("USDT", 10_000)
    book.update_balance("BTC", 1)
    assert found.check() is W
    found.halt("odd")
    with pytest.raises(CircuitBreakerError, match="price of BTC"):
        found.reset()
    book.update_price("BTC", 1)
    found.reset()
    assert found.state is A


def test_disabled_nothing_is_forbidden() -> None:
    found, _, _ = whole()
    found.disable()
    assert found.is_trading_allowed


# --- events --------------------------------------------------------------------------------------------


async def test_the_event_stream_gives_every_event_from_its_making_on() -> None:
    found, book, _ = breaker()
    stream = risk_daemon.event_stream(found)
    book.update_balance("USDT", 9_000)
    found.check()
    assert (await anext(stream)).name is EventName.PORTFOLIO_UPDATE
    assert (await anext(stream)).name is EventName.CIRCUIT_BREAKER_TRIGGERED
    await stream.aclose()
    assert len(found._listeners) == 1
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_closed_event_stream_lets_its_reader_go() -> None:
    found, _, _ = breaker()
    stream = risk_daemon.event_stream(found)

    async def read() -> list[RiskEvent]:
        return [event async for event in stream]

    reading = asyncio.create_task(read())
    found.check()
    await stream.aclose()
    assert len(await asyncio.wait_for(reading, 1.0)) <= 1


def test_an_event_stream_that_nobody_holds_is_not_fed() -> None:
    found, _, _ = breaker()
    stream = risk_daemon.event_stream(found)
    assert len(found._listeners) == 2
    del stream
    assert len(found._listeners) == 1
