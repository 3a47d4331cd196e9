"""A client for a Redis whose every call ends soon, and is tried once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from risk_daemon.state.lock.redis_address import RedisAddress

if TYPE_CHECKING:
    from redis.asyncio import Redis


def redis_client(address: RedisAddress, password: str | None, timeout_s: float, **more: Any) -> Redis:
    """Nothing is connected yet. The library takes a while to load: not to be called where somebody waits.

    Raises ImportError without the extra.
    """
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis(
        host=address.host,
        port=address.port,
        db=address.database,
        username=address.user,
        password=password,
        ssl=address.is_secure,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
        **more,
    )
