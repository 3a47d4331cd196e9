"""The nautilus_trader mixin in the real nautilus_trader: its engine, exchange and strategy. `make try-bots` runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nautilus_trader", reason="`make try-bots` runs this where nautilus_trader is")

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.test_kit.stubs.data import TestDataStubs
from nautilus_trader.trading.strategy import Strategy

from tests.gate_server import TOKEN, GateServer, beating

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from nautilus_strategy import AsksTheGate

INSTRUMENT = TestInstrumentProvider.btcusdt_binance()
SYMBOLS = {str(INSTRUMENT.id): ("binance", "BTC/USDT")}


class Buys(AsksTheGate, Strategy):
    """An order that rests at the first quote, a change of it at the second, a market order, and its end."""

    quotes = 0

    def on_start(self) -> None:
        self.subscribe_quote_ticks(INSTRUMENT.id)

    def on_quote_tick(self, _tick: Any) -> None:
        self.quotes += 1
        step = {1: self._rest, 2: self._change, 3: self._take, 5: self._leave}.get(self.quotes)
        if step is not None:
            step()

    def _rest(self) -> None:
        self.resting = self.order_factory.limit(
            INSTRUMENT.id, OrderSide.BUY, Quantity.from_str("0.100000"), Price.from_str("40000.00")
        )
        self.submit_order(self.resting)

    def _change(self) -> None:
        self.modify_order(self.resting, quantity=Quantity.from_str("0.200000"))

    def _take(self) -> None:
        self.submit_order(self.order_factory.market(INSTRUMENT.id, OrderSide.BUY, Quantity.from_str("0.050000")))

    def _leave(self) -> None:
        self.close_all_positions(INSTRUMENT.id)


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as server:
        yield server


def run(tmp_path: Path, server: GateServer, symbols: dict[str, tuple[str, str]] = SYMBOLS) -> list[Any]:
    """The orders that reached the exchange, after seven quotes."""
    (tmp_path / "token").write_text(TOKEN)
    strategy = Buys()
    strategy.risk_state_dir, strategy.risk_url = str(tmp_path), server.url
    strategy.risk_token_file, strategy.risk_symbols = str(tmp_path / "token"), symbols
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("BINANCE"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(1_000_000, USDT)],
        default_leverage=Decimal(1),
    )
    engine.add_instrument(INSTRUMENT)
    second = 1_000_000_000
    engine.add_data(
        [
            TestDataStubs.quote_tick(INSTRUMENT, 50_000.0, 50_001.0, ts_event=n * second, ts_init=n * second)
            for n in range(1, 8)
        ]
    )
    engine.add_strategy(strategy)
    with beating(tmp_path):
        engine.run()
    orders = [order for order in engine.cache.orders() if order.status_string() != "INITIALIZED"]
    engine.dispose()
    return orders


def test_every_way_to_send_is_asked_about(tmp_path: Path, server: GateServer) -> None:
    orders = run(tmp_path, server)
    assert len(orders) == 3
    asked = [
        (check["side"], check["type"], Decimal(check["quantity"]), check["reduce_only"]) for check in server.checks
    ]
    assert asked == [
        ("buy", "limit", Decimal("0.1"), False),
        ("buy", "limit", Decimal("0.2"), False),
        ("buy", "market", Decimal("0.05"), False),
        ("sell", "market", Decimal("0.05"), True),
    ]
    assert {check["symbol"] for check in server.checks} == {"BTC/USDT"}


def test_a_no_of_the_daemon_keeps_every_order_from_the_exchange(tmp_path: Path, server: GateServer) -> None:
    server.is_open = False
    assert run(tmp_path, server) == []


def test_an_instrument_without_a_name_at_the_daemon_is_refused(tmp_path: Path, server: GateServer) -> None:
    assert run(tmp_path, server, {}) == []
    assert server.checks == []
