"""The pairs and contracts a simulated mexc lists: majors by their real names, the rest made up.

2,115 pairs and 1,192 contracts, as many as the venue was seen to list; 44 contracts can't be traded by API.
A delisted one is on no list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Any

from adapters.simulated.model import Instrument
from adapters.simulated.wire import kraken_markets
from adapters.simulated.wire.mexc_names import CONTRACT_WALLET

PAIRS = 2115
CONTRACTS = 1192
CLOSED_TO_API = 44
SETTLE_COINS = ("USDT", "USDC", "BTC", "ETH")
"""Coins that contracts settle in: the contract account has a row of each."""

_MONEY = frozenset({"USD", "EUR", "GBP", "CAD", "AUD", "JPY", "CHF", "USDT", "USDC", "DAI"})
_INVERSE_USD = {"BTC": Decimal(100), "ETH": Decimal(10)}


@cache
def coins() -> dict[str, Decimal]:
    """Every coin and its price in USD."""
    majors = {code: asset.usd for code, asset in kraken_markets.assets().items() if code not in _MONEY}
    found = {code: usd for code, usd in majors.items() if not code.startswith("SYN")} | {"MX": Decimal("2.5")}
    found |= {f"SYN{number:04d}": Decimal(10 + number % 90) / 10 for number in range(PAIRS)}
    return found


def asset_prices() -> dict[str, Decimal]:
    """Coins, and the stablecoins they are traded against."""
    return coins() | {"USDT": Decimal(1), "USDC": Decimal(1)}


@cache
def pairs() -> tuple[Instrument, ...]:
    """Every spot pair."""
    majors = [code for code in coins() if not code.startswith("SYN")]
    legs = [("USDC", "USDT"), ("ETH", "BTC"), ("XRP", "BTC"), ("SOL", "ETH")]
    legs += [(code, quote) for code in majors for quote in ("USDT", "USDC")]
    legs += [(f"SYN{number:04d}", "USDT") for number in range(PAIRS - len(legs))]
    return tuple(Instrument(f"{base}/{quote}", base + quote, base, quote) for base, quote in legs)


@cache
def contracts() -> tuple[Instrument, ...]:
    """Every perpetual: linear in USDT and USDC, inverse in the coin."""
    majors = [code for code in coins() if not code.startswith("SYN")]
    linear = [(code, "USDT") for code in majors] + [(code, "USDC") for code in ("BTC", "ETH", "SOL")]
    linear += [(f"SYN{number:04d}", "USDT") for number in range(CONTRACTS - len(linear) - len(_INVERSE_USD))]
    return tuple([_linear(*legs) for legs in linear] + [_inverse(code) for code in _INVERSE_USD])


def instruments() -> tuple[Instrument, ...]:
    """Pairs and contracts."""
    return pairs() + contracts()


def prices() -> dict[str, Decimal]:
    """The default price of every instrument."""
    usd = asset_prices() | {"USD": Decimal(1)}
    return {each.symbol: Decimal(format(usd[each.base] / usd[each.quote], ".10g")) for each in instruments()}


def exchange_info(listed: Iterable[Instrument], wall_ms: int) -> bytes:
    """The answer to `exchangeInfo`: the pairs among what is listed."""
    rows = b",".join(_pair_row(each.symbol) for each in listed if each.settle is None)
    head = f'{{"timezone":"CST","serverTime":{wall_ms},"rateLimits":[],"exchangeFilters":[],"symbols":['
    return head.encode() + rows + b"]}"


def detail(listed: Iterable[Instrument]) -> bytes:
    """The answer to `contract/detail`: the contracts among what is listed."""
    rows = b",".join(_contract_row(each.symbol) for each in listed if each.settle is not None)
    return b'{"success":true,"code":0,"data":[' + rows + b"]}"


def is_open_to_api(symbol: str) -> bool:
    """Whether orders may be placed in a contract by API."""
    return symbol not in _closed()


@cache
def _closed() -> frozenset[str]:
    made_up = [each.symbol for each in contracts() if each.base.startswith("SYN")]
    return frozenset(made_up[-CLOSED_TO_API:])


def _linear(base: str, quote: str) -> Instrument:
    # A contract is worth between a tenth of a dollar and ten.
    size = Decimal(1).scaleb(-coins()[base].adjusted())
    return Instrument(
        f"{base}/{quote}:{quote}",
        f"{base}_{quote}",
        base,
        quote,
        settle=quote,
        contract_size=Decimal(format(size, "f")),
        wallet=CONTRACT_WALLET,
    )


def _inverse(base: str) -> Instrument:
    return Instrument(
        f"{base}/USD:{base}",
        f"{base}_USD",
        base,
        "USD",
        settle=base,
        contract_size=_INVERSE_USD[base],
        inverse=True,
        wallet=CONTRACT_WALLET,
    )


@cache
def _by_symbol() -> dict[str, Instrument]:
    return {each.symbol: each for each in instruments()}


@cache
def _pair_row(symbol: str) -> bytes:
    pair = _by_symbol()[symbol]
    row: dict[str, Any] = {
        "symbol": pair.wire_id,
        "status": "1",
        "baseAsset": pair.base,
        "baseAssetPrecision": 8,
        "quoteAsset": pair.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "quoteAmountPrecision": "1",
        "baseSizePrecision": "0",
        "permissions": ["SPOT"],
        "filters": [],
        "maxQuoteAmount": "2000000",
        "makerCommission": "0",
        "takerCommission": "0.0005",
        "tradeSideType": "1",
    }
    return json.dumps(row).encode()


@cache
def _contract_row(symbol: str) -> bytes:
    contract = _by_symbol()[symbol]
    row: dict[str, Any] = {
        "symbol": contract.wire_id,
        "displayNameEn": f"{contract.wire_id} PERPETUAL",
        "positionOpenType": 3,
        "baseCoin": contract.base,
        "quoteCoin": contract.quote,
        "settleCoin": contract.settle,
        "contractSize": float(contract.contract_size),
        "minLeverage": 1,
        "maxLeverage": 200,
        "priceScale": 8,
        "volScale": 0,
        "priceUnit": 0.00000001,
        "volUnit": 1,
        "minVol": 1,
        "maxVol": 1000000,
        "takerFeeRate": 0.0002,
        "makerFeeRate": 0,
        "maintenanceMarginRate": 0.004,
        "initialMarginRate": 0.005,
        "state": 0,
        "apiAllowed": is_open_to_api(symbol),
        "maxNumOrders": [200, 50],
        "isNew": False,
        "isHot": False,
        "isHidden": False,
    }
    return json.dumps(row).encode()
