"""The day's snapshots by account in PostgreSQL, and the loss of the day over all accounts, in one query.

Every guard that uses the database registers its accounts, so that one which tells nothing is missed: without a fresh
snapshot of each, from the running day, the loss of the day is not known. It is never a smaller one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, Protocol
from uuid import NAMESPACE_OID, UUID, uuid5

from risk_daemon.model.units import EXACT, plain

# Where no rule has a limit of the day as a ratio.
DEFAULT_LIMIT = Decimal("0.03")

# They come each minute at least: two were missed.
STALE_AFTER_S = 150.0

# Clocks of two machines differ by so much, and no more.
AHEAD_S = 5.0

_CENT = Decimal("0.01")


class Connection(Protocol):
    """What is used of an asyncpg connection."""

    async def execute(self, query: str, *values: Any) -> str: ...

    async def executemany(self, command: str, args: Iterable[Sequence[Any]]) -> None: ...

    async def fetch(self, query: str, *values: Any) -> Sequence[Mapping[str, Any]]: ...

    async def fetchval(self, query: str, *values: Any) -> Any: ...

    def transaction(self) -> AbstractAsyncContextManager[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose snapshots are expected. fingerprint: 16 hex digits, see `state.directory.fingerprint`."""

    venue: str
    exchange: str
    fingerprint: str

    @property
    def account_id(self) -> UUID:
        """The same for the same account, whichever guard has it under whatever name."""
        return uuid5(NAMESPACE_OID, f"risk-daemon:{self.exchange}:{self.fingerprint}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An account at one moment of a trading day; amounts in `reference_currency`.

    start_of_day_equity: net of what flowed in and out since; realised and unrealised profit lead from it to
    current_equity, and are None where they are not known. guard_start_of_day: what the guard measures the ratio of
    its own loss of the day from. Moments in Unix seconds; loss_limit is a ratio.
    """

    account_id: UUID
    guard: str
    wall: float
    trading_day: str
    day_ends_wall: float
    reference_currency: str
    start_of_day_equity: Decimal
    current_equity: Decimal
    realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None
    guard_start_of_day: Decimal | None
    loss_limit: Decimal = DEFAULT_LIMIT


# --- writing -----------------------------------------------------------------------------------------

_REGISTER = """
INSERT INTO guarded_accounts (account_id, guard, venue, exchange, peers_group) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (guard, account_id) DO UPDATE
SET venue = EXCLUDED.venue, exchange = EXCLUDED.exchange, peers_group = EXCLUDED.peers_group
"""

_WRITE = """
INSERT INTO daily_pnl_snapshots (
    account_id, guard, snapshot_time, trading_day, day_ends_at, reference_currency, start_of_day_equity,
    current_equity, realized_pnl, unrealized_pnl, guard_start_of_day, loss_limit
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""

_IS_HYPERTABLE = """
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
    AND to_regclass('timescaledb_information.hypertables') IS NOT NULL
"""


async def register(
    connection: Connection, guard: str, accounts: Iterable[Account], peers_group: str | None = None
) -> None:
    """From now on snapshots of these accounts, and of no others of this guard, are expected.

    peers_group: of a guard that has peers; they guard the same accounts, each with keys of its own or the same.
    Raises what asyncpg raises; then nothing is changed.
    """
    rows = [(one.account_id, guard, one.venue, one.exchange, peers_group) for one in accounts]
    async with connection.transaction():
        await connection.execute(
            "DELETE FROM guarded_accounts WHERE guard = $1 AND account_id <> ALL ($2)", guard, [row[0] for row in rows]
        )
        await connection.executemany(_REGISTER, rows)


async def write(connection: Connection, snapshots: Iterable[Snapshot]) -> None:
    """Keep these, all or none. Amounts get two decimals, rounded against us. Raises what asyncpg raises."""
    await connection.executemany(_WRITE, [_row(one) for one in snapshots])


def _row(one: Snapshot) -> tuple[Any, ...]:
    return (
        one.account_id,
        one.guard,
        _moment(one.wall),
        date.fromisoformat(one.trading_day),
        _moment(one.day_ends_wall),
        one.reference_currency,
        _cents(one.start_of_day_equity, ROUND_CEILING),
        _cents(one.current_equity, ROUND_FLOOR),
        _cents(one.realized_pnl),
        _cents(one.unrealized_pnl),
        _cents(one.guard_start_of_day, ROUND_CEILING),
        one.loss_limit,
    )


def _cents(amount: Decimal | None, rounding: str = ROUND_HALF_EVEN) -> Decimal | None:
    return None if amount is None else amount.quantize(_CENT, rounding, EXACT)


def _moment(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)


# Of the accounts that are guarded, by the index of each. Null: there are fewer days.
_DAYS_BACK = """
WITH RECURSIVE newest (began, days) AS (
    SELECT 'infinity'::timestamptz, 0
    UNION ALL
    SELECT (
        SELECT date_trunc('day', max(last.snapshot_time), 'UTC')
        FROM (SELECT DISTINCT account_id FROM guarded_accounts) a
        CROSS JOIN LATERAL (
            SELECT s.snapshot_time FROM daily_pnl_snapshots s
            WHERE s.account_id = a.account_id AND s.snapshot_time < newest.began
            ORDER BY s.snapshot_time DESC LIMIT 1
        ) last
    ), days + 1
    FROM newest WHERE began IS NOT NULL AND days < $1
)
SELECT began FROM newest WHERE days = $1
"""


# As many as a statement removes well within its time: where years are to go, one would never come to its end.
FORGOTTEN_AT_ONCE = 20_000
_FORGET_SOME = """DELETE FROM daily_pnl_snapshots WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM daily_pnl_snapshots WHERE snapshot_time < $1 LIMIT $2))"""


async def forget(connection: Connection, before_wall: float, keep_days: int) -> bool:
    """Remove snapshots from before that moment, but for the newest `keep_days` days (UTC) on which there are any.

    So no clock that jumps makes history old: it costs a day for each that it wrote on. Of a hypertable whole
    pieces are removed, of a plain table some rows; True: there may be more. Raises what asyncpg raises.
    """
    began: datetime | None = await connection.fetchval(_DAYS_BACK, keep_days)
    if began is None:
        return False
    before = min(_moment(before_wall), began)
    if await _is_hypertable(connection):
        await connection.execute("SELECT drop_chunks('daily_pnl_snapshots', older_than => $1::timestamptz)", before)
        return False
    status: str = await connection.execute(_FORGET_SOME, before, FORGOTTEN_AT_ONCE)  # "DELETE 20000"
    return int(status.rpartition(" ")[2]) == FORGOTTEN_AT_ONCE


async def _is_hypertable(connection: Connection) -> bool:
    """Where the extension was made after the table, it is a plain one."""
    if not await connection.fetchval(_IS_HYPERTABLE):
        return False
    found = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = 'daily_pnl_snapshots')"
    )
    return bool(found)


