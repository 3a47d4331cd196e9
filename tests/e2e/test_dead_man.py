"""The venues' own switches, by the venues' own books: they fire when the guard is dead or hangs, and only then."""

from __future__ import annotations

import signal

import pytest

from adapters.simulated import API_KEY, API_SECRET
from tests.e2e.harness import wait_for

pytestmark = pytest.mark.long

TIMEOUT_S = 20.0
SWITCH = f'timeout = "{TIMEOUT_S:.0f}s"\nexclusive = true'
KINDS = ("kraken", "krakenfutures")
ORDERS = {
    "kraken": [
        {"symbol": "BTC/USD", "side": "buy", "type": "limit", "quantity": "0.001", "price": "20000"},
        {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "quantity": "0.001", "price": "20000"},
    ],
    "krakenfutures": [
        {"symbol": "PF_XBTUSD", "side": "buy", "type": "limit", "quantity": "0.001", "price": "20000"},
        {"symbol": "PF_XBTUSD", "side": "sell", "type": "stop_loss", "quantity": "0.001", "trigger_price": "10000"},
    ],
}


def config(kind, venue, switch=SWITCH):
    markets = "perp" if kind == "krakenfutures" else "spot"
    return f"""
[portfolio]
initial_capital = "auto"
[circuit_breaker]
settle = "300ms"
order_flight = "500ms"
[baselines]
peak_hold = "1s"
[venues.{kind}]
exchange = "{kind}"
markets = ["{markets}"]
endpoint = "{venue.endpoint}"
[venues.{kind}.dead_man]
{switch}
"""


class Guarded:
    """A venue with open orders, and a daemon that has armed its switch."""

    def __init__(self, kind, venue, daemon):
        self.kind, self.venue, self.daemon = kind, venue, daemon

    @property
    def truth(self):
        return self.venue.get("/state")

    @property
    def due(self):
        return self.truth["dead_man_due_wall"]

    @property
    def fired(self):
        return [gone for gone in self.truth["cancelled_orders"] if gone["how"] == "dead_man"]

    @property
    def asked(self):
        """How often the switch was called."""
        return self.truth["calls"].get("dead_man", {"count": 0})["count"]

    def let_time_pass(self, seconds):
        """At the venue only, beside the time that passes anyway."""
        self.venue.post("/clock", skew_s=seconds)

    def until_armed(self):
        wait_for(lambda: self.due is not None, "an armed switch")

    def until_refreshed(self):
        due = self.due
        wait_for(lambda: self.due > due, "a refresh")


