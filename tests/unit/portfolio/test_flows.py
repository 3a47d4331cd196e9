from __future__ import annotations

import json
from decimal import Decimal

import pytest

from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Flow, FlowsListed
from risk_daemon.portfolio.flows import FlowSettings, FlowTracker
from risk_daemon.portfolio.unexplained import AssetMove

AT = 1_000.0
WALL = 1_700_000_000.0
NEVER = float("-inf")
EQUITY = Decimal(10_000)
PRICES = {"USDT": Decimal(1), "BTC": Decimal(50_000), "SKIP": Decimal(0)}


def price(asset: str) -> Decimal | None:
    return PRICES.get(asset)


def row(amount: object, flow_id: str = "L1", asset: str = "USDT", age_s: float = 0.0, group: str = "") -> Flow:
    return Flow(
        flow_id=flow_id,
        venue="v",
        asset=asset,
        amount=Decimal(str(amount)),
        wall=WALL - age_s,
        kind="transfer",
        group=group,
    )


def listed(
    tracker: FlowTracker, *flows: Flow, at: float = AT, trades: tuple[Flow, ...] | None = None
) -> tuple[Flow, ...]:
    """The book tells of no trades unless told to."""
    tracker.listed(FlowsListed("v", NEVER, (), None if trades is None else ()))  # so that this is not the first ever
    return tracker.listed(FlowsListed("v", at, flows, trades))


def worth(tracker: FlowTracker) -> Decimal:
    """What is there now: all that moved, and no price did."""
    return EQUITY + tracker._total.worth


def settle(
    tracker: FlowTracker, now: float, balances: float = NEVER, account: float = NEVER, by_prices: int = 0
) -> list[Decimal]:
    tracker.follow_prices(now, worth(tracker) + by_prices, is_whole=True)
    settled, _ = tracker.settle(
        now,
        price,
        worth(tracker) + by_prices,
        equity_of=lambda _: EQUITY,
        balances_mono=lambda _: balances,
        account_mono=lambda _: account,
    )
    return [one.value for one in settled]


def unmatched(tracker: FlowTracker, now: float, balances: float) -> list[str]:
    settled, left = tracker.settle(
        now,
        price,
        worth(tracker),
        equity_of=lambda _: EQUITY,
        balances_mono=lambda _: balances,
        account_mono=lambda _: NEVER,
    )
    assert settled == []
    return [flow.flow_id for flow in left]


def moved(
    tracker: FlowTracker,
    amount: object,
    now: float = AT,
    seen: float | None = None,
    asset: str = "USDT",
    venue: str = "v",
) -> None:
    units, worth = Decimal(str(amount)), price(asset)
    move = AssetMove(asset=asset, units=units, value=None if worth is None else units * worth)
    tracker.moved(venue, [move], now, now if seen is None else seen)


def doubts(tracker: FlowTracker, now: float = AT) -> tuple[Decimal, Decimal]:
    return tracker.doubts(now, price)


# --- flows -------------------------------------------------------------------------------------------------


def test_a_change_and_a_row_that_match_are_a_flow_at_once() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    listed(tracker, row(-500), at=AT + 1)
    assert settle(tracker, AT + 1) == [-500]
    assert doubts(tracker) == (0, 0)
    assert settle(tracker, AT + 2) == []


def test_a_row_before_its_change_is_in_question_both_ways() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500), row(300, "L2"))
    assert settle(tracker, AT) == []
    assert doubts(tracker) == (500, 300)
    moved(tracker, -500, AT + 3)
    assert settle(tracker, AT + 3) == [-500]
    assert doubts(tracker) == (0, 300)


def test_the_same_id_is_the_same_flow_also_within_one_listing() -> None:
    tracker = FlowTracker()
    assert len(listed(tracker, row(-500), row(-500))) == 1
    assert listed(tracker, row(-500)) == ()
    assert doubts(tracker) == (500, 0)


def test_one_row_explains_one_change() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    moved(tracker, -500)
    moved(tracker, -500, AT + 5)
    assert settle(tracker, AT + 5) == [-500]
    assert doubts(tracker) == (500, 0)


@pytest.mark.parametrize(
    ("change", "flows", "left"),
    [
        (-451, [-500], (0, 49)),
        (-450, [-500], (0, 50)),
        (-550, [-500], (50, 0)),
        (-449, [], (500, 0)),
        (500, [], (500, 500)),
    ],
)
def test_a_change_of_about_that_size_shows_a_flow_and_the_rest_stays_in_question(
    change: int, flows: list[int], left: tuple[int, int]
) -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    moved(tracker, change)
    assert settle(tracker, AT) == flows
    assert doubts(tracker) == left


