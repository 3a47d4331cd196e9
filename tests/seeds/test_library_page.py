"""docs/library.md: its blocks are run in their order and as they stand, against simulated venues."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from adapters import KrakenPerpAdapter, KrakenSpotAdapter, MexcSpotAdapter, venue_adapter
from adapters.base import Market, VenueAdapter
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.child import SimulatedVenueProcess
from risk_daemon.errors import ConfigError
from tests.seeds.common import ROOT

PAGE = ROOT / "docs" / "library.md"
LOSS_BEGINS = "await watch(kraken)"
ORDERS = {"kraken": ("BTC/USDT", 3), "krakenfutures": ("PF_XBTUSD", 2)}
TOLD = [
    ("portfolio_update circuit_breaker_triggered 0.06",),
    ("9300.0", "-700.0", "-600.0", "-100.0", "-7.000"),
    ("ACTIVE False ('mexc balances',)",),
    ("ACTIVE True ()",),
    ("True",),
    ("True",),
    ("daily_loss", "loss of 6000.00", "limit 5000.00"),
    ("False",),
    ("'daily_loss': 'TRIPPED'",),
    ("MANUALLY_HALTED flash crash False",),
    ("blind: what it judges by is not known: daily_loss",),
    ("sent",),
    ("daily_loss: loss of 6000.00", "limit 5000.00"),
    ("exceeds max 0.3000 False",),
]


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest_asyncio.fixture
async def venues() -> AsyncIterator[dict[str, str]]:
    """Simulated venues by kind, with orders of a bot in their books."""
    processes = {kind: await SimulatedVenueProcess.start(kind) for kind in ORDERS}
    for kind, (symbol, count) in ORDERS.items():
        order = {"symbol": symbol, "side": "sell", "quantity": "0.001", "price": "90000", "count": count}
        await admin(processes[kind].endpoint, "order", **order)
    yield {kind: process.endpoint for kind, process in processes.items()}
    for process in processes.values():
        await process.stop()


async def admin(endpoint: str, name: str, **body: Any) -> Any:
    method = "POST" if body else "GET"
    async with aiohttp.ClientSession() as http, http.request(method, f"{endpoint}/_sim/{name}", json=body) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.json()


async def run(block: str, names: dict[str, Any]) -> None:
    code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.isawaitable(result):
        await asyncio.wait_for(result, 60.0)


async def test_002_38_every_block_of_the_page_runs_as_it_stands(venues: dict[str, str], capsys: Any) -> None:
    sent: list[str] = []

    async def submit_order() -> None:
        sent.append("order")

    names: dict[str, Any] = {
        "API_KEY": API_KEY,
        "API_SECRET": API_SECRET,
        "KRAKEN": venues["kraken"],
        "FUTURES": venues["krakenfutures"],
        "submit_order": submit_order,
    }
    for block in blocks():
        if LOSS_BEGINS in block:  # 6,000 + 4,000 until now
            await admin(venues["kraken"], "balance", asset="USDT", amount="5450")
        await run(block, names)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(TOLD)
    for line, words in zip(lines, TOLD, strict=True):
        assert all(word in line for word in words), line
    assert names["exit_code"] == 1
    assert sent == ["order"], "the second was not sent"
    assert [(await admin(endpoint, "state"))["open_order_count"] for endpoint in venues.values()] == [0, 0]


@pytest.mark.long
def test_002_65_the_program_runs_as_it_says() -> None:
    """The example as a process: two simulated venues, a loss of 5.5 %, everything cancelled, exit code 1."""
    words = [sys.executable, str(ROOT / "examples" / "library.py")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert "circuit_breaker_triggered: 5.50 % lost" in done.stdout
    states = [line.rpartition(": ")[2] for line in done.stdout.splitlines() if line.startswith("equity")]
    assert (states[0], states[-1]) == ("ACTIVE", "TRIGGERED")
    assert "orders in the exchanges' own books: 5" in done.stdout
    assert "cancelled, proven: True" in done.stdout
    assert "orders in the exchanges' own books: 0" in done.stdout


async def test_002_36_an_adapter_is_made_with_its_keys() -> None:
    """Of the classes of the summary, and of any other exchange; nothing is spoken to before `connect`."""
    made: list[tuple[Any, str]] = [
        (KrakenSpotAdapter("KEY", "SECRET"), "kraken"),
        (KrakenPerpAdapter("KEY", "SECRET"), "krakenfutures"),
        (MexcSpotAdapter("KEY", "SECRET"), "mexc"),
        (venue_adapter("binance", "KEY", "SECRET", name="main"), "main"),
    ]
    for adapter, name in made:
        assert isinstance(adapter, VenueAdapter)
        assert adapter.name == name
        assert adapter.scopes
        assert (adapter._client.apiKey, adapter._client.secret) == ("KEY", "SECRET")
        assert "SECRET" not in repr(adapter._settings)


async def test_002_26_what_can_not_be_listed_whole_is_refused() -> None:
    assert MexcSpotAdapter("KEY", "SECRET").markets == {Market.SPOT}
    with pytest.raises(ConfigError, match="perp"):
        venue_adapter("kraken", "KEY", "SECRET", markets=("perp",))
    with pytest.raises(ValueError, match="moon"):
        venue_adapter("mexc", "KEY", "SECRET", markets=("moon",))
