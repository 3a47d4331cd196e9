"""The card: the packages are used for what they are the right tool for, and the rooms are where it has them."""

from __future__ import annotations

import ast
import asyncio
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp.web
import ccxt.pro
import structlog
import uvloop
import websockets.asyncio.client
from pydantic_settings import BaseSettings

from adapters import connection, venue_adapter
from adapters.socket_streams import SocketStreams
from risk_daemon.api.connections import Server
from risk_daemon.cli import loop
from risk_daemon.config.credentials import Credentials
from tests.seeds.common import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def needed() -> set[str]:
    """The packages that an installation brings."""
    return {_name(text) for text in PROJECT["project"]["dependencies"]}


def _name(requirement: str) -> str:
    return next(iter("".join(c if c.isalnum() or c in "-_" else " " for c in requirement).split()))


def imported_by(room: str) -> set[str]:
    """The packages that the files of a room name in imports."""
    return {package for file in (ROOT / room).rglob("*.py") for package in _imports(file)}


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_card_01_python_3_11_is_enough() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"


async def test_card_03_an_adapter_speaks_through_ccxt() -> None:
    adapter: Any = venue_adapter("kraken", "KEY", "SECRET")
    assert isinstance(adapter._client, ccxt.pro.kraken)
    assert "ccxt" in needed() & imported_by("adapters")


def test_card_04_aiohttp_serves_the_api_and_the_simulated_exchanges() -> None:
    assert "aiohttp" in needed() & imported_by("risk_daemon/api") & imported_by("adapters/simulated")
    assert issubclass(Server, aiohttp.web.Server)


def test_card_05_what_is_logged_are_structlogs_lines(capsys: Any) -> None:
    """JSON for the journal: a name and fields."""
    defaults = structlog.get_config()
    try:
        loop.configure_logs()
        structlog.get_logger("a").error("venue_lost", venue="kraken")
    finally:
        structlog.configure(**defaults)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["venue"], line["level"]) == ("venue_lost", "kraken", "error")
    assert "structlog" in needed()


def test_card_06_the_loop_is_uvloops() -> None:
    async def which() -> bool:
        return isinstance(asyncio.get_running_loop(), uvloop.Loop)

    defaults = structlog.get_config()
    try:
        assert loop.run_to_end(which())
    finally:
        structlog.configure(**defaults)


async def test_card_07_this_test_is_awaited() -> None:
    assert PROJECT["tool"]["pytest"]["ini_options"]["asyncio_mode"] == "auto"


async def test_card_08_kraken_and_krakenfutures_stream_over_websockets() -> None:
    """How it speaks, and what it does of every fault: tests/contract/test_own_sockets.py."""
    for exchange, market in (("kraken", "spot"), ("krakenfutures", "perp")):
        adapter: Any = venue_adapter(exchange, "KEY", "SECRET", markets=[market])
        assert isinstance(adapter._streams, SocketStreams)
    assert connection.connect is websockets.asyncio.client.connect
    assert "websockets" in needed() & imported_by("adapters")


def test_card_09_the_keys_of_an_account_are_pydantic_settings() -> None:
    assert issubclass(Credentials, BaseSettings)
    assert "pydantic-settings" in needed()


def test_card_10_the_rooms_are_where_they_should_be() -> None:
    for room in ("risk_daemon", "adapters", "oms", "examples", "tests", "docs", "benchmarks", "deploy"):
        assert (ROOT / room).is_dir(), room
    assert (ROOT / "config.toml").is_file()
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["risk_daemon", "adapters", "oms"]
