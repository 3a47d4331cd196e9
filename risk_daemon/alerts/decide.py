"""Which lines of the event log people are told, how loud, and in which sentence.

An event that the table does not know is told all the same, rather too loud than not at all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.errors import InvariantError
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.files import json_text, utc_text

Fields = Mapping[str, Any]
Sentence = Callable[[Fields], str | None]

_INFO, _WARNING, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
_QUIET = frozenset(
    {
        EventName.PORTFOLIO_UPDATE,
        EventName.FLOW_DETECTED,
        EventName.CLOSING_STARTED,
        EventName.CANCEL_ALL_ASKED,  # what came of it is told
        EventName.CLOSE_POSITIONS_ASKED,
        EventName.VENUE_PROVEN,
        EventName.KEY_AUDITED,
        EventName.API_LISTENING,
        EventName.DEAD_MAN_ARMED,
        EventName.DEAD_MAN_DISARMED,
        EventName.ALERT_SENT,
        EventName.ALERT_FAILED,
        EventName.BROADCAST_SENT,
        EventName.OVERRIDE_AGREED,
        EventName.LOG_PRUNED,
        EventName.GATE_SHUT,  # its reason is told
        EventName.GATE_OPENED,
    }
)
_LEFT_OUT = ("settings",)  # pages of them, and nobody else's business


def decide(records: Sequence[RiskEvent], wall: float) -> list[Alert]:
    """The alerts of one turn. records: all that was written down at the moment `wall`, in order.

    What a trip is opened with says the same as the trip. A line read back from the log has the id it had before.
    """
    if is_quiet(records):
        return []
    trips = {_breaker(record) for record in records if record.name is EventName.CIRCUIT_BREAKER_TRIGGERED}
    return [
        alert
        for alert_id, record in _named(records, wall)
        if not (trips and _opens(record, trips))
        if (alert := _worded(record, alert_id, wall)) is not None
    ]


def is_quiet(records: Sequence[RiskEvent]) -> bool:
    """Whether nobody is told any of it: nearly all turns, thousands a second."""
    return all(record.name in _QUIET for record in records)


def _named(records: Sequence[RiskEvent], wall: float) -> Iterator[tuple[str, RiskEvent]]:
    """Each with its id: its name and moment, and which of several it is."""
    stamp = utc_text(wall).replace(":", "").replace("-", "")
    seen: Counter[str] = Counter()
    for record in records:
        seen[record.name] += 1
        yield f"{record.name}-{stamp}{f'-{seen[record.name]}' if seen[record.name] > 1 else ''}", record


def _breaker(record: RiskEvent) -> str | None:
    breaker = record.fields.get("breaker")
    return breaker if isinstance(breaker, str) else None


def _opens(record: RiskEvent, trips: set[str | None]) -> bool:
    is_rule = record.name is EventName.BREAKER_TRIPPED and _breaker(record) in trips
    return is_rule or (record.name is EventName.MANUAL_HALT and not _scope(record.fields))


def _worded(record: RiskEvent, alert_id: str, wall: float) -> Alert | None:
    """What one record can't say takes no other with it: a rule of a user's own may have observed anything."""
    try:
        return _alert(record, alert_id, wall)
    except Exception:
        return _plainly(record, alert_id, wall)


def _plainly(record: RiskEvent, alert_id: str, wall: float) -> Alert | None:
    """By the fields that are plain text and numbers, or by its name alone."""
    fields = {key: value for key, value in record.fields.items() if type(value) in (str, int, bool)}
    try:
        return _alert(RiskEvent(record.name, fields), alert_id, wall)
    except Exception:
        summary = f"{record.name}: it can't be put into words, see the event log."
        return Alert(alert_id=alert_id, event=str(record.name), severity=_CRITICAL, summary=summary, wall=wall)


def _alert(record: RiskEvent, alert_id: str, wall: float) -> Alert | None:
    if record.name in _QUIET:
        return None
    fields = _plain({key: value for key, value in record.fields.items() if key not in _LEFT_OUT})
    severity, sentence = _TABLE.get(record.name, (_WARNING, _unknown))
    summary = sentence(fields)
    if summary is None:
        return None
    trip_id = fields.get("trip_id")
    return Alert(
        alert_id=_once(record.name, fields) or alert_id,
        event=str(record.name),
        severity=_severity(record.name, fields, severity),
        rule=str(fields.get("breaker_type") or fields.get("breaker") or ""),
        trip_id=None if trip_id is None else str(trip_id),
        summary=summary if summary != _UNKNOWN else f"{record.name}: look at the details",
        details=fields,
        wall=wall,
    )


def _once(name: EventName, fields: Fields) -> str | None:
    """An id for what is told once a trip, whoever tells it: the trip, that somebody heard of it, and its proof.

    A freeze repeats its proof twice a minute; guard, command and watch may all tell of an acknowledgement.
    """
    trip_id = fields.get("trip_id")
    if trip_id and name is EventName.CIRCUIT_BREAKER_TRIGGERED:
        return str(trip_id)
    if trip_id and name is EventName.ALERT_ACKNOWLEDGED:
        return f"{trip_id}.acknowledged"
    if trip_id and name is EventName.SWEEP_FINISHED and fields.get("proven") is True:
        return f"{trip_id}.proven"
    return None


def _plain(fields: Fields) -> dict[str, Any]:
    """As JSON says it: what a rule of a user's own observed may be anything."""
    try:
        return dict(json.loads(json_text(fields)))
    except InvariantError:
        return {key: value if isinstance(value, str | int | None) else str(value) for key, value in fields.items()}


