"""The instruments a simulated okx lists: about 1,200, the majors by their real names, the rest made up.

Ids say what an instrument is: BTC-USDT spot, BTC-USDT-SWAP and BTC-USD-SWAP perpetual (linear, inverse),
BTC-USDT-310328 dated, BTC-USD-310328-60000-C an option. Event contracts follow none of that, and ccxt asks for
none of them: an order in one rests in an instrument that the client has never heard of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from adapters.simulated.model import Instrument

TRADING = "trading"
FUNDING = "funding"
LEVERAGE = 10

# code, USD, base units of a linear contract, USD of an inverse one (- where there is none).
_MAJORS = """
BTC 60000 0.01 100
ETH 3000 0.1 10
SOL 150 1 10
XRP 0.6 100 10
LTC 80 1 10
BCH 400 0.1 10
DOGE 0.12 1000 10
ADA 0.45 100 10
DOT 6 1 10
LINK 14 1 10
AVAX 28 1 10
TRX 0.12 1000 10
ATOM 7 1 -
XLM 0.11 100 -
ETC 24 10 -
UNI 8 1 -
AAVE 95 0.1 -
ALGO 0.17 10 -
NEAR 5 10 -
APT 8 1 -
ARB 0.9 10 -
OP 1.9 1 -
FIL 5 0.1 -
TON 6.5 1 -
SUI 1.1 1 -
PEPE 0.00001 10000000 -
SHIB 0.00002 1000000 -
BNB 550 0.01 -
OKB 45 - -
PAXG 2400 - -
"""
_MONEY = {"USDT": Decimal(1), "USDC": Decimal(1), "USD": Decimal(1), "EUR": Decimal("1.08"), "AED": Decimal("0.27")}
_EXPIRIES = ("310328", "310627", "310926", "311226")
_DATED = ("BTC", "ETH", "SOL", "XRP")
_OPTIONS = {"BTC": (50000, 60000, 70000), "ETH": (2500, 3000, 3500)}
_EVENTS = ("BTC-ABOVE-DAILY-310328-1600-70000", "ETH-ABOVE-DAILY-310328-1600-3500")
_SPOT_ONLY, _SYNTHETIC = 560, 230
_LISTED_MS = "1606468572000"


@cache
def _majors() -> dict[str, tuple[Decimal, str, str]]:
    rows = [line.split() for line in _MAJORS.strip().splitlines()]
    return {code: (Decimal(usd), linear, inverse) for code, usd, linear, inverse in rows}


@cache
def asset_prices() -> dict[str, Decimal]:
    """USD prices of all assets."""
    synthetic = {f"SYN{number:03d}": Decimal(10 + number % 90) / 10 for number in range(_SPOT_ONLY)}
    return _MONEY | {code: usd for code, (usd, _, _) in _majors().items()} | synthetic


@cache
def instruments() -> tuple[Instrument, ...]:
    """Everything that can be traded; its place here is its `instIdCode`, less one."""
    return (*_spot(), *_swaps(), *_futures(), *_options(), *_event_contracts())


def prices() -> dict[str, Decimal]:
    """The default price of every instrument: an option's in its coin, an event contract's between 0 and 1."""
    fixed = {"OPTION": Decimal("0.05"), "EVENTS": Decimal("0.5")}
    return {
        instrument.symbol: fixed.get(inst_type(instrument)) or _ratio(instrument.base, instrument.quote)
        for instrument in instruments()
    }


@cache
def code_of(wire_id: str) -> int:
    """The number that stands for an id on sockets."""
    return 1 + next(place for place, known in enumerate(instruments()) if known.wire_id == wire_id)


@cache
def inst_type(instrument: Instrument) -> str:
    """SPOT, SWAP, FUTURES, OPTION or EVENTS."""
    parts = instrument.wire_id.split("-")
    if instrument.settle is None:
        return "SPOT"
    if "ABOVE" in parts:
        return "EVENTS"
    return {"SWAP": "SWAP", "C": "OPTION", "P": "OPTION"}.get(parts[-1], "FUTURES")


@lru_cache(maxsize=64)
def instruments_json(kind: str, family: str, delisted: frozenset[str]) -> bytes:
    """The answer to `public/instruments`. family: as `BTC-USD`, or all; delisted: symbols that are gone."""
    rows = [
        _row(place, instrument)
        for place, instrument in enumerate(instruments(), 1)
        if inst_type(instrument) == kind
        and instrument.symbol not in delisted
        and family in ("", f"{instrument.base}-{instrument.quote}")
    ]
    return json.dumps({"code": "0", "msg": "", "data": rows}).encode()


@cache
def currencies_json() -> bytes:
    """The answer to `asset/currencies`: each asset on one chain, USDT on two."""
    chains = [(code, f"{code}-Chain") for code in asset_prices() if code not in ("USDT", "USD", "EUR", "AED")]
    rows = [
        {
            "ccy": code,
            "chain": chain,
            "name": code,
            "canDep": True,
            "canWd": True,
            "canInternal": True,
            "fee": "0.8",
            "wdTickSz": "6",
            "minDep": "0.01",
            "minWd": "2",
            "maxWd": "1000000",
        }
        for code, chain in (*chains, ("USDT", "USDT-TRC20"), ("USDT", "USDT-ERC20"), ("EUR", "EUR-SEPA"))
    ]
    return json.dumps({"code": "0", "msg": "", "data": rows}).encode()


# --- what there is -------------------------------------------------------------------------------------


def _spot() -> Iterator[Instrument]:
    quotes = {"USDT": 30, "USDC": 30, "USD": 24, "EUR": 16, "AED": 4, "BTC": 12, "ETH": 8}
    majors = list(_majors())
    for quote, count in quotes.items():
        yield from (_pair(base, quote) for base in majors[:count] if base != quote and (quote, base) != ("ETH", "BTC"))
    yield from (_pair(base, quote) for base, quote in (("USDC", "USDT"), ("USDT", "USD"), ("USDT", "EUR")))
    for number in range(_SPOT_ONLY):
        yield _pair(f"SYN{number:03d}", "USDT")
        if number % 3 == 0:
            yield _pair(f"SYN{number:03d}", "USDC")


def _swaps() -> Iterator[Instrument]:
    for code, (_, linear, inverse) in _majors().items():
        if linear != "-":
            yield _contract(code, "USDT", "SWAP", linear)
        if inverse != "-":
            yield _contract(code, "USD", "SWAP", inverse)
    yield from (_contract(code, "USDC", "SWAP", linear) for code, linear in (("BTC", "0.0001"), ("ETH", "0.001")))
    yield from (_contract(f"SYN{number:03d}", "USDT", "SWAP", "10") for number in range(_SYNTHETIC))


def _futures() -> Iterator[Instrument]:
    for code in _DATED:
        _, linear, inverse = _majors()[code]
        for expiry in _EXPIRIES:
            yield _contract(code, "USDT", expiry, linear)
            yield _contract(code, "USD", expiry, inverse)


def _options() -> Iterator[Instrument]:
    sizes = {"BTC": Decimal("0.01"), "ETH": Decimal("0.1")}
    for code, strikes in _OPTIONS.items():
        for ending in (f"{expiry}-{strike}-{way}" for expiry in _EXPIRIES for strike in strikes for way in "CP"):
            symbol, wire = f"{code}/USD:{code}-{ending}", f"{code}-USD-{ending}"
            yield Instrument(symbol, wire, code, "USD", code, sizes[code], wallet=TRADING)


def _event_contracts() -> Iterator[Instrument]:
    for name in _EVENTS:
        yield Instrument(name, name, name.partition("-")[0], "USDT", "USDT", wallet=TRADING)


def _pair(base: str, quote: str) -> Instrument:
    return Instrument(f"{base}/{quote}", f"{base}-{quote}", base, quote)


def _contract(base: str, quote: str, ending: str, size: str) -> Instrument:
    settle = base if quote == "USD" else quote
    symbol = f"{base}/{quote}:{settle}" + ("" if ending == "SWAP" else f"-{ending}")
    wire = f"{base}-{quote}-{ending}"
    return Instrument(symbol, wire, base, quote, settle, Decimal(size), quote == "USD", TRADING)


def _ratio(base: str, quote: str) -> Decimal:
    """Ten significant digits, written without an exponent."""
    known = asset_prices()
    return Decimal(format(Decimal(f"{known[base] / known[quote]:.10g}"), "f"))


# --- how it is written ---------------------------------------------------------------------------------


def _row(place: int, instrument: Instrument) -> dict[str, Any]:
    is_spot = instrument.settle is None
    usd = asset_prices()[instrument.base]
    row: dict[str, Any] = {
        "instType": inst_type(instrument),
        "instId": instrument.wire_id,
        "instIdCode": place,
        "uly": "",
        "instFamily": "",
        "baseCcy": instrument.base,
        "quoteCcy": instrument.quote,
        "settleCcy": "",
        "ctVal": "",
        "ctMult": "",
        "ctValCcy": "",
        "ctType": "",
        "optType": "",
        "stk": "",
        "listTime": _LISTED_MS,
        "contTdSwTime": "",
        "expTime": "",
        "lever": str(LEVERAGE),
        "tickSz": "0.1" if usd > 1000 else "0.0001" if usd > 1 else "0.0000000001",
        "lotSz": "0.00000001" if is_spot else "0.01",
        "minSz": "0.00001" if is_spot else "0.01",
        "maxLmtSz": "9999999999",
        "maxMktSz": "1000000",
        "ruleType": "normal",
        "state": "live",
    }
    return row if is_spot else row | _contract_fields(instrument)


def _contract_fields(instrument: Instrument) -> dict[str, Any]:
    family = f"{instrument.base}-{instrument.quote}"
    parts = instrument.wire_id.split("-")
    fields = {
        "uly": family,
        "instFamily": family,
        "baseCcy": "",
        "quoteCcy": "",
        "settleCcy": instrument.settle,
        "ctVal": format(instrument.contract_size, "f"),
        "ctMult": "1",
        "ctValCcy": "USD" if instrument.inverse else instrument.base,
        "ctType": "inverse" if instrument.inverse else "linear",
    }
    kind = inst_type(instrument)
    if kind in ("FUTURES", "OPTION"):
        fields["expTime"] = _expiry_ms(parts[2])
    if kind == "OPTION":
        fields |= {"stk": parts[3], "optType": parts[4], "ctType": "", "ctMult": fields["ctVal"], "ctVal": "1"}
    return fields


def _expiry_ms(ending: str) -> str:
    """Eight in the morning, UTC."""
    day = datetime.strptime(f"20{ending}08", "%Y%m%d%H").replace(tzinfo=UTC)
    return str(int(day.timestamp() * 1000))