# --- the loss of the day -----------------------------------------------------------------------------

# $1: now. $2: how old a snapshot may be. $3: how far ahead of us a clock may be. The sums are over the newest snapshot
# of each account by each guard, whatever is wrong with it; whether they count is decided by `is_known`. Of an account
# that another guard tells of now, a guard that is silent is not asked: it was renamed, or gave the account up, or a
# peer goes on. An account of peers counts once, by the worse of each figure that they tell: what the one saw and the
# other did not makes no loss smaller. It is known by its venue's name, for each may have a key of its own.
_OF_THE_DAY = """
WITH registered AS (
    SELECT a.account_id, a.guard, a.venue, a.exchange, a.peers_group, s.*,
        CASE WHEN a.peers_group IS NULL THEN ARRAY[a.account_id::text]
            ELSE ARRAY[a.peers_group, a.exchange, a.venue] END AS counted_as,
        COALESCE(s.day_ends_at > now AND s.snapshot_time BETWEEN now - $2::interval AND now + $3::interval, FALSE)
            AS is_known
    FROM guarded_accounts a
    CROSS JOIN (SELECT $1::timestamptz AS now) asked
    LEFT JOIN LATERAL (
        SELECT d.guard AS told_by, d.snapshot_time, d.trading_day, d.day_ends_at, d.reference_currency,
            d.start_of_day_equity, d.current_equity, d.realized_pnl, d.unrealized_pnl, d.guard_start_of_day,
            d.loss_limit, d.total_drawdown_pct, d.is_breached
        FROM daily_pnl_snapshots d
        WHERE d.account_id = a.account_id AND d.guard = a.guard AND d.snapshot_time > now - INTERVAL '3 days'
        ORDER BY d.snapshot_time DESC
        LIMIT 1
    ) s ON TRUE
), account AS (
    SELECT *, ARRAY(SELECT o.guard FROM registered o WHERE o.counted_as = r.counted_as AND o.venue = r.venue) AS guards
    FROM registered r
    WHERE r.is_known OR NOT EXISTS (
        SELECT FROM registered o
        WHERE o.is_known AND (o.account_id = r.account_id OR o.counted_as = r.counted_as)
    )
), once AS (
    SELECT bool_and(is_known) AS all_known, max(start_of_day_equity) AS start, min(current_equity) AS current,
        min(loss_limit) AS least_limit
    FROM account GROUP BY counted_as
), guards AS (
    SELECT peers_group, told_by,
        COALESCE((array_agg(guard_start_of_day ORDER BY snapshot_time DESC))[1], sum(start_of_day_equity)) AS start
    FROM account WHERE snapshot_time IS NOT NULL GROUP BY peers_group, told_by
), total AS (
    SELECT bool_and(all_known) AS all_known, sum(start) AS start, sum(current) AS current,
        min(least_limit) AS least_limit,
        (SELECT sum(start) FROM (
            SELECT max(start) AS start FROM guards
            GROUP BY peers_group, CASE WHEN peers_group IS NULL THEN told_by END
        ) one) AS guards_start
    FROM once
)
SELECT account.*, total.all_known, total.start, total.current, total.guards_start,
    total.least_limit,
    GREATEST(
        CASE WHEN total.start > 0 THEN (total.start - total.current) / total.start END,
        CASE WHEN total.guards_start > 0 THEN (total.guards_start - total.current) / total.guards_start END
    ) AS loss_ratio,
    total.start - total.current >= total.least_limit * total.start
        OR total.guards_start - total.current >= total.least_limit * total.guards_start AS breached
FROM account CROSS JOIN total
ORDER BY account.guard, account.venue
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDay:
    """An account by its newest snapshot. age_s None: there is none. unknown: why it does not count; None: it does."""

    account_id: UUID
    guard: str
    venue: str
    exchange: str
    trading_day: str | None
    age_s: float | None
    start_of_day_equity: Decimal | None
    current_equity: Decimal | None
    realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None
    loss_ratio: Decimal | None
    loss_limit: Decimal | None
    is_breached: bool | None
    reference_currency: str | None
    unknown: str | None

    def document(self) -> dict[str, Any]:
        """JSON-able: ratios are numbers, amounts texts."""
        return {
            "account_id": str(self.account_id),
            "guard": self.guard,
            "venue": self.venue,
            "exchange": self.exchange,
            "trading_day": self.trading_day,
            "age_s": self.age_s,
            "start_of_day_equity": _text(self.start_of_day_equity),
            "equity": _text(self.current_equity),
            "realized": _text(self.realized_pnl),
            "unrealized": _text(self.unrealized_pnl),
            "daily_loss_ratio": _number(self.loss_ratio),
            "limit": _number(self.loss_limit),
            "breached": self.is_breached,
            "reference_currency": self.reference_currency,
            "unknown": self.unknown,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLoss:
    """The loss of the day over all accounts. unknown: why it is not known; then every figure is None.

    loss: in money, net of flows. loss_ratio: not rounded, of what was there when the day began; flows move the
    starts of single accounts and not what a guard measures its own ratio from, and the greater loss counts.
    limit: the least of all. oldest_s: the age of the oldest snapshot in it.
    """

    unknown: tuple[str, ...]
    accounts: tuple[AccountDay, ...]
    start_of_day_equity: Decimal | None = None
    current_equity: Decimal | None = None
    loss: Decimal | None = None
    loss_ratio: Decimal | None = None
    limit: Decimal | None = None
    is_breached: bool | None = None
    reference_currency: str | None = None
    oldest_s: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether the figures may be relied on."""
        return not self.unknown

    def document(self) -> dict[str, Any]:
        """JSON-able: ratios are numbers, amounts texts, what is not known is null."""
        return {
            "known": self.is_known,
            "unknown": list(self.unknown),
            "daily_loss_ratio": _number(self.loss_ratio),
            "daily_loss": _text(self.loss),
            "limit": _number(self.limit),
            "breached": self.is_breached,
            "start_of_day_equity": _text(self.start_of_day_equity),
            "equity": _text(self.current_equity),
            "reference_currency": self.reference_currency,
            "oldest_s": self.oldest_s,
            "accounts": [one.document() for one in self.accounts],
        }


