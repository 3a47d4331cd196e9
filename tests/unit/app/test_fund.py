"""A fund's limit that nothing holds is refused, at a start and by `check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.app.findings import configured
from risk_daemon.app.fund import refuse_fund
from risk_daemon.app.service import run
from risk_daemon.config.load import load
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError, ExitCode
from tests.unit.config.files import PORTFOLIO, SIMULATED, write

FUND = '[fund]\nname = "alpha"\nlimit = "5%"\nmember = "a"\nbudget = "400 USDT"\nledger = "redis://127.0.0.1:6379/0"\n'


def settings(directory: Path, *tables: str) -> Settings:
    return load(write(directory, PORTFOLIO, *tables, SIMULATED))


async def test_a_start_with_a_fund_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fund: this version can't guard a fund's limit yet") as refused:
        await run(settings(tmp_path, FUND))
    assert refused.value.exit_code == ExitCode.REFUSED


def test_check_says_so(tmp_path: Path) -> None:
    [found] = [one for one in configured(settings(tmp_path, FUND)) if one.subject == "fund"]
    assert found.exit_code == ExitCode.REFUSED
    assert "take [fund] out" in found.sentence


def test_without_one_nothing_is_refused(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    refuse_fund(plain)
    assert not [one for one in configured(plain) if one.subject == "fund"]


def test_the_readme_calls_nothing_else_of_several_machines_refused(tmp_path: Path) -> None:
    said = (Path(__file__).resolve().parents[3] / "README.md").read_text().partition("## What it does not do yet")[2]
    assert "Asking for `[fund]` in `config.toml` is refused" in said
    assert "One machine" not in said
    server = '[state]\nstore = "postgresql://guard@127.0.0.1/guard"\nlocks = ["file", "redis://127.0.0.1:6379/0"]\n'
    refuse_fund(settings(tmp_path, server))
