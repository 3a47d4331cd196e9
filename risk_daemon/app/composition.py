"""Settings into parts: which setting goes to which part, and the parts put together.

Nothing is decided here. `Site` is what every command that talks to venues needs; `service.py` adds the
daemon's own parts to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market, VenueAdapter
from adapters.registry import build_adapter
from adapters.simulated import API_KEY, API_PASSPHRASE, API_SECRET
from adapters.simulated.child import SimulatedVenueProcess
from oms import OrderManager
from risk_daemon.app.dead_men import dead_man_settings
from risk_daemon.app.rules import build_rules, longest_lookback, pretrade_settings
from risk_daemon.baselines.baselines import BaselineSettings
from risk_daemon.breakers.base import Action
from risk_daemon.breakers.blind import BlindSettings
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.config.load import Settings, credentials
from risk_daemon.engine.confirmation import ConfirmationSettings
from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.engine.peers_told import TOLD_WITHIN_S
from risk_daemon.engine.settings import ListingSettings
from risk_daemon.errors import ConfigError, RecordError, StateError
from risk_daemon.fund.membership import FUND
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.commands import TWIN
from risk_daemon.model.events import EventName, Input, Kind, Order, Position, RiskEvent
from risk_daemon.model.units import plain
from risk_daemon.portfolio.flows import FlowSettings
from risk_daemon.portfolio.manager import PortfolioSettings
from risk_daemon.runtime.ports import GateMap, Journal
from risk_daemon.state.board.base import LEASE_S as BOARD_LEASE_S
from risk_daemon.state.directory import Paths, StateDir, fingerprint
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.journals import LogJournal
from risk_daemon.state.lock.file import LEASE_S as FILE_LEASE_S
from risk_daemon.state.lock.redis_record import LEASE_MS as REDIS_LEASE_MS
from risk_daemon.state.log_anchor import ANCHOR, CUTS, REMOVED, beginning_of, cut_of, with_cut
from risk_daemon.state.log_pieces import closed_pieces
from risk_daemon.state.store.base import Store

_LOG = structlog.get_logger(__name__)
_T = TypeVar("_T")

LEASE_S = 1.0
_ACTIONS = {"trip": Action.TRIP, "freeze": Action.FREEZE}


# --- settings ----------------------------------------------------------------------------------------


def engine_settings(settings: Settings, adapters: Mapping[str, VenueAdapter]) -> EngineSettings:
    """What the engine is told. Raises ConfigError through the settings only."""
    breaker, data = settings.circuit_breaker, settings.data
    without_ledger = frozenset(name for name, adapter in adapters.items() if not adapter.capabilities.has_flows)
    return EngineSettings(
        reference=settings.portfolio.reference_currency,
        portfolio=_portfolio_settings(settings, adapters),
        baselines=BaselineSettings(
            initial_capital=settings.portfolio.initial_capital,
            lookback_days=longest_lookback(settings),
            reset_at=settings.baselines.reset_at,
            timezone=settings.baselines.timezone,
            peak_hold_s=settings.baselines.peak_hold,
        ),
        flows=FlowSettings(
            flow_wait_s=settings.baselines.flow_wait,
            settle_legs_s=data.settle_legs,
            ledger_lag_s_by_venue={name: adapter.capabilities.ledger_lag_s for name, adapter in adapters.items()},
            without_ledger=without_ledger,
        ),
        capital_loss=CapitalLossSettings(breaker.loss_threshold, breaker.warning_levels, _ACTIONS[breaker.action]),
        blind=BlindSettings(
            settings.breakers.blind.warn_after, settings.breakers.blind.veto_after, settings.breakers.blind.trip_after
        ),
        listing=_listing_settings(settings, adapters),
        confirmation=ConfirmationSettings(breaker.confirm, breaker.confirm_within),
        price_skew_s=data.price_skew,
        cancel_deadline_s=breaker.cancel_deadline,
        close_positions=breaker.auto_close_positions,
        resweep_every_s=breaker.resweep_every,
        allow_reduce_only=settings.gate.allow_reduce_only,
        pretrade=pretrade_settings(settings),
        dead_men=dead_man_settings(settings),
        leases=frozenset(
            ({TWIN} if settings.guard.peers else set()) | ({FUND} if settings.fund is not None else set())
        ),
    )


def _listing_settings(settings: Settings, adapters: Mapping[str, VenueAdapter]) -> ListingSettings:
    return ListingSettings(
        scopes={name: frozenset(scope.name for scope in adapter.scopes) for name, adapter in adapters.items()},
        every_s={name: settings.data_for(name).reconcile_every for name in settings.venues},
        veto_after_s=settings.breakers.blind.veto_after,
    )


def _portfolio_settings(settings: Settings, adapters: Mapping[str, VenueAdapter]) -> PortfolioSettings:
    return PortfolioSettings(
        expected={name: _expected(adapter) for name, adapter in adapters.items()},
        stale_s=_stale_s(settings.data),
        stale_s_by_venue={name: _stale_s(settings.data_for(name)) for name in settings.venues},
        stale_band=settings.data.stale_band,
        ignore_assets=frozenset(settings.portfolio.ignore_assets),
        dust_below=settings.portfolio.dust_below,
        pegs=settings.prices.pegs,
        settle_legs_s=settings.data.settle_legs,
    )


def _expected(adapter: VenueAdapter) -> frozenset[Kind]:
    positions = {Kind.POSITIONS} if adapter.capabilities.has_positions else set()
    return frozenset({Kind.BALANCES, Kind.PRICES} | positions)


def _stale_s(data: Any) -> dict[Kind, float]:
    return {
        Kind.BALANCES: data.balance_stale,
        Kind.POSITIONS: data.position_stale,
        Kind.PRICES: data.price_stale,
    }


def accounts(settings: Settings) -> dict[str, str]:
    """Fingerprints of the configured accounts by venue. Raises ConfigError for missing credentials."""
    return _of_each(settings.venues, lambda name: account(settings, name))


def _of_each(venues: Iterable[str], make: Callable[[str], _T]) -> dict[str, _T]:
    """What `make` gives for each venue. Raises one ConfigError that says of every refused one why, a line each."""
    made: dict[str, _T] = {}
    refusals: list[ConfigError] = []
    for name in venues:
        try:
            made[name] = make(name)
        except ConfigError as refusal:
            refusals.append(refusal)
    if refusals:
        raise ConfigError("\n".join(map(str, refusals))) from refusals[0]
    return made


def account(settings: Settings, name: str) -> str:
    """The fingerprint of a venue's account. Raises ConfigError for missing credentials."""
    venue = settings.venues[name]
    place = "simulated" if venue.simulated else venue.endpoint or ("sandbox" if venue.sandbox else "live")
    key = API_KEY if venue.simulated else credentials(settings, name).api_key.get_secret_value()
    return fingerprint(venue.exchange, place, key)


