"""`risk-daemon simulate-breach`: the whole way from a breach to exit code 1 and the reset, tried before it is needed.

On simulated venues everything happens, in a state directory of its own beside the real one. On live venues
there is only the dry run: everything but the cancels. A step that fails is named, and nothing is rounded up.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapters.base import OrderScope, VenueAdapter
from oms.proof import listing_fault
from risk_daemon.alerts.alert import Severity
from risk_daemon.alerts.attempts import FILE_NAME as ATTEMPTS
from risk_daemon.alerts.attempts import read_attempts
from risk_daemon.alerts.routing import Router
from risk_daemon.app.alerts import channels_of, test_alone
from risk_daemon.app.broadcast_findings import broadcast_findings
from risk_daemon.app.composition import Site
from risk_daemon.app.findings import Level
from risk_daemon.app.init import look_once
from risk_daemon.app.reset import reset_stopped
from risk_daemon.client import TradingGate
from risk_daemon.config.api import Api
from risk_daemon.config.breakers import Breakers
from risk_daemon.config.broadcast import Broadcast
from risk_daemon.config.load import Settings
from risk_daemon.errors import ExitCode, MalformedReply, RiskDaemonError, StartUnavailable, StateError, UsageError
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.events import EventName
from risk_daemon.model.units import percent, plain
from risk_daemon.rehearsal.history import Crash
from risk_daemon.rehearsal.parts import PARTS, START_PRICE
from risk_daemon.rehearsal.rehearsal import (
    Book,
    Rehearsal,
    equity_of,
    finishes,
    in_time,
    recorded,
    refuse_unknown,
)
from risk_daemon.state.directory import Paths
from risk_daemon.state.event_log import read_log, verify_log
from risk_daemon.state.lock import file as file_lock
from risk_daemon.state.lock import memory_map as shared_lock
from risk_daemon.state.lock.base import LockRecord

Progress = Callable[[Mapping[str, Any]], None]

# At par on a simulated venue: what an account holds is known beforehand. In others the first baseline is taken.
_DOLLARS = frozenset({"USDT", "USD", "USDC"})
# Lost beyond the limit, so that no rounding on a venue keeps the breach from being one.
_BEYOND = Decimal("0.005")
# A trip leaves these in the log, in this order.
STORY = (
    EventName.BREAKER_TRIPPED,
    EventName.CIRCUIT_BREAKER_TRIGGERED,
    EventName.SWEEP_STARTED,
    EventName.VENUE_PROVEN,
    EventName.SWEEP_FINISHED,
    EventName.SYSTEM_SHUTDOWN,
)


async def simulate_breach(
    settings: Settings,
    *,
    dry_run: bool = False,
    with_alerts: bool = True,
    crash: Crash | None = None,
    progress: Progress | None = None,
) -> Mapping[str, Any]:
    """Drill. Returns `passed`, `failed` (names of steps), `steps` (name: sentence) and times, JSON-able.

    dry_run: on the configured venues, live or not: connect, read, value and list every order scope twice,
    cancel nothing. Without it every venue must be simulated. with_alerts: every channel is told, as of a drill.
    crash: what moves the price; None: one fall beyond the limit.
    Raises UsageError where a venue is live, StateError where the drill's own state can't be made.
    """
    steps = Steps(progress or _silent)
    await _note_broadcast(settings, steps)
    settings = without_broadcast(with_drill_alerts(settings, with_alerts=with_alerts))
    if dry_run:
        return await _dry_run(settings, steps)
    live = [name for name, venue in settings.venues.items() if not venue.simulated]
    if live:
        raise UsageError(
            f"a drill cancels every order and needs a crash, so it is not done on live venues ({', '.join(live)}):"
            " simulate them, or ask for a dry run, which does everything but cancel"
        )
    refuse_unknown(settings)
    return await _drill(settings, steps, crash)


def _silent(_step: Mapping[str, Any]) -> None:
    return


@dataclass(slots=True)
class Steps:
    """What was tried, in order, and how it went. Told to `progress` as it happens."""

    progress: Progress
    told: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def note(self, name: str, passed: bool, sentence: str) -> bool:
        """Write one step down; returns `passed`."""
        self.told[name] = sentence if passed else f"FAILED: {sentence}"
        if not passed:
            self.failed.append(name)
        self.progress({"event": "step_passed" if passed else "step_failed", "step": name, "found": sentence})
        return passed

    def document(self) -> dict[str, Any]:
        return {"passed": bool(self.told) and not self.failed, "failed": list(self.failed), "steps": dict(self.told)}


# --- on simulated venues ---------------------------------------------------------------------------


async def _drill(settings: Settings, steps: Steps, crash: Crash | None) -> dict[str, Any]:
    directory = _directory_beside(settings.state.dir)
    own = _drill_settings(settings, directory / "state")
    breach = Breach(Rehearsal(own), own.circuit_breaker.loss_threshold + _BEYOND, crash)
    try:
        if await _breach(breach, steps):
            await _note_alerts(own, breach, steps)
            await _aftermath(own, breach, steps)
    except (RiskDaemonError, TimeoutError) as error:
        steps.note("the_end", False, f"{type(error).__name__}: {error}")
    document = {**steps.document(), "trip_id": breach.rehearsal.trip_id, "phases": breach.rehearsal.times.phases_s()}
    if steps.failed and not breach.is_calm:
        return {**document, "state_kept_in": str(directory)}
    shutil.rmtree(directory)
    return document


def _directory_beside(state: Path) -> Path:
    """A new directory next to the real state, on the same disk. Raises StateError."""
    try:
        return Path(tempfile.mkdtemp(prefix=f"{state.name}-drill-", dir=state.parent))
    except OSError as error:
        raise StateError(f"{state.parent}: no directory for the drill can be made there: {error.strerror}") from error


def _drill_settings(settings: Settings, directory: Path) -> Settings:
    """The configured settings on a state and a port of their own; losses count from what the simulated accounts hold.

    The drill is about the circuit breaker's own limit: the other rules would come before it.
    """
    venues = settings.venues.values()
    in_dollars = settings.portfolio.reference_currency in _DOLLARS
    capital = sum((PARTS[venue.exchange].money for venue in venues), Decimal(0)) if in_dollars else None
    portfolio = settings.portfolio.model_copy(update={"initial_capital": capital})
    own = {
        "portfolio": portfolio,
        "api": Api(listen="127.0.0.1:0", socket=settings.api.socket),
        "breakers": Breakers.model_validate({"blind": settings.breakers.blind}),
        "circuit_breaker": settings.circuit_breaker.model_copy(update={"action": "trip"}),
    }
    return settings.alone(directory).model_copy(update=own)


def with_drill_alerts(settings: Settings, *, with_alerts: bool) -> Settings:
    """Who is told must see that it is a drill."""
    name = f"{settings.alerts.strategy_name} (drill)"
    alerts = settings.alerts.model_copy(update={"strategy_name": name} | ({} if with_alerts else {"channels": {}}))
    return settings.model_copy(update={"alerts": alerts})


def without_broadcast(settings: Settings) -> Settings:
    """Who listens to the broadcast cancels for real: no drill is ever sent there."""
    return settings.model_copy(update={"broadcast": Broadcast()})


async def _note_broadcast(settings: Settings, steps: Steps) -> None:
    """Whether the broker would take a trip; it is sent nothing."""
    if settings.broadcast.kafka is not None:
        found, *_ = await broadcast_findings(settings)
        steps.note("broadcast", found.level is Level.OK, f"{found.sentence}; the drill sends nothing")


async def _note_alerts(settings: Settings, breach: Breach, steps: Steps) -> None:
    """Whether every channel delivered the trip, by what it answered."""
    attempts = await asyncio.to_thread(read_attempts, settings.state.dir / ATTEMPTS)
    hearers = Router(channels_of(settings).usable).hearers(EventName.CIRCUIT_BREAKER_TRIGGERED, Severity.CRITICAL)
    for name in settings.alerts.channels:
        tried = [line for line in attempts if (line["channel"], line["id"]) == (name, breach.rehearsal.trip_id)]
        arrived = any(line["delivered"] for line in tried)
        last = f"{tried[-1]['status']} after {tried[-1]['seconds']} s" if tried else "no answer"
        sentence = f"told of the trip: {last}" if name in hearers else "its events leave a trip out, so it was not told"
        steps.note(f"alerts.{name}", arrived or name not in hearers, sentence)


@dataclass(slots=True)
class Breach:
    """The part of the drill that is a story: start, crash, end.

    crash: a real one instead of one fall by `loss`. is_calm: it was none, and nothing was tripped by it.
    """

    rehearsal: Rehearsal
    loss: Decimal
    crash: Crash | None = None
    is_calm: bool = False
    placed: dict[str, int] = field(default_factory=dict)
    before: Decimal | None = None
    after: Decimal | None = None

    async def tell(self) -> None:
        """Wait for the open gate, let the price fall, wait for the daemon's last decision."""
        rehearsal = self.rehearsal
        price = rehearsal.price_for(self.loss) if self.crash is None else None
        ready = await in_time(rehearsal.expect(lambda decision: not decision.gate.locked))
        self.before = equity_of(ready)
        books = await rehearsal.read_books()
        self.placed = {name: sum(book.open_orders.values()) for name, book in books.items()}
        triggered = rehearsal.expect(recorded(EventName.CIRCUIT_BREAKER_TRIGGERED))
        finished = rehearsal.expect(finishes)
        if not await self._fall(price):
            self.is_calm = True
            rehearsal.stop()
            return
        self.after = equity_of(await in_time(triggered))
        await finished  # the daemon's own deadline ends it

    async def _fall(self, price: Decimal | None) -> bool:
        """Let the price fall. Returns whether anything came of it."""
        if self.crash is not None:
            return await self.crash.play(self.rehearsal)
        await self.rehearsal.set_price(price or START_PRICE, fatal=True)
        return True


