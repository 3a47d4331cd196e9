"""Peers, as `check` names them; two guards as processes are in e2e/test_twins.py."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.app.twins import meet_peers, meet_peers_that_can_be_met, peer_findings
from risk_daemon.config.load import Settings, load
from risk_daemon.errors import ConfigError
from tests.unit.config.files import PORTFOLIO, SIMULATED, write


def settings(tmp_path: Path, store: str, more: str = "") -> Settings:
    return load(write(tmp_path, PORTFOLIO, SIMULATED, f'[state]\nstore = "{store}"\n{more}'))


def test_peers_are_named_with_the_place_where_they_meet(tmp_path: Path) -> None:
    peers = '[guard]\nname = "a"\npeers = ["b"]\n'
    (finding,) = peer_findings(settings(tmp_path, "postgresql://guard@127.0.0.1/risk", peers))
    assert "a and b heed each other" in finding.sentence
    assert "state.store" in finding.sentence
    assert peer_findings(settings(tmp_path, "sqlite")) == []


async def test_without_the_client_a_start_is_refused_and_a_trip_is_finished_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    of_a = settings(tmp_path, "postgresql://guard@127.0.0.1/risk", '[guard]\nname = "a"\npeers = ["b"]\n')
    daemon: Any = SimpleNamespace(parts=None)
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigError, match="extra `postgres`"):
            meet_peers(of_a, daemon, stack)
        with capture_logs() as logs:
            meet_peers_that_can_be_met(of_a, daemon, stack)
    assert [(line["event"], line["log_level"]) for line in logs] == [("peers_left_out", "critical")]
