"""A trip that closes positions, and `close-positions`, by the venues' own books: flat, never flipped, dust named."""

from __future__ import annotations

import json
import os
import signal
from decimal import Decimal

import pytest

from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.auth.operators import operator_name
from tests.e2e.harness import wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (API_KEY, API_SECRET), "krakenfutures": (API_KEY, API_SECRET)}
LINEAR, INVERSE, MARGIN = "BTC/USD:USD", "ETH/USD:ETH", "BTC/USD"
DUST = "0.00007"


def config(spot, perp, **circuit_breaker):
    rows = {"settle": '"200ms"', "order_flight": '"400ms"', "auto_close_positions": "true", **circuit_breaker}
    told = "\n".join(f"{key} = {value}" for key, value in rows.items())
    return f"""
[portfolio]
initial_capital = "auto"
[circuit_breaker]
{told}
[data]
reconcile_every = "3s"
call_timeout = "3s"
[baselines]
peak_hold = "1s"
[venues.kraken]
exchange = "kraken"
markets = ["spot", "margin"]
endpoint = "{spot.endpoint}"
[venues.krakenfutures]
exchange = "krakenfutures"
markets = ["perp"]
endpoint = "{perp.endpoint}"
"""


@pytest.fixture
def holding(simulate, daemon_for):
    """A linear long with dust, an inverse short and a margin short, with stops and a spot holding beside them."""
    spot, perp = simulate("kraken"), simulate("krakenfutures")
    spot.post("/balance", asset="BTC", amount="0.5")
    spot.post("/position", symbol=MARGIN, quantity="-0.25", entry="60000")
    perp.post("/position", symbol=LINEAR, quantity=f"0.3{DUST[3:]}", entry="60000")
    perp.post("/position", symbol=INVERSE, quantity="-900", entry="3000")
    perp.post(
        "/order", symbol=LINEAR, side="sell", type="stop_loss", quantity="0.3", trigger_price="1", reduce_only=True
    )

    def make(**circuit_breaker):
        return spot, perp, daemon_for(config(spot, perp, **circuit_breaker), KEYS)

    return make


def started(daemon):
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    daemon.start()
    daemon.wait_open()
    return daemon


def halt(daemon):
    done = daemon.command("halt", "--reason", "test")
    assert done.returncode == 0, done.stderr


def positions(*venues):
    """The venues' own books."""
    held = {}
    for venue in venues:
        held |= {name: Decimal(row["quantity"]) for name, row in venue.get("/state")["positions"].items()}
    return held


def executions(*venues):
    """What was executed: symbol, side, size, by what could only reduce."""
    fills = [fill for venue in venues for fill in venue.get("/state")["fills"]]
    assert all(fill["reduce_only"] for fill in fills)
    return sorted((fill["symbol"], fill["side"], Decimal(fill["fill_quantity"])) for fill in fills)


WHOLE = sorted([(LINEAR, "sell", Decimal("0.3")), (INVERSE, "buy", Decimal(900)), (MARGIN, "buy", Decimal("0.25"))])


def test_a_trip_closes_everything_and_names_what_is_left(holding):
    spot, perp, daemon = holding()
    perp.post("/depth", symbol=LINEAR, quantity="0.1", count=1)
    started(daemon)
    halt(daemon)

    assert daemon.exit_code() == 1, daemon.output()
    assert positions(spot, perp) == {LINEAR: Decimal(DUST)}
    parts = [(LINEAR, "sell", Decimal("0.1")), (LINEAR, "sell", Decimal("0.2"))]
    assert executions(spot, perp) == sorted([*parts, *(one for one in WHOLE if one[0] != LINEAR)])
    assert spot.get("/state")["open_order_count"] == perp.get("/state")["open_order_count"] == 0
    assert Decimal(spot.get("/state")["holdings"]["BTC"]["total"]) == Decimal("0.5")
    lines = daemon.of("position_closed")
    told = {line["symbol"]: (line["side"], line["quantity"], line["residual"]) for line in lines}
    assert told == {LINEAR: ("long", "0.3", DUST), INVERSE: ("short", "900", "0"), MARGIN: ("short", "0.25", "0")}
    finished = daemon.of("closing_finished")[-1]
    assert finished["flat"] is True
    assert Decimal(finished["remaining"]["BTC"]) >= Decimal("0.5")
    names = [name for name in daemon.names() if name in ("closing_started", "closing_finished", "system_shutdown")]
    assert names == ["closing_started", "closing_finished", "system_shutdown"]


