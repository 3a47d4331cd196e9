"""Kraken's raw rows, read exactly or refused whole."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Market
from adapters.venues import kraken_dialect as kraken
from adapters.venues.kraken_book import asset_code
from risk_daemon.errors import MalformedReply, VenueRejected
from risk_daemon.model.events import Order, Price

BTC = {"id": "XXBTZUSD", "altname": "XBTUSD", "wsId": "XBT/USD", "symbol": "BTC/USD", "base": "BTC", "quote": "USD"}
ETH = {"id": "ETHUSDT", "altname": "ETHUSDT", "wsId": "ETH/USDT", "symbol": "ETH/USDT", "base": "ETH", "quote": "USDT"}
MARKETS = {name: market for market in (BTC, ETH) for name in (market["id"], market["altname"], market["wsId"])}


@pytest.mark.parametrize(
    ("raw", "asset"),
    [
        ("XXBT", "BTC"),
        ("XBT", "BTC"),
        ("XBT.F", "BTC"),
        ("XBT.M", "BTC"),
        ("XBT.B", "BTC"),
        ("XETH", "ETH"),
        ("ETH.F", "ETH"),
        ("ETH2.S", "ETH"),
        ("ETH2", "ETH"),
        ("ZUSD", "USD"),
        ("USD.HOLD", "USD"),
        ("USD.F", "USD"),
        ("USD.M", "USD"),
        ("DOT28.S", "DOT"),
        ("DOT.S", "DOT"),
        ("ATOM21.S", "ATOM"),
        ("SOL03.S", "SOL"),
        ("XXDG", "DOGE"),
        ("USDT", "USDT"),
        ("XTZ", "XTZ"),
        ("ZRX", "ZRX"),
        ("C98", "C98"),
        ("AAPLx.EQ", "AAPLx.EQ"),
    ],
)
def test_one_name_an_asset(raw: str, asset: str) -> None:
    assert asset_code(raw) == asset


def _balances(**rows: Any) -> dict[str, Any]:
    return {"error": [], "result": {name.replace("_", "."): row for name, row in rows.items()}}


def test_wallets_of_one_asset_add_up_and_credit_is_debt() -> None:
    reply = _balances(
        XXBT={"balance": "1.0", "hold_trade": "0.4"},
        XBT_F={"balance": "0.5"},
        ZUSD={"balance": "100.5", "credit": "500", "credit_used": "150.25"},
        KFEE={"balance": "9"},
    )
    assert kraken.parse_balances(reply) == {"BTC": Decimal("1.5"), "USD": Decimal("-49.75")}
    assert kraken.plain_assets(reply) == {"KFEE"}


@pytest.mark.parametrize("bad", ["NaN", None, "", "inf", float("nan"), True])
def test_a_balance_that_is_no_number_refuses_all(bad: Any) -> None:
    with pytest.raises(MalformedReply):
        kraken.parse_balances(_balances(ZUSD={"balance": "1"}, XXBT={"balance": bad}))
    with pytest.raises(MalformedReply):
        kraken.parse_balances(_balances(ZUSD={"hold_trade": "1"}))


def _position(**changes: Any) -> dict[str, Any]:
    return {"pair": "ETHUSDT", "type": "buy", "cost": "6000", "vol": "2", "vol_closed": "0.5"} | changes


def test_what_is_open_of_a_position_is_entered_at_cost_by_volume() -> None:
    (long,) = kraken.parse_positions([_position()], MARKETS)
    assert (long.symbol, long.quantity, long.entry, long.settle) == ("ETH/USDT", Decimal("1.5"), Decimal(3000), "USDT")
    (short,) = kraken.parse_positions([_position(type="sell", pair="XBTUSD")], MARKETS)
    assert (short.symbol, short.quantity, short.settle, short.underlying) == ("BTC/USD", Decimal("-1.5"), "USD", "BTC")


def test_rows_of_one_pair_become_one_position_of_the_same_profit() -> None:
    rows = [_position(vol_closed="0"), _position(cost="4000", vol="1", vol_closed="0")]
    (position,) = kraken.parse_positions(rows, MARKETS)
    assert position.quantity == 3
    profit = position.quantity * (Decimal(5000) - position.entry)
    assert float(profit) == pytest.approx(2 * 2000 + 1 * 1000)


@pytest.mark.parametrize(
    "changes",
    [
        {"pair": "NOPE"},
        {"type": "hold"},
        {"cost": "NaN"},
        {"vol": None},
        {"vol_closed": "3"},
        {"vol": "0", "vol_closed": "0"},
    ],
)
def test_an_odd_position_refuses_all(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        kraken.parse_positions([_position(), _position(**changes)], MARKETS)


def test_a_wholly_closed_position_is_none() -> None:
    assert kraken.parse_positions([_position(vol_closed="2")], MARKETS) == ()


def _order(**changes: Any) -> dict[str, Any]:
    descr = {"pair": "XBTUSD", "type": "sell", "ordertype": "stop-loss"}
    return {"descr": descr, "vol": "2", "vol_exec": "0.5", "cl_ord_id": None, "userref": None} | changes


def test_an_order_keeps_its_client_id_and_whether_it_only_reduces() -> None:
    rows = {
        "O1": _order(cl_ord_id="bot-1", reduce_only=True),
        "O2": _order(userref=77),
        "O3": _order(userref=0, descr={"pair": "NEWPAIR", "type": "buy", "ordertype": "limit"}),
    }
    orders = kraken.parse_orders("k", "account", {"result": {"open": rows}}, MARKETS)
    assert orders == (
        Order(
            venue="k",
            scope="account",
            order_id="O1",
            symbol="BTC/USD",
            side="sell",
            order_type="stop-loss",
            client_order_id="bot-1",
            reduce_only=True,
            remaining=Decimal("1.5"),
            quantity=Decimal(2),
        ),
        Order(
            venue="k",
            scope="account",
            order_id="O2",
            symbol="BTC/USD",
            side="sell",
            order_type="stop-loss",
            client_order_id="77",
            reduce_only=False,
            remaining=Decimal("1.5"),
            quantity=Decimal(2),
        ),
        Order(
            venue="k",
            scope="account",
            order_id="O3",
            symbol="NEWPAIR",
            side="buy",
            order_type="limit",
            client_order_id=None,
            reduce_only=False,
            remaining=Decimal("1.5"),
            quantity=Decimal(2),
        ),
    )


def test_an_order_without_a_pair_refuses_the_listing() -> None:
    with pytest.raises(MalformedReply):
        kraken.parse_orders("k", "account", {"result": {"open": {"O1": _order(descr={})}}}, MARKETS)


def test_a_pair_without_a_sound_bid_and_ask_has_no_price() -> None:
    rows = {"XXBTZUSD": {"b": ["59999", "1"], "a": ["60001", "1"]}, "ETHUSDT": {"b": ["0", "1"], "a": ["3000", "1"]}}
    assert kraken.parse_tickers(rows, MARKETS) == (Price("BTC/USD", "BTC", "USD", Decimal(60000)),)
    crossed = {"ETHUSDT": {"b": ["3001"], "a": ["3000"]}}
    assert kraken.parse_tickers(crossed, MARKETS) == ()


@pytest.mark.parametrize("row", [{"b": ["NaN"], "a": ["1"]}, {"b": [None], "a": ["1"]}, {"b": [], "a": ["1"]}])
def test_a_ticker_that_is_no_number_refuses_all(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        kraken.parse_tickers({"XXBTZUSD": {"b": ["1"], "a": ["1"]}, "ETHUSDT": row}, MARKETS)


def _frame(*rows: dict[str, Any], kind: str = "update") -> dict[str, Any]:
    return {"channel": "balances", "type": kind, "data": list(rows)}


MAIN = {"wallet_type": "spot", "wallet_id": "main"}
PLAIN = frozenset({"USD", "BTC"})


def test_a_streamed_balance_is_taken_where_it_can_mean_only_one_thing() -> None:
    snapshot = _frame({"asset": "USD", "balance": 5.5, "wallets": [{"type": "spot", "id": "main", "balance": 5.5}]})
    update = _frame({"asset": "BTC", "balance": 0.1, "type": "trade"} | MAIN)
    assert kraken.parse_balance_frames([snapshot, update], PLAIN) == (
        {"USD": Decimal("5.5"), "BTC": Decimal("0.1")},
        False,
    )


@pytest.mark.parametrize(
    "row",
    [
        {"asset": "USD", "balance": 1, "wallet_type": "earn", "wallet_id": "flex", "type": "trade"},
        {"asset": "USD", "balance": 1, "type": "withdrawal"} | MAIN,
        {"asset": "SOL", "balance": 1, "type": "trade"} | MAIN,
        {"asset": "USD", "balance": 1, "wallets": [{"type": "spot", "id": "main"}, {"type": "earn", "id": "flex"}]},
    ],
)
def test_else_it_is_only_a_sign_to_read(row: dict[str, Any]) -> None:
    before = _frame({"asset": "USD", "balance": 9, "type": "trade"} | MAIN)
    amounts, is_partial = kraken.parse_balance_frames([before, _frame(row)], PLAIN)
    assert is_partial
    assert row["asset"] not in amounts


def test_a_streamed_order_that_closed_is_not_reported_as_open() -> None:
    opened = {"order_id": "O1", "symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_status": "new"}
    frames = [
        {"data": [opened, opened | {"order_id": "O2", "cl_ord_id": "b"}]},
        {"data": [{"order_id": "O1", "order_status": "canceled"}]},
    ]
    told = kraken.parse_order_frames("k", "s", frames)
    assert [(o.order_id, o.client_order_id) for o in told.open] == [("O2", "b")]
    assert [o.order_id for o in told.ended] == ["O1"]


def test_a_slim_row_does_not_erase_the_full_one_before_it() -> None:
    full = {"order_id": "O1", "symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_status": "pending_new"}
    slim = {"order_id": "O1", "order_status": "new"}
    assert [o.order_id for o in kraken.parse_order_frames("k", "s", [{"data": [full, slim]}]).open] == ["O1"]


def test_a_market_order_that_is_filled_in_one_batch_is_told_of() -> None:
    row = {"order_id": "O1", "symbol": "BTC/USD", "side": "buy", "order_type": "market", "order_status": "pending_new"}
    told = kraken.parse_order_frames("k", "s", [{"data": [row, {"order_id": "O1", "order_status": "filled"}]}])
    assert (told.open, [o.order_id for o in told.ended]) == ((), ["O1"])


class FakeClient:
    """Raw replies by ccxt's name of the call."""

    def __init__(self, **replies: Any) -> None:
        self.replies = replies
        self.markets = {market["symbol"]: market for market in (BTC, ETH)}

    def __getattr__(self, name: str) -> Any:
        async def call(params: Any = None) -> Any:
            reply = self.replies[name]
            if isinstance(reply, Exception):
                raise reply
            return reply(params) if callable(reply) else reply

        return call


def _dialect(**replies: Any) -> kraken.KrakenDialect:
    return kraken.KrakenDialect("k", frozenset({Market.MARGIN}), "USDT", FakeClient(**replies))


@pytest.mark.parametrize(
    "margin",
    [
        {"result": {"m": "10", "c": "0"}},
        {"result": {"m": "0", "c": "5"}},
        {"result": {"m": "NaN", "c": "0"}},
        VenueRejected("permission denied"),
    ],
)
async def test_an_empty_object_is_flat_only_if_no_margin_is_in_use(margin: Any) -> None:
    with pytest.raises(MalformedReply):
        await _dialect(privatePostOpenPositions={"result": {}}, privatePostTradeBalance=margin).positions()
    flat = {"result": {"m": "0.0", "c": "0"}}
    assert await _dialect(privatePostOpenPositions={"result": {}}, privatePostTradeBalance=flat).positions() == ()
