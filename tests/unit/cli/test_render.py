"""What people see: readable without colour, unknown never as zero, and nothing taken for markup."""

from __future__ import annotations

import io
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.cli import render
from risk_daemon.model.status import LastKnown, State

STATE: dict[str, Any] = {
    "state": "ACTIVE",
    "started": True,
    "locked": False,
    "lock": {},
    "reference_currency": "USDT",
    "equity": "9800.00",
    "equity_low": "9790",
    "equity_high": "9810",
    "trusted": True,
    "initial_capital": "10000",
    "loss_ratio": 0.02,
    "drawdown_ratio": 0.021,
    "warning_threshold": 0.03,
    "loss_threshold": 0.05,
    "venues": {
        "kraken": {
            "connected": True,
            "equity": "9800",
            "age_s": {"balances": 0.44, "positions": None, "prices": 200},
            "proven": None,
        }
    },
}


def shown(show: Any, *arguments: Any) -> str:
    file = io.StringIO()
    show(render.console(file), *arguments)
    return file.getvalue()


def status(**changes: Any) -> str:
    return shown(render.status, State.shown({**STATE, **changes}))


def line(text: str, label: str) -> str:
    return next(found.rstrip() for found in text.splitlines() if found.startswith(label))


def test_the_distance_to_warning_and_limit() -> None:
    text = status()

    assert text.startswith("ACTIVE  new orders are allowed\n")
    assert "9,800.00 USDT" in line(text, "Equity")
    assert "1.00 % (at 3.00 %), 100.00 to lose" in line(text, "To warning")
    assert "3.00 % (at 5.00 %), 300.00 to lose" in line(text, "To limit")
    assert "2.00 %  [############------------------]" in line(text, "Loss")
    assert "reset" not in text


def test_no_colour_codes_in_a_pipe() -> None:
    assert "\x1b" not in status()


def test_a_limit_that_is_reached() -> None:
    text = status(loss_ratio=0.0712)

    assert "reached (at 3.00 %)" in line(text, "To warning")
    assert "reached (at 5.00 %)" in line(text, "To limit")
    assert "[" + "#" * 30 + "]" in text


def test_a_gain_is_further_from_the_limit() -> None:
    text = status(loss_ratio=-0.02)

    assert "-2.00 %  [------------------------------]" in text
    assert "7.00 % (at 5.00 %)" in line(text, "To limit")


def test_a_lock_says_why_and_how_to_open() -> None:
    lock = {"cause": "capital_loss", "trip_id": "t1", "since": "2026-01-01T00:00:00Z", "until": None, "proven": True}
    text = status(state="TRIGGERED", locked=True, lock=lock)

    assert "TRIGGERED  new orders are locked out" in text
    assert "capital_loss" in line(text, "Locked because of")
    assert "t1" in line(text, "Trip")
    assert "Until" not in text
    assert "risk-daemon reset --reason" in text
    unproven = status(state="TRIGGERED", locked=True, lock={**lock, "proven": False})
    assert "not proven yet" in unproven
    assert "All orders gone" not in unproven
    assert "when is not known" in line(text, "All orders gone")
    done = status(state="TRIGGERED", locked=True, lock={**lock, "proven_at": "2026-01-01T00:00:02.100+00:00"})
    assert "proven at 2026-01-01 00:00:02 UTC, 2.1 s after the trip" in line(done, "All orders gone")
    assert "risk-daemon reset" not in unproven


def test_a_proof_under_way_is_no_failure_before_something_fails() -> None:
    lock = {"cause": "capital_loss", "trip_id": "t", "since": "2026-01-01T00:00:00+00:00", "proven": False}
    early = {"time": "2026-01-01T00:00:03+00:00", "locked": True, "state": "TRIGGERED", "lock": lock}
    early["venues"] = {"kraken": {**STATE["venues"]["kraken"], "proven": False}}
    text = status(**early)
    assert line(text, "kraken").endswith("proving, 3 s")
    assert "NOT PROVEN" not in text
    assert "by hand" not in text
    sweep = {"trip_id": "t", "venues": {"kraken": {"proven": False, "failing": True, "unproven_reason": "503"}}}
    failing = status(**early, last_sweep=sweep)
    assert line(failing, "kraken").endswith("NOT PROVEN")
    assert "NOT PROVEN gone: 503" in failing


