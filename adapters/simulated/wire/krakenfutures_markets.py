"""The instruments a simulated krakenfutures lists: about 350, the majors by their real names.

PF: perpetual, multi-collateral, linear. PI and FI: perpetual and dated, inverse, one wallet each.
FF: dated, multi-collateral. in: index.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from typing import Any

from adapters.simulated.model import Instrument
from adapters.simulated.wire import kraken_markets

FLEX = "flex"
_LEGACY = {"BTC": "XBT"}
_INVERSE = ("BTC", "ETH", "LTC", "BCH", "XRP")
_DATED = ("BTC", "ETH")
_EXPIRIES = ("2031-03-28", "2031-06-27", "2031-09-26", "2031-12-26")
_NO_PERPETUAL = frozenset({"USD", "CAD", "JPY", "CHF", "USDT", "USDC", "DAI"})
_SYNTHETIC = 290
# Assets that may lie in the multi-collateral wallet.
COLLATERAL = ("USD", "EUR", "GBP", "USDT", "USDC", "BTC", "ETH", "SOL", "XRP")


@cache
def instruments() -> tuple[Instrument, ...]:
    """Every instrument that can be traded."""
    codes = [code for code in kraken_markets.assets() if code not in _NO_PERPETUAL]
    majors = [code for code in codes if not code.startswith("SYN")]
    linear = [_perpetual(code) for code in majors + [f"SYN{n:03d}" for n in range(_SYNTHETIC)]]
    inverse = [_inverse(code, None) for code in _INVERSE]
    dated = [_inverse(code, expiry) for code in _DATED for expiry in _EXPIRIES]
    flexible = [_flexible(code, expiry) for code in _DATED for expiry in _EXPIRIES]
    return tuple(linear + inverse + dated + flexible)


def prices() -> dict[str, Decimal]:
    """The default mark of every instrument: the asset's price in USD."""
    known = kraken_markets.assets()
    return {instrument.symbol: known[instrument.base].usd for instrument in instruments()}


def asset_prices() -> dict[str, Decimal]:
    """USD prices of all assets: what the venue values collateral with."""
    return {code: asset.usd for code, asset in kraken_markets.assets().items()}


def wire_asset(code: str) -> str:
    """The venue's name of an asset: XBT for BTC."""
    return _LEGACY.get(code, code)


@cache
def instruments_json() -> tuple[dict[str, Any], ...]:
    """The rows of the answer to `instruments`."""
    indices = [{"symbol": index_name(code), "type": "spot index", "tradeable": False, "tags": []} for code in _INVERSE]
    return (*(_instrument_json(instrument) for instrument in instruments()), *indices)


def index_name(code: str) -> str:
    """The venue's index of an asset in USD."""
    return f"in_{wire_asset(code)}usd".lower()


def indices() -> tuple[str, ...]:
    """Assets whose index is listed."""
    return _INVERSE


def instruments_answer(server_time: str, delisted: frozenset[str] = frozenset()) -> bytes:
    """The whole answer to `instruments`. delisted: the venue's names of those that are left out."""
    rows = json.dumps([row for row in instruments_json() if row["symbol"] not in delisted])
    return f'{{"result":"success","instruments":{rows},"serverTime":"{server_time}"}}'.encode()


def _perpetual(code: str) -> Instrument:
    wire = f"PF_{wire_asset(code)}USD"
    return Instrument(f"{code}/USD:USD", wire, code, "USD", settle="USD", wallet=FLEX)


def _inverse(code: str, expiry: str | None) -> Instrument:
    pair = f"{wire_asset(code)}USD"
    wire = f"PI_{pair}" if expiry is None else f"FI_{pair}_{_short(expiry)}"
    symbol = f"{code}/USD:{code}" + ("" if expiry is None else f"-{_short(expiry)}")
    return Instrument(symbol, wire, code, "USD", settle=code, inverse=True, wallet=f"fi_{pair}".lower())


def _flexible(code: str, expiry: str) -> Instrument:
    wire = f"FF_{wire_asset(code)}USD_{_short(expiry)}"
    return Instrument(f"{code}/USD:USD-{_short(expiry)}", wire, code, "USD", settle="USD", wallet=FLEX)


def _short(expiry: str) -> str:
    return expiry[2:].replace("-", "")


def _instrument_json(instrument: Instrument) -> dict[str, Any]:
    row: dict[str, Any] = {
        "symbol": instrument.wire_id,
        "type": "futures_inverse" if instrument.inverse else "flexible_futures",
        "underlying": f"rr_{wire_asset(instrument.base)}usd".lower(),
        "tickSize": 0.01 if instrument.base in ("BTC", "ETH") else 0.000001,
        "contractSize": float(instrument.contract_size),
        "tradeable": True,
        "impactMidSize": 1,
        "maxPositionSize": 1000000,
        "openingDate": "2022-01-01T00:00:00.000Z",
        "marginLevels": [{"contracts": 0, "initialMargin": 0.02, "maintenanceMargin": 0.01}],
        "contractValueTradePrecision": 0 if instrument.inverse else 4,
        "postOnly": False,
        "tags": [],
    }
    if (expiry := instrument.symbol.partition("-")[2]) != "":
        row["lastTradingTime"] = f"20{expiry[:2]}-{expiry[2:4]}-{expiry[4:]}T15:00:00.000Z"
    return row
