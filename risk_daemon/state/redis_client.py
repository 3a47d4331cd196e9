"""A client for a Redis whose every call ends soon, and is tried once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

import structlog

from risk_daemon.state.dial import Dialler
from risk_daemon.state.lock.redis_address import RedisAddress

if TYPE_CHECKING:
    from redis.asyncio import Redis

CLOSE_WITHIN_S: Final = 0.5
_LOG = structlog.get_logger(__name__)


async def closed(closing: Awaitable[None]) -> None:
    """Wait for `closing`, for half a second at most. Raises nothing: whoever lets go needs nothing from there any more.

    The library waits until the other side has said good-bye over TLS, and raises where it does not.
    """
    try:
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await closing
    except Exception as error:  # whatever the library makes of it
        _LOG.debug("redis_not_closed", error=str(error) or type(error).__name__)


async def hang_up(client: Redis) -> None:
    """Let go of idle connections, as after anything that went wrong: the name may lead to another server by now, and a
    master that became a replica keeps who is connected. Raises nothing."""
    await closed(client.connection_pool.disconnect(inuse_connections=False))


def redis_client(address: RedisAddress, password: str | None, timeout_s: float, **more: Any) -> Redis:
    """Nothing is connected yet. The library takes a while to load: not to be called where somebody waits.

    Raises ImportError without the extra.
    """
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    from risk_daemon.state.redis_connection import DialledConnection, DialledSSLConnection

    pool = ConnectionPool(
        connection_class=DialledSSLConnection if address.is_secure else DialledConnection,
        dialler=Dialler(),
        host=address.host,
        port=address.port,
        db=address.database,
        username=address.user,
        password=password,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
        **more,
    )
    return Redis.from_pool(pool)
