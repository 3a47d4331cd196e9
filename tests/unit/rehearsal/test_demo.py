"""What the demo ends with, and how it names a state."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import CircuitBreaker, Data
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.errors import ExitCode, UsageError
from risk_daemon.rehearsal import demo
from risk_daemon.rehearsal.rehearsal import Book

EMPTY = Book({}, (), 0, None)
SETTLED = Book({"spot_plain": 0}, ({"order_id": "1"},), 0, 1.0)
LEFT = Book({"spot_plain": 0, "spot_trigger": 1}, (), 0, 1.0)
FINAL = Decimal(9_450)


def test_one_only_when_everybody_agrees() -> None:
    books = {"kraken": SETTLED, "krakenfutures": EMPTY}
    assert demo.judge(ExitCode.TRIGGERED_AND_PROVEN, FINAL, FINAL, books) is ExitCode.TRIGGERED_AND_PROVEN


@pytest.mark.parametrize(
    ("equity", "books"),
    [
        (FINAL, {"kraken": LEFT}),
        (FINAL, {"kraken": SETTLED, "krakenfutures": LEFT}),
        (FINAL, {}),
        (None, {"kraken": SETTLED}),
        (Decimal("9449.99"), {"kraken": SETTLED}),
    ],
    ids=["an order left", "on one of two", "books never read", "equity unknown", "another equity"],
)
def test_a_proof_that_does_not_hold_is_a_bug(equity: Decimal | None, books: dict[str, Book]) -> None:
    assert demo.judge(ExitCode.TRIGGERED_AND_PROVEN, equity, FINAL, books) is ExitCode.BUG


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.TRIGGERED_AND_PROVEN])
def test_any_other_end_stays_what_it_is(code: ExitCode) -> None:
    assert demo.judge(code, FINAL, FINAL, {"kraken": SETTLED}) is code


@pytest.mark.parametrize(
    ("state", "loss", "word"),
    [
        (CircuitBreakerState.ACTIVE, "0.02", "safe"),
        (CircuitBreakerState.WARNING, "0.035", "WARNING"),
        (CircuitBreakerState.WARNING, "0.042", "danger"),
        (CircuitBreakerState.TRIGGERED, "0.055", "TRIGGERED"),
        (CircuitBreakerState.ACTIVE, "0.055", "safe"),
        (CircuitBreakerState.DISABLED, "0.055", "DISABLED"),
    ],
)
def test_the_word_is_the_guards_state_not_the_demos_arithmetic(
    state: CircuitBreakerState, loss: str, word: str
) -> None:
    assert demo.word(state, Decimal(loss)).plain == word


def test_its_configuration_is_the_default_guard(tmp_path: Path) -> None:
    """The demo weakens nothing: all that it sets are the capital, the venues and the documented limits."""
    file = tmp_path / "config.toml"
    file.write_text(demo.config_of())
    settings = load_config(file)
    assert settings.circuit_breaker == CircuitBreaker()
    assert settings.data == Data()
    assert (settings.portfolio.initial_capital, settings.portfolio.reference_currency) == (
        demo.capital_of(demo.DEFAULT_VENUES),
        "USDT",
    )
    assert settings.circuit_breaker.loss_threshold == demo.LIMIT
    assert settings.circuit_breaker.warning_levels == (demo.WARNING,)


def test_the_steps_are_the_four_losses() -> None:
    losses = [
        (demo.capital_of(demo.DEFAULT_VENUES) - step.equity) / demo.capital_of(demo.DEFAULT_VENUES)
        for step in demo.steps_of(demo.DEFAULT_VENUES)
    ]
    assert losses == [Decimal(text) for text in ("0.02", "0.035", "0.042", "0.055")]


def test_other_venues_lose_the_same_parts_of_what_they_hold() -> None:
    venues = ("binance", "binanceusdm", "bybit", "okx", "mexc")
    capital = demo.capital_of(venues)
    assert capital == 29_000
    losses = [(capital - step.equity) / capital for step in demo.steps_of(venues)]
    assert [round(loss, 4) for loss in losses] == [Decimal(text) for text in ("0.02", "0.035", "0.042", "0.055")]


@pytest.mark.parametrize("venues", [["kraken", "moon"], ["kraken", "kraken"], ["deribit"]])
def test_a_venue_that_can_not_be_set_up_is_refused(venues: list[str]) -> None:
    with pytest.raises(UsageError, match="name some of kraken, krakenfutures, binance"):
        demo.config_of(venues)
