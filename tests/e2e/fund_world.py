"""Five guards with one limit, as processes, each over a simulated venue of its own, and a ledger that they share.

Between each guard and the ledger is a network that can be cut. On every venue a bot places orders while its gate is
open. What was lost is told by the venues' own books.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer
from risk_daemon.app import fund_desk
from risk_daemon.app.fund_desk import Order
from risk_daemon.app.init import init, prepare_init
from risk_daemon.client import TradingGate
from risk_daemon.config.load import Settings, load
from risk_daemon.fund.ledger import Row
from risk_daemon.fund.membership import FUND
from risk_daemon.state.directory import Paths
from risk_daemon.state.store.sqlite import peek_documents
from tests.e2e.harness import Daemon, http, wait_for
from tests.proxy import Proxy

NAMES = ("a", "b", "c", "d", "e")
LIMIT, BUDGET, CAPITAL = Decimal(2_000), Decimal(400), Decimal(10_000)
PRICE, HELD = Decimal(60_000), Decimal("0.1")
_ORDER_EVERY_S = 0.1
_OPEN_WITHIN_S = 150.0  # five processes begin at once
TRIPS_WITHIN_S = 10.0

T = TypeVar("T")


def config(venue: str, ledger: str, name: str) -> str:
    return f"""
[portfolio]
initial_capital = {CAPITAL}
[data]
reconcile_every = "2s"
call_timeout = "3s"
[baselines]
peak_hold = "1s"
[fund]
name = "alpha"
limit = "{LIMIT} USDT"
member = "{name}"
budget = "{BUDGET} USDT"
ledger = "{ledger}"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
endpoint = "{venue}"
"""


class Thread:
    """A loop of its own for what is served in this process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Member:
    """One guard, its venue, and its way to the ledger. orders: how many its bot placed."""

    def __init__(self, name: str, venue: VenueServer, way: Proxy, guard: Daemon) -> None:
        self.name, self.venue, self.way, self.guard = name, venue, way, guard
        self.orders = 0
        self._gate = TradingGate(guard.state)

    def control(self, path: str, **body: Any) -> Any:
        return http("POST", f"{self.venue.endpoint}/_sim/{path}", body)

    def lose(self, amount: int) -> None:
        """Have its account be worth so much less than its capital."""
        self.control("price", prices={"BTC/USDT": str(PRICE - amount / HELD)})

    @property
    def state(self) -> Any:
        """The venue's own truth."""
        return http("GET", f"{self.venue.endpoint}/_sim/state")

    @property
    def lost(self) -> Decimal:
        held = {asset: Decimal(row["total"]) for asset, row in self.state["holdings"].items()}
        return CAPITAL - held["USDT"] - held["BTC"] * self.venue.exchange.quotes["BTC/USDT"].mark

    @property
    def is_open(self) -> bool:
        return self._gate.is_open()

    @property
    def why_shut(self) -> str:
        """What programs that read a file are told; empty: it is open."""
        return (self.guard.risk().get("lock") or {}).get("reason") or ""

    def has_seen(self, lost: int) -> bool:
        """Whether its guard knows that so much is lost."""
        value = self.guard.risk().get("equity")
        return value is not None and abs(CAPITAL - Decimal(str(value)) - lost) < 1

    @property
    def row(self) -> Row:
        """As it is on its disk."""
        return Row.of(peek_documents(Paths(self.guard.state).database)[FUND]["row"])

    @property
    def trips(self) -> list[dict[str, Any]]:
        return self.guard.of("circuit_breaker_triggered")

    def places_an_order(self) -> None:
        self.control("order", symbol="BTC/USDT", price="1000", quantity="0.001")
        self.orders += 1


