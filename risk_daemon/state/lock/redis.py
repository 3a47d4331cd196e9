"""The lock in Redis, for bots on other machines: written and refreshed as the others are, `locked` as well as `open`.

`redis_record.py` says what stands there and when it counts. What is written goes by a number that rises with each word
of a process, so that a word which was held up somewhere never lands on a later one; the server decides, in one step:

* An `open` is taken from the process that writes this gate, and from no other; within its lease, which began when the
  guard looked, before it asked the server for its time; and by the server whose time that was, not one that was
  restarted or promoted since. On a server that knows nothing of this gate (new, flushed), `locked` must come first.
* A `locked` is always taken. From another process than the one that writes this gate it keeps the gate shut for as
  long as that one goes on: two guards by one name are open when neither minds.
* A process that has been silent for two leases has lost the gate to the next one that speaks.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.model.clock import Clock, Instant, SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.lock.redis_record import LEASE_MS, Given, key_of, text_of
from risk_daemon.state.redis_client import closed, hang_up, redis_client
from risk_daemon.state.worker import Worker

if TYPE_CHECKING:
    from redis.asyncio import Redis

SILENCE_MS: Final = 2 * LEASE_MS
_TIMEOUT_S: Final = 0.9
_PROBE_TIMEOUT_S: Final = 5.0

# DEL comes first of all that is written: then a server that is out of memory takes the rest of the script.
_SAY: Final = """
local gate, writer, contest = KEYS[1], KEYS[2], KEYS[3]
local run, seq, text = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local silence_ms, is_locked = tonumber(ARGV[4]), ARGV[5] == 'locked'
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local held = redis.call('HMGET', writer, 'run', 'seq', 'spoke_us')
local is_mine = held[1] == run
if is_mine and seq <= tonumber(held[2]) then return 'late' end
local since_us = now_us - tonumber(held[3] or 0)
local is_free = not held[1] or math.abs(since_us) > silence_ms * 1000

local function speak()
  redis.call('HSET', writer, 'run', run, 'seq', seq, 'spoke_us', string.format('%.0f', now_us))
end

if is_locked then
  redis.call('DEL', gate)
  if is_mine or is_free then
    speak()
    if redis.call('GET', contest) == run then redis.call('DEL', contest) end
  else
    redis.call('SET', contest, run, 'PX', silence_ms)
  end
  redis.call('SET', gate, text)
  return 'done'
end

