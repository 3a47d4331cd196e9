"""`check`: what the guard would do and see, before it is needed.

The file has been read already; here credentials are looked for, every venue is asked once for everything
the guard will ever ask it (nothing is cancelled), and what is off, missing or not covered is said aloud.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from adapters.base import VenueAdapter
from risk_daemon.clock import Clock, SystemClock
from risk_daemon.config import Settings, credentials, effective, unknown_environment
from risk_daemon.errors import ConfigError, ExitCode, StartUnavailable, VenueError, VenueRejected
from risk_daemon.events import BalancesSeen, FlowsListed, Kind, Order, PositionsSeen, PricesSeen
from risk_daemon.prices import PriceBook
from risk_daemon.units import percent, plain

_CONNECT_CALLS = 6  # connecting loads the markets: as many calls' time
_MAX_HOPS = 10
_DAY_S = 86_400.0
_Read = TypeVar("_Read")

OpenVenue = Callable[[Settings, str], AbstractAsyncContextManager[VenueAdapter]]


class Level(StrEnum):
    """problem: the guard would not start or not work. warning: it works, and less than one may think."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, as a sentence. exit_code: what a problem makes `check` end with."""

    level: Level
    subject: str
    sentence: str
    exit_code: ExitCode = ExitCode.STOPPED


