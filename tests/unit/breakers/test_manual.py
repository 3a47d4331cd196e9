"""An operator's halt."""

from __future__ import annotations

import pytest

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers.base import EvaluationContext
from risk_daemon.breakers.manual import ManualCircuitBreaker
from risk_daemon.model.clock import Instant

CONTEXT, NOW = EvaluationContext(None, None, Baselines()), Instant(1_000.0, 1_700_000_000.0)


@pytest.mark.parametrize("verb", ["trigger_halt", "trip"])
def test_a_halt_lasts_until_a_reset(verb: str) -> None:
    rule = ManualCircuitBreaker()
    assert rule.can_trade()
    getattr(rule, verb)("enough", "anna")
    assert not rule.can_trade()
    verdict = rule.evaluate(CONTEXT, NOW)
    assert verdict.breached
    assert verdict.reason == "halted by anna: enough"
    rule.reset("bert")
    assert rule.can_trade()
    assert not rule.evaluate(CONTEXT, NOW).breached
