"""Executions of every venue's documented rows; one that can't be read is left out, and never more than that."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.fills import Fills, FillSource, unified_fills
from adapters.venues import (
    binance_dialect,
    bybit_dialect,
    deribit_dialect,
    kraken_dialect,
    krakenfutures_dialect,
    mexc_dialect,
    okx_dialect,
)
from risk_daemon.model.account import Fill, OrderSide
from risk_daemon.model.events import FillsSeen, Source

D = Decimal


def named(name: str) -> Any:
    return lambda row: str(row[name])


# Rows as the venues' references show them, each shortened to what matters.
KRAKEN = {
    "channel": "executions",
    "type": "update",
    "data": [
        {
            "order_id": "O6NTZC-K6FRH-ATWBCK",
            "exec_id": "T5DIUI-5N4KO-Z5BPXK",
            "exec_type": "trade",
            "trade_id": 8253473,
            "symbol": "USDC/USD",
            "side": "sell",
            "last_qty": 15.44,
            "last_price": 1.0002,
            "order_status": "filled",
            "fees": [{"asset": "USD", "qty": 0.3458}],
            "timestamp": "2023-09-22T10:33:05.709982Z",
        },
        {"order_id": "O6NTZC-K6FRH-ATWBCK", "exec_type": "filled", "order_status": "filled"},
    ],
}
KRAKENFUTURES = {
    "feed": "fills",
    "fills": [
        {
            "instrument": "FI_XBTUSD_200925",
            "time": 1600256966528,
            "price": 364.65,
            "seq": 100,
            "buy": True,
            "qty": 5000.0,
            "order_id": "3696d19b-3226-46bd-993d-a9a7aacc8fbc",
            "cli_ord_id": "8b58d9da-fcaf-4f60-91bc-9973a3eba48d",
            "fill_id": "c14ee7cb-ae25-4601-853a-d0205e576099",
            "fill_type": "taker",
            "fee_paid": 0.00685588921,
            "fee_currency": "ETH",
        }
    ],
}
BINANCE = {
    "subscriptionId": 0,
    "event": {
        "e": "executionReport",
        "E": 1499405658658,
        "s": "ETHBTC",
        "c": "mUvoqJxFIILMdfAW5iGSOW",
        "S": "BUY",
        "x": "TRADE",
        "X": "PARTIALLY_FILLED",
        "i": 4293153,
        "l": "0.40000000",
        "L": "0.10264410",
        "n": "0.00001000",
        "N": "BNB",
        "T": 1499405658657,
        "t": 17,
    },
}
FUTURES = {
    "e": "ORDER_TRADE_UPDATE",
    "E": 1568879465651,
    "o": {
        "s": "BTCUSDT",
        "c": "TEST",
        "S": "SELL",
        "x": "TRADE",
        "X": "FILLED",
        "i": 8886774,
        "l": "0.001",
        "L": "9910",
        "N": "USDT",
        "n": "0.00396400",
        "T": 1568879465650,
        "t": 25,
    },
}
OKX = {
    "arg": {"channel": "orders", "instType": "ANY"},
    "data": [
        {
            "instId": "BTC-USDT",
            "ordId": "312269865356374016",
            "clOrdId": "b1",
            "tradeId": "242589207",
            "side": "buy",
            "fillSz": "0.001",
            "fillPx": "49000",
            "fillTime": "1630048897897",
            "fillFee": "-0.0000008",
            "fillFeeCcy": "BTC",
            "state": "filled",
        },
        {"instId": "BTC-USDT", "ordId": "2", "tradeId": "", "fillSz": "0", "fillPx": "", "state": "live"},
    ],
}
BYBIT = {
    "topic": "execution",
    "data": [
        {
            "category": "linear",
            "symbol": "XRPUSDT",
            "execFee": "0.005061",
            "execId": "7e2ae69c-4edf-5800-a352-893d52b446aa",
            "execPrice": "0.3374",
            "execQty": "25",
            "execType": "Trade",
            "feeCurrency": "USDT",
            "orderId": "f6e324ff-99c2-4e89-9739-3086e47f9381",
            "orderLinkId": "",
            "side": "Sell",
            "execTime": "1672364174443",
        },
        {"category": "linear", "symbol": "XRPUSDT", "execType": "Funding", "execId": "f", "execFee": "1"},
    ],
}
DERIBIT = {
    "instrument_name": "BTC-PERPETUAL",
    "orders": [],
    "trades": [
        {
            "trade_id": "48079569",
            "order_id": "4008965646",
            "instrument_name": "BTC-PERPETUAL",
            "direction": "buy",
            "amount": 10.0,
            "price": 9949.0,
            "fee": -0.0000003,
            "fee_currency": "BTC",
            "label": "mine",
            "timestamp": 1590484156350,
        }
    ],
}
MEXC_SPOT = {
    "channel": "spot@private.deals.v3.api.pb",
    "symbol": "MXUSDT",
    "privateDeals": {
        "price": "3.6962",
        "quantity": "1",
        "amount": "3.6962",
        "tradeType": 2,
        "tradeId": "505979017439002624X1",
        "orderId": "C02__505979017439002624115",
        "feeAmount": "0.0003998377369698171",
        "feeCurrency": "MX",
        "time": "1736417034280",
    },
}
MEXC_CONTRACT = {
    "channel": "push.personal.order.deal",
    "data": {
        "id": "299444585",
        "symbol": "STEPN_USDT",
        "side": 2,
        "vol": 1,
        "price": 2.45455,
        "fee": 0.00147273,
        "feeCurrency": "USDT",
        "timestamp": 1648924557000,
        "orderId": "265307163526610432",
        "externalOid": "ext",
    },
}
ROWS: Mapping[str, tuple[Fills, Any, dict[str, Any]]] = {
    "kraken": (
        Fills("v", kraken_dialect.FILL, named("symbol"), kraken_dialect.executions),
        KRAKEN,
        {
            "fill_id": "T5DIUI-5N4KO-Z5BPXK",
            "order_id": "O6NTZC-K6FRH-ATWBCK",
            "symbol": "USDC/USD",
            "side": OrderSide.SELL,
            "quantity": D("15.44"),
            "price": D("1.0002"),
            "wall": 1695378785.709982,
            "fee": D("0.3458"),
            "fee_asset": "USD",
        },
    ),
    "krakenfutures": (
        Fills("v", krakenfutures_dialect.FILL, named("instrument"), lambda frame: frame["fills"]),
        KRAKENFUTURES,
        {
            "fill_id": "c14ee7cb-ae25-4601-853a-d0205e576099",
            "order_id": "3696d19b-3226-46bd-993d-a9a7aacc8fbc",
            "symbol": "FI_XBTUSD_200925",
            "side": OrderSide.BUY,
            "quantity": D("5000.0"),
            "price": D("364.65"),
            "wall": 1600256966.528,
            "client_order_id": "8b58d9da-fcaf-4f60-91bc-9973a3eba48d",
            "fee": D("0.00685588921"),
            "fee_asset": "ETH",
        },
    ),
    "binance": (
        Fills("v", binance_dialect.FILL, named("s"), binance_dialect.executions),
        BINANCE,
        {
            "fill_id": "ETHBTC 17",
            "order_id": "4293153",
            "symbol": "ETHBTC",
            "side": OrderSide.BUY,
            "quantity": D("0.4"),
            "price": D("0.1026441"),
            "wall": 1499405658.657,
            "client_order_id": "mUvoqJxFIILMdfAW5iGSOW",
            "fee": D("0.00001"),
            "fee_asset": "BNB",
        },
    ),
    "binanceusdm": (
        Fills("v", binance_dialect.FILL, named("s"), binance_dialect.executions),
        FUTURES,
        {
            "fill_id": "BTCUSDT 25",
            "order_id": "8886774",
            "symbol": "BTCUSDT",
            "side": OrderSide.SELL,
            "quantity": D("0.001"),
            "price": D("9910"),
            "wall": 1568879465.65,
            "client_order_id": "TEST",
            "fee": D("0.003964"),
            "fee_asset": "USDT",
        },
    ),
    "okx": (
        Fills("v", okx_dialect.FILL, named("instId"), okx_dialect.executions),
        OKX,
        {
            "fill_id": "BTC-USDT 242589207",
            "order_id": "312269865356374016",
            "symbol": "BTC-USDT",
            "side": OrderSide.BUY,
            "quantity": D("0.001"),
            "price": D("49000"),
            "wall": 1630048897.897,
            "client_order_id": "b1",
            "fee": D("0.0000008"),
            "fee_asset": "BTC",
        },
    ),
    "bybit": (
        Fills("v", bybit_dialect.FILL, named("symbol"), bybit_dialect.executions),
        BYBIT,
        {
            "fill_id": "7e2ae69c-4edf-5800-a352-893d52b446aa",
            "order_id": "f6e324ff-99c2-4e89-9739-3086e47f9381",
            "symbol": "XRPUSDT",
            "side": OrderSide.SELL,
            "quantity": D("25"),
            "price": D("0.3374"),
            "wall": 1672364174.443,
            "fee": D("0.005061"),
            "fee_asset": "USDT",
        },
    ),
    "deribit": (
        Fills("v", deribit_dialect.FILL, named("instrument_name"), lambda data: data["trades"]),
        DERIBIT,
        {
            "fill_id": "48079569",
            "order_id": "4008965646",
            "symbol": "BTC-PERPETUAL",
            "side": OrderSide.BUY,
            "quantity": D("10.0"),
            "price": D("9949.0"),
            "wall": 1590484156.35,
            "client_order_id": "mine",
            "fee": D("-3E-7"),
            "fee_asset": "BTC",
        },
    ),
    "mexc spot": (
        Fills("v", mexc_dialect.SPOT_FILL, named("symbol"), mexc_dialect.spot_deals),
        MEXC_SPOT,
        {
            "fill_id": "505979017439002624X1",
            "order_id": "C02__505979017439002624115",
            "symbol": "MXUSDT",
            "side": OrderSide.SELL,
            "quantity": D("1"),
            "price": D("3.6962"),
            "wall": 1736417034.28,
            "fee": D("0.0003998377369698171"),
            "fee_asset": "MX",
        },
    ),
    "mexc contracts": (
        Fills("v", mexc_dialect.CONTRACT_FILL, named("symbol"), mexc_dialect.contract_deals),
        MEXC_CONTRACT,
        {
            "fill_id": "299444585",
            "order_id": "265307163526610432",
            "symbol": "STEPN_USDT",
            "side": OrderSide.BUY,
            "quantity": D("1"),
            "price": D("2.45455"),
            "wall": 1648924557.0,
            "client_order_id": "ext",
            "fee": D("0.00147273"),
            "fee_asset": "USDT",
        },
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_documented_row_is_read_whole(name: str) -> None:
    fills, frame, told = ROWS[name]
    fill = Fill(venue="v", **told)
    assert fills.told([frame], 7.0) == (FillsSeen("v", 7.0, Source.STREAM, (fill,)),)


GOOD = {"id": "1", "order": "o", "symbol": "BTC/USD", "side": "buy", "amount": 1.5, "price": 2.0, "timestamp": 3000}


def unified(**source: Any) -> Fills:
    return unified_fills("v", FillSource(**source), named("symbol"))


@pytest.mark.parametrize(
    "row",
    [
        {**GOOD, "id": None},
        {**GOOD, "order": ""},
        {**GOOD, "amount": "NaN"},
        {**GOOD, "price": None},
        {**GOOD, "timestamp": None},
        {**GOOD, "timestamp": 0},
        {**GOOD, "fee": "odd"},
        {name: value for name, value in GOOD.items() if name != "symbol"},
        None,
        "text",
        [],
    ],
)
def test_a_row_that_cannot_be_read_is_left_out_and_the_first_is_logged(row: Any) -> None:
    fills = unified()
    with capture_logs() as logs:
        assert [fill.fill_id for fill in fills.read([row, GOOD, row])] == ["1"]
        assert fills.read([row]) == ()
    assert [(line["event"], line["venue"], line["log_level"]) for line in logs] == [("fill_not_read", "v", "warning")]


@pytest.mark.parametrize("frame", [None, {}, {"data": None}, 7, "text"])
def test_a_frame_without_rows_tells_of_nothing(frame: Any) -> None:
    fills = Fills("v", kraken_dialect.FILL, named("symbol"), kraken_dialect.executions)
    assert fills.told([frame, {"data": []}], 1.0) == ()
    assert [seen.fills[0].symbol for seen in fills.told([frame, KRAKEN], 1.0)] == ["USDC/USD"]  # type: ignore[union-attr]


def test_of_a_unified_trade_the_venues_own_row_tells_more() -> None:
    own = {"clOrdId": "bot-1", "feeCurrency": "BNB", "side": "2"}
    row = {**GOOD, "side": "sell", "fee": {"cost": -0.1, "currency": "USD"}, "info": own}
    (plain,) = unified().read([row])
    assert (plain.client_order_id, plain.fee, plain.fee_asset, plain.side) == ("bot-1", D("-0.1"), "BNB", "sell")
    (told,) = unified(sides={"2": OrderSide.BUY}, by_market=True).read([row])
    assert (told.side, told.fill_id) == (OrderSide.BUY, "BTC/USD 1")
    (bare,) = unified().read([GOOD])
    assert (bare.fee, bare.fee_asset, bare.client_order_id, bare.wall) == (None, None, None, 3.0)
