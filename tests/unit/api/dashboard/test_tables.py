"""The tables: newest first, unknown is said, and red is what refuses orders."""

from __future__ import annotations

from typing import Any

from risk_daemon.api.dashboard import tables
from risk_daemon.api.dashboard.alerts import alerts, waits
from risk_daemon.model.status import State
from tests.page_world import document, tripped
from tests.unit.api.dashboard.test_summary import state, words


def test_breakers_have_words_and_colours() -> None:
    shown = tables.breakers(State.shown(tripped()))
    assert '<strong class="badge bad">TRIPPED, trip</strong>' in shown
    assert '<strong class="badge bad">TRIPPED, veto</strong>' in shown
    assert '<strong class="badge good">NORMAL</strong>' in shown
    halted = tables.breakers(state(breakers={"manual": "MANUALLY_HALTED", "odd": "RESETTING"}))
    assert '<strong class="badge bad">MANUALLY_HALTED</strong>' in halted
    assert '<strong class="badge warn">RESETTING</strong>' in halted
    assert '<strong class="badge warn">NORMAL, warned</strong>' in tables.breakers(state())


def test_a_venue_says_what_it_does_not_know() -> None:
    calm = document()["venues"]["kraken"]
    orders = {"listed_s": None, "failing_s": 12.0, "reason": "no permission", "may_cancel": None, "open": None}
    shown = words(tables.venues(state(venues={"kraken": {**calm, "connected": False, "orders": orders}}), {}))
    assert "NO" in shown
    assert "not known NOT LISTED for 12 s no permission" in shown
    assert "not swept" in shown
    never = {**calm, "age_s": {"balances": None, "positions": None, "prices": None}}
    assert words(tables.venues(state(venues={"kraken": never}), {})).count("not in this run") == 3
    key = {**calm["orders"], "may_cancel": False}
    assert "THIS KEY MAY NOT CANCEL" in words(tables.venues(state(venues={"kraken": {**calm, "orders": key}}), {}))


def test_a_dead_man_s_switch_that_is_not_refreshed_is_told() -> None:
    calm = document()["venues"]["kraken"]
    switch = {"timeout_s": 60.0, "armed_until": None, "markets": [], "refreshed_s": None, "reason": "refused"}
    shown = words(tables.venues(state(venues={"kraken": {**calm, "dead_man": switch}}), {}))
    assert "dead man's switch not refreshed refused" in shown.replace("&#x27;", "'")


def test_positions_with_value_and_profit_and_none_without_a_mark() -> None:
    shown = words(tables.positions(state()))
    assert "BTC/USD:BTC krakenfutures \N{MINUS SIGN}1,500 61,250.5 61,890.0 \N{MINUS SIGN}1,499.12 USDT" in shown
    assert "ETH/USD:USD krakenfutures 12 3,010.25 not known not known not known" in shown


def test_no_position_is_said_only_by_who_has_told() -> None:
    assert "No position is open." in tables.positions(state(positions=[]))
    silent = {"kraken": {**document()["venues"]["kraken"], "age_s": {}}}
    assert "Not known: kraken has not told." in tables.positions(state(positions=[], venues=silent))
    assert "Not known" in tables.holdings(State.shown({}))


def test_of_very_many_the_largest_are_shown_and_that_is_said() -> None:
    one = document()["holdings"][0]
    many = [{**one, "asset": f"A{n}", "value": str(n)} for n in range(1, 700)]
    shown = tables.holdings(state(holdings=[*many, {**one, "asset": "UNPRICED", "value": None}]))
    assert "500 of 700 are shown" in shown
    assert "UNPRICED" in shown
    assert "A699" in shown
    assert ">A1<" not in shown


def test_what_happened_newest_first() -> None:
    shown = words(tables.orders(state()))
    assert shown.index("O0-QWERT") < shown.index("O11-QWERT")
    assert "0.05 61,000.5 open" in shown
    assert "0.01 61,800 0.55 USDT" in words(tables.fills(state()))
    assert "order_rejected kraken grid-1 EOrder:Insufficient funds" in words(tables.errors(state()))
    assert "max_notional kraken grid-1 BTC/USDT buy 1 60,000 is more than 50,000" in words(tables.vetoes(state()))
    assert "O2-QWERT" in words(tables.open_orders(state()))