def test_flows_that_hide_each_other_are_shown_together() -> None:
    tracker = FlowTracker()
    moved(tracker, 300)
    moved(tracker, -800)
    listed(tracker, row(300, "L1"), row(-800, "L2"))
    assert sorted(settle(tracker, AT)) == [-800, 300]
    assert doubts(tracker) == (0, 0)


def test_a_flow_that_the_holdings_never_show_is_told_once_and_left_out() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    assert unmatched(tracker, AT + 61, AT + 1) == [], "that read is too close to the listing"
    assert doubts(tracker, AT + 61) == (0, 0), "and no longer in question all the same"
    assert unmatched(tracker, AT + 61, AT + 50) == ["L1"]
    assert unmatched(tracker, AT + 62, AT + 60) == []


def test_a_flow_that_was_left_out_and_is_shown_after_all_counts() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    assert unmatched(tracker, AT + 61, AT + 50) == ["L1"]
    moved(tracker, -480, AT + 300)
    assert settle(tracker, AT + 300) == [], "only just that amount"
    moved(tracker, -20, AT + 300)
    moved(tracker, -500, AT + 301)
    assert settle(tracker, AT + 301) == [-500]


def test_a_flow_without_a_price_waits_and_one_that_is_ignored_is_worth_nothing() -> None:
    tracker = FlowTracker()
    listed(tracker, row(5, "L1", "NEWT"), row(7, "L2", "SKIP"))
    assert settle(tracker, AT) == [0]
    moved(tracker, 5, AT + 1, asset="NEWT")
    assert settle(tracker, AT + 500, balances=AT + 400) == []
    PRICES["NEWT"] = Decimal(3)
    try:
        assert settle(tracker, AT + 900) == [15]
    finally:
        del PRICES["NEWT"]


def test_rows_of_the_first_listing_ever_count_only_if_the_holdings_show_just_them() -> None:
    shown, behind = FlowTracker(), FlowTracker()
    for tracker in (shown, behind):
        tracker.listed(FlowsListed("v", AT, (row(-500, "first"),)))
        assert doubts(tracker) == (0, 0)
    moved(shown, -500, AT + 20)
    assert settle(shown, AT + 20, balances=AT) == [-500]
    assert settle(behind, AT + 60, balances=AT + 50) == []
    moved(behind, -500, AT + 61)
    assert settle(behind, AT + 61, balances=AT + 61) == []


def first_listing(tracker: FlowTracker, *, flows: tuple[Flow, ...], trades: tuple[Flow, ...]) -> None:
    tracker.listed(FlowsListed("v", AT + 10, flows, trades))


@pytest.mark.parametrize("amount", ["837.21", "-477.47"])
@pytest.mark.parametrize("is_listed_first", [True, False])
def test_the_newest_rows_of_a_late_first_listing_that_add_up_to_what_moved_are_no_history(
    amount: str, is_listed_first: bool
) -> None:
    """A flow and a trade between two readings are one change, and the listing that tells of both is the first."""
    tracker, flow = FlowTracker(), row(amount, "F", age_s=2)
    old = (row(55, "O1", age_s=90), row(7, "O2", age_s=60))
    trades = (row(-900, "T", age_s=1, group="g"), row("0.018", "T2", "BTC", age_s=1, group="g"))
    steps = [
        lambda: first_listing(tracker, flows=(flow, *old), trades=trades),
        lambda: tracker.moved(
            "v",
            [
                AssetMove(asset="USDT", units=Decimal(amount) - 900, value=Decimal(amount) - 900),
                AssetMove(asset="BTC", units=Decimal("0.018"), value=Decimal(900)),
            ],
            AT + 10,
            AT + 10,
        ),
    ]
    for step in steps if is_listed_first else reversed(steps):
        step()
        settled = settle(tracker, AT + 11)
    assert settled == [Decimal(amount)]
    assert doubts(tracker, AT + 11) == (0, 0)


