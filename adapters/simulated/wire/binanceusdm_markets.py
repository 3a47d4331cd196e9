"""The contracts that a simulated Binance futures venue lists: the majors by their real names, the rest made up.

Linear (USD-M): some 640 contracts: perpetuals in USDT and USDC, one on gold, dated ones, and one whose id is not
ASCII, as the venue has one. Inverse (COIN-M): some 40 contracts of 10 USD, of Bitcoin 100 USD.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Instrument
from adapters.simulated.wire.base import milliseconds, text

UM, CM = "um", "cm"
"""The wallets of the two halves."""

# Base asset and its price in USD; what trades in thousands has the thousand in its name.
_MAJORS = """
BTC 60000
ETH 3000
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
XMR 165
ZEC 30
ETC 24
TRX 0.12
UNI 8
AAVE 95
ALGO 0.17
NEAR 5
APT 8
ARB 0.9
OP 1.9
FIL 5
TON 6.5
SUI 1.1
BNB 550
1000PEPE 0.01
1000SHIB 0.02
PAXG 2400
XAU 2400
"""
_NOT_ASCII = "\u5e01\u5b89\u4eba\u751f"
_IN_METAL = frozenset({"XAU"})
_MONEY = ("USDT", "USDC", "USD", "FDUSD", "BFUSD")
_SYNTHETIC = 575
_USDC_PAIRS, _INVERSE_PAIRS = 30, 30
_DATED = ("BTC", "ETH")
# A contract's type by its expiry.
_QUARTERS = {"310328": "CURRENT_QUARTER", "310627": "NEXT_QUARTER"}
# What the venue gives a contract that never expires.
_NEVER = 4133404800000
_ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]


@dataclass(frozen=True, slots=True)
class Listing:
    """What one half lists: its contracts, and the row of each."""

    instruments: Callable[[], tuple[Instrument, ...]]
    row: Callable[[Instrument], dict[str, Any]]
    limits: tuple[tuple[str, str, int, int], ...]


@cache
def asset_prices() -> dict[str, Decimal]:
    """What every asset is worth in USD."""
    lines = (line.split() for line in _MAJORS.strip().splitlines())
    known = {code: Decimal(usd) for code, usd in lines} | {_NOT_ASCII: Decimal("0.3")}
    known |= {f"SYN{number:03d}": Decimal(10 + number % 90) / 10 for number in range(_SYNTHETIC)}
    return known | dict.fromkeys(_MONEY, Decimal(1))


@cache
def linear() -> tuple[Instrument, ...]:
    """Every contract of USD-M."""
    bases = [code for code in asset_prices() if code not in _MONEY]
    perpetuals = [_linear(base, "USDT") for base in bases]
    perpetuals += [_linear("USDC", "USDT"), *(_linear(base, "USDC") for base in bases[:_USDC_PAIRS])]
    return (*perpetuals, *(_linear(base, "USDT", expiry) for base in _DATED for expiry in _QUARTERS))


@cache
def inverse() -> tuple[Instrument, ...]:
    """Every contract of COIN-M."""
    bases = [code for code in asset_prices() if code.isalpha() and code.isascii()][:_INVERSE_PAIRS]
    perpetuals = [_inverse(base) for base in bases if base not in _IN_METAL]
    return (*perpetuals, *(_inverse(base, expiry) for base in _DATED for expiry in _QUARTERS))


def prices(instruments: Iterable[Instrument]) -> dict[str, Decimal]:
    """The default mark of every contract: its asset's price."""
    return {instrument.symbol: asset_prices()[instrument.base] for instrument in instruments}


def exchange_info(exchange: Exchange, listing: Listing, wall: float) -> bytes:
    """The answer to `exchangeInfo`; what is delisted is not in it."""
    rows = ",".join(_written(listing)[instrument.symbol] for instrument in exchange.listed())
    limits = [
        {"rateLimitType": kind, "interval": unit, "intervalNum": number, "limit": limit}
        for kind, unit, number, limit in listing.limits
    ]
    rest = json.dumps({"rateLimits": limits, "exchangeFilters": [], "assets": _collateral()})
    return f'{{"timezone":"UTC","serverTime":{milliseconds(wall)},{rest[1:-1]},"symbols":[{rows}]}}'.encode()


