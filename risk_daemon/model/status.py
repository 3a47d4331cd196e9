"""How things stand, in one record: `risk.json` and `GET /api/v1/state` are its documents, `status` shows it.

Ratios are numbers, amounts are decimal strings, moments are ISO 8601 in UTC. What is not known is null, never absent
and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints

from risk_daemon.model.others_status import FundStatus, GuardsStatus

# After so long it goes well no more, whatever is told of it.
_PROVING_TAKES_S = 15.0


def _moment(text: str | None) -> datetime | None:
    """ISO 8601 with its zone; None for what is none."""
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found is None or found.tzinfo is None else found


@dataclass(frozen=True, slots=True, kw_only=True)
class LockStatus:
    """What shuts the gate, and on what that rests. until: when a freeze may end.

    proven: of the trip's cancels; proven_at: since when, of all venues together; null while they are not, or where
    nobody wrote down when.
    """

    cause: str | None
    reason: str | None
    observed: Mapping[str, Any]
    limits: Mapping[str, Any]
    trip_id: str | None
    since: str | None
    until: str | None
    proven: bool | None
    proven_at: str | None = None

    @property
    def proven_after_s(self) -> float | None:
        """How long after the trip began everything was proven gone; None where either is not known, or can't be."""
        began, proven = _moment(self.since), _moment(self.proven_at)
        after_s = None if began is None or proven is None else (proven - began).total_seconds()
        return None if after_s is None or after_s < 0 else after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitStatus:
    """The circuit as programs know it. active: the drawdown is at its limit or above, null limit: no rule for it."""

    state: str
    locked: bool | None
    active: bool | None
    max_portfolio_dd_nav_pct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltStatus:
    """A halt of one venue, one bot, or everything where neither is named. since_wall: Unix seconds."""

    venue: str | None
    bot: str | None
    reason: str
    operator: str
    since_wall: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestraintStatus:
    """Something that holds against new orders: of one bot or venue where these are named, else of all."""

    cause: str
    reason: str
    venue: str | None
    bot: str | None

    @property
    def is_scoped(self) -> bool:
        """Whether it concerns some orders only."""
        return bool(self.venue or self.bot)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgesStatus:
    """Seconds since each was read or confirmed; null: not in this run."""

    balances: float | None
    positions: float | None
    prices: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersStatus:
    """`listed_s` ago the open orders were listed whole, for `failing_s` that fails and the `reason`.

    may_cancel: whether the key may cancel; null: nobody can ask there. open: how many are known to be open; null:
    they were not listed in this run, or not by the sweep of a trip that is being proven.
    """

    listed_s: float | None
    failing_s: float | None
    reason: str | None
    may_cancel: bool | None
    open: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManStatus:
    """The venue's own switch. armed_until: it fires then unless it is refreshed; null: it is not armed.

    markets: those that it is armed for; empty: the account. refreshed_s ago it was, and `reason` is why the last
    try failed.
    """

    timeout_s: float | None
    armed_until: str | None
    markets: tuple[str, ...]
    refreshed_s: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueStatus:
    """One venue. proven: by the sweep that began last, that no order is open; null: it was not swept.

    dead_man: null where no switch is configured.
    """

    connected: bool | None
    equity: str | None
    daily_loss_ratio: float | None
    age_s: AgesStatus
    proven: bool | None
    orders: OrdersStatus
    dead_man: DeadManStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptStatus:
    """One venue of a sweep. Seconds since it began.

    replaced: ids of orders that appeared after the first look. kept: of protective orders that were left alone.
    failing: whether that it is not proven is more than work in progress.
    """

    proven: bool | None
    cancelled: int | None
    replaced: tuple[str, ...]
    kept: tuple[str, ...]
    unproven_reason: str | None
    failing: bool | None
    first_cancel_s: float | None
    proven_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """The sweep that began last, as it stands."""

    trip_id: str | None
    venues: Mapping[str, SweptStatus]

    def document(self) -> dict[str, Any]:
        """JSON-able, with every key."""
        return _record(self)

    @classmethod
    def shown(cls, document: Mapping[str, Any]) -> Self:
        """See `Status.shown`."""
        return _read(cls, document)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceStatus:
    """How far a rule about the whole portfolio is from its limit. left: what may still be lost until `equity` is left.

    loss, limit: ratios, or amounts as texts. left is below zero where the limit is passed.
    """

    rule: str
    action: str
    loss: float | str | None
    limit: float | str | None
    equity: str | None
    left: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionStatus:
    """An open position. quantity: signed, in contracts. value: what it stands for, and `unrealized` its profit since
    `entry`, both in the reference currency; null without a mark. stale: the mark is older than it may be.
    """

    venue: str
    symbol: str
    quantity: str
    entry: str
    mark: str | None
    value: str | None
    unrealized: str | None
    stale: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingStatus:
    """What is held of an asset, less what is owed. price, value: in the reference currency; null without a price."""

    venue: str
    asset: str
    amount: str
    price: str | None
    value: str | None
    stale: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockStoreStatus:
    """A place where others read the lock. `written_s` ago it was written last; for `failing_s` that fails and why.

    While it fails, whoever reads it is locked out.
    """

    name: str
    written_s: float | None
    failing_s: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitStatus:
    """Of the running day, in the reference currency, net of flows: total = realized + unrealized.

    realized: worked out from holdings at cost, by our own prices. open: unrealised profit of the open positions
    since their entries, whenever that was. null: not known.
    """

    total: str | None
    realized: str | None
    unrealized: str | None
    open: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayProfitStatus:
    """What a venue realised on a day that has ended."""

    day: str
    venue: str
    realized: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitsStatus(ProfitStatus):
    """In all, by venue, and the last days by venue, newest last."""

    day: str | None
    venues: Mapping[str, ProfitStatus]
    days: tuple[DayProfitStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Equity, limits, rules, venues, the lock. What is not known is null.

    missing: what the gate waits for. breakers: states of all rules by name. rules: what each that is on says of
    itself and, where it has a limit, what it sees (`observed`, `limit`, `unit`, see headroom.py). halts: of single
    venues and bots. restraints: all that holds against new orders now. distances: of rules about the whole portfolio,
    the nearest first. positions, holdings: all of them; a venue whose age is null has told of none. locks: where
    others read the lock, besides the memory map; empty without a running daemon. guards: null where this one has no
    peers. fund: null where it is of none.
    """

    time: str
    reference_currency: str
    equity: str | None
    equity_low: str | None
    equity_high: str | None
    trusted: bool | None
    loss_ratio: float | None
    drawdown_ratio: float | None
    state: str
    started: bool | None
    confirming: bool | None
    missing: tuple[str, ...]
    locked: bool | None
    lock: LockStatus
    initial_capital: str | None
    warning_threshold: float | None
    loss_threshold: float | None
    daily_loss_ratio: float | None
    daily_loss: str | None
    portfolio_dd_pct: float | None
    circuit_breaker: CircuitStatus
    breakers: Mapping[str, str]
    rules: Mapping[str, Mapping[str, Any]]
    halts: tuple[HaltStatus, ...]
    restraints: tuple[RestraintStatus, ...]
    venues: Mapping[str, VenueStatus]
    last_sweep: SweepStatus | None
    distances: tuple[DistanceStatus, ...]
    positions: tuple[PositionStatus, ...]
    holdings: tuple[HoldingStatus, ...]
    profit: ProfitsStatus
    locks: tuple[LockStoreStatus, ...]
    fund: FundStatus | None
    guards: GuardsStatus | None

    def document(self) -> dict[str, Any]:
        """JSON-able, with every key."""
        return _record(self)

    @classmethod
    def shown(cls, document: Mapping[str, Any]) -> Self:
        """What `document`, which anybody may have written, says to a person; what is missing or odd is unknown.

        For showing only: nothing may be allowed because of it.
        """
        return _read(cls, document)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Status):
    """The status, with what only a running daemon tells.

    recent: the last `orders`, `fills`, `errors`, `vetoes` and `deeds` of operators, newest last. open_orders: what is
    known to be open.
    turned_away: connections and logins since the start, by why.
    """

    recent: Mapping[str, list[Any] | None]
    open_orders: list[Any] | None
    turned_away: Mapping[str, int]

    @property
    def is_running(self) -> bool:
        """Whether a daemon tells it now."""
        return True

    @property
    def proving_s(self) -> float | None:
        """For how long a trip's cancels are being proven, and that goes well.

        None where they are proven, where something failed or takes long, or where no daemon is at it.
        """
        if not self.is_running or not self.lock.trip_id or self.lock.proven is not False:
            return None
        swept = {} if self.last_sweep is None else self.last_sweep.venues
        is_failing = any(one.proven is not True and one.failing is not False for one in swept.values())
        began, now = _moment(self.lock.since), _moment(self.time)
        if is_failing or began is None or now is None or any(one.connected is False for one in self.venues.values()):
            return None
        proving_s = (now - began).total_seconds()
        return proving_s if 0 <= proving_s < _PROVING_TAKES_S else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastKnown(State):
    """What a daemon told last that is there no more: nothing goes on by itself, and nothing was read since `time`."""

    @property
    def is_running(self) -> bool:
        return False


_PLAIN = frozenset({str, int, float, bool, NoneType})


def _document(value: Any) -> Any:
    """There are hundreds of rows, every second: what is plain is seen at a glance."""
    if type(value) in _PLAIN:
        return value
    if is_dataclass(value):
        return _record(value)
    if isinstance(value, Mapping):
        return {name: _document(one) for name, one in value.items()}
    return [_document(one) for one in value] if isinstance(value, list | tuple) else value


def _record(value: Any) -> dict[str, Any]:
    kind: Any = type(value)
    found = {name: getattr(value, name) for name in _names(kind)}
    return {name: one if type(one) in _PLAIN else _document(one) for name, one in found.items()}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


# --- reading ---------------------------------------------------------------------------------------

_hints = cache(get_type_hints)


def _read(kind: Any, value: object) -> Any:
    """`value`, of JSON, as `kind` if it is one; else None, or what is empty of that kind."""
    if is_dataclass(kind):
        return _read_record(kind, value)
    of = get_args(kind)
    if get_origin(kind) is UnionType:
        read = (_read(one, value) for one in of if one is not NoneType)
        return None if value is None else next((one for one in read if one is not None), None)
    if get_origin(kind) is tuple:
        return tuple(_read(of[0], one) for one in value) if isinstance(value, list) else ()
    if get_origin(kind) is list:
        return value if isinstance(value, list) else None
    if get_origin(kind) is Mapping:
        table = value if isinstance(value, Mapping) else {}
        return {str(name): _read(of[1], one) for name, one in table.items()}
    return _read_scalar(kind, value)


def _read_record(kind: Any, value: object) -> Any:
    table = value if isinstance(value, Mapping) else {}
    return kind(**{name: _read(hint, table.get(name)) for name, hint in _hints(kind).items()})


def _read_scalar(kind: Any, value: object) -> Any:
    if kind is Any:
        return value
    if kind is str:
        return value if isinstance(value, str) else ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = isinstance(value, bool) if kind is bool else is_number
    return value if fits else None
