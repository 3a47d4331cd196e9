"""What members of a fund say, on a stream in Redis: one key a fund, of the last some thousand words.

Ids of a stream only grow, and name the ms in which the server took the word. A stream that is ahead of its server's
clock, because that was set back or somebody wrote such an id, would be heard by nobody any more: who speaks next
empties it, and who listens begins it anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from risk_daemon.errors import RecordError
from risk_daemon.fund.sum import Reading
from risk_daemon.state.fund.readings import Heard, Moment, heard_of, text_of
from risk_daemon.state.redis_client import closed, hang_up

_KEPT: Final = 2_000
_FIELD: Final = "reading"
_NOTHING_YET: Final = "0-0"
# KEYS: the stream; ARGV: how many words are kept, field, word. TIME is the moment that the whole script is of.
_SAY: Final = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] and tonumber(string.match(last[1][1], '^%d+')) > now then redis.call('DEL', KEYS[1]) end
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[2], ARGV[3])
"""


class RedisReadings:
    """See `Readings`. client: with the times of its calls set; it is closed with this. where: the server, for people.

    Replies may be texts or bytes.
    """

    def __init__(self, client: Redis, fund: str, founding: str, *, where: str = "Redis") -> None:
        self.key = f"risk-daemon:fund:{fund}:readings"
        self.where = where
        self._client = client
        self._founding = founding
        self._heard_up_to = _NOTHING_YET
        self._now: Moment | None = None

    async def say(self, reading: Reading, now_mono: float) -> None:
        try:
            if self._now is None:
                self._now = _moment(await self._client.time(), now_mono)
            word = text_of(reading, self._founding, self._now.at(now_mono))
            await self._client.eval(_SAY, 1, self.key, _KEPT, _FIELD, word)
        except (RedisError, OSError, ValueError, TypeError, LookupError) as error:
            await hang_up(self._client)
            raise RecordError(f"{self.where}: the fund's members can't be told: {error}") from error

    async def hear(self, now_mono: float) -> Heard:
        try:
            last, words = await self._words(now_mono, self._heard_up_to)
            if _order(last) < _order(self._heard_up_to):  # another stream than it was
                last, words = await self._words(now_mono, _NOTHING_YET)
            now = self._now
            if now is None:
                raise ValueError("it does not say what time it is")
            heard = heard_of([(word, _order(at)[0]) for at, word in words], self._founding, now)
        except (RedisError, OSError, ValueError, TypeError, LookupError) as error:
            await hang_up(self._client)
            raise RecordError(f"{self.where}: the fund's members can't be heard: {error}") from error
        self._heard_up_to = words[-1][0] if words else min(last, self._heard_up_to, key=_order)
        return heard

    async def _words(self, now_mono: float, after: str) -> tuple[str, list[tuple[str, object]]]:
        """The id of the last word on the stream, and the words after that id, all of one moment.

        Raises RedisError, OSError, ValueError, TypeError, LookupError.
        """
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.role()
            pipeline.time()
            pipeline.xrevrange(self.key, count=1)
            pipeline.xread({self.key: after}, count=_KEPT)
            role, time, latest, read = await pipeline.execute()
        if _text(role[0]) != "master":
            raise ValueError("it is a replica, which knows what it was told so far")
        self._now = _moment(time, now_mono)
        words = read[0][1] if read else ()
        return (_text(latest[0][0]) if latest else _NOTHING_YET), [(_text(at), _word(fields)) for at, fields in words]

    async def aclose(self) -> None:
        await closed(self._client.aclose())


def _moment(time: tuple[int, int], mono: float) -> Moment:
    whole_s, micros = time
    return Moment(int(whole_s) * 1000.0 + int(micros) / 1000.0, mono)


def _word(fields: Mapping[object, object]) -> object:
    """What was said; None, which is no reading, where it was not said as members do."""
    words = {_text(name): word for name, word in fields.items()}
    return words.get(_FIELD) if set(words) == {_FIELD} else None


def _order(at: str) -> tuple[int, int]:
    """Raises ValueError."""
    ms, _, number = at.partition("-")
    return int(ms), int(number)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
