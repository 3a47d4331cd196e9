"""Baselines against the plainest way to say the same."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.baselines import Baselines, BaselineSettings
from risk_daemon.clock import Instant

values = st.lists(st.integers(1, 1_000), min_size=1, max_size=80)


@settings(deadline=None, max_examples=100)
@given(values, st.integers(0, 25))
def test_the_peak_is_the_highest_of_the_lowest_over_the_hold(equities: list[int], read_every: int) -> None:
    baselines, reads, lows = Baselines(BaselineSettings(Decimal(1), peak_hold_s=10.0)), [0], []
    for second, equity in enumerate(equities):
        if read_every and second % read_every == 0:
            reads.append(second)
        now = Instant(float(second), 1_700_000_000.0 + second)
        baselines.observe(Decimal(equity), now, trusted=True, rest_mono=float(reads[-1]))
        since = min(second - 10, reads[-1])
        if second >= 10:
            lows.append(min(equities[max(0, since) : second + 1]))
        assert baselines.peak == max((low for low in lows if low > 1), default=baselines.peak)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(2, 10_000), st.integers(2, 10_000)), max_size=20), st.integers(2, 20_000))
def test_no_flow_moves_a_ratio(flows: list[tuple[int, int]], start: int) -> None:
    baselines, equity = Baselines(BaselineSettings(Decimal(10_000))), Decimal(start)
    before = baselines.loss_ratio(equity)
    assert before is not None
    for after, empty in flows:
        for target in (Decimal(0), Decimal(after)) if empty % 3 == 0 else (Decimal(after),):
            baselines.rescale(equity, target)
            equity = target
        ratio = baselines.loss_ratio(equity)
        assert ratio is not None
        assert abs(ratio - before) <= Decimal("1e-11")
