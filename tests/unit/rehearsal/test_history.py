"""A day of history as a crash for the drill."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.errors import UsageError
from risk_daemon.rehearsal.drill import calm_sentence
from risk_daemon.rehearsal.history import STEPS, Crash, crash_of
from risk_daemon.rehearsal.parts import START_PRICE
from risk_daemon.rehearsal.rehearsal import Times
from risk_daemon.replay import days


class Market:
    """Takes prices; the gate shuts below one."""

    def __init__(self, shuts_below: Decimal) -> None:
        self.times = Times()
        self.prices: list[Decimal] = []
        self._shuts_below = shuts_below

    async def set_price(self, price: Decimal, *, fatal: bool = False) -> None:
        assert fatal
        self.prices.append(price)
        if price < self._shuts_below:
            self.times.shut_wall = 1.0


def crash(*ratios: str) -> Crash:
    return Crash(name="a day", symbol="FILUSDT", ratios=[Decimal(ratio) for ratio in ratios], step_s=0.0)


async def test_prices_move_until_the_gate_shuts() -> None:
    market = Market(Decimal(50_000))
    assert await crash("1", "0.9", "0.7", "0.6").play(market)  # type: ignore[arg-type]
    assert market.prices == [START_PRICE, START_PRICE * Decimal("0.9"), START_PRICE * Decimal("0.7")]


async def test_a_day_that_shuts_nothing_goes_to_its_end() -> None:
    market = Market(Decimal(1))
    assert not await crash("1", "0.9", "0.95").play(market)  # type: ignore[arg-type]
    assert len(market.prices) == 3
    said = calm_sentence(crash("1", "0.975"), Decimal("0.05"))
    assert "FILUSDT fell by 2.50 % at most" in said
    assert "the limit of 5.00 %" in said


def test_a_real_day_keeps_its_depth_in_few_steps() -> None:
    found = crash_of(days.day("2024-04"))
    assert len(found.ratios) == STEPS
    assert found.ratios[0] <= 1
    assert Decimal("0.39") < found.depth < Decimal("0.41")
    assert crash_of(days.day("2024-06")).depth < Decimal("0.05")


def test_what_has_no_candles_makes_no_crash(tmp_path: Path) -> None:
    (tmp_path / "equity.csv").write_text("time,equity\n1738454400,1\n")
    with pytest.raises(UsageError, match="no candles"):
        crash_of(tmp_path / "equity.csv")