def test_what_is_of_no_running_daemon_says_so_and_as_of_when_venues_were_seen() -> None:
    told = {**STATE, "time": "2026-01-01T00:00:00+00:00", "locked": True, "lock": {"cause": "starting"}}
    gone = shown(render.status, LastKnown.shown(told))
    assert line(gone, "Locked because of").endswith("no guard answers")
    assert "The venues as a guard saw them last, 202" in gone
    assert "saw them last" not in status()
    assert line(status(locked=True, lock={"cause": "starting"}), "Locked because of").endswith("starting")
    unproven = {**told, "lock": {"cause": "capital_loss", "trip_id": "t1", "proven": False}}
    assert "leave it running" not in shown(render.status, LastKnown.shown(unproven))


def test_unknown_is_never_zero() -> None:
    text = status(
        equity=None, loss_ratio=None, drawdown_ratio=None, trusted=False, initial_capital=None, equity_low=None
    )

    assert "unknown USDT  (not trusted: between unknown and 9,810.00)" in line(text, "Equity")
    assert line(text, "Loss").endswith("unknown")
    assert line(text, "Drawdown").endswith("unknown")
    assert "To limit" not in text


@pytest.mark.parametrize("state", [{}, {"venues": None, "circuit_breaker": [], "lock": "x", "locked": "no"}])
def test_an_empty_or_odd_state_is_shown_as_unknown_and_locked(state: dict[str, Any]) -> None:
    text = shown(render.status, State.shown(state))

    assert "unknown: take it as locked" in text
    assert "still starting" in text
    assert "risk-daemon run" in text


def test_venues_with_their_ages() -> None:
    row = line(status(), "kraken").split()

    assert row == ["kraken", "yes", "9,800.00", "0.4", "s", "-", "3", "min", "unknown", "-"]
    lost = {**STATE["venues"]["kraken"], "connected": None, "proven": False}
    assert line(status(venues={"kraken": lost}), "kraken").split()[1] == "NO"
    assert line(status(venues={"kraken": lost}), "kraken").endswith("NOT PROVEN")


def test_what_a_venue_says_drives_no_terminal() -> None:
    text = shown(render.event, "2026-01-01T00:00:00.123456Z", "venue_lost", {"reason": "[bold]\x1b[2J[/nope]"})
    assert "reason=[bold] [2J[/nope]" in text


def test_an_event_in_one_line() -> None:
    text = shown(render.event, "2026-01-01T00:00:00.123456Z", "portfolio_update", {"equity": "1", "loss_ratio": None})

    assert text == "2026-01-01 00:00:00.123  portfolio_update  equity=1  loss_ratio=unknown\n"


def test_a_long_event_is_not_broken() -> None:
    assert shown(render.event, "", "x", {"reason": "y" * 500}).count("\n") == 1


def test_a_proven_sweep() -> None:
    row = {"proven": True, "cancelled": 3, "kept": ["7"], "unproven_reason": None}
    text = shown(render.sweep, {"proven": True, "elapsed_s": 2.51, "venues": {"kraken": row}})

    assert "kraken: no order is open, proven; 3 cancelled, 1 protective orders kept" in text
    assert "Every open order is gone, proven in 2.5 s." in text


@pytest.mark.parametrize("document", [{}, {"proven": 1}, {"proven": None, "venues": {"kraken": {"proven": "yes"}}}])
def test_anything_else_is_not_proven(document: dict[str, Any]) -> None:
    text = shown(render.sweep, document)

    assert "NOT PROVEN" in text
    assert "gone" not in text


def test_check_prints_what_matters_before_the_long_configuration() -> None:
    document = {
        "effective": {"circuit_breaker": {"loss_threshold": "5%", "warnings": ["1%", "2%"]}},
        "findings": [{"level": "warning", "subject": "drawdown", "sentence": "OFF"}],
        "explanations": ["At a loss of 5 %."],
    }
    text = shown(render.check, document)

    assert '  circuit_breaker.loss_threshold = "5%"\n' in text
    assert '  circuit_breaker.warnings = ["1%", "2%"]\n' in text
    assert text.startswith("WARNING  drawdown: OFF\n")
    assert text.index("- At a loss of 5 %.\n") < text.index("Configuration in force")


def test_check_says_where_the_sentences_are() -> None:
    document = {"effective": {}, "findings": [], "explanations": []}

    assert "`risk-daemon check --explain`" in shown(render.check, document)


def test_a_freeze_says_that_it_ends_by_itself() -> None:
    until = "2026-11-21T00:00:00+00:00"
    lock = {"cause": "daily_loss", "trip_id": "t1", "until": until, "proven": True}
    text = status(state="TRIGGERED", locked=True, lock={**lock, "reason": "loss of 3.10 %"})

    here = datetime.fromisoformat(until).astimezone()
    assert f"{here:%Y-%m-%d %H:%M:%S}" in line(text, "Until")
    assert "loss of 3.10 %" in line(text, "Reason")
    assert "ends by itself" in text
    assert "risk-daemon reset" in text
    assert "ends by itself" not in status(state="TRIGGERED", locked=True, lock={**lock, "until": None})


