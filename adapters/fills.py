"""Rows of executions, of any venue, as fills.

Fills are shown to people and decide nothing, so nothing here raises: a row that can't be read is left out, and the
first such of a venue is logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from adapters.base import Market
from adapters.dialect import number, optional_text, text, told_number
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import Fill, OrderSide, side_of
from risk_daemon.model.events import FillsSeen, Input, Source

_LOG = structlog.get_logger(__name__)
_NAME_MAX = 200
_NOTHING: Mapping[str, Any] = {}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FillFields:
    """Where a raw row says what of an execution.

    time: in milliseconds, or as text with a date. sides: what stands for a side where it is no word of its own.
    is_fee_signed: what was paid stands below zero. by_market: each market counts its own ids.
    """

    fill_id: str
    order_id: str
    quantity: str
    price: str
    time: str
    side: str = "side"
    client_order_id: tuple[str, ...] = ()
    fee: str = "fee"
    fee_asset: str = "feeAsset"
    sides: Mapping[str, OrderSide] | None = None
    is_fee_signed: bool = False
    by_market: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FillCall:
    """One way of ccxt's `fetch_my_trades`. by_symbol: it wants a market: only those that are traded are asked for."""

    markets: frozenset[Market]
    params: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    by_symbol: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FillSource:
    """Where the fills of a venue come from.

    is_streamed: its stream of orders tells them, and a listing only what was before. calls: how they are listed.
    by_market: each market counts its own ids. sides: what stands for a side in the venue's own `side`, where ccxt takes
    it for another.
    """

    calls: tuple[FillCall, ...] = ()
    is_streamed: bool = False
    by_market: bool = False
    sides: Mapping[str, OrderSide] = field(default_factory=lambda: _NOTHING)


UNIFIED = FillFields(
    fill_id="id",
    order_id="order",
    quantity="amount",
    price="price",
    time="timestamp",
    client_order_id=("clientOrderId", "clOrdId", "orderLinkId", "cl_ord_id", "cliOrdId", "label"),
)
"""A trade of ccxt's, laid flat."""


def unified_row(trade: Row, sides: Mapping[str, OrderSide]) -> Row:
    """ccxt's trade with its fee, and with what only the venue's own row says. sides: see `FillSource`."""
    fee, own = trade.get("fee") or {}, trade.get("info")
    own = own if isinstance(own, Mapping) else {}
    known = {name: own.get(name) for name in UNIFIED.client_order_id}
    side = sides.get(str(own.get("side")), trade.get("side"))
    asset = own.get("feeCurrency") or fee.get("currency")
    return {**known, **trade, "side": side, "fee": fee.get("cost"), "feeAsset": asset}


class Fills:
    """Reads rows of one kind.

    symbol_of: ccxt's name of the market of a row. rows_of: the executions in a frame. laid: a row as `fields` has it.
    """

    def __init__(
        self,
        venue: str,
        fields: FillFields,
        symbol_of: Callable[[Row], str],
        rows_of: Callable[[Any], Iterable[Row]] = lambda frame: frame,
        laid: Callable[[Row], Row] = lambda row: row,
    ) -> None:
        self._venue = venue
        self._fields = fields
        self._symbol_of = symbol_of
        self._rows_of = rows_of
        self._laid = laid
        self._has_told = False

    def told(self, frames: Sequence[Any], arrived_mono: float) -> tuple[Input, ...]:
        """What frames of a stream tell of executions: one input, or none."""
        fills = tuple(fill for frame in frames for fill in self.read(frame))
        return (FillsSeen(self._venue, arrived_mono, Source.STREAM, fills),) if fills else ()

    def read(self, frame: Any) -> tuple[Fill, ...]:
        """The executions of a frame or listing, as far as they can be read."""
        try:
            rows = list(self._rows_of(frame))
        except Exception as error:
            self._leave_out(error)
            return ()
        fills = (self._fill(row) for row in rows)
        return tuple(fill for fill in fills if fill is not None)

    def _fill(self, row: Row) -> Fill | None:
        try:
            return self._parsed(self._laid(row))
        except Exception as error:
            self._leave_out(error)
            return None

    def _parsed(self, row: Row) -> Fill:
        fields, symbol = self._fields, self._symbol_of(row)
        fill_id, fee = _name(row, fields.fill_id), told_number(row, fields.fee)
        said = row.get(fields.side)
        side = fields.sides.get(str(said), OrderSide.UNTOLD) if fields.sides is not None else side_of(str(said).lower())
        return Fill(
            venue=self._venue,
            fill_id=f"{symbol} {fill_id}" if fields.by_market else fill_id,
            order_id=_name(row, fields.order_id),
            symbol=symbol,
            side=side,
            quantity=number(row, fields.quantity),
            price=number(row, fields.price),
            wall=_wall(row.get(fields.time)),
            client_order_id=optional_text(row, *fields.client_order_id),
            fee=-fee if fee is not None and fields.is_fee_signed else fee,
            fee_asset=optional_text(row, fields.fee_asset),
        )

    def _leave_out(self, error: Exception) -> None:
        if not self._has_told:
            self._has_told = True
            _LOG.warning("fill_not_read", venue=self._venue, why=f"{type(error).__name__}: {error}"[:200])


def _name(row: Row, key: str) -> str:
    """An id, which some venues write as a number."""
    value = row.get(key)
    name = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(row, key)
    if len(name) > _NAME_MAX:
        raise MalformedReply(f"an execution's {key} has {len(name)} characters")
    return name


def _wall(value: Any) -> float:
    """Unix seconds of milliseconds, or of text with a date. Raises MalformedReply for what is neither."""
    if isinstance(value, str) and "T" in value:
        when = datetime.fromisoformat(value)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    wall = float(number({"time": value}, "time")) / 1000
    if wall <= 0:
        raise MalformedReply("an execution without a time")
    return wall


def unified_fills(venue: str, source: FillSource, symbol_of: Callable[[Row], str]) -> Fills:
    """What reads ccxt's trades."""
    fields = replace(UNIFIED, by_market=source.by_market)
    return Fills(venue, fields, symbol_of, laid=lambda trade: unified_row(trade, source.sides))