if not is_mine then return is_free and 'unknown' or 'taken' end
local server, said_us, lease_ms = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
if string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') ~= server then return 'moved' end
local left_ms = math.floor(lease_ms - (now_us - said_us) / 1000)
if now_us < said_us or left_ms < 1 then return 'slow' end
local other = redis.call('GET', contest)
if other and other ~= run then return 'contested' end
redis.call('SET', gate, text, 'PX', left_ms)
speak()
return 'done'
"""
_UNKNOWN: Final = "unknown"
_GOOD: Final = ("done", "late")
_REFUSALS: Final = {
    _UNKNOWN: "it was emptied meanwhile",
    "taken": f"another process writes the gate by this name, and did so within {SILENCE_MS / 1000:g} s",
    "moved": "another server answered meanwhile",
    "slow": "it came later than its lease allows",
    "contested": f"another process says locked by this name, and did so within {SILENCE_MS / 1000:g} s",
}


def require_redis(where: str) -> None:
    """Raises ConfigError where the client library is not installed. where: of the configuration."""
    if find_spec("redis") is None:
        raise ConfigError(
            f'{where}: a lock in Redis needs the extra "redis": install `risk-daemon[redis]`, or take it out.'
        )


class RedisLock:
    """The writer of one guard's gate in one Redis. An `open` holds for `lease_ms` from when the guard looked, at most
    2000; both words are said again at a third of that. run: names this process.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        group: str = "main",
        guard: str = "main",
        peers: Sequence[str] = (),
        password: str | None = None,
        clock: Clock | None = None,
        lease_ms: int = LEASE_MS,
        run: str | None = None,
    ) -> None:
        self.name = str(address)
        self._address = address
        self._password = password
        self._group, self._guard, self._peers = group, guard, tuple(peers)
        key = key_of(group, guard)
        self._keys = (key, f"{key}:writer", f"{key}:contest")
        self._clock = clock or SystemClock()
        self._lease_ms = min(lease_ms, LEASE_MS)
        self._run = run or uuid.uuid4().hex
        self._seq = 0
        self._record: LockRecord | None = None
        self._renew_mono = -math.inf
        self._is_refreshing = False
        self._client: Redis | None = None
        self._worker: Worker | None = None

    async def write(self, record: LockRecord, now: Instant) -> None:
        """Put `record` in force. Raises RecordError; what was not taken is said again by the next `refresh`."""
        self._record, self._renew_mono = record, -math.inf
        await self._say(record, now)

    async def refresh(self, now: Instant) -> bool:
        """Say again what is in force, when a third of the lease is over: a server may have lost a `locked` as well.

        Whether it was said. Raises RecordError.
        """
        record = self._record
        if record is None or self._is_refreshing or now.mono < self._renew_mono:
            return False
        self._is_refreshing = True
        try:
            await self._say(record, now)
        finally:
            self._is_refreshing = False
        return True

    @property
    def is_in_the_clear(self) -> bool:
        """Whether others on the way can answer in its stead."""
        return self._address.is_in_the_clear

    async def probe(self) -> str:
        """What is there, in words; nothing is written. Raises RecordError where it is no lock to be relied upon."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                client = await self._connected()
                async with client.pipeline(transaction=False) as pipeline:
                    pipeline.role()
                    pipeline.info("server")
                    pipeline.get(self._keys[0])
                    role, server, _ = await pipeline.execute()
                kind, version = str(role[0]), str(server["redis_version"])
        except TimeoutError as error:
            raise RecordError(f"{self.name}: it did not answer in time") from error
        except Exception as error:  # whatever a server answers
            raise RecordError(f"{self.name}: {_words(error)}") from error
        if kind != "master":
            raise RecordError(f"{self.name}: it is a {kind}, and a gate is written at a master only")
        return f"Redis {version} answers; guard {self._guard} of group {self._group}"

    async def aclose(self) -> None:
        """Close the connections, in half a second at most. What is written stays, and an `open` runs out."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
        client, self._client = self._client, None
        if client is not None:
            await closed(client.aclose())

    async def _say(self, record: LockRecord, now: Instant) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await (self._lock(record) if record.locked else self._open(record, now))
        except RecordError:
            await self._drop()
            raise
        except TimeoutError as error:
            await self._drop()
            raise RecordError(f"{self.name}: it did not answer in time") from error
        except Exception as error:  # whatever a server answers, no guard ends by that
            await self._drop()
            raise RecordError(f"{self.name}: the lock could not be written: {_words(error)}") from error
        if self._record is record:
            self._renew_mono = now.mono + self._lease_ms / 3000

    async def _lock(self, record: LockRecord) -> None:
        verdict = await self._put(record, None)
        if verdict not in _GOOD:
            raise RecordError(f"{self.name}: it answered {verdict[:80]!r} to a lock")

    async def _open(self, record: LockRecord, now: Instant) -> None:
        verdict = await self._try_to_open(record, now)
        if verdict == _UNKNOWN and self._record is record:
            await self._lock(LockRecord(locked=True, cause="starting", since_wall=now.wall))
            verdict = await self._try_to_open(record, now)
        if verdict not in _GOOD:
            raise RecordError(f"{self.name}: the gate may not be opened: {_REFUSALS.get(verdict, verdict)}")

    async def _try_to_open(self, record: LockRecord, now: Instant) -> str:
        asked_mono = self._clock.now().mono  # its lease counts from the guard's look, and not from the answer
        left_ms = math.floor(self._lease_ms - (asked_mono - now.mono) * 1000)
        if asked_mono < now.mono or left_ms < 1:
            return "slow"
        said_us, server = await self._time_and_server()
        if self._record is not record:
            return "late"
        given = Given(run=self._run, seq=self._seq + 1, server=server, said_us=said_us, lease_ms=left_ms)
        return await self._put(record, given)

    async def _time_and_server(self) -> tuple[int, str]:
        """What the server's clock says, and which server that is."""
        client = await self._connected()
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.info("server")
            (seconds, micros), server = await pipeline.execute()
        return int(seconds) * 1_000_000 + int(micros), str(server["run_id"])

    async def _put(self, record: LockRecord, given: Given | None) -> str:
        """The server's verdict. Its number is taken before anything is waited for: that is the order of the words."""
        self._seq += 1
        seq, text = self._seq, text_of(record, self._group, self._guard, given, self._peers)
        words: list[Any] = [self._run, seq, text, SILENCE_MS, "locked" if given is None else "open"]
        words += [] if given is None else [given.server, given.said_us, given.lease_ms]
        client = await self._connected()
        return str(await client.eval(_SAY, len(self._keys), *self._keys, *words))

    async def _connected(self) -> Redis:
        """A client; the library takes a while to load, and the loop has no time for that."""
        if self._worker is None:
            self._worker = Worker("lock-redis")
        if self._client is None:
            await self._worker.run(import_module, "risk_daemon.state.redis_connection")
            self._client = self._client or self._made()
        return self._client

    def _made(self) -> Redis:
        return redis_client(self._address, self._password, _TIMEOUT_S, decode_responses=True, max_connections=8)

    async def _drop(self) -> None:
        """Let go of idle connections: the name may lead to another server by now."""
        if self._client is not None:
            await hang_up(self._client)


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
