"""What a person does next, by the cause for which new orders are refused. Words only; nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping

from risk_daemon.gate.restraints import CUSTOM, UNLISTABLE, Cause
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.status import HaltStatus, LockStatus, Status

RESET = '`risk-daemon reset --reason "..." --rebaseline keep|current`'

CIRCUIT_TRIGGERED = "TRIGGERED"
_NORMAL = "NORMAL"
_NAMED = 3
_DRAWDOWN = CircuitBreakerType.DRAWDOWN.value
_START = "The gate opens when a running guard has a complete picture: see `risk-daemon run`."
_LIMITS = "A veto: nothing is cancelled, and it ends by itself when the figure is back within its limit."
_AGE_OUT = "A veto: it ends by itself as the {} age out. `risk-daemon tail` shows whose they were."
_HINTS: Mapping[str, str] = {
    **{rule.cause: _LIMITS for rule in CircuitBreakerType if rule is not CircuitBreakerType.MANUAL},
    CircuitBreakerType.ERROR_RATE.cause: _AGE_OUT.format("errors"),
    CircuitBreakerType.ORDER_RATE.cause: _AGE_OUT.format("orders"),
    CircuitBreakerType.BLIND.cause: (
        "It ends by itself when the venues answer again: see their ages above, and `risk-daemon check`."
    ),
    Cause.CONFIRMING: "A breach is being read again: in a moment it is a trip, or the gate is open again.",
    Cause.STARTING: _START,
    Cause.LOCKED: "The guard could not tell or save how things stand: see its log, and `risk-daemon check`.",
    Cause.ELSEWHERE: "Another guard, or a limit over several, has to agree: look at that one first.",
}


def is_circuit_tripped(state: Status) -> bool:
    """Whether the drawdown's short line must not call the circuit OK, whatever the drawdown is by now."""
    of_drawdown = {name for name, rule in state.rules.items() if rule.get("breaker_type") == _DRAWDOWN}
    stands = any(state.breakers.get(name) != _NORMAL for name in of_drawdown)
    return state.circuit_breaker.active is True or state.state == CIRCUIT_TRIGGERED or stands


def how_to_reset() -> str:
    """What a person does to trade again."""
    return f"To trade again: find the cause, then {RESET}."


def how_to_go_on(lock: LockStatus) -> str:
    """What opens the gate, for the `lock` of a state."""
    if not lock.trip_id:
        return _of_veto(lock.cause or "")
    if lock.proven is not True:
        return (
            "The cancels are not proven yet: the guard goes on, leave it running; if it has ended, `risk-daemon run`"
            " resumes it. Orders of a venue that does not answer: look there, and cancel them by hand."
        )
    if lock.until:
        return f"It ends by itself at that time, if every venue is proven and nothing breaches; sooner by {RESET}."
    return how_to_reset()


def what_stands_open(state: Status) -> str | None:
    """In a trip: the positions that no order guards any more; None where there are none, or there is no trip.

    With the moment that it is known of: without a daemon it may be long ago, and whoever looks may have closed them.
    """
    if not state.lock.trip_id or not state.positions:
        return None
    named = ", ".join(f"{one.venue} {one.symbol} {one.quantity}" for one in state.positions[:_NAMED])
    more = f" and {len(state.positions) - _NAMED} more" if len(state.positions) > _NAMED else ""
    count = "1 position stands" if len(state.positions) == 1 else f"{len(state.positions)} positions stand"
    count = f"As of {state.time[:19].replace('T', ' ')} UTC, {count}" if state.time else count
    return (
        f"{count} open, and orders that guarded them are gone unless they were kept: {named}{more}."
        " `risk-daemon close-positions` closes them."
    )


def _of_veto(cause: str) -> str:
    if cause.startswith(UNLISTABLE):
        return (
            "It ends by itself with the next good listing. Until then a trip could not be carried out there: look at"
            " the key, its permissions and its list of addresses, then `risk-daemon check`."
        )
    if cause.startswith(CUSTOM):
        return "A veto of your own rule: it ends by itself when that says so."
    return _HINTS.get(cause, _START)


def how_to_release(halt: HaltStatus) -> str:
    """What ends a halt that is no trip."""
    scope = " ".join(f"--{key} {name}" for key, name in (("venue", halt.venue), ("bot", halt.bot)) if name)
    scope = scope or "--everything"
    return f'It lasts until `risk-daemon release {scope} --reason "..."`.'
