"""Configuration files to load, and what they are refused with."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.config.load import load as load_config
from risk_daemon.errors import ConfigError, ExitCode

PORTFOLIO = "[portfolio]\ninitial_capital = 10000\n"
VENUE = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
SIMULATED = VENUE + "simulated = true\n"


def write(directory: Path, *parts: str) -> Path:
    path = directory / "config.toml"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.exit_code == ExitCode.REFUSED
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    assert text.endswith(".")
    return text.removeprefix(f"{path}: ")
