"""okx's public market data, as far as it is served: instruments, tickers and marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Instrument
from adapters.simulated.wire import okx_markets as markets
from adapters.simulated.wire.base import milliseconds, text
from adapters.simulated.wire.okx_words import Denied

_TRADED = frozenset({"SPOT", "SWAP", "FUTURES", "OPTION", "EVENTS"})
_MARKED = _TRADED - {"SPOT"} | {"MARGIN"}


def instruments(exchange: Exchange, form: Mapping[str, Any]) -> bytes:
    """`public/instruments`: of one type, options of one family only."""
    kind = _asked(form, _TRADED | {"MARGIN"})
    family = str(form.get("instFamily") or form.get("uly") or "")
    if kind == "OPTION" and not family:
        raise Denied("50014", "instFamily")
    return markets.instruments_json(kind.replace("MARGIN", "SPOT"), family, frozenset(exchange.delisted))


def tickers(exchange: Exchange, form: Mapping[str, Any], wall: float) -> list[dict[str, Any]]:
    """`market/tickers`: of one type."""
    kind = _asked(form, _TRADED)
    return [ticker_row(exchange, instrument, wall) for instrument in _of_kind(exchange, kind)]


def ticker(exchange: Exchange, form: Mapping[str, Any], wall: float) -> list[dict[str, Any]]:
    """`market/ticker`: of one instrument."""
    instrument = exchange.instrument(str(form.get("instId", "")))
    if instrument.symbol in exchange.delisted:
        raise Denied("51001")
    return [ticker_row(exchange, instrument, wall)]


def marks(exchange: Exchange, form: Mapping[str, Any], wall: float) -> list[dict[str, Any]]:
    """`public/mark-price`: of one type; spot pairs have one as MARGIN."""
    kind, wanted = _asked(form, _MARKED), form.get("instId")
    found = _of_kind(exchange, kind.replace("MARGIN", "SPOT"))
    return [mark_row(exchange, row, wall, kind) for row in found if wanted in (None, row.wire_id)]


def ticker_row(exchange: Exchange, instrument: Instrument, wall: float) -> dict[str, Any]:
    """A row of `market/tickers` and of the channel `tickers`: it has no mark."""
    quote = exchange.quotes[instrument.symbol]
    last = text(quote.mark)
    return {
        "instType": markets.inst_type(instrument),
        "instId": instrument.wire_id,
        "last": last,
        "lastSz": "0.1",
        "askPx": text(quote.ask),
        "askSz": "10",
        "bidPx": text(quote.bid),
        "bidSz": "10",
        "open24h": last,
        "high24h": last,
        "low24h": last,
        "volCcy24h": text(200 * quote.mark),
        "vol24h": "200",
        "sodUtc0": last,
        "sodUtc8": last,
        "ts": str(milliseconds(wall)),
    }


def mark_row(exchange: Exchange, instrument: Instrument, wall: float, kind: str = "") -> dict[str, Any]:
    """A row of `public/mark-price` and of the channel `mark-price`."""
    return {
        "instType": kind or markets.inst_type(instrument).replace("SPOT", "MARGIN"),
        "instId": instrument.wire_id,
        "markPx": text(exchange.quotes[instrument.symbol].mark),
        "ts": str(milliseconds(wall)),
    }


def _asked(form: Mapping[str, Any], known: frozenset[str]) -> str:
    if (kind := str(form.get("instType", ""))) not in known:
        raise Denied("51000", "instType")
    return kind


def _of_kind(exchange: Exchange, kind: str) -> list[Instrument]:
    return [instrument for instrument in exchange.listed() if markets.inst_type(instrument) == kind]