def test_a_row_of_a_late_first_listing_explains_one_change() -> None:
    trades = (row(-63, "T", age_s=1, group="g"),)
    tracker = FlowTracker()
    first_listing(tracker, flows=(row(40, "F", age_s=2),), trades=trades)
    for at, units, flows in ((11, -63, []), (12, 40, [40]), (13, -23, []), (14, -40, [])):
        moved(tracker, units, AT + at)
        assert settle(tracker, AT + at) == flows
    assert doubts(tracker, AT + 14) == (63, 0)


def test_history_that_does_not_add_up_explains_nothing_and_none_does_after_flow_wait() -> None:
    trades = (row(-900, "T", age_s=1, group="g"),)
    for units, at in ((-800, AT + 20), (-63, AT + 20), (Decimal("-62.79"), AT + 75)):
        tracker = FlowTracker()
        first_listing(tracker, flows=(row("837.21", "F", age_s=2),), trades=trades)
        assert settle(tracker, at) == []
        moved(tracker, units, at)
        assert settle(tracker, at) == []
        assert doubts(tracker, at) == (-Decimal(units), 0)


def test_a_late_row_that_is_no_newer_than_the_first_listing_is_history_too() -> None:
    tracker = FlowTracker()
    tracker.listed(FlowsListed("v", AT, (row(-1, "first"),)))
    tracker.listed(FlowsListed("v", AT + 20, (row(-500, "late", age_s=1.0), row(-1, "first"))))
    assert doubts(tracker, AT + 20) == (0, 0)
    assert unmatched(tracker, AT + 90, AT + 89) == []


def test_what_was_there_when_it_flowed_is_told_by_what_moved_since() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    moved(tracker, -260, AT + 5)
    listed(tracker, row(-500), at=AT + 6)
    settled, _ = tracker.settle(
        AT + 6,
        price,
        worth(tracker),
        equity_of=lambda _: EQUITY,
        balances_mono=lambda _: NEVER,
        account_mono=lambda _: NEVER,
    )
    assert [(one.value, one.after, one.after_there) for one in settled] == [(-500, 9_500, 10_260)]


# --- a book that tells of trades -----------------------------------------------------------------------------


def test_a_trade_s_rows_take_its_loss_out_of_the_question_at_once() -> None:
    tracker = FlowTracker()
    listed(tracker, trades=())
    moved(tracker, -5_000)
    moved(tracker, "0.05", asset="BTC")
    settle(tracker, AT)
    assert doubts(tracker) == (2_500, 0)
    tracker.listed(FlowsListed("v", AT, (), (row(-5_000, "a", group="t"), row("0.05", "b", "BTC", group="t"))))
    settle(tracker, AT + 1)
    assert doubts(tracker) == (0, 0)


def test_rows_that_come_before_what_they_tell_of_are_awaited() -> None:
    tracker = FlowTracker()
    listed(tracker, trades=(row(-500, "a"),))
    settle(tracker, AT)
    assert doubts(tracker) == (0, 500)
    moved(tracker, -500, AT + 3)
    settle(tracker, AT + 3)
    assert doubts(tracker) == (0, 0)


def test_a_later_listing_verifies_nothing_that_it_does_not_name() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    for second in range(1, 59):
        listed(tracker, at=AT + second, trades=())
        settle(tracker, AT + second, account=AT + second)
    assert doubts(tracker) == (500, 0)
    settle(tracker, AT + 60)
    assert doubts(tracker) == (0, 0)


def test_the_rows_of_fair_trades_explain_no_withdrawal() -> None:
    """They were set aside, and meet their own rows."""
    tracker = FlowTracker()
    listed(tracker, trades=())
    for second in range(5):
        move = AssetMove(asset="USDT", units=Decimal(-500), value=Decimal(-500))
        got = AssetMove(asset="BTC", units=Decimal("0.01"), value=Decimal(500))
        tracker.moved("v", [move, got], AT + second, AT + second)
        settle(tracker, AT + second)
    assert doubts(tracker) == (0, 0)
    moved(tracker, -600, AT + 6)
    rows = [row(-500, f"u{n}", group=f"t{n}") for n in range(5)]
    rows += [row("0.01", f"b{n}", "BTC", group=f"t{n}") for n in range(5)]
    tracker.listed(FlowsListed("v", AT + 7, (), tuple(rows)))
    settle(tracker, AT + 7)
    assert doubts(tracker) == (600, 0)


def test_a_trade_of_the_first_listing_explains_what_is_in_question_to_the_unit() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    moved(tracker, -70)
    tracker.listed(FlowsListed("v", AT, (), (row(-500, "a"), row(-69, "b"), row(-3, "c"))))
    settle(tracker, AT + 1)
    assert doubts(tracker) == (70, 0)