def _severity(name: EventName, fields: Fields, usual: Severity) -> Severity:
    if name is EventName.CONFIGURATION_LOADED and (fields.get("changed") or fields.get("looser")):
        return _WARNING
    return _CRITICAL if _is_worse(name, fields) else usual


def _is_worse(name: EventName, fields: Fields) -> bool:
    """Ends that mean another thing when they are bad."""
    match name:
        case EventName.CLOSING_FINISHED:
            return fields.get("flat") is not True
        case EventName.SYSTEM_SHUTDOWN:
            return fields.get("exit_code") not in (0, 1)
        case EventName.OVERRIDE_REFUSED:
            return fields.get("locked_until") is not None
        case EventName.BROADCAST_FAILED:
            return bool(fields.get("owed"))
    return False


# --- sentences -----------------------------------------------------------------------------------------

_UNKNOWN = "?"


def _unknown(_fields: Fields) -> str:
    return _UNKNOWN


def _says(template: str) -> Sentence:
    """The sentence with the event's fields in it; what is missing is a question mark."""
    return lambda fields: template.format_map(_Fields(fields))


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def _percent(value: object) -> str:
    return f"{value * 100:.2f} %" if isinstance(value, int | float) else "?"


def _scope(fields: Fields) -> str:
    """What a halt is about; "" for everything."""
    return " and ".join(f"{kind} {fields[kind]}" for kind in ("venue", "bot") if fields.get(kind))


def _triggered(fields: Fields) -> str:
    word = "FROZEN" if fields.get("action") == "freeze" else "TRIPPED"
    what = f"{word} by {fields.get('breaker', '?')}: {fields.get('reason', '?')}"
    return f"{what}. New orders are refused, and every open one is being cancelled."


def _warned(fields: Fields) -> str:
    at = fields.get("loss_ratio")
    now = "" if at is None else f" (now {_percent(at)})"
    return (
        f"{fields.get('breaker', '?')} is past its warning level of {_percent(fields.get('warning_threshold'))}{now}."
    )


def _halted(fields: Fields) -> str:
    what = _scope(fields) or "everything"
    return f"Halted by {fields.get('operator', '?')}: {what}: {fields.get('reason', '?')}."


def _vetoed(fields: Fields) -> str:
    count = fields.get("count")
    return f"{count} order{'s were' if count != 1 else ' was'} vetoed: {fields.get('last_reason') or '?'}."


def _swept(fields: Fields) -> str:
    cancelled = fields.get("cancelled", "?")
    if fields.get("proven") is True:
        return f"Every order is proven gone, {cancelled} were cancelled (trip {fields.get('trip_id')})."
    return f"NOT PROVEN: orders may be open, {cancelled} were cancelled (trip {fields.get('trip_id')})."


def _resumed(fields: Fields) -> str | None:
    """A trip that another process began: only then a sweep's start is news."""
    if fields.get("resumed") is not True:
        return None
    return f"The guard was restarted in the middle of trip {fields.get('trip_id')} and goes on cancelling."


def _closed(fields: Fields) -> str:
    told = "every position is closed" if fields.get("flat") is True else "NOT EVERY POSITION IS CLOSED"
    return f"Closing positions ended: {told}. {fields.get('reason') or ''}".rstrip()


def _ended(fields: Fields) -> str:
    return f"The guard ended with exit code {fields.get('exit_code')}: {fields.get('reason')}. Nothing is guarded now."


def _configured(fields: Fields) -> str:
    changed, looser = fields.get("changed"), fields.get("looser")
    what = [f"LIMITS ARE LOOSER NOW: {_listed(looser)}"] if looser else []
    what += [f"the configuration changed: {_listed(changed)}"] if changed else []
    return f"{fields.get('file', '?')}: {'; '.join(what) or 'the guard was started'}."


