"""The operator's page on a real listener; behind it a control that says what a test wants, before it a browser."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from risk_daemon.api.app import ControlServer
from risk_daemon.api.dashboard.board import Board
from risk_daemon.api.limits import Limits
from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore
from risk_daemon.model.clock import Clock
from risk_daemon.model.status import State
from tests.api_world import WALL, FakeControl

HOSTILE = "<img src=x onerror=document.title='run'><script>document.title='run'</script>\"'&\u202e"
NOW = datetime.fromtimestamp(WALL, UTC).isoformat()


def rule(kind: str, action: str, **limits: Any) -> dict[str, Any]:
    return {"breaker": kind, "breaker_type": kind, "action": action, "limits": limits, "warnings": ["0.03"]}


def distance(name: str, action: str, loss: float, limit: float, equity: str, left: str) -> dict[str, Any]:
    return {"rule": name, "action": action, "loss": loss, "limit": limit, "equity": equity, "left": left}


def document(**more: Any) -> dict[str, Any]:
    """A state in which something of everything is there."""
    ages = {"balances": 1.2, "positions": 2.0, "prices": 0.4}
    venue = {
        "connected": True,
        "equity": "6105.25",
        "daily_loss_ratio": 0.012,
        "age_s": ages,
        "proven": None,
        "orders": {"listed_s": 3.0, "failing_s": None, "reason": None, "may_cancel": True, "open": 2},
    }
    profit = {"total": "-120.40", "realized": "35.10", "unrealized": "-155.50", "open": "-88.00"}
    wanted = {
        "time": NOW,
        "reference_currency": "USDT",
        "equity": "9680.00",
        "equity_low": "9672.10",
        "equity_high": "9688.40",
        "trusted": True,
        "loss_ratio": 0.032,
        "drawdown_ratio": 0.032,
        "state": "ACTIVE",
        "started": True,
        "locked": False,
        "lock": {"observed": {}, "limits": {}},
        "initial_capital": "10000",
        "loss_threshold": 0.05,
        "daily_loss_ratio": 0.012,
        "daily_loss": "120.40",
        "portfolio_dd_pct": 0.032,
        "halts": [],
        "restraints": [],
        "venues": {"kraken": venue, "krakenfutures": {**venue, "equity": "3574.75"}},
        "last_sweep": None,
        "profit": {
            **profit,
            "day": "2026-11-20",
            "venues": {"kraken": profit, "krakenfutures": profit},
            "days": [{"day": "2026-11-19", "venue": "kraken", "realized": "210.75"}],
        },
        "turned_away": {},
        **_judged(),
        **_held(),
        **_happened(),
    }
    return State.shown({**wanted, **more}).document()


def _judged() -> dict[str, Any]:
    """Rules, and how far their limits are."""
    return {
        "circuit_breaker": {"state": "ACTIVE", "locked": False, "active": False, "max_portfolio_dd_nav_pct": 0.10},
        "breakers": {"capital_loss": "NORMAL", "drawdown": "NORMAL", "daily_loss": "NORMAL", "manual": "NORMAL"},
        "rules": {
            "capital_loss": rule("capital_loss", "trip", loss_threshold=0.05),
            "drawdown": rule("drawdown", "veto", max_portfolio_dd_nav_pct=0.10),
            "daily_loss": rule("daily_loss", "freeze", max_daily_loss_pct=0.03),
            "manual": rule("manual", "trip"),
        },
        "distances": [
            distance("daily_loss", "freeze", 0.012, 0.03, "9506.00", "174.00"),
            distance("capital_loss", "trip", 0.032, 0.05, "9500", "180.00"),
            distance("drawdown", "veto", 0.032, 0.10, "9000", "680.00"),
        ],
    }


def _held() -> dict[str, Any]:
    """What is held."""
    return {
        "positions": [
            {
                "venue": "krakenfutures",
                "symbol": "BTC/USD:BTC",
                "quantity": "-1500",
                "entry": "61250.5",
                "mark": "61890.0",
                "value": "-1499.12",
                "unrealized": "-15.66",
                "stale": False,
            },
            {
                "venue": "krakenfutures",
                "symbol": "ETH/USD:USD",
                "quantity": "12",
                "entry": "3010.25",
                "mark": None,
                "value": None,
                "unrealized": None,
                "stale": None,
            },
        ],
        "locks": [
            {"name": "file", "written_s": 0.4, "failing_s": None, "reason": None},
            {"name": "rediss://redis.example.org:6379/0", "written_s": 95.0, "failing_s": 94.0, "reason": "no answer"},
        ],
        "holdings": [
            {"venue": "kraken", "asset": "USDT", "amount": "4100.5", "price": "1", "value": "4100.50", "stale": False},
            {"venue": "kraken", "asset": "BTC", "amount": "0.032", "price": "61890", "value": "1980.48", "stale": True},
        ],
    }


def _happened() -> dict[str, Any]:
    """Orders, fills, errors, vetoes."""
    return {
        "recent": {
            "orders": [order(n) for n in range(11, -1, -1)],
            "fills": [fill(n) for n in range(7, -1, -1)],
            "errors": [
                {
                    "time_wall": WALL - 400,
                    "kind": "order_rejected",
                    "bot": "grid-1",
                    "venue": "kraken",
                    "detail": "EOrder:Insufficient funds",
                },
                {
                    "time_wall": WALL - 90,
                    "kind": "connection",
                    "bot": "maker",
                    "venue": "krakenfutures",
                    "detail": "no answer within 5 s",
                },
            ],
            "vetoes": [
                {
                    "unix": WALL - 3600,
                    "veto_reason": "max_notional",
                    "reason": "60,000 is more than 50,000",
                    "venue": "kraken",
                    "symbol": "BTC/USDT",
                    "side": "buy",
                    "quantity": "1",
                    "bot": "grid-1",
                },
            ],
        },
        "open_orders": [order(1), order(2)],
    }


def order(number: int) -> dict[str, Any]:
    return {
        "time_wall": WALL - 60 * number,
        "venue": "kraken",
        "symbol": "BTC/USDT",
        "bot": "grid-1",
        "side": "buy",
        "type": "limit",
        "quantity": "0.05",
        "price": f"{61000 + number}.5",
        "trigger_price": None,
        "status": "open" if number < 3 else "ended",
        "order_id": f"O{number}-QWERT",
        "client_order_id": None,
    }


def fill(number: int) -> dict[str, Any]:
    return {
        "time_wall": WALL - 45 * number,
        "venue": "kraken",
        "symbol": "BTC/USDT",
        "bot": "grid-1",
        "side": "sell",
        "quantity": "0.01",
        "price": f"{61800 - number}",
        "fee": "0.55",
        "fee_asset": "USDT",
    }


def tripped(**more: Any) -> dict[str, Any]:
    """A trip by loss of capital: one venue proven, the other not."""
    swept = {"proven": True, "cancelled": 14, "replaced": [], "unproven_reason": None, "proven_s": 2.1}
    open_yet = {**swept, "proven": False, "cancelled": 3, "unproven_reason": "the listing timed out"}
    lock = {
        "cause": "capital_loss",
        "reason": "a loss of 5.12 % of the initial capital, limit 5 %",
        "observed": {},
        "limits": {},
        "trip_id": "trip-1",
        "since": NOW,
        "until": None,
        "proven": False,
    }
    return document(
        state="TRIGGERED",
        locked=True,
        lock=lock,
        breakers={"capital_loss": "TRIPPED", "drawdown": "TRIPPED", "daily_loss": "NORMAL", "manual": "NORMAL"},
        portfolio_dd_pct=0.114,
        circuit_breaker={"state": "TRIGGERED", "locked": True, "active": True, "max_portfolio_dd_nav_pct": 0.10},
        last_sweep={"trip_id": "trip-1", "venues": {"kraken": swept, "krakenfutures": open_yet}},
        **more,
    )


def vetoed(**more: Any) -> dict[str, Any]:
    """The drawdown is past its limit, which vetoes new orders; nothing has tripped."""
    lock = {"cause": "max_portfolio_dd", "reason": "drawdown of 11.40 %", "observed": {}, "limits": {}, "since": NOW}
    return document(
        locked=True,
        lock=lock,
        breakers={"capital_loss": "NORMAL", "drawdown": "TRIPPED", "daily_loss": "NORMAL", "manual": "NORMAL"},
        portfolio_dd_pct=0.114,
        circuit_breaker={"state": "ACTIVE", "locked": True, "active": True, "max_portfolio_dd_nav_pct": 0.10},
        **more,
    )


def hostile() -> dict[str, Any]:
    """Every text that others choose is an attack."""
    row = {"time_wall": WALL, **dict.fromkeys(("kind", "bot", "venue", "detail", "symbol", "side", "status"), HOSTILE)}
    calm = document()
    return document(
        breakers={HOSTILE: HOSTILE},
        rules={HOSTILE: {"action": HOSTILE, "limits": {HOSTILE: HOSTILE}}},
        venues={HOSTILE: calm["venues"]["kraken"] | {"orders": {"failing_s": 3.0, "reason": HOSTILE}}},
        halts=[{"venue": HOSTILE, "bot": HOSTILE, "reason": HOSTILE, "operator": HOSTILE, "since_wall": WALL}],
        restraints=[{"cause": HOSTILE, "reason": HOSTILE, "venue": HOSTILE, "bot": None}],
        positions=[{**calm["positions"][0], "symbol": HOSTILE, "quantity": HOSTILE, "venue": HOSTILE}],
        locks=[{"name": HOSTILE, "written_s": None, "failing_s": 1.0, "reason": HOSTILE}],
        holdings=[{**calm["holdings"][0], "asset": HOSTILE, "venue": HOSTILE, "amount": HOSTILE}],
        distances=[{**calm["distances"][0], "rule": HOSTILE, "action": HOSTILE}],
        reference_currency=HOSTILE,
        recent={kind: [row] for kind in ("orders", "fills", "errors", "vetoes")},
        open_orders=[row],
        lock={"cause": HOSTILE, "reason": HOSTILE, "trip_id": HOSTILE, "since": HOSTILE, "observed": {}, "limits": {}},
    )


def points(days: float = 30.0) -> list[dict[str, Any]]:
    """Equity, a point a minute, that went up and came down, with a hole in it."""
    found = []
    for minute in range(int(days * 1440), 0, -1):
        if 3000 < minute < 3400:
            continue
        worth = 9680 + 320 * math.sin(minute / 2600) * math.cos(minute / 410) + 25 * math.sin(minute / 37)
        found.append(
            {
                "time": WALL - 60 * minute,
                "equity": f"{worth:.2f}",
                "low": f"{worth - 18:.2f}",
                "high": f"{worth + 18:.2f}",
                "flow_factor": "1",
            }
        )
    return found


@dataclass
class Said:
    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Browser:
    """What a browser sends of itself, unless a test says otherwise."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    host: str = "localhost"

    @property
    def origin(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def ask(self, method: str, path: str, form: Mapping[str, str] | None = None, **more: Any) -> Said:
        """None as a header leaves it out."""
        mine = {"Host": f"{self.host}:{self.port}", "Accept": "text/html"}
        mine |= {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"} if method == "POST" else {}
        headers = {name: one for name, one in {**mine, **more.pop("headers", {})}.items() if one is not None}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {"data": dict(form)} if form is not None else more
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method, f"http://127.0.0.1:{self.port}{path}", headers=headers, allow_redirects=False, **given
            ) as reply,
        ):
            for name, morsel in reply.cookies.items():
                self.cookies[name] = morsel.value
            return Said(reply.status, reply.headers, await reply.text())

    async def logs_in(self, token: str) -> Said:
        return await self.ask("POST", "/login", {"token": token})

    async def csrf(self) -> str:
        return csrf_of((await self.ask("GET", "/")).text)

    async def halts(self, what: str, confirm: str, reason: str = "enough", **more: Any) -> Said:
        form = {"csrf": await self.csrf(), "what": what, "confirm": confirm, "reason": reason}
        return await self.ask("POST", "/page/halt", form, **more)


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    return "" if found is None else found.group(1)