# --- a book that does not -------------------------------------------------------------------------------------


def test_a_change_is_verified_by_a_later_listing_and_a_later_read_together() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    listed(tracker, at=AT + 1.9)
    settle(tracker, AT + 3, account=AT + 3)
    assert doubts(tracker) == (500, 0), "the book may lag behind by 2 s"
    listed(tracker, at=AT + 2)
    settle(tracker, AT + 3, account=AT - 1)
    assert doubts(tracker) == (500, 0), "nobody has read the account since"
    settle(tracker, AT + 3, account=AT)
    assert doubts(tracker) == (0, 0)


def test_how_late_a_book_may_be_is_said_by_venue() -> None:
    tracker = FlowTracker(FlowSettings(ledger_lag_s_by_venue={"v": 30.0}))
    moved(tracker, -500)
    listed(tracker, at=AT + 29)
    settle(tracker, AT + 30, account=AT + 30)
    assert doubts(tracker) == (500, 0)
    listed(tracker, at=AT + 30)
    settle(tracker, AT + 31, account=AT + 30)
    assert doubts(tracker) == (0, 0)


def test_without_a_listing_it_counts_after_flow_wait() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    settle(tracker, AT + 59.9)
    assert doubts(tracker) == (500, 0)
    settle(tracker, AT + 60)
    assert doubts(tracker) == (0, 0)


def test_what_rose_is_no_gain_before_the_book_was_listed_since() -> None:
    """It may be a deposit: counted as a gain it would hide a loss of its size."""
    tracker = FlowTracker()
    moved(tracker, 500)
    settle(tracker, AT + 600)
    assert doubts(tracker) == (0, 500)
    listed(tracker, at=AT + 601)
    settle(tracker, AT + 602)
    assert doubts(tracker) == (0, 0)


def test_a_venue_without_a_book_waits_for_its_lag_and_a_read() -> None:
    tracker = FlowTracker(FlowSettings(without_ledger=frozenset({"v"})))
    moved(tracker, -500)
    assert tracker.wants_listing(AT + 1, Decimal(1_000)) == ()
    settle(tracker, AT + 1.9, account=AT + 1.5)
    assert doubts(tracker) == (500, 0)
    settle(tracker, AT + 2, account=AT - 1)
    assert doubts(tracker) == (500, 0)
    settle(tracker, AT + 2, account=AT)
    assert doubts(tracker) == (0, 0)


def test_what_something_without_a_price_cost_waits_for_flow_wait_there_too() -> None:
    tracker = FlowTracker(FlowSettings(without_ledger=frozenset({"v"})))
    moved(tracker, -500)
    moved(tracker, 100, AT + 0.2, asset="SPAM")
    moved(tracker, -70, AT + 9)
    settle(tracker, AT + 30, account=AT + 30)
    assert doubts(tracker) == (500, 0)
    settle(tracker, AT + 60, account=AT + 30)
    assert doubts(tracker) == (0, 0)


def test_the_legs_of_a_trade_are_set_aside_together() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    moved(tracker, "0.00999", AT + 0.2, asset="BTC")
    settle(tracker, AT + 0.2)
    assert doubts(tracker) == (0, 0)


# --- young ---------------------------------------------------------------------------------------------------


def test_a_young_fall_may_be_half_a_trade() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    assert tracker.unsettled_fall(AT + 0.249) == 500
    assert tracker.next_due(AT + 0.1) == AT + 0.25
    assert tracker.unsettled_fall(AT + 0.25) == 0


def test_a_young_rise_is_no_deposit_yet() -> None:
    tracker = FlowTracker()
    moved(tracker, 500)
    assert tracker.settled_rise(AT + 0.1) == 0
    assert tracker.settled_rise(AT + 0.25) == 500


def test_a_rise_here_and_a_fall_there_are_a_transfer() -> None:
    tracker = FlowTracker()
    moved(tracker, 500)
    moved(tracker, -500, venue="w")
    assert tracker.settled_rise(AT + 5) == 0
    assert doubts(tracker) == (500, 500)


# --- asking for the ledger -----------------------------------------------------------------------------------


