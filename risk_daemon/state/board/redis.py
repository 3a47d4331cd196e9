"""The board in Redis: one script, so that what is written, held and seen is of one moment by the server's clock.

Keys, all with the prefix `risk-daemon:GROUP:board:`

    epoch       the number of the last holder
    words       how many were ever said here
    holder      until when (ms by the server) it is held, and NAME:RUN of who holds it; it stays when that is over
    since       when this board was made, or began to settle, in ms by the server
    server      which run of which server that was
    guards      set of the names of all that ever said anything here
    guard:NAME  hash of run, seq (of its words), at (ms by the server), stays (0: it took leave) and body (JSON): what
                holds for this guard; before: what the run before this one said last

A replica refuses the script, as it writes. What a failover may lose is written again with the next exchange. Another
server than the one that was asked before, by any guard, or that one restarted, settles anew: it may have lost an epoch
whose holder nobody hears. So does one that has lost the record of the holder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from risk_daemon.errors import RecordError
from risk_daemon.state.board.base import LEASE_S, Answer, Known, Standing, standing_in, standings_in
from risk_daemon.state.redis_client import closed, hang_up

_EXCHANGE = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local name, run, seq, body, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local locks, wants, doubts = ARGV[6] == '1', ARGV[7] == '1', ARGV[8] == '1'
local known_epoch, known_words, stays = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]
local known_server, says = ARGV[13], body ~= ''
local stands = redis.call('HMGET', KEYS[4], 'run', 'at', 'seq', 'body', 'before', 'stays')
if says and stands[1] == run and seq <= (tonumber(stands[3]) or 0) then
    return redis.error_reply('a later word was here first')
end
local epoch, since = tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(redis.call('GET', KEYS[3]) or '')
if epoch == nil then return redis.error_reply('the epoch on this board is no number') end
local words = tonumber(redis.call('GET', KEYS[7]) or '0')
if words == nil then return redis.error_reply('the count of words on this board is no number') end
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if server == nil then return redis.error_reply('this server does not say which one it is') end
local held_until, holder = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (.*)$')
held_until = tonumber(held_until or '')
-- A record that is gone does not say that nobody holds it; a holder for longer than a lease was one before the clock
-- was set back.
local is_unknown = held_until == nil or held_until > now + lease
local is_moved = redis.call('GET', KEYS[5]) ~= server or (known_server ~= '' and known_server ~= server)
-- One that knows of less than a guard was restored; where its clock was moved, a lease may be over too early.
local is_older = known_epoch > epoch or known_words > words
if since == nil or since > now or is_older or doubts or is_unknown or is_moved then
    since = now
    redis.call('SET', KEYS[3], string.format('%.0f', since))
    redis.call('SET', KEYS[5], server)
    held_until = 0
end
if held_until <= now then held_until, holder = 0, '' end
epoch, words = math.max(epoch, known_epoch), math.max(words, known_words) + 1
local at = tonumber(stands[2] or '')
-- What locks is taken in, whoever says it under this name; and who took leave has it no more.
local is_there = stands[6] ~= '0' and at ~= nil and at <= now and now - at < lease
local taken = says and not locks and is_there and stands[1] ~= run
local settled, ours = now - since >= lease, false
-- Kept for as long as this run stands: an answer may be lost on the way.
local before = stands[5] or ''
if stands[1] and stands[1] ~= run then before = stands[4] or 'nothing that can be read' end
if not taken then
    local me = name .. ':' .. run
    if says then
        redis.call('SADD', KEYS[6], name)
        redis.call('HSET', KEYS[4], 'run', run, 'seq', seq, 'at', string.format('%.0f', now), 'stays', stays,
            'body', body, 'before', before)
    end
    if wants and settled and (holder == '' or holder == me) then
        if holder == '' then epoch = epoch + 1 end
        held_until, holder, ours = now + lease, me, true
    elseif holder == me then
        held_until, holder = 0, ''
    end
end
redis.call('SET', KEYS[2], string.format('%.0f ', held_until) .. holder)
redis.call('SET', KEYS[1], string.format('%.0f', epoch))
redis.call('SET', KEYS[7], string.format('%.0f', words))
local answer = {string.format('%.0f', epoch), string.format('%.0f', words), string.format('%.0f', now), server, holder}
for _, is in ipairs({ours, taken, settled}) do answer[#answer + 1] = is and 1 or 0 end
answer[#answer + 1] = before
for _, other in ipairs(redis.call('SMEMBERS', KEYS[6])) do
    local said = redis.call('HMGET', ARGV[12] .. other, 'at', 'body')
    local said_at = tonumber(said[1] or '')
    if other ~= name and (said_at == nil or (said_at >= since and said_at <= now)) then
        answer[#answer + 1] = other
        answer[#answer + 1] = said_at ~= nil and string.format('%.0f', now - said_at) or '0'
        answer[#answer + 1] = said_at ~= nil and said[2] or ''
    end
end
return answer
"""


class RedisBoard:
    """See `Board`. client: with timeouts of its own; it is closed with this. run: names this process."""

    def __init__(self, client: Redis, *, place: str, group: str, name: str, run: str, others: Sequence[str]) -> None:
        self.place = place
        self._client = client
        self._name, self._run, self._others = name, run, tuple(others)
        self._seq = 0
        prefix = f"risk-daemon:{group}:board:"
        self._guards = f"{prefix}guard:"
        self._keys = [
            prefix + key for key in ("epoch", "holder", "since", f"guard:{name}", "server", "guards", "words")
        ]

    async def exchange(self, mine: Standing | None, known: Known, *, wants: bool) -> Answer:
        self._seq += 1
        body, locks, stays = "", False, False
        if mine is not None:
            body, locks, stays = json.dumps(mine.document()), mine.locked, mine.is_here
        words: list[Any] = [self._name, self._run, self._seq, body, round(LEASE_S * 1000), int(locks), int(wants)]
        words += [int(known.doubts), known.epoch, known.words, int(stays), self._guards, known.server]
        try:
            found = await self._client.eval(_EXCHANGE, len(self._keys), *self._keys, *words)
            return self._answer([_text(part) for part in found])
        except (RedisError, OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            await hang_up(self._client)
            raise RecordError(f"{self.place}: the board does not answer: {error}") from error

    def _answer(self, found: Sequence[str | None]) -> Answer:
        """Raises ValueError, TypeError."""
        epoch, words, at_ms, server, holder, ours, taken, settled, before, *said = found
        names = [str(name) for name in said[::3]]
        others, unnamed = standings_in(dict(zip(names, said[2::3], strict=True)), self._others)
        return Answer(
            epoch=int(epoch or ""),
            words=int(words or ""),
            at_s=int(at_ms or "") / 1000,
            holder=_name_of(holder),
            is_ours=ours == "1",
            is_taken=taken != "0",
            is_settled=settled == "1",
            before=standing_in(before) if before else None,
            others=others,
            unnamed=unnamed,
            said_s={name: int(ago_ms or "") / 1000 for name, ago_ms in zip(names, said[1::3], strict=True)},
            server=server or "",
        )

    async def close(self) -> None:
        await closed(self._client.aclose())


def _name_of(holder: str | None) -> str:
    """NAME of NAME:RUN."""
    return (holder or "").rpartition(":")[0]


def _text(part: object) -> str | None:
    if part is None:
        return None
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)