class PageWorld:
    """A listener with the page, and tokens of every role."""

    def __init__(self, directory: Path, limits: Limits | None = None, clock: Clock | None = None) -> None:
        self.control = FakeControl(document=document(), points=points(2))
        self.tokens = TokenStore.open(directory / FILE_NAME)
        self.bot = self.tokens.create(Role.BOT, "grid-1")
        self.operator = self.tokens.create(Role.OPERATOR, "alice")
        self.viewer = self.tokens.create(Role.VIEWER, "wall")
        self.server = ControlServer(
            self.control,
            directory / "s.sock",
            listen="127.0.0.1:0",
            tokens=self.tokens,
            limits=limits,
            clock=clock,
            page_host="guard.example",
        )

    @property
    def port(self) -> int:
        return int(self.server.addresses[0].rpartition(":")[2])

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}/"

    @property
    def board(self) -> Board:
        assert self.server.dashboard is not None
        return self.server.dashboard.board

    def browser(self) -> Browser:
        return Browser(self.port)

    async def logged_in(self, token: str | None = None) -> Browser:
        browser = self.browser()
        said = await browser.logs_in(token or self.operator)
        assert said.status == 303, said.text
        return browser

    def event(self, name: str, **fields: Any) -> None:
        """Something happens."""
        self._seq = getattr(self, "_seq", 0) + 1
        self.control.feed.publish(self._seq, name, fields, WALL + self._seq)


@asynccontextmanager
async def page_world(
    directory: Path, limits: Limits | None = None, clock: Clock | None = None
) -> AsyncIterator[PageWorld]:
    world = PageWorld(directory, limits, clock)
    await world.server.start()
    try:
        yield world
    finally:
        await world.server.stop()


class ThreadWorld:
    """The same in a thread with a loop of its own, for browsers that block. `does` runs something there."""

    def __init__(self, world: PageWorld, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self._loop = loop

    def does(self, action: Any) -> Any:
        """Call it in the loop's thread."""

        async def run() -> Any:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(20)

    def shows(self, state: dict[str, Any]) -> None:
        self.does(lambda: setattr(self.world.control, "document", state))


@contextmanager
def page_world_in_a_thread(directory: Path) -> Iterator[ThreadWorld]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    world = PageWorld(directory)
    asyncio.run_coroutine_threadsafe(world.server.start(), loop).result(20)
    try:
        yield ThreadWorld(world, loop)
    finally:
        asyncio.run_coroutine_threadsafe(world.server.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()