def _reloaded(fields: Fields) -> str:
    rows = [f"{row['key']} {row['old']} -> {row['new']}" for row in fields.get("changes") or ()]
    looser, acts = fields.get("looser"), fields.get("acts_at_once")
    what = [f"LIMITS ARE LOOSER NOW: {_listed(looser)}"] if looser else []
    what += [f"changed while the guard runs, by {fields.get('by', '?')}: {_listed(rows)}"]
    what += [f"PASSED ALREADY: {_listed([row['breaker'] for row in acts])}"] if acts else []
    return f"{fields.get('file', '?')}: {'; '.join(what)}."


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _not_broadcast(fields: Fields) -> str:
    owed = fields.get("owed")
    what = f"NOT BROADCAST yet: {_listed(owed)}" if owed else "A trip would not be broadcast now"
    return f"{what}: {fields.get('reason', '?')}. It is tried again and again."


def _overridden(word: str) -> Sentence:
    def say(fields: Fields) -> str:
        who = fields.get("who") or fields.get("operator") or fields.get("warden") or "somebody"
        why = fields.get("why") or fields.get("reason") or "?"
        until = fields.get("locked_until")
        locked = f" Nobody can override anything until {until}." if until else ""
        return f"An override was {word}: {fields.get('purpose', 'override')} by {who}: {why}.{locked}"

    return say


