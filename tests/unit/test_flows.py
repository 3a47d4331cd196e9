from __future__ import annotations

import json
from decimal import Decimal

import pytest

from risk_daemon.clock import Instant
from risk_daemon.events import Flow, FlowsListed
from risk_daemon.flows import FlowSettings, FlowTracker

AT = 1_000.0
WALL = 1_700_000_000.0
NEVER = float("-inf")


def usdt(asset: str) -> Decimal | None:
    return {"USDT": Decimal(1), "SKIP": Decimal(0)}.get(asset)


def row(amount: int, flow_id: str = "L1", asset: str = "USDT", age_s: float = 0.0) -> Flow:
    return Flow(flow_id, "v", asset, Decimal(amount), WALL - age_s)


def listed(tracker: FlowTracker, *flows: Flow, at: float = AT) -> tuple[Flow, ...]:
    tracker.listed(FlowsListed("v", NEVER, ()))  # so that this is not the first listing ever
    return tracker.listed(FlowsListed("v", at, flows))


def settle(tracker: FlowTracker, now: float, balances: float = NEVER, account: float = NEVER) -> list[Decimal]:
    settled = tracker.settle(now, usdt, balances_mono=lambda _: balances, account_mono=lambda _: account)
    return [value for _, value in settled]


def moved(tracker: FlowTracker, amount: int, now: float = AT, seen: float | None = None) -> None:
    tracker.moved("v", Decimal(amount), now, now if seen is None else seen)


def test_a_change_and_a_row_that_match_are_a_flow_at_once() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    listed(tracker, row(-500), at=AT + 1)
    assert settle(tracker, AT + 1) == [-500]
    assert tracker.unverified() == (0, 0)
    assert tracker.pending(usdt) == (0, 0)
    assert settle(tracker, AT + 2) == []


def test_a_row_before_its_change_is_pending_both_ways() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500), row(300, "L2"))
    assert settle(tracker, AT) == []
    assert tracker.pending(usdt) == (500, 300)
    moved(tracker, -500, AT + 3)
    assert settle(tracker, AT + 3) == [-500]
    assert tracker.pending(usdt) == (0, 300)


def test_the_same_id_is_the_same_flow_also_within_one_listing() -> None:
    tracker = FlowTracker()
    assert len(listed(tracker, row(-500), row(-500))) == 1
    assert listed(tracker, row(-500)) == ()
    assert tracker.pending(usdt) == (500, 0)


def test_one_row_explains_one_change() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    moved(tracker, -500)
    moved(tracker, -500, AT + 5)
    assert settle(tracker, AT + 5) == [-500]
    assert tracker.unverified() == (500, 0)


@pytest.mark.parametrize(
    ("change", "is_shown"), [(-451, True), (-450, True), (-449, False), (-560, True), (500, False)]
)
def test_a_change_explains_a_flow_if_it_shows_most_of_it(change: int, is_shown: bool) -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    moved(tracker, change)
    assert settle(tracker, AT) == ([-500] if is_shown else [])


def test_flows_that_hide_each_other_are_shown_together() -> None:
    tracker = FlowTracker()
    moved(tracker, 300)
    moved(tracker, -800)
    listed(tracker, row(300, "L1"), row(-800, "L2"))
    assert settle(tracker, AT) == [300, -800]
    assert tracker.unverified() == (0, 0)


def test_a_flow_that_other_changes_hide_is_due_after_flow_wait_and_a_later_read() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    assert settle(tracker, AT + 61, balances=AT + 1) == [], "that read is too close to the listing"
    assert settle(tracker, AT + 59, balances=AT + 50) == []
    assert settle(tracker, AT + 61, balances=AT + 50) == [-500]


def test_a_flow_that_is_due_takes_no_more_than_there_is() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    moved(tracker, -100, AT + 1)
    assert settle(tracker, AT + 1, balances=AT + 1) == []
    moved(tracker, -100, AT + 60)
    assert settle(tracker, AT + 60, balances=AT + 60) == [-500]
    assert tracker.unverified() == (0, 0)


def test_a_flow_without_a_price_waits_and_one_that_is_ignored_is_worth_nothing() -> None:
    tracker = FlowTracker()
    listed(tracker, row(5, "L1", "NEWT"), row(7, "L2", "SKIP"))
    assert settle(tracker, AT + 60, balances=AT + 60) == [0]
    assert settle(tracker, AT + 500, balances=AT + 400) == []


def test_rows_of_the_first_listing_ever_count_only_if_the_holdings_show_them() -> None:
    shown, behind = FlowTracker(), FlowTracker()
    for tracker in (shown, behind):
        tracker.listed(FlowsListed("v", AT, (row(-500, "first"),)))
        assert tracker.pending(usdt) == (0, 0)
    moved(shown, -500, AT + 20)
    assert settle(shown, AT + 20, balances=AT) == [-500]
    assert settle(behind, AT + 60, balances=AT + 50) == []
    moved(behind, -500, AT + 61)
    assert settle(behind, AT + 61, balances=AT + 61) == []
    behind.listed(FlowsListed("v", AT + 62, (row(-500, "second"),)))
    assert settle(behind, AT + 62, balances=AT + 61) == [-500]


# --- verified ------------------------------------------------------------------------------------------