@pytest.fixture
def guard(simulate, daemon_for):
    def start(kind, switch=SWITCH):
        venue = simulate(kind)
        for order in ORDERS[kind]:
            venue.post("/order", **order)
        daemon = daemon_for(config(kind, venue, switch), {kind: (API_KEY, API_SECRET)})
        init = daemon.command("init", "--yes")
        assert init.returncode == 0, init.stderr
        daemon.start()
        daemon.wait_open()
        guarded = Guarded(kind, venue, daemon)
        daemon.wait_for("dead_man_armed")
        assert guarded.truth["open_order_count"] == len(ORDERS[kind])
        assert guarded.due is not None
        return guarded

    return start


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_guards_orders_are_gone_by_the_switch(guard, kind):
    guarded = guard(kind)
    armed = guarded.daemon.of("dead_man_armed")[0]
    assert (armed["venue"], armed["timeout_s"], armed["may_have_fired"]) == (kind, TIMEOUT_S, False)
    assert armed["covers"]
    assert armed["leaves"]
    guarded.until_refreshed()
    guarded.daemon.signal(signal.SIGKILL)
    assert guarded.daemon.exit_code() == -signal.SIGKILL
    assert guarded.truth["open_order_count"] == len(ORDERS[kind]), "nothing but the switch removes them"
    assert guarded.due is not None
    guarded.let_time_pass(TIMEOUT_S)
    wait_for(lambda: guarded.due is None, "the switch")
    assert guarded.truth["open_order_count"] == 0
    assert len(guarded.fired) == len(guarded.truth["cancelled_orders"]) == len(ORDERS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_stop_disarms_it_and_nothing_is_cancelled(guard, kind):
    guarded = guard(kind)
    guarded.daemon.signal(signal.SIGTERM)
    assert guarded.daemon.exit_code() == 0, guarded.daemon.output()
    assert guarded.due is None
    guarded.let_time_pass(2 * TIMEOUT_S)
    assert guarded.truth["cancelled_orders"] == []
    assert guarded.truth["open_order_count"] == len(ORDERS[kind])
    assert guarded.daemon.of("dead_man_disarmed")[0]["venue"] == kind
    assert guarded.daemon.names()[-1] == "system_shutdown"


def test_it_is_refreshed_four_times_in_its_time(guard):
    guarded = guard("kraken", 'timeout = "8s"\nexclusive = true')
    began = guarded.venue.get("/state")["wall"]
    for _ in range(5):
        guarded.until_refreshed()
    truth = guarded.truth
    assert truth["wall"] - began > 8.0, "it outlived its time"
    assert truth["cancelled_orders"] == []
    status = guarded.daemon.risk()["venues"]["kraken"]["dead_man"]
    assert status["timeout_s"] == 8.0
    assert status["reason"] is None
    assert status["armed_until"] is not None


@pytest.mark.parametrize("delay_ms", [500, 2_000])
def test_a_refresh_under_way_arms_nothing_after_the_disarm(guard, delay_ms):
    guarded = guard("kraken")
    asked = guarded.asked
    guarded.venue.post("/fault", how="slow", target="dead_man", delay_ms=delay_ms, count=1)
    wait_for(lambda: guarded.asked > asked, "a refresh under way")
    guarded.daemon.signal(signal.SIGTERM)
    assert guarded.daemon.exit_code() == 0, guarded.daemon.output()
    assert guarded.due is None
    guarded.let_time_pass(2 * TIMEOUT_S)
    assert guarded.truth["cancelled_orders"] == []
    assert "note" not in guarded.daemon.of("dead_man_disarmed")[0]


def test_a_hung_guard_lets_it_fire_and_says_so_when_it_wakes(guard):
    guarded = guard("kraken", 'timeout = "8s"\nexclusive = true')
    guarded.daemon.signal(signal.SIGSTOP)
    wait_for(lambda: len(guarded.fired) == len(ORDERS["kraken"]), "the switch")
    assert guarded.truth["open_order_count"] == 0
    guarded.daemon.signal(signal.SIGCONT)
    assert guarded.daemon.wait_for("dead_man_armed", count=2)["may_have_fired"] is True
    assert guarded.due is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_trip_keeps_it_armed_until_all_is_proven(guard, kind):
    guarded = guard(kind)
    guarded.venue.post("/fault", how="html", target="open_orders")
    assert guarded.daemon.command("halt", "--reason", "drill").returncode == 0
    guarded.daemon.wait_for("sweep_started")
    for _ in range(2):
        guarded.until_refreshed()
    assert guarded.daemon.is_running()
    assert "dead_man_disarmed" not in guarded.daemon.names()
    guarded.venue.delete("/fault")
    assert guarded.daemon.exit_code() == 1, guarded.daemon.output()
    names = guarded.daemon.names()
    assert names.index("dead_man_disarmed") > names.index("sweep_finished")
    assert guarded.due is None
    assert guarded.fired == []


def test_an_end_without_a_proof_leaves_it_armed(guard):
    guarded = guard("kraken")
    guarded.venue.post("/fault", how="html", target="open_orders")
    assert guarded.daemon.command("halt", "--reason", "drill").returncode == 0
    guarded.daemon.wait_for("sweep_started")
    guarded.daemon.signal(signal.SIGTERM)
    assert guarded.daemon.exit_code() == 4, guarded.daemon.output()
    assert guarded.due is not None
    assert "dead_man_disarmed" not in guarded.daemon.names()


def test_a_refused_arming_is_told_once_an_outage_and_tried_again(guard):
    guarded = guard("kraken", 'timeout = "8s"\nexclusive = true')
    guarded.venue.post("/fault", how="venue_error", target="dead_man", text="EGeneral:Temporary lockout")
    refused = guarded.daemon.wait_for("dead_man_refused")
    assert "lockout" in refused["reason"]
    asked = guarded.asked
    wait_for(lambda: guarded.asked > asked + 1, "more tries")
    assert guarded.daemon.risk()["locked"] is False
    guarded.venue.delete("/fault")
    guarded.daemon.wait_for("dead_man_armed", count=2)
    assert len(guarded.daemon.of("dead_man_refused")) == 1


@pytest.mark.parametrize(
    ("switch", "said"),
    [
        ('timeout = "60s"', "exclusive"),
        ('timeout = "2d"\nexclusive = true', "1 to 86400 s"),
        ('timeout = "1500ms"\nexclusive = true', "whole seconds"),
    ],
)
def test_what_does_not_fit_refuses_the_start(simulate, daemon_for, switch, said):
    venue = simulate("kraken")
    daemon = daemon_for(config("kraken", venue, switch), {"kraken": (API_KEY, API_SECRET)})
    daemon.start()
    assert daemon.exit_code() == 78
    assert said in daemon.output()
    assert venue.get("/state")["dead_man_due_wall"] is None


def test_check_says_what_it_covers(guard):
    guarded = guard("kraken")
    told = guarded.daemon.command("check").stdout
    assert "dead man's switch of 20s" in " ".join(told.split())
    assert "It leaves" in " ".join(told.split())
