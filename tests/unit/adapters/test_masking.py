"""What is masked gives nobody away, and has the shape that it had."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.masking import Mask, is_personal


@pytest.mark.parametrize("number", ["12.50", "-0.00012345", "1", "900000", "0.5", "7e-8", "-3"])
def test_an_amount_becomes_another_of_its_sign_and_length(number: str) -> None:
    masked = Mask().reply({"free": number})["free"]
    assert len(masked) == len(number)
    assert (float(masked) > 0) == (float(number) > 0)
    assert float(masked) != 0


@pytest.mark.parametrize("nothing", ["0", "0.0000", 0, 0.0, "", None, True, False])
def test_nothing_stays_nothing(nothing: Any) -> None:
    assert Mask().reply({"free": nothing}) == {"free": nothing}


@pytest.mark.parametrize(
    "field",
    ["orderId", "clientOrderId", "txid", "uid", "address", "email", "note", "listenKey", "nextPageCursor", "refid"],
)
def test_what_names_somebody_is_masked_whatever_it_looks_like(field: str) -> None:
    for value in ("OABCDE-FGHIJ-KLMNOP", "1234567890", 1234567890, "my grandmother"):
        assert Mask().reply({field: value}) != {field: value}


def test_the_same_is_masked_the_same_way_within_a_recording_and_otherwise_in_the_next() -> None:
    rows = [{"orderId": "8886774001"}, {"parent": "8886774001xx", "orderId": "8886774001"}]
    one = Mask()
    first, second = one.reply(rows)
    assert first["orderId"] == second["orderId"]
    assert Mask().reply(rows)[0] != first


def test_what_was_not_equal_stays_apart_however_short_it_is() -> None:
    for field, values in (("id", "0123456789"), ("id", range(1, 10)), ("free", "123456789"), ("note", "abcdefghij")):
        rows = Mask().reply([{field: value} for value in values])
        assert len({row[field] for row in rows}) == len(values), field


def test_more_of_a_shape_than_there_are_is_masked_all_the_same() -> None:
    digits = [{"id": digit} for digit in "0123456789٠١٢"]
    assert all(row["id"].isdigit() for row in Mask().reply(digits))


def test_what_says_something_of_the_protocol_stays() -> None:
    reply = {
        "code": "51400",
        "retCode": 0,
        "time": 1_700_000_000_123,
        "timestamp": 1_700_000_000_123,
        "count": 3,
        "category": "linear",
        "symbol": "1000PEPEUSDT",
        "instId": "BTC-USDT-SWAP",
        "status": "NEW",
        "side": "BUY",
        "type": 2,
    }
    assert Mask().reply(reply) == reply


@pytest.mark.parametrize(
    "sentence",
    [
        "Invalid API-key, IP, or permissions for action, request ip: {}",
        "Your IP {} is not included in your API key's IP whitelist.",
        "IP [{}] not in the ip white list",
    ],
)
@pytest.mark.parametrize("who", ["85.214.1.2", "2001:db8:85a3::8a2e", "anna@fund.example", "8886774001"])
def test_a_refusal_does_not_tell_who_was_refused(sentence: str, who: str) -> None:
    masked = Mask().reply({"code": -2015, "msg": sentence.format(who)})
    assert who not in masked["msg"]
    assert len(masked["msg"]) == len(sentence.format(who))
    assert masked["code"] == -2015


@pytest.mark.parametrize(
    "row",
    [
        {"ipWhiteList": "85.214.1.2,85.214.1.3"},
        {"ip_whitelist": ["85.214.1.2"]},
        {"from": "anna@fund.example"},
        {"account": "85713"},
        {"subAccount": "anna-fund"},
        {"text": "t-mybot"},
        {"accountAlias": "SgsR"},
        {"total": "10234.55"},
        {"total": 9000},
        {"total": "10234.55", "rows": []},
        {"cost": "1234.5"},
        {"discount": "12.5"},
    ],
)
def test_what_looks_like_a_count_or_a_word_and_is_the_accounts_own_is_masked(row: dict[str, Any]) -> None:
    assert Mask().reply(row) != row


@pytest.mark.parametrize("row", [{"total": 3, "rows": []}, {"account": "spot"}, {"marginAccount": "f-xbt:usd"}])
def test_a_count_of_the_rows_beside_it_and_a_kind_of_account_stay(row: dict[str, Any]) -> None:
    assert Mask().reply(row) == row


def test_ids_that_are_names_of_fields_are_masked_and_assets_are_not() -> None:
    masked = Mask().reply({"open": {"OABCDE-FGHIJ-KLMNOP": {"vol": "1"}}, "XXBT": {"balance": "2"}})
    assert "OABCDE-FGHIJ-KLMNOP" not in masked["open"]
    assert "XXBT" in masked


def test_a_call_keeps_its_words_and_loses_what_signs_it() -> None:
    query = Mask().query("category=linear&symbol=BTCUSDT&limit=50&signature=abcdef&timestamp=1&orderId=8886774001")
    assert (query["category"], query["symbol"], query["limit"]) == ("linear", "BTCUSDT", "50")
    assert not {"signature", "timestamp"} & query.keys()
    assert query["orderId"] != "8886774001"
    assert is_personal("accessKey")
    assert not is_personal("category")
