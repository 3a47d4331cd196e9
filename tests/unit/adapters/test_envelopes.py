"""Nothing but the venue's own answer is an answer."""

from typing import Any

import pytest

from adapters.envelopes import check_same_shape, count_rows, parse_strictly, shape_of, wrong_with
from adapters.registry import venue_of
from risk_daemon.errors import MalformedReply

KRAKEN = "http://127.0.0.1:1/api.kraken.com/0/private/"
FUTURES = "https://futures.kraken.com/derivatives/api/v3/"

GARBAGE: list[Any] = [
    None,
    "",
    "<html></html>",
    b"",
    0,
    {},
    [],
    {"error": []},
    {"error": [], "result": {}},
    {"result": "success"},
]

GOOD: list[tuple[str, str, Any]] = [
    ("kraken", KRAKEN + "OpenOrders", {"error": [], "result": {"open": {}}}),
    ("kraken", KRAKEN + "OpenOrders", {"error": [], "result": {"open": {"O1": {"descr": {}}}}}),
    ("kraken", KRAKEN + "BalanceEx", {"error": [], "result": {"ZUSD": {"balance": "1.5"}}}),
    ("kraken", KRAKEN + "Ledgers", {"error": [], "result": {"ledger": {}, "count": 0}}),
    ("krakenfutures", FUTURES + "openorders", {"result": "success", "openOrders": []}),
    ("krakenfutures", FUTURES + "openpositions", {"result": "success", "openPositions": []}),
    ("krakenfutures", FUTURES + "accounts", {"result": "success", "accounts": {"cash": {"type": "cashAccount"}}}),
    ("krakenfutures", "https://x/api/history/v3/account-log?since=1", {"logs": []}),
]


@pytest.mark.parametrize(("exchange", "url", "reply"), GOOD)
def test_the_venues_own_answer_passes(exchange: str, url: str, reply: Any) -> None:
    assert wrong_with(venue_of(exchange).replies, url, reply) is None


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize(("exchange", "url"), sorted({(exchange, url) for exchange, url, _ in GOOD}))
def test_garbage_passes_nowhere(exchange: str, url: str, garbage: Any) -> None:
    assert wrong_with(venue_of(exchange).replies, url, garbage)


@pytest.mark.parametrize(
    ("exchange", "url", "reply"),
    [
        ("kraken", KRAKEN + "OpenOrders", {"error": ["EAPI:Invalid key"], "result": {"open": {}}}),
        ("kraken", KRAKEN + "OpenOrders", {"error": None, "result": {"open": {}}}),
        ("kraken", KRAKEN + "OpenOrders", {"error": [], "result": {"open": []}}),
        ("kraken", KRAKEN + "OpenOrders", {"error": [], "result": {"open": None}}),
        ("kraken", KRAKEN + "OpenOrders", {"error": [], "result": {"open": {"O1": None}}}),
        ("kraken", KRAKEN + "BalanceEx", {"error": [], "result": {"ZUSD": {}}}),
        ("kraken", KRAKEN + "BalanceEx", {"error": [], "result": {"ZUSD": {"balance": float("nan")}}}),
        (
            "kraken",
            KRAKEN + "BalanceEx",
            {"error": [], "result": {"ZUSD": {"balance": "1"}, "XXBT": {"balance": None}}},
        ),
        ("kraken", KRAKEN + "Ledgers", {"error": [], "result": {"ledger": {}}}),
        ("krakenfutures", FUTURES + "openorders", {"result": "error", "openOrders": []}),
        ("krakenfutures", FUTURES + "openorders", {"openOrders": []}),
        ("krakenfutures", FUTURES + "openorders", {"result": "success", "openOrders": {}}),
        ("krakenfutures", FUTURES + "openorders", {"result": "success", "openOrders": [{"symbol": "PF_XBTUSD"}]}),
        ("krakenfutures", FUTURES + "accounts", {"result": "success", "accounts": {}}),
        ("krakenfutures", FUTURES + "tickers", {"result": "success", "tickers": []}),
    ],
)
def test_an_answer_with_something_missing_is_refused(exchange: str, url: str, reply: Any) -> None:
    assert wrong_with(venue_of(exchange).replies, url, reply)


@pytest.mark.parametrize("garbage", [None, "", "<html></html>", {}, 5])
def test_a_venue_without_a_table_refuses_what_is_never_an_answer(garbage: Any) -> None:
    assert wrong_with(None, "https://api.binance.com/api/v3/openOrders", garbage)


def test_a_venue_without_a_table_may_list_nothing() -> None:
    assert wrong_with(None, "https://api.binance.com/api/v3/openOrders", []) is None


@pytest.mark.parametrize(
    "reply",
    [
        [],
        {"retCode": 0, "result": {"list": []}, "other": 1, "retMsg": "OK"}["result"],
        {"retCode": 10001, "result": {"list": []}, "retMsg": "OK"},
        {"retCode": 0, "retMsg": "OK"},
        {"code": 0, "msg": "OK"},
    ],
)
def test_a_learned_shape_refuses_another_type_key_set_or_status(reply: Any) -> None:
    learned = shape_of({"retCode": 0, "result": {"list": [1]}, "retMsg": "OK"})
    with pytest.raises(MalformedReply):
        check_same_shape(learned, reply)


def test_a_learned_shape_accepts_the_same_with_other_rows() -> None:
    learned = shape_of({"retCode": 0, "result": {"list": [1]}, "retMsg": "OK", "time": 1})
    check_same_shape(learned, {"retCode": 0, "result": {"list": []}, "retMsg": "OK", "time": 2, "extra": 3})
    check_same_shape(shape_of([]), [1, 2])


@pytest.mark.parametrize(
    ("reply", "rows"),
    [
        ([], 0),
        ([1, 2], 2),
        ({"data": [1]}, 1),
        ({"retCode": 0, "result": {"list": [1, 2, 3]}}, 3),
        ({"data": {"list": []}}, 0),
    ],
)
def test_rows_are_counted_where_venues_put_them(reply: Any, rows: int) -> None:
    assert count_rows(reply) == rows


@pytest.mark.parametrize("reply", [{"retCode": 0}, {"data": None}, None, "text"])
def test_a_reply_without_rows_is_not_an_empty_listing(reply: Any) -> None:
    with pytest.raises(MalformedReply):
        count_rows(reply)


@pytest.mark.parametrize("beside", [{"count": 2}, {"total": 1}, {"nextPageCursor": "x"}, {"hasMore": True}])
def test_rows_that_are_denied_by_what_stands_beside_them(beside: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        count_rows({"result": {"list": []} | beside})
    assert count_rows({"result": {"list": [1]} | beside}) == 1, "of a page that has rows, another may follow"


def test_json_is_read_as_every_reader_would() -> None:
    assert parse_strictly('{"a": [1.5, "x"]}') == {"a": [1.5, "x"]}
    with pytest.raises(MalformedReply, match="twice"):
        parse_strictly('{"a": {"b": 1, "b": 2}}')
    for text in ("NaN", '{"a": Infinity}', "[1] 2", "{,}", ""):
        with pytest.raises(ValueError):
            parse_strictly(text)
