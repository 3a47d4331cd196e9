"""Which keys a running guard takes, and which only a new start does. Every key has an answer here.

Two documents as `effective` writes them are compared. What has no answer needs a restart, and so does a venue that is
new or taken out: it has accounts to be read, orders to be listed, and a place in what losses are measured from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from risk_daemon.config.loosening import shown

# Tables and keys as in the file; * stands for a name of the user's. All that is in a table goes by its answer.
AT_ONCE = frozenset(
    {
        "circuit_breaker.loss_threshold",
        "circuit_breaker.warning_threshold",
        "circuit_breaker.warnings",
        "circuit_breaker.action",
        "circuit_breaker.auto_close_positions",
        "circuit_breaker.protective_orders",
        "circuit_breaker.confirm",
        "circuit_breaker.confirm_within",
        "circuit_breaker.settle",
        "circuit_breaker.cancel_deadline",
        "circuit_breaker.order_flight",
        "circuit_breaker.resweep_every",
        "breakers.blind.warn_after",
        "breakers.blind.veto_after",
        "breakers.blind.trip_after",
        "breakers.*",
        "gate.allow_reduce_only",
        "gate.max_notional",
        "gate.max_quantity",
        "gate.price_collar",
        "gate.duplicate_window",
        "gate.max_orders_per_second_per_bot",
        "baselines.lookback_days",
        "data.balance_stale",
        "data.position_stale",
        "data.price_stale",
        "data.price_skew",
        "venues.*.balance_stale",
        "venues.*.position_stale",
        "venues.*.price_stale",
        "alerts.strategy_name",
        "alerts.rate",
        "alerts.escalate_after",
        "alerts.heartbeat_every",
        "alerts.channels.*",
    }
)
AT_START = frozenset(
    {
        "guard.name",
        "guard.group",
        "guard.peers",
        "portfolio.reference_currency",
        "portfolio.initial_capital",
        "portfolio.ignore_assets",
        "portfolio.dust_below",
        "baselines.reset_at",
        "baselines.timezone",
        "baselines.peak_hold",
        "baselines.flow_wait",
        "data.reconcile_every",
        "data.stale_band",
        "data.settle_legs",
        "data.call_timeout",
        "prices.pegs",
        "venues.*",
        "venues.*.exchange",
        "venues.*.markets",
        "venues.*.simulated",
        "venues.*.endpoint",
        "venues.*.sandbox",
        "venues.*.allow_unproven",
        "venues.*.local_address",
        "venues.*.reconcile_every",
        "venues.*.dead_man",
        "broadcast.kafka",
        "api.listen",
        "api.socket",
        "api.tls_certificate",
        "api.tls_key",
        "warden.quorum",
        "warden.break_glass_after",
        "warden.host",
        "state.dir",
        "state.store",
        "state.locks",
        "state.keep_logs",
        "state.keep_snapshots",
        "fund.name",
        "fund.limit",
        "fund.member",
        "fund.budget",
        "fund.ledger",
    }
)
_NAMED = (("venues",), ("breakers",), ("alerts", "channels"))
_WHOLE = (("prices", "pegs"),)


@dataclass(frozen=True, slots=True)
class Change:
    """A key with its old value and its new one, as in the file; None: it is not there."""

    path: tuple[str, ...]
    old: Any
    new: Any

    @property
    def key(self) -> str:
        return ".".join(self.path)

    @property
    def needs_restart(self) -> bool:
        return not is_taken_at_once(self.path)

    def document(self) -> dict[str, Any]:
        """As people are told of it."""
        is_table = isinstance(self.old, Mapping) or isinstance(self.new, Mapping)
        old, new = ("(none)" if is_table and value is None else shown(value) for value in (self.old, self.new))
        return {"key": self.key, "old": old, "new": new}


def is_taken_at_once(path: tuple[str, ...]) -> bool:
    """Whether a running guard takes it. The longest part of the path that has an answer says so."""
    for length in range(len(path), 0, -1):
        name = _name(path[:length])
        if name in AT_ONCE or name in AT_START:
            return name in AT_ONCE
    return False


def _name(path: tuple[str, ...]) -> str:
    """With * for a name of the user's."""
    table = next((table for table in _NAMED if path[: len(table)] == table and len(path) > len(table)), None)
    if table is None or path[:2] == ("breakers", "blind"):
        return ".".join(path)
    return ".".join((*table, "*", *path[len(table) + 1 :]))


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every key that has another value, in the order of the file; a named table that is new or gone is one row."""
    return tuple(_changes((), old, new))


def _changes(path: tuple[str, ...], old: Any, new: Any) -> Iterator[Change]:
    are_tables = isinstance(old, Mapping) and isinstance(new, Mapping)
    if old == new:
        return
    if not are_tables or path in _WHOLE:
        yield Change(path, old, new)
        return
    for key in dict.fromkeys((*old, *new)):
        yield from _changes((*path, key), old.get(key), new.get(key))
