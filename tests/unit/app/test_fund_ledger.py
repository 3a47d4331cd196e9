"""Which ledger a configuration names. What ledgers promise is in contract/test_fund_ledgers.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.app.fund_ledger import ledger_of
from risk_daemon.config.load import load
from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.state.fund.postgres import PostgresLedger
from risk_daemon.state.fund.redis import RedisLedger
from tests.redis_server import free_port
from tests.unit.config.files import PORTFOLIO, SIMULATED, write

FUND = '[fund]\nname = "alpha"\nlimit = "500 USDT"\nmember = "a"\nbudget = "400 USDT"\n'


@pytest.mark.parametrize(
    ("address", "kind"),
    [("redis://127.0.0.1:{}/0", RedisLedger), ("postgresql://guard@127.0.0.1:{}/db", PostgresLedger)],
)
async def test_nothing_is_asked_before_the_first_call(address: str, kind: type, tmp_path: Path) -> None:
    where = address.format(free_port())
    ledger = ledger_of(load(write(tmp_path, PORTFOLIO, f'{FUND}ledger = "{where}"\n', SIMULATED)))
    assert isinstance(ledger, kind)
    assert ledger.where.partition(" at ")[2] in where.replace("guard@", "")
    with pytest.raises(RecordError, match=ledger.where):
        await ledger.read()
    with pytest.raises(RecordError, match=ledger.where):
        await ledger.compare_and_set(None, {})
    await ledger.aclose()


def test_without_a_fund_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="add the table \\[fund\\]"):
        ledger_of(load(write(tmp_path, PORTFOLIO, SIMULATED)))
