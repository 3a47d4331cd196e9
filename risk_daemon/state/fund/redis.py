"""A fund's ledger in Redis: one key, changed by a script that compares and sets.

What Redis forgets, after a crash before its file was written or a failover to a replica that was behind, is a ledger
restored from an older one: members are made for that. What it does not answer is an error, never "nothing there".
"""

from __future__ import annotations

import json
import secrets
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from risk_daemon.errors import RecordError
from risk_daemon.fund.ledger import LARGEST, JsonObject, LedgerRead
from risk_daemon.state.redis_client import closed, hang_up

# One key holds both, so that no crash comes between them. KEYS: the ledger's; ARGV: expected, new revision, document.
_COMPARE_AND_SET: Final = """
local known = redis.call('HGET', KEYS[1], 'revision')
if (known or '') ~= ARGV[1] then return 0 end
if not known and redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('half a record') end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'document', ARGV[3])
return 1
"""


class RedisLedger:
    """The ledger of the fund `fund`. client: with the times of its calls set; it is closed with this.

    where: the server, for people. Replies may be texts or bytes.
    """

    def __init__(self, client: Redis, fund: str, *, where: str = "Redis") -> None:
        self.key = f"risk-daemon:fund:{fund}"
        self.where = where
        self._client = client

    async def read(self) -> LedgerRead:
        """What is there now. Raises RecordError."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.role()
                pipeline.hgetall(self.key)
                role, reply = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            await hang_up(self._client)
            raise RecordError(f"{self.where}: the fund's ledger can't be read: {error}") from error
        if not isinstance(role, list) or not role or _text(role[0]) != "master":
            await hang_up(self._client)
            raise RecordError(f"{self.where}: it is a replica, which knows of the ledger what it was told so far")
        if not reply:
            return LedgerRead(revision=None, document=None)
        fields = {_text(name): value for name, value in reply.items()}
        if set(fields) != {"revision", "document"} or not fields["revision"] or len(fields["document"]) > LARGEST:
            raise RecordError(f"{self.where}: what is at {self.key} is no fund's ledger")
        try:
            return LedgerRead(revision=_text(fields["revision"]), document=json.loads(fields["document"]))
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{self.where}: what is at {self.key} is no fund's ledger: {error}") from error

    async def compare_and_set(self, revision: str | None, document: JsonObject) -> bool:
        """Put `document` there if the revision is still this one; False: it was another.

        Raises RecordError where it is not known whether it was put there. Reading says so then, and after a False too:
        a client that asks again by itself may have been answered twice.
        """
        new = secrets.token_hex(16)  # never used twice, not by a ledger that was restored either
        try:
            words = (revision or "", new, json.dumps(document))
            done = await self._client.eval(_COMPARE_AND_SET, 1, self.key, *words)
        except (RedisError, OSError, TimeoutError) as error:
            await hang_up(self._client)
            raise RecordError(f"{self.where}: the fund's ledger can't be written: {error}") from error
        if done not in (0, 1):
            raise RecordError(f"{self.where}: the fund's ledger gave an odd answer: {str(done)[:60]!r}")
        return bool(done)

    async def aclose(self) -> None:
        await closed(self._client.aclose())


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