class Fund:
    """All of them. ledger: the server's address, with `{port}` for the port that a member reaches it by."""

    def __init__(self, directory: Path, ledger: str, port: int) -> None:
        self._thread = Thread()
        self._ending = AsyncExitStack()
        self._is_over = threading.Event()
        self.members = {name: self._member(directory / name, name, ledger, port) for name in NAMES}
        self._bots = threading.Thread(target=self._trade, daemon=True)
        self._bots.start()

    def _member(self, directory: Path, name: str, ledger: str, port: int) -> Member:
        directory.mkdir()
        venue, way = VenueServer("kraken"), Proxy(port)
        self._thread.run(self._serve(venue, way))
        text = config(venue.endpoint, ledger.format(port=way.port), name)
        guard = Daemon(directory, text, {"kraken": (API_KEY, API_SECRET)})
        member = Member(name, venue, way, guard)
        member.control("balance", asset="BTC", amount=str(HELD))
        member.control("balance", asset="USDT", amount=str(CAPITAL - HELD * PRICE))
        member.lose(0)
        return member

    async def _serve(self, venue: VenueServer, way: Proxy) -> None:
        await venue.start()
        self._ending.push_async_callback(venue.stop)
        await self._ending.enter_async_context(way.running())

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members.values())

    def _trade(self) -> None:
        """Bots that place orders while they are let."""
        while not self._is_over.wait(_ORDER_EVERY_S):
            for member in self:
                if member.is_open:
                    member.places_an_order()

    # --- how it begins -----------------------------------------------------------------------------

    def begin(self) -> Fund:
        """Founded and joined, every guard up, every budget lent, every gate open."""
        self._thread.run(self._set_up())
        return self.start().wait_open()

    async def _set_up(self) -> None:
        """As the commands do, of which each is a process that begins for seconds."""
        await asyncio.gather(*(_initialised(load(member.guard.config)) for member in self))
        await self._found(anew=False)

    async def _found(self, *, anew: bool) -> None:
        settings = [load(member.guard.config) for member in self]
        order = Order(operator="test", reason="test", say=lambda _sentence: None)
        await fund_desk.found(settings[0], order, capital=None, anew=anew)
        for other in settings[1:]:
            await fund_desk.join(other, order)

    def start(self) -> Fund:
        for member in self:
            member.guard.start()
        return self

    def stop(self) -> None:
        for member in self:
            member.guard.signal(signal.SIGTERM)
        assert {member.guard.exit_code() for member in self} == {0}, self.told()

    def reset(self) -> None:
        """By the command: the trips are over, and the fund is not open."""
        with ThreadPoolExecutor(2) as hands:
            for reset in hands.map(
                lambda member: member.guard.command("reset", "--reason", "test", "--rebaseline", "keep", "--yes"), self
            ):
                assert reset.returncode == 0, reset.stderr

    def found_anew(self) -> None:
        self._thread.run(self._found(anew=True))

    def wait_open(self) -> Fund:
        wait_for(lambda: all(member.is_open for member in self), self.told, within_s=_OPEN_WITHIN_S)
        return self

    # --- what is seen ------------------------------------------------------------------------------

    def told(self) -> str:
        """The last lines of every log, for whoever waited in vain."""
        return json.dumps({one.name: one.guard.events()[-6:] or one.guard.output()[-500:] for one in self}, indent=1)

    @property
    def lost(self) -> Decimal:
        return sum((member.lost for member in self), Decimal(0))

    @property
    def budgets(self) -> dict[str, Decimal]:
        """As they are on the disks."""
        return {member.name: member.row.budget for member in self}

    def wait_for_budgets(self, **budgets: Decimal) -> dict[str, Decimal]:
        """All of them, once these are as given."""
        wait_for(lambda: budgets.items() <= self.budgets.items(), lambda: f"{budgets}: {self.budgets} {self.told()}")
        return self.budgets

    @contextmanager
    def watched(self) -> Iterator[list[Decimal]]:
        """What the budgets on the disks sum to, again and again."""
        with self._again(lambda: sum(self.budgets.values(), Decimal(0))) as sums:
            yield sums

    @contextmanager
    def audited(self) -> Iterator[list[str]]:
        """What must never be: the limit is lost, and nobody trips for longer than it takes to see and confirm that."""
        violations: list[str] = []
        since = float("inf")

        def look() -> None:
            nonlocal since
            lost = self.lost
            if lost < LIMIT or any(member.trips for member in self):
                since = float("inf")
                return
            since = min(since, time.monotonic())
            if time.monotonic() - since > TRIPS_WITHIN_S:
                violations.append(f"{lost} are lost, and nobody has tripped")

        with self._again(look):
            yield violations

    @contextmanager
    def _again(self, look: Callable[[], T]) -> Iterator[list[T]]:
        """What it gives, again and again until the end, and at the end."""
        found: list[T] = []
        is_over = threading.Event()

        def looking() -> None:
            while not is_over.wait(0.05):
                found.append(look())

        with ThreadPoolExecutor(1) as hands:
            running = hands.submit(looking)
            try:
                yield found
            finally:
                is_over.set()
                running.result()
        found.append(look())

    # --- the network -------------------------------------------------------------------------------

    def cut(self) -> None:
        """Nobody reaches the ledger any more."""
        for member in self:
            member.way.is_deaf = True

    def mend(self) -> None:
        for member in self:
            member.way.is_deaf = False

    def release(self, member: Member) -> None:
        """What was held back goes on."""
        self._thread.loop.call_soon_threadsafe(member.way.release.set)

    # --- how it ends -------------------------------------------------------------------------------

    def ends_by_a_trip(self) -> set[str]:
        """Every guard ends with code 1, every venue empty and with no order after; the ids that they tripped under."""
        codes = {member.name: member.guard.exit_code() for member in self}
        assert codes == dict.fromkeys(NAMES, 1), self.told()
        for member in self:
            assert member.orders > 0
            assert member.state["open_order_count"] == 0
            ids = {trip["trip_id"] for trip in member.trips}
            assert {proof["trip_id"] for proof in member.guard.of("venue_proven")} == ids, self.told()
        return {trip["trip_id"] for member in self for trip in member.trips}

    def close(self) -> None:
        self._is_over.set()
        self._bots.join(10)
        for member in self:
            member.guard.close()
        self._thread.run(self._ending.aclose())
        self._thread.close()


async def _initialised(settings: Settings) -> None:
    await init(settings, await prepare_init(settings))
