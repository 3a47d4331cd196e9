"""The instruments a simulated deribit lists: linear perpetuals, inverse ones and futures, spot pairs, options."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Instrument
from adapters.simulated.wire import kraken_markets
from adapters.simulated.wire.base import milliseconds

MAIN = "main"
"""The account whose key it is; every other wallet is a subaccount's."""

CURRENCIES = ("BTC", "ETH", "SOL", "USDC", "USDT", "EURR", "XRP", "PAXG")
_LINEAR = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "DOT", "LINK", "LTC", "AVAX", "PAXG")
_INVERSE = ("BTC", "ETH")
_SPOT = (("BTC", "USDC"), ("ETH", "USDC"), ("SOL", "USDC"), ("XRP", "USDC"), ("PAXG", "USDC"), ("USDC", "USDT"))
_SPOT_USDT = (("BTC", "USDT"), ("ETH", "USDT"), ("ETH", "BTC"))
_EXPIRIES = (datetime(2031, 3, 28, 8, tzinfo=UTC), datetime(2031, 6, 27, 8, tzinfo=UTC))
_STRIKES = (50_000, 70_000)
_NEVER = 32_503_708_800_000


@cache
def instruments() -> tuple[Instrument, ...]:
    """Every instrument. Sizes are amounts: US dollars of inverse contracts, else coins."""
    perpetuals = [_linear(code) for code in _LINEAR] + [_inverse(code, None) for code in _INVERSE]
    dated = [_inverse(code, day) for code in _INVERSE for day in _EXPIRIES]
    spot = [Instrument(f"{base}/{quote}", f"{base}_{quote}", base, quote) for base, quote in (*_SPOT, *_SPOT_USDT)]
    options = [_option(strike, right) for strike in _STRIKES for right in "CP"]
    return (*perpetuals, *dated, *spot, *options)


def prices() -> dict[str, Decimal]:
    """The default price of every instrument; of an option, in coins."""
    usd = asset_prices()
    return {
        made.symbol: Decimal("0.05") if is_option(made) else _price(usd[made.base], usd[made.quote])
        for made in instruments()
    }


def asset_prices() -> dict[str, Decimal]:
    """US dollars for one of each asset."""
    return {code: asset.usd for code, asset in kraken_markets.assets().items()}


def is_option(instrument: Instrument) -> bool:
    """`BTC-28MAR31-50000-C`."""
    return instrument.wire_id.endswith(("-C", "-P"))


def kind(instrument: Instrument) -> str:
    """The venue's word."""
    if instrument.settle is None:
        return "spot"
    return "option" if is_option(instrument) else "future"


def rows(exchange: Exchange, currency: str = "any", of: str | None = None) -> list[dict[str, Any]]:
    """get_instruments: what is listed and can be traded."""
    listed = [_row(each) for each in exchange.listed()]
    wanted = [row for row in listed if currency in ("any", row.get("settlement_currency", row["quote_currency"]))]
    return [row for row in wanted if of in (None, row["kind"])]


def currency_row(code: str) -> dict[str, Any]:
    """A row of get_currencies."""
    return {
        "currency": code,
        "currency_long": code,
        "coin_type": code,
        "fee_precision": 4,
        "min_confirmations": 1,
        "min_withdrawal_fee": 0.0001,
        "withdrawal_fee": 0.0001,
        "withdrawal_priorities": [],
        "in_cross_collateral_pool": True,
    }


def _linear(code: str) -> Instrument:
    return Instrument(f"{code}/USDC:USDC", f"{code}_USDC-PERPETUAL", code, "USDC", settle="USDC", wallet=MAIN)


def _inverse(code: str, day: datetime | None) -> Instrument:
    wire = f"{code}-PERPETUAL" if day is None else f"{code}-{_day(day)}"
    symbol = f"{code}/USD:{code}" + ("" if day is None else f"-{day:%y%m%d}")
    return Instrument(symbol, wire, code, "USD", settle=code, inverse=True, wallet=MAIN)


def _option(strike: int, right: str) -> Instrument:
    day = _EXPIRIES[0]
    symbol = f"BTC/USD:BTC-{day:%y%m%d}-{strike}-{right}"
    return Instrument(symbol, f"BTC-{_day(day)}-{strike}-{right}", "BTC", "USD", settle="BTC", wallet=MAIN)


def _day(day: datetime) -> str:
    return f"{day.day}{day:%b%y}".upper()


def _price(base: Decimal, quote: Decimal) -> Decimal:
    return (base / quote).quantize(Decimal("1e-8")).normalize()


def _row(instrument: Instrument) -> dict[str, Any]:
    of = kind(instrument)
    amount = 10.0 if instrument.inverse else 0.0001
    row: dict[str, Any] = {
        "instrument_name": instrument.wire_id,
        "instrument_id": sum(map(ord, instrument.wire_id)),
        "kind": of,
        "instrument_type": "reversed" if instrument.inverse or of == "option" else "linear",
        "base_currency": instrument.base,
        "counter_currency": instrument.quote,
        "quote_currency": "BTC" if of == "option" else instrument.quote,
        "contract_size": amount if of == "future" else 1.0,
        "min_trade_amount": amount,
        "tick_size": 0.0001 if of == "option" else 0.01,
        "tick_size_steps": [],
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
        "price_index": f"{instrument.base}_{instrument.quote}".lower(),
        "is_active": True,
        "creation_timestamp": 1_534_242_287_000,
        "expiration_timestamp": _NEVER,
    }
    if of == "spot":
        return row
    row |= {"settlement_currency": instrument.settle, "settlement_period": "perpetual", "block_trade_commission": 0.0}
    expiry = instrument.symbol.partition("-")[2][:6]
    if expiry:
        day = datetime.strptime(f"{expiry} 08 +0000", "%y%m%d %H %z")
        row |= {"settlement_period": "month", "expiration_timestamp": milliseconds(day.timestamp())}
    if of == "option":
        _, strike, right = instrument.wire_id.rsplit("-", 2)
        row |= {"strike": float(strike), "option_type": "call" if right == "C" else "put"}
    return row
