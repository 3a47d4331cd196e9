"""Scenarios written by hand: one question each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog

from risk_daemon.model.events import Kind
from tests.simulated.run import Outcome, play, quiet
from tests.simulated.scenario import BotSpec, Call, Fault, Happening, Kill, Rules, Scenario, VenueSpec

PRICES = {"BTC": Decimal(50_000), "ETH": Decimal(2_000)}
STREAMS = frozenset({Kind.BALANCES, Kind.PRICES})
SPOT = VenueSpec("alpha", False, {"USDT": Decimal(2_000), "BTC": Decimal("0.08")}, streams=STREAMS)
PERP = VenueSpec("beta", True, {"USDT": Decimal(4_000)}, {"ETH/USDT:USDT": (Decimal(1), Decimal(2_000))})
CRASH = {"factors": {"BTC": Decimal("0.8"), "ETH": Decimal("0.8")}}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


def run(*happenings: Happening, venues: tuple[VenueSpec, ...] = (SPOT, PERP), **fields: Any) -> Outcome:
    """Play a quiet world with these happenings; every scenario must also satisfy the checker."""
    outcome = play(Scenario(7, venues, PRICES, happenings=happenings, **fields), traced=True)

    assert outcome.violations == []
    return outcome


def crash(at_s: float = 15.0) -> Happening:
    return Happening(at_s, "move", CRASH)


def logged(outcome: Outcome, name: str) -> list[str]:
    return [line for line in outcome.log if f" {name} " in line]


def moment(outcome: Outcome, name: str) -> float:
    """Seconds of the day of the first event of that name."""
    hours, minutes, seconds = re.split("[:Z]", logged(outcome, name)[0].split("T", 1)[1])[:3]
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def test_a_crash_ends_in_exit_1() -> None:
    """And started again it ends at once: the second 1."""
    outcome = run(crash(), bots=(BotSpec("alpha", "plain", 0.5),))

    assert outcome.ends == [1, 1]
    assert logged(outcome, "sweep_finished")


def test_an_idle_account_is_never_blind() -> None:
    """Nothing moves for twenty minutes: prices are confirmed, not changed."""
    outcome = run(safety_s=1_200.0, walk=Decimal(0), walk_every_s=10_000.0, rules=Rules(tick_every_s=1.0))

    assert outcome.trips == 0
    assert logged(outcome, "blind_started") == []
    assert outcome.virtual_s >= 1_200


def test_a_venue_that_dies_during_the_trip_delays_no_other() -> None:
    """The other one is proven in seconds; at the deadline the exit code is 4; healed and started again it is 1."""
    dead = Happening(15.2, "trouble", {"venue": "beta", "fault": Fault.HANG})
    outcome = run(crash(), dead, safety_s=70.0)

    proven = next(line for line in logged(outcome, "venue_proven") if "alpha" in line)
    elapsed_s = float(re.search(r"'elapsed_s': ([0-9.]+)", proven)[1])
    assert elapsed_s < 4.0
    assert outcome.ends[0] == 4
    assert outcome.ends[-2:] == [1, 1]
    assert moment(outcome, "system_shutdown") - moment(outcome, "circuit_breaker_triggered") < 45.0


def test_a_bot_that_does_not_ask_is_named_and_outlasted() -> None:
    """It places an order every 200 ms until it is stopped; then exit 1."""
    bot = BotSpec("beta", "trigger", 0.2, flight_s=0.05, reckless=True)
    outcome = run(crash(), bots=(bot,), safety_s=30.0)

    assert outcome.ends == [1, 1]
    assert "reckless-0-" in logged(outcome, "order_replaced")[0]


@pytest.mark.parametrize("handles", [0, 1, 3, 10, 40, 200])
@pytest.mark.parametrize("event", ["circuit_breaker_triggered", "sweep_finished"])
def test_killed_in_the_trip_it_goes_on(event: str, handles: int) -> None:
    """Wherever kill -9 strikes, restarts end in exit 1, and the next start cancels nothing (the checker sees to it)."""
    outcome = run(crash(), kills=(Kill(None, event, handles),), safety_s=40.0)

    assert outcome.ends[-2:] == [1, 1]
    assert set(outcome.ends) <= {1, 9}


def test_a_withdrawal_is_no_loss() -> None:
    """Whether the account or the ledger learns of it first."""
    amounts = {"venue": "alpha", "asset": "USDT", "amount": Decimal(-1_500)}
    first = Happening(15.0, "flow", {**amounts, "ledger_delay_s": 1.5})
    second = Happening(25.0, "flow", {**amounts, "amount": Decimal(-400), "balance_delay_s": 5.0})
    outcome = run(first, second, safety_s=40.0)

    assert outcome.trips == 0
    assert len(logged(outcome, "flow_detected")) == 2


def test_a_wild_tick_is_a_phantom() -> None:
    """One wrong price on the stream: the gate shuts, and opens again."""
    lie = {"venue": "alpha", "asset": "BTC", "factor": Decimal("0.5"), "for_s": 0.5}
    outcome = run(Happening(15.0, "lie", lie))

    assert outcome.trips == 0
    assert len(logged(outcome, "phantom_breach")) == 1


def test_a_slow_venue_that_is_asked_every_second_still_answers() -> None:
    """Its ledger can't be read for a while, so the guard keeps asking; the answers must not drown in the questions."""
    slow = VenueSpec("beta", True, {"USDT": Decimal(4_000)}, latency_s=1.4)
    deaf = {"venue": "beta", "fault": Fault.MALFORMED, "calls": frozenset({Call.FLOWS}), "for_s": 15.0}
    flow = {"venue": "beta", "asset": "USDT", "amount": Decimal(-1_000)}
    outcome = run(Happening(14.0, "trouble", deaf), Happening(15.0, "flow", flow), venues=(SPOT, slow), safety_s=45.0)

    assert outcome.trips == 0
    assert len(logged(outcome, "flow_detected")) == 1


