"""Where members hear each other, as a configuration names it. What such places promise: in the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.app.fund_readings import readings_of
from risk_daemon.config.load import load
from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.state.fund.postgres_readings import PostgresReadings
from risk_daemon.state.fund.redis_readings import RedisReadings
from tests.redis_server import free_port
from tests.unit.app.test_fund_ledger import FUND
from tests.unit.config.files import PORTFOLIO, SIMULATED, write


@pytest.mark.parametrize(
    ("address", "kind"),
    [("redis://127.0.0.1:{}/0", RedisReadings), ("postgresql://guard@127.0.0.1:{}/db", PostgresReadings)],
)
async def test_they_are_beside_the_ledger(address: str, kind: type, tmp_path: Path) -> None:
    where = address.format(free_port())
    readings = readings_of(load(write(tmp_path, PORTFOLIO, f'{FUND}ledger = "{where}"\n', SIMULATED)), "f00d")
    assert isinstance(readings, kind)
    with pytest.raises(RecordError, match=where.partition("@")[2] or where):
        await readings.hear(1.0)
    await readings.aclose()


def test_without_a_fund_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="add the table \\[fund\\]"):
        readings_of(load(write(tmp_path, PORTFOLIO, SIMULATED)), "f00d")
