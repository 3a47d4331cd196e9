"""The instruments a simulated bybit lists: the majors by their real names, the rest made up.

About 650 spot pairs, 600 linear contracts settled in USDT or USDC, and 30 inverse ones; the same wire id
may stand for a spot pair and for a contract, so a name means something only with its category. A list
shows what is `Trading` unless another status is asked for: a market that has left it keeps its orders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Instrument, Refused
from adapters.simulated.wire import kraken_markets
from adapters.simulated.wire.base import text

UNIFIED = "UNIFIED"
"""The wallet that trades; `FUND` is the one deposits land in, unless the account is set otherwise."""

CATEGORIES = ("spot", "linear", "inverse", "option")
BAD_SYMBOL = Refused("10001", "Not supported symbols")

_MONEY = frozenset({"USD", "EUR", "GBP", "CAD", "AUD", "JPY", "CHF"})
_STABLE = frozenset({"USDT", "USDC", "DAI"})
_SYNTHETIC = 520
_USDC_PERPS = 40
_INVERSE = ("BTC", "ETH", "XRP", "SOL", "LTC", "ADA", "DOGE", "DOT", "LINK", "AVAX", "UNI", "BCH", "ETC", "NEAR")
_DATED = ("BTC", "ETH")
_EXPIRIES = (datetime(2031, 3, 28, 8, tzinfo=UTC), datetime(2031, 6, 27, 8, tzinfo=UTC))
_MONTHS = {3: "H", 6: "M"}
_PRE_MARKET = "PREM"
"""The base of the one perpetual that is still in its call auction."""
_MOST = 1000


@cache
def instruments() -> tuple[Instrument, ...]:
    """Every instrument, spot first."""
    coins = [code for code in _usd() if code not in _MONEY | _STABLE]
    spot = [_spot(code, "USDT") for code in coins] + [_spot(code, "USDC") for code in coins[:60]]
    spot += [_spot("USDC", "USDT"), _spot("DAI", "USDT"), _spot("ETH", "BTC"), _spot("SOL", "BTC"), _spot("BTC", "EUR")]
    linear = [_linear(code, "USDT", f"{code}USDT") for code in (*coins, _PRE_MARKET)]
    linear += [_linear(code, "USDC", f"{code}PERP") for code in coins[:_USDC_PERPS]]
    linear += [_dated(code, settle, day) for code in _DATED for settle in ("USDT", "USDC") for day in _EXPIRIES]
    inverse = [_inverse(code, f"{code}USD") for code in _INVERSE]
    inverse += [_inverse(code, f"{code}USD{_MONTHS[day.month]}31", day) for code in _DATED for day in _EXPIRIES]
    return (*spot, *linear, *inverse)


def prices() -> dict[str, Decimal]:
    """The default price of every instrument."""
    usd = _usd()
    return {made.symbol: _round(usd[made.base] / usd[made.quote]) for made in instruments()}


def asset_prices() -> dict[str, Decimal]:
    """USD prices of all assets: what the venue states totals in."""
    return dict(_usd())


def category(instrument: Instrument) -> str:
    """The venue's product type of an instrument."""
    return "spot" if instrument.settle is None else "inverse" if instrument.inverse else "linear"


def in_auction(instrument: Instrument) -> bool:
    """Is it in the call auction before its first trade? Orders there can't be cancelled."""
    return instrument.base == _PRE_MARKET


def named(exchange: Exchange, of: str, wire_id: Any) -> Instrument:
    """The instrument of a wire id in a category, listed or not. Raises Refused."""
    symbol = _symbols().get((of, str(wire_id)))
    if symbol is None:
        raise Refused("170121", "Invalid symbol.") if of == "spot" else BAD_SYMBOL
    return exchange.instruments[symbol]


def wanted_category(form: Mapping[str, Any], *allowed: str) -> str:
    """The category that a request names. Raises Refused for none, or one that is not to be had there."""
    of = str(form.get("category", ""))
    if of not in (allowed or CATEGORIES):
        raise Refused("10001", "params error: Category is invalid")
    return of


def instruments_info(exchange: Exchange, form: Mapping[str, Any]) -> bytes:
    """The result of a page of instruments, as JSON. The spot list has no pages."""
    of = wanted_category(form)
    rows = [
        made for made in exchange.instruments.values() if category(made) == of and _is_asked_for(exchange, made, form)
    ]
    limit, last = int(form.get("limit") or 500), unquote(str(form.get("cursor") or ""))
    if not 0 < limit <= _MOST:
        raise Refused("10001", "params error: limit is invalid")
    cursor = ""
    if of != "spot":
        known = [made.wire_id for made in rows]
        start = known.index(last) + 1 if last in known else 0
        more = len(rows) > start + limit
        rows = rows[start : start + limit]
        cursor = quote(rows[-1].wire_id, safe="") if more else ""
    listed = ",".join(_row(made.symbol, _status(exchange, made)) for made in rows)
    return f'{{"category":"{of}","list":[{listed}],"nextPageCursor":"{cursor}"}}'.encode()