def test_rules_that_tripped_and_halts_are_named() -> None:
    halt = {"venue": "kraken", "bot": None, "reason": "maintenance", "operator": "uid:0 (root)", "since_wall": 1.0}
    breakers = {"drawdown": "NORMAL", "order_rate": "TRIPPED", "manual": "MANUALLY_HALTED"}
    text = status(breakers=breakers, halts=[halt, {**halt, "venue": None, "bot": "maker"}])

    assert line(text, "Rules").endswith("order_rate TRIPPED, manual MANUALLY_HALTED")
    halted = [found for found in text.splitlines() if found.startswith("Halted")]
    assert "kraken, by uid:0 (root): maintenance" in halted[0]
    assert "maker, by" in halted[1]
    assert "Rules" not in status(breakers={"drawdown": "NORMAL"}, halts=[])


def test_tokens() -> None:
    rows = [{"name": "maker\x1b", "role": "bot", "created": "2026-11-20T11:00:00.000000Z"}]
    text = shown(render.tokens, {"tokens": rows})

    assert line(text, "maker").split() == ["maker", "bot", "2026-11-20T11:00:00"]
    assert "token create" in shown(render.tokens, {"tokens": []})


def test_facts() -> None:
    assert shown(render.facts, {"a": {"b": 1}}).split() == ["a.b", "1"]


@pytest.mark.parametrize(
    ("proven", "reason", "end"), [(True, None, "proven"), (False, "HTML", "HTML"), (None, None, "not proven yet")]
)
def test_progress(proven: object, reason: str | None, end: str) -> None:
    verdict = SimpleNamespace(proven=proven, cancelled=2, unproven_reason=reason)

    assert render.progress("kraken", verdict) == f"kraken: 2 cancelled, {end}"


def test_what_is_missing_at_the_start_is_named() -> None:
    assert "kraken balances" in line(status(missing=["kraken balances"]), "Missing")


# --- orders, and what fits the cause -------------------------------------------------------------------


def with_orders(**orders: Any) -> str:
    venue = {**STATE["venues"]["kraken"], "orders": orders}
    return status(venues={"a-venue-with-a-long-name": venue})


def test_whether_orders_are_listed_and_may_be_cancelled() -> None:
    good = {"listed_s": 3.14, "failing_s": None, "reason": None, "may_cancel": True}

    assert "listed 3.1 s ago" in line(with_orders(**good), "a-venue-with-a-long-name")
    failing = with_orders(**{**good, "failing_s": 40.0, "reason": "answered 401"})
    assert "NOT LISTED for 40.0 s" in line(failing, "a-venue-with-a-long-name")
    assert line(failing, "Orders of a-venue-with-a-long-name") == "Orders of a-venue-with-a-long-name: answered 401"
    assert "CAN'T CANCEL" in with_orders(**{**good, "may_cancel": False, "reason": "denied"})


def test_until_when_a_venues_own_switch_is_armed() -> None:
    until = "2026-11-20T10:01:00+00:00"
    switch = {"timeout_s": 60.0, "armed_until": until, "markets": [], "refreshed_s": 2.0}
    venue = {**STATE["venues"]["kraken"], "dead_man": {**switch, "reason": None}}
    told = line(status(venues={"kraken": venue}), "Dead man's switch of kraken")
    here = datetime.fromisoformat(until).astimezone()
    assert told.startswith(f"Dead man's switch of kraken: armed until {here:%Y-%m-%d %H:%M:%S} {here.tzname()}, ")
    venue = {**venue, "dead_man": {**switch, "armed_until": None, "reason": "answered 401"}}
    assert "not armed, NOT REFRESHED: answered 401" in line(status(venues={"kraken": venue}), "Dead man's switch")
    assert "Dead man's switch" not in status()


@pytest.mark.parametrize(
    ("cause", "hint"),
    [
        ("error_rate", "as the errors age out"),
        ("order_rate", "as the orders age out"),
        ("unlistable:kraken", "with the next good listing"),
        ("blind", "when the venues answer again"),
        ("daily_loss", "nothing is cancelled"),
        ("custom:mine", "your own rule"),
        ("confirming", "being read again"),
        ("starting", "complete picture"),
    ],
)
def test_the_hint_fits_the_cause(cause: str, hint: str) -> None:
    text = status(locked=True, lock={"cause": cause, "trip_id": None})

    assert hint in text
    assert ("complete picture" in text) is (cause == "starting")