# What becomes of a trip is as loud as the trip: whoever hears only what is critical was called by it, and must not be
# left with "being cancelled" or "NOT PROVEN" as the last word, nor miss that somebody has taken it on.
_TABLE: Mapping[EventName, tuple[Severity, Sentence]] = {
    EventName.CIRCUIT_BREAKER_TRIGGERED: (_CRITICAL, _triggered),
    EventName.WARNING_TRIGGERED: (_WARNING, _warned),
    EventName.WARNING_CLEARED: (_INFO, _says("{breaker} is below its warning levels again.")),
    EventName.CIRCUIT_BREAKER_RESET: (_CRITICAL, _says("Trip {trip_id} was reset by {operator}: {reason}.")),
    EventName.CIRCUIT_BREAKER_DISABLED: (
        _WARNING,
        _says("The circuit breaker was DISABLED by {operator} for {for_s} s: {reason}."),
    ),
    EventName.CIRCUIT_BREAKER_ENABLED: (_INFO, _says("The circuit breaker acts again: {operator}.")),
    EventName.WOULD_HAVE_TRIGGERED: (_CRITICAL, _says("{breaker} is breached, and the circuit breaker is DISABLED.")),
    EventName.FREEZE_EXPIRED: (_CRITICAL, _says("The freeze {trip_id} is over; {breaker} allows new orders again.")),
    EventName.SYSTEM_SHUTDOWN: (_WARNING, _ended),
    EventName.VENUE_CONNECTED: (_INFO, _says("{venue} is connected.")),
    EventName.VENUE_LOST: (_WARNING, _says("{venue} is lost: {reason}.")),
    EventName.STREAM_CONTRADICTED: (
        _WARNING,
        _says("{venue}: its stream says other {kind} than its listing, and is set aside."),
    ),
    EventName.BLIND_STARTED: (_WARNING, _says("The guard is blind: what the accounts are worth is not known.")),
    EventName.BLIND_ENDED: (_INFO, _says("The guard sees again.")),
    EventName.UNLISTABLE_STARTED: (_WARNING, _says("{venue}: its open orders can't be listed: {reason}.")),
    EventName.UNLISTABLE_ENDED: (_INFO, _says("{venue}: its open orders can be listed again.")),
    EventName.STORE_UNWRITABLE: (_CRITICAL, _says("The state can't be written, new orders are refused: {error}.")),
    EventName.STORE_WRITABLE: (_INFO, _says("The state can be written again.")),
    EventName.LOCK_UNWRITABLE: (
        _WARNING,
        _says("The lock {lock} can't be written, bots that ask there are refused: {error}."),
    ),
    EventName.LOCK_WRITABLE: (_INFO, _says("The lock {lock} can be written again.")),
    EventName.OPENING_ALLOWED: (_INFO, _says("This guard may open its gate, says {by}.")),
    EventName.PEERS_UNTOLD: (
        _CRITICAL,
        _says("The other guards could not be told of trip {trip_id} yet: they may still open, and nothing is proven."),
    ),
    EventName.OPENING_REFUSED: (_INFO, _says("This guard may not open its gate, says {by}: {reason}.")),
    EventName.FUND_UNTOLD: (
        _CRITICAL,
        _says("The fund's ledger could not be told of trip {trip_id} yet: the other members may go on trading."),
    ),
    EventName.FUND_TOLD: (_INFO, _says("The fund's ledger has trip {trip_id}: every member hears of it.")),
    EventName.FUND_NOTICE: (_WARNING, _says("Fund {fund}: {message}.")),
    EventName.FUND_BUDGET_CHANGED: (_INFO, _says("Fund {fund}: the budget here is {budget} now, it was {before}.")),
    EventName.FUND_LEDGER_LOST: (
        _WARNING,
        _says("Fund {fund}: its ledger can't be used, so no headroom moves; the budgets hold without it: {error}."),
    ),
    EventName.FUND_LEDGER_FOUND: (_INFO, _says("Fund {fund}: its ledger answers again.")),
    EventName.FUND_MEMBER_SILENT: (
        _WARNING,
        _says("Fund {fund}: {member} is not heard, so what all have lost is not known; the budgets hold without it."),
    ),
    EventName.FUND_MEMBER_HEARD: (_INFO, _says("Fund {fund}: {member} is heard again.")),
    EventName.SNAPSHOTS_UNWRITABLE: (_WARNING, _says("The day's snapshots can't be written: {error}.")),
    EventName.SNAPSHOTS_WRITABLE: (_INFO, _says("The day's snapshots can be written again.")),
    EventName.BREACH_CONFIRMING: (_INFO, _says("{breaker} looks breached: the gate is shut while it is read again.")),
    EventName.PHANTOM_BREACH: (_INFO, _says("{breaker} was not breached: a reading was wrong.")),
    EventName.FLOW_UNMATCHED: (_WARNING, _says("A row of the ledger at {venue} was never seen in the holdings.")),
    EventName.ASSET_UNPRICED: (_WARNING, _says("{asset} has no price, and counts as nothing.")),
    EventName.BREAKER_TRIPPED: (_WARNING, _says("{breaker} refuses new orders: {reason}.")),
    EventName.BREAKER_RESET: (_INFO, _says("{breaker} allows new orders again.")),
    EventName.MANUAL_HALT: (_CRITICAL, _halted),
    EventName.ORDER_VETOED: (_WARNING, _vetoed),
    EventName.SWEEP_STARTED: (_CRITICAL, _resumed),
    EventName.SWEEP_FINISHED: (_CRITICAL, _swept),
    EventName.VENUE_UNPROVEN: (_CRITICAL, _says("{venue} is NOT PROVEN, orders may be open: {reason}.")),
    EventName.ORDER_REPLACED: (
        _CRITICAL,
        _says("Somebody placed an order during the trip: {side} {symbol} at {venue} ({order_id})."),
    ),
    EventName.CLOSING_FINISHED: (_WARNING, _closed),
    EventName.POSITION_CLOSED: (_INFO, _says("{venue}: closed {quantity} of {symbol}, {residual} remain.")),
    EventName.CANCEL_ALL_FINISHED: (_WARNING, _says("Open orders were cancelled by hand, by {operator}.")),
    EventName.CLOSE_POSITIONS_FINISHED: (_WARNING, _says("Positions were closed by hand, by {operator}.")),
    EventName.KEY_MAY_WITHDRAW: (_WARNING, _says("{venue}: the key may WITHDRAW. Replace it by one that may not.")),
    EventName.ALERT_ACKNOWLEDGED: (_CRITICAL, _says("Trip {trip_id} was acknowledged by {operator}.")),
    EventName.BROADCAST_FAILED: (_WARNING, _not_broadcast),
    EventName.OVERRIDE_ASKED: (_WARNING, _says("Wardens are asked for {purpose} by {who}: {why}.")),
    EventName.OVERRIDE_GRANTED: (_WARNING, _overridden("GRANTED")),
    EventName.OVERRIDE_REFUSED: (_WARNING, _overridden("refused")),
    EventName.BREAK_GLASS_BEGUN: (
        _CRITICAL,
        _says("The glass is being broken by {who}: every warden is forgotten from {due} on, unless somebody stops it."),
    ),
    EventName.BREAK_GLASS_ENDED: (_CRITICAL, _says("Breaking the glass has ended, by {who}: {outcome}.")),
    EventName.CONFIGURATION_LOADED: (_INFO, _configured),
    EventName.CONFIGURATION_RELOADED: (_WARNING, _reloaded),
    EventName.RELOAD_REFUSED: (_WARNING, _says("The configuration was NOT taken (asked by {by}): {reason}")),
    EventName.DEAD_MAN_REFUSED: (_WARNING, _says("{venue}: its dead man's switch can't be armed: {reason}.")),
    EventName.STORE_BEHIND: (_CRITICAL, _says("The server lost some of the state: {message}.")),
    EventName.STORE_TAKEN_OVER: (_CRITICAL, _says("The server had a later state: {message}.")),
    EventName.LOG_CUT: (_CRITICAL, _says("The event log was cut: {message}")),
    EventName.TOKEN_CREATED: (_WARNING, _says("A token of the role {role} was made for {name}, by {operator}.")),
    EventName.TOKEN_REVOKED: (_WARNING, _says("The token of {name} ({role}) was revoked, by {operator}.")),
    EventName.LOGINS_FAILED: (_WARNING, _says("Logins were refused, {count} in {over_s} s: look at `from` for where.")),
}
