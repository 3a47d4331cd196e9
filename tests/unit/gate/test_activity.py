"""Orders are counted once, whoever tells of them and how often; errors by bot, venue and kind."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.gate.activity import COUNT_MAX, KEEP_S, SAME_ORDER_WITHIN_S, Activity, Teller
from risk_daemon.model.events import ErrorKind

T0 = 1_000.0
BUY: dict[str, Any] = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy"}


def count(activity: Activity, now: float = T0 + 1, window_s: float = 60.0, bot: str | None = None) -> int:
    return activity.order_count(now, window_s, bot)


# --- windows -------------------------------------------------------------------------------------------


def test_an_order_counts_until_it_is_as_old_as_the_window() -> None:
    activity = Activity()
    assert activity.record_order(T0)
    assert [count(activity, T0 + age) for age in (0, 59.999, 60, 61)] == [1, 1, 0, 0]


def test_windows_of_any_length_up_to_an_hour() -> None:
    activity = Activity()
    for second in range(100):
        activity.record_order(T0 + second)
    now = T0 + 99
    assert [count(activity, now, window_s) for window_s in (0.5, 1, 10, 60, KEEP_S)] == [1, 1, 10, 60, 100]


def test_a_longer_window_is_refused_and_not_counted_short() -> None:
    activity = Activity()
    for ask in (activity.order_count, activity.error_counts):
        with pytest.raises(ValueError, match="3600"):
            ask(T0, KEEP_S + 1)


def test_old_orders_are_forgotten_and_young_ones_are_not() -> None:
    activity = Activity()
    for second in range(10_000):
        activity.record_order(T0 + second, bot="a")
    now = T0 + 9_999
    assert count(activity, now, KEEP_S) == count(activity, now, KEEP_S, "a") == KEEP_S
    assert len(activity._orders._monos) < 4 * KEEP_S


def test_a_flood_fills_no_memory() -> None:
    activity = Activity()
    for _ in range(2 * COUNT_MAX + 10):
        activity.record_error(T0)
    (kinds,) = activity.error_counts(T0, 60.0).values()
    assert COUNT_MAX <= kinds[ErrorKind.BROKER] <= 2 * COUNT_MAX


def test_orders_are_counted_for_their_bot() -> None:
    activity = Activity()
    for bot in ("a", "a", "b", None):
        activity.record_order(T0, bot=bot)
    assert count(activity) == 4
    assert [count(activity, bot=bot) for bot in ("a", "b", "c")] == [2, 1, 0]


# --- one order told of several times ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "tellings",
    {
        "the venue repeats itself": ({"order_id": "7"}, {"order_id": "7"}, {"order_id": "7", "client_order_id": "c"}),
        "asked with an own id": (
            {"client_order_id": "c"},
            {"order_id": "7", "client_order_id": "c"},
            {"order_id": "7"},
        ),
        "asked without any": ({}, {"order_id": "7"}, {"order_id": "7"}),
        "each knows another id": ({"client_order_id": "c"}, {"order_id": "7"}),
        "the stream comes first": ({"order_id": "7"}, {"client_order_id": "c"}),
        "an empty id is none": ({"client_order_id": ""}, {"order_id": "7", "client_order_id": ""}),
        "amended under a new own id": (
            {"order_id": "7", "client_order_id": "c"},
            {"order_id": "7", "client_order_id": "d"},
        ),
    }.items(),
    ids=lambda case: case[0],
)
def test_one_order(tellings: tuple[str, tuple[dict[str, str], ...]]) -> None:
    activity = Activity()
    new = [activity.record_order(T0 + 0.1 * i, **BUY, **ids) for i, ids in enumerate(tellings[1])]
    assert new == [True] + [False] * (len(new) - 1)
    assert count(activity) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"order_id": "7"}, {"order_id": "8"}),
        ({"client_order_id": "c"}, {"client_order_id": "d"}),
        ({}, {}),
        ({"order_id": "7", "client_order_id": "c"}, {"order_id": "8", "client_order_id": "c"}),
        ({"client_order_id": "c"}, {"client_order_id": "c"}),
        ({"order_id": "7"}, {"order_id": "7", "venue": "binance"}),
        ({}, {"order_id": "7", "symbol": "ETH/USDT"}),
        ({}, {"order_id": "7", "side": "sell"}),
        ({"bot": "a"}, {"bot": "b", "order_id": "7"}),
        ({"bot": "a", "order_id": "7"}, {"bot": "b", "order_id": "7"}),
        ({"bot": "a", "client_order_id": "1"}, {"bot": "b", "client_order_id": "1", "order_id": "7"}),
    ],
)
def test_two_orders(first: dict[str, str], second: dict[str, str]) -> None:
    activity = Activity()
    assert activity.record_order(T0, **(BUY | first))
    assert activity.record_order(T0 + 0.1, **(BUY | second))
    assert count(activity) == 2


def test_without_an_id_in_common_only_what_comes_soon_is_the_same() -> None:
    for later, new in ((SAME_ORDER_WITHIN_S - 0.001, False), (SAME_ORDER_WITHIN_S, True)):
        activity = Activity()
        activity.record_order(T0, **BUY)
        assert activity.record_order(T0 + later, **BUY, order_id="7") is new


def test_an_id_is_recognised_much_later() -> None:
    activity = Activity()
    activity.record_order(T0, **BUY, order_id="7")
    assert not activity.record_order(T0 + 10 * KEEP_S, **BUY, order_id="7")


def test_asking_and_streaming_in_turn_counts_each_asking() -> None:
    activity = Activity()
    for i in range(20):
        assert activity.record_order(T0 + i / 10, **BUY)
        assert not activity.record_order(T0 + i / 10, **BUY, order_id=str(i))
    assert count(activity, T0 + 2) == 20


def test_a_bot_that_uses_one_id_for_all_its_orders_is_counted_each_time() -> None:
    activity = Activity()
    for i in range(20):
        activity.record_order(T0 + i / 10, **BUY, client_order_id="same", teller=Teller.GATE)
        activity.record_order(T0 + i / 10, **BUY, client_order_id="same", order_id=str(i), teller=Teller.BOT)
        activity.record_order(T0 + i / 10, **BUY, client_order_id="same", order_id=str(i), teller=Teller.VENUE)
    assert count(activity, T0 + 2) == 20


def test_asking_with_an_id_that_is_known_is_another_order() -> None:
    activity = Activity()
    activity.record_order(T0, **BUY, order_id="7", client_order_id="c", teller=Teller.VENUE)
    assert activity.record_order(T0 + 1, **BUY, client_order_id="c", teller=Teller.GATE), "an amend counts, too"
    assert count(activity, T0 + 2) == 2


def test_with_tellers_a_report_without_ids_is_of_the_order_that_was_asked_for() -> None:
    activity = Activity()
    for i in range(5):
        assert activity.record_order(T0 + i, **BUY, bot="a", teller=Teller.GATE)
        assert not activity.record_order(T0 + i, **BUY, bot="a", teller=Teller.BOT)
        assert not activity.record_order(T0 + i, **BUY, order_id=str(i), teller=Teller.VENUE)
    assert activity.record_order(T0 + 5, **BUY, bot="a", teller=Teller.BOT), "this one did not ask"
    assert count(activity, T0 + 6) == 6


def test_what_is_learnt_of_an_order_helps_to_recognise_it() -> None:
    activity = Activity()
    activity.record_order(T0, **BUY, client_order_id="c")
    activity.record_order(T0, **BUY, client_order_id="c", order_id="7", bot="a")
    assert count(activity, bot="a") == 1
    assert not activity.record_order(T0 + 100, **BUY, order_id="7")
    assert not activity.record_order(T0 + 200, **BUY, order_id="7", bot="a")
    assert count(activity, T0 + 201, KEEP_S, "a") == 1


def test_orders_from_before_are_known_and_not_counted() -> None:
    activity = Activity()
    activity.know_order("kraken", order_id="7", client_order_id="c")
    activity.know_order("kraken", order_id="8")
    assert not activity.record_order(T0, **BUY, order_id="7", bot="a")
    assert not activity.record_order(T0, **BUY, order_id="8")
    assert activity.record_order(T0, **BUY, order_id="9")
    assert count(activity) == 1
    assert count(activity, bot="a") == 0


def test_what_is_remembered_of_orders_is_bounded_and_what_is_forgotten_counts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("risk_daemon.gate.activity._IDS_MAX", 10)
    monkeypatch.setattr("risk_daemon.gate.activity._DEEDS_MAX", 10)
    activity = Activity()
    for i in range(30):
        assert activity.record_order(T0, venue="v", symbol=str(i), side="buy", order_id=str(i))
    assert not activity.record_order(T0, venue="v", symbol="29", side="buy", order_id="29")
    assert activity.record_order(T0, venue="v", symbol="0", side="buy", order_id="0")
    assert (len(activity._known._by_id), len(activity._known._by_deed)) == (10, 10)


def test_a_flood_is_counted_whole() -> None:
    activity = Activity()
    for i in range(3_000):
        activity.record_order(T0 + i / 1_000, **BUY, order_id=str(i))
    assert count(activity, T0 + 3) == 3_000


# --- errors ----------------------------------------------------------------------------------------------


def test_errors_by_bot_venue_and_kind() -> None:
    activity = Activity()
    assert activity.error_counts(T0, 60.0) == {}
    activity.record_error(T0)
    for kind in (ErrorKind.BROKER, ErrorKind.BROKER, ErrorKind.CONNECTION):
        activity.record_error(T0 + 30, kind, bot="a", venue="kraken")
    assert activity.error_counts(T0 + 31, 60.0) == {
        (None, None): {ErrorKind.BROKER: 1},
        ("a", "kraken"): {ErrorKind.BROKER: 2, ErrorKind.CONNECTION: 1},
    }
    assert set(activity.error_counts(T0 + 60, 60.0)) == {("a", "kraken")}
    assert activity.error_counts(T0 + 90, 60.0) == {}


def test_what_was_to_be_expected_does_not_count() -> None:
    activity = Activity()
    activity.record_error(T0, ErrorKind.EXPECTED, bot="a", venue="kraken")
    assert activity.error_counts(T0, 60.0) == {}