def test_a_freeze_closes_nothing(holding):
    spot, perp, daemon = holding(action='"freeze"', loss_threshold='"5%"', warning_threshold='"off"')
    started(daemon)
    before = positions(spot, perp)
    perp.post("/price", asset="BTC", price="30000")
    for quote in ("USD", "USDT"):
        spot.post("/price", symbol=f"BTC/{quote}", price="30000")
    assert daemon.wait_for("circuit_breaker_triggered")["action"] == "freeze"
    daemon.wait_for("sweep_finished", 2, within_s=90.0)

    assert positions(spot, perp) == before
    assert executions(spot, perp) == []


def test_not_flat_by_the_deadline_is_4_and_the_restart_goes_on(holding):
    spot, perp, daemon = holding(cancel_deadline='"15s"')
    perp.post("/depth", symbol=LINEAR, quantity="0")
    started(daemon)
    halt(daemon)

    assert daemon.exit_code() == 4, daemon.output()
    assert positions(spot, perp).get(LINEAR) == Decimal("0.30007")
    assert LINEAR not in {event["symbol"] for event in daemon.of("position_closed")}
    finished = daemon.of("closing_finished")[-1]
    assert finished["flat"] is False
    assert f"{LINEAR} 0.30007" in finished["reason"]
    perp.delete("/depth")
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert positions(spot, perp) == {LINEAR: Decimal(DUST)}
    assert executions(spot, perp) == WHOLE


def test_kill_in_the_middle_goes_on_from_what_is_live(holding):
    spot, perp, daemon = holding(cancel_deadline='"60s"')
    perp.post("/depth", symbol=LINEAR, quantity="0.1", count=1)
    perp.post("/depth", symbol=INVERSE, quantity="0", rests=True, count=1)
    started(daemon)
    halt(daemon)
    wait_for(lambda: perp.get("/state")["fills"], "the first closing order")
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    daemon.start()

    assert daemon.exit_code() == 1, daemon.output()
    assert positions(spot, perp) == {LINEAR: Decimal(DUST)}
    sizes = {
        symbol: sum(size for name, _, size in executions(spot, perp) if name == symbol) for symbol in (LINEAR, INVERSE)
    }
    assert sizes == {LINEAR: Decimal("0.3"), INVERSE: Decimal(900)}


