"""Every metric: its name, what it is, and how it is read from one `Reading`. docs/metrics.md is this table.

A new one is a row here. What a row's reader gives as None is not known and has no sample: never 0, so that whoever
watches can ask for what is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from risk_daemon.breakers.base import BreakerState
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.metrics.reading import ChannelReading, Reading
from risk_daemon.model.headroom import Headroom, headrooms
from risk_daemon.model.others_status import FundStatus, GuardsStatus, PeerStatus
from risk_daemon.model.status import LockStoreStatus, PositionStatus, ProfitStatus, Status, SweptStatus, VenueStatus

PREFIX = "risk_daemon_"

Rows = Iterable[tuple[Sequence[str], Any]]


class Kind(StrEnum):
    """How Prometheus is told to take it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. name: without prefix and without what its kind adds (`_total`, `_info`). help: one sentence."""

    name: str
    help: str
    read: Callable[[Reading], Rows]
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE

    @property
    def exported(self) -> str:
        """The name as it is asked for."""
        return PREFIX + self.name + {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")


# --- ways to read --------------------------------------------------------------------------------------


def _one(value: Callable[[Reading], Any]) -> Callable[[Reading], Rows]:
    return lambda reading: [((), value(reading))]


def _of_status(value: Callable[[Status], Any]) -> Callable[[Reading], Rows]:
    return lambda reading: [((), value(reading.status))]


def _of_venues(value: Callable[[VenueStatus], Any]) -> Callable[[Reading], Rows]:
    return lambda reading: [((name,), value(venue)) for name, venue in reading.status.venues.items()]


def _of_guards(value: Callable[[GuardsStatus], Any]) -> Callable[[Reading], Rows]:
    return lambda reading: [] if reading.status.guards is None else [((), value(reading.status.guards))]


def _of_peers(value: Callable[[PeerStatus], Any]) -> Callable[[Reading], Rows]:
    def rows(reading: Reading) -> Rows:
        guards = reading.status.guards
        return [] if guards is None else [((peer.name,), value(peer)) for peer in guards.peers]

    return rows


def _holds_epoch(guards: GuardsStatus) -> bool | None:
    return None if guards.reason is not None else guards.opens == guards.name


def _holds_shut(peer: PeerStatus) -> bool | None:
    return peer.cause is not None if peer.heard else None


def _of_positions(value: Callable[[PositionStatus], Any]) -> Callable[[Reading], Rows]:
    return lambda reading: [((one.venue, one.symbol), value(one)) for one in reading.status.positions]


def _profit_parts(profit: ProfitStatus) -> list[tuple[tuple[str], Any]]:
    return [((part,), getattr(profit, part)) for part in ("total", "realized", "unrealized", "open")]


def _of_channels(value: Callable[[ChannelReading], Any]) -> Callable[[Reading], Rows]:
    return lambda reading: [((name,), value(channel)) for name, channel in reading.channels.items()]


def _of_swept(value: Callable[[SweptStatus], Any]) -> Callable[[Reading], Rows]:
    def read(reading: Reading) -> Rows:
        sweep = reading.status.last_sweep
        return [] if sweep is None else [((name,), value(venue)) for name, venue in sweep.venues.items()]

    return read


def _of_rules(value: Callable[[Headroom], Any], *, with_unit: bool = False) -> Callable[[Reading], Rows]:
    def read(reading: Reading) -> Rows:
        for one in headrooms(reading.status):
            yield (one.rule, one.action, *((one.unit.value,) if with_unit else ())), value(one)

    return read


def _of_fund(values: Callable[[FundStatus], list[tuple[str | None, Any]]]) -> Callable[[Reading], Rows]:
    def read(reading: Reading) -> Rows:
        fund = reading.status.fund
        for part, value in [] if fund is None else values(fund):
            yield (() if part is None else (part,)), value

    return read


def _failing_s(lock: LockStoreStatus) -> float | None:
    return lock.failing_s if lock.failing_s is not None else _zero_if(lock.written_s)


def _states(name: str, known: Iterable[str]) -> list[tuple[str, bool]]:
    """1 for the one it is in, 0 for the others; nothing where it is in none that is known."""
    states = list(known)
    return [(state, state == name) for state in states] if name in states else []


def _state(reading: Reading) -> Rows:
    return [((state,), is_it) for state, is_it in _states(reading.status.state, list(CircuitBreakerState))]


def _breaker_states(reading: Reading) -> Rows:
    for breaker, name in reading.status.breakers.items():
        yield from (((breaker, state), is_it) for state, is_it in _states(name, list(BreakerState)))


def _ages(reading: Reading) -> Rows:
    for name, venue in reading.status.venues.items():
        ages = venue.age_s
        yield (name, "balances"), ages.balances
        yield (name, "positions"), ages.positions
        yield (name, "prices"), ages.prices
        yield (name, "orders"), venue.orders.listed_s


def _phases(reading: Reading) -> Rows:
    sweep = reading.status.last_sweep
    for name, venue in () if sweep is None else sweep.venues.items():
        yield (name, "first_cancel"), venue.first_cancel_s
        yield (name, "proven"), venue.proven_s if venue.proven is True else None


def _unproven(status: Status) -> int | None:
    """How many venues of the last sweep are not proven empty; None: nothing was swept."""
    return (
        None if status.last_sweep is None else sum(one.proven is not True for one in status.last_sweep.venues.values())
    )


def _switch_left_s(reading: Reading) -> Rows:
    for name, venue in reading.status.venues.items():
        if venue.dead_man is not None:
            until = _unix(venue.dead_man.armed_until)
            yield (name,), 0.0 if until is None else max(0.0, until - reading.wall)


def _unix(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def _trip_proven(status: Status) -> bool | None:
    return status.lock.proven if status.lock.trip_id else None


def _budgets(value: Callable[[Any], float]) -> Callable[[Reading], Rows]:
    return lambda reading: [
        ((venue, pool.name), value(pool)) for venue, pools in reading.budgets.items() for pool in pools
    ]


# --- the table -----------------------------------------------------------------------------------------

_MONEY = (
    Family("equity", "All that is held on all venues, in the reference currency.", _of_status(lambda s: s.equity)),
    Family(
        "equity_low",
        "The least that it may be, with all that is unknown against you.",
        _of_status(lambda s: s.equity_low),
    ),
    Family("equity_high", "The most that it may be.", _of_status(lambda s: s.equity_high)),
    Family("equity_trusted", "1: nothing of it is unknown.", _of_status(lambda s: s.trusted)),
    Family("initial_capital", "What the loss is measured from, net of flows.", _of_status(lambda s: s.initial_capital)),
    Family("loss_ratio", "Loss from the initial capital.", _of_status(lambda s: s.loss_ratio)),
    Family("daily_loss_ratio", "Loss since the start of the day.", _of_status(lambda s: s.daily_loss_ratio)),
    Family("drawdown_ratio", "Loss from the peak.", _of_status(lambda s: s.drawdown_ratio)),
    Family(
        "profit",
        "Of the running day, net of flows: total, realized, unrealized; `open`: of open positions since their entries.",
        lambda reading: _profit_parts(reading.status.profit),
        ("part",),
    ),
    Family(
        "venue_profit",
        "The same of one venue.",
        lambda reading: [
            ((venue, *part), value)
            for venue, profit in reading.status.profit.venues.items()
            for part, value in _profit_parts(profit)
        ],
        ("venue", "part"),
    ),
    Family(
        "position_quantity",
        "Contracts of an open position, below 0 where it is short.",
        _of_positions(lambda p: p.quantity),
        ("venue", "symbol"),
    ),
    Family(
        "position_value",
        "What an open position stands for, by its mark.",
        _of_positions(lambda p: p.value),
        ("venue", "symbol"),
    ),
    Family(
        "position_unrealized",
        "Its profit since its entry.",
        _of_positions(lambda p: p.unrealized),
        ("venue", "symbol"),
    ),
    Family(
        "reference_currency",
        "The currency of every amount.",
        lambda reading: [((reading.status.reference_currency,), 1)],
        ("currency",),
        Kind.INFO,
    ),
)

_RULES = (
    Family("state", "1 for the state of the circuit.", _state, ("state",)),
    Family("breaker_state", "1 for the state of each rule.", _breaker_states, ("breaker", "state")),
    Family(
        "rule_observed",
        "What a rule sees now, in the unit of its limit.",
        _of_rules(lambda one: one.observed, with_unit=True),
        ("breaker", "action", "unit"),
    ),
    Family(
        "rule_limit",
        "The limit of a rule.",
        _of_rules(lambda one: one.limit, with_unit=True),
        ("breaker", "action", "unit"),
    ),
    Family(
        "rule_used_ratio",
        "0: nothing of a limit is used; 1: it is reached.",
        _of_rules(lambda one: one.used),
        ("breaker", "action"),
    ),
    Family(
        "rule_headroom",
        "How much may still be lost until a rule about the whole portfolio acts.",
        _of_rules(lambda one: one.money),
        ("breaker", "action"),
    ),
)

_FUND = (
    Family(
        "fund_money",
        "This guard as a member of a fund: its budget, what of it is lost at least and at most, and its headroom.",
        _of_fund(
            lambda fund: [(part, getattr(fund, part)) for part in ("budget", "least", "most", "headroom")],
        ),
        ("part",),
    ),
    Family("fund_may_trade", "1: the fund lets this guard trade.", _of_fund(lambda fund: [(None, fund.may_trade)])),
    Family(
        "fund_ledger_age_seconds",
        "How old the last reading of the fund's ledger is.",
        _of_fund(lambda fund: [(None, fund.read_s)]),
    ),
    Family(
        "fund_untold",
        "1: the fund has tripped here, and its ledger could not be told yet; nothing without a trip.",
        _of_fund(lambda fund: [(None, None if fund.told is None else not fund.told)]),
    ),
)

_GATE = (
    Family("gate_locked", "1: new orders are refused.", _of_status(lambda s: s.locked)),
    Family(
        "gate_lease_seconds",
        "For how long bots would still read an open gate if the guard stopped now.",
        _one(lambda r: r.lease_left_s),
    ),
    Family(
        "lock_failing_seconds",
        "For how long a lock that bots read can't be written; 0 where it can.",
        lambda reading: [((lock.name,), _failing_s(lock)) for lock in reading.status.locks],
        ("lock",),
    ),
    Family(
        "opening_epoch",
        "The highest number known of the right to open, of several guards.",
        _of_guards(lambda g: g.epoch),
    ),
    Family("opening_held", "1: this guard has the right to open; 0: another, or none.", _of_guards(_holds_epoch)),
    Family(
        "board_age_seconds", "Since the place where several guards meet answered.", _of_guards(lambda g: g.answered_s)
    ),
    Family(
        "peer_here",
        "1: another guard over the same accounts spoke a moment ago.",
        _of_peers(lambda p: p.here),
        ("peer",),
    ),
    Family("peer_holding", "1: another guard keeps all new orders out.", _of_peers(_holds_shut), ("peer",)),
    Family(
        "restraint",
        "1 for each thing that holds against new orders, of one venue or bot where these are named.",
        lambda reading: [((cause, venue, bot), 1) for cause, venue, bot in _restraints(reading.status)],
        ("cause", "venue", "bot"),
    ),
    Family("started", "1: everything was read since the start.", _of_status(lambda s: s.started)),
    Family("confirming", "1: a breach is being read again.", _of_status(lambda s: s.confirming)),
    Family("missing", "How many things the gate waits for.", _of_status(lambda s: len(s.missing))),
    Family(
        "gate_checks",
        "Orders that were asked about, by the answer: allowed, or the reason of the veto.",
        lambda reading: [((answer,), count) for answer, count in reading.counted.answers.items()],
        ("answer",),
        Kind.COUNTER,
    ),
    Family(
        "gate_map_vetoes",
        "Orders that bots did not send because the memory map said no, by the reason.",
        lambda reading: [((reason,), count) for reason, count in reading.counted.told_vetoes.items()],
        ("reason",),
        Kind.COUNTER,
    ),
    Family("last_evaluation_timestamp_seconds", "When the guard last looked.", _one(lambda r: r.evaluated_wall)),
    Family(
        "decision_seconds",
        "From taking an event to having started all that it leads to.",
        lambda reading: [((), reading.counted.turns)],
        kind=Kind.HISTOGRAM,
    ),
    Family("events_waiting", "Events that are not taken in yet.", _one(lambda r: r.waiting)),
)

_VENUES = (
    Family("venue_connected", "1: the venue answers.", _of_venues(lambda v: v.connected), ("venue",)),
    Family("venue_equity", "What is held there.", _of_venues(lambda v: v.equity), ("venue",)),
    Family(
        "venue_daily_loss_ratio",
        "Loss there since the start of the day.",
        _of_venues(lambda v: v.daily_loss_ratio),
        ("venue",),
    ),
    Family("venue_data_age_seconds", "Since it was read or confirmed.", _ages, ("venue", "kind")),
    Family(
        "venue_orders_failing_seconds",
        "For how long the open orders can't be listed; 0 where they can.",
        _of_venues(lambda v: v.orders.failing_s if v.orders.failing_s is not None else _zero_if(v.orders.listed_s)),
        ("venue",),
    ),
    Family("venue_may_cancel", "1: the key may cancel orders.", _of_venues(lambda v: v.orders.may_cancel), ("venue",)),
    Family(
        "dead_man_left_seconds", "Until the venue's own switch fires; 0: it is not armed.", _switch_left_s, ("venue",)
    ),
    Family(
        "call_budget_used",
        "What is used of a venue's own count of our calls.",
        _budgets(lambda pool: pool.used),
        ("venue", "pool"),
    ),
    Family(
        "call_budget_ceiling",
        "Above it the venue refuses calls.",
        _budgets(lambda pool: pool.ceiling),
        ("venue", "pool"),
    ),
)

_ORDERS = (
    Family(
        "open_orders",
        "Open orders by scope as they were listed last; `stream`: those that only a stream told of since.",
        lambda reading: [
            ((venue, scope), count) for venue, scopes in reading.open_orders.items() for scope, count in scopes.items()
        ],
        ("venue", "scope"),
    ),
    Family(
        "orders_reported",
        "Orders that bots told of.",
        lambda reading: list(reading.counted.orders.items()),
        ("venue", "bot"),
        Kind.COUNTER,
    ),
    Family(
        "errors",
        "Errors and rejections that were reported.",
        lambda reading: list(reading.counted.errors.items()),
        ("kind", "venue", "bot"),
        Kind.COUNTER,
    ),
)

_TRIPS = (
    Family("trip", "1: there is a trip that is not over.", _of_status(lambda s: s.lock.trip_id is not None)),
    Family("trip_proven", "1: every order that it had to cancel is proven gone; 0: not yet.", _of_status(_trip_proven)),
    Family("unproven_venues", "Venues of the last sweep that are not proven empty.", _of_status(_unproven)),
    Family(
        "venue_proven",
        "1: the last sweep proved that no order is open there.",
        _of_swept(lambda v: v.proven is True),
        ("venue",),
    ),
    Family(
        "sweep_cancelled_orders", "Orders that the last sweep cancelled.", _of_swept(lambda v: v.cancelled), ("venue",)
    ),
    Family(
        "sweep_replaced_orders",
        "Orders that appeared while it cancelled.",
        _of_swept(lambda v: len(v.replaced)),
        ("venue",),
    ),
    Family(
        "trip_phase_seconds",
        "From the start of the last sweep to the first cancel, and to the proof.",
        _phases,
        ("venue", "phase"),
    ),
    Family("sweep_duration_seconds", "How long the last sweep took that ended.", _one(lambda r: r.counted.sweep_s)),
)

_PEOPLE = (
    Family("alerts_sent", "Alerts that a channel took.", _of_channels(lambda c: c.sent), ("channel",), Kind.COUNTER),
    Family("alert_failures", "Tries that failed.", _of_channels(lambda c: c.failed), ("channel",), Kind.COUNTER),
    Family("alert_failing", "Tries that failed in a row until now.", _of_channels(lambda c: c.failing), ("channel",)),
    Family("alerts_owed", "Alerts that are not delivered yet.", _of_channels(lambda c: c.owed), ("channel",)),
    Family("alerts_missed", "Alerts that were given up.", _of_channels(lambda c: c.missed), ("channel",)),
    Family(
        "turned_away",
        "Connections and logins that were refused, by why.",
        lambda reading: [((why,), count) for why, count in reading.turned_away.items()],
        ("why",),
        Kind.COUNTER,
    ),
)

_DAEMON = (
    Family(
        "events",
        "Events that went to the log, by name.",
        lambda reading: [((name,), count) for name, count in reading.counted.events.items()],
        ("event",),
        Kind.COUNTER,
    ),
    Family("event_log_seq", "The last line of the event log that is on disk for certain.", _one(lambda r: r.log_seq)),
    Family("build", "The version that runs.", lambda reading: [((reading.version,), 1)], ("version",), Kind.INFO),
)


def _restraints(status: Status) -> list[tuple[str, str, str]]:
    """Each once, whatever reasons it has."""
    return sorted({(one.cause, one.venue or "", one.bot or "") for one in status.restraints})


def _zero_if(known: Any) -> float | None:
    return None if known is None else 0.0


FAMILIES: tuple[Family, ...] = (*_MONEY, *_RULES, *_FUND, *_GATE, *_VENUES, *_ORDERS, *_TRIPS, *_PEOPLE, *_DAEMON)