def test_a_large_change_asks_for_the_book_with_growing_gaps_and_once_more_before_its_time_is_over() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    assert tracker.wants_listing(AT + 0.2, EQUITY) == (), "it may be half a trade"
    asked, tenth = [], 0
    while tenth < 600:
        now = AT + 0.25 + tenth / 10
        if tracker.wants_listing(now, EQUITY):
            tracker.probed(["v"], now)
            asked.append(tenth / 10)
        tenth += 1
    assert asked == pytest.approx([0, 1, 3, 7, 15, 30, 45, 56.8], abs=0.11)


def test_a_busy_account_asks_all_the_same() -> None:
    tracker = FlowTracker()
    moved(tracker, -500)
    for n in range(20):
        moved(tracker, -100 if n % 2 == 0 else 100, AT + n * 0.1)
    assert tracker.wants_listing(AT + 2.0, EQUITY) == ("v",)


def test_fees_don_t_ask() -> None:
    tracker = FlowTracker()
    moved(tracker, -9)
    assert tracker.wants_listing(AT + 5, EQUITY) == ()


# --- across restarts, and for long -----------------------------------------------------------------------------


def test_what_has_one_witness_survives_a_restart() -> None:
    tracker, again = FlowTracker(), FlowTracker()
    listed(tracker, row(-500), trades=(row(-3, "t1"),))
    moved(tracker, 70)
    saved = json.loads(json.dumps(tracker.snapshot(AT + 20)))
    again.restore(saved, Instant(5.0, WALL + 10))
    assert json.loads(json.dumps(again.snapshot(5.0))) == saved
    assert doubts(again, 6.0) == (500, 70)
    assert settle(again, 6.0, balances=NEVER) == [], "nothing was read yet"
    assert listed(again, row(-500), trades=(row(-3, "t1"),)) == ()
    settle(again, 44.0)
    assert doubts(again, 44.0)[1] == 70
    settle(again, 45.0)
    assert doubts(again, 45.0)[1] == 0, "it had waited for 20 s before"


def restarted(tracker: FlowTracker, now: float) -> FlowTracker:
    """What a next run knows, at its second 5; each has a clock of its own."""
    again = FlowTracker()
    again.restore(json.loads(json.dumps(tracker.snapshot(now))), Instant(5.0, WALL + 10))
    return again


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_row_of_the_first_listing_ever_is_known_to_the_next_run_too(is_alone: bool) -> None:
    """The guard was killed between the listing and the reading that shows what it named."""
    tracker = FlowTracker()
    trades = () if is_alone else (row(-40, "T", age_s=1),)
    first_listing(tracker, flows=(row(-350, "F", age_s=2),), trades=trades)
    assert settle(tracker, AT + 10) == []
    again = restarted(tracker, AT + 11)
    moved(again, -350 if is_alone else -390, 9.0)
    assert settle(again, 9.0) == [-350]
    assert doubts(again, 9.0) == (0, 0)


def test_history_waits_no_longer_for_a_restart() -> None:
    tracker = FlowTracker()
    first_listing(tracker, flows=(row(-350, "F", age_s=2),), trades=(row(-40, "T", age_s=1),))
    assert settle(tracker, AT + 10) == []
    again = restarted(tracker, AT + 45)
    assert settle(again, 25.0) == []
    moved(again, -390, 35.0)
    moved(again, -350, 35.0, asset="SKIP")
    assert settle(again, 35.0) == []
    assert doubts(again, 35.0) == (390, 0)


def test_a_flow_that_waits_for_its_price_does_so_in_the_next_run_too() -> None:
    tracker = FlowTracker()
    listed(tracker, row(5, "L1", "NEWT"))
    moved(tracker, 5, AT + 1, asset="NEWT")
    assert settle(tracker, AT + 2) == []
    again = restarted(tracker, AT + 3)
    assert settle(again, 6.0) == []
    PRICES["NEWT"] = Decimal(3)
    try:
        assert settle(again, 7.0) == [15]
    finally:
        del PRICES["NEWT"]


@pytest.mark.parametrize("amount", [500, -500])
def test_what_counted_already_is_known_to_the_next_run_and_is_late_there_too(amount: int) -> None:
    tracker = FlowTracker()
    listed(tracker, trades=())
    moved(tracker, amount)
    listed(tracker, at=AT + 50, trades=())
    settle(tracker, AT + 61)
    assert doubts(tracker, AT + 61) == (0, 0)
    again = restarted(restarted(tracker, AT + 62), 6.0)
    assert doubts(again, 6.0) == (0, 0), "it is in question no more"
    listed(again, row(amount * 2, "L0"), row(amount, "L1"), at=6.0, trades=())
    assert settle(again, 6.0) == [amount], "by the one that fits"
    assert settle(again, 7.0) == []