def capital_text(settings: Settings) -> str:
    """The configured capital as it is remembered in the state directory."""
    capital = settings.portfolio.initial_capital
    return "auto" if capital is None else plain(capital)


def is_simulated(settings: Settings) -> bool:
    """Whether no venue is live: then no init is needed."""
    return all(venue.simulated for venue in settings.venues.values())


# --- venues ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Site:
    """The configured venues, simulated ones started, adapters built, nothing connected yet.

    takes_what_it_gets: a venue that can't be built is noted in `unusable`, with the reason, and the others go on.
    Without it, entering raises one ConfigError for all that are refused.
    """

    settings: Settings
    takes_what_it_gets: bool = False
    clock: Clock = field(default_factory=SystemClock)
    adapters: dict[str, VenueAdapter] = field(default_factory=dict)
    simulated: dict[str, SimulatedVenueProcess] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        try:
            await self._start_simulated()
            _of_each(self.settings.venues, self._add)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _add(self, name: str) -> None:
        try:
            adapter = self._build(name)
        except Exception as error:  # whatever it is, the orders of the other venues are not to wait for it
            if not self.takes_what_it_gets:
                raise
            self.unusable[name] = str(error)
            return
        self.adapters[name] = adapter
        self._stack.push_async_callback(adapter.close)

    async def _start_simulated(self) -> None:
        kinds = {name: venue.exchange for name, venue in self.settings.venues.items() if venue.simulated}
        processes = await asyncio.gather(*(SimulatedVenueProcess.start(kind) for kind in kinds.values()))
        self.simulated = dict(zip(kinds, processes, strict=True))
        for process in processes:
            self._stack.push_async_callback(process.stop)

    def _build(self, name: str) -> VenueAdapter:
        from adapters.venue import VenueSettings  # ccxt only where a venue is really needed

        venue = self.settings.venues[name]
        if venue.simulated:
            key, secret, password = API_KEY, API_SECRET, API_PASSPHRASE
            endpoint = self.simulated[name].endpoint
        else:
            found = credentials(self.settings, name)
            key, secret = found.api_key.get_secret_value(), found.secret.get_secret_value()
            password = found.password.get_secret_value() if found.password else ""
            endpoint = venue.endpoint or ""
        settings = VenueSettings(
            name=name,
            exchange=venue.exchange,
            markets=frozenset(Market(market) for market in venue.markets),
            endpoint=endpoint or None,
            sandbox=venue.sandbox,
            api_key=key,
            secret=secret,
            password=password,
            reference_currency=self.settings.portfolio.reference_currency,
            allow_unproven=venue.allow_unproven,
            local_address=venue.local_address,
        )
        return build_adapter(settings, self.clock)


