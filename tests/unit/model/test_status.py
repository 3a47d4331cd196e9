"""The status as a record: every key in its document, and nothing taken for known that is not."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from risk_daemon.model.others_status import GuardsStatus, PeerStatus
from risk_daemon.model.status import LastKnown, State, Status

FULL: dict[str, Any] = {
    "time": "2026-11-21T00:00:00.000+00:00",
    "reference_currency": "USDT",
    "equity": "9400",
    "equity_low": "9390",
    "equity_high": "9410",
    "trusted": True,
    "loss_ratio": 0.06,
    "drawdown_ratio": 0.07,
    "state": "TRIGGERED",
    "started": True,
    "confirming": False,
    "missing": ["spot prices"],
    "locked": True,
    "lock": {
        "cause": "capital_loss", "reason": "lost", "observed": {"loss": 0.06, "of": ["a"]}, "limits": {"limit": 0.05},
        "trip_id": "t-1", "since": "2026-11-21T00:00:00.000+00:00", "until": None, "proven": False,
        "proven_at": None,
    },
    "initial_capital": "10000",
    "warning_threshold": 0.03,
    "loss_threshold": 0.05,
    "daily_loss_ratio": 0.01,
    "daily_loss": "94",
    "portfolio_dd_pct": 0.07,
    "circuit_breaker": {"state": "TRIGGERED", "locked": True, "active": False, "max_portfolio_dd_nav_pct": 0.1},
    "breakers": {"capital_loss": "TRIPPED"},
    "rules": {"drawdown": {"breaker_type": "drawdown", "limits": {"max_portfolio_dd_nav_pct": 0.1}}},
    "halts": [{"venue": None, "bot": "evil", "reason": "floods", "operator": "anna", "since_wall": 1.0}],
    "restraints": [{"cause": "manual_halt", "reason": "floods", "venue": None, "bot": "evil"}],
    "venues": {
        "spot": {
            "connected": True, "equity": "9400", "daily_loss_ratio": None,
            "age_s": {"balances": 1.5, "positions": None, "prices": 0}, "proven": None,
            "orders": {"listed_s": 3.0, "failing_s": None, "reason": None, "may_cancel": True, "open": 4},
            "dead_man": {
                "timeout_s": 60.0,
                "armed_until": "2026-11-20T10:01:00.000+00:00",
                "markets": ["BTC/USDT:USDT"],
                "refreshed_s": 2.5,
                "reason": None,
            },
        },
    },
    "last_sweep": {
        "trip_id": "t-1",
        "venues": {
            "spot": {
                "proven": False, "cancelled": 3, "replaced": ["7"], "kept": ["8"],
                "unproven_reason": "503", "failing": True, "first_cancel_s": 0.1,
                "proven_s": None,
            },
        },
    },
    "distances": [
        {"rule": "capital_loss", "action": "trip", "loss": 0.06, "limit": 0.05, "equity": "9500", "left": "-100"},
        {"rule": "day", "action": "veto", "loss": "94", "limit": "500", "equity": None, "left": None},
    ],
    "positions": [
        {
            "venue": "spot", "symbol": "BTC/USDT:USDT", "quantity": "-1", "entry": "60000", "mark": None, "value": None,
            "unrealized": None, "stale": None,
        },
    ],
    "holdings": [
        {"venue": "spot", "asset": "BTC", "amount": "1", "price": "60000", "value": "60000", "stale": False},
    ],
    "profit": {
        "total": "-94", "realized": "-90", "unrealized": "-4", "open": None, "day": "2026-11-21",
        "venues": {"spot": {"total": "-94", "realized": None, "unrealized": None, "open": "0"}},
        "days": [{"day": "2026-11-20", "venue": "spot", "realized": "12.5"}],
    },
    "locks": [{"name": "redis://h:6379/0", "written_s": None, "failing_s": 7.5, "reason": "it did not answer in time"}],
    "fund": {
        "name": "alpha", "member": "b", "limit": "1000 USDT", "currency": "USDT", "is_joined": True, "may_trade": False,
        "why_not": "up to 400", "budget": "400", "least": "350", "most": "400", "headroom": "0", "asks": "300",
        "trip_id": None, "told": None, "why_still": None, "ledger_error": "gone", "read_s": 7.5,
        "members": [
            {"name": "a", "budget": "600", "wants": "400", "asks": "0", "trip_id": None, "has_left": False},
        ],
        "total": {"least": "400", "most": None, "is_breached": False, "is_undecided": True, "silent": ["a"]},
    },
    "guards": {
        "name": "a", "opens": "b", "epoch": 7, "since": None, "answered_s": 0.5, "reason": None,
        "peers": [{"name": "b", "heard": True, "here": True, "cause": None, "reason": None}],
    },
}  # fmt: skip


def test_a_document_comes_back_to_the_letter() -> None:
    assert json.dumps(Status.shown(FULL).document()) == json.dumps(FULL)


def test_a_running_daemon_tells_more() -> None:
    more = {"recent": {"orders": [{"a": 1}], "fills": None}, "open_orders": [{"b": 2}], "turned_away": {"silent": 2}}
    state = State.shown({**FULL, **more})
    assert json.dumps(state.document()) == json.dumps({**FULL, **more})
    assert State.shown(FULL).turned_away == {}


def test_nobody_changes_what_was_seen() -> None:
    with pytest.raises(FrozenInstanceError):
        Status.shown(FULL).locked = False  # type: ignore[misc]


def test_of_an_empty_document_nothing_is_known() -> None:
    status = Status.shown({})
    assert status.document().keys() == FULL.keys()
    assert (status.locked, status.trusted, status.loss_ratio, status.equity) == (None, None, None, None)
    assert (status.state, status.lock.cause, status.missing, status.venues, status.last_sweep) == (
        "",
        None,
        (),
        {},
        None,
    )


@pytest.mark.parametrize(
    ("key", "odd", "read"),
    [
        ("locked", "no", None),
        ("locked", 0, None),
        ("loss_ratio", "0.06", None),
        ("loss_ratio", True, None),
        ("state", 7, ""),
        ("missing", "spot", ()),
        ("breakers", [1], {}),
        ("rules", {"a": "b"}, {"a": {}}),
        ("halts", {"a": 1}, ()),
    ],
)
def test_what_is_odd_is_taken_for_unknown(key: str, odd: object, read: object) -> None:
    assert getattr(Status.shown({**FULL, key: odd}), key) == read


@pytest.mark.parametrize("odd", ["x", None, 3, []])
def test_a_part_that_is_odd_is_one_of_which_nothing_is_known(odd: object) -> None:
    status = Status.shown({**FULL, "lock": odd, "venues": {"spot": odd}})
    assert (status.lock.proven, status.lock.observed) == (None, {})
    assert (status.venues["spot"].connected, status.venues["spot"].orders.may_cancel) == (None, None)


def test_a_restraint_of_somebody_is_scoped() -> None:
    [one] = Status.shown(FULL).restraints
    assert one.is_scoped
    assert not Status.shown({"restraints": [{"cause": "blind"}]}).restraints[0].is_scoped


@pytest.mark.parametrize(
    ("since", "proven_at", "after_s"),
    [
        ("2026-11-21T00:00:00.000+00:00", "2026-11-21T00:00:06.500+00:00", 6.5),
        ("2026-11-21T00:00:00.000+00:00", "2026-11-21T00:00:00.000+00:00", 0.0),
        ("2026-11-21T00:00:06.000+00:00", "2026-11-21T00:00:00.000+00:00", None),
        ("2026-11-21T00:00:00.000+00:00", None, None),
        ("yesterday", "2026-11-21T00:00:00.000+00:00", None),
    ],
)
def test_a_proof_from_before_the_trip_is_no_proof_at_once(
    since: str, proven_at: str | None, after_s: float | None
) -> None:
    assert Status.shown({"lock": {"since": since, "proven_at": proven_at}}).lock.proven_after_s == after_s


PROVING: dict[str, Any] = {
    "time": "2026-11-21T00:00:03.500+00:00",
    "lock": {"trip_id": "t", "since": "2026-11-21T00:00:00.000+00:00", "proven": False},
    "last_sweep": {"trip_id": "t", "venues": {"spot": {"proven": False, "failing": False}, "perp": {"proven": True}}},
    "venues": {"spot": {"connected": True}},
}


def test_a_proof_under_way_that_goes_well_is_no_failure() -> None:
    assert State.shown(PROVING).proving_s == 3.5
    assert State.shown({**PROVING, "last_sweep": None}).proving_s == 3.5


@pytest.mark.parametrize(
    "more",
    [
        {"last_sweep": {"venues": {"spot": {"proven": False, "failing": True}}}},
        {"last_sweep": {"venues": {"spot": {"proven": False}}}},
        {"venues": {"spot": {"connected": False}}},
        {"time": "2026-11-21T00:00:15.000+00:00"},
        {"time": "2026-11-20T23:59:59.000+00:00"},
        {"time": ""},
        {"lock": {**PROVING["lock"], "proven": True}},
        {"lock": {**PROVING["lock"], "proven": None}},
        {"lock": {**PROVING["lock"], "trip_id": None}},
        {"lock": {**PROVING["lock"], "since": None}},
    ],
)
def test_what_fails_takes_long_or_is_not_known_is_not_being_proven(more: dict[str, Any]) -> None:
    assert State.shown({**PROVING, **more}).proving_s is None


def test_nothing_is_being_proven_without_a_daemon() -> None:
    assert LastKnown.shown(PROVING).proving_s is None


# --- several guards ----------------------------------------------------------------------------------

HERE = PeerStatus(name="b", heard=True, here=True, cause=None, reason=None)
GUARDS = GuardsStatus(name="a", opens="a", epoch=7, since=None, answered_s=0.5, reason=None, peers=(HERE,))


@pytest.mark.parametrize(
    ("guards", "opens"),
    [
        (GUARDS, "this guard has the right to open, epoch 7"),
        (replace(GUARDS, opens="b"), "guard b has the right to open, epoch 7"),
        (replace(GUARDS, opens=None), "nobody has the right to open"),
        (replace(GUARDS, reason="it is silent"), "who has the right to open is not known: it is silent"),
        (replace(GUARDS, opens=None, answered_s=None), "who has the right to open is not known: nothing is told of it"),
    ],
)
def test_who_opens_is_said_and_never_guessed(guards: GuardsStatus, opens: str) -> None:
    assert guards.sentences == (opens, "guard b is there, and holds nothing")


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        (replace(HERE, here=False, cause="blind", reason="x"), "guard b is NOT THERE, and keeps all shut: blind: x"),
        (replace(HERE, here=None), "guard b may be there, and holds nothing"),
        (replace(HERE, heard=False, here=False), "guard b was not heard of"),
        (replace(HERE, heard=None), "guard b was not heard of"),
    ],
)
def test_how_a_peer_stands_is_said(peer: PeerStatus, said: str) -> None:
    assert replace(GUARDS, peers=(peer,)).sentences[1] == said
