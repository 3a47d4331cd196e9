"""Baselines against the plainest way to say the same."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from risk_daemon.baselines.baselines import Baselines, BaselineSettings
from risk_daemon.baselines.median_window import MedianWindow
from risk_daemon.model.clock import Instant
from tests.core_world import ShortWorld, engine_settings

values = st.lists(st.integers(1, 1_000), min_size=1, max_size=80)


@settings(deadline=None, max_examples=100)
@given(values, st.integers(0, 25))
def test_the_peak_is_the_highest_of_the_lowest_over_the_hold(equities: list[int], read_every: int) -> None:
    baselines, reads, lows = Baselines(BaselineSettings(Decimal(1), peak_hold_s=10.0)), [0], []
    for second, equity in enumerate(equities):
        if read_every and second % read_every == 0:
            reads.append(second)
        now = Instant(float(second), 1_700_000_000.0 + second)
        baselines.observe(Decimal(equity), now, trusted=True, rest_mono=float(reads[-1]), agreed=True)
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


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=60), st.integers(0, 40))
def test_the_median_is_what_held_for_half_of_the_time(steps: list[tuple[int, int]], later: int) -> None:
    """Each value holds for some tenths of a second; counted tenth by tenth. Of two halves it is the higher one."""
    window, tenths, at = MedianWindow(10.0), [], 0
    for length, value in steps:
        window.add(at / 10, Decimal(value))
        tenths += [value] * length
        at += length
    tenths = tenths[: at - steps[-1][0]] + [steps[-1][1]] * (steps[-1][0] + later)
    median = window.median(len(tenths) / 10)
    if len(tenths) < 100:
        assert median is None
    else:
        last = sorted(tenths[-100:])
        assert median in (last[49], last[50])  # where two held for just as long, either


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(1, 100_000), st.integers(1, 4)), max_size=12),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.integers(0, 100),
)
def test_short_wicks_are_no_baseline(wicks: list[tuple[int, int]], step_s: float, first: int) -> None:
    """Whatever shows for less than half of every ten seconds is neither capital nor the start of a day or week."""
    midnight = 1_700_006_400.0
    baselines, mono = Baselines(BaselineSettings()), 0.0

    def hold(value: int, seconds: float) -> None:
        nonlocal mono
        for _ in range(round(seconds / step_s)):
            now = Instant(mono, midnight - 60.0 + mono)
            baselines.observe(Decimal(value), now, trusted=True, rest_mono=mono, agreed=True)
            mono += step_s

    hold(1_000, first / 10)
    for value, seconds in wicks:
        hold(value, seconds)
        hold(1_000, 10.0 - seconds)
    hold(1_000, 90.0)
    assert {baselines.capital, baselines.start_of_day, baselines.start_of_week} == {Decimal(1_000)}


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2)), max_size=6),
    st.sampled_from(["0", "0.3", "0.5", "0.9", "1.2", "3"]),
    st.floats(0.0, 8.0),
)
@example([(1, 1), (2, 2), (1, 2)], "1.2", 5.0)  # what came between the first and the second was half told
def test_no_reply_that_is_wild_twice_in_a_row_at_most_becomes_a_baseline(
    replies: list[tuple[int, int]], factor: str, first_s: float
) -> None:
    """Whatever comes when: the capital is the true one, or there is none yet; in the end there is one."""
    world = ShortWorld(engine_settings(None))
    wild = [Decimal(factor) if is_wild else 1 for good, bad in replies for is_wild in (0,) * good + (1,) * bad]
    world.wild = tuple(wild[round(first_s) :])
    world.begin()
    world.run(first_s)
    world.let_answers_arrive()  # an answer that is overtaken is no reply in the row
    world.read_all()
    for _ in range(200):
        world.run(1.0)
        capital = world.engine.baselines.capital
        assert capital in (None, 10_000)
        assert capital is not None or world.gate == "starting"
        if capital is not None:
            return
    raise AssertionError("there is no capital")
