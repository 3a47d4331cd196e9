"""The assets and pairs a simulated kraken lists: the majors by their real names, the rest made up.

About 600 assets and 1,200 pairs, as many as the venue has, from a small table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from adapters.simulated.model import Instrument


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset: ccxt's code, the venue's id and altname, its price in USD."""

    code: str
    wire_id: str
    altname: str
    usd: Decimal


# code, wire id, altname, USD. The venue prefixes its oldest assets with X (coins) and Z (money).
_MAJORS = """
USD ZUSD USD 1
EUR ZEUR EUR 1.08
GBP ZGBP GBP 1.27
CAD ZCAD CAD 0.73
AUD ZAUD AUD 0.66
JPY ZJPY JPY 0.0066
CHF CHF CHF 1.12
USDT USDT USDT 1
USDC USDC USDC 1
DAI DAI DAI 1
BTC XXBT XBT 60000
ETH XETH ETH 3000
SOL SOL SOL 150
XRP XXRP XRP 0.6
ADA ADA ADA 0.45
DOGE XXDG XDG 0.12
LTC XLTC LTC 80
BCH BCH BCH 400
DOT DOT DOT 6
LINK LINK LINK 14
AVAX AVAX AVAX 28
ATOM ATOM ATOM 7
XLM XXLM XLM 0.11
XMR XXMR XMR 165
ZEC XZEC ZEC 30
ETC XETC ETC 24
TRX TRX TRX 0.12
UNI UNI UNI 8
AAVE AAVE AAVE 95
ALGO ALGO ALGO 0.17
NEAR NEAR NEAR 5
APT APT APT 8
ARB ARB ARB 0.9
OP OP OP 1.9
FIL FIL FIL 5
TON TON TON 6.5
SUI SUI SUI 1.1
PEPE PEPE PEPE 0.00001
SHIB SHIB SHIB 0.00002
BNB BNB BNB 550
PAXG PAXG PAXG 2400
"""
_MONEY = ("USD", "EUR", "GBP", "CAD", "AUD", "JPY", "CHF")
_QUOTES = ("USD", "EUR", "USDT", "USDC", "GBP", "BTC", "ETH")
_MARGIN_BASES = frozenset({"BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "USDT", "USDC"})
# Pairs whose id the venue builds from the altname although both assets are old, and the other way round.
_PAIR_IDS = {("USDT", "USD"): "USDTZUSD", ("DOGE", "USD"): "XDGUSD", ("DOGE", "EUR"): "XDGEUR"}
SYNTHETIC = 545
# Balances in other products than the spot wallet: never traded, listed all the same.
_SUFFIXED = ("USDT.F", "USDC.F", "XBT.F", "ETH.F", "SOL.F", "DOT.S", "ATOM.S", "XBT.M", "EUR.M", "USD.M")


@cache
def assets() -> dict[str, Asset]:
    """Every asset by ccxt's code."""
    rows = [line.split() for line in _MAJORS.strip().splitlines()]
    found = {code: Asset(code, wire, alt, Decimal(usd)) for code, wire, alt, usd in rows}
    for number in range(SYNTHETIC):
        code = f"SYN{number:03d}"
        found[code] = Asset(code, code, code, Decimal(10 + number % 90) / 10)
    return found


@cache
def pairs() -> tuple[Instrument, ...]:
    """Every pair: majors against the usual quotes, money against USD, synthetic assets against USD and EUR."""
    legs = [("EUR", "USD"), ("GBP", "USD"), ("AUD", "USD"), ("USDT", "USD"), ("USDC", "USD"), ("DAI", "USD")]
    legs += [("USD", "CAD"), ("USD", "JPY"), ("USD", "CHF"), ("USDT", "EUR"), ("USDC", "EUR"), ("USDC", "USDT")]
    majors = [code for code in assets() if code not in _MONEY and not code.startswith("SYN")]
    coins = [code for code in majors if code not in ("USDT", "USDC", "DAI")]
    legs += [(base, quote) for base in coins for quote in _QUOTES[:4]]
    legs += [(base, "BTC") for base in coins[1:12]] + [(base, "ETH") for base in coins[2:10]]
    legs += [("BTC", "GBP"), ("ETH", "GBP"), ("BTC", "JPY"), ("BTC", "CHF"), ("BTC", "CAD")]
    legs += [(f"SYN{n:03d}", quote) for n in range(SYNTHETIC) for quote in ("USD", "EUR")]
    return tuple(_pair(base, quote) for base, quote in legs)


def prices() -> dict[str, Decimal]:
    """The default price of every pair."""
    known = assets()
    return {pair.symbol: _round(known[pair.base].usd / known[pair.quote].usd) for pair in pairs()}


@cache
def assets_json() -> bytes:
    """The answer to `Assets`."""
    rows: dict[str, Any] = {
        asset.wire_id: {
            "aclass": "currency",
            "altname": asset.altname,
            "decimals": 4 if asset.code in _MONEY else 10,
            "display_decimals": 2 if asset.code in _MONEY else 5,
            "status": "enabled",
        }
        for asset in assets().values()
    }
    for name in _SUFFIXED:
        rows[name] = {
            "aclass": "currency",
            "altname": name,
            "decimals": 10,
            "display_decimals": 5,
            "status": "enabled",
        }
    return json.dumps({"error": [], "result": rows}).encode()


@cache
def pairs_json(delisted: frozenset[str] = frozenset()) -> bytes:
    """The answer to `AssetPairs`."""
    rows = {pair.wire_id: _pair_json(pair) for pair in pairs() if pair.symbol not in delisted}
    return json.dumps({"error": [], "result": rows}).encode()


def _pair(base: str, quote: str) -> Instrument:
    known = assets()
    left, right = known[base], known[quote]
    alt = left.altname + right.altname
    old = left.wire_id != left.altname and right.wire_id != right.altname
    wire = _PAIR_IDS.get((base, quote), left.wire_id + right.wire_id if old else alt)
    return Instrument(f"{base}/{quote}", wire, base, quote, names=(alt, f"{left.altname}/{right.altname}"))


def _pair_json(pair: Instrument) -> dict[str, Any]:
    known = assets()
    left, right = known[pair.base], known[pair.quote]
    leverage = [2, 3, 4, 5] if pair.base in _MARGIN_BASES and pair.quote in ("USD", "EUR", "USDT") else []
    return {
        "altname": left.altname + right.altname,
        "wsname": f"{left.altname}/{right.altname}",
        "aclass_base": "currency",
        "base": left.wire_id,
        "aclass_quote": "currency",
        "quote": right.wire_id,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": 10 if left.usd < Decimal("0.01") else 6 if left.usd < 10 else 2,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": leverage,
        "leverage_sell": leverage,
        "fees": [[0, 0.4], [10000, 0.35]],
        "fees_maker": [[0, 0.25], [10000, 0.2]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.00001",
        "costmin": "0.5",
        "tick_size": "0.01",
        "status": "online",
    }


def _round(value: Decimal) -> Decimal:
    """Ten significant digits, written without an exponent."""
    rounded = Decimal(f"{value:.10g}")
    return Decimal(format(rounded, "f"))