def price_step(price: Decimal) -> Decimal:
    """The tick of a contract at that price: six digits."""
    return Decimal(1).scaleb(price.adjusted() - 5)


def size_step(price: Decimal) -> Decimal:
    """The least size of a linear contract at that price: from a thousandth to a whole one."""
    return Decimal(1).scaleb(-max(0, min(3, price.adjusted())))


def _linear(base: str, quote: str, expiry: str = "") -> Instrument:
    wire, symbol = f"{base}{quote}", f"{base}/{quote}:{quote}"
    if expiry:
        wire, symbol = f"{wire}_{expiry}", f"{symbol}-{expiry}"
    return Instrument(symbol, wire, base, quote, settle=quote, wallet=UM)


def _inverse(base: str, expiry: str = "") -> Instrument:
    size = Decimal(100 if base == "BTC" else 10)
    symbol = f"{base}/USD:{base}" + (f"-{expiry}" if expiry else "")
    wire = f"{base}USD_{expiry or 'PERP'}"
    return Instrument(symbol, wire, base, "USD", settle=base, contract_size=size, inverse=True, wallet=CM)


@cache
def _written(listing: Listing) -> dict[str, str]:
    return {instrument.symbol: json.dumps(listing.row(instrument)) for instrument in listing.instruments()}


def _linear_row(instrument: Instrument) -> dict[str, Any]:
    step = size_step(asset_prices()[instrument.base])
    return _row(instrument, step, Decimal(1000)) | {
        "status": "TRADING",
        "quantityPrecision": _places(step),
        "underlyingType": "COMMODITY" if instrument.base in _IN_METAL else "COIN",
        "underlyingSubType": [],
    }


def _inverse_row(instrument: Instrument) -> dict[str, Any]:
    return _row(instrument, Decimal(1), Decimal(1_000_000)) | {
        "contractStatus": "TRADING",
        "contractSize": int(instrument.contract_size),
        "quantityPrecision": 0,
        "equalQtyPrecision": 4,
    }


def _row(instrument: Instrument, step: Decimal, most: Decimal) -> dict[str, Any]:
    """What the rows of both halves have in common."""
    expiry = instrument.symbol.partition("-")[2]
    tick = price_step(asset_prices()[instrument.base])
    perpetual = "TRADIFI_PERPETUAL" if instrument.base in _IN_METAL else "PERPETUAL"
    lot = {"minQty": text(step), "maxQty": text(most), "stepSize": text(step)}
    filters: list[dict[str, Any]] = [
        {"filterType": "PRICE_FILTER", "minPrice": text(tick), "maxPrice": "4529764", "tickSize": text(tick)},
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.05", "multiplierDown": "0.95", "multiplierDecimal": "4"},
    ]
    if not instrument.inverse:
        filters.append({"filterType": "MIN_NOTIONAL", "notional": "5"})
    return {
        "symbol": instrument.wire_id,
        "pair": f"{instrument.base}{instrument.quote}",
        "contractType": _QUARTERS.get(expiry, perpetual),
        "deliveryDate": _expires(expiry) if expiry else _NEVER,
        "onboardDate": 1569398400000,
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.settle,
        "pricePrecision": _places(tick),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": filters,
        "orderTypes": _ORDER_TYPES,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }


LINEAR = Listing(
    linear,
    _linear_row,
    (("REQUEST_WEIGHT", "MINUTE", 1, 2400), ("ORDERS", "MINUTE", 1, 1200), ("ORDERS", "SECOND", 10, 300)),
)
INVERSE = Listing(inverse, _inverse_row, (("REQUEST_WEIGHT", "MINUTE", 1, 2400), ("ORDERS", "MINUTE", 1, 1200)))


def _collateral() -> list[dict[str, Any]]:
    return [{"asset": code, "marginAvailable": True, "autoAssetExchange": "-10000"} for code in ("USDT", "USDC", "BTC")]


def _expires(expiry: str) -> int:
    moment = datetime.strptime(expiry, "%y%m%d").replace(hour=8, tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _places(step: Decimal) -> int:
    return max(0, -step.adjusted())
