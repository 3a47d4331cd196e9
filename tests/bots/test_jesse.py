"""The jesse mixin in the real jesse: its own broker and simulation. `make try-bots` runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jesse", reason="`make try-bots` runs this where jesse is")

from jesse.research import backtest, candles_from_close_prices
from jesse.strategies import Strategy

from tests.gate_server import TOKEN, GateServer, beating

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from jesse_strategy import AsksTheGate

WHERE: dict[str, str] = {}
PRICES = [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115]


class Buys(AsksTheGate, Strategy):
    """One long, with a stop and a profit."""

    risk_venue = "binanceusdm"

    @property
    def risk_state_dir(self) -> str:  # type: ignore[override]
        return WHERE["state"]

    @property
    def risk_url(self) -> str:  # type: ignore[override]
        return WHERE["url"]

    @property
    def risk_token_file(self) -> str:  # type: ignore[override]
        return WHERE["token"]

    def should_long(self) -> bool:
        return self.price >= 102

    def should_cancel_entry(self) -> bool:
        return False

    def go_long(self) -> None:
        self.buy = 2, self.price
        self.stop_loss = 2, 50
        self.take_profit = 2, 110


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as server:
        yield server


def run(tmp_path: Path, server: GateServer) -> dict[str, Any]:
    (tmp_path / "token").write_text(TOKEN)
    WHERE.update(state=str(tmp_path), url=server.url, token=str(tmp_path / "token"))
    config = {
        "starting_balance": 10_000,
        "fee": 0,
        "type": "futures",
        "futures_leverage": 1,
        "futures_leverage_mode": "cross",
        "exchange": "Sandbox",
        "warm_up_candles": 0,
    }
    routes = [{"exchange": "Sandbox", "strategy": Buys, "symbol": "BTC-USDT", "timeframe": "1m"}]
    candles = {
        "Sandbox-BTC-USDT": {
            "exchange": "Sandbox",
            "symbol": "BTC-USDT",
            "candles": candles_from_close_prices(PRICES),
        }
    }
    with beating(tmp_path):
        result: dict[str, Any] = backtest(config, routes, [], candles)
    return result


def test_entry_stop_and_profit_are_asked_about(tmp_path: Path, server: GateServer) -> None:
    result = run(tmp_path, server)
    assert result["metrics"]["total"] >= 1
    asked = [(check["side"], check["type"], check["reduce_only"]) for check in server.checks[:3]]
    assert asked[0] == ("buy", "market", False)
    assert {("sell", "stop", True), ("sell", "limit", True)} <= set(asked)
    assert {check["symbol"] for check in server.checks} == {"BTC/USDT:USDT"}


def test_a_no_of_the_daemon_keeps_every_order_from_the_exchange(tmp_path: Path, server: GateServer) -> None:
    server.is_open = False
    result = run(tmp_path, server)
    assert result["metrics"].get("total", 0) == 0
    assert server.checks
    assert all(not check["reduce_only"] for check in server.checks), "no position was ever opened"
