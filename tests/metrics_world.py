"""A guard in so much trouble that every metric has a sample, and a scrape of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from oms import VenueVerdict
from risk_daemon.breakers import (
    BaseCircuitBreaker,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    OrderRateCircuitBreaker,
    VenueLossCircuitBreaker,
)
from risk_daemon.engine.settings import DeadManSettings, ListingSettings
from risk_daemon.fund.escrow import step
from risk_daemon.metrics.counters import Counters
from risk_daemon.metrics.exposition import written
from risk_daemon.metrics.reading import CallBudget, ChannelReading, Reading
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import (
    CancelChecked,
    DeadManAnswered,
    ErrorKind,
    ErrorReported,
    EventName,
    HaltRequested,
    OrderReported,
    OrdersListed,
    RiskEvent,
)
from risk_daemon.model.others_status import GuardsStatus, PeerStatus
from risk_daemon.model.status import LockStoreStatus, PositionStatus
from risk_daemon.runtime.fund_status import MemberSettings, fund_status
from risk_daemon.runtime.status import status_of
from tests.core_world import SPOT, World, amounts, engine_settings, with_
from tests.unit.fund.fund import lost, two

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def rules() -> tuple[BaseCircuitBreaker, ...]:
    return (
        DrawdownCircuitBreaker(Decimal("0.1")),
        DailyLossCircuitBreaker(max_daily_loss=Decimal(400)),
        VenueLossCircuitBreaker(max_venue_loss_pct="20%"),
        OrderRateCircuitBreaker(),
        ErrorRateCircuitBreaker(),
    )


def guarded() -> World:
    """A day without trouble on the venue `spot`, with a tenth of a bitcoin, which is 5,000 USDT."""
    settings = with_(
        engine_settings(5_000, venues={"spot": SPOT}), listing=ListingSettings({"spot": frozenset({"plain"})})
    )
    switch = DeadManSettings(timeout_s=60.0, covers="all", leaves="none")
    world = World(replace(settings, dead_men={"spot": switch}), rules=rules)
    world.holdings["spot"] = amounts(BTC="0.1")
    world.start()
    world.send(OrdersListed("spot", "plain", world.now, ()))
    world.send(CancelChecked("spot", True, ""))
    world.send(DeadManAnswered(venue="spot", requested_mono=world.now, armed=("BTC/USDT",)))
    return world


def reading_of(world: World, sweep: Mapping[str, VenueVerdict] | None = None, **more: object) -> Reading:
    """What a scrape of it tells, with nothing counted unless `more` says so."""
    now = world.clock.now()
    told = Reading(
        status=status_of(world.engine, now, sweep or {}),
        wall=now.wall,
        version="1.2.3",
        counted=Counters().counted(),
        evaluated_wall=now.wall - 0.1,
        lease_left_s=0.9,
        waiting=0,
        log_seq=7,
    )
    return replace(told, **more)  # type: ignore[arg-type]


def counted() -> Counters:
    """Something of everything."""
    counters = Counters()
    counters.answers["allowed"] += 3
    counters.answers["daily_loss"] += 1
    counters.told_vetoes["locked"] += 2
    counters.reported(OrderReported("spot", "BTC/USDT", OrderSide.BUY, "grid-1"))
    counters.reported(ErrorReported(ErrorKind.ORDER_REJECTED, "grid-1", "spot", "no funds"))
    counters.wrote([RiskEvent(EventName.SWEEP_FINISHED, {"proven": True, "elapsed_s": 3.5})], 1.0)
    counters.turns.add(4e-5)
    counters.turns.add(2.0)
    return counters


def troubled() -> Reading:
    """Halted, swept, with a failing channel, a venue that counts calls, and callers who were turned away."""
    world = guarded()
    world.send(HaltRequested("it floods", "anna", bot="grid-1"))
    world.send(HaltRequested("drill", "anna"))
    proven = VenueVerdict("spot", True, 3, (), (), None, 0.1, 2.0, ("plain",))
    told = reading_of(
        world,
        {"spot": proven},
        counted=counted().counted(),
        open_orders={"spot": {"plain": 2, "stream": 1}},
        budgets={"spot": (CallBudget("others", 3.0, 15.0),)},
        channels={"oncall": ChannelReading(sent=4, failed=2, failing=1, owed=1, missed=0)},
        turned_away={"failed_login": 5, "silent": 0, "crowded": 0, "full": 0},
    )
    short = PositionStatus(
        venue="perp", symbol="BTC/USDT:USDT", quantity="-2", entry="51000", mark="50000", value="100000",
        unrealized="2000", stale=False,
    )  # fmt: skip
    unmarked = replace(short, symbol="ETH/USDT:USDT", mark=None, value=None, unrealized=None, stale=None)
    lock = LockStoreStatus(name="redis://h:6379/0", written_s=None, failing_s=7.5, reason="it did not answer in time")
    _, _, member = two()
    settings = MemberSettings(fund="alpha", member="b", limit="1000 USDT", currency="USDT")
    tripped = step(member, lost(400))[0]
    fund = fund_status(settings, tripped, why_not="tripped", is_told=False, ledger_error="gone", read_s=7.0)
    peer = PeerStatus(name="b", heard=True, here=False, cause="daily_loss", reason="3 %")
    guards = GuardsStatus(name="a", opens="b", epoch=7, since=None, answered_s=0.5, reason=None, peers=(peer,))
    status = replace(told.status, positions=(short, unmarked), locks=(lock,), guards=guards, fund=fund)
    return replace(told, status=status)


async def scraped(reading: Reading) -> Samples:
    """Name and labels -> value, read back from what Prometheus would be given."""
    return samples_of((await written(reading)).body.decode())


def samples_of(text: str) -> Samples:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = _SAMPLE.match(line)
            assert match is not None, line
            labels = frozenset(_LABEL.findall(match[2] or ""))
            assert (match[1], labels) not in found, f"twice: {line}"
            found[match[1], labels] = float(match[3])
    return found


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """One sample, by the name without the prefix; None where there is none."""
    return samples.get((f"risk_daemon_{name}", frozenset(labels.items())))


def names(samples: Samples) -> set[str]:
    """Which metrics have a sample, as the table names them."""
    return {re.sub(r"(decision_seconds)_(bucket|sum|count)$", r"\1", name) for name, _ in samples}