def test_no_fills_and_not_known_are_two_things() -> None:
    recent: dict[str, Any] = {"orders": [], "fills": None, "errors": [], "vetoes": []}
    assert "not known: no venue has told of any fills" in tables.fills(state(recent=recent))
    assert "None." in tables.fills(state(recent={**recent, "fills": []}))
    assert "not known" in tables.open_orders(state(open_orders=None))


def test_a_filter_looks_for_every_word() -> None:
    assert "EOrder" in tables.errors(state(), "KRAKEN insufficient")
    assert "EOrder" not in tables.errors(state(), "kraken nonsense")
    assert "EOrder" not in tables.errors(state(), "<")


def test_rows_that_are_none_are_left_out() -> None:
    recent = {"orders": ["odd", 3, None], "fills": [], "errors": [], "vetoes": []}
    assert "None." in tables.orders(state(recent=recent))


def test_who_is_told() -> None:
    standing = {"summary": "TRIPPED <b>", "since": "2026-11-20T12:00:00Z", "told": 3, "acknowledged_by": None}
    attempt = {"time": "2026-11-20T12:00:00Z", "channel": "oncall", "event": "trip", "delivered": False, "status": 500}
    channels = {"oncall": {"kind": "webhook"}}
    told = alerts({"standing": standing, "channels": channels, "attempts": [attempt]}, state())
    assert "NOBODY HAS ACKNOWLEDGED IT" in told
    assert "TRIPPED &lt;b&gt;" in told
    assert "FAILED" in told
    heard = {"standing": {**standing, "acknowledged_by": "alice"}, "channels": channels}
    assert "acknowledged by alice" in alerts(heard, state())
    calm = alerts({"standing": None, "channels": channels}, state())
    assert "No trip waits for somebody to hear of it." in calm


def test_in_a_trip_of_which_nobody_was_told_that_is_what_is_said() -> None:
    """No channel is configured, or none can be used: whoever looks at the page is the only one who knows."""
    tripped_one = State.shown(tripped())
    nobody = alerts({"standing": None, "channels": {}, "unusable": {}, "attempts": []}, tripped_one)
    assert "NOBODY WAS TOLD" in nobody
    assert "of trip trip-1 but whoever looks here" in nobody
    assert "no alert channel is configured" in nobody
    assert "No trip waits" not in nobody
    unusable = {"phone": "its secret is missing"}
    none_left = alerts({"standing": None, "channels": {}, "unusable": unusable, "attempts": []}, tripped_one)
    assert "NOBODY WAS TOLD" in none_left
    assert "LEFT OUT" in none_left
    assert "phone: its secret is missing" in none_left
    assert "none that is configured can be used" in none_left
    lost = alerts({"standing": None, "channels": {"oncall": {"kind": "webhook"}}}, tripped_one)
    assert "WHO WAS TOLD" in lost
    assert "No trip waits" not in lost


def test_what_is_not_known_of_alerts_is_not_none() -> None:
    told = alerts({}, State.shown({}))
    assert "Who was told of what is not known." in told
    assert "no channel" not in told
    assert "No alert was sent" not in told


def test_a_trip_waits_until_somebody_has_acknowledged_it() -> None:
    assert waits({"standing": {"trip_id": "t", "acknowledged_by": None}})
    assert not waits({"standing": {"trip_id": "t", "acknowledged_by": "alice"}})
    assert not waits({"standing": None})
    assert not waits({})


def test_a_lock_that_others_read_says_whether_it_can_be_written() -> None:
    well = {"name": "file", "written_s": 0.4, "failing_s": None, "reason": None}
    failing = {"name": "redis://db:6379/0", "written_s": 30.0, "failing_s": 12.0, "reason": "no <answer>"}
    early = {**well, "name": "redis://b:6379/0", "written_s": None}
    shown = tables.locks(state(locks=[well, failing, early]))
    assert "no &lt;answer&gt;" in shown
    assert "file yes redis://db:6379/0 NO 12 s no" in words(shown)
    assert words(shown).endswith("redis://b:6379/0 NO not yet")
    assert tables.locks(state(locks=[well])) == tables.locks(state(locks=[{**well, "written_s": 0.9}]))
    assert "Not known" in words(tables.locks(state(locks=[])))
