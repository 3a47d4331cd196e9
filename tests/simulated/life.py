"""One life of the guard: the product's own parts, put together as `service.py` does, on the virtual loop."""

from __future__ import annotations

import asyncio
import random
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from adapters.streams import VenueFeed
from oms import OrderManager, calls
from risk_daemon.baselines.baselines import BaselineSettings
from risk_daemon.breakers.blind import BlindSettings
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.engine.confirmation import ConfirmationSettings
from risk_daemon.engine.decision import Decision
from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.engine.settings import ListingSettings
from risk_daemon.errors import ExitCode, StartUnavailable, VenueError
from risk_daemon.model.events import Input, Kind
from risk_daemon.portfolio.flows import FlowSettings
from risk_daemon.portfolio.manager import PortfolioSettings
from risk_daemon.runtime.daemon import Daemon, DaemonSettings, Parts
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.runtime.open_orders import OpenOrders
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.latch import LATCH, latch_document, latch_of
from tests.simulated.direct_adapter import DirectAdapter
from tests.simulated.durable import Disk, SimJournal
from tests.simulated.scenario import Kill, Rules, VenueSpec
from tests.simulated.virtual_time import Killed, VirtualLoop, bury

if TYPE_CHECKING:
    from tests.simulated.world import World

LEASE_S = 1.0
STOP_WITHIN_S = 1.0
STALE_S = {Kind.BALANCES: 25.0, Kind.POSITIONS: 25.0, Kind.PRICES: 20.0}
VETO_AFTER_S = 15.0


class Enough(Killed):
    """The run has seen what it wanted to see."""


@dataclass(frozen=True, slots=True)
class End:
    """How a life ended. code None: killed, or the run was over."""

    code: int | None
    kill: Kill | None = None
    bug: str | None = None


def engine_settings(rules: Rules, venues: tuple[VenueSpec, ...]) -> EngineSettings:
    kinds = {
        True: frozenset({Kind.BALANCES, Kind.PRICES, Kind.POSITIONS}),
        False: frozenset({Kind.BALANCES, Kind.PRICES}),
    }
    return EngineSettings(
        portfolio=PortfolioSettings(expected={v.name: kinds[v.perp] for v in venues}, stale_s=STALE_S),
        baselines=BaselineSettings(initial_capital=rules.capital),
        flows=FlowSettings(flow_wait_s=rules.flow_wait_s),
        capital_loss=CapitalLossSettings(rules.limit, (rules.warning,)),
        blind=BlindSettings(5.0, VETO_AFTER_S, None),
        listing=ListingSettings(
            {venue.name: frozenset({"plain", "trigger"}) for venue in venues},
            default_every_s=rules.reconcile_every_s,
            veto_after_s=VETO_AFTER_S,
        ),
        confirmation=ConfirmationSettings(rules.confirm, 2.0),
        cancel_deadline_s=rules.cancel_deadline_s,
    )


