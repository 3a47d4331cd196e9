"""Curves and configurations for replays, and a replay of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from risk_daemon.config.load import load as load_config
from risk_daemon.replay.book import equity_track
from risk_daemon.replay.outcome import Deed, Outcome
from risk_daemon.replay.replay import replay

NOON = 1_738_497_600.0  # 2 February 2025, 12:00 UTC
CONFIG = """
[portfolio]
initial_capital = 10000
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""

Curve = Sequence[tuple[float, object]]


def minutes(*values: object, start: float = NOON, every_s: float = 60.0) -> list[tuple[float, Decimal]]:
    """A value a minute; None: the minute is missing."""
    moments = ((start + number * every_s, value) for number, value in enumerate(values))
    return [(wall, Decimal(str(value))) for wall, value in moments if value is not None]


def replayed(
    directory: Path, rows: Sequence[tuple[float, Decimal]], tables: str = "", capital: object = 10_000
) -> Outcome:
    """A curve of equity under CONFIG and more tables."""
    file = directory / "config.toml"
    file.write_text(CONFIG + tables)
    track = equity_track("curve", rows, "USDT")
    return replay(load_config(file), track, capital=None if capital is None else Decimal(str(capital)))


def when(outcome: Outcome, rule: str, deed: Deed) -> float | None:
    """Seconds since NOON."""
    mark = outcome.mark(rule, deed)
    return None if mark is None else mark.wall - NOON