async def _breach(breach: Breach, steps: Steps) -> bool:
    """From the first baseline to the daemon's end."""
    rehearsal = breach.rehearsal
    code = await rehearsal.play(breach.tell)
    times, phases = rehearsal.times, rehearsal.times.phases_s()
    started = steps.note("baseline", breach.before is not None, f"equity {_text(breach.before)}, gate open")
    if breach.is_calm and breach.crash is not None:
        return steps.note("breach", False, calm_sentence(breach.crash, breach.loss - _BEYOND))
    fell = f"equity {_text(breach.after)}, trip {rehearsal.trip_id}"
    tripped = steps.note("breach", rehearsal.trip_id is not None, fell)
    shut, cancels = times.shut_wall, times.first_cancel_wall.values()
    in_order = shut is not None and bool(cancels) and shut <= min(cancels)
    steps.note("gate", in_order, f"shut {_seconds(phases['gate_shut_s'])} after the fatal price, before any cancel")
    for name in rehearsal.settings.venues:
        steps.note(f"books.{name}", *emptied(rehearsal.books.get(name), breach.placed.get(name)))
    right = code is ExitCode.TRIGGERED_AND_PROVEN and times.joint_wall is not None
    steps.note("exit", right, f"exit code {int(code)}, joint proof after {_seconds(phases['joint_proof_s'])}")
    return started and tripped and right


