"""Peers, as `check` names them; two guards as processes are in e2e/test_twins.py."""

from __future__ import annotations

from pathlib import Path

from risk_daemon.app.twins import peer_findings
from risk_daemon.config.load import Settings, load
from tests.unit.config.files import PORTFOLIO, SIMULATED, write


def settings(tmp_path: Path, store: str, more: str = "") -> Settings:
    return load(write(tmp_path, PORTFOLIO, SIMULATED, f'[state]\nstore = "{store}"\n{more}'))


def test_peers_are_named_with_the_place_where_they_meet(tmp_path: Path) -> None:
    peers = '[guard]\nname = "a"\npeers = ["b"]\n'
    (finding,) = peer_findings(settings(tmp_path, "postgresql://guard@127.0.0.1/risk", peers))
    assert "a and b heed each other" in finding.sentence
    assert "state.store" in finding.sentence
    assert peer_findings(settings(tmp_path, "sqlite")) == []
