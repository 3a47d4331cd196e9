"""What `top` shows of a state: the nearest limit first, and nothing unknown as zero."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from risk_daemon.api.dashboard import tables
from risk_daemon.cli import render
from risk_daemon.cli.top_tables import TABLES, VENUES, distance_line, patch_line
from risk_daemon.cli.words import clock_time
from risk_daemon.model.status import State

NEAREST = {"rule": "daily_loss", "action": "trip", "loss": "150", "limit": "400", "equity": "9600", "left": "250"}


def state(**fields: Any) -> State:
    return State.shown({"reference_currency": "USDT", **fields})


def rows(key: str, of: State) -> Any:
    return next(one for one in TABLES if one.key == key).rows(of)


@pytest.mark.parametrize(
    ("nearest", "line"),
    [
        ([NEAREST], "250.00 USDT may still be lost: daily_loss trips at 9,600.00 USDT"),
        ([{**NEAREST, "action": "veto"}], "250.00 USDT may still be lost: daily_loss vetoes at 9,600.00 USDT"),
        ([{**NEAREST, "left": "-12.5"}], "The limit of daily_loss is passed by 12.50 USDT"),
        ([{**NEAREST, "left": None}], "How much may still be lost is not known"),
        ([{**NEAREST, "left": "x"}], "unknown USDT may still be lost: daily_loss trips at 9,600.00 USDT"),
        ([], "How much may still be lost is not known"),
    ],
)
def test_how_much_may_still_be_lost(nearest: list[Any], line: str) -> None:
    assert distance_line(state(distances=nearest)) == line


@pytest.mark.parametrize(
    ("drawdown", "limit", "active", "word", "line"),
    [
        (0.032, 0.1, False, "ACTIVE", "DD: 3.2% (limit 10%) - circuit OK"),
        (0.114, 0.1, True, "ACTIVE", "DD: 11.4% (limit 10%) - CIRCUIT TRIPPED"),
        (0.01, 0.1, False, "TRIGGERED", "DD: 1.0% (limit 10%) - CIRCUIT TRIPPED"),
        (0.01, None, False, "ACTIVE", "DD: 1.0% - circuit OK"),
        (None, 0.1, None, "ACTIVE", "DD: not known (limit 10%) - circuit not known"),
    ],
)
def test_the_line_of_the_patch_set(
    drawdown: float | None, limit: float | None, active: bool | None, word: str, line: str
) -> None:
    circuit = {"state": word, "locked": False, "active": active, "max_portfolio_dd_nav_pct": limit}
    assert patch_line(state(state=word, portfolio_dd_pct=drawdown, circuit_breaker=circuit)) == line


def test_a_trip_of_another_rule_is_no_drawdown_that_tripped_below_its_limit() -> None:
    circuit = {"state": "TRIGGERED", "locked": True, "active": False, "max_portfolio_dd_nav_pct": 0.1}
    lock = {"cause": "capital_loss", "trip_id": "t"}
    told = state(state="TRIGGERED", portfolio_dd_pct=0.06, circuit_breaker=circuit, lock=lock)
    assert patch_line(told) == "DD: 6.0% (limit 10%) - CIRCUIT TRIPPED by capital_loss"


def test_rules_with_a_distance_come_first_and_all_of_them_come() -> None:
    of = state(distances=[NEAREST], breakers={"order_rate": "NORMAL", "daily_loss": "TRIPPED"})
    assert rows("limits", of) == [
        ("daily_loss", "TRIPPED", "150.00", "400.00", "250.00"),
        ("order_rate", "NORMAL", "", "", ""),
    ]


def test_a_position_without_a_mark_is_not_worth_zero() -> None:
    held = {"venue": "v", "symbol": "BTC/USDT:USDT", "quantity": "-1", "entry": "60000", "stale": None}
    assert rows("positions", state(positions=[held])) == [
        ("v", "BTC/USDT:USDT", "-1", "60000", "unknown", "unknown", "unknown")
    ]
    old = {**held, "mark": "59000", "value": "59000", "unrealized": "1000", "stale": True}
    assert rows("positions", state(positions=[old]))[0][4:] == ("59000 (old)", "59,000.00", "+1,000.00")


def test_holdings_with_their_worth() -> None:
    held = {"venue": "v", "asset": "BTC", "amount": "0.5", "price": "60000", "value": "30000", "stale": False}
    assert rows("holdings", state(holdings=[held])) == [("v", "BTC", "0.5", "60000", "30,000.00")]


def test_what_nobody_told_of_is_not_an_empty_table() -> None:
    assert rows("fills", state(recent={"fills": None})) is None
    assert rows("fills", state(recent={"fills": []})) == []
    assert rows("open", state()) is None


def test_the_newest_comes_first_and_nothing_drives_a_terminal() -> None:
    errors = [
        {"time_wall": 0.0, "kind": "broker", "venue": "v", "bot": None, "detail": "old"},
        {"time_wall": 60.0, "kind": "broker", "venue": "v", "bot": "b", "detail": "new\x1b[2J"},
    ]
    assert rows("errors", state(recent={"errors": errors})) == [
        ("01-01 00:01:00", "broker", "v", "b", "new [2J"),
        ("01-01 00:00:00", "broker", "v", "", "old"),
    ]
    vetoes = [{"time": "1"}, {"time": "2", "veto_reason": "blind"}, "odd"]
    assert [row[:2] for row in rows("vetoes", state(recent={"vetoes": vetoes}))] == [
        ("", ""),
        ("2", "blind"),
        ("1", ""),
    ]


def test_orders_with_what_became_of_them() -> None:
    order = {"time_wall": 0.0, "venue": "v", "symbol": "S", "side": "buy", "type": "limit", "quantity": "2",
             "price": "5", "status": "filled", "bot": "b"}  # fmt: skip
    assert rows("orders", state(recent={"orders": [order]})) == [
        ("01-01 00:00:00", "v", "S", "buy", "limit", "2", "5", "filled", "b")
    ]
    assert rows("open", state(open_orders=[{**order, "remaining": "1"}]))[0][4:6] == ("2", "1")


def test_a_venue_with_its_ages_and_orders() -> None:
    venue = {
        "connected": True, "equity": "5000", "age_s": {"balances": 1.0, "positions": None, "prices": 2.0},
        "proven": False, "orders": {"listed_s": 3.0, "failing_s": None, "may_cancel": True, "open": 4},
    }  # fmt: skip
    failing = {"connected": False, "orders": {"failing_s": 60.0}}
    assert VENUES.rows(state(venues={"a": venue, "b": failing})) == [
        ("a", "yes", "5,000.00", "4", "NOT PROVEN", "3.0 s", "1.0 s", "unknown", "2.0 s"),
        ("b", "NO", "unknown", "unknown", "", "NOT LISTED", "unknown", "unknown", "unknown"),
    ]


def test_every_row_has_as_many_cells_as_its_table_has_columns() -> None:
    everything = state(
        distances=[NEAREST],
        breakers={"daily_loss": "NORMAL"},
        positions=[{}],
        holdings=[{}],
        open_orders=[{}],
        recent={"orders": [{}], "fills": [{}], "errors": [{}], "vetoes": [{}]},
        venues={"v": {}},
        locks=[{"name": "file"}],
    )
    for one in (VENUES, *TABLES):
        found = one.rows(everything)
        assert found, one.key
        assert [len(row) for row in found] == [len(one.columns)], one.key
        assert one.figures <= set(one.columns)


@pytest.mark.parametrize("odd", [None, True, "12", float("inf"), 1e30])
def test_an_odd_time_is_unknown(odd: Any) -> None:
    assert clock_time(odd) == "unknown"


def test_a_rule_beyond_its_limit_is_not_just_normal() -> None:
    of = state(distances=[{**NEAREST, "left": "-100"}], breakers={"daily_loss": "NORMAL"})
    assert rows("limits", of)[0][1] == "NORMAL, passed"


def test_what_tells_that_orders_are_gone_is_called_the_same_everywhere() -> None:
    """The runbooks say where to look: in `status`, in `top` and on the page."""
    state = State.shown({"venues": {"kraken": {"proven": True}}})
    out = Console(record=True, width=200)
    render.status(out, state)
    assert "Orders gone" in out.export_text()
    assert "Orders gone" in VENUES.columns
    assert "Orders gone" in str(tables.venues(state, {}))


def test_a_lock_that_can_t_be_written_says_so_and_since_when() -> None:
    failing = {"name": "redis://db:6379/0", "written_s": None, "failing_s": 12.0, "reason": "refused [red]"}
    of = state(locks=[{"name": "file", "written_s": 0.4, "failing_s": None, "reason": None}, failing])
    assert rows("locks", of) == [
        ("file", "yes", "0.4 s ago", "", ""),
        ("redis://db:6379/0", "NO", "never", "12.0 s", "refused [red]"),
    ]
    (line,) = render.unwritable_locks(of)
    assert line.startswith("Lock redis://db:6379/0 CAN'T BE WRITTEN for 12.0 s")