def calm_sentence(crash: Crash, limit: Decimal) -> str:
    """Why there was nothing to see."""
    return (
        f"{crash.name} trips nothing: {crash.symbol} fell by {percent(crash.depth)} at most, which costs these accounts"
        f" less than the limit of {percent(limit)}; so nothing of a trip was tried, take another day"
    )


def emptied(book: Book | None, placed: int | None) -> tuple[bool, str]:
    """Whether a venue's own book shows every order that was placed as cancelled, and a sentence."""
    if book is None or placed is None:
        return False, "the venue's own book was never read"
    still = sum(book.open_orders.values())
    told = f"{still} open, {len(book.cancelled)} of {placed} cancelled in the venue's own book"
    return book.is_empty and len(book.cancelled) == placed, told


async def _aftermath(settings: Settings, breach: Breach, steps: Steps) -> None:
    """What a trip leaves: log and locks; then a restart, the reset, and a daemon that guards again."""
    paths, trip_id = Paths(settings.state.dir), breach.rehearsal.trip_id
    steps.note("log", *logged(paths.events, trip_id, len(settings.venues)))
    clock = SystemClock()
    steps.note("lock.file", *locked(file_lock.read(paths.lock, clock), trip_id))
    steps.note("lock.gate", *locked(shared_lock.read(paths.gate, clock), trip_id))
    steps.note("lock.bots", not TradingGate(paths.root).is_open(), "TradingGate.is_open() is False")
    await _restart(settings, steps)
    await _reset(settings, steps)


def logged(path: Path, trip_id: str | None, venues: int) -> tuple[bool, str]:
    """Whether the log is whole and tells of the trip from its cause to its end."""
    found = verify_log(path)
    if not found.ok or found.torn:
        return False, found.problem or "the last line is half-written"
    names = [line.event for line in read_log(path) if line.fields.get("trip_id", trip_id) == trip_id]
    rest = iter(names)
    missing = [name for name in STORY if name not in rest]
    proofs = names.count(EventName.VENUE_PROVEN)
    if missing or proofs < venues:
        return False, f"{found.lines} lines; missing or out of order: {', '.join(missing) or 'a venue_proven'}"
    return True, f"{found.lines} lines, the chain of hashes is whole, the trip is told from cause to end"


def locked(record: LockRecord, trip_id: str | None) -> tuple[bool, str]:
    told = f"cause {record.cause}, trip {record.trip_id}"
    return record.locked and record.trip_id == trip_id, f"locked, {told}" if record.locked else f"OPEN, {told}"


