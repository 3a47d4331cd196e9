from __future__ import annotations

from risk_daemon.model.clock import Instant, ManualClock, SystemClock


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock(mono=5.0, wall=100.0)
    assert clock.now() == clock.now() == Instant(5.0, 100.0)
    assert clock.advance(2.5) == Instant(7.5, 102.5)


def test_a_jump_moves_the_wall_only() -> None:
    clock = ManualClock(mono=5.0, wall=100.0)
    assert clock.jump(-50.0) == Instant(5.0, 50.0)


def test_the_systems_clock_runs_forward() -> None:
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert second.mono >= first.mono > 0
    assert second.wall > 1_500_000_000
