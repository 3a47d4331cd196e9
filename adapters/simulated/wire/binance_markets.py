"""The assets and pairs a simulated Binance spot lists: the majors by their real names, the rest made up.

About 540 assets and 1,800 pairs, of which some 250 are no longer traded (status BREAK), as the venue's own
list has them; about 430 pairs can be traded on margin.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Any

from adapters.simulated.model import Instrument
from adapters.simulated.wire.base import milliseconds

# code and USD.
_MAJORS = """
USDT 1
USDC 1
FDUSD 1
EUR 1.08
TRY 0.03
BRL 0.18
BTC 60000
ETH 3000
BNB 580
SOL 150
XRP 0.6
ADA 0.45
DOGE 0.12
LTC 80
BCH 400
DOT 6
LINK 14
AVAX 28
ATOM 7
XLM 0.11
ZEC 30
ETC 24
TRX 0.12
UNI 8
AAVE 95
ALGO 0.17
NEAR 5
APT 8
FIL 4.5
ICP 9
INJ 22
ARB 0.8
OP 1.8
SUI 1.1
SEI 0.4
TIA 6
PEPE 0.00001
SHIB 0.00002
WIF 2
FET 1.3
GRT 0.2
SAND 0.35
MANA 0.35
AXS 6.5
CRV 0.3
LDO 1.6
MKR 2400
SNX 2
COMP 50
RUNE 4.5
"""
_QUOTES = ("USDT", "USDC", "FDUSD", "TRY", "EUR", "BRL", "BTC", "ETH", "BNB")
_MONEY = ("EUR", "TRY", "BRL")
_SYNTHETIC, _GONE = 360, 125
_MARGIN_QUOTES = ("USDT", "USDC", "BTC")
_MARGIN_SYNTHETIC = 300
_ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_RATE_LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300000},
]


@cache
def asset_prices() -> dict[str, Decimal]:
    """Every asset's price in USD."""
    majors = {code: Decimal(usd) for code, usd in map(str.split, _MAJORS.strip().splitlines())}
    synthetic = {f"SYN{n:03d}": Decimal(n % 50 + 1) / 10 for n in range(_SYNTHETIC)}
    gone = {f"OLD{n:03d}": Decimal("0.01") for n in range(_GONE)}
    return majors | synthetic | gone


@cache
def pairs() -> tuple[Instrument, ...]:
    """Every pair, those that are no longer traded among them."""
    codes = list(asset_prices())
    coins = [code for code in codes if code not in _MONEY and not code.startswith(("SYN", "OLD"))]
    legs = [(base, quote) for base in coins for quote in _QUOTES if _is_pair(base, quote)]
    legs += [(base, quote) for base in _MONEY[:1] for quote in ("USDT", "USDC")]
    legs += [("USDT", "TRY"), ("USDT", "BRL")]
    legs += [(code, quote) for code in codes if code.startswith("SYN") for quote in ("USDT", "USDC", "TRY")]
    legs += [(code, quote) for code in codes if code.startswith("OLD") for quote in ("USDT", "BTC")]
    return tuple(Instrument(f"{base}/{quote}", base + quote, base, quote) for base, quote in dict.fromkeys(legs))


def _is_pair(base: str, quote: str) -> bool:
    """Of two quotes, that which stands later in their row is the base."""
    return base not in _QUOTES or _QUOTES.index(base) > _QUOTES.index(quote)


def prices() -> dict[str, Decimal]:
    """The default price of every pair, ten significant digits."""
    usd = asset_prices()
    return {pair.symbol: _round(usd[pair.base] / usd[pair.quote]) for pair in pairs()}


def is_trading(pair: Instrument) -> bool:
    """May it be traded? The others stand in the list with the status BREAK."""
    return not pair.base.startswith("OLD")


def has_margin(pair: Instrument) -> bool:
    """Can it be traded on margin, cross and isolated?"""
    if pair.base.startswith("SYN"):
        return pair.quote == "USDT" and int(pair.base[3:]) < _MARGIN_SYNTHETIC
    return is_trading(pair) and pair.quote in _MARGIN_QUOTES


def exchange_info(listed: Iterable[Instrument], wall: float) -> bytes:
    """The answer to `exchangeInfo`."""
    head = {"timezone": "UTC", "serverTime": milliseconds(wall), "rateLimits": _RATE_LIMITS, "exchangeFilters": []}
    rows = b",".join(_rows()[pair.symbol] for pair in listed)
    return json.dumps(head).encode()[:-1] + b',"symbols":[' + rows + b"]}"


@cache
def _rows() -> dict[str, bytes]:
    return {pair.symbol: json.dumps(_row(pair), separators=(",", ":")).encode() for pair in pairs()}


def _row(pair: Instrument) -> dict[str, Any]:
    margin = has_margin(pair)
    return {
        "symbol": pair.wire_id,
        "status": "TRADING" if is_trading(pair) else "BREAK",
        "baseAsset": pair.base,
        "baseAssetPrecision": 8,
        "quoteAsset": pair.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": margin,
        "filters": _filters(),
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"] if margin else ["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _filters() -> list[dict[str, Any]]:
    lot = {"minQty": "0.00001000", "maxQty": "9000000.00000000", "stepSize": "0.00001000"}
    return [
        {"filterType": "PRICE_FILTER", "minPrice": "0.00000001", "maxPrice": "1000000.0", "tickSize": "0.00000001"},
        {"filterType": "LOT_SIZE"} | lot,
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {"filterType": "MARKET_LOT_SIZE"} | lot | {"minQty": "0.00000000", "stepSize": "0.00000000"},
        {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]


def margin_pairs(listed: Iterable[Instrument]) -> list[dict[str, Any]]:
    """The answer to `margin/allPairs` and, but for the ids, to `margin/isolated/allPairs`."""
    return [
        {
            "base": pair.base,
            "id": number,
            "isBuyAllowed": True,
            "isMarginTrade": True,
            "isSellAllowed": True,
            "quote": pair.quote,
            "symbol": pair.wire_id,
        }
        for number, pair in enumerate(listed, 351637150141315840)
        if has_margin(pair)
    ]


def coins() -> list[dict[str, Any]]:
    """The rows of `capital/config/getall`, without what the account has of them."""
    return [
        {
            "coin": code,
            "depositAllEnable": True,
            "withdrawAllEnable": True,
            "name": code,
            "free": "0",
            "locked": "0",
            "freeze": "0",
            "withdrawing": "0",
            "ipoing": "0",
            "ipoable": "0",
            "storage": "0",
            "isLegalMoney": code in _MONEY,
            "trading": not code.startswith("OLD"),
            "networkList": [_network(code)],
        }
        for code in asset_prices()
    ]


def _network(code: str) -> dict[str, Any]:
    return {
        "network": "ETH",
        "coin": code,
        "name": "Ethereum (ERC20)",
        "isDefault": True,
        "depositEnable": True,
        "withdrawEnable": True,
        "withdrawFee": "1",
        "withdrawMin": "2",
        "withdrawMax": "9999999",
        "withdrawIntegerMultiple": "0.00000001",
        "minConfirm": 6,
        "unLockConfirm": 64,
    }


def _round(value: Decimal) -> Decimal:
    return Decimal(format(Decimal(f"{value:.10g}"), "f"))