@pytest.mark.parametrize("is_running", [False, True])
def test_the_command_with_and_without_a_daemon(holding, is_running):
    spot, perp, daemon = holding()
    if is_running:
        started(daemon)
    refused = daemon.command("close-positions")
    assert refused.returncode == 78
    assert "Spot holdings are not sold" in refused.stderr
    assert executions(spot, perp) == []

    done = daemon.command("close-positions", "--yes", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads(done.stdout)
    assert document["flat"] is True
    assert Decimal(document["remaining"]["BTC"]) >= Decimal("0.5")
    assert positions(spot, perp) == {LINEAR: Decimal(DUST)}
    assert executions(spot, perp) == WHOLE
    if is_running:
        assert daemon.is_running()
        assert {event["symbol"] for event in daemon.of("position_closed")} == {LINEAR, INVERSE, MARGIN}


def test_the_command_for_one_venue_leaves_the_other(holding):
    spot, perp, daemon = holding()
    done = daemon.command("close-positions", "--yes", "--venue", "kraken")

    assert done.returncode == 0, done.stderr + done.stdout
    assert "0.25 closed" in done.stdout
    assert set(positions(spot, perp)) == {LINEAR, INVERSE}


def test_the_command_ends_with_4_where_it_is_not_flat(holding):
    _, perp, daemon = holding(cancel_deadline='"4s"')
    perp.post("/fault", how="venue_error", target="place", text="marketSuspended")
    done = daemon.command("close-positions", "--yes")

    assert done.returncode == 4
    assert "NOT FLAT" in done.stdout
    assert LINEAR in done.stdout


def test_after_a_trip_who_closed_and_cancelled_what_is_in_the_log_and_status_orders_it_no_more(holding):
    spot, perp, daemon = holding(auto_close_positions="false")
    started(daemon)
    halt(daemon)
    assert daemon.exit_code() == 1, daemon.output()
    before = daemon.command("status").stdout
    assert "As of 20" in before
    assert "NOBODY WAS TOLD of trip" in before
    assert "3 positions stand open" in before
    perp.post("/order", symbol=LINEAR, side="buy", type="limit", quantity="0.1", price="1000")

    assert daemon.command("cancel-all", "--venue", "krakenfutures").returncode == 0
    closed = daemon.command("close-positions", "--yes")
    assert closed.returncode == 0, closed.stderr
    assert positions(spot, perp) == {LINEAR: Decimal(DUST)}

    (asked,), (cancelled,) = daemon.of("cancel_all_asked"), daemon.of("cancel_all_finished")
    assert asked["operator"] == cancelled["operator"] == operator_name(os.getuid())
    assert asked["venues"] == ["krakenfutures"]
    assert cancelled["outcome"]["cancelled"] == 1
    (asked,), (finished,) = daemon.of("close_positions_asked"), daemon.of("close_positions_finished")
    assert asked["venues"] == ["kraken", "krakenfutures"]
    assert finished["operator"] == operator_name(os.getuid())
    told = {row["symbol"]: row for venue in finished["outcome"]["venues"].values() for row in venue["positions"]}
    assert {name: row["residual"] for name, row in told.items()} == {LINEAR: DUST, INVERSE: "0", MARGIN: "0"}
    assert daemon.command("verify-log").returncode == 0
    after = " ".join(daemon.command("status").stdout.split())
    assert "1 position stands open" in after
    assert f": krakenfutures {LINEAR} {DUST}." in after


def test_with_a_guard_who_cancelled_and_closed_is_in_the_log_and_in_status(holding):
    _spot, perp, daemon = holding()
    started(daemon)
    perp.post("/order", symbol=LINEAR, side="buy", type="limit", quantity="0.1", price="1000")
    assert daemon.command("cancel-all", "--venue", "krakenfutures").returncode == 0
    closed = daemon.command("close-positions", "--yes")
    assert closed.returncode == 0, closed.stderr

    me = operator_name(os.getuid())
    told = daemon.command("status").stdout
    assert f"close-positions on kraken, krakenfutures, asked for by {me} at " in told
    (asked,), (finished,) = daemon.of("cancel_all_asked"), daemon.of("cancel_all_finished")
    assert (asked["operator"], asked["venues"], asked["market"]) == (me, ["krakenfutures"], None)
    assert (finished["operator"], finished["outcome"]["proven"]) == (me, True)
    (asked,), (finished,) = daemon.of("close_positions_asked"), daemon.of("close_positions_finished")
    assert (asked["operator"], finished["operator"], finished["outcome"]["flat"]) == (me, me, True)
    assert daemon.command("verify-log").returncode == 0


def test_a_log_that_can_not_be_written_keeps_nothing_from_being_closed(holding):
    spot, perp, daemon = holding(auto_close_positions="false")
    started(daemon)
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    log = daemon.directory / "var" / "events.jsonl"
    log.unlink()
    log.mkdir()

    done = daemon.command("close-positions", "--yes")
    assert done.returncode == 0, done.stderr
    assert "close_positions_finished is not written down" in done.stderr
    assert positions(spot, perp) == {LINEAR: Decimal(DUST)}
