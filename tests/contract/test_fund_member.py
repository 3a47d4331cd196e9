"""Two guards as members, a real Redis between them and real states on disk: what is cut, spoilt or killed mints
nothing, and a trip reaches whoever can be reached."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.engine.decision import Decision
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.fund.escrow import step
from risk_daemon.fund.ledger import Books
from risk_daemon.fund.membership import FUND, found, join, restore
from risk_daemon.fund.messages import Actions, Durable, MakeDurable, Publish
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import FundTold, Input, LeaseSeen, Tick, TrippedElsewhere
from risk_daemon.portfolio.manager import Equity
from risk_daemon.runtime.member import Member, MemberPorts, MemberSettings
from risk_daemon.state.fund.redis import RedisLedger
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.redis_client import redis_client
from risk_daemon.state.store.sqlite import SqliteStore, connect
from tests.postgres import until as look_until
from tests.proxy import Proxy
from tests.redis_server import RedisServer
from tests.unit.fund.fund import CHARTER, LIMIT, NOWHERE, TERMS, row

CLOCK = SystemClock()
START = Decimal(10_000)
TICK_S = 0.05
KEY = "risk-daemon:fund:alpha"


async def until(condition: Callable[[], object], what: str, within_s: float = 15.0) -> None:
    """Look again and again."""
    try:
        await look_until(condition, within_s)
    except TimeoutError:
        raise AssertionError(f"waited in vain until {what}") from None


async def until_on_disk(guard: Guard, is_so: Callable[[Mapping[str, Any]], bool]) -> None:
    """Until the member's document on disk is so."""
    async with asyncio.timeout(15.0):
        while not is_so((await guard.store.load())[FUND]["row"]):  # noqa: ASYNC110 - nor does a disk
            await asyncio.sleep(0)


class Guard:
    """A member's state on disk, its way to the ledger, and its process while it is up."""

    def __init__(self, name: str, directory: Path, proxy: Proxy) -> None:
        self.name, self.proxy = name, proxy
        self.path = directory / f"{name}.db"
        connect(self.path, create=True).close()
        self.store = SqliteStore.open(self.path)
        client = redis_client(RedisAddress.of(f"redis://127.0.0.1:{proxy.port}/0"), None, 0.5)
        self.client, self.ledger = client, RedisLedger(client, "alpha")
        self.told: list[Input] = []
        self.lost = Decimal(0)
        self.member: Member | None = None
        self.ticking: asyncio.Task[None] | None = None
        self.has_crashed = False

    @property
    def place(self) -> str:
        return f"place {self.name}"

    async def keep(self, actions: Actions, state: Any) -> Any:
        """What a command does: everything durable and published before it ends."""
        waiting = list(actions)
        while waiting:
            match waiting.pop(0):
                case MakeDurable(sequence, document):
                    await self.store.save({FUND: document})
                    state, more = step(state, Durable(sequence))
                case Publish(revision, document):
                    assert await self.ledger.compare_and_set(revision, document)
                    state, more = step(state, await self.ledger.read())
                case _:
                    more = ()
            waiting.extend(more)
        return state

    async def start(self) -> None:
        begun = restore((await self.store.load())[FUND], self.place)
        self.has_crashed = False
        settings = MemberSettings(
            fund="alpha", member=self.name, limit="1000 USDT", currency="USDT", confirm=False,
            every_s=0.2, within_s=0.5, lease_s=1.0, give_within_s=1.5,
        )  # fmt: skip
        ports = MemberPorts(
            save=self._save,
            keep=_kept,
            emit=self._hear,
            start=lambda *_: START,
            is_read_since=lambda _: False,
            gross=lambda: Decimal(0),
        )
        self.member = Member(self.ledger, settings, CLOCK, ports, begun=begun, keeps_start=True)
        self.member.start()
        self.ticking = asyncio.create_task(self._tick(self.member))

    def _hear(self, event: Input) -> None:
        if not self.has_crashed:
            self.told.append(event)

    async def _save(self, documents: Mapping[str, Any]) -> None:
        await self.store.save(documents)
        if self.has_crashed:  # it was killed after the write and before anything that comes of it
            await asyncio.Event().wait()

    async def _tick(self, member: Member) -> None:
        active = CircuitBreakerState.ACTIVE
        while True:
            equity = Equity(*([START - self.lost] * 3))
            turn = Decision(1, CLOCK.now(), Tick(), (), active, active, GateState(locked=False), (), (), equity)
            member.heard(turn)
            await asyncio.sleep(TICK_S)

    async def crash(self) -> None:
        """By -9: nothing is done any more."""
        member, ticking, self.member, self.ticking = self.member, self.ticking, None, None
        self.has_crashed = True
        if ticking is not None:
            ticking.cancel()
            await asyncio.wait({ticking})
        if member is not None:
            await member.aclose()

    async def close(self) -> None:
        await self.crash()
        await self.store.close()
        await self.client.aclose()

    @property
    def view(self) -> Any:
        assert self.member is not None
        return self.member.view()

    @property
    def trips(self) -> list[str]:
        return [event.trip_id for event in self.told if isinstance(event, TrippedElsewhere)]

    @property
    def is_told(self) -> bool:
        return any(isinstance(event, FundTold) for event in self.told)

    @property
    def may_open(self) -> bool:
        lease = next((event for event in reversed(self.told) if isinstance(event, LeaseSeen)), None)
        return lease is not None and lease.until_mono is not None and lease.until_mono > CLOCK.now().mono

    async def on_disk(self) -> Decimal:
        document = (await self.store.load())[FUND]["row"]
        got = sum(map(Decimal, document["taken"].values()), Decimal(document["minted"]))
        return got - sum(map(Decimal, document["given"].values()), Decimal(0))


