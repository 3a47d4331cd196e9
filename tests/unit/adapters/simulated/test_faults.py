"""Faults as data: whom they hit, how often, and what the caller sees."""

import json
from typing import Any

import pytest

from adapters.simulated.faults import GARBAGE, Call, FaultBook, How, spoil, with_nan

HONEST = b'{"error":[],"result":{"USDT":{"balance":"6000.0","hold_trade":"0"}}}'


@pytest.mark.parametrize(
    ("target", "hit"),
    [
        ("open_orders", True),
        ("any", True),
        ("OpenOrd", True),
        ("balances", False),
        ("ws", False),
        ("Balance", False),
    ],
)
def test_target_is_a_kind_of_call_or_a_part_of_the_path(target: str, hit: bool) -> None:
    book = FaultBook()
    book.add({"how": "html", "target": target})
    assert (book.take(Call.OPEN_ORDERS, "/0/private/OpenOrders") is not None) is hit


def test_tickers_is_another_word_for_prices() -> None:
    book = FaultBook()
    assert book.add({"how": "html", "target": "tickers"}).target == Call.PRICES


def test_count_wears_off_and_without_it_a_fault_stays_until_healed() -> None:
    book = FaultBook()
    book.add({"how": "500", "count": 2})
    lasting = book.add({"how": "503", "id": "mine"})
    taken = [book.take(Call.CANCEL, "/x") for _ in range(4)]
    assert [fault.how for fault in taken if fault] == [
        How.SERVER_ERROR,
        How.SERVER_ERROR,
        How.UNAVAILABLE,
        How.UNAVAILABLE,
    ]
    book.heal(lasting.fault_id)
    assert book.take(Call.CANCEL, "/x") is None
    with pytest.raises(ValueError, match="mine"):
        book.heal("mine")


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"how": "never"},
        {"how": "html", "count": 0},
        {"how": "html", "when": 3},
        {"how": "slow"},
        {"how": "slow", "delay_ms": -1},
        {"how": "venue_error"},
    ],
)
def test_senseless_faults_are_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        FaultBook().add(request_)


@pytest.mark.parametrize(
    ("how", "status", "body"),
    [
        ("empty_object", 200, b"{}"),
        ("empty_envelope", 200, b"ENVELOPE"),
        ("empty_list", 200, b"[]"),
        ("empty_body", 200, b""),
        ("truncated", 200, HONEST[: len(HONEST) * 2 // 3]),
        ("slow", 200, HONEST),
    ],
)
def test_what_the_caller_sees(how: str, status: int, body: bytes) -> None:
    fault = FaultBook().add({"how": how, "delay_ms": 20})
    answer = spoil(fault, HONEST, empty_envelope=b"ENVELOPE")
    assert (answer.status, answer.body, answer.delay_s) == (status, body, 0.02)


def test_statuses_hang_and_reset() -> None:
    book = FaultBook()
    limited = spoil(book.add({"how": "429", "retry_after_s": 3}), HONEST)
    assert (limited.status, limited.headers) == (429, (("Retry-After", "3"),))
    assert spoil(book.add({"how": "401"}), HONEST).status == 401
    assert spoil(book.add({"how": "hang"}), HONEST).hang
    assert spoil(book.add({"how": "reset"}), HONEST).reset


def test_which_failing_calls_still_reach_the_account() -> None:
    book = FaultBook()
    assert not book.add({"how": "hang"}).carried_out
    assert book.add({"how": "reset"}).carried_out
    assert book.add({"how": "hang", "carried_out": True}).carried_out


def test_nan_in_the_first_number_or_under_a_key() -> None:
    honest = json.loads(HONEST)
    assert with_nan(honest, None)["result"]["USDT"] == {"balance": "NaN", "hold_trade": "0"}
    assert with_nan(honest, "hold_trade")["result"]["USDT"] == {"balance": "6000.0", "hold_trade": "NaN"}
    assert json.dumps(with_nan({"ok": True, "rows": [{"bid": 1.5}]}, None)) == '{"ok": true, "rows": [{"bid": NaN}]}'


def test_frames_of_silent_frozen_garbled_and_healed_sockets() -> None:
    book = FaultBook()
    frame = {"bid": 1}
    assert book.spoil_frame(frame) == '{"bid": 1}'
    book.add({"how": "socket_garbage", "count": 1})
    assert [book.spoil_frame(frame), book.spoil_frame(frame)] == [GARBAGE, '{"bid": 1}']
    for how in ("socket_silent", "socket_frozen"):
        book.add({"how": how})
        assert book.spoil_frame(frame) is None
        book.heal_sockets()
    assert book.active() == []
    with pytest.raises(ValueError):
        json.loads(GARBAGE)


def test_frame_faults_do_not_refuse_the_dial() -> None:
    book = FaultBook()
    book.add({"how": "socket_silent"})
    book.add({"how": "nan", "target": "ws"})
    assert book.take(Call.WS, "/ws.kraken.com/v2") is None
    book.add({"how": "503", "target": "ws"})
    assert book.take(Call.WS, "/ws.kraken.com/v2") is not None


def test_active_is_json() -> None:
    book = FaultBook()
    book.add({"how": "429", "target": "cancel", "count": 2})
    (row,) = json.loads(json.dumps(book.active()))
    assert (row["how"], row["target"], row["count"], row["fault_id"]) == ("429", "cancel", 2, "fault-1")
