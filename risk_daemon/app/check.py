"""`check`: what the guard would do and see, before it is needed.

The file has been read already; here credentials are looked for, every venue is asked once for everything
the guard will ever ask it (nothing is cancelled), and what is off, missing or not covered is said aloud.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from adapters.base import CancelPermission, CancelProbe, KeyAuditor, KeyPowers, VenueAdapter
from adapters.dead_man import CancelsByItself
from risk_daemon.app.alert_findings import alert_findings
from risk_daemon.app.broadcast_findings import broadcast_findings
from risk_daemon.app.closing_findings import Lots, closings, lots_of, remaining
from risk_daemon.app.dead_men import dead_man_findings
from risk_daemon.app.explain import explanations
from risk_daemon.app.findings import Finding, Level, configured
from risk_daemon.app.fund import fund_findings
from risk_daemon.app.in_force import compared
from risk_daemon.app.locks import lock_findings
from risk_daemon.app.store_findings import store_findings
from risk_daemon.app.twins import peer_findings
from risk_daemon.app.watch_findings import watch_findings
from risk_daemon.config.load import Settings, effective
from risk_daemon.errors import ConfigError, ExitCode, StartUnavailable, VenueError, VenueRejected
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.events import BalancesSeen, FlowsListed, Kind, Order, PositionsSeen, PricesSeen
from risk_daemon.model.units import plain
from risk_daemon.portfolio.prices import PriceBook

_CONNECT_CALLS = 6  # connecting loads the markets: as many calls' time
_MAX_HOPS = 10
_DAY_S = 86_400.0
_CANT_ASK = CancelPermission(None, "there is no way known to ask this venue")
_Read = TypeVar("_Read")

OpenVenue = Callable[[Settings, str], AbstractAsyncContextManager[VenueAdapter]]


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
    cancels: CancelPermission = _CANT_ASK
    dead_man_armed: bool | None = None
    powers: KeyPowers | None = None
    unprovable: tuple[str, ...] = ()
    lots: Lots = field(default_factory=dict)
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
    from risk_daemon.app.composition import Site

    alone = settings.model_copy(update={"venues": {venue: settings.venues[venue]}})
    async with Site(alone) as site:
        yield site.adapters[venue]


async def check(settings: Settings, explain: bool, *, open_venue: OpenVenue | None = None) -> CheckReport:
    """Look at everything. open_venue: how to reach a venue; without it no venue is asked, and that is said."""
    locks = await lock_findings(settings, SystemClock())
    told = [*await alert_findings(settings), *await broadcast_findings(settings)]
    shared = [*await store_findings(settings), *locks, *peer_findings(settings), *fund_findings(settings)]
    findings = [*configured(settings), *compared(settings), *shared, *told, *watch_findings(settings)]
    if open_venue is None:
        findings.append(Finding(Level.WARNING, "venues", "they were not asked"))
    else:
        probes = await asyncio.gather(*(_visit(settings, venue, open_venue) for venue in settings.venues))
        said = [finding.sentence for finding in findings if finding.level is Level.PROBLEM]
        seen = [finding for probe in probes for finding in _seen(settings, probe)]
        # A venue without keys fails once more when it is asked: that is told already.
        findings += [finding for finding in seen if not any(sentence in finding.sentence for sentence in said)]
        findings += _unpriced(settings, probes)
        findings += _remaining(settings, probes)
    return CheckReport(effective(settings), tuple(findings), explanations(settings) if explain else ())


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
    cancels = await _cancels(adapter, settings.data.call_timeout)
    armed = None
    if isinstance(adapter, CancelsByItself):
        armed = await ask("dead man's switch", adapter.are_dead_men_armed())
    powers = await ask("what the key may do", adapter.audit_key()) if isinstance(adapter, KeyAuditor) else None
    since = (clock or SystemClock()).now().wall - _DAY_S
    flows = await ask("flows", adapter.read_flows(since)) if can.has_flows else None
    return replace(
        found,
        balances=balances,
        positions=positions,
        lots=lots_of(adapter, positions.positions) if positions else {},
        prices=prices,
        flows=flows,
        orders={listing.scope: listing.orders for listing in listings if listing is not None},
        cancels=cancels,
        dead_man_armed=armed,
        powers=powers,
        unprovable=can.unprovable,
        failures=tuple(ask.failures),
    )


async def _cancels(adapter: VenueAdapter, timeout_s: float) -> CancelPermission:
    """Whether the key may cancel; not known where the venue can't be asked, or did not answer."""
    if not isinstance(adapter, CancelProbe):
        return _CANT_ASK
    try:
        async with asyncio.timeout(timeout_s):
            return await adapter.cancel_permission()
    except (VenueError, TimeoutError) as error:
        return CancelPermission(None, str(error) or f"no answer within {timeout_s:g} s")


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


