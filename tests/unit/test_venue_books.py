"""Every change of an amount is one row of the book, net of its fee: a flow, or profit or loss."""

from decimal import Decimal
from typing import Any

import pytest

from adapters import kraken_book, krakenfutures_book
from adapters.dialect import Book
from risk_daemon.errors import MalformedReply
from risk_daemon.events import Flow


def _amounts(rows: tuple[Flow, ...]) -> list[tuple[str, str, Decimal]]:
    return [(row.flow_id, row.asset, row.amount) for row in rows]


# --- kraken ------------------------------------------------------------------------------------------


def _kraken_row(kind: str, amount: str, fee: str = "0", asset: str = "ZUSD", **rest: Any) -> dict[str, Any]:
    return {"type": kind, "amount": amount, "fee": fee, "asset": asset, "time": 5.0, "refid": "R1"} | rest


def _kraken_book(ledger: dict[str, Any]) -> Book:
    return kraken_book.split(kraken_book.parse_rows("k", ledger))


def test_kraken_what_came_or_went_is_a_flow_net_of_its_fee() -> None:
    book = _kraken_book(
        {
            "L1": _kraken_row("withdrawal", "-100", "2", time=9.0),
            "L2": _kraken_row("deposit", "50"),
            "L3": _kraken_row("transfer", "-1", asset="XXBT", time=1.0),
            "L4": _kraken_row("transfer", "1", asset="XBT.F", time=1.5),
        }
    )
    assert _amounts(book.flows) == [
        ("L3", "BTC", Decimal(-1)),
        ("L4", "BTC", Decimal(1)),
        ("L2", "USD", Decimal(50)),
        ("L1", "USD", Decimal(-102)),
    ]
    assert book.trades == ()


@pytest.mark.parametrize(
    "kind", ["trade", "margin", "rollover", "settled", "staking", "earn", "dividend", "spend", "receive", "conversion"]
)
def test_kraken_everything_else_is_profit_or_loss(kind: str) -> None:
    book = _kraken_book({"L1": _kraken_row(kind, "-7", "0.5")})
    assert book == Book((), (Flow("L1", "k", "USD", Decimal("-7.5"), 5.0, kind, "R1"),))


def test_kraken_a_type_that_nobody_knows_yet_is_no_flow() -> None:
    book = _kraken_book({"L1": _kraken_row("moonshot", "-7")})
    assert book.flows == ()
    assert book.trades is not None
    assert len(book.trades) == 1


def test_kraken_the_legs_of_a_trade_share_its_group() -> None:
    legs = {"L1": _kraken_row("trade", "-100", "0.26"), "L2": _kraken_row("trade", "0.002", asset="XXBT")}
    other = {"L3": _kraken_row("trade", "1", refid="R2")}
    trades = _kraken_book(legs | other).trades or ()
    assert {row.flow_id: row.group for row in trades} == {"L1": "R1", "L2": "R1", "L3": "R2"}


def test_kraken_fee_credits_are_no_money_in_the_book_as_in_the_balances() -> None:
    assert _kraken_book({"L1": _kraken_row("trade", "-3", asset="KFEE")}) == Book((), ())


@pytest.mark.parametrize("change", [{"amount": "NaN"}, {"fee": None}, {"asset": ""}, {"time": "soon"}])
def test_kraken_an_odd_row_refuses_the_listing(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        _kraken_book({"L1": _kraken_row("trade", "1"), "L2": _kraken_row("trade", "1") | change})


# --- krakenfutures -----------------------------------------------------------------------------------


def _log_row(number: int, info: str, old: float, new: float, **rest: Any) -> dict[str, Any]:
    row = {
        "id": number,
        "info": info,
        "asset": "usdt",
        "contract": None,
        "execution": None,
        "booking_uid": f"B{number}",
    }
    return row | {"old_balance": old, "new_balance": new, "date": "2026-08-11T19:55:24.251Z"} | rest


def _futures_book(*rows: dict[str, Any]) -> Book:
    return krakenfutures_book.split(krakenfutures_book.parse_rows("f", rows))


def test_futures_flows_are_transfers_and_moves_between_own_wallets_cancel_out() -> None:
    book = _futures_book(
        _log_row(1, "cross-exchange transfer", 100.0, 350.0),
        _log_row(2, "transfer", 350.0, 250.0, margin_account="cash"),
        _log_row(3, "transfer", 0.0, 100.0, margin_account="flex"),
    )
    assert _amounts(book.flows) == [
        ("1", "USDT", Decimal(250)),
        ("2", "USDT", Decimal(-100)),
        ("3", "USDT", Decimal(100)),
    ]
    assert book.trades == ()
    assert book.flows[0].wall == pytest.approx(1786478124.251)


@pytest.mark.parametrize(
    "info",
    ["futures trade", "futures liquidation", "funding rate change", "interest payment", "conversion", "settlement"],
)
def test_futures_everything_else_is_profit_or_loss(info: str) -> None:
    book = _futures_book(_log_row(9, info, 0.0077, 0, asset="usd", fee=0.0035, realized_pnl=-0.0042))
    assert book.flows == ()
    assert _amounts(book.trades or ()) == [("9", "USD", Decimal("-0.0077"))], "pnl and fee are in the balance already"


def test_futures_the_size_of_a_position_is_no_money() -> None:
    trade = {"contract": "pf_dogeusd", "execution": "E1"}
    book = _futures_book(
        _log_row(1, "futures trade", 10, 9.5, asset="usd", **trade),
        _log_row(2, "futures trade", 0, 5000, asset="pf_dogeusd", **trade),
        _log_row(3, "futures trade", 0, 12, asset="FI_XBTUSD_261225", contract="fi_xbtusd_261225"),
        _log_row(4, "kfee applied", 5, 4, asset="kfee"),
    )
    assert [(row.flow_id, row.group) for row in book.trades or ()] == [("1", "E1")]


@pytest.mark.parametrize("change", [{"new_balance": None}, {"old_balance": "NaN"}, {"asset": None}, {"info": ""}])
def test_futures_an_odd_row_refuses_the_listing(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        _futures_book(_log_row(1, "transfer", 0, 1) | change)
