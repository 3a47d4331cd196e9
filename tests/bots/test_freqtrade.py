"""The freqtrade mixin in the real freqtrade: loaded, wrapped and called by its own code. `make try-bots` runs it.

Not part of `make test`: freqtrade brings a hundred packages and a ccxt of its own, and lives in an environment apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("freqtrade", reason="`make try-bots` runs this where freqtrade is")

from freqtrade.enums import RunMode
from freqtrade.persistence import Trade
from freqtrade.resolvers.strategy_resolver import StrategyResolver
from freqtrade.strategy.strategy_wrapper import strategy_safe_wrapper

from tests.gate_server import TOKEN, GateServer, beating

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "freqtrade_confirm.py"
STRATEGY = """
from freqtrade.strategy import IStrategy
from freqtrade_confirm import AsksTheGate


class Guarded(AsksTheGate, IStrategy):
    timeframe = "5m"
    minimal_roi = {{"0": 1}}
    stoploss = -0.5
    position_adjustment_enable = True
    risk_state_dir = {state!r}
    risk_url = {url!r}
    risk_token_file = {token!r}
    risk_venue = "kraken"
    wants = 100.0

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    populate_entry_trend = populate_exit_trend = populate_indicators


class Wants:
    def adjust_trade_position(self, *args, **kwargs):
        return self.wants


class Adjusting(AsksTheGate, Wants, IStrategy):
    for name, value in vars(Guarded).items():
        if not name.startswith("__") and name != "adjust_trade_position":
            locals()[name] = value
    del name, value
"""
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as server:
        yield server


@pytest.fixture
def strategy(tmp_path: Path, server: GateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / EXAMPLE.name).write_text(EXAMPLE.read_text())
    where = {"state": str(tmp_path), "url": server.url, "token": str(tmp_path / "token")}
    (tmp_path / "strategies" / "mine.py").write_text(STRATEGY.format(**where))
    monkeypatch.syspath_prepend(str(tmp_path / "strategies"))
    config = {
        "strategy": "Adjusting",
        "user_data_dir": tmp_path,
        "strategy_path": str(tmp_path / "strategies"),
        "runmode": RunMode.DRY_RUN,
        "exchange": {"name": "kraken"},
        "stake_currency": "USDT",
        "dry_run": True,
    }
    with beating(tmp_path):
        yield StrategyResolver.load_strategy(config)


def trade() -> Trade:
    return Trade(
        pair="BTC/USDT",
        amount=0.2,
        stake_amount=10_000.0,
        open_rate=50_000.0,
        fee_open=0.0,
        fee_close=0.0,
        is_short=False,
        leverage=1.0,
        exchange="kraken",
        open_date=NOW,
    )


def enter(strategy: Any) -> bool:
    """As freqtradebot.execute_entry does."""
    asked: bool = strategy_safe_wrapper(strategy.confirm_trade_entry, default_retval=True)(
        pair="BTC/USDT",
        order_type="limit",
        amount=0.1,
        rate=50_000.0,
        time_in_force="GTC",
        current_time=NOW,
        entry_tag=None,
        side="long",
    )
    return asked


def leave(strategy: Any) -> bool:
    """As freqtradebot.execute_trade_exit does."""
    asked: bool = strategy_safe_wrapper(strategy.confirm_trade_exit, default_retval=True)(
        pair="BTC/USDT",
        trade=trade(),
        order_type="market",
        amount=0.2,
        rate=50_000.0,
        time_in_force="GTC",
        exit_reason="roi",
        sell_reason="roi",
        current_time=NOW,
    )
    return asked


def adjust(strategy: Any) -> Any:
    """As freqtradebot.check_and_call_adjust_trade_position does."""
    return strategy._adjust_trade_position_internal(
        trade=trade(),
        current_time=NOW,
        current_rate=50_000.0,
        current_profit=0.0,
        min_stake=1.0,
        max_stake=1_000.0,
        current_entry_rate=50_000.0,
        current_exit_rate=49_000.0,
        current_entry_profit=0.0,
        current_exit_profit=0.0,
    )


def test_entries_exits_and_adjustments_are_asked_about(strategy: Any, server: GateServer) -> None:
    assert (enter(strategy), leave(strategy), adjust(strategy)) == (True, True, (100.0, ""))
    strategy.wants = -5_000.0
    assert adjust(strategy) == (-5_000.0, "")
    asked = [(check["side"], check["type"], check["quantity"], check["reduce_only"]) for check in server.checks]
    assert asked == [
        ("buy", "limit", "0.1", False),
        ("sell", "market", "0.2", True),
        ("buy", "limit", "0.002", False),
        ("sell", "limit", "0.1", True),
    ]


def test_a_no_of_the_daemon_is_a_no_to_freqtrade(strategy: Any, server: GateServer) -> None:
    """The memory map is open: it is one bot's halt, the order rate or a limit."""
    server.is_open = False
    assert (enter(strategy), leave(strategy), adjust(strategy)) == (False, False, (None, ""))


def test_an_error_in_the_mixin_is_a_no_although_freqtrade_takes_it_for_a_yes(strategy: Any) -> None:
    strategy._gate = object()
    assert (enter(strategy), leave(strategy), adjust(strategy)) == (False, False, (None, ""))
