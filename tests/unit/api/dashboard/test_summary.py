"""The first lines of the page: never better than what is known."""

from __future__ import annotations

import re
from typing import Any

import pytest

from risk_daemon.api.dashboard import summary
from risk_daemon.model.status import State
from tests.page_world import document, tripped, vetoed


def state(**more: Any) -> State:
    return State.shown(document(**more))


def words(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


@pytest.mark.parametrize(
    ("more", "tone", "word"),
    [
        ({}, "good", "ACTIVE"),
        ({"state": "WARNING"}, "warn", "WARNING"),
        ({"state": "DISABLED"}, "warn", "SWITCHED OFF"),
        ({"started": False, "locked": True}, "warn", "STARTING"),
        ({"locked": True}, "bad", "GATE SHUT"),
        ({"locked": None}, "bad", "NOT KNOWN"),
        ({"state": ""}, "bad", "NOT KNOWN"),
        ({"state": "TRIGGERED"}, "bad", "TRIGGERED"),
        ({"restraints": [{"cause": "x", "reason": "y", "venue": "kraken", "bot": None}]}, "warn", "ACTIVE"),
    ],
)
def test_the_headline(more: dict[str, Any], tone: str, word: str) -> None:
    line = summary.headline(state(**more))
    assert (line.tone, line.word) == (tone, word)


def test_of_nothing_nothing_is_said_to_be_well() -> None:
    nothing = State.shown({})
    assert summary.headline(nothing).tone == "bad"
    shown = words(summary.now(nothing, {}) + summary.worth(nothing) + summary.profit(nothing))
    assert "0.00" not in shown
    assert shown.count("not known") >= 8


def test_the_nearest_limit_comes_first_and_is_the_largest_thing() -> None:
    shown = summary.now(state(), {})
    assert '<span class="big">174.00 USDT</span>' in shown
    assert "may still be lost before daily_loss freezes everything" in words(shown)


def test_past_a_limit_and_not_known() -> None:
    calm = document()["distances"][0]
    past = words(summary.now(state(distances=[{**calm, "left": "-12.5"}]), {}))
    assert "12.50 USDT past the limit of daily_loss" in past
    unknown = words(summary.now(state(distances=[{**calm, "left": None}]), {}))
    assert "not known how much may still be lost" in unknown
    assert "No rule about a loss of the whole portfolio is on." in words(summary.now(state(distances=[]), {}))


def test_in_a_trip_the_proof_is_the_largest_thing() -> None:
    shown = summary.now(State.shown(tripped()), {"kraken": 1_795_186_680.0})
    assert "NOT proven yet" in shown
    told = words(shown)
    assert "1 of 2 venues are proven" in told
    assert "kraken all orders gone : proven 14:58:00 , 14 cancelled" in told
    assert "krakenfutures NOT proven : the listing timed out" in told
    lock = {**tripped()["lock"], "proven": True}
    done = words(summary.now(State.shown({**tripped(), "lock": lock}), {}))
    assert "All orders are gone" in done
    assert "proven ( time not known )" in done
    assert "All orders are gone proven gone on all venues; when is not known" in done


def test_a_proof_under_way_is_no_failure_before_something_fails() -> None:
    at = document()["time"]
    lock = {**tripped()["lock"], "since": at}
    venues = {"kraken": {"proven": False, "failing": False, "unproven_reason": "listed empty only once"}}
    early = State.shown({**tripped(), "lock": lock, "time": at, "last_sweep": {"trip_id": "t", "venues": venues}})
    told = words(summary.now(early, {}))
    assert "Proving, 0 s" in told
    assert "kraken being proven : listed empty only once" in told
    assert "NOT proven" not in told
    assert "by hand" not in told
    venues["kraken"]["failing"] = True
    failing = State.shown({**tripped(), "lock": lock, "time": at, "last_sweep": {"trip_id": "t", "venues": venues}})
    assert "NOT proven yet" in words(summary.now(failing, {}))


def test_since_when_it_is_shut_has_its_date_for_a_page_that_is_left_open() -> None:
    lock = {**tripped()["lock"], "since": "2026-11-20T14:57:00.250+00:00"}
    told = words(summary.now(State.shown({**tripped(), "time": "2026-11-20T14:57:01+00:00", "lock": lock}), {}))
    assert "Since 2026-11-20 14:57:00" in told


def test_when_everything_was_gone_and_how_long_after_the_trip() -> None:
    moments = {"since": "2026-11-20T14:57:00.250+00:00", "proven_at": "2026-11-20T14:57:02.350+00:00"}
    lock = {**tripped()["lock"], "proven": True, **moments}
    told = words(summary.now(State.shown({**tripped(), "lock": lock}), {}))
    assert "All orders are gone proven gone on all venues at 2026-11-20 14:57:02 , 2.1 s after the trip" in told
    late = {**lock, "proven_at": "2026-11-20T15:07:00+00:00"}
    assert ", 10 min after the trip" in words(summary.now(State.shown({**tripped(), "lock": late}), {}))


def test_all_venues_proven_and_the_last_look_to_come_is_no_contradiction() -> None:
    swept = {"proven": True, "cancelled": 1, "replaced": []}
    both = {"trip_id": "trip-1", "venues": {"kraken": swept, "krakenfutures": swept}}
    told = words(summary.now(State.shown({**tripped(), "last_sweep": both}), {}))
    assert "every venue is empty; the last look at all of them together is to come" in told
    assert "positions stand open" in told


def test_the_line_of_the_patch_set() -> None:
    assert words(summary.circuit(state())) == "DD: 3.2% (limit 10%) - circuit OK"
    tripped_one = State.shown(tripped())
    assert words(summary.circuit(State.shown(vetoed()))) == (
        "CIRCUIT TRIPPED \N{EM DASH} DD 11.4% (limit 10%) New orders are vetoed until NAV recovers or config changes."
    )
    assert words(summary.circuit(tripped_one)) == "CIRCUIT TRIPPED \N{EM DASH} DD 11.4% (limit 10%)"
    assert 'class="badge bad"' in summary.circuit(tripped_one)


def test_the_circuit_is_not_ok_while_something_tripped_whatever_the_drawdown_is_by_now() -> None:
    halted = summary.circuit(State.shown({**document(), "state": "TRIGGERED"}))
    stands = summary.circuit(state(breakers={**document()["breakers"], "drawdown": "TRIPPED"}))
    for line in (halted, stands):
        assert "circuit OK" not in words(line)
        assert "CIRCUIT TRIPPED \N{EM DASH} DD 3.2% (limit 10%)" in words(line)


def test_a_trip_of_another_rule_names_it_in_the_badge() -> None:
    lock = {**document()["lock"], "cause": "capital_loss", "trip_id": "t"}
    line = summary.circuit(State.shown({**document(), "state": "TRIGGERED", "lock": lock}))
    assert words(line) == "CIRCUIT TRIPPED by capital_loss \N{EM DASH} DD 3.2% (limit 10%)"


def test_the_hint_of_a_veto_is_given_for_a_veto_only() -> None:
    rules = document()["rules"]
    rules["drawdown"]["action"] = "trip"
    assert "vetoed" not in summary.circuit(State.shown({**tripped(), "rules": rules}))


def test_the_circuit_is_not_ok_because_nothing_is_known() -> None:
    limited = document()["circuit_breaker"]
    assert "circuit not known" in words(summary.circuit(state(portfolio_dd_pct=None)))
    assert "circuit not known" in words(summary.circuit(state(circuit_breaker={**limited, "active": None})))
    off = state(circuit_breaker={**limited, "max_portfolio_dd_nav_pct": None})
    assert words(summary.circuit(off)) == "DD: 3.2% (no limit: no drawdown rule is on)"


def test_a_drawdown_just_below_its_limit_is_not_shown_as_the_limit() -> None:
    assert words(summary.circuit(state(portfolio_dd_pct=0.0999))) == "DD: 9.990% (limit 10%) - circuit OK"


def test_limits_and_how_much_of_them_is_used() -> None:
    shown = words(summary.limits(state()))
    assert "daily_loss freezes everything 1.20% 3.00% 40% 174.00 USDT 9,506.00 USDT" in shown
    money = {**document()["distances"][0], "loss": "150", "limit": "500"}
    assert "150.00 USDT 500.00 USDT 30%" in words(summary.limits(state(distances=[money])))


def test_profit_says_what_it_is() -> None:
    shown = words(summary.profit(state()))
    assert "Profit of the day \N{MINUS SIGN}120.40 USDT" in shown
    assert "Realized +35.10 USDT" in shown
    assert "krakenfutures" in shown
    assert "2026-11-19 kraken +210.75" in shown


def test_equity_with_its_interval() -> None:
    shown = words(summary.worth(state()))
    assert "9,680.00 USDT between 9,672.10 and 9,688.40 USDT" in shown
    assert "known exactly" in words(summary.worth(state(equity_low="9680.00", equity_high="9680.00")))
    assert "known exactly" not in words(
        summary.worth(state(equity_low="9680.00", equity_high="9680.00", trusted=False))
    )


def test_who_opens_of_several_guards_and_what_the_others_hold() -> None:
    peer = {"name": "<b>", "heard": True, "here": False, "cause": "blind", "reason": "<x>"}
    guards = {"name": "a", "opens": "a", "epoch": 7, "answered_s": 0.5, "reason": None, "peers": [peer]}
    shown = summary.now(state(guards=guards), {})
    assert "This guard has the right to open, epoch 7." in words(shown)
    assert "Guard &lt;b&gt; is NOT THERE, and keeps all shut: blind: &lt;x&gt;." in words(shown)
    assert "right to open" not in summary.now(state(), {})