class Life:
    """Runs until the guard ends, or is ended."""

    def __init__(self, world: World, number: int, log_path: Path) -> None:
        self.world = world
        self.number = number
        self.adapters = {name: DirectAdapter(venue) for name, venue in world.venues.items()}
        self.loop = VirtualLoop(world.timeline, world)
        self.loop.set_exception_handler(self._unhandled)
        self.engine: Engine | None = None
        self.daemon: Daemon | None = None
        self.started_true = world.timeline.true
        self.tripped_mono: float | None = None
        self.was_latched = False
        self.was_proven = False
        self.is_enough = False
        self.decisions = 0
        self.digest = 0
        self.bug: str | None = None
        self.trace: list[str] | None = None
        self._log_path = log_path
        self._log: EventLog | None = None
        self._kill: Kill | None = None
        self._disks = (Disk(world.store_illness), Disk(world.journal_illness))
        self._questions: list[asyncio.Task[Any]] = []

    def run(self) -> End:
        world = self.world
        world.life = self
        self.started_true = world.timeline.true
        if not world.store.has_baseline:  # whatever an earlier life knew, it took with it
            world.truth.start_over(world.scenario.rules.capital, world.timeline.true)
        for venue in world.venues.values():
            venue.cancel_asked_mono.clear()
            venue.balances_told = False
        code: int | None = None
        try:
            code = self.loop.run_until_complete(self._main())
        except Killed:  # and with it whoever would have looked at what failed in the same moment
            self.loop.set_exception_handler(lambda _loop, _context: None)
        finally:
            self._end()
        return End(code, self._kill, self.bug)

    async def _main(self) -> int:
        try:
            self.daemon = await self._build()
            return int(await self.daemon.run())
        except StartUnavailable:
            return int(ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START)
        except Exception:
            self.bug = traceback.format_exc()
            return int(ExitCode.BUG)

    async def _build(self) -> Daemon:
        world, rules, rng = self.world, self.world.scenario.rules, self.world.rng
        clock, inbox = world.timeline, Inbox()
        gate = world.gate.held_by(self)
        world.lock.is_dead = False
        is_fresh = not world.store.is_set_up
        store = world.store.open(self._disks[0])
        if is_fresh:
            world.store.set_up({LATCH: latch_document(None, clock.now())})
        documents = dict(await store.load())
        engine = self.engine = Engine(engine_settings(rules, world.scenario.venues))
        latch = latch_of(documents, clock.now())
        self.was_latched, self.was_proven = latch is not None, bool(latch and latch["proven"])
        engine.restore({**documents, "latch": latch}, clock.now())
        self._log = EventLog.open(self._log_path)
        open_orders = OpenOrders()
        parts = Parts(
            engine=engine,
            inbox=inbox,
            adapters=self.adapters,
            feeds=self._feeds(engine, inbox, documents, rng),
            orders=self._orders(engine, inbox, open_orders),
            store=store,
            gate_map=gate,
            locks=[world.lock],
            journal=SimJournal(self._log, self._disks[1]),
            clock=clock,
            open_orders=open_orders,
        )
        settings = DaemonSettings(
            tick_every_s=rules.tick_every_s,
            call_timeout_s=rules.call_timeout_s,
            first_start_within_s=rules.first_start_within_s,
            stop_within_s=STOP_WITHIN_S,
        )
        daemon = Daemon(parts, settings, is_first_start=is_fresh)
        daemon.subscribe(self._decided)
        return daemon

    def _feeds(self, engine: Engine, inbox: Inbox, documents: Any, rng: random.Random) -> dict[str, VenueFeed]:
        rules = self.world.scenario.rules
        since = {name: saved["flows_since_wall"] for name, saved in documents.get("feeds", {}).items()}
        return {
            name: VenueFeed(
                adapter,
                inbox.put,
                self.world.timeline,
                assets=engine.portfolio.held_assets,
                reconcile_every_s=rules.reconcile_every_s,
                call_timeout_s=rules.call_timeout_s,
                connect_timeout_s=2 * rules.call_timeout_s,
                flows_since_wall=since.get(name),
                may_list=lambda: engine.wants_listings,
                backoff=lambda attempt: min(8.0, 0.5 * 2 ** min(attempt, 6)) * rng.uniform(0.5, 1.0),
            )
            for name, adapter in self.adapters.items()
        }

    def _orders(self, engine: Engine, inbox: Inbox, open_orders: OpenOrders) -> OrderManager:
        rules = self.world.scenario.rules
        manager = OrderManager(
            clock=self.world.timeline,
            settle_s=rules.settle_s,
            order_flight_s=rules.order_flight_s,
            lease_s=LEASE_S,
            call_timeout_s=rules.call_timeout_s,
            cancel_deadline_s=rules.cancel_deadline_s,
            emit=inbox.put,
            positions=engine.portfolio.positions,
            open_orders=open_orders.of,
        )
        for adapter in self.adapters.values():
            add = manager.add_perp_adapter if adapter.venue.spec.perp else manager.add_spot_adapter
            add(adapter)
        return manager

    # --- what happens to it --------------------------------------------------------------------------

    def kill(self, kill: Kill) -> None:
        """kill -9, some loop turns from now."""
        if self._kill is None:
            self._kill = kill
            self.loop.kill_after(kill.handles)

    def enough(self) -> None:
        """End the run here."""
        self.is_enough = True
        self.loop.kill_after(0)

    def ask(self, event: Input) -> bool:
        """An operator's command. False if nobody listens yet."""
        if self.daemon is None:
            return False
        question = self.loop.create_task(self.daemon.command(event))  # type: ignore[arg-type]
        question.add_done_callback(_look_away)
        self._questions.append(question)
        return True

    def sigterm(self) -> None:
        if self.daemon is not None:
            self.daemon.stop()

    def _decided(self, decision: Decision) -> None:
        self.decisions += 1
        line = (
            decision.seq,
            round(decision.now.mono, 6),
            type(decision.event).__name__,
            decision.after.value,
            decision.gate.locked,
            decision.gate.cause,
            [type(action).__name__ for action in decision.actions],
            [record.name.value for record in decision.records],
        )
        if self.trace is not None:
            self.trace.append(f"{self.world.elapsed_s:9.4f} {decision.event} -> {line[4:]}")
        self.digest = crc32(repr(line).encode(), self.digest)
        self.world.checker.decided(decision, self)
        if decision.records and self.world.pending_kills:
            self._kill_on({record.name.value for record in decision.records})

    def _kill_on(self, names: set[str]) -> None:
        for kill in self.world.pending_kills:
            if kill.on_event in names:
                self.world.pending_kills.remove(kill)
                self.kill(kill)
                return

    def _unhandled(self, _loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, VenueError) and "never retrieved" in str(context.get("message")):
            return  # a client's call that was given up, and failed later
        lines = traceback.format_exception(error) if error is not None else []
        self.world.checker.fail(f"unhandled in the loop: {context.get('message')} {''.join(lines)}")

    def _end(self) -> None:
        for adapter in self.adapters.values():
            adapter.die()
        for disk in self._disks:
            disk.is_dead = True
        self.world.gate.owner = None
        self.world.lock.is_dead = True
        self.world.life = None
        bury(self.loop)
        calls._left_behind.clear()
        if self._log is not None:
            self._log.close()


def _look_away(question: asyncio.Task[Any]) -> None:
    """An operator who is told that the daemon is stopping, or could not save, is no bug."""
    if not question.cancelled():
        question.exception()
