"""What one guard carries, and what it writes: the numbers that docs/scale multiplies for a thousand accounts.

The accounts are simulated kraken spot accounts, which list as many pairs as the exchange does, in one other process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psutil

from benchmarks.daemon_process import Account, Home, Running, config
from benchmarks.process_rows import FUNDS, MB
from benchmarks.rows import Row
from benchmarks.store_rows import ACCOUNTS, Desk, a_day_before, server
from benchmarks.sweep_rows import farm
from risk_daemon.fund import ledger
from risk_daemon.runtime.day_snapshots import snapshots_of
from risk_daemon.state.store import postgres_schema
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_url import parse
from risk_daemon.state.store.snapshot_place import SnapshotPlace

FEW, MANY = 5, 40
MEMBERS, ACCOUNTS_EACH = 50, 20
OF_LEDGER = f"a fund's ledger, {MEMBERS} members of {ACCOUNTS_EACH} accounts"
EXCHANGE = "kraken"
SETTLED_AFTER_S = 20.0
FOR_S = 30.0
PROVEN_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Carried:
    """A guard with so many accounts, some time after its gate opened."""

    accounts: int
    resident_bytes: int
    cpu: float
    sockets: int
    open_s: float
    proven_s: float


@asynccontextmanager
async def guard_of(count: int, directory: Path) -> AsyncIterator[Running]:
    """It runs, with accounts that were never touched."""
    async with farm([EXCHANGE] * count) as endpoints:
        accounts = [Account(f"account{n}", EXCHANGE, endpoint) for n, endpoint in enumerate(endpoints)]
        made = Home(directory, accounts, config(accounts, count * FUNDS[EXCHANGE]))
        await made.init()
        async with made.running() as daemon:
            yield daemon


async def carried(count: int) -> Carried:
    """Its memory, its share of a core and its sockets at rest, and how long a halt takes to be proven."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with guard_of(count, directory) as daemon:
            await daemon.ready_s()
            await daemon.open()
            open_s = time.perf_counter() - daemon.begun
            process = psutil.Process(daemon.process.pid)
            await asyncio.sleep(SETTLED_AFTER_S)
            before = process.cpu_times()
            await asyncio.sleep(FOR_S)
            after = process.cpu_times()
            spent_s = after.user + after.system - before.user - before.system
            resident, sockets = daemon.resident_bytes(), len(process.net_connections())
            return Carried(count, resident, spent_s / FOR_S, sockets, open_s, await halted(directory, daemon))


async def halted(directory: Path, daemon: Running) -> float:
    """Seconds from a halt by hand until all accounts are proven, by the event log."""
    words = ["-m", "risk_daemon", "halt", "--reason", "measured", "--config", str(directory / "config.toml")]
    halt = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.DEVNULL)
    if await halt.wait():
        raise RuntimeError("the halt was refused")
    async with asyncio.timeout(PROVEN_WITHIN_S):
        code = await daemon.process.wait()
    if code != 1:
        raise RuntimeError(f"ended with {code}: {daemon.output.read_text()}")
    events = map(json.loads, (daemon.state / "events.jsonl").read_text().splitlines())
    return next(float(event["elapsed_s"]) for event in events if event["event"] == "sweep_finished")


async def bytes_of_a_snapshot() -> float:
    """On the server, with its indexes, after a day of a hundred accounts."""
    with server() as (_, address):
        url = parse(address)
        await postgres_schema.migrate(url, "")
        desk, link = Desk(), PostgresLink(url, "", timeout_s=60)
        place = SnapshotPlace(link, "main", desk.accounts)
        await place.keep(list(snapshots_of(desk.engine, desk.now, "main", desk.ids).values()))
        await link.run(a_day_before)
        size, count = await link.run(
            lambda connection: connection.fetchrow(
                "SELECT pg_total_relation_size('daily_pnl_snapshots'), count(*) FROM daily_pnl_snapshots"
            )
        )
        await place.close()
        await link.close()
        return float(size / count)


def ledger_bytes(lent_to: int) -> int:
    """Of a fund's record with MEMBERS members of ACCOUNTS_EACH accounts, each of whom has lent to so many others."""
    seats = [f"member{number}.{number:016x}" for number in range(MEMBERS)]
    lent = Decimal("1234.56")
    rows_of = {}
    for number, seat in enumerate(seats):
        others = [seats[(number + 1 + step) % MEMBERS] for step in range(lent_to)]
        borrowed = [seats[(number - 1 - step) % MEMBERS] for step in range(lent_to)]
        accounts = tuple(f"kraken:{number:08x}{account:08x}" for account in range(ACCOUNTS_EACH))
        row = ledger.Row(
            seat=seat,
            place=f"machine{number} {number:016x}",
            accounts=accounts,
            wants=Decimal(20_000),
            given=dict.fromkeys(others, lent),
            taken=dict.fromkeys(borrowed, lent),
        )
        rows_of[seat] = row
    charter = ledger.Charter(
        fund="main", founding="0" * 32, founder=seats[0], currency="USDT", limit=Decimal(MEMBERS * 20_000)
    )
    return len(json.dumps(ledger.Books(charter, rows_of).document()))


def rows() -> list[Row]:
    """What is measured; there is nothing to hold."""
    few, many = (asyncio.run(carried(count)) for count in (FEW, MANY))
    more = MANY - FEW
    per_account = (many.resident_bytes - few.resident_bytes) / more
    return [
        Row(name=f"memory of a guard of {MANY} accounts", measured=many.resident_bytes / MB, unit="MB"),
        Row(name="memory of one account more", measured=per_account / MB, unit="MB"),
        Row(name=f"share of a core of a guard of {MANY} accounts at rest", measured=many.cpu * 100, unit="%"),
        Row(name="share of a core of one account more", measured=(many.cpu - few.cpu) / more * 100, unit="%"),
        Row(name=f"sockets of a guard of {MANY} accounts", measured=many.sockets),
        Row(name=f"start to an open gate, {MANY} accounts", measured=many.open_s, unit="s"),
        Row(name=f"halt until all is proven, {FEW} accounts", measured=few.proven_s, unit="s"),
        Row(name=f"halt until all is proven, {MANY} accounts", measured=many.proven_s, unit="s"),
        Row(
            name=f"a snapshot on the server, of {ACCOUNTS} accounts for a day",
            measured=asyncio.run(bytes_of_a_snapshot()),
            unit="bytes",
        ),
        Row(name=f"{OF_LEDGER}, nobody has lent", measured=ledger_bytes(0), unit="bytes"),
        Row(name=f"{OF_LEDGER}, all to all", measured=ledger_bytes(MEMBERS - 1), unit="bytes"),
    ]
