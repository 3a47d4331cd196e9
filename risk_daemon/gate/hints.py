"""What a person does next, by the cause for which new orders are refused. Words only; nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping

from risk_daemon.gate.restraints import CUSTOM, UNLISTABLE, Cause
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.status import HaltStatus, State, Status

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
    Cause.FUND: "All members of the fund have stopped: `risk-daemon fund status` says who lost what.",
    Cause.CONFIRMING: "A breach is being read again: in a moment it is a trip, or the gate is open again.",
    Cause.STARTING: _START,
    Cause.LOCKED: "The guard could not tell or save how things stand: see its log, and `risk-daemon check`.",
    Cause.ELSEWHERE: "Another guard, or a limit over several, has to agree: look at that one first.",
}


def how_the_fund_stands(state: Status) -> str | None:
    """A sentence of this guard as a member; None where it is of no fund."""
    fund = state.fund
    if fund is None:
        return None
    who = f"Fund {fund.name}, member {fund.member}"
    if fund.is_joined is not True:
        return f"{who}: it has not joined, so nothing opens"
    budget, least, most = (_known(amount) for amount in (fund.budget, fund.least, fund.most))
    lost = least if least == most else f"between {least} and {most}"
    said = f"{who}: a budget of {budget} {fund.currency}, of which {lost} is lost"
    said += f"; the ledger does not answer ({fund.ledger_error})" if fund.ledger_error else ""
    return f"{said}; the others are NOT TOLD of the trip yet" if fund.told is False else said


def _known(amount: str | None) -> str:
    return "an unknown amount" if amount is None else amount


def is_circuit_tripped(state: Status) -> bool:
    """Whether the drawdown's short line must not call the circuit OK, whatever the drawdown is by now."""
    return state.state == CIRCUIT_TRIGGERED or _has_drawdown_tripped(state)


def tripped_by(state: Status) -> str | None:
    """The reason of a trip that is not the drawdown's, whose loss may be far below its limit; None where it may be."""
    cause = state.lock.cause
    is_of_other = state.state == CIRCUIT_TRIGGERED and not _has_drawdown_tripped(state)
    return cause if is_of_other and cause and cause != CircuitBreakerType.DRAWDOWN.cause else None


def _has_drawdown_tripped(state: Status) -> bool:
    of_drawdown = {name for name, rule in state.rules.items() if rule.get("breaker_type") == _DRAWDOWN}
    stands = any(state.breakers.get(name) != _NORMAL for name in of_drawdown)
    return state.circuit_breaker.active is True or stands


def how_to_reset() -> str:
    """What a person does to trade again."""
    return f"To trade again: find the cause, then {RESET}."


def how_to_go_on(state: State) -> str:
    """What opens the gate, or ends what is under way. Only a guard that runs goes on by itself."""
    lock = state.lock
    if not lock.trip_id:
        return _of_veto(lock.cause or "") if state.is_running else _START
    if lock.proven is not True:
        return _of_unproven(state)
    if lock.until and not state.is_running:
        return f"A freeze ends at that time if a guard runs: `risk-daemon run`. Sooner by {RESET}."
    if lock.until:
        return f"It ends by itself at that time, if every venue is proven and nothing breaches; sooner by {RESET}."
    return how_to_reset()


def _of_unproven(state: State) -> str:
    if state.proving_s is not None:
        return f"The cancels are being proven, {state.proving_s:.0f} s by now: that takes a few seconds."
    by_hand = "Orders of a venue that does not answer: look there, and cancel them by hand."
    if state.is_running:
        return f"The cancels are not proven yet: the guard goes on, leave it running. {by_hand}"
    return f"The cancels are not proven, and no guard answers: `risk-daemon run` goes on with them. {by_hand}"


def what_stands_open(state: State) -> str | None:
    """In a trip: the open positions, and whether orders guard them; None where there are none, or there is no trip.

    With the moment that it is known of: without a daemon it may be long ago, and whoever looks may have closed them.
    """
    if not state.lock.trip_id or not state.positions:
        return None
    named = ", ".join(f"{one.venue} {one.symbol} {one.quantity}" for one in state.positions[:_NAMED])
    more = f" and {len(state.positions) - _NAMED} more" if len(state.positions) > _NAMED else ""
    count = "1 position stands" if len(state.positions) == 1 else f"{len(state.positions)} positions stand"
    count = f"As of {state.time[:19].replace('T', ' ')} UTC, {count}" if state.time else count
    return f"{count} open, {_guarded(state)}: {named}{more}. `risk-daemon close-positions` closes them."


def _guarded(state: State) -> str:
    """Which orders still guard positions: known where the sweep of this trip proved what is left."""
    sweep = state.last_sweep
    swept = {} if sweep is None or sweep.trip_id != state.lock.trip_id else sweep.venues
    proven = {name for name, venue in swept.items() if venue.proven is True}
    if not {one.venue for one in state.positions} <= proven:
        return "and whether an order guards them is not known"
    kept = ", ".join(f"{len(venue.kept)} on {name}" for name, venue in swept.items() if venue.kept)
    return f"and of the orders that guarded them these are kept: {kept}" if kept else "and no order guards them"


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