def longest_lease_s(settings: Settings) -> float:
    """For how long somebody may read an open gate after the guard's last look: what is proven waits for that.

    A peer heeds a trip when the board has been told of it and the lease that it had then is over: see trip_control.py.
    Bots read its open from locks of its own, which this file says nothing of: so the longest of any lock counts.
    """
    may_be_in_redis = settings.state.redis_locks or settings.guard.peers
    lease_s = max(LEASE_S, FILE_LEASE_S, REDIS_LEASE_MS / 1000 if may_be_in_redis else 0.0)
    return lease_s + TOLD_WITHIN_S + BOARD_LEASE_S if settings.guard.peers else lease_s


def order_manager(
    settings: Settings,
    adapters: Mapping[str, VenueAdapter],
    clock: Clock,
    *,
    emit: Callable[[Input], None] | None = None,
    positions: Callable[[str], tuple[Position, ...] | None] | None = None,
    open_orders: Callable[[str], tuple[Order, ...]] | None = None,
) -> OrderManager:
    """An order manager over these venues, each with the scopes of its markets.

    Protective orders are kept only if the configuration says so and `positions` are known; without them
    (an operator's `cancel-all`) everything goes.
    """
    breaker = settings.circuit_breaker
    keeps = breaker.protective_orders == "keep" and positions is not None
    manager = OrderManager(
        clock=clock,
        settle_s=breaker.settle,
        order_flight_s=breaker.order_flight,
        lease_s=longest_lease_s(settings),
        call_timeout_s=settings.data.call_timeout,
        cancel_deadline_s=breaker.cancel_deadline,
        protective_orders="keep" if keeps else "cancel",
        emit=emit,
        positions=positions,
        open_orders=open_orders,
    )
    for adapter in adapters.values():
        if adapter.markets & SPOT_MARKETS:
            manager.add_spot_adapter(adapter)
        if adapter.markets & PERP_MARKETS:
            manager.add_perp_adapter(adapter)
    return manager


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a guard works with, once it is open. adapters: those of the site, and venues that only a trip remembers.

    flows_since: when each venue's ledger was last listed whole, Unix seconds. documents: as they were persisted.
    log_wall: when the last line of the log was written before this process.
    """

    site: Site
    adapters: Mapping[str, VenueAdapter]
    paths: Paths
    engine: Engine
    store: Store
    journal: Journal
    gate_map: GateMap
    flows_since: Mapping[str, float] = field(default_factory=dict)
    documents: Mapping[str, Any] = field(default_factory=dict)
    log_wall: float | None = None


# --- state -------------------------------------------------------------------------------------------


def own_state(settings: Settings, *, create: bool) -> StateDir:
    """Take the state directory of these accounts. Raises StateError, ConfigError."""
    return StateDir.open(
        settings.state.dir,
        accounts=accounts(settings),
        initial_capital=capital_text(settings),
        create=create,
    )


def restored_engine(
    settings: Settings,
    adapters: Mapping[str, VenueAdapter],
    documents: Mapping[str, Any],
    latch: Mapping[str, Any] | None,
) -> Engine:
    """An engine with what was persisted."""
    engine = Engine(engine_settings(settings, adapters), build_rules(settings))
    engine.restore({**documents, "latch": latch}, SystemClock().now())
    return engine


def flows_since(documents: Mapping[str, Any]) -> dict[str, float]:
    """When each venue's ledger was last listed whole, by what was persisted."""
    return {name: saved["flows_since_wall"] for name, saved in documents.get("feeds", {}).items()}


