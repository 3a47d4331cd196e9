"""One exchange account behind ccxt.

This is the adapter for every exchange: it owns the guarded client, the lane and the limiter, and
turns every failure into one of three words. What differs between exchanges is in their dialects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeVar

from adapters import cancel_probes, closing, fill_history
from adapters.base import (
    PERP_MARKETS,
    SPOT_MARKETS,
    BudgetLevel,
    CancelPermission,
    Capabilities,
    KeyPowers,
    Lot,
    Market,
    OrderListing,
    OrderScope,
)
from adapters.budget import Budget
from adapters.cancel_plans import ScopePlan, plan_for
from adapters.connection import Terms
from adapters.dead_man import DeadMan, switches_of
from adapters.dialect import Dialect
from adapters.endpoint import rewrite_all
from adapters.failures import failure
from adapters.generic import GenericDialect
from adapters.guarded import Shell, build_client, tls_of
from adapters.lane import Pacer, SignedLane, Urgency, travelling
from adapters.market_list import MarketList, load_anew, unpriced
from adapters.recording import Tape
from adapters.socket_streams import SocketStreams
from adapters.switches import Switches
from adapters.venue import Venue, VenueSettings, unprovable
from adapters.watched_streams import WatchedStreams
from risk_daemon.errors import ConfigError, MalformedReply, RiskDaemonError, VenueError
from risk_daemon.model.account import Instrument
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import (
    BalancesSeen,
    FillsSeen,
    FlowsListed,
    Input,
    Kind,
    Order,
    OrdersSeen,
    Position,
    PositionsSeen,
    PricesSeen,
    Source,
)
from risk_daemon.model.units import finite

T = TypeVar("T")

_PING_EVERY_MS = 5_000


class CcxtVenue:
    """`adapters.base.VenueAdapter` for any exchange of ccxt.pro.

    Raises ConfigError when it is built, or at `connect`, if the exchange can't do what is required.
    """

    def __init__(self, venue: Venue, settings: VenueSettings, clock: Clock) -> None:
        self._venue = venue
        self._settings = settings
        self._clock = clock
        self._shell = Shell(
            pacer=Pacer(clock, venue.burst_s),
            budget=Budget(venue.pools, clock),
            lane=SignedLane(venue.lane_width),
            replies=venue.replies,
            secrets=settings.secrets,
            codes=venue.codes,
            local_address=settings.local_address,
            nonce_rises=venue.lane_width == 1,
        )
        self._client = build_client(settings.exchange, _client_config(venue, settings), self._shell)
        _aim(self._client, settings)
        self._plans = plan_for(venue.exchange, venue.scopes, settings.markets, self._client.has)
        self._dialect, self._streams = _dialect_and_streams(venue, settings, self._client, clock)
        self._switches = Switches(switches_of(venue.dead_men, settings.markets), self._client)
        self._market_list = MarketList(lambda: load_anew(self._client), clock)
        self._order_ids = closing.OrderIds(venue.client_id_length, clock)
        fills = fill_history.source_of(venue.fills, self._client.has)
        self._history = fill_history.FillHistory(settings.name, fills, settings.markets, self._client, clock)
        self._streams_fills = fills.is_streamed
        self._is_connected = False

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def markets(self) -> frozenset[Market]:
        return self._settings.markets

    @property
    def capabilities(self) -> Capabilities:
        dialect = self._dialect
        return Capabilities(
            dialect.stream_kinds,
            has_flows=dialect.has_flows,
            has_positions=dialect.has_positions,
            notes=dialect.notes,
            ledger_lag_s=dialect.ledger_lag_s,
            lane_width=self._venue.lane_width,
            unprovable=unprovable(self._venue),
            is_provable=self._venue.scopes is not None,
            streams_fills=self._streams_fills,
        )

    @property
    def scopes(self) -> Sequence[OrderScope]:
        return tuple(plan.scope for plan in self._plans)

    def budget_levels(self) -> Sequence[BudgetLevel]:
        return self._shell.budget.levels()

    def instrument(self, symbol: str) -> Instrument | None:
        market = (self._client.markets or {}).get(symbol)
        if not market or market.get("active") is False:
            return None
        kinds = PERP_MARKETS if market.get("contract") else SPOT_MARKETS
        if not self.markets & kinds:
            return None
        size = market.get("contractSize")
        return Instrument(Decimal(1) if size is None else finite(size), market.get("inverse") is True)

    async def connect(self) -> None:
        if self._is_connected:
            return
        with self._dialect.learning():
            await self._connect()
        self._market_list.was_loaded()
        self._is_connected = True

    async def _connect(self) -> None:
        await self._load_markets()
        await self.read_balances()
        if self._dialect.has_positions:
            await self.read_positions()
        for plan in self._plans:
            orders = await self._ask(Urgency.ORDINARY, lambda plan=plan: self._dialect.orders(plan))  # type: ignore[misc]
            self._history.note(order.symbol for order in orders)

    async def _load_markets(self) -> None:
        await self._ask(Urgency.ORDINARY, self._client.load_markets)
        if not self._client.markets:
            raise MalformedReply(f"{self.name}: the market list is empty")

    async def read_balances(self, *, urgent: bool = False) -> BalancesSeen:
        requested_mono = self._clock.now().mono
        amounts = await self._ask(_urgency(urgent), self._dialect.balances)
        return BalancesSeen(self.name, requested_mono, Source.REST, _read_only(amounts), complete=True)

    async def read_positions(self, *, urgent: bool = False) -> PositionsSeen:
        requested_mono = self._clock.now().mono
        positions = await self._ask(_urgency(urgent), self._dialect.positions) if self._dialect.has_positions else ()
        self._streams.what_is_watched_changed()
        self._history.note(position.symbol for position in positions)
        return PositionsSeen(self.name, requested_mono, Source.REST, positions, complete=True)

    async def read_prices(self, assets: frozenset[str], *, urgent: bool = False) -> PricesSeen:
        requested_mono = self._clock.now().mono
        prices = await self._ask(_urgency(urgent), lambda: self._dialect.prices(assets))
        self._streams.what_is_watched_changed()
        if not urgent:
            self._market_list.look_again(unpriced(assets, prices, self._settings.reference_currency))
        return PricesSeen(self.name, requested_mono, Source.REST, prices)

    async def read_flows(self, since_wall: float, *, urgent: bool = False) -> FlowsListed:
        now = self._clock.now()
        book = await self._ask(_urgency(urgent), lambda: self._dialect.book(since_wall, now.wall))
        asked_for = tuple(flow for flow in book.flows if flow.wall >= since_wall)
        return FlowsListed(self.name, now.mono, asked_for, book.trades)

    async def list_orders(self, scope: OrderScope, *, urgent: bool = True) -> OrderListing:
        requested_mono = self._clock.now().mono
        orders = await self._ask(
            Urgency.SWEEP if urgent else Urgency.ORDINARY, lambda: self._dialect.orders(self._plan(scope))
        )
        self._history.note(order.symbol for order in orders)
        return OrderListing(self.name, scope.name, requested_mono, orders)

    async def read_fills(self, since_wall: float) -> FillsSeen:
        requested_mono = self._clock.now().mono
        fills = await self._history.read(since_wall, lambda ask: self._ask(Urgency.LEISURE, ask))
        return FillsSeen(self.name, requested_mono, Source.REST, fills)

    async def cancel_orders(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        await self._ask(Urgency.SWEEP, lambda: self._dialect.cancel(self._plan(scope), orders))

    async def cancel_only(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        """Ask the venue to cancel these orders and no others, each by its id. Returning proves nothing."""
        failures: list[VenueError] = []
        for order in orders:
            try:
                await self._ask(Urgency.PACED, lambda order=order: self._dialect.cancel_one(self._plan(scope), order))  # type: ignore[misc]
            except VenueError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def lot(self, symbol: str) -> Lot:
        """What sizes orders in the market of a position have. Raises a VenueError if the venue does not say."""
        return closing.lot_of(self._client, self._venue, symbol)

    async def close_position(self, position: Position, quantity: Decimal, *, label: str) -> None:
        """Send one market order that can only reduce the position. Proves nothing, whether it returns or raises."""
        order_id = self._order_ids.next(label)
        await self._ask(Urgency.SWEEP, lambda: closing.send(self._client, self._venue, position, quantity, order_id))

    async def cancel_permission(self) -> CancelPermission:
        """Whether this key may cancel, asked without harm; of two houses that are guarded, in both."""
        venue = self._venue
        probes = [venue.probe] if self.markets & SPOT_MARKETS or venue.perp_probe is None else []
        if venue.perp_probe is not None and self.markets & PERP_MARKETS:
            probes.append(venue.perp_probe)
        for probe in probes:
            told = await self._ask(Urgency.ORDINARY, lambda probe=probe: cancel_probes.ask(probe, self._client))  # type: ignore[misc]
            if told.may_cancel is not True:
                break
        return told

    @property
    def dead_men(self) -> Sequence[DeadMan]:
        return self._switches.dead_men

    async def arm_dead_men(self, timeout_s: float, symbols: Collection[str], *, urgent: bool) -> tuple[str, ...]:
        urgency = Urgency.OVERDUE if urgent else Urgency.REFRESH
        return await self._ask(urgency, lambda: self._switches.arm(timeout_s, symbols))

    async def disarm_dead_men(self) -> None:
        await self._ask(Urgency.OVERDUE, self._switches.disarm)

    async def are_dead_men_armed(self) -> bool | None:
        return await self._ask(Urgency.REFRESH, self._switches.are_armed)

    async def audit_key(self) -> KeyPowers | None:
        """What this key may do, by the venue's own word; None where it does not tell."""
        audit = self._venue.key_audit
        if audit is None:
            return None
        params = {**audit.params, **({audit.key_param: self._settings.api_key} if audit.key_param else {})}
        reply = await self._ask(Urgency.ORDINARY, lambda: getattr(self._client, audit.call)(params))
        return audit.reads(reply)

    def record(self, tape: Tape) -> None:
        """Take down, masked, whatever the venue answers from now on."""
        self._shell.tape = tape

    def _plan(self, scope: OrderScope) -> ScopePlan:
        return next(plan for plan in self._plans if plan.scope == scope)

    async def next_frame(self, kind: Kind) -> Sequence[Input]:
        if not self._client.markets:
            await self._load_markets()
        inputs = await self._streams.next(kind)
        told = (seen for seen in inputs if isinstance(seen, OrdersSeen))
        self._history.note(order.symbol for seen in told for order in (*seen.orders, *seen.ended))
        return inputs

    def heartbeat_mono(self, kind: Kind) -> float | None:
        return self._streams.heartbeat_mono(kind)

    async def reset_streams(self) -> None:
        self._streams.drop_all()

    async def close(self) -> None:
        await self._market_list.close()
        await self._streams.close()
        await self._client.close()

    async def _ask(self, urgency: Urgency, ask: Callable[[], Awaitable[T]]) -> T:
        with travelling(urgency), self._in_our_words():
            return await ask()

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except RiskDaemonError:
            raise
        except Exception as error:
            raise failure(error, secrets=self._settings.secrets) from None