async def _kept() -> bool:
    return True


class Fund:
    def __init__(self, server: RedisServer, guards: Iterable[Guard]) -> None:
        self.server = server
        self.a, self.b = guards

    async def budgets(self) -> Decimal:
        """The most that both could go by: what is on disk, or what the process goes by."""
        total = Decimal(0)
        for guard in (self.a, self.b):
            up = Decimal(0) if guard.member is None else Decimal(guard.view.budget)
            total += max(await guard.on_disk(), up)
        return total

    def books(self) -> Books:
        return Books.of(json.loads(self.server.ask("HGET", KEY, "document")))


@pytest.fixture
async def fund(tmp_path: Path) -> AsyncIterator[Fund]:
    """Founded by a, joined by b, both up; b has been lent what it was set up with."""
    server = RedisServer(tmp_path / "redis").start()
    to_a, to_b = Proxy(server.port), Proxy(server.port)
    async with to_a.running(), to_b.running():
        made = Fund(server, (Guard("a", tmp_path, to_a), Guard("b", tmp_path, to_b)))
        state, actions = found(CHARTER, row("a"), NOWHERE)
        await made.a.keep(actions, state)
        state, actions = join(row("b"), await made.b.ledger.read(), **TERMS)
        await made.b.keep(actions, state)
        for guard in (made.a, made.b):
            await guard.start()
        await until(lambda: made.b.may_open and made.a.may_open, "both may open")
        yield made
        for guard in (made.a, made.b):
            await guard.close()
    server.kill()


async def test_headroom_goes_from_one_to_the_other_and_never_above_the_limit(fund: Fund) -> None:
    before = Decimal(fund.b.view.budget)
    assert await fund.a.member.give("b", Decimal(50)) is None  # type: ignore[union-attr]
    await until(lambda: Decimal(fund.b.view.budget) == before + 50, "the gift is taken")
    assert await fund.budgets() == LIMIT
    assert (await fund.a.on_disk()) + (await fund.b.on_disk()) == LIMIT


