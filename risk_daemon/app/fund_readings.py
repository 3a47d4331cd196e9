"""Where a fund's members hear each other: beside their ledger."""

from __future__ import annotations

from risk_daemon.app.fund_ledger import CALL_WITHIN_S
from risk_daemon.config.credentials import lock_password, store_password
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError
from risk_daemon.state.fund.readings import Readings
from risk_daemon.state.store.postgres_url import PostgresUrl


def readings_of(settings: Settings, founding: str) -> Readings:
    """On the server of the ledger (`fund_ledger.ledger_of`), of that founding. Nothing is connected yet.

    Each call ends within `fund_ledger.CALL_WITHIN_S`. Raises ConfigError.
    """
    fund, address = settings.fund, settings.ledger_address
    if fund is None or address is None:
        raise ConfigError(f"{settings.file}: fund: there is none, so nobody is to be heard: add the table [fund].")
    if isinstance(address, PostgresUrl):
        from risk_daemon.state.fund.postgres_readings import PostgresReadings
        from risk_daemon.state.store.postgres_link import PostgresLink
        from risk_daemon.state.store.postgres_schema import check

        link = PostgresLink(address, store_password(), timeout_s=CALL_WITHIN_S, first=check)
        return PostgresReadings(link, fund.name, founding)
    from risk_daemon.state.lock.redis import require_redis
    from risk_daemon.state.redis_client import redis_client

    require_redis(f"{settings.file}: fund.ledger")
    from risk_daemon.state.fund.redis_readings import RedisReadings

    client = redis_client(address, lock_password(), CALL_WITHIN_S)
    return RedisReadings(client, fund.name, founding, where=f"Redis at {address}")
