"""Where a fund's members share their record, as the configuration names it."""

from __future__ import annotations

from typing import Protocol

from risk_daemon.config.credentials import lock_password, store_password
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError
from risk_daemon.fund.ledger import Ledger
from risk_daemon.state.store.postgres_url import PostgresUrl

CALL_WITHIN_S = 0.9
_KEY = "fund.ledger"


class OpenLedger(Ledger, Protocol):
    """A ledger with its connection, which is made by the first call. where: the server, for people."""

    @property
    def where(self) -> str: ...

    async def aclose(self) -> None: ...


def ledger_of(settings: Settings) -> OpenLedger:
    """`fund.ledger`, else the server of `state.store`, else the first Redis of `state.locks`. Nothing is connected yet.

    Each call ends within `CALL_WITHIN_S`. Raises ConfigError.
    """
    fund, address = settings.fund, settings.ledger_address
    if fund is None or address is None:
        raise ConfigError(f"{settings.file}: fund: there is none, so there is no ledger: add the table [fund].")
    if isinstance(address, PostgresUrl):
        from risk_daemon.state.fund.postgres import PostgresLedger
        from risk_daemon.state.store.postgres_link import PostgresLink
        from risk_daemon.state.store.postgres_schema import check

        return PostgresLedger(PostgresLink(address, store_password(), timeout_s=CALL_WITHIN_S, first=check), fund.name)
    from risk_daemon.state.lock.redis import require_redis
    from risk_daemon.state.redis_client import redis_client

    require_redis(f"{settings.file}: {_KEY}")
    from risk_daemon.state.fund.redis import RedisLedger

    client = redis_client(address, lock_password(), CALL_WITHIN_S)
    return RedisLedger(client, fund.name, where=f"Redis at {address}")
