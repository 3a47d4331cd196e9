"""A daemon's API on real listeners, with a control behind it that remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs

from risk_daemon.api.app import ControlServer
from risk_daemon.api.feed import Feed, Subscription
from risk_daemon.api.limits import Limits
from risk_daemon.api.openapi import document
from risk_daemon.api.routes import ROUTES
from risk_daemon.api.tally import Tally
from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore
from risk_daemon.gate.restraints import OrderAnswer, OrderRequest, Veto
from risk_daemon.metrics.reading import Reading
from risk_daemon.model.account import Instrument
from risk_daemon.model.events import ErrorReported, Input, OrderReported
from risk_daemon.model.status import State
from tests.metrics_world import troubled

WALL = 1_795_186_681.25
INSTRUMENTS = {
    ("kraken", "BTC/USDT"): Instrument(),
    ("krakenfutures", "BTC/USD:BTC"): Instrument(Decimal(10), inverse=True),
}
ORDER = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1", "price": "60000"}
RELOADED = {
    "accepted": True,
    "taken": True,
    "file": "/etc/risk-daemon/config.toml",
    "digest": "0" * 64,
    "changes": [{"key": "breakers.drawdown.limit", "old": "10 %", "new": "8 %"}],
    "looser": [],
    "acts_at_once": [],
}


@dataclass
class FakeControl:
    """Takes everything, and remembers it."""

    events: list[Input] = field(default_factory=list)
    sweeps: list[tuple[str | None, str | None]] = field(default_factory=list)
    acknowledged: list[tuple[str | None, str]] = field(default_factory=list)
    tested: list[str | None] = field(default_factory=list)
    trip_id: str | None = "t1"
    closings: list[str | None] = field(default_factory=list)
    gifts: list[tuple[str, Decimal, str]] = field(default_factory=list)
    refusal: str | None = None
    looked_at: list[Input] = field(default_factory=list)
    reloads: list[tuple[Any, ...]] = field(default_factory=list)
    reloaded: dict[str, Any] = field(default_factory=lambda: dict(RELOADED))
    orders: list[OrderRequest] = field(default_factory=list)
    reports: list[OrderReported | ErrorReported] = field(default_factory=list)
    vetoed_reports: list[tuple[Any, ...]] = field(default_factory=list)
    answer: dict[str, Any] = field(
        default_factory=lambda: {"accepted": True, "state": "TRIGGERED", "trip_id": "t1", "reason": ""}
    )
    good: bool = True
    error: Exception | None = None
    veto: Veto | None = None
    wall: float = WALL
    document: dict[str, Any] = field(
        default_factory=lambda: State.shown({"state": "ACTIVE", "equity": "9400.00"}).document()
    )
    told: Reading = field(default_factory=cache(troubled))
    points: list[dict[str, Any]] = field(default_factory=list)
    feed: Feed = field(default_factory=Feed)

    def state(self) -> Mapping[str, Any]:
        self._fail()
        return self.document

    def reading(self) -> Reading:
        self._fail()
        return self.told

    def history(self) -> Sequence[Mapping[str, Any]]:
        return self.points

    def is_ready(self) -> bool:
        return self.good

    def is_alive(self) -> bool:
        return self.good

    async def command(self, event: Input) -> Mapping[str, Any]:
        self._fail()
        self.events.append(event)
        return self.answer

    def why_not(self, event: Input) -> str | None:
        self._fail()
        self.looked_at.append(event)
        return self.refusal

    async def reload(self, by: str, *, dry_run: bool, acts: bool, digest: str | None) -> Mapping[str, Any]:
        self._fail()
        self.reloads.append((by, dry_run, acts, digest))
        return self.reloaded

    async def cancel_all(self, venue: str | None, market: str | None, operator: str) -> Mapping[str, Any]:
        self.sweeps.append((venue, market, operator))
        return {"proven": True, "venues": {}}

    async def close_positions(self, venue: str | None, operator: str) -> Mapping[str, Any]:
        self.closings.append((venue, operator))
        return {"flat": True, "venues": {}}

    async def fund_transfer(self, to: str, amount: Decimal, by: str) -> Mapping[str, Any]:
        self.gifts.append((to, amount, by))
        return {"accepted": self.refusal is None, "reason": self.refusal or "given"}

    def alerts(self) -> Mapping[str, Any]:
        return {"standing": None, "channels": {"oncall": {}}, "unusable": {}, "attempts": []}

    def acknowledge(self, trip_id: str | None, who: str) -> str | None:
        self.acknowledged.append((trip_id, who))
        return trip_id or self.trip_id

    async def test_alerts(self, channel: str | None) -> Mapping[str, Any]:
        self.tested.append(channel)
        return {channel or "oncall": {"delivered": True, "status": "204", "answer": ""}}

    def check_order(self, order: OrderRequest) -> OrderAnswer:
        self._fail()
        self.orders.append(order)
        return OrderAnswer(wall=self.wall, veto=self.veto)

    def report(self, event: OrderReported | ErrorReported) -> None:
        self._fail()
        self.reports.append(event)

    def vetoed(self, order: OrderRequest | None, veto: Veto, bot: str | None, *, ago_s: float, untold: int) -> None:
        self._fail()
        self.vetoed_reports.append((order, veto, bot, ago_s, untold))

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        return INSTRUMENTS.get((venue, symbol))

    def venues(self) -> set[str]:
        return {venue for venue, _ in INSTRUMENTS}

    def subscribe(self) -> Subscription:
        return self.feed.subscribe()

    def nothing_happened(self) -> bool:
        """Whether no request had any effect."""
        return not any(self.effects())

    def effects(self) -> tuple[list[Any], ...]:
        """Everything that requests led to."""
        asked = self.events, self.sweeps, self.closings, self.acknowledged, self.tested, self.reloads
        return *asked, self.orders, self.reports, self.vetoed_reports

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass(frozen=True)
class Reply:
    status: int
    type: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


DOCUMENT = document(ROUTES, "test")


def check_documented(method: str, target: str, reply: Reply) -> None:
    """Every answer of every test must be one that `/openapi.json` tells of."""
    operation = DOCUMENT["paths"].get(target.partition("?")[0], {}).get(method.lower())
    if operation is None:
        return
    where = f"{method} {target}: {reply.status}"
    response = operation["responses"].get(str(reply.status))
    assert response is not None, f"{where} is not documented"
    assert reply.type in response["content"], f"{where} is documented as {list(response['content'])}, not {reply.type}"
    for name in response.get("headers", {}):
        assert name in reply.headers, f"{where} has no {name}"
    schema = {**response["content"][reply.type]["schema"], "components": DOCUMENT["components"]}
    if "json" in reply.type:
        jsonschema_rs.validate(schema, reply.body)
    else:
        assert schema["type"] == "string", where


class ApiWorld:
    """A running server, and ways to ask it. Every answer is compared with the document."""

    def __init__(
        self,
        directory: Path,
        limits: Limits | None = None,
        *,
        listen: str = "127.0.0.1:0",
        tally: Tally | None = None,
    ) -> None:
        self.control = FakeControl()
        self.path = directory / "s.sock"
        self.tokens = TokenStore.open(directory / FILE_NAME)
        self.bot = self.tokens.create(Role.BOT, "grid-1")
        self.operator = self.tokens.create(Role.OPERATOR, "alice")
        self.viewer = self.tokens.create(Role.VIEWER, "prometheus")
        self.server = ControlServer(
            self.control, self.path, listen=listen, tokens=self.tokens, limits=limits, tally=tally
        )

    @property
    def port(self) -> int:
        return int(self.server.addresses[0].rpartition(":")[2])

    async def socket(self, method: str, target: str, body: object = None, **options: Any) -> Reply:
        """Over the Unix socket."""
        connector = aiohttp.UnixConnector(str(self.path))
        return await self._ask(connector, f"http://localhost{target}", method, body, None, options)

    async def tcp(
        self, method: str, target: str, body: object = None, *, token: str | None = None, **options: Any
    ) -> Reply:
        """Over TCP."""
        url = f"http://127.0.0.1:{self.port}{target}"
        return await self._ask(aiohttp.TCPConnector(), url, method, body, token, options)

    async def check(self, order: object = None, token: str | None = None, **options: Any) -> Reply:
        """Ask for an order as the bot."""
        body = None if "data" in options else ORDER if order is None else order
        return await self.tcp("POST", "/api/v1/orders/check", body, token=token or self.bot, **options)

    async def raw(self, text: str | bytes) -> bytes:
        """Everything the server says to some bytes, until it hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text.encode() if isinstance(text, str) else text)
        said = await reader.read()
        writer.close()
        return said

    async def _ask(
        self,
        connector: aiohttp.BaseConnector,
        url: str,
        method: str,
        body: object,
        token: str | None,
        options: dict[str, Any],
    ) -> Reply:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if "data" in options:
            headers.setdefault("Content-Type", "application/json")
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, url, json=body, headers=headers, **options) as reply,
        ):
            said = Reply(reply.status, reply.content_type, reply.headers, await reply.read())
        check_documented(method, target_of(url), said)
        return said


def target_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


@asynccontextmanager
async def serving(
    directory: Path, limits: Limits | None = None, *, tally: Tally | None = None
) -> AsyncIterator[ApiWorld]:
    """A server that runs while this lasts."""
    world = ApiWorld(directory, limits, tally=tally)
    await world.server.start()
    try:
        yield world
    finally:
        await world.server.stop()
