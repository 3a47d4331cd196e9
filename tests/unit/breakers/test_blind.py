"""Too much is unknown for too long."""

from __future__ import annotations

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers.base import Action, EvaluationContext, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker, BlindSettings
from risk_daemon.model.clock import Instant

NOW = Instant(1_000.0, 1_700_000_000.0)


def blind_after(rule: BlindCircuitBreaker, seconds: float, is_undecided: bool = True) -> Verdict:
    looked = EvaluationContext(None, None, Baselines(), is_undecided)
    return rule.evaluate(looked, Instant(NOW.mono + seconds, NOW.wall))


def test_blindness_warns_vetoes_and_trips_by_its_time() -> None:
    rule = BlindCircuitBreaker(BlindSettings(10.0, 30.0, 60.0))
    found = [blind_after(rule, seconds) for seconds in (0, 9.9, 10, 29.9, 30, 59.9, 60)]
    assert [verdict.warning is not None for verdict in found] == [False, False, True, True, True, True, True]
    assert [verdict.breached for verdict in found] == [False, False, False, False, True, True, True]
    assert found[-1].action is Action.TRIP
    assert found[-2].action is Action.VETO


def test_sight_ends_it_and_the_time_runs_anew() -> None:
    rule = BlindCircuitBreaker(BlindSettings())
    assert rule.settle(blind_after(rule, 0)) is False
    assert rule.settle(blind_after(rule, 31)) is True
    assert rule.is_tripped
    assert rule.settle(blind_after(rule, 32, is_undecided=False)) is True
    assert not rule.is_tripped
    assert not blind_after(rule, 33).breached


def test_never_means_never() -> None:
    rule = BlindCircuitBreaker(BlindSettings(10.0, None, None))
    blind_after(rule, 0)
    assert not blind_after(rule, 1e9).breached
