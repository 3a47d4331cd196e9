"""A venue's signed calls about orders on a loopback port, each answered after a delay and noted as it arrives.

Only what a sweep asks for, and the balance that a connect wants. No signature is checked. Replies have the fields of
the exchanges' documentation that a client reads. The market list is handed to the adapter, not served.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from adapters.base import VenueAdapter

Query = Mapping[str, Any]
Rows = dict[str, str]


@dataclass(frozen=True, slots=True)
class Face:
    """How one exchange speaks of orders.

    market_id: its name of the pair A0/USDT, say, as ccxt has it. answers: by method and path without the host; each is
    given the open orders, {id: name of the pair}, which it may change, and what was asked.
    """

    market_id: Callable[[str], str]
    answers: Mapping[str, Callable[[Rows, Query], Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: when it came, seconds of perf_counter, its method and path."""

    at: float
    what: str

    @property
    def is_cancel(self) -> bool:
        return "cancel" in self.what or self.what.startswith("DELETE")


class OrderDesk:
    """Serves one account. delay_s: before each answer."""

    def __init__(self, face: Face, bases: Sequence[str], orders: int, delay_s: float) -> None:
        self._face = face
        self._bases = bases
        self._delay_s = delay_s
        ids = [face.market_id(base) for base in bases]
        self.open: Rows = {str(1_000 + number): ids[number % len(ids)] for number in range(orders)}
        self.asked: list[Asked] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen; returns the endpoint."""
        application = web.Application()
        application.router.add_route("*", "/{host}/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def connect(self, adapter: VenueAdapter) -> None:
        """Connect an adapter that was given the markets; what that took is not counted."""
        markets = [self._market(base) for base in self._bases]
        adapter._client.set_markets(markets)  # type: ignore[attr-defined]
        await adapter.connect()
        self.asked.clear()

    def _market(self, base: str) -> dict[str, Any]:
        market_id = self._face.market_id(base)
        names = {"base": base, "quote": "USDT", "baseId": base, "quoteId": "USDT", "symbol": f"{base}/USDT"}
        kinds = {"type": "spot", "spot": True, "contract": False, "swap": False, "linear": None, "inverse": None}
        return names | kinds | {"id": market_id, "lowercaseId": market_id.lower(), "active": True}

    async def _answer(self, http: web.Request) -> web.Response:
        what = f"{http.method} {http.match_info['path']}"
        self.asked.append(Asked(time.perf_counter(), what))
        answer = self._face.answers.get(what)
        if answer is None:
            return web.json_response({"error": f"{what} is not served"}, status=404)
        said = await http.text()
        query = dict(http.query) | ({"body": json.loads(said)} if said[:1] in ("{", "[") else {})
        await asyncio.sleep(self._delay_s)
        return web.json_response(answer(self.open, query))