@dataclass(frozen=True, slots=True)
class Probe:
    """What one venue answered. A reading that failed is None and has its reason in `failures`."""

    venue: str
    streams: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    has_flows: bool = True
    has_positions: bool = True
    balances: BalancesSeen | None = None
    positions: PositionsSeen | None = None
    prices: PricesSeen | None = None
    flows: FlowsListed | None = None
    orders: dict[str, tuple[Order, ...]] = field(default_factory=dict)
    failures: tuple[tuple[str, VenueError | ConfigError], ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All of it. `effective` is the configuration in force, without secrets."""

    effective: dict[str, Any]
    findings: tuple[Finding, ...]
    explanations: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """0 only if nothing keeps the guard from working; refused goes before unavailable."""
        return max((finding.exit_code for finding in self.findings), default=ExitCode.STOPPED)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        findings = [{**asdict(finding), "exit_code": int(finding.exit_code)} for finding in self.findings]
        return {
            "ok": self.exit_code == ExitCode.STOPPED,
            "findings": findings,
            "explanations": list(self.explanations),
            "effective": self.effective,
        }


@asynccontextmanager
async def open_venue(settings: Settings, venue: str) -> AsyncIterator[VenueAdapter]:
    """One configured venue alone, so that a fault of one does not hide the others."""
    from risk_daemon.composition import Site

    alone = settings.model_copy(update={"venues": {venue: settings.venues[venue]}})
    async with Site(alone) as site:
        yield site.adapters[venue]


async def check(settings: Settings, explain: bool, *, open_venue: OpenVenue | None = None) -> CheckReport:
    """Look at everything. open_venue: how to reach a venue; without it no venue is asked, and that is said."""
    findings = [*_configured(settings)]
    if open_venue is None:
        findings.append(Finding(Level.WARNING, "venues", "they were not asked"))
    else:
        probes = await asyncio.gather(*(_visit(settings, venue, open_venue) for venue in settings.venues))
        findings += [finding for probe in probes for finding in _seen(settings, probe)]
        findings += _unpriced(settings, probes)
    return CheckReport(effective(settings), tuple(findings), explanations(settings) if explain else ())


# --- what the file says ----------------------------------------------------------------------------


def _configured(settings: Settings) -> list[Finding]:
    """Credentials, rules that are off, keys and variables that do nothing."""
    findings = [_credentials(settings, venue) for venue in settings.venues]
    findings += [
        Finding(
            Level.WARNING,
            rule,
            f"OFF: this version has no {name} rule; only the loss of initial capital, blindness and a halt by"
            " hand stop trading",
        )
        for rule, name in (("drawdown", "drawdown"), ("daily_loss", "daily loss"))
    ]
    if not settings.circuit_breaker.warning_levels:
        findings.append(Finding(Level.WARNING, "warnings", "OFF: nothing is said before the limit is reached"))
    if settings.breakers.blind.trip_after is None:
        findings.append(Finding(Level.NOTE, "blind", "blindness refuses new orders but never trips"))
    if settings.portfolio.ignore_assets:
        ignored = ", ".join(settings.portfolio.ignore_assets)
        findings.append(Finding(Level.NOTE, "ignore_assets", f"these count as nothing: {ignored}"))
    findings.append(Finding(Level.NOTE, "api", "this version serves the Unix socket only, api.listen is not used"))
    findings += [
        Finding(Level.WARNING, name, "this environment variable changes nothing: settings come from the file only")
        for name in unknown_environment(settings)
    ]
    return findings


def _credentials(settings: Settings, venue: str) -> Finding:
    if settings.venues[venue].simulated:
        return Finding(Level.NOTE, venue, "simulated: no money and no keys are involved")
    try:
        credentials(settings, venue)
    except ConfigError as error:
        return Finding(Level.PROBLEM, venue, str(error), ExitCode.REFUSED)
    return Finding(Level.OK, venue, "credentials found")


# --- what the venues say ---------------------------------------------------------------------------


async def _visit(settings: Settings, venue: str, open_venue: OpenVenue) -> Probe:
    try:
        async with open_venue(settings, venue) as adapter:
            return await probe(adapter, settings)
    except (VenueError, ConfigError, StartUnavailable) as error:
        known = error if isinstance(error, VenueError | ConfigError) else VenueError(str(error))
        return Probe(venue, failures=(("reaching it", known),))


async def probe(adapter: VenueAdapter, settings: Settings, clock: Clock | None = None) -> Probe:
    """Ask a venue everything the guard will ask it. A failed reading is a failure, never an empty one."""
    ask = _Asking(settings.data.call_timeout)
    await ask("connecting", adapter.connect(), _CONNECT_CALLS)
    can = adapter.capabilities
    found = Probe(adapter.name, tuple(sorted(can.stream_kinds)), can.notes, can.has_flows, can.has_positions)
    if ask.failures:
        return replace(found, failures=tuple(ask.failures))
    balances = await ask("balances", adapter.read_balances())
    positions = await ask("positions", adapter.read_positions()) if can.has_positions else None
    prices = await ask("prices", adapter.read_prices(_assets(balances, positions)))
    listings = [await ask(f"orders ({scope.name})", adapter.list_orders(scope)) for scope in adapter.scopes]
    since = (clock or SystemClock()).now().wall - _DAY_S
    flows = await ask("flows", adapter.read_flows(since)) if can.has_flows else None
    return replace(
        found,
        balances=balances,
        positions=positions,
        prices=prices,
        flows=flows,
        orders={listing.scope: listing.orders for listing in listings if listing is not None},
        failures=tuple(ask.failures),
    )


class _Asking:
    """Awaits calls, each with a time limit, and keeps why they failed."""

    def __init__(self, timeout_s: float) -> None:
        self.failures: list[tuple[str, VenueError | ConfigError]] = []
        self._timeout_s = timeout_s

    async def __call__(self, what: str, call: Awaitable[_Read], calls: int = 1) -> _Read | None:
        """The answer of `call`, which may take the time of `calls`; None if there is none."""
        limit_s = self._timeout_s * calls
        try:
            async with asyncio.timeout(limit_s):
                return await call
        except VenueError as error:
            self.failures.append((what, error))
        except TimeoutError:
            self.failures.append((what, VenueError(f"no answer within {limit_s:g} s")))
        return None


def _assets(balances: BalancesSeen | None, positions: PositionsSeen | None) -> frozenset[str]:
    held = {asset for asset, quantity in balances.amounts.items() if quantity} if balances else set()
    return frozenset(held | ({position.settle for position in positions.positions} if positions else set()))


def _seen(settings: Settings, probe: Probe) -> list[Finding]:
    """One venue's answers as sentences."""
    venue = probe.venue
    findings = [_failure(venue, what, error) for what, error in probe.failures]
    findings += [Finding(Level.NOTE, venue, note) for note in probe.notes]
    if probe.orders:
        findings.append(_orders(probe))
        findings += _streams(probe)
        findings += _unprotected(settings, probe)
    if not probe.has_flows:
        findings.append(
            Finding(Level.WARNING, venue, "no ledger: a withdrawal can't be told from a loss and counts as one")
        )
    return findings


def _failure(venue: str, what: str, error: VenueError | ConfigError) -> Finding:
    """A refusal waits for a person; anything else may pass by itself."""
    refused = isinstance(error, VenueRejected | ConfigError)
    code = ExitCode.REFUSED if refused else ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START
    return Finding(Level.PROBLEM, venue, f"{what} failed: {error}", code)


def _orders(probe: Probe) -> Finding:
    told = ", ".join(f"{scope} {len(orders)}" for scope, orders in probe.orders.items()) or "no scope could be listed"
    return Finding(Level.OK, probe.venue, f"reached; open orders by scope: {told}")


def _streams(probe: Probe) -> list[Finding]:
    missing = sorted({Kind.BALANCES, Kind.PRICES} - set(probe.streams))
    if not missing:
        return []
    told = " and ".join(missing)
    return [Finding(Level.NOTE, probe.venue, f"no stream of {told}: seen only as often as reconcile_every")]


def _unprotected(settings: Settings, probe: Probe) -> list[Finding]:
    """Positions that stand after a trip without an order that would close them."""
    if probe.positions is None:
        return []
    kept = set()
    if settings.circuit_breaker.protective_orders == "keep":
        kept = {order.symbol for orders in probe.orders.values() for order in orders if order.reduce_only}
    return [
        Finding(
            Level.WARNING,
            probe.venue,
            f"after a trip the position {position.symbol} ({plain(position.quantity)}) would stand without a stop",
        )
        for position in probe.positions.positions
        if position.quantity and position.symbol not in kept
    ]


def _unpriced(settings: Settings, probes: Sequence[Probe]) -> list[Finding]:
    """Assets that no prices of any venue value, so that the guard would refuse to start."""
    book = PriceBook(settings.portfolio.reference_currency, pegs=settings.prices.pegs)
    held: dict[str, str] = {}
    if any(probe.prices is None for probe in probes):
        return [Finding(Level.WARNING, "prices", "not every venue gave prices, so which assets lack one is unknown")]
    for probe in probes:
        held |= dict.fromkeys(_assets(probe.balances, probe.positions), probe.venue)
        if probe.prices is not None:
            book.apply(probe.prices)
    ignored = set(settings.portfolio.ignore_assets)
    return [
        Finding(
            Level.PROBLEM,
            venue,
            f"{asset} has no price path to {book.reference}: trade it away, set [prices.pegs], or name it in"
            " portfolio.ignore_assets",
            ExitCode.REFUSED,
        )
        for asset, venue in sorted(held.items())
        if asset not in ignored and not _has_path(book, asset)
    ]


def _has_path(book: PriceBook, asset: str) -> bool:
    for _ in range(_MAX_HOPS):
        if asset == book.reference:
            return True
        step = book.step(asset)
        if step is None:
            return False
        asset = step.parent
    return False


# --- what would happen when ------------------------------------------------------------------------


def explanations(settings: Settings) -> tuple[str, ...]:
    """The configuration as sentences: what happens when."""
    breaker, blind, data = settings.circuit_breaker, settings.breakers.blind, settings.data
    warnings = [
        f"At a loss of {percent(level)}{_left(settings, level)} a warning is given; trading goes on."
        for level in breaker.warning_levels
    ]
    confirm = (
        f"Everything is read again first, within {breaker.confirm_within:g} s, with the gate already shut."
        if breaker.confirm
        else "Nothing is read again first: one wild tick is enough."
    )
    trip_after = (
        "It never trips." if blind.trip_after is None else f"After {blind.trip_after:g} s it counts as a breach."
    )
    protective = (
        "with them every stop and take-profit"
        if breaker.protective_orders == "cancel"
        else "but reduce-only orders of open positions stay"
    )
    sentences = f"""
At a loss of {percent(breaker.loss_threshold)}{_left(settings, breaker.loss_threshold)} the gate is shut to new orders \
and every open order on {_and(settings.venues)} is cancelled, {protective}.
{confirm}
An account counts as empty when each of its order listings came back empty twice, {breaker.settle:g} s apart, \
and once more after all accounts are.
{_ending(settings)}
Balances and positions are read every {data.reconcile_every:g} s; a reading older than {data.balance_stale:g} s \
(prices: {data.price_stale:g} s) counts as its value give or take {percent(data.stale_band)}.
When the limit lies inside what is unknown, a warning is given after {blind.warn_after:g} s and new orders are \
refused after {blind.veto_after:g} s. {trip_after}
Positions and holdings are not sold: only orders are cancelled."""
    return (*warnings, *sentences.strip().splitlines())


def _left(settings: Settings, loss: Decimal) -> str:
    capital = settings.portfolio.initial_capital
    if capital is None:
        return " of the first equity seen"
    left = plain((capital * (1 - loss)).normalize())
    return f" ({left} {settings.portfolio.reference_currency} left of {plain(capital)})"


def _ending(settings: Settings) -> str:
    deadline = f"{settings.circuit_breaker.cancel_deadline:g} s"
    return (
        f"Proven, the daemon exits with 1 and stays down until `risk-daemon reset`; not proven within {deadline},"
        " it exits with 4, is restarted and goes on."
    )


def _and(names: Iterable[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