def _is_asked_for(exchange: Exchange, made: Instrument, form: Mapping[str, Any]) -> bool:
    is_named = form.get("symbol") in (None, "", made.wire_id) and form.get("baseCoin") in (None, "", made.base)
    wanted = form.get("status") or ("Trading" if not form.get("symbol") else None)
    return is_named and wanted in (None, _status(exchange, made))


def _status(exchange: Exchange, made: Instrument) -> str:
    if made.symbol in exchange.delisted:
        return "Closed"
    return "PreLaunch" if in_auction(made) else "Trading"


@cache
def _symbols() -> dict[tuple[str, str], str]:
    return {(category(made), made.wire_id): made.symbol for made in instruments()}


@cache
def _usd() -> dict[str, Decimal]:
    known = [(code, asset.usd) for code, asset in kraken_markets.assets().items() if not code.startswith("SYN")]
    made_up = [(f"SYN{n:03d}", Decimal(10 + n % 90) / 10) for n in range(_SYNTHETIC)]
    return {**dict(known), **dict(made_up), _PRE_MARKET: Decimal(2)}


def _spot(base: str, against: str) -> Instrument:
    return Instrument(f"{base}/{against}", f"{base}{against}", base, against)


def _linear(base: str, settle: str, wire_id: str) -> Instrument:
    return Instrument(f"{base}/{settle}:{settle}", wire_id, base, settle, settle=settle, wallet=UNIFIED)


def _dated(base: str, settle: str, day: datetime) -> Instrument:
    middle = "USDT" if settle == "USDT" else ""
    wire_id = f"{base}{middle}-{day.day}{day:%b%y}".upper()
    return Instrument(f"{base}/{settle}:{settle}-{day:%y%m%d}", wire_id, base, settle, settle=settle, wallet=UNIFIED)


def _inverse(base: str, wire_id: str, day: datetime | None = None) -> Instrument:
    symbol = f"{base}/USD:{base}" + ("" if day is None else f"-{day:%y%m%d}")
    return Instrument(symbol, wire_id, base, "USD", settle=base, inverse=True, wallet=UNIFIED)


@cache
def _row(symbol: str, status: str) -> str:
    made = next(found for found in instruments() if found.symbol == symbol)
    row = _spot_row(made) if made.settle is None else _contract_row(made)
    return json.dumps(row | {"status": status})


def _spot_row(made: Instrument) -> dict[str, Any]:
    return {
        "symbol": made.wire_id,
        "baseCoin": made.base,
        "quoteCoin": made.quote,
        "innovation": "0",
        "marginTrading": "utaOnly" if not made.base.startswith("SYN") else "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": "0.000001",
            "quotePrecision": "0.0000001",
            "minOrderQty": "0.000001",
            "maxOrderQty": "1000000",
            "minOrderAmt": "5",
            "maxOrderAmt": "8000000",
        },
        "priceFilter": {"tickSize": _tick(made)},
    }


def _contract_row(made: Instrument) -> dict[str, Any]:
    expiry = next((day for day in _EXPIRIES if made.symbol.endswith(f"-{day:%y%m%d}")), None)
    kind = ("Inverse" if made.inverse else "Linear") + ("Perpetual" if expiry is None else "Futures")
    step = "1" if made.inverse else "0.001"
    return {
        "symbol": made.wire_id,
        "contractType": kind,
        "baseCoin": made.base,
        "quoteCoin": made.quote,
        "settleCoin": made.settle,
        "launchTime": "1585526400000",
        "deliveryTime": "0" if expiry is None else str(int(expiry.timestamp() * 1000)),
        "deliveryFeeRate": "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": _tick(made), "maxPrice": "1999999.80", "tickSize": _tick(made)},
        "lotSizeFilter": {
            "maxOrderQty": "1000000",
            "minOrderQty": step,
            "qtyStep": step,
            "postOnlyMaxOrderQty": "1000000",
            "maxMktOrderQty": "1000000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "copyTrading": "none",
        "isPreListing": in_auction(made),
        "preListingInfo": {"curAuctionPhase": "CallAuction"} if in_auction(made) else None,
    }


def _tick(made: Instrument) -> str:
    price = prices_of()[made.symbol]
    return "0.1" if price > 1000 else "0.001" if price > 1 else "0.000000001"


@cache
def prices_of() -> dict[str, Decimal]:
    """The default prices, made once."""
    return prices()


def _round(value: Decimal) -> Decimal:
    """Ten significant digits, written without an exponent."""
    return Decimal(text(Decimal(f"{value:.10g}")))