async def loss_of_day(
    connection: Connection,
    wall: float,
    *,
    stale_after_s: float = STALE_AFTER_S,
    expected: Iterable[tuple[str, str]] = (),
) -> DayLoss:
    """The loss of the day that runs at `wall` (Unix seconds), over all accounts of all guards.

    expected: guard and venue of accounts that must be among them. Raises what asyncpg raises.
    """
    stale, ahead = timedelta(seconds=stale_after_s), timedelta(seconds=AHEAD_S)
    rows = await connection.fetch(_OF_THE_DAY, _moment(wall), stale, ahead)
    accounts = tuple(_account(row, wall, stale_after_s) for row in rows)
    unknown = tuple(_why_unknown(rows, accounts, expected))
    if unknown:
        return DayLoss(unknown=unknown, accounts=accounts)
    total = rows[0]
    return DayLoss(
        unknown=(),
        accounts=accounts,
        start_of_day_equity=total["start"],
        current_equity=total["current"],
        loss=total["start"] - total["current"],
        loss_ratio=total["loss_ratio"],
        limit=total["least_limit"],
        is_breached=total["breached"],
        reference_currency=accounts[0].reference_currency,
        oldest_s=max(one.age_s for one in accounts if one.age_s is not None),
    )


def _why_unknown(
    rows: Sequence[Mapping[str, Any]], accounts: Sequence[AccountDay], expected: Iterable[tuple[str, str]]
) -> list[str]:
    """Every reason why the sums say nothing."""
    told = {(guard, row["venue"]) for row in rows for guard in _told_for(row)}
    why = [
        f"{guard}/{venue} was never registered by a guard" for guard, venue in expected if (guard, venue) not in told
    ]
    why += [one.unknown for one in accounts if one.unknown is not None]
    why += _counted_twice(rows)
    currencies = sorted({one.reference_currency for one in accounts if one.reference_currency is not None})
    if len(currencies) > 1:
        why.append(f"the accounts are reckoned in {' and '.join(currencies)}, which can't be added up")
    if not rows:
        why.append("no guard has registered an account")
    elif not why and not _is_measured(rows[0]):
        why.append("there was nothing when the day began, so there is no ratio")
    return why