_NO_TRADES = (
    "its book tells of deposits and withdrawals only: a fall that it does not name soon after counts as a loss, "
    "also where the row comes late"
)


def _seen(settings: Settings, probe: Probe) -> list[Finding]:
    """One venue's answers as sentences."""
    venue = probe.venue
    findings = [_failure(venue, what, error) for what, error in probe.failures]
    findings += [Finding(Level.NOTE, venue, note) for note in probe.notes]
    if probe.orders:
        findings += [_orders(probe), _permission(probe), *_powers(probe)]
        findings += [Finding(Level.WARNING, venue, f"a proof does not cover: {what}") for what in probe.unprovable]
        findings += _streams(probe)
        findings += _positions(settings, probe)
    findings += dead_man_findings(settings, venue, probe.dead_man_armed)
    if not probe.has_flows:
        findings.append(
            Finding(Level.WARNING, venue, "no ledger: a withdrawal can't be told from a loss and counts as one")
        )
    elif probe.flows is not None and probe.flows.trades is None:
        findings.append(Finding(Level.NOTE, venue, _NO_TRADES))
    return findings


def _failure(venue: str, what: str, error: VenueError | ConfigError) -> Finding:
    """A refusal waits for a person; anything else may pass by itself."""
    refused = isinstance(error, VenueRejected | ConfigError)
    code = ExitCode.REFUSED if refused else ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START
    return Finding(Level.PROBLEM, venue, f"{what} failed: {error}", code)


def _orders(probe: Probe) -> Finding:
    told = ", ".join(f"{scope} {len(orders)}" for scope, orders in probe.orders.items()) or "no scope could be listed"
    return Finding(Level.OK, probe.venue, f"reached; open orders by scope: {told}")


def _permission(probe: Probe) -> Finding:
    """A guard that may only look is none."""
    cancels = probe.cancels
    if cancels.may_cancel is None:
        return Finding(Level.NOTE, probe.venue, f"whether the key may cancel is not known: {cancels.reason}")
    if cancels.may_cancel:
        return Finding(Level.OK, probe.venue, "the key may cancel orders")
    sentence = f"the key may not cancel orders: give it that permission ({cancels.reason})"
    return Finding(Level.PROBLEM, probe.venue, sentence, ExitCode.REFUSED)


def _powers(probe: Probe) -> list[Finding]:
    """A key that may withdraw is more than a guard needs, and all that a thief does."""
    powers, venue = probe.powers, probe.venue
    if powers is None:
        return [Finding(Level.NOTE, venue, "the venue does not tell what else the key may do: look it up there")]
    findings = []
    if powers.may_withdraw is None:
        findings.append(Finding(Level.NOTE, venue, "whether the key may withdraw is not told: look it up there"))
    elif powers.may_withdraw:
        findings.append(Finding(Level.WARNING, venue, "THE KEY MAY WITHDRAW: take that permission from it"))
    else:
        findings.append(Finding(Level.OK, venue, "the key may not withdraw"))
    if powers.is_bound is False:
        findings.append(Finding(Level.WARNING, venue, "the key is good from any address: bind it to this machine's"))
    return findings


def _streams(probe: Probe) -> list[Finding]:
    missing = sorted({Kind.BALANCES, Kind.PRICES} - set(probe.streams))
    if not missing:
        return []
    told = " and ".join(missing)
    return [Finding(Level.NOTE, probe.venue, f"no stream of {told}: seen only as often as reconcile_every")]


def _positions(settings: Settings, probe: Probe) -> list[Finding]:
    """What becomes of the positions in a trip."""
    if settings.circuit_breaker.auto_close_positions and probe.positions is not None:
        return closings(probe.venue, probe.positions.positions, probe.lots)
    return _unprotected(settings, probe)


def _remaining(settings: Settings, probes: Sequence[Probe]) -> list[Finding]:
    if not settings.circuit_breaker.auto_close_positions:
        return []
    positions = [position for probe in probes if probe.positions for position in probe.positions.positions]
    return remaining(positions, {probe.venue: probe.balances.amounts for probe in probes if probe.balances})


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