def _urgency(urgent: bool) -> Urgency:
    return Urgency.URGENT if urgent else Urgency.ORDINARY


def _read_only(amounts: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    return MappingProxyType(dict(amounts))


def _client_config(venue: Venue, settings: VenueSettings) -> dict[str, Any]:
    """ccxt's own limiter is off: it lets those who gave up waiting burn its tokens. Ours paces each call."""
    return {
        "apiKey": settings.api_key,
        "secret": settings.secret,
        "password": settings.password,
        "enableRateLimit": False,
        "options": {**venue.options, **settings.options},
    }


def _aim(client: Any, settings: VenueSettings) -> None:
    """Point the client at the testnet or at a local server; the latter last, because the testnet swaps addresses."""
    if settings.sandbox:
        if not client.urls.get("test"):
            raise ConfigError(f"{settings.exchange} has no testnet that ccxt knows: take `sandbox` out")
        client.set_sandbox_mode(True)
    if settings.endpoint is not None:
        try:
            client.urls["api"] = rewrite_all(client.urls["api"], settings.endpoint)
        except ValueError as error:
            raise ConfigError(f"venue {settings.name}: endpoint: {error}") from None
    client.streaming = {**client.streaming, "keepAlive": _PING_EVERY_MS}


def _dialect_and_streams(
    venue: Venue, settings: VenueSettings, client: Any, clock: Clock
) -> tuple[Dialect, SocketStreams | WatchedStreams]:
    if venue.dialect is not None:
        own = venue.dialect(settings, client)
        terms = Terms(
            clock=clock, secrets=settings.secrets, tls=lambda: tls_of(client), local_address=settings.local_address
        )
        return own, SocketStreams(own, terms)
    generic = GenericDialect(settings.name, venue, settings.markets, settings.reference_currency, client)
    return generic, WatchedStreams(generic, client, clock, settings.secrets)
