"""The day's snapshots in a real PostgreSQL: what a row works out, and when the loss over all accounts is not known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from risk_daemon.state.store import snapshots
from risk_daemon.state.store.postgres_link import connect
from risk_daemon.state.store.snapshots import Account, Snapshot, forget, loss_of_day, register, write
from tests.postgres import Database, Server

FILE = Path(snapshots.__file__).parent / "migrations" / "postgresql" / "0010_21_circuit_breaker.sql"
NOON = 1_795_348_800.0  # 2026-11-22, 12:00 UTC
MIDNIGHT = NOON + 43_200
DAY_S = 86_400
KRAKEN = Account(venue="kraken", exchange="kraken", fingerprint="0" * 16)
BINANCE = Account(venue="binance", exchange="binance", fingerprint="0" * 16)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Any]:
    connection = await connect(database.url, "")
    yield connection
    await connection.close()


def told(account: Account = KRAKEN, **changes: Any) -> Snapshot:
    """100,000 when the day began, and 2 % less at noon."""
    of = {
        "account_id": account.account_id,
        "guard": "main",
        "wall": NOON,
        "trading_day": "2026-11-22",
        "day_ends_wall": MIDNIGHT,
        "reference_currency": "USDT",
        "start_of_day_equity": Decimal(100_000),
        "current_equity": Decimal(98_000),
        "realized_pnl": Decimal(-1_500),
        "unrealized_pnl": Decimal(-500),
        "guard_start_of_day": None,
        **changes,
    }
    return Snapshot(**of)


async def row(connection: Any, snapshot: Snapshot) -> Any:
    """As it is kept."""
    await connection.execute("DELETE FROM daily_pnl_snapshots")
    await write(connection, [snapshot])
    return await connection.fetchrow("SELECT * FROM daily_pnl_snapshots")


async def both(connection: Any, *kept: Snapshot) -> None:
    await register(connection, "main", [KRAKEN, BINANCE])
    await write(connection, kept)


# --- a row -------------------------------------------------------------------------------------------


async def test_it_runs_twice_and_keeps_what_is_there(connection: Any) -> None:
    assert "21_circuit_breaker" in FILE.name
    await write(connection, [told()])
    await connection.execute(FILE.read_text())
    assert await connection.fetchval("SELECT count(*) FROM daily_pnl_snapshots") == 1


async def test_an_account_has_one_id_everywhere(connection: Any) -> None:
    again = Account(venue="another-name", exchange="kraken", fingerprint="0" * 16)
    assert again.account_id == KRAKEN.account_id
    assert len({KRAKEN.account_id, BINANCE.account_id, replace(KRAKEN, fingerprint="1" * 16).account_id}) == 3
    assert KRAKEN.account_id.version == 5


async def test_the_row_works_out_its_ratio_and_has_an_id_of_its_own(connection: Any) -> None:
    kept = await row(connection, told())
    assert kept["id"].version == 4
    assert (kept["total_drawdown_pct"], kept["is_breached"], kept["loss_limit"]) == (
        Decimal("0.02"), False, Decimal("0.03"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("start", "current", "limit", "is_breached"),
    [
        ("100000", "97000", "0.03", True),
        ("100000", "97000.01", "0.03", False),
        ("100000", "97004", "0.03", False),  # 2.996 %, which four decimals of a percentage would call 3
        ("100000", "102000", "0.03", False),
        ("100000", "-2000000", "0.03", True),  # 2,100 %
        ("0.01", "-900000000000000000", "0.03", True),
        ("0", "0", "0.03", True),
        ("0", "100", "0.03", True),
        ("-5", "-10", "0.03", True),
        ("300", "200", "0.3333333333333333333333333333", True),
        ("300", "200", "0.3333333333333333333333333334", False),  # any rounding of 1/3 would be at the limit
        ("100000", "94999.99", "0.05", True),
    ],
)
async def test_it_is_breached_at_the_limit_unrounded(
    connection: Any, start: str, current: str, limit: str, is_breached: bool
) -> None:
    of = told(
        start_of_day_equity=Decimal(start), current_equity=Decimal(current), loss_limit=Decimal(limit),
        realized_pnl=None, unrealized_pnl=None,
    )  # fmt: skip
    assert (await row(connection, of))["is_breached"] is is_breached


async def test_what_has_no_start_has_no_ratio(connection: Any) -> None:
    assert (await row(connection, told(start_of_day_equity=Decimal(0))))["total_drawdown_pct"] is None


async def test_two_decimals_never_make_a_loss_smaller(connection: Any) -> None:
    kept = await row(
        connection, told(start_of_day_equity=Decimal("10.001"), current_equity=Decimal("9.709"), realized_pnl=None)
    )
    assert (kept["start_of_day_equity"], kept["current_equity"]) == (Decimal("10.01"), Decimal("9.70"))
    assert kept["realized_pnl"] is None, "what is not known is not 0"


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1e18"])
async def test_what_is_no_amount_is_not_kept_and_nothing_with_it(connection: Any, amount: str) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        await write(connection, [told(), told(BINANCE, current_equity=Decimal(amount))])
    assert isinstance(caught.value, asyncpg.PostgresError | ArithmeticError)
    assert await connection.fetchval("SELECT count(*) FROM daily_pnl_snapshots") == 0


# --- over all accounts -------------------------------------------------------------------------------


async def test_the_loss_is_of_the_sums(connection: Any) -> None:
    await both(
        connection,
        told(),
        told(
            BINANCE,
            start_of_day_equity=Decimal(300_000),
            current_equity=Decimal(290_000),
            loss_limit=Decimal("0.05"),
        ),
    )
    found = await loss_of_day(connection, NOON + 10)
    assert found.unknown == ()
    assert (found.start_of_day_equity, found.current_equity, found.loss) == (400_000, 388_000, 12_000)
    assert (found.loss_ratio, found.limit, found.is_breached) == (Decimal("0.03"), Decimal("0.03"), True)
    assert (found.oldest_s, found.reference_currency) == (10.0, "USDT")
    assert [(one.venue, one.loss_ratio, one.is_breached) for one in found.accounts] == [
        ("binance", Decimal("0.03333333"), False),
        ("kraken", Decimal("0.02"), False),
    ]


async def test_the_newest_of_each_account_counts(connection: Any) -> None:
    kept = [
        told(),
        told(wall=NOON + 10, current_equity=Decimal(97_500)),
        told(wall=NOON - 60, current_equity=Decimal(1)),
        told(BINANCE, wall=NOON - 30),
    ]
    await both(connection, *kept)
    found = await loss_of_day(connection, NOON + 20)
    assert (found.current_equity, found.oldest_s) == (195_500, 50.0)


@pytest.mark.parametrize("kept", list(permutations(range(3))))
async def test_in_whatever_order_they_came(connection: Any, kept: tuple[int, ...]) -> None:
    rows = [told(wall=NOON + n, current_equity=Decimal(99_000 - n)) for n in range(3)]
    await both(connection, told(BINANCE), *(rows[n] for n in kept))
    assert (await loss_of_day(connection, NOON + 5)).current_equity == 98_000 + 98_998


async def test_what_flowed_in_makes_no_loss_smaller(connection: Any) -> None:
    """Half of 100 is lost, then 100 are paid in: of what was there when the day began, half is lost."""
    await register(connection, "main", [KRAKEN])
    of = told(start_of_day_equity=Decimal(200), current_equity=Decimal(150), guard_start_of_day=Decimal(300))
    await write(connection, [of])
    found = await loss_of_day(connection, NOON)
    assert (found.loss, found.loss_ratio, found.is_breached) == (50, Decimal("0.5"), True)


async def test_each_guard_has_a_start_of_its_own(connection: Any) -> None:
    await register(connection, "a", [KRAKEN])
    await register(connection, "b", [BINANCE])
    await write(connection, [told(guard="a", guard_start_of_day=Decimal(150_000)), told(BINANCE, guard="b")])
    found = await loss_of_day(connection, NOON)
    assert found.loss_ratio == pytest.approx(Decimal(54_000) / 250_000)


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        (None, "main/binance has told nothing for days"),
        ({"day_ends_wall": NOON - 43_200, "trading_day": "2026-11-21"}, "today: its last snapshot is of 2026-11-21"),
        ({"day_ends_wall": NOON + 1}, "nothing of today"),
        ({"wall": NOON - 150}, "was told of 160 s ago, 150 s is the most"),
        ({"wall": NOON + 60}, "50 s ahead of this clock"),
        ({"wall": NOON + 86_400 * 400, "day_ends_wall": NOON + 86_400 * 401}, "ahead of this clock"),
        ({"reference_currency": "EUR"}, "reckoned in EUR and USDT"),
    ],
)  # fmt: skip
async def test_with_one_account_not_known_the_loss_is_not_known(
    connection: Any, missing: dict[str, Any] | None, why: str
) -> None:
    await both(connection, told(), *([] if missing is None else [told(BINANCE, **missing)]))
    found = await loss_of_day(connection, NOON + 10)
    assert not found.is_known
    assert [why in one for one in found.unknown] == [True]
    figures = (found.loss, found.loss_ratio, found.is_breached, found.current_equity, found.limit, found.oldest_s)
    assert figures == (None,) * 6
    document = found.document()
    assert (document["known"], document["daily_loss_ratio"], document["breached"]) == (False, None, None)
    assert [one["venue"] for one in document["accounts"]] == ["binance", "kraken"], "what is known of each is shown"


async def test_a_store_that_nobody_told_anything_knows_nothing(connection: Any) -> None:
    assert (await loss_of_day(connection, NOON)).unknown == ("no guard has registered an account",)


async def test_rows_without_an_account_count_for_nothing(connection: Any) -> None:
    await write(connection, [told()])
    assert not (await loss_of_day(connection, NOON)).is_known


async def test_an_account_of_ours_that_never_ran_is_missed(connection: Any) -> None:
    await both(connection, told(), told(BINANCE))
    found = await loss_of_day(connection, NOON, expected=[("main", "kraken"), ("main", "okx")])
    assert found.unknown == ("main/okx was never registered by a guard",)


@pytest.mark.parametrize("start", ["0", "-3"])
async def test_without_a_start_there_is_no_ratio_and_no_zero(connection: Any, start: str) -> None:
    await register(connection, "main", [KRAKEN])
    await write(connection, [told(start_of_day_equity=Decimal(start), current_equity=Decimal(0))])
    assert (await loss_of_day(connection, NOON)).unknown == (
        "there was nothing when the day began, so there is no ratio",
    )


async def test_garbage_in_a_row_is_not_known(postgres: Server) -> None:
    """Anybody may write into a table."""
    connection = await connect(Database(postgres).url, "")
    await both(connection, told(), told(BINANCE))
    await connection.execute("ALTER TABLE daily_pnl_snapshots DROP CONSTRAINT amounts_are_numbers")
    await write(connection, [told(wall=NOON + 1, current_equity=Decimal("NaN"))])
    found = await loss_of_day(connection, NOON)
    assert not found.is_known
    assert "NaN" not in str(found.document())
    await connection.close()


async def test_a_guard_that_lets_go_of_an_account_is_not_asked_for_it(connection: Any) -> None:
    await both(connection, told())
    await register(connection, "other", [replace(BINANCE, fingerprint="2" * 16)])
    await register(connection, "main", [KRAKEN])
    rows = await connection.fetch("SELECT guard, venue FROM guarded_accounts ORDER BY guard")
    assert [tuple(one) for one in rows] == [("main", "kraken"), ("other", "binance")]


# --- retention ---------------------------------------------------------------------------------------


async def days_of(connection: Any, *days: int, account: Account = KRAKEN, guard: str = "main") -> None:
    await register(connection, guard, [account])
    await write(connection, [told(account, guard=guard, wall=NOON + day * DAY_S) for day in days])


async def days_kept(connection: Any) -> list[int]:
    rows = await connection.fetch("SELECT snapshot_time FROM daily_pnl_snapshots ORDER BY snapshot_time")
    return [round((one["snapshot_time"].timestamp() - NOON) / DAY_S) for one in rows]


async def test_what_is_too_old_is_removed_and_nothing_else(connection: Any) -> None:
    await days_of(connection, *range(-3, 1))
    await forget(connection, NOON - 1.5 * DAY_S, keep_days=2)
    assert await days_kept(connection) == [-1, 0]


async def test_days_on_which_nothing_was_written_make_nothing_old(connection: Any) -> None:
    """A guard that was off for a year, or a clock that jumps over one, comes to a history that is whole."""
    await days_of(connection, -3, -2, -1, 365)
    await forget(connection, NOON + 365 * DAY_S, keep_days=4)
    assert await days_kept(connection) == [-3, -2, -1, 365]
    await days_of(connection, 0)
    await forget(connection, NOON + 365 * DAY_S, keep_days=4)
    assert await days_kept(connection) == [-2, -1, 0, 365], "a wrong day costs one"


async def test_many_rows_of_many_accounts_are_days_all_the_same(connection: Any) -> None:
    for account, guard in ((KRAKEN, "main"), (BINANCE, "other")):
        await days_of(connection, -2, -1, 0, account=account, guard=guard)
    await write(connection, [told(wall=NOON - DAY_S + minute * 60) for minute in range(60)])
    await forget(connection, NOON, keep_days=2)
    assert sorted(set(await days_kept(connection))) == [-1, 0]
    assert await connection.fetchval("SELECT count(*) FROM daily_pnl_snapshots") == 64


async def test_what_is_old_goes_in_steps_that_each_end_in_time(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "FORGOTTEN_AT_ONCE", 2)
    await days_of(connection, *range(-5, 1))
    found = []
    for _ in range(3):
        found.append((await forget(connection, NOON, keep_days=1), len(await days_kept(connection))))
    assert found == [(True, 4), (True, 2), (False, 1)]
    assert await days_kept(connection) == [0]


async def test_with_timescaledb_it_is_a_hypertable_and_whole_pieces_go(connection: Any) -> None:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"):
        pytest.skip("this PostgreSQL has no TimescaleDB: the table is a plain one")
    assert await snapshots._is_hypertable(connection)
    await days_of(connection, -40, 0)
    await forget(connection, NOON - 20 * DAY_S, keep_days=1)
    assert await connection.fetchval("SELECT count(*) FROM daily_pnl_snapshots") == 1


# --- one account, several guards ---------------------------------------------------------------------

TWIN = replace(KRAKEN, fingerprint="1" * 16)


async def a_breach_beside_a_well_account(connection: Any) -> None:
    """7 % of one of two: 3.5 % of both."""
    await register(connection, "a", [KRAKEN], "desk")
    await register(connection, "c", [BINANCE])
    for account, guard, current in ((KRAKEN, "a", 100_000), (BINANCE, "c", 93_000)):
        await write(connection, [told(account, guard=guard, current_equity=Decimal(current))])
    assert (await loss_of_day(connection, NOON)).is_breached is True


@pytest.mark.parametrize("account", [KRAKEN, TWIN])
async def test_an_account_of_two_peers_counts_once_and_by_the_worse_of_what_they_tell(
    connection: Any, account: Account
) -> None:
    """Whether they share a key or not. Counted twice, 7 % of one would be 2.3 % of three."""
    await a_breach_beside_a_well_account(connection)
    await register(connection, "b", [account], "desk")
    await write(connection, [told(account, guard="b", current_equity=Decimal(100_000))])
    found = await loss_of_day(connection, NOON)
    assert (found.unknown, found.loss, found.loss_ratio) == ((), 7_000, Decimal("0.035"))
    assert [(one.guard, one.venue) for one in found.accounts] == [("a", "kraken"), ("b", "kraken"), ("c", "binance")]
    worse = told(account, guard="b", wall=NOON + 1, current_equity=Decimal(99_000))
    await write(connection, [worse])
    assert (await loss_of_day(connection, NOON + 1)).loss == 8_000
    better = told(KRAKEN, guard="a", wall=NOON + 2, current_equity=Decimal(100_500))
    await write(connection, [better])
    assert (await loss_of_day(connection, NOON + 2)).loss == 8_000
    await write(connection, [replace(worse, wall=NOON + 3, guard_start_of_day=Decimal(110_000))])
    found = await loss_of_day(connection, NOON + 3)
    assert found.loss_ratio == pytest.approx((Decimal(210_000) - 192_000) / 210_000)


@pytest.mark.parametrize("silent", ["a", "b"])
async def test_of_two_peers_the_one_that_is_silent_is_not_waited_for(connection: Any, silent: str) -> None:
    await a_breach_beside_a_well_account(connection)
    await register(connection, "b", [TWIN], "desk")
    later = NOON + 600
    telling, account = ("b", TWIN) if silent == "a" else ("a", KRAKEN)
    await write(connection, [told(account, guard=telling, wall=later), told(BINANCE, guard="c", wall=later)])
    found = await loss_of_day(connection, later)
    assert (found.unknown, [one.guard for one in found.accounts]) == ((), sorted([telling, "c"]))
    assert (await loss_of_day(connection, later, expected=[("a", "kraken"), ("b", "kraken")])).is_known
    assert not (await loss_of_day(connection, later, expected=[("a", "okx")])).is_known
    assert not (await loss_of_day(connection, later + 600)).is_known, "when neither tells it is not known"


@pytest.mark.parametrize(
    ("account", "group", "why"),
    [
        (replace(TWIN, venue="main-account"), "desk", "a and b are peers of group desk and do not name the same"),
        (replace(KRAKEN, venue="main-account"), "desk", "are one account"),
        (KRAKEN, None, "are one account"),
        (KRAKEN, "other desk", "are one account"),
    ],
)
async def test_an_account_with_two_guards_hides_no_loss(
    connection: Any, account: Account, group: str | None, why: str
) -> None:
    await a_breach_beside_a_well_account(connection)
    await register(connection, "b", [account], group)
    await write(connection, [told(account, guard="b", current_equity=Decimal(100_000))])
    found = await loss_of_day(connection, NOON)
    assert (found.is_known, found.loss_ratio) == (False, None)
    assert why in "; ".join(found.unknown)


async def test_a_guard_that_gives_an_account_up_takes_it_from_no_other(connection: Any) -> None:
    await a_breach_beside_a_well_account(connection)
    await register(connection, "b", [KRAKEN])
    await register(connection, "b", [])
    found = await loss_of_day(connection, NOON, expected=[("a", "kraken")])
    assert (found.is_breached, [one.guard for one in found.accounts]) == (True, ["a", "c"])


async def test_a_guard_under_another_name_is_asked_for_alone_when_the_old_one_is_silent(connection: Any) -> None:
    await a_breach_beside_a_well_account(connection)
    await register(connection, "new", [KRAKEN])
    later = NOON + 3_600
    await write(connection, [told(guard="new", wall=later), told(BINANCE, guard="c", wall=later)])
    found = await loss_of_day(connection, later)
    assert (found.unknown, [one.guard for one in found.accounts]) == ((), ["c", "new"])
    assert not (await loss_of_day(connection, later, expected=[("a", "kraken")])).is_known


async def test_it_is_made_of_the_table_that_was_there_before(connection: Any) -> None:
    """The second file runs on what the first left, twice."""
    await a_breach_beside_a_well_account(connection)
    for _ in range(2):
        await connection.execute((FILE.parent / "0030_guarded_by_several.sql").read_text())
    assert (await loss_of_day(connection, NOON)).is_breached is True
