"""The examples as they are run: real processes, a real simulated venue, and a gate.

The gate is a place with a state directory, a url and a token. Here a small server and a memory map stand for the
daemon; whatever else offers the same four things may take their place.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
from tests.e2e import harness
from tests.gate_server import TOKEN, GateServer, beating

EXAMPLES = harness.ROOT / "examples"


@dataclass
class Place:
    """Where a gate is, and how to shut it: all that these tests know of the daemon."""

    state_dir: Path
    url: str
    token_file: Path
    shut: Callable[[], None]

    @property
    def options(self) -> list[str]:
        return ["--state-dir", str(self.state_dir), "--url", self.url, "--token-file", str(self.token_file)]


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as server:
        yield server


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[MemoryMap]:
    with beating(tmp_path) as lock:
        yield lock


@pytest.fixture
def place(server: GateServer, lock: MemoryMap, tmp_path: Path) -> Place:
    token_file = tmp_path / "bot.token"
    token_file.write_text(TOKEN + "\n")

    def shut() -> None:
        server.is_open = False
        lock.write(LockRecord(True, "daily_loss", "trip-7", until_wall=1795219200.0), SystemClock().now())

    return Place(tmp_path, server.url, token_file, shut)


@pytest.fixture
def venue(simulate: Callable[[str], harness.Venue]) -> harness.Venue:
    return simulate("kraken")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def run(name: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(EXAMPLES / name), *options]
        process = subprocess.Popen(
            command, cwd=harness.ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def placed(venue: harness.Venue) -> int:
    return int(venue.get("/state")["open_order_count"])


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the ccxt bot ----------------------------------------------------------------------------------


def test_the_ccxt_bot_trades_and_is_counted(place: Place, venue: harness.Venue, start: Any, server: GateServer) -> None:
    bot = start("ccxt_bot.py", *place.options, "--endpoint", venue.endpoint, "--orders", "3", "--every", "0")
    output, _ = bot.communicate(timeout=60)
    assert (bot.returncode, placed(venue)) == (0, 3), output
    assert len(server.checks) == 3
    assert [report["kind"] for report in server.wait_for_reports(3)] == ["sent"] * 3


def test_the_ccxt_bot_stops_on_a_veto(place: Place, venue: harness.Venue, start: Any) -> None:
    bot = start("ccxt_bot.py", *place.options, "--endpoint", venue.endpoint, "--every", "0.02")
    harness.wait_for(lambda: placed(venue) > 2, "the bot's first orders")
    place.shut()
    output, _ = bot.communicate(timeout=60)
    assert bot.returncode == 3, output
    last = output.strip().splitlines()[-1]
    assert re.match(r"stopped before order \d+: daily_loss, locked until 2026-11-21T00:00:00", last), output
    assert placed(venue) == output.count("\norder ") + 1


@pytest.mark.parametrize("way", ["map", "http"])
def test_the_ccxt_bot_with_half_of_the_gate(place: Place, venue: harness.Venue, start: Any, way: str) -> None:
    options = place.options[:2] if way == "map" else place.options[2:]
    place.shut()
    bot = start("ccxt_bot.py", *options, "--endpoint", venue.endpoint)
    output, _ = bot.communicate(timeout=60)
    assert (bot.returncode, placed(venue)) == (3, 0), output
    assert "daily_loss" in output


def test_the_ccxt_bot_without_a_daemon(venue: harness.Venue, tmp_path: Path, start: Any) -> None:
    bot = start("ccxt_bot.py", "--state-dir", str(tmp_path / "none"), "--endpoint", venue.endpoint)
    output, _ = bot.communicate(timeout=60)
    assert (bot.returncode, placed(venue)) == (3, 0), output
    assert "locked" in output


# --- the order service -----------------------------------------------------------------------------


def ask(method: str, url: str, body: bytes = b"") -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


ORDER = b'{"symbol": "BTC/USDT", "side": "buy", "quantity": "0.001", "price": "50000"}'


@pytest.mark.parametrize("asks", [True, False])
def test_the_order_service(place: Place, venue: harness.Venue, start: Any, server: GateServer, asks: bool) -> None:
    options = place.options if asks else place.options[:2]
    service = start("fastapi_order_service.py", *options, "--endpoint", venue.endpoint, "--port", "0")
    said = iter(service.stdout.readline, "")
    line = next(line for line in said if "running on" in line)
    url = re.search(r"http://[\d.:]+", line)[0]  # type: ignore[index]
    assert ask("POST", f"{url}/orders", ORDER)[0] == 201
    assert (placed(venue), len(server.checks)) == (1, 1 if asks else 0)
    place.shut()
    for path in ("/orders", "/orders/", "//orders", "/%6frders"):
        status, body = ask("POST", url + path, ORDER)
        assert (status, '"veto_reason": "daily_loss"' in body) == (423, True)
    assert placed(venue) == 1
    assert ask("DELETE", f"{url}/orders")[0] == 200, "cancels pass"
    assert placed(venue) == 0


def test_the_order_service_tells_what_the_venue_refused(
    place: Place, venue: harness.Venue, start: Any, server: GateServer
) -> None:
    service = start("fastapi_order_service.py", *place.options, "--endpoint", venue.endpoint, "--port", "0")
    said = iter(service.stdout.readline, "")
    line = next(line for line in said if "running on" in line)
    url = re.search(r"http://[\d.:]+", line)[0]  # type: ignore[index]
    too_much = ORDER.replace(b'"0.001"', b'"5"')
    assert ask("POST", f"{url}/orders", too_much)[0] == 422
    assert [report["kind"] for report in server.wait_for_reports(1)] == ["error"], "not enough funds counts for nothing"
    assert ask("POST", f"{url}/orders", ORDER)[0] == 201
    assert placed(venue) == 1


# --- the mixins ------------------------------------------------------------------------------------


class Strategy:
    """What an IStrategy has, as far as it matters here."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def confirm_trade_entry(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        self.called.append(f"entry {pair}")
        return pair != "DOGE/USDT"

    def confirm_trade_exit(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        self.called.append(f"exit {pair}")
        return True

    stake: Any = 10.0

    def adjust_trade_position(self, *args: Any, **kwargs: Any) -> Any:
        return self.stake


def strategy(place: Place, **settings: Any) -> Any:
    mixin = loaded("freqtrade_confirm").AsksTheGate
    where = {
        "risk_state_dir": place.state_dir,
        "risk_url": place.url,
        "risk_token_file": place.token_file,
        "risk_venue": "kraken",
    }
    return type("MyStrategy", (mixin, Strategy), where | settings)()


ENTRY: dict[str, Any] = {
    "pair": "BTC/USDT",
    "order_type": "limit",
    "amount": 0.1,
    "rate": 60_000.0,
    "time_in_force": "GTC",
    "current_time": None,
    "entry_tag": None,
    "side": "long",
}
EXIT: dict[str, Any] = {
    "pair": "BTC/USDT",
    "trade": SimpleNamespace(is_short=False),
    "order_type": "market",
    "amount": 0.1,
    "rate": 60_000.0,
    "time_in_force": "GTC",
    "exit_reason": "roi",
    "current_time": None,
}


def test_a_freqtrade_strategy_asks(place: Place, server: GateServer) -> None:
    mine = strategy(place)
    assert mine.confirm_trade_entry(**ENTRY) is True
    assert mine.confirm_trade_entry(**ENTRY | {"side": "short"}) is True
    assert mine.confirm_trade_entry(**ENTRY | {"pair": "DOGE/USDT"}) is False, "the strategy's own no"
    assert mine.confirm_trade_exit(**EXIT) is True
    asked = [(check["side"], check["type"], check.get("price"), check["reduce_only"]) for check in server.checks]
    assert asked == [
        ("buy", "limit", "60000", False),
        ("sell", "limit", "60000", False),
        ("buy", "limit", "60000", False),
        ("sell", "market", None, True),
    ]
    place.shut()
    assert mine.confirm_trade_entry(**ENTRY) is False
    assert mine.confirm_trade_exit(**EXIT) is False, "the daemon did not let the reduction pass"
    assert mine.called == ["entry BTC/USDT", "entry BTC/USDT", "entry DOGE/USDT", "exit BTC/USDT"]


TRADE = SimpleNamespace(pair="BTC/USDT:USDT", is_short=False, leverage=3.0, amount=0.3, stake_amount=6_000.0)
ADJUST: dict[str, Any] = {"trade": TRADE, "current_entry_rate": 60_000.0, "current_exit_rate": 59_000.0}


def test_a_freqtrade_strategy_asks_for_additions_and_partial_exits(place: Place, server: GateServer) -> None:
    mine = strategy(place)
    assert mine.adjust_trade_position(**ADJUST) == 10.0
    mine.stake = (-2_000.0, "less")
    assert mine.adjust_trade_position(**ADJUST) == (-2_000.0, "less")
    for nothing in (None, 0.0, (None, "")):
        mine.stake = nothing
        assert mine.adjust_trade_position(**ADJUST) == nothing
    asked = [(check["symbol"], check["side"], check["quantity"], check["reduce_only"]) for check in server.checks]
    assert asked == [("BTC/USDT:USDT", "buy", "0.0005", False), ("BTC/USDT:USDT", "sell", "0.1", True)]
    server.is_open = False  # by the order rate, a limit or the halt of this bot: the map says nothing of those
    for stake in (10.0, (-2_000.0, "less")):
        mine.stake = stake
        assert mine.adjust_trade_position(**ADJUST) is None
    mine.stake = 10.0
    assert mine.adjust_trade_position(None) is None, "what can't be asked is not done"


@pytest.mark.parametrize(
    "settings", [{"risk_token_file": "/nowhere"}, {"risk_url": "http://example.com"}, {"risk_venue": None}], ids=str
)
def test_a_freqtrade_strategy_never_raises(place: Place, settings: dict[str, Any]) -> None:
    """freqtrade would take that for a yes."""
    mine = strategy(place, **settings)
    assert mine.confirm_trade_entry(**ENTRY) is False
    assert mine.confirm_trade_exit(**EXIT) is False


@pytest.mark.parametrize("change", [{"amount": float("nan")}, {"rate": None, "amount": None}, {"order_type": None}])
def test_a_freqtrade_strategy_refuses_what_makes_no_sense(place: Place, change: dict[str, Any]) -> None:
    assert strategy(place).confirm_trade_entry(**ENTRY | change) is False


class Script:
    """What a StrategyV2Base has, as far as it matters here."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def buy(self, *order: Any, **kwargs: Any) -> str:
        self.sent.append(("buy", *order))
        return "id-1"

    def sell(self, *order: Any, **kwargs: Any) -> str:
        self.sent.append(("sell", *order))
        return "id-2"


def test_a_hummingbot_script_asks(place: Place, server: GateServer) -> None:
    where = {
        "risk_state_dir": place.state_dir,
        "risk_url": place.url,
        "risk_token_file": place.token_file,
        "risk_venues": {"binance_perpetual": "binanceusdm"},
        "risk_symbols": {("hyperliquid_perpetual", "BTC-USD"): "BTC/USDC:USDC"},
    }
    script = type("MyScript", (loaded("hummingbot_script").AsksTheGate, Script), where)()
    limit, market = SimpleNamespace(name="LIMIT"), SimpleNamespace(name="MARKET")
    close = SimpleNamespace(name="CLOSE")
    assert script.buy("kraken", "BTC-USDT", Decimal("0.1"), limit, Decimal(60_000)) == "id-1"
    assert script.sell("binance_perpetual", "BTC-USDT", Decimal(1), market, Decimal("NaN"), close) == "id-2"
    assert script.sell("bitget_perpetual", "BTC-USD", Decimal(1), market, Decimal("NaN"), close) == "id-2"
    assert script.sell("hyperliquid_perpetual", "BTC-USD", Decimal(1), market, Decimal("NaN"), close) == "id-2"
    asked = [(check["venue"], check["symbol"], check["side"], check["reduce_only"]) for check in server.checks]
    assert asked == [
        ("kraken", "BTC/USDT", "buy", False),
        ("binanceusdm", "BTC/USDT:USDT", "sell", True),
        ("bitget_perpetual", "BTC/USD:BTC", "sell", True),
        ("hyperliquid_perpetual", "BTC/USDC:USDC", "sell", True),
    ]
    place.shut()
    assert script.buy("kraken", "BTC-USDT", Decimal("0.1"), limit, Decimal(60_000)) == ""
    assert script.buy("kraken", "BTC-USDT", None, limit) == ""
    assert len(script.sent) == 4


def test_each_example_says_how_it_is_run() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for path in sorted(EXAMPLES.glob("*.py")):
        assert path.read_text().startswith('"""')
        assert path.name in listed, f"{path.name} is not in examples/README.md"