async def _restart(settings: Settings, steps: Steps) -> None:
    """Started while latched and proven, it ends with 1 at once and cancels nothing placed since."""
    rehearsal = Rehearsal(settings)
    code = await rehearsal.play(_nothing)
    cancelled = sum(len(book.cancelled) for book in rehearsal.books.values())
    right = code is ExitCode.TRIGGERED_AND_PROVEN and bool(rehearsal.books) and cancelled == 0
    steps.note("restart", right, f"started while locked: exit code {int(code)}, {cancelled} orders cancelled")


async def _nothing() -> None:
    return


async def _reset(settings: Settings, steps: Steps) -> None:
    answer = await reset_stopped(settings, reason="drill", rebaseline="current", operator="drill")
    if not steps.note("reset", answer["accepted"] is True, str(answer["reason"])):
        return
    rehearsal = Rehearsal(settings)
    opened: list[Decimal | None] = []

    async def look() -> None:
        opened.append(equity_of(await in_time(rehearsal.expect(lambda decision: not decision.gate.locked))))
        rehearsal.stop()

    await rehearsal.play(look)
    steps.note("guarding_again", bool(opened), "the gate is open again" if opened else "the gate stayed shut")


# --- the dry run -----------------------------------------------------------------------------------


async def _dry_run(settings: Settings, steps: Steps) -> dict[str, Any]:
    watch = Stopwatch(SystemClock())
    for name, tried in (await test_alone(settings, None)).items():
        steps.note(f"alerts.{name}", tried["delivered"] is True, f"a test: {tried['status']} {tried['answer']}".strip())
    await _value(settings, steps, watch)
    try:
        async with Site(settings) as site:
            visits = (_visit(settings, adapter, steps, watch) for adapter in site.adapters.values())
            await asyncio.gather(*visits)
    except RiskDaemonError as error:
        steps.note("venues", False, str(error))
    return {**steps.document(), "dry_run": True, "cancelled": 0, "seconds": watch.seconds}


class Stopwatch:
    """How long each part took, by name, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = {}

    @asynccontextmanager
    async def measure(self, name: str, within_s: float) -> AsyncIterator[None]:
        """Time what stands inside. Raises StartUnavailable when it takes too long."""
        since = self.clock.now().mono
        try:
            async with asyncio.timeout(within_s):
                yield
        except TimeoutError:
            raise StartUnavailable(f"no answer within {within_s:g} s") from None
        self.seconds[name] = round(self.clock.now().mono - since, 4)


async def _value(settings: Settings, steps: Steps, watch: Stopwatch) -> None:
    """Connect to everything, read everything, value it."""
    try:
        async with watch.measure("connect_read_value", 60.0 + 60.0 * len(settings.venues)):
            found = await look_once(settings)
    except RiskDaemonError as error:
        steps.note("value", False, str(error))
        return
    lost = "" if found.difference_ratio is None else f", {found.difference_ratio * 100:+.2f} % against initial capital"
    currency = settings.portfolio.reference_currency
    steps.note("value", True, f"equity {plain(found.equity)} {currency}{lost}")


async def _visit(settings: Settings, adapter: VenueAdapter, steps: Steps, watch: Stopwatch) -> None:
    """The listings of a proof, without the cancels: every scope twice, `settle` apart."""
    try:
        async with watch.measure(f"{adapter.name}.connect", 60.0):
            await adapter.connect()
        counts = await _list_all(settings, adapter, watch, "first")
        await asyncio.sleep(settings.circuit_breaker.settle)
        counts = await _list_all(settings, adapter, watch, "second")
    except RiskDaemonError as error:
        steps.note(f"orders.{adapter.name}", False, str(error))
        return
    told = ", ".join(f"{scope} {count}" for scope, count in counts.items())
    steps.note(f"orders.{adapter.name}", bool(counts), f"every scope listed twice; would be cancelled: {told}")


async def _list_all(settings: Settings, adapter: VenueAdapter, watch: Stopwatch, which: str) -> dict[str, int]:
    return {
        scope.name: await _list(settings, adapter, scope, watch, f"{adapter.name}.list_{scope.name}_{which}")
        for scope in adapter.scopes
    }


async def _list(settings: Settings, adapter: VenueAdapter, scope: OrderScope, watch: Stopwatch, name: str) -> int:
    """How many orders are open. Raises RiskDaemonError unless the listing would count in a proof."""
    asked_mono = watch.clock.now().mono
    async with watch.measure(name, settings.data.call_timeout):
        listing = await adapter.list_orders(scope)
    received_mono = watch.clock.now().mono
    fault = listing_fault(listing, adapter.name, scope.name, asked_mono=asked_mono, received_mono=received_mono)
    if fault is not None:
        raise MalformedReply(f"{scope.name}: {fault}")
    return len(listing.orders)


# --- words -----------------------------------------------------------------------------------------


def _text(amount: Decimal | None) -> str:
    return "unknown" if amount is None else plain(amount)


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.3f} s"
