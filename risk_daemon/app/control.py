"""The daemon as bots and people see it through the API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, overload

from oms import CloseResult, OrderManager
from risk_daemon.api.feed import Feed, Subscription
from risk_daemon.app.alerts import tried_document
from risk_daemon.app.cancel import first_look, sweep
from risk_daemon.app.close import chosen_of, manager_for
from risk_daemon.app.composition import LEASE_S, Site
from risk_daemon.app.hearers import Hearers
from risk_daemon.app.operator_deeds import OperatorDeeds
from risk_daemon.app.overrides import Resuming, ask_for
from risk_daemon.app.reload import Reloader
from risk_daemon.app.scrape import reading_of
from risk_daemon.auth.desk import Desk
from risk_daemon.baselines.equity_history import Sample
from risk_daemon.config.settings import Settings
from risk_daemon.engine.decision import Decision
from risk_daemon.errors import CircuitBreakerError, RecordError
from risk_daemon.gate.restraints import CAUSES, Cause, OrderAnswer, OrderRequest, Veto
from risk_daemon.metrics.reading import Reading
from risk_daemon.model.account import Instrument
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.model.events import (
    DisableRequested,
    ErrorReported,
    Input,
    Noted,
    OrderReported,
    ReleaseRequested,
    ResetRequested,
)
from risk_daemon.model.status import Status
from risk_daemon.model.units import plain
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.runtime.inbox import CAPACITY
from risk_daemon.runtime.status import status_of
from risk_daemon.state.veto_log import VetoLog, VetoRecord

MOST_SHOWN = 200
_NOT_LOOKING = Veto(Cause.LOCKED, "the daemon has not looked at the venues for over a second")


class Documents(Sequence[Mapping[str, Any]]):
    """Samples as JSON objects, made when they are asked for: a month of them at once would take too long."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        if isinstance(index, slice):
            return [sample.document() for sample in self._samples[index]]
        return self._samples[index].document()