def test_a_change_is_verified_by_a_later_listing_and_a_later_read_together() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    listed(tracker, at=AT + 1.9)
    settle(tracker, AT + 3, account=AT + 3)
    assert tracker.unverified() == (500, 0), "the ledger may lag behind by 2 s"
    listed(tracker, at=AT + 2)
    settle(tracker, AT + 3, account=AT - 1)
    assert tracker.unverified() == (500, 0), "nobody has read the account since"
    settle(tracker, AT + 3, account=AT)
    assert tracker.unverified() == (0, 0)


def test_without_a_listing_it_counts_after_flow_wait() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    settle(tracker, AT + 59.9)
    assert tracker.unverified() == (500, 0)
    settle(tracker, AT + 60)
    assert tracker.unverified() == (0, 0)


def test_a_venue_without_a_ledger_only_waits_for_the_other_row() -> None:
    tracker = FlowTracker(FlowSettings(without_ledger=frozenset({"v"})))
    moved(tracker, -500)
    assert tracker.wants_listing(AT + 1, Decimal(1_000)) == ()
    settle(tracker, AT + 0.25)
    assert tracker.unverified() == (0, 0)


def test_the_legs_of_a_trade_are_verified_together() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    moved(tracker, 499, AT + 0.2)
    settle(tracker, AT + 60.1)
    assert tracker.unverified() == (1, 0)
    settle(tracker, AT + 60.2)
    assert tracker.unverified() == (0, 0)


# --- young ---------------------------------------------------------------------------------------------


def test_a_young_fall_may_be_half_a_trade() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    assert tracker.unsettled_fall(AT + 0.249) == 500
    assert tracker.next_due(AT + 0.1) == AT + 0.25
    assert tracker.unsettled_fall(AT + 0.25) == 0


def test_a_half_trade_right_after_a_whole_one_is_seen_as_one() -> None:
    tracker = FlowTracker()
    for n, amount in enumerate([-500, 500, -500]):
        moved(tracker, amount, AT + n * 0.1)
    assert tracker.unsettled_fall(AT + 0.25) == 500
    assert tracker.unverified() == (500, 0)


def test_a_young_rise_is_no_deposit_yet() -> None:
    tracker = FlowTracker()
    moved(tracker, 500)
    assert tracker.settled_rise(AT + 0.1) == 0
    assert tracker.settled_rise(AT + 0.25) == 500


def test_a_rise_here_and_a_fall_there_are_a_transfer() -> None:
    tracker = FlowTracker()
    moved(tracker, 500)
    tracker.moved("w", Decimal(-500), AT, AT)
    assert tracker.settled_rise(AT + 5) == 0
    assert tracker.unverified() == (500, 500)


# --- asking for the ledger -----------------------------------------------------------------------------


def test_a_large_change_asks_for_the_ledger_once_a_second_until_it_is_explained() -> None:
    tracker, equity = FlowTracker(), Decimal(10_000)
    moved(tracker, -500)
    assert tracker.wants_listing(AT + 0.2, equity) == (), "it may be half a trade"
    assert tracker.wants_listing(AT + 0.25, equity) == ("v",)
    tracker.probed(["v"], AT + 0.25)
    assert tracker.wants_listing(AT + 1.2, equity) == ()
    assert tracker.wants_listing(AT + 1.25, equity) == ("v",)


def test_a_busy_account_asks_all_the_same() -> None:
    tracker, equity = FlowTracker(), Decimal(10_000)
    moved(tracker, -500)
    for n in range(20):
        moved(tracker, -100 if n % 2 == 0 else 100, AT + n * 0.1)
    assert tracker.wants_listing(AT + 2.0, equity) == ("v",)


def test_fees_don_t_ask() -> None:
    tracker = FlowTracker()
    moved(tracker, -9)
    assert tracker.wants_listing(AT + 5, Decimal(10_000)) == ()


# --- across restarts, and for long ---------------------------------------------------------------------


def test_what_has_one_witness_survives_a_restart() -> None:
    tracker, again = FlowTracker(), FlowTracker()
    listed(tracker, row(-500))
    moved(tracker, 70)
    saved = json.loads(json.dumps(tracker.snapshot()))
    again.restore(saved, Instant(5.0, WALL + 10))
    assert json.loads(json.dumps(again.snapshot())) == saved
    assert again.pending(usdt) == (500, 0)
    assert again.unverified() == (0, 70)
    assert settle(again, 6.0, balances=NEVER) == [], "nothing was read yet"
    assert listed(again, row(-500)) == ()


def test_a_jump_of_our_clock_makes_no_row_new_again() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    listed(tracker, row(-500))
    assert listed(tracker, row(-500)) == ()


def test_rows_are_forgotten_when_newer_ones_are_90_days_younger() -> None:
    tracker = FlowTracker()
    listed(tracker, row(1, "old", age_s=91 * 86_400), row(1, "kept", age_s=89 * 86_400), row(1, "new"))
    assert set(tracker.snapshot()["v"]["seen"]) == {"kept", "new"}


def test_a_million_trades_leave_nothing_behind() -> None:
    tracker = FlowTracker()
    for n in range(20_000):
        moved(tracker, 100 if n % 2 else -100, AT + n * 0.05)
        settle(tracker, AT + n * 0.05)
    venue = tracker._venues["v"]
    assert len(venue.moves) <= 60 / 0.05
    tracker.unsettled_fall(AT + 20_000 * 0.05)
    assert len(venue.rows._highest) <= 10