async def open_journal(
    paths: Paths, store: Store, documents: Mapping[str, Any], *, must_open: bool = False
) -> LogJournal:
    """The event log, continued. One that lost lines is said loudly, here, in the log and in the store; see `open_log`.

    It refuses nothing: the guard is needed, whoever cut the log.
    """
    log = open_log(paths, must_open=must_open)
    cut = cut_of(log.path, log.seq, documents)
    journal = LogJournal(log)
    try:
        if cut is not None:
            await _tell_cut(cut, journal, store, documents)
        if cut is not None or ANCHOR not in documents:
            await store.save({ANCHOR: journal.anchor(), **_beginning(paths.events)})
    except RecordError as error:
        _LOG.critical("event_log_failed", error=str(error))
    return journal


async def _tell_cut(cut: str, journal: LogJournal, store: Store, documents: Mapping[str, Any]) -> None:
    """Raises RecordError."""
    _LOG.critical("event_log_cut", message=cut)
    wall = SystemClock().now().wall
    await journal.append([RiskEvent(EventName.LOG_CUT, {"message": cut})], wall, durable=True)
    await store.save({CUTS: with_cut(documents, cut, wall)})


def _beginning(path: Path) -> Mapping[str, Any]:
    """Where the log begins, from now on: what is missing before it was told, or is not known to any state."""
    try:
        return {REMOVED: beginning_of(path).document()}
    except (StateError, OSError) as error:
        _LOG.error("event_log_unreadable", error=str(error))
        return {}


def open_log(paths: Paths, *, must_open: bool = False) -> EventLog:
    """The event log, continued; a torn last line is said. Raises StateError.

    must_open: a trip is to be finished, which a damaged log must not keep from happening: it is set aside.
    """
    path = paths.events
    try:
        log = EventLog.open(path)
    except StateError as error:
        if not must_open:
            raise
        log = _opened_without_its_end(path, error)
    if log.torn is not None:
        _LOG.warning("event_log_torn", message=log.torn)
    return log


def _opened_without_its_end(path: Path, error: StateError) -> EventLog:
    """The log without the files at its end that are damaged, which are set aside. Raises StateError."""
    for damaged in (path, *reversed(closed_pieces(path))):
        aside = damaged.with_name(f"{damaged.name}.damaged-{int(SystemClock().now().wall)}")
        damaged.rename(aside)
        _LOG.critical("event_log_set_aside", error=str(error), kept_as=str(aside))
        try:
            return EventLog.open(path)
        except StateError as next_error:
            error = next_error
    raise error