def test_the_headline_is_green_only_while_new_orders_are_allowed_for_all() -> None:
    def style(**changes: Any) -> str:
        return str(render.headline(State.shown({**STATE, **changes})).spans[0].style)

    scoped = [{"cause": "error_rate", "reason": "12 errors", "venue": None, "bot": "evil"}]
    assert style() == "bold green"
    assert style(locked=True) == "bold red"
    assert style(locked=None) == "bold red"
    assert style(restraints=scoped) == "bold yellow"
    text = status(restraints=scoped)
    assert "new orders are allowed, but not those of evil" in text
    assert "12 errors" in line(text, "Refused")


def test_the_halt_of_a_bot_says_how_it_ends() -> None:
    halt = {"venue": None, "bot": "evil", "reason": "it floods", "operator": "anna"}
    text = status(halts=[halt], restraints=[{"cause": "manual_halt", "reason": "x", "venue": None, "bot": "evil"}])

    assert 'risk-daemon release --bot evil --reason "..."' in " ".join(text.split())
    assert "but not those of evil" in text
    assert "Refused" not in text


def test_the_long_field_of_an_event_is_cut_for_people() -> None:
    text = shown(render.event, "2026-11-20T12:00:00", "configuration_loaded", {"settings": "x" * 2_000})

    assert len(text) < 400
    assert "(2000 characters, all with --json)" in " ".join(text.split())


def test_check_counts_at_its_end_what_stands_at_its_top() -> None:
    found = [{"level": level, "subject": "a", "sentence": "b"} for level in ("problem", "warning", "warning", "note")]
    text = shown(render.check, {"effective": {}, "findings": found, "explanations": []})

    assert text.rstrip().endswith("1 problem, 2 warnings: see the top.")


def test_status_tells_what_operators_did_last_and_what_is_under_way() -> None:
    deed = {"what": "cancel-all", "operator": "uid:1000 (ann)", "venues": ["kraken"], "time_wall": 1_700_000_000.0}
    ended = {"ended_wall": 1_700_000_009.0, "came_to": "proven"}
    told = status(recent={"deeds": [{**deed, **ended}, {**deed, "venues": ["okx"]}, {**deed, **ended}]}).splitlines()
    assert [row.split(", asked for by uid:1000 (ann) at ")[0] for row in told if "asked for" in row] == [
        "cancel-all on okx",
        "cancel-all on kraken",
    ]
    assert [row.rpartition(": ")[2] for row in told if "asked for" in row] == ["under way", "proven"]
    assert "asked for by" not in status()
    assert "asked for by" in status(recent={"deeds": [None]})


def test_status_tells_who_was_turned_away() -> None:
    text = status(turned_away={"silent": 0, "crowded": 204, "full": 0, "failed_login": 3})

    assert line(text, "Turned away").endswith("204 crowded, 3 failed_login since the start")
    assert "Turned away" not in status(turned_away={"silent": 0})


def test_before_everything_was_read_it_starts_and_is_not_active() -> None:
    assert line(status(started=False, locked=True), "STARTING").startswith("STARTING  new orders are locked out")
    assert "STARTING" not in status(started=False, locked=True, state="TRIGGERED")


def test_a_trip_says_why_a_venue_is_not_proven_what_is_open_and_what_stands_without_its_orders() -> None:
    venue = {**STATE["venues"]["kraken"], "proven": False, "orders": {"listed_s": 2.0, "open": 3}}
    swept = {"trip_id": "t", "venues": {"kraken": {"proven": False, "unproven_reason": "503"}}}
    held = {"venue": "kraken", "symbol": "BTC/USD:BTC", "quantity": "0.05", "entry": "1"}
    lock = {"trip_id": "t", "proven": False}
    text = status(
        state="TRIGGERED", locked=True, lock=lock, venues={"kraken": venue}, last_sweep=swept, positions=[held]
    )
    assert "Orders of kraken are NOT PROVEN gone: 503" in text
    assert "3 open, listed 2.0 s ago" in text
    assert "1 position stands open, and whether an order guards them is not known: kraken BTC" in text


GUARDS = {
    "name": "a",
    "opens": "b",
    "epoch": 7,
    "since": None,
    "answered_s": 0.5,
    "reason": None,
    "peers": [{"name": "b", "heard": True, "here": True, "cause": None, "reason": None}],
}


def test_who_opens_of_several_guards_is_said_while_one_runs() -> None:
    text = status(guards=GUARDS)
    assert "Guard b has the right to open, epoch 7." in text
    assert "Guard b is there, and holds nothing." in text
    assert "the right to open" not in status()
    assert "the right to open" not in shown(render.status, LastKnown.shown({**STATE, "guards": GUARDS}))