@pytest.mark.parametrize("way", ["deaf", "frozen", "killed", "garbage", "another type"])
async def test_without_a_ledger_the_budget_holds_and_a_trip_waits_only_to_be_told(fund: Fund, way: str) -> None:
    document = fund.server.ask("HGET", KEY, "document")
    match way:
        case "deaf":
            fund.b.proxy.is_deaf = True
        case "frozen":
            fund.server.pause()
        case "killed":
            fund.server.kill()
        case "garbage":
            fund.server.ask("HSET", KEY, "document", '{"format": 1, "rows": "all"}')
        case _:
            fund.server.ask("DEL", KEY)
            fund.server.ask("SET", KEY, "x")
    try:
        await until(lambda: fund.b.view.ledger_error is not None, "it is told that the ledger is lost")
        assert fund.b.may_open
        assert fund.b.view.budget == "400"
        fund.b.lost = Decimal(400)
        await until(lambda: fund.b.trips, "it trips")
        assert not fund.b.may_open
        assert not fund.b.is_told
    finally:
        fund.b.proxy.is_deaf = False
        if way == "frozen":
            fund.server.resume()
    if way == "killed":
        fund.server.start()
    if way in ("garbage", "another type"):
        fund.server.ask("DEL", KEY)
        fund.server.ask("HSET", KEY, "revision", "restored", "document", document)
    await until(lambda: fund.b.is_told and fund.a.trips, "both know", within_s=20)
    assert fund.a.trips == fund.b.trips
    assert fund.books().trip == fund.b.trips[0]


async def test_a_race_for_the_ledger_that_is_lost_is_run_again(fund: Fund) -> None:
    """Both write at once, again and again: what either does comes through."""
    for amount in range(1, 6):
        await asyncio.gather(
            fund.a.member.give("b", Decimal(amount)),  # type: ignore[union-attr]
            fund.b.member.give("a", Decimal(amount)),  # type: ignore[union-attr]
        )
        assert await fund.budgets() <= LIMIT
    await until(lambda: Decimal(fund.a.view.budget) + Decimal(fund.b.view.budget) == LIMIT, "all is taken")


async def test_who_is_killed_between_write_and_publication_publishes_when_it_is_back(fund: Fund) -> None:
    mine, before = await fund.a.on_disk(), (await fund.a.store.load())[FUND]["row"]
    fund.a.has_crashed = True  # the write lands, and nothing that comes of it
    giving = asyncio.create_task(fund.a.member.give("b", Decimal(50)))  # type: ignore[union-attr]
    await until_on_disk(fund.a, lambda row: row["given"] != before["given"])
    await fund.a.crash()
    giving.cancel()
    assert fund.books().rows["a.00000001"].budget == mine, "nobody was told"
    assert await fund.budgets() == LIMIT - 50
    theirs = await fund.b.on_disk()
    await fund.a.start()
    await until(lambda: Decimal(fund.b.view.budget) == theirs + 50, "the gift arrives after the restart")
    assert await fund.budgets() == LIMIT


async def test_a_ledger_that_was_emptied_is_written_again_by_its_members_and_raises_nobody(fund: Fund) -> None:
    fund.server.ask("FLUSHALL")
    await until(
        lambda: fund.server.ask("EXISTS", KEY) and set(fund.books().rows) == {"a.00000001", "b.00000001"},
        "both have written again",
    )
    assert await fund.budgets() == LIMIT
    assert fund.a.may_open
    assert fund.b.may_open


async def test_a_trip_is_told_again_by_who_is_started_again(fund: Fund) -> None:
    fund.b.proxy.is_deaf = True
    fund.b.lost = Decimal(400)
    await until(lambda: fund.b.trips, "it trips")
    await until_on_disk(fund.b, lambda row: row["trip"] is not None)
    await fund.b.crash()
    assert fund.a.trips == []
    fund.b.proxy.is_deaf = False
    fund.b.lost = Decimal(0)  # what it was once is enough
    await fund.b.start()
    await until(lambda: fund.a.trips and fund.b.is_told, "the fund hears of it")
    assert set(fund.a.trips) == set(fund.b.trips)
