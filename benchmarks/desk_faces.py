"""How exchanges speak of plain spot orders: the calls that a sweep makes, after their public documentation."""

from __future__ import annotations

from typing import Any

from benchmarks.order_desk import Face, Query, Rows

ENOUGH = "1000000"


def _binance_row(number: str, pair: str) -> dict[str, Any]:
    amounts = {"price": "1.0", "origQty": "1.0", "executedQty": "0.0", "cummulativeQuoteQty": "0.0"}
    kind = {"status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY", "time": 1, "updateTime": 1}
    return {"symbol": pair, "orderId": number, "orderListId": -1, "clientOrderId": f"bot-{number}"} | amounts | kind


def _binance_list(rows: Rows, _: Query) -> Any:
    return [_binance_row(number, pair) for number, pair in rows.items()]


def _binance_cancel(rows: Rows, query: Query) -> Any:
    """Of one symbol; mexc's takes some, with commas between."""
    gone = [number for number, pair in rows.items() if pair in query["symbol"].split(",")]
    return [_binance_row(number, rows.pop(number)) | {"status": "CANCELED"} for number in gone]


def _mexc_cancel_one(rows: Rows, query: Query) -> Any:
    return _binance_row(query["orderId"], rows.pop(query["orderId"])) | {"status": "CANCELED"}


def _binance_account(_: Rows, __: Query) -> Any:
    return {"accountType": "SPOT", "balances": [{"asset": "USDT", "free": ENOUGH, "locked": "0"}]}


def _bybit(result: Any) -> Any:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1}


def _bybit_row(number: str, pair: str) -> dict[str, Any]:
    amounts = {"price": "1.0", "qty": "1.0", "leavesQty": "1.0", "cumExecQty": "0.0", "cumExecValue": "0"}
    kind = {"orderStatus": "New", "orderType": "Limit", "side": "Buy", "timeInForce": "GTC", "createdTime": "1"}
    return {"orderId": number, "orderLinkId": f"bot-{number}", "symbol": pair, "reduceOnly": False} | amounts | kind


def _bybit_list(rows: Rows, query: Query) -> Any:
    shown = [_bybit_row(number, pair) for number, pair in list(rows.items())[: int(query.get("limit", 20))]]
    return _bybit({"category": "spot", "nextPageCursor": "", "list": shown})


def _bybit_cancel(rows: Rows, query: Query) -> Any:
    """Plain orders only by the filter of plain orders."""
    gone = list(rows) if query["body"].get("orderFilter", "Order") == "Order" else []
    for number in gone:
        del rows[number]
    return _bybit({"list": [{"orderId": number, "orderLinkId": f"bot-{number}"} for number in gone], "success": "1"})


def _bybit_wallet(_: Rows, __: Query) -> Any:
    coin = {"coin": "USDT", "walletBalance": ENOUGH, "equity": ENOUGH, "locked": "0", "spotBorrow": "0"}
    return _bybit({"list": [{"accountType": "UNIFIED", "coin": [coin]}]})


def _bybit_none(_: Rows, __: Query) -> Any:
    return _bybit({"list": [], "nextCursor": "", "prevCursor": ""})


def _okx(data: Any) -> Any:
    return {"code": "0", "msg": "", "data": data}


def _okx_row(number: str, pair: str) -> dict[str, Any]:
    amounts = {"px": "1.0", "sz": "1.0", "accFillSz": "0", "fillSz": "0", "avgPx": "", "fee": "0", "lever": ""}
    kind = {"state": "live", "ordType": "limit", "side": "buy", "instType": "SPOT", "cTime": "1", "uTime": "1"}
    return {"ordId": number, "clOrdId": f"bot{number}", "instId": pair, "reduceOnly": "false"} | amounts | kind


def _okx_list(rows: Rows, _: Query) -> Any:
    return _okx([_okx_row(number, pair) for number, pair in list(rows.items())[:100]])


def _okx_none(_: Rows, __: Query) -> Any:
    return _okx([])


def _okx_cancel(rows: Rows, query: Query) -> Any:
    gone = [order["ordId"] for order in query["body"] if rows.pop(order["ordId"], None) is not None]
    return _okx([{"ordId": number, "clOrdId": "", "sCode": "0", "sMsg": ""} for number in gone])


def _okx_balance(_: Rows, __: Query) -> Any:
    detail = {"ccy": "USDT", "cashBal": ENOUGH, "eq": ENOUGH, "availBal": ENOUGH, "availEq": "", "frozenBal": "0"}
    return _okx([{"uTime": "1", "totalEq": ENOUGH, "details": [detail]}])


BINANCE = Face(
    lambda base: f"{base}USDT",
    {
        "GET api/v3/account": _binance_account,
        "GET api/v3/openOrders": _binance_list,
        "DELETE api/v3/openOrders": _binance_cancel,
    },
)
MEXC = Face(BINANCE.market_id, {**BINANCE.answers, "DELETE api/v3/order": _mexc_cancel_one})
BYBIT = Face(
    lambda base: f"{base}USDT",
    {
        "GET v5/account/wallet-balance": _bybit_wallet,
        "GET v5/order/realtime": _bybit_list,
        "GET v5/strategy/list": _bybit_none,
        "POST v5/order/cancel-all": _bybit_cancel,
    },
)
OKX = Face(
    lambda base: f"{base}-USDT",
    {
        "GET api/v5/account/balance": _okx_balance,
        "GET api/v5/trade/orders-pending": _okx_list,
        "GET api/v5/trade/orders-algo-pending": _okx_none,
        "POST api/v5/trade/cancel-batch-orders": _okx_cancel,
    },
)