class DaemonControl:
    """What the API's port asks for. Made before the daemon runs; `heard` is told of every decision.

    note: has an event written down without waiting, and told like what the engine decides.
    """

    def __init__(
        self,
        daemon: Daemon,
        settings: Settings,
        site: Site,
        vetoes: VetoLog,
        desk: Desk,
        hearers: Hearers | None = None,
        reloader: Reloader | None = None,
        note: Callable[[RiskEvent], None] = lambda _event: None,
    ) -> None:
        self._daemon = daemon
        self._began_with = settings
        self._reloader = reloader
        self._site = site
        self._vetoes = vetoes
        self._hearers = hearers or Hearers()
        self._desk = desk
        self._feed = Feed()
        self._published = 0
        self._closings: set[OrderManager] = set()
        self._deeds = OperatorDeeds(note, lambda: daemon.parts.clock.now().wall)

    @property
    def _settings(self) -> Settings:
        """Those in force."""
        return self._began_with if self._reloader is None else self._reloader.settings

    def heard(self, decision: Decision) -> None:
        """Remember what is shown, and tell whoever listens."""
        for record in decision.records:
            self._publish(record, decision.now.wall)
        if self._closings and self._why_no_closing(decision.now.mono) is not None:
            for manager in self._closings:
                manager.stop_soon()

    def _publish(self, record: RiskEvent, wall: float) -> None:
        self._published += 1
        self._feed.publish(self._published, record.name.value, record.fields, wall)

    def subscribe(self) -> Subscription:
        """Every event from now on. Raises TooManyReaders."""
        return self._feed.subscribe()

    def is_ready(self) -> bool:
        """See Daemon."""
        return self._daemon.is_ready()

    def is_alive(self) -> bool:
        """See Daemon."""
        return self._daemon.is_alive()

    async def command(self, event: Input) -> Mapping[str, Any]:
        """See Daemon. What resumes trading is only asked for, where wardens are enrolled: then `asked` says where.

        Raises StateError where it can't be known whether any are; OverrideRefused.
        """
        if isinstance(event, ResetRequested | ReleaseRequested | DisableRequested) and await self._desk.is_guarded():
            return await self._ask_wardens(event)
        return await self._daemon.command(event)

    def why_not(self, event: Resuming) -> str | None:
        """See Requests."""
        parts = self._daemon.parts
        return parts.engine.why_not(event, parts.clock.now())

    async def _ask_wardens(self, event: Resuming) -> Mapping[str, Any]:
        """What would be refused at the end is refused at once."""
        refusal = self.why_not(event)
        if refusal is not None:
            return {"accepted": False, "reason": refusal}
        opened = await ask_for(self._desk, event, self._status(), self._daemon.command)
        return {"accepted": False, "asked": opened.document()}

    def state(self) -> Mapping[str, Any]:
        """How things stand, with the open orders, and the last orders, fills, errors and vetoes."""
        parts = self._daemon.parts
        recent = {**parts.recent.document(), "vetoes": self._vetoes.recent(), "deeds": self._deeds.document()}
        orders = [order for venue in parts.adapters for order in parts.open_orders.of(venue)]
        return {
            **self._status().document(),
            "open_orders": parts.recent.open_orders(orders[:MOST_SHOWN]),
            "recent": recent,
        }

    def _status(self) -> Status:
        parts = self._daemon.parts
        now, sweep, locks = parts.clock.now(), parts.orders.snapshot(), self._daemon.lock_status()
        before, fund = parts.swept_before, self._daemon.fund_status()
        return status_of(parts.engine, now, sweep, None, parts.open_orders, locks, before, fund)

    def reading(self) -> Reading:
        """All that a scrape tells."""
        return reading_of(self._daemon, self._hearers, self._status())

    def alerts(self) -> Mapping[str, Any]:
        """Who is told, and what came of it; with no channel nobody is."""
        alerts = self._hearers.alerts
        return {"standing": None, "channels": {}, "unusable": {}, "attempts": []} if alerts is None else alerts.status()

    def acknowledge(self, trip_id: str | None, who: str) -> str | None:
        """See AlertManager. Whoever listens hears of it, whichever way it came."""
        alerts = self._hearers.alerts
        if alerts is None:
            return None
        standing = alerts.status()["standing"]
        is_new = standing is not None and standing["acknowledged_by"] is None
        found = alerts.acknowledge(trip_id, who)
        if found is not None and is_new:
            facts = {"trip_id": found, "operator": who}
            self._publish(RiskEvent(EventName.ALERT_ACKNOWLEDGED, facts), self._daemon.parts.clock.now().wall)
        return found

    async def test_alerts(self, channel: str | None) -> Mapping[str, Any]:
        """See AlertManager."""
        alerts = self._hearers.alerts
        return {} if alerts is None else tried_document(await alerts.test(channel))

    def history(self) -> Sequence[Mapping[str, Any]]:
        """Equity, a point a minute."""
        return Documents(self._daemon.parts.engine.history())

    def check_order(self, order: OrderRequest) -> OrderAnswer:
        """Decide now. A veto is written down by a thread of its own.

        What was decided longer ago than a lease lasts is no answer, as in the memory map.
        """
        now = self._daemon.parts.clock.now()
        if self._daemon.has_looked_within(LEASE_S):
            answer = self._daemon.parts.engine.check_order(order, now)
        else:
            answer = OrderAnswer(wall=now.wall, veto=_NOT_LOOKING)
        self._daemon.counters.answers["allowed" if answer.veto is None else answer.veto.veto_reason] += 1
        if answer.veto is not None:
            self._vetoes.append([VetoRecord(answer.wall, order, answer.veto)])
        return answer

    def vetoed(self, order: OrderRequest | None, veto: Veto, bot: str | None, *, ago_s: float, untold: int) -> None:
        """A veto that the memory map gave: a line and a count like any other.

        Where the lock holds by the same reason, the line says what the lock rests on. A reason that no gate gives is
        the bot's own word: it is counted as `locked`.
        """
        engine, wall = self._daemon.parts.engine, self._daemon.parts.clock.now().wall - ago_s
        known = engine.standing_veto(veto.veto_reason)
        if known is not None:
            given = replace(known, reason=veto.reason or known.reason)
        elif veto.veto_reason in {*CAUSES, *(rule.cause for rule in engine.manager.get_all_breakers())}:
            given = veto
        else:
            given = replace(veto, veto_reason=Cause.LOCKED)
        engine.note_veto(given, bot)
        self._daemon.counters.told_vetoes[given.veto_reason] += 1 + untold
        self._vetoes.append([VetoRecord(wall, order, given, bot)])
        self._vetoes.miss(untold)

    def report(self, event: OrderReported | ErrorReported) -> None:
        """What a bot tells goes the way of all events. Raises RecordError while too many wait already."""
        inbox = self._daemon.parts.inbox
        if len(inbox) > CAPACITY // 2:
            raise RecordError("too much is waiting to be looked at: tell it again in a moment")
        inbox.put(event)

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        """What the venue's own market list says. To what is not in it, a shut gate is the better answer.

        Never a guess while it is open: a wrong contract size would slip a large order under its limit.
        """
        found = self._site.adapters[venue].instrument(symbol)
        if found is None and self._daemon.parts.engine.gate.locked:
            return Instrument()
        return found

    def venues(self) -> Collection[str]:
        """The configured ones."""
        return self._settings.venues.keys()

    async def reload(self, by: str, *, dry_run: bool, acts: bool, digest: str | None) -> Mapping[str, Any]:
        """See Reloader."""
        if self._reloader is None:
            return {"accepted": False, "reason": "a trip is being finished: the next start reads the file"}
        return await self._reloader.reload(by, dry_run=dry_run, acts=acts, digest=digest)

    async def fund_transfer(self, to: str, amount: Decimal, by: str) -> Mapping[str, Any]:
        """See Member."""
        member = self._daemon.member
        if member is None:
            return {"accepted": False, "reason": "this guard is of no fund"}
        refused = await member.give(to, amount)
        given = {"deed": "gave", "to": to, "amount": plain(amount), "operator": by, "reason": refused or "given"}
        self._daemon.parts.inbox.put(Noted(RiskEvent(EventName.FUND_MEMBERSHIP, given)))
        return {"accepted": refused is None, "reason": refused or f"{plain(amount)} are {to}'s from now on"}

    async def cancel_all(self, venue: str | None, market: str | None, operator: str) -> Mapping[str, Any]:
        """Sweep some venues by an operator's wish; the gate stays as it is."""
        facts = {"operator": operator, "venues": self._meant(venue), "market": market}
        names = EventName.CANCEL_ALL_ASKED, EventName.CANCEL_ALL_FINISHED
        with self._deeds.on_record("cancel-all", *names, facts) as deed:
            seen = await first_look(self._site.adapters)
            result = await sweep(self._settings, self._site, venue, market, None, seen)
            deed.ended({"outcome": result.document()})
        for name, verdict in result.venues.items():
            if verdict.proven:
                self._daemon.parts.open_orders.swept(name)
        return result.document()

    def _meant(self, venue: str | None) -> list[str]:
        return [name for name in self._settings.venues if venue in (None, name)]

    async def close_positions(self, venue: str | None, operator: str) -> Mapping[str, Any]:
        """Close some venues' positions by an operator's wish; the gate stays as it is.

        Raises CircuitBreakerError during a trip: nobody orders anything beside it; and while another guard of these
        accounts has the right to open, or may have it. Either also ends what is under way.
        """
        facts = {"operator": operator, "venues": self._meant(venue)}
        names = EventName.CLOSE_POSITIONS_ASKED, EventName.CLOSE_POSITIONS_FINISHED
        with self._deeds.on_record("close-positions", *names, facts) as deed:
            result = await self._closed(venue)
            deed.ended({"outcome": result.document()})
        return result.document()

    async def _closed(self, venue: str | None) -> CloseResult:
        parts = self._daemon.parts
        refusal = self._why_no_closing(parts.clock.now().mono)
        if refusal is not None:
            raise CircuitBreakerError(refusal)
        adapters = chosen_of(self._site.adapters, venue)
        manager = manager_for(self._settings, self._site, adapters, await first_look(adapters), emit=parts.inbox.put)
        self._closings.add(manager)
        try:
            result = await manager.close_all_positions()
        finally:
            self._closings.discard(manager)
        for name, verdict in result.sweep.venues.items():
            if verdict.proven:
                parts.open_orders.swept(name)
        return result

    def _why_no_closing(self, now_mono: float) -> str | None:
        engine = self._daemon.parts.engine
        if engine.trip is not None and not engine.trip.is_freeze:
            return "a trip is being finished: ask again when the daemon has ended"
        return engine.outside.why_not_here(now_mono)
