"""What Kraken's documentation says its assets, pairs and orders look like on the wire.

Pure functions from a name or an order to the row a call or a stream shows; no state, no project code.
"""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

Json = dict[str, Any]

# Name on the version 2 stream: REST id, alternative name, decimals.
ASSETS = {
    "USD": ("ZUSD", "USD", 4),
    "EUR": ("ZEUR", "EUR", 4),
    "USDT": ("USDT", "USDT", 8),
    "USDC": ("USDC", "USDC", 8),
    "BTC": ("XXBT", "XBT", 10),
    "ETH": ("XETH", "ETH", 10),
    "SPAM": ("SPAM", "SPAM", 5),  # no pair has them
    "SCAM": ("SCAM", "SCAM", 5),
}
# Symbol on the version 2 stream: REST id, price decimals, first price.
PAIRS = {
    "BTC/USD": ("XXBTZUSD", 1, "50000"),
    "BTC/USDT": ("XBTUSDT", 1, "50000"),
    "BTC/EUR": ("XXBTZEUR", 1, "45454.5"),
    "ETH/USD": ("XETHZUSD", 2, "2500"),
    "ETH/USDT": ("ETHUSDT", 2, "2500"),
    "EUR/USD": ("ZEURZUSD", 5, "1.1"),
    "USDT/USD": ("USDTZUSD", 4, "1"),
    "USDC/USD": ("USDCUSD", 4, "1"),
    "USDC/USDT": ("USDCUSDT", 4, "1"),
}


class ApiError(Exception):
    """A refusal in Kraken's words; it travels in the `error` array of an HTTP 200."""


def rfc3339(shift_s: float = 0, timespec: str = "microseconds") -> str:
    return datetime.fromtimestamp(time.time() + shift_s, UTC).isoformat(timespec=timespec)[:-6] + "Z"


def rest_name(symbol: str, joint: str = "") -> str:
    return joint.join(ASSETS[asset][1] for asset in symbol.split("/"))


def rest_amount(asset: str, value: Any) -> str:
    return f"{value:.{ASSETS[asset][2]}f}"


def tick(symbol: str) -> Decimal:
    return Decimal(1).scaleb(-PAIRS[symbol][1])


def wanted_pairs(query: Json) -> list[str]:
    """Pairs are asked for by id, alternative name or `wsname`; none asked for means all."""
    names = {n: s for s in PAIRS for n in (PAIRS[s][0], rest_name(s), rest_name(s, "/"))}
    wanted = query["pair"].split(",") if query.get("pair") else [PAIRS[s][0] for s in PAIRS]
    if set(wanted) - set(names):
        raise ApiError("EQuery:Unknown asset pair")
    return [names[name] for name in wanted]


