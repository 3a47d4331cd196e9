"""Whatever is fired at the table, in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.engine.states import CircuitBreakerState, Outcome, StateMachine, Trigger


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(list(Trigger)), max_size=40))
def test_triggered_is_left_by_reset_and_expire_alone(triggers: list[Trigger]) -> None:
    machine = StateMachine()
    for trigger in triggers:
        before = machine.state
        assert machine.would_refuse(trigger) is (machine.fire(trigger).outcome is Outcome.REFUSED)
        if before is CircuitBreakerState.TRIGGERED and machine.state is not before:
            assert trigger in (Trigger.RESET, Trigger.EXPIRE)
            assert machine.state is CircuitBreakerState.ACTIVE
        if trigger is Trigger.HALT:
            assert machine.state is CircuitBreakerState.TRIGGERED
