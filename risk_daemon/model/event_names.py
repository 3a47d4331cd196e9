"""What the engine writes down: the names in the event log, and how loud each is for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class EventName(StrEnum):
    """The names in the event log."""

    PORTFOLIO_UPDATE = "portfolio_update"
    WARNING_TRIGGERED = "warning_triggered"
    WARNING_CLEARED = "warning_cleared"
    CIRCUIT_BREAKER_TRIGGERED = "circuit_breaker_triggered"
    CIRCUIT_BREAKER_RESET = "circuit_breaker_reset"
    CIRCUIT_BREAKER_DISABLED = "circuit_breaker_disabled"
    CIRCUIT_BREAKER_ENABLED = "circuit_breaker_enabled"
    WOULD_HAVE_TRIGGERED = "would_have_triggered"
    FREEZE_EXPIRED = "freeze_expired"
    SYSTEM_SHUTDOWN = "system_shutdown"
    VENUE_CONNECTED = "venue_connected"
    VENUE_LOST = "venue_lost"
    STREAM_CONTRADICTED = "stream_contradicted"
    BLIND_STARTED = "blind_started"
    BLIND_ENDED = "blind_ended"
    UNLISTABLE_STARTED = "unlistable_started"
    UNLISTABLE_ENDED = "unlistable_ended"
    STORE_UNWRITABLE = "store_unwritable"
    STORE_WRITABLE = "store_writable"
    OPENING_ALLOWED = "opening_allowed"
    OPENING_REFUSED = "opening_refused"
    PEERS_UNTOLD = "peers_untold"
    FUND_UNTOLD = "fund_untold"
    FUND_TOLD = "fund_told"
    FUND_NOTICE = "fund_notice"
    FUND_BUDGET_CHANGED = "fund_budget_changed"
    FUND_LEDGER_LOST = "fund_ledger_lost"
    FUND_LEDGER_FOUND = "fund_ledger_found"
    FUND_MEMBER_SILENT = "fund_member_silent"
    FUND_MEMBER_HEARD = "fund_member_heard"
    LOCK_UNWRITABLE = "lock_unwritable"
    LOCK_WRITABLE = "lock_writable"
    SNAPSHOTS_UNWRITABLE = "snapshots_unwritable"
    SNAPSHOTS_WRITABLE = "snapshots_writable"
    STORE_BEHIND = "store_behind"
    STORE_TAKEN_OVER = "store_taken_over"
    BREACH_CONFIRMING = "breach_confirming"
    PHANTOM_BREACH = "phantom_breach"
    FLOW_DETECTED = "flow_detected"
    FLOW_UNMATCHED = "flow_unmatched"
    ASSET_UNPRICED = "asset_unpriced"
    BREAKER_TRIPPED = "breaker_tripped"
    BREAKER_RESET = "breaker_reset"
    MANUAL_HALT = "manual_halt"
    ORDER_VETOED = "order_vetoed"
    SWEEP_STARTED = "sweep_started"
    SWEEP_FINISHED = "sweep_finished"
    VENUE_PROVEN = "venue_proven"
    VENUE_UNPROVEN = "venue_unproven"
    VENUE_SWEPT = "venue_swept"
    ORDER_REPLACED = "order_replaced"
    CLOSING_STARTED = "closing_started"
    CLOSING_FINISHED = "closing_finished"
    POSITION_CLOSED = "position_closed"
    CANCEL_ALL_ASKED = "cancel_all_asked"
    CANCEL_ALL_FINISHED = "cancel_all_finished"
    CLOSE_POSITIONS_ASKED = "close_positions_asked"
    CLOSE_POSITIONS_FINISHED = "close_positions_finished"
    KEY_AUDITED = "key_audited"
    KEY_MAY_WITHDRAW = "key_may_withdraw"
    ALERT_SENT = "alert_sent"
    ALERT_FAILED = "alert_failed"
    ALERT_ACKNOWLEDGED = "alert_acknowledged"
    BROADCAST_SENT = "broadcast_sent"
    BROADCAST_FAILED = "broadcast_failed"
    OVERRIDE_ASKED = "override_asked"
    OVERRIDE_AGREED = "override_agreed"
    OVERRIDE_GRANTED = "override_granted"
    OVERRIDE_REFUSED = "override_refused"
    BREAK_GLASS_BEGUN = "break_glass_begun"
    BREAK_GLASS_ENDED = "break_glass_ended"
    CONFIGURATION_LOADED = "configuration_loaded"
    CONFIGURATION_RELOADED = "configuration_reloaded"
    RELOAD_REFUSED = "reload_refused"
    API_LISTENING = "api_listening"
    DEAD_MAN_ARMED = "dead_man_armed"
    DEAD_MAN_DISARMED = "dead_man_disarmed"
    DEAD_MAN_REFUSED = "dead_man_refused"
    LOG_CUT = "log_cut"
    LOG_PRUNED = "log_pruned"
    GATE_SHUT = "gate_shut"
    GATE_OPENED = "gate_opened"
    TOKEN_CREATED = "token_created"
    TOKEN_REVOKED = "token_revoked"
    LOGINS_FAILED = "logins_failed"
    FUND_MEMBERSHIP = "fund_membership"


class Level(StrEnum):
    """How much a line asks of whoever reads it; the names are the logger's own.

    critical: everything stops. error: new orders are refused, or orders may be open. warning: look at it.
    """

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


LEVELS: Mapping[EventName, Level] = MappingProxyType(
    {
        EventName.PORTFOLIO_UPDATE: Level.INFO,
        EventName.WARNING_TRIGGERED: Level.WARNING,
        EventName.WARNING_CLEARED: Level.INFO,
        EventName.CIRCUIT_BREAKER_TRIGGERED: Level.CRITICAL,
        EventName.CIRCUIT_BREAKER_RESET: Level.WARNING,
        EventName.CIRCUIT_BREAKER_DISABLED: Level.WARNING,
        EventName.CIRCUIT_BREAKER_ENABLED: Level.INFO,
        EventName.WOULD_HAVE_TRIGGERED: Level.CRITICAL,
        EventName.FREEZE_EXPIRED: Level.WARNING,
        EventName.SYSTEM_SHUTDOWN: Level.WARNING,
        EventName.VENUE_CONNECTED: Level.INFO,
        EventName.VENUE_LOST: Level.WARNING,
        EventName.STREAM_CONTRADICTED: Level.WARNING,
        EventName.BLIND_STARTED: Level.WARNING,
        EventName.BLIND_ENDED: Level.INFO,
        EventName.UNLISTABLE_STARTED: Level.ERROR,
        EventName.UNLISTABLE_ENDED: Level.INFO,
        EventName.STORE_UNWRITABLE: Level.ERROR,
        EventName.STORE_WRITABLE: Level.INFO,
        EventName.OPENING_ALLOWED: Level.INFO,
        EventName.OPENING_REFUSED: Level.WARNING,
        EventName.PEERS_UNTOLD: Level.ERROR,
        EventName.FUND_UNTOLD: Level.ERROR,
        EventName.FUND_TOLD: Level.INFO,
        EventName.FUND_NOTICE: Level.WARNING,
        EventName.FUND_BUDGET_CHANGED: Level.INFO,
        EventName.FUND_LEDGER_LOST: Level.WARNING,
        EventName.FUND_LEDGER_FOUND: Level.INFO,
        EventName.FUND_MEMBER_SILENT: Level.WARNING,
        EventName.FUND_MEMBER_HEARD: Level.INFO,
        EventName.LOCK_UNWRITABLE: Level.ERROR,
        EventName.LOCK_WRITABLE: Level.INFO,
        EventName.SNAPSHOTS_UNWRITABLE: Level.WARNING,
        EventName.SNAPSHOTS_WRITABLE: Level.INFO,
        EventName.STORE_BEHIND: Level.CRITICAL,
        EventName.STORE_TAKEN_OVER: Level.CRITICAL,
        EventName.BREACH_CONFIRMING: Level.WARNING,
        EventName.PHANTOM_BREACH: Level.WARNING,
        EventName.FLOW_DETECTED: Level.INFO,
        EventName.FLOW_UNMATCHED: Level.WARNING,
        EventName.ASSET_UNPRICED: Level.WARNING,
        EventName.BREAKER_TRIPPED: Level.ERROR,
        EventName.BREAKER_RESET: Level.INFO,
        EventName.MANUAL_HALT: Level.ERROR,
        EventName.ORDER_VETOED: Level.WARNING,
        EventName.SWEEP_STARTED: Level.WARNING,
        EventName.SWEEP_FINISHED: Level.WARNING,
        EventName.VENUE_PROVEN: Level.INFO,
        EventName.VENUE_UNPROVEN: Level.ERROR,
        EventName.VENUE_SWEPT: Level.WARNING,
        EventName.ORDER_REPLACED: Level.ERROR,
        EventName.CLOSING_STARTED: Level.WARNING,
        EventName.CLOSING_FINISHED: Level.WARNING,
        EventName.POSITION_CLOSED: Level.WARNING,
        EventName.CANCEL_ALL_ASKED: Level.WARNING,
        EventName.CANCEL_ALL_FINISHED: Level.WARNING,
        EventName.CLOSE_POSITIONS_ASKED: Level.WARNING,
        EventName.CLOSE_POSITIONS_FINISHED: Level.WARNING,
        EventName.KEY_AUDITED: Level.INFO,
        EventName.KEY_MAY_WITHDRAW: Level.ERROR,
        EventName.ALERT_SENT: Level.INFO,
        EventName.ALERT_FAILED: Level.ERROR,
        EventName.ALERT_ACKNOWLEDGED: Level.INFO,
        EventName.BROADCAST_SENT: Level.INFO,
        EventName.BROADCAST_FAILED: Level.ERROR,
        EventName.OVERRIDE_ASKED: Level.WARNING,
        EventName.OVERRIDE_AGREED: Level.INFO,
        EventName.OVERRIDE_GRANTED: Level.WARNING,
        EventName.OVERRIDE_REFUSED: Level.WARNING,
        EventName.BREAK_GLASS_BEGUN: Level.CRITICAL,
        EventName.BREAK_GLASS_ENDED: Level.CRITICAL,
        EventName.CONFIGURATION_LOADED: Level.INFO,
        EventName.CONFIGURATION_RELOADED: Level.WARNING,
        EventName.RELOAD_REFUSED: Level.WARNING,
        EventName.API_LISTENING: Level.INFO,
        EventName.DEAD_MAN_ARMED: Level.INFO,
        EventName.DEAD_MAN_DISARMED: Level.INFO,
        EventName.DEAD_MAN_REFUSED: Level.WARNING,
        EventName.LOG_CUT: Level.CRITICAL,
        EventName.LOG_PRUNED: Level.INFO,
        EventName.GATE_SHUT: Level.WARNING,
        EventName.GATE_OPENED: Level.INFO,
        EventName.TOKEN_CREATED: Level.WARNING,
        EventName.TOKEN_REVOKED: Level.WARNING,
        EventName.FUND_MEMBERSHIP: Level.WARNING,
        EventName.LOGINS_FAILED: Level.WARNING,
    }
)


def level_of(name: EventName) -> Level:
    """How loud an event is; one that is not in the table is rather too loud than not heard."""
    return LEVELS.get(name, Level.ERROR)


@dataclass(frozen=True, slots=True)
class RiskEvent:
    """One line of the event log: a name and JSON-able fields (ratios are numbers, amounts are strings)."""

    name: EventName
    fields: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