def _told_for(row: Mapping[str, Any]) -> Sequence[str]:
    """The guards whose account it is: of peers each, for a silent one too."""
    return [row["guard"]] if row["peers_group"] is None else row["guards"]


def _counted_twice(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One account in the sums of two guards hides what the others lost; that of peers is in them once."""
    peers = defaultdict[str, dict[str, set[tuple[str, str]]]](lambda: defaultdict(set))
    accounts = defaultdict[UUID, dict[tuple[str, ...], str]](dict)
    for row in rows:
        place = (row["guard"], row["venue"]) if row["peers_group"] is None else tuple(row["counted_as"])
        accounts[row["account_id"]].setdefault(place, f"{row['guard']}/{row['venue']}")
        if row["peers_group"] is not None:
            peers[row["peers_group"]][row["guard"]].add((row["exchange"], row["venue"]))
    for group, venues in sorted(peers.items()):
        if len({frozenset(named) for named in venues.values()}) > 1:
            yield (
                f"{' and '.join(sorted(venues))} are peers of group {group} and do not name the same venues, so an"
                " account of theirs may count twice: give each account one name"
            )
    for names in sorted(sorted(places.values()) for places in accounts.values()):
        if len(names) > 1:
            yield f"{' and '.join(names)} are one account, which would count twice"


def _is_measured(total: Mapping[str, Any]) -> bool:
    ratio, start = total["loss_ratio"], total["start"]
    is_number = total["all_known"] is True and ratio is not None and ratio.is_finite()
    return is_number and bool(start > 0) and total["breached"] is not None


def _account(row: Mapping[str, Any], wall: float, stale_after_s: float) -> AccountDay:
    told: datetime | None = row["snapshot_time"]
    age_s = None if told is None else wall - told.timestamp()
    return AccountDay(
        account_id=row["account_id"],
        guard=row["guard"],
        venue=row["venue"],
        exchange=row["exchange"],
        trading_day=None if row["trading_day"] is None else row["trading_day"].isoformat(),
        age_s=age_s,
        start_of_day_equity=row["start_of_day_equity"],
        current_equity=row["current_equity"],
        realized_pnl=row["realized_pnl"],
        unrealized_pnl=row["unrealized_pnl"],
        loss_ratio=row["total_drawdown_pct"],
        loss_limit=row["loss_limit"],
        is_breached=row["is_breached"],
        reference_currency=row["reference_currency"],
        unknown=None if row["is_known"] is True else _trouble(row, age_s, wall, stale_after_s),
    )


def _trouble(row: Mapping[str, Any], age_s: float | None, wall: float, stale_after_s: float) -> str:
    name = f"{row['guard']}/{row['venue']}"
    if age_s is None:
        return f"{name} has told nothing for days"
    if age_s < -AHEAD_S:
        return f"{name} has a snapshot that is {-age_s:.0f} s ahead of this clock: mend whichever is wrong"
    if row["day_ends_at"].timestamp() <= wall:
        return f"{name} has told nothing of today: its last snapshot is of {row['trading_day']}"
    return f"{name} was told of {age_s:.0f} s ago, {stale_after_s:.0f} s is the most: is its guard running?"


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None or not amount.is_finite() else plain(amount)


def _number(ratio: Decimal | None) -> float | None:
    return None if ratio is None or not ratio.is_finite() else float(ratio)
