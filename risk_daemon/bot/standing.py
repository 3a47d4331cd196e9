"""What is known of a shut gate beyond its memory map: `risk.json` beside it tells limits and a sentence.

That file is up to a second old, so it is believed only where it speaks of the same lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from risk_daemon.bot.answers import LOCKED, GateAnswer
from risk_daemon.model.clock import SystemClock

_FILE_NAME = "risk.json"
_HALTS_VALID_S = 10.0
_SKEW_S = 1.0  # a file's time is kept less finely than the clock's
_MAX_DETAIL = 300


def shut(gate: Path, cause: str, trip_id: str | None, until_wall: float | None) -> GateAnswer:
    """The answer of the gate `gate`, shut by `cause`."""
    lock, limits = _told(gate.with_name(_FILE_NAME), cause, trip_id)
    detail = lock.get("reason")
    return GateAnswer(
        allowed=False,
        veto_reason=cause,
        detail=detail if isinstance(detail, str) else "the gate is shut",
        observed=_mapping(lock.get("observed")),
        limits=limits,
        trip_id=trip_id,
        locked_until=None if until_wall is None else iso(until_wall),
    )


def halted(gate: Path, venue: str) -> GateAnswer | None:
    """The answer of the gate `gate`, which is open, to orders of `venue`; None while they are not halted.

    A file that can't be read, or is not written any more, may hide a halt: that is a no.
    """
    path = gate.with_name(_FILE_NAME)
    try:
        document, age_s = _mapping(json.loads(path.read_bytes())), SystemClock().now().wall - path.stat().st_mtime
    except (OSError, ValueError, RecursionError) as error:
        return GateAnswer(
            allowed=False,
            veto_reason=LOCKED,
            detail=f"{path}: whether {venue} is halted can't be read: {error}"[:_MAX_DETAIL],
        )
    if venue not in _mapping(document.get("venues")):
        return None
    halts = document.get("halts")
    if not isinstance(halts, list) or not 0 <= age_s + _SKEW_S <= _HALTS_VALID_S:
        return GateAnswer(
            allowed=False, veto_reason=LOCKED, detail=f"{path}: it does not tell whether {venue} is halted now"
        )
    for halt in map(_mapping, halts):
        if halt.get("venue") == venue and halt.get("bot") is None:
            reason = f"venue {venue} halted by {halt.get('operator')}: {halt.get('reason')}"
            return GateAnswer(
                allowed=False,
                veto_reason="manual_halt",
                detail=reason[:_MAX_DETAIL],
                observed={"operator": halt.get("operator")},
            )
    return None


def _told(path: Path, cause: str, trip_id: str | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The lock and its limits as the file has them; nothing where it can't be read or means another lock."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}, {}
    document = _mapping(document)
    lock = _mapping(document.get("lock"))
    if (lock.get("cause"), lock.get("trip_id")) != (cause, trip_id):
        return {}, {}
    return lock, _mapping(lock.get("limits")) or _limit_of(cause, document)


def _limit_of(cause: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = {
        "portfolio_dd_circuit": ("max_portfolio_dd_nav_pct", _mapping(document.get("circuit_breaker"))),
        "capital_loss": ("loss_threshold", document),
    }.get(cause)
    value = None if found is None else found[1].get(found[0])
    return {} if found is None or value is None else {found[0]: value}


def iso(wall: float) -> str | None:
    try:
        return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    except (ValueError, OverflowError, OSError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