def test_a_clock_that_jumps_a_day_ahead_hides_no_flow() -> None:
    """The ledger is asked from where it was last read, also when that was after the jump."""
    flow = {"venue": "alpha", "asset": "USDT", "amount": Decimal(-900)}
    jump = Happening(15.0, "wall_jump", {"seconds": 90_000.0})
    outcome = run(jump, Happening(20.0, "flow", flow), Happening(40.0, "flow", flow), safety_s=60.0)

    assert outcome.trips == 0
    assert len(logged(outcome, "flow_detected")) == 2


def test_told_to_stop_it_cancels_nothing() -> None:
    """Exit 0, then a person starts it again."""
    outcome = run(Happening(16.0, "sigterm"), bots=(BotSpec("alpha", "plain", 1.0),))

    assert outcome.ends == [0, 9]
    assert outcome.trips == 0


def test_orders_that_cannot_be_listed_shut_the_gate_until_they_can() -> None:
    """Everything else is read: only the listing fails, and after a while nobody may trade."""
    trouble = {"venue": "alpha", "fault": Fault.REFUSED, "calls": frozenset({Call.LIST})}
    outcome = run(Happening(12.0, "trouble", trouble), safety_s=60.0)

    assert outcome.trips == 0
    assert len(logged(outcome, "unlistable_started")) == len(logged(outcome, "unlistable_ended")) == 1
    assert 12.0 <= moment(outcome, "unlistable_started") - moment(outcome, "venue_connected") < 45.0


def test_a_listing_that_is_refused_shuts_the_gate_within_one_round() -> None:
    refused = {"venue": "alpha", "fault": Fault.REJECTED, "calls": frozenset({Call.LIST})}
    outcome = run(Happening(12.0, "trouble", refused), safety_s=60.0)

    assert moment(outcome, "unlistable_started") - moment(outcome, "venue_connected") < 12.0 + 10.0 + 1.0
    assert logged(outcome, "unlistable_ended")


def test_a_key_that_may_only_read_is_found_at_the_start() -> None:
    outcome = run(Happening(0.0, "read_only", {"venue": "beta"}), safety_s=60.0)

    assert moment(outcome, "unlistable_started") - moment(outcome, "venue_connected") < 10.0
    assert "may not cancel" in logged(outcome, "unlistable_started")[0]
    assert logged(outcome, "unlistable_ended")
