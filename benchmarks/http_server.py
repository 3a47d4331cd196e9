"""A server to be measured, in a process of its own: `python -m benchmarks.http_server empty|gate DIRECTORY`.

Prints its port and, for the gate, a bot's token.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvloop
from aiohttp import web

from benchmarks.engine_rows import all_rules, engine_with
from risk_daemon.api.app import ControlServer
from risk_daemon.api.feed import Feed, Subscription
from risk_daemon.api.port import Instrument
from risk_daemon.auth.tokens import Role, TokenStore
from risk_daemon.gate.restraints import OrderAnswer, OrderRequest
from risk_daemon.model.clock import Instant, SystemClock
from risk_daemon.model.events import ErrorReported, Input, OrderReported, Tick


class Desk:
    """A control whose gate is a real engine's, with every rule on."""

    def __init__(self) -> None:
        rules = [rule for rule in all_rules() if rule.needs_confirmation]  # no limit on orders: it would be reached
        self._engine = engine_with(20, rules)
        self._now = Instant(1_030.0, 1_700_000_030.0)
        self._engine.process(Tick(), self._now)
        if self._engine.gate.locked:
            raise RuntimeError(f"the gate is shut: {self._engine.gate.cause}")
        self._feed = Feed()

    def check_order(self, order: OrderRequest) -> OrderAnswer:
        return self._engine.check_order(order, self._now)

    def is_alive(self) -> bool:
        return True

    def is_ready(self) -> bool:
        return True

    def venues(self) -> Collection[str]:
        return {"venue"}

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        return Instrument()

    def state(self) -> Mapping[str, Any]:
        return {}

    def history(self) -> Sequence[Mapping[str, Any]]:
        return []

    async def command(self, event: Input) -> Mapping[str, Any]:
        return {}

    async def cancel_all(self, venue: str | None, market: str | None) -> Mapping[str, Any]:
        return {}

    async def close_positions(self, venue: str | None) -> Mapping[str, Any]:
        return {}

    def report(self, event: OrderReported | ErrorReported) -> None:
        return

    def subscribe(self) -> Subscription:
        return self._feed.subscribe()


async def serve_empty() -> None:
    """An aiohttp handler that does nothing."""
    application = web.Application()

    async def nothing(request: web.Request) -> web.Response:
        return web.Response()

    application.router.add_post("/api/v1/orders/check", nothing)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], "-", flush=True)
    await asyncio.Event().wait()


async def serve_gate(directory: Path) -> None:
    """The gate."""
    tokens = TokenStore.open(directory / "tokens.json", SystemClock())
    token = tokens.create(Role.BOT, "bench")
    server = ControlServer(Desk(), directory / "s.sock", listen="127.0.0.1:0", tokens=tokens)
    await server.start()
    address = next(address for address in server.addresses if not address.startswith("unix:"))
    print(address.rpartition(":")[2], token, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    kind, place = sys.argv[1:]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(serve_empty() if kind == "empty" else serve_gate(Path(place)))
