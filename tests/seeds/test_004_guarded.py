"""The guide's engine is given its coordinator: here ccxt is the engine, against a simulated exchange over sockets."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.async_support
import pytest

from adapters.endpoint import rewrite_all
from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.breakers import (
    BaseCircuitBreaker,
    CircuitBreakerManager,
    CircuitBreakerType,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    ManualCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.guarded_exchange import OrderVetoed, guard
from tests.e2e import harness

WORTH = Decimal("100000")
BUY: Any = ("BTC/USDT", "limit", "buy", 0.001, 40_000)
KINDS = [ccxt.kraken, ccxt.async_support.kraken]


class Engine:
    """A ccxt client that was given the coordinator of the guide's five rules."""

    def __init__(self, kind: type, venue: harness.Venue) -> None:
        self.drawdown = DrawdownCircuitBreaker(max_drawdown_pct=Decimal("0.10"))
        self.daily = DailyLossCircuitBreaker(max_daily_loss=Decimal("5000"))
        self.manual = ManualCircuitBreaker()
        self.coordinator = CircuitBreakerManager()
        rates = OrderRateCircuitBreaker(max_orders_per_minute=10), ErrorRateCircuitBreaker(max_errors=5)
        for rule in (self.drawdown, self.daily, *rates, self.manual):
            self.coordinator.add_breaker(rule)
        self.venue = venue
        client = kind({"apiKey": API_KEY, "secret": API_SECRET, "enableRateLimit": False})
        client.urls["api"] = rewrite_all(client.urls["api"], venue.endpoint)
        self.exchange = guard(client, self.coordinator)

    def tell(self, worth: Decimal) -> None:
        self.drawdown.can_trade(current_portfolio_value=worth)
        self.daily.can_trade(current_portfolio_value=worth, start_of_day_value=WORTH)

    async def call(self, name: str, *args: Any) -> Any:
        result = getattr(self.exchange, name)(*args)
        return await result if inspect.isawaitable(result) else result

    async def veto(self) -> str:
        """The reason for which an order is not sent; and that it is not."""
        before = self.orders
        with pytest.raises(OrderVetoed) as raised:
            await self.call("create_order", *BUY)
        assert self.orders == before
        return str(raised.value.answer.veto_reason)

    @property
    def orders(self) -> int:
        return int(self.venue.get("/state")["open_order_count"])


@pytest.fixture(scope="module")
def venue() -> Iterator[harness.Venue]:
    venue = harness.simulated("kraken")
    yield venue
    venue.kill()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__module__)
async def engine(request: pytest.FixtureRequest, venue: harness.Venue) -> Any:
    engine = Engine(request.param, venue)
    await engine.call("load_markets")
    await engine.call("cancel_all_orders")
    yield engine
    if not engine.exchange.synchronous:
        await engine.exchange.close()


async def test_004_32_it_sends_while_no_rule_is_tripped(engine: Engine) -> None:
    engine.tell(WORTH)
    order = await engine.call("create_order", *BUY)
    assert engine.orders == 1
    engine.tell(Decimal("94000"))
    assert await engine.veto() == "daily_loss"
    await engine.call("cancel_order", order["id"], "BTC/USDT")
    assert engine.orders == 0, "cancels always pass"
    engine.daily.reset(operator="anna")
    engine.tell(WORTH)
    engine.manual.trigger_halt("flash crash", "anna")
    assert await engine.veto() == "manual_halt"
    engine.coordinator.reset_all()
    await engine.call("create_order", *BUY)
    assert engine.orders == 1


async def test_004_32_it_sends_nothing_while_a_rule_can_not_say(engine: Engine) -> None:
    """Never told, told something odd, or reset and not told since."""
    assert await engine.veto() == "blind"
    engine.drawdown.can_trade(current_portfolio_value=WORTH)
    assert await engine.veto() == "blind", "the other was told nothing yet"
    engine.tell(WORTH)
    await engine.call("create_order", *BUY)
    with pytest.raises(ValueError, match="NaN"):
        engine.tell(Decimal("NaN"))
    assert await engine.veto() == "blind"
    engine.tell(Decimal("80000"))
    assert await engine.veto() == "portfolio_dd_circuit"
    engine.coordinator.reset_all(operator="anna")
    assert await engine.veto() == "blind"
    engine.tell(WORTH)
    await engine.call("create_order", *BUY)
    assert engine.orders == 2


async def test_004_32_reducing_is_no_way_past_a_tripped_rule(engine: Engine) -> None:
    engine.tell(Decimal("94000"))
    with pytest.raises(OrderVetoed, match="daily_loss"):
        await engine.call("create_order", "BTC/USDT", "market", "sell", 0.001, None, {"reduceOnly": True})
    assert engine.orders == 0


async def test_004_32_orders_are_counted_by_whoever_guards(engine: Engine) -> None:
    """The loop that runs away: ten orders and no more, though the program records none."""
    engine.tell(WORTH)
    for _ in range(10):
        await engine.call("create_order", *BUY)
    assert await engine.veto() == "order_rate"
    assert engine.orders == 10


class Broken(BaseCircuitBreaker):
    """A rule of one's own that fails when it is looked at."""

    def __init__(self) -> None:
        super().__init__(CircuitBreakerType.CUSTOM, "broken")

    def refresh(self) -> None:
        raise ZeroDivisionError("of all things")


async def test_004_32_a_rule_that_raises_is_no_yes(engine: Engine) -> None:
    engine.tell(WORTH)
    engine.coordinator.add_breaker(Broken())
    assert await engine.veto() == "no_answer"