def asset_row(name: str) -> Json:
    row: Json = {"aclass": "currency", "altname": ASSETS[name][1], "decimals": ASSETS[name][2]}
    return row | {"display_decimals": ASSETS[name][2] // 2, "status": "enabled"}


def pair_row(symbol: str) -> Json:
    base, quote = (ASSETS[asset][0] for asset in symbol.split("/"))
    row: Json = {"altname": rest_name(symbol), "wsname": rest_name(symbol, "/"), "lot": "unit"}
    row |= {"aclass_base": "currency", "base": base, "aclass_quote": "currency", "quote": quote}
    row |= {"cost_decimals": 5, "pair_decimals": PAIRS[symbol][1], "lot_decimals": 8, "lot_multiplier": 1}
    row |= {"leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]]}
    row |= {"fee_volume_currency": "ZUSD", "margin_call": 80, "margin_stop": 40}
    return row | {"ordermin": "0.00005", "costmin": "0.5", "tick_size": f"{tick(symbol):f}", "status": "online"}


def rest_ticker(symbol: str, price: Decimal) -> Json:
    """Bid and ask lie one tick from the last price: the mid is the price that was set."""
    bid, last, ask = (f"{price + n * tick(symbol):.5f}" for n in (-1, 0, 1))
    row = {"a": [ask, "1", "1.000"], "b": [bid, "1", "1.000"], "c": [last, "0.01000000"], "o": last}
    return row | {"v": ["1.0", "1.0"], "t": [1, 1]} | {key: [last, last] for key in "plh"}


def stream_ticker(symbol: str, price: Decimal) -> Json:
    bid, last, ask = (float(price + n * tick(symbol)) for n in (-1, 0, 1))
    row = {"symbol": symbol, "bid": bid, "bid_qty": 1.0, "ask": ask, "ask_qty": 1.0, "last": last}
    row |= dict.fromkeys(("vwap", "low", "high"), last) | dict.fromkeys(("change", "change_pct"), 0.0)
    return row | {"volume": 1.0, "timestamp": rfc3339()}


def order_row(spec: Json) -> Json:
    """An order as OpenOrders shows it; `descr` holds the trigger price as `price`, the limit as `price2`."""
    pair, kind, volume = spec["pair"], spec.get("type", "limit"), Decimal(str(spec["volume"]))
    price, price2 = (f"{Decimal(str(spec.get(k, 0))):.{PAIRS[pair][1]}f}" for k in ("price", "price2"))
    limit = f" -> limit {price2}" if "price2" in spec else ""
    words = kind.removesuffix("-limit").replace("-", " ") if limit else kind.replace("-", " ")
    text = f"{spec['side']} {volume:.8f} {rest_name(pair)} @ {words} {price}{limit}"
    descr = {"pair": rest_name(pair), "type": spec["side"], "ordertype": kind, "price": price}
    descr |= {"price2": price2 if limit else "0", "leverage": "none", "order": text, "close": ""}
    row: Json = {"refid": None, "userref": 0, "status": "open", "opentm": time.time(), "starttm": 0, "expiretm": 0}
    row |= {"descr": descr, "vol": f"{volume:.8f}", "vol_exec": "0.00000000", "misc": "", "oflags": "fciq"}
    row |= dict.fromkeys(("cost", "fee", "price", "stopprice", "limitprice"), "0.00000")
    row |= {} if kind == "limit" else {"trigger": "last"}
    return row | ({"cl_ord_id": spec["cl_ord_id"]} if "cl_ord_id" in spec else {})


def execution(txid: str, order: Json, status: str) -> Json:
    """The same order as the `executions` channel shows it; a cancellation says no more than this."""
    row: Json = {"order_id": txid, "exec_type": status, "order_status": status, "timestamp": rfc3339()}
    row |= {"order_userref": 0} | dict.fromkeys(("cum_qty", "cum_cost", "avg_price", "fee_usd_equiv"), 0.0)
    row |= {"cl_ord_id": order["cl_ord_id"]} if "cl_ord_id" in order else {}
    if status == "canceled":
        return row | {"cancel_reason": "User requested", "reason": "User requested"}
    descr, symbol = order["descr"], next(s for s in PAIRS if rest_name(s) == order["descr"]["pair"])
    row |= {"symbol": symbol, "side": descr["type"], "order_type": descr["ordertype"], "time_in_force": "GTC"}
    row |= {"order_qty": float(order["vol"]), "fee_ccy_pref": "fciq"}
    price, price2 = float(descr["price"]), float(descr["price2"])
    if "trigger" not in order:
        return row | {"limit_price": price, "limit_price_type": "static"}
    trigger = {"reference": "last", "price": price, "price_type": "static", "status": "untriggered"}
    return row | {"triggers": trigger} | ({"limit_price": price2} if price2 else {})


def nothing_booked(asset: str, balance: Decimal) -> Json:
    """A row of the `balances` channel that says how much there is, and changes nothing."""
    row: Json = {"ledger_id": "", "ref_id": "", "timestamp": rfc3339(), "type": "trade", "category": "trade"}
    row |= {"asset": asset, "asset_class": "currency", "wallet_type": "spot", "wallet_id": "main"}
    return row | {"amount": 0.0, "fee": 0.0, "balance": float(balance)}


def held(order: Json) -> tuple[str, Decimal]:
    """What an open order reserves: the base asset of a sale, the quote asset of a purchase."""
    base, quote = next(s for s in PAIRS if rest_name(s) == order["descr"]["pair"]).split("/")
    volume = Decimal(order["vol"])
    sale = order["descr"]["type"] == "sell"
    return (base, volume) if sale else (quote, volume * Decimal(order["descr"]["price"]))
