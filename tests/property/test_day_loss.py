"""The loss of the day as PostgreSQL adds it up, against the same by hand: known only where every account is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from risk_daemon.state.store.postgres_link import connect
from risk_daemon.state.store.snapshots import Account, DayLoss, Snapshot, loss_of_day, register, write
from tests.postgres import Database

NOON = 1_795_348_800.0
GUARDS = ("a", "b")
ACCOUNTS = {
    guard: [Account(venue=f"v{n}", exchange=guard, fingerprint=str(n) * 16) for n in range(2)] for guard in GUARDS
}
ALL = [account.account_id for accounts in ACCOUNTS.values() for account in accounts]
GUARD_OF = {account.account_id: guard for guard, accounts in ACCOUNTS.items() for account in accounts}

amounts = st.integers(-200_000, 2_000_000).map(lambda cents: Decimal(cents) / 100)
ages_s = st.sampled_from([0, 1, 10, 59, 60, 100, 140, 149] * 12 + [150, 151, 300, 90_000, -4, -6])


def rows_of(account_id: Any) -> Any:
    """Its snapshots; no two of all are of one moment."""
    late_s = ALL.index(account_id) / 1_000
    row = st.fixed_dictionaries(
        {
            "wall": ages_s.map(lambda age_s: NOON - age_s - late_s),
            "day_ends_wall": st.sampled_from([NOON + 1] * 40 + [NOON]),
            "reference_currency": st.sampled_from(["USDT"] * 40 + ["EUR"]),
            "start_of_day_equity": amounts,
            "current_equity": amounts,
            "guard_start_of_day": st.one_of(st.none(), amounts.map(abs)),
            "loss_limit": st.sampled_from([Decimal("0.03"), Decimal("0.05"), Decimal("0.5")]),
        }
    )
    made = row.map(
        lambda of: Snapshot(
            account_id=account_id,
            guard=GUARD_OF[account_id],
            trading_day="2026-11-22",
            realized_pnl=None,
            unrealized_pnl=None,
            **of,
        )
    )
    return st.lists(made, min_size=1, max_size=3, unique_by=lambda one: one.wall)


def few_are_silent(account_id: Any) -> Any:
    return st.integers(0, 15).flatmap(lambda number: st.just([]) if number == 7 else rows_of(account_id))


tables = st.tuples(*map(few_are_silent, ALL))


async def answered(database: Database, tables_: Sequence[Sequence[Snapshot]]) -> DayLoss:
    connection = await connect(database.url, "")
    try:
        await connection.execute("DELETE FROM daily_pnl_snapshots")
        for guard, accounts in ACCOUNTS.items():
            await register(connection, guard, accounts)
        await write(connection, [row for rows in tables_ for row in rows])
        return await loss_of_day(connection, NOON)
    finally:
        await connection.close()


def by_hand(newest: Mapping[Any, Snapshot | None]) -> tuple[Decimal, Decimal, bool] | None:
    """Loss in money, as a ratio, and whether a limit is reached; None where it is not known."""
    rows = [row for row in newest.values() if row is not None]
    counted = [row for row in rows if row.day_ends_wall > NOON and NOON - 150 <= row.wall <= NOON + 5]
    if len(counted) < len(newest) or len({row.reference_currency for row in rows}) > 1:
        return None
    start, current = sum(row.start_of_day_equity for row in rows), sum(row.current_equity for row in rows)
    whole = Decimal(0)
    for guard in GUARDS:
        own = [row for row in rows if row.guard == guard]
        known = max(own, key=lambda row: row.wall).guard_start_of_day
        whole += sum(row.start_of_day_equity for row in own) if known is None else known
    if start <= 0:
        return None
    limit = min(row.loss_limit for row in rows)
    ratios = [(of - current) / of for of in (start, whole) if of > 0]
    is_breached = any(of - current >= limit * of for of in (start, whole))
    return start - current, max(ratios), is_breached


@given(told=tables)
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_is_the_sum_of_the_newest_or_not_known(database: Database, told: Sequence[Sequence[Snapshot]]) -> None:
    newest = {one: max(rows, key=lambda row: row.wall, default=None) for one, rows in zip(ALL, told, strict=True)}
    expected, found = by_hand(newest), asyncio.run(answered(database, told))
    assert found.is_known == (expected is not None), found.unknown
    if expected is None:
        assert (found.loss, found.loss_ratio, found.is_breached, found.current_equity) == (None,) * 4
    else:
        loss, ratio, is_breached = expected
        assert (found.loss, found.is_breached) == (loss, is_breached)
        assert abs(Decimal(found.loss_ratio or 0) - ratio) < Decimal("1e-12")
