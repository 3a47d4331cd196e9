"""What members of a fund say, in PostgreSQL: a row a member, which its next word takes the place of.

The table is of the migration `0050_fund_readings.sql`. It is not logged: after a crash or a failover it is empty, and
filled again within seconds. A standby has nothing of it and says so.
"""

from __future__ import annotations

from typing import Any

from risk_daemon.errors import RecordError
from risk_daemon.fund.sum import Reading
from risk_daemon.state.fund.postgres import Link
from risk_daemon.state.fund.readings import LARGEST, Heard, Moment, heard_of, text_of

_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::FLOAT8 * 1000"
_SAY = """INSERT INTO fund_readings (fund, seat, reading, taken_at) VALUES ($1, $2, $3, clock_timestamp())
    ON CONFLICT (fund, seat) DO UPDATE SET reading = $3, taken_at = clock_timestamp()"""
# No more of a text than shows that it is too long.
_HEAR = f"""SELECT extract(epoch FROM clock_timestamp())::FLOAT8 * 1000 AS now_ms,
    extract(epoch FROM taken_at)::FLOAT8 * 1000 AS taken_ms, left(reading, {LARGEST + 1}) AS reading
    FROM (SELECT 1) one LEFT JOIN fund_readings ON fund = $1 ORDER BY taken_at DESC LIMIT 1000"""


class PostgresReadings:
    """See `Readings`. link: with timeouts of its own; it is closed with this."""

    def __init__(self, link: Link, fund: str, founding: str) -> None:
        self._link = link
        self._fund = fund
        self._founding = founding
        self._now: Moment | None = None

    @property
    def where(self) -> str:
        """For sentences."""
        return self._link.where

    async def say(self, reading: Reading, now_mono: float) -> None:
        if self._now is None:
            server_ms: float = await self._link.run(lambda connection: connection.fetchval(_CLOCK))
            self._now = Moment(server_ms, now_mono)
        words = self._fund, reading.member, text_of(reading, self._founding, self._now.at(now_mono))
        await self._link.run(lambda connection: connection.execute(_SAY, *words))

    async def hear(self, now_mono: float) -> Heard:
        rows: list[Any] = await self._link.run(lambda connection: connection.fetch(_HEAR, self._fund))
        try:
            self._now = Moment(max(row["now_ms"] for row in rows), now_mono)
            words = [(row["reading"], row["taken_ms"]) for row in rows if row["taken_ms"] is not None]
            return heard_of(words, self._founding, self._now)
        except (ValueError, TypeError, KeyError) as error:
            raise RecordError(f"{self.where}: the fund's members can't be heard: {error}") from error

    async def aclose(self) -> None:
        await self._link.close()
