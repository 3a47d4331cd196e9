from __future__ import annotations

from dataclasses import replace

from risk_daemon.gate import GateState, cause_of


def test_a_lock_repeats_its_cause() -> None:
    assert cause_of("manual") == "manual_halt"
    assert cause_of("drawdown") == "portfolio_dd_circuit"
    assert cause_of("capital_loss") == "capital_loss"
    assert cause_of("locked") == "locked"
    assert cause_of("my_rule") == "custom:my_rule"


def test_only_the_time_of_entering_may_differ() -> None:
    gate = GateState(True, "blind", None, 5.0)
    assert gate.same_as(replace(gate, since_wall=9.0))
    for change in ({"locked": False}, {"cause": "confirming"}, {"trip_id": "t"}, {"until_wall": 1.0}):
        assert not gate.same_as(replace(gate, **change))  # type: ignore[arg-type]
