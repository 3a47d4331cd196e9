"""CARD-45: the demo on the exchanges that most people use, by its command."""

from __future__ import annotations

import subprocess
import sys

import pytest

VENUES = "binance,binanceusdm,bybit,okx,mexc"


@pytest.mark.long
def test_card_45_the_demo_plays_on_other_exchanges_and_ends_with_one() -> None:
    command = [sys.executable, "-m", "risk_daemon", "demo", "--venues", VENUES]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert shown.returncode == 1, shown.stdout + shown.stderr
    for name in VENUES.split(","):
        assert f"{name}: listed empty twice, proven" in shown.stdout
    assert "Triggered, every cancel proven: exit code 1." in shown.stdout