def test_what_a_trade_explains_in_the_next_run_counts_no_more() -> None:
    tracker = FlowTracker()
    listed(tracker, trades=())
    moved(tracker, -10, asset="BTC")
    settle(tracker, AT + 61)
    again = restarted(tracker, AT + 62)
    listed(again, at=6.0, trades=(row(-10, "t1", "BTC"),))
    assert settle(again, 6.0) == []
    assert doubts(again, 6.0) == (0, 0), "else it would be awaited"


def test_of_a_thousand_changes_that_counted_the_largest_are_remembered_and_a_hundred_of_them_saved() -> None:
    tracker = FlowTracker()
    listed(tracker, trades=())
    for n in range(1_500):
        moved(tracker, -5_000 if n == 3 else -10 - n % 7, AT + n)
        settle(tracker, AT + n + 61)
    kept = tracker._venues["v"].unexplained
    assert len(kept._over) == 1_000
    saved = tracker.snapshot(AT + 1_600)["v"]["over"]
    assert len(saved) == 100
    assert min(saved, key=lambda lot: Decimal(lot["units"]))["units"] == "-5000"


def test_a_state_of_an_older_version_says_nothing_of_what_counted() -> None:
    tracker, again = FlowTracker(), FlowTracker()
    listed(tracker, row(-500), trades=())
    moved(tracker, 70)
    saved = json.loads(json.dumps(tracker.snapshot(AT + 20)))
    del saved["v"]["over"], saved["v"]["pending"][0]["is_counted"]
    for key in ("in_baselines", "in_fund", "hidden"):
        del saved["v"]["lots"][0][key]
    again.restore(saved, Instant(5.0, WALL + 10))
    assert doubts(again, 6.0) == (500, 70)


def test_what_a_late_trade_explained_is_no_part_of_a_late_flow_s_worth() -> None:
    tracker = FlowTracker()
    listed(tracker, trades=())
    moved(tracker, -10, asset="BTC")
    settle(tracker, AT + 61)
    listed(tracker, at=AT + 62, trades=(row(-4, "t1", "BTC"),))
    assert settle(tracker, AT + 62) == []
    listed(tracker, row(-6, "L1", "BTC"), at=AT + 63, trades=())
    assert settle(tracker, AT + 63) == [-300_000]


def test_a_change_is_no_loss_while_its_row_waits_for_prices() -> None:
    """The book tells of no trades: one newer than the change answers for it. Only it is not silent."""
    tracker = FlowTracker()
    listed(tracker)
    settle(tracker, AT)
    moved(tracker, -500, AT + 1)
    settle(tracker, AT + 1)
    settle(tracker, AT + 2, by_prices=-400)
    listed(tracker, row(-500), at=AT + 3.5)
    assert settle(tracker, AT + 3.6, AT + 3.5, AT + 3.5, by_prices=-400) == [], "it waits"
    assert settle(tracker, AT + 3.7, AT + 3.5, AT + 3.5, by_prices=-400) == []
    assert doubts(tracker, AT + 3.7) == (500, 0)
    assert settle(tracker, AT + 10, AT + 9, AT + 9, by_prices=-400) == [-500]
    assert doubts(tracker, AT + 10) == (0, 0)


def test_a_jump_of_our_clock_makes_no_row_new_again() -> None:
    tracker = FlowTracker()
    listed(tracker, row(-500))
    listed(tracker, row(-500))
    assert listed(tracker, row(-500)) == ()


def test_rows_are_forgotten_when_newer_ones_are_90_days_younger() -> None:
    tracker = FlowTracker()
    listed(tracker, row(1, "old", age_s=91 * 86_400), row(1, "kept", age_s=89 * 86_400), row(1, "new"))
    assert set(tracker.snapshot(AT)["v"]["seen"]) == {"kept", "new"}


def test_a_million_trades_leave_nothing_behind() -> None:
    tracker = FlowTracker()
    for n in range(20_000):
        moved(tracker, 100 if n % 2 else -100, AT + n * 0.05)
        settle(tracker, AT + n * 0.05)
    tracker.unsettled_fall(AT + 20_000 * 0.05)
    assert len(tracker._venues["v"].young._highest) <= 10
    assert len(list(tracker._venues["v"].unexplained.lots())) <= 1
