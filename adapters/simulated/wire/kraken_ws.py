"""kraken's websocket face, version 2: ticker in public; balances and executions with a token.

Wire formats after docs.kraken.com/exchange/api-reference/spot-websocket-v2. One session is one
connection; it holds what was subscribed and counts the frames of each private channel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import (
    BalanceChanged,
    Cancelled,
    Fill,
    LedgerRow,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderFilled,
    OrderOpened,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire.base import iso
from adapters.simulated.wire.kraken_names import ledger_kind, venue_id

_PRIVATE = ("balances", "executions")
_REASONS = {"dead_man": "Dead man's switch", "admin": "Exchange requested"}


class KrakenSession:
    """One connection. tokens: token -> until when (Unix seconds) it may be used to subscribe."""

    def __init__(self, exchange: Exchange, tokens: Mapping[str, float], *, private: bool) -> None:
        self.exchange = exchange
        self._tokens = tokens
        self._private = private
        self._symbols: set[str] = set()
        self._sequences: dict[str, int] = {}

    def opened(self, _: float) -> Sequence[Any]:
        status = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": 1}
        return [{"channel": "status", "type": "update", "data": [status]}]

    def idle(self, _: float) -> Sequence[Any]:
        return [{"channel": "heartbeat"}] if self._symbols or self._sequences else []

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            method, params = message["method"], message.get("params", {})
        except (ValueError, KeyError, TypeError):
            return [{"error": "Malformed request", "success": False}]
        envelope = {"method": method, "time_in": iso(now), "time_out": iso(now)}
        if "req_id" in message:
            envelope["req_id"] = message["req_id"]
        if method == "ping":
            return [envelope | {"method": "pong"}]
        handlers = {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe}
        handler = handlers.get(method)
        if handler is None:
            return [envelope | {"success": False, "error": "EGeneral:Unknown method"}]
        return handler(envelope, params, now)

    def _subscribe(self, envelope: dict[str, Any], params: Mapping[str, Any], now: float) -> list[Any]:
        channel = params.get("channel")
        if channel == "ticker" and not self._private:
            return self._subscribe_ticker(envelope, params)
        if channel not in _PRIVATE or not self._private:
            return [envelope | {"success": False, "error": "Subscription name invalid"}]
        if self._tokens.get(str(params.get("token")), 0.0) < now:
            return [envelope | {"success": False, "error": "ESession:Invalid session"}]
        if channel in self._sequences:
            return [envelope | {"success": False, "error": "Already subscribed"}]
        self._sequences[channel] = 0
        snapshot = self._snapshot_balances() if channel == "balances" else self._snapshot_orders()
        result = {"channel": channel, "snapshot": True}
        ack = envelope | {"result": result, "success": True}
        return [ack, self._frame(channel, "snapshot", snapshot)]

    def _subscribe_ticker(self, envelope: dict[str, Any], params: Mapping[str, Any]) -> list[Any]:
        frames: list[Any] = []
        for name in params.get("symbol", []):
            try:
                symbol = self.exchange.instrument(str(name)).symbol
            except Refused:
                error = f"Currency pair not supported {name}"
                frames.append(envelope | {"success": False, "error": error, "symbol": name})
                continue
            self._symbols.add(symbol)
            result = {"channel": "ticker", "symbol": name, "snapshot": True, "event_trigger": "trades"}
            frames.append(envelope | {"result": result, "success": True})
            frames.append(self._ticker(symbol, "snapshot"))
        return frames

    def _unsubscribe(self, envelope: dict[str, Any], params: Mapping[str, Any], _: float) -> list[Any]:
        channel = str(params.get("channel"))
        self._sequences.pop(channel, None)
        if channel == "ticker":
            self._symbols -= {self.exchange.instrument(str(name)).symbol for name in params.get("symbol", [])}
        return [envelope | {"result": {"channel": channel}, "success": True}]

    # --- pushes ----------------------------------------------------------------------------------------

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        return [frame for notice in notices for frame in self._push(notice)]

    def _push(self, notice: Notice) -> list[Any]:
        if isinstance(notice, PriceChanged):
            return [self._ticker(notice.symbol, "update")] if notice.symbol in self._symbols else []
        if isinstance(notice, BalanceChanged):
            rows = [_balance_row(row) for row in notice.rows if row.wallet == self.exchange.wallet]
            return self._private_update("balances", rows)
        if isinstance(notice, OrderOpened):
            wall = notice.order.placed_wall
            full, slim = _order_row(notice.order, "pending_new", wall), _slim_row(notice.order, "new", wall)
            return self._private_update("executions", [full]) + self._private_update("executions", [slim])
        if isinstance(notice, OrderCancelled):
            return self._private_update("executions", [_cancelled_row(notice.cancelled)])
        if isinstance(notice, OrderFilled):
            return self._private_update("executions", [_fill_row(notice.fill, *self.exchange.fee_of(notice.fill))])
        return []

    def _private_update(self, channel: str, rows: list[dict[str, Any]]) -> list[Any]:
        return [self._frame(channel, "update", rows)] if channel in self._sequences and rows else []

    def _frame(self, channel: str, kind: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        self._sequences[channel] += 1
        return {"channel": channel, "type": kind, "data": rows, "sequence": self._sequences[channel]}

    def _snapshot_balances(self) -> list[dict[str, Any]]:
        return [
            {
                "asset": asset,
                "asset_class": "currency",
                "balance": float(total),
                "wallets": [{"type": "spot", "id": "main", "balance": float(total)}],
            }
            for asset, total in self.exchange.wallets[self.exchange.wallet].items()
        ]

    def _snapshot_orders(self) -> list[dict[str, Any]]:
        return [_order_row(order, "new", order.placed_wall) for order in self.exchange.orders.values()]

    def _ticker(self, symbol: str, kind: str) -> dict[str, Any]:
        quote = self.exchange.quotes[symbol]
        last = float(quote.mark)
        row = {
            "symbol": symbol,
            "bid": float(quote.bid),
            "bid_qty": 10.0,
            "ask": float(quote.ask),
            "ask_qty": 10.0,
            "last": last,
            "volume": 200.0,
            "vwap": last,
            "low": last,
            "high": last,
            "change": 0.0,
            "change_pct": 0.0,
        }
        return {"channel": "ticker", "type": kind, "data": [row]}


def _balance_row(row: LedgerRow) -> dict[str, Any]:
    return {
        "ledger_id": venue_id("L", row.number),
        "ref_id": venue_id("R", row.ref),
        "timestamp": iso(row.wall),
        "type": ledger_kind(row),
        "asset": row.asset,
        "asset_class": "currency",
        "category": ledger_kind(row),
        "wallet_type": "spot",
        "wallet_id": "main",
        "amount": float(row.amount + row.fee),
        "fee": float(row.fee),
        "balance": float(row.balance),
    }


def _order_row(order: OpenOrder, exec_type: str, wall: float) -> dict[str, Any]:
    draft = order.draft
    row: dict[str, Any] = {
        "order_id": order.order_id,
        "symbol": draft.symbol,
        "order_qty": float(draft.quantity),
        "cum_qty": float(order.filled),
        "cum_cost": 0.0,
        "time_in_force": "GTC",
        "exec_type": exec_type,
        "side": draft.side,
        "order_type": draft.order_type.replace("_", "-"),
        "order_userref": 0,
        "order_status": exec_type,
        "stop_price": float(draft.trigger_price or 0),
        "fee_usd_equiv": 0.0,
        "fee_ccy_pref": "fciq",
        "timestamp": iso(wall),
    }
    optional = {
        "limit_price": None if draft.price is None else float(draft.price),
        "cl_ord_id": draft.client_order_id,
        "reduce_only": draft.reduce_only or None,
        "margin": draft.leveraged or None,
    }
    return row | {name: value for name, value in optional.items() if value is not None}


def _slim_row(order: OpenOrder, status: str, wall: float) -> dict[str, Any]:
    """A later row of an order: the venue repeats neither symbol nor side."""
    row = {
        "order_id": order.order_id,
        "order_userref": 0,
        "exec_type": status,
        "order_status": status,
        "timestamp": iso(wall),
    }
    client_id = order.draft.client_order_id
    return row | ({} if client_id is None else {"cl_ord_id": client_id})


def _cancelled_row(gone: Cancelled) -> dict[str, Any]:
    reason = _REASONS.get(gone.how, "User requested")
    return _slim_row(gone.order, "canceled", gone.wall) | {
        "cum_qty": float(gone.order.filled),
        "cum_cost": 0.0,
        "fee_usd_equiv": 0.0,
        "avg_price": 0.0,
        "cancel_reason": reason,
        "reason": reason,
    }


def _fill_row(fill: Fill, fee: Decimal, asset: str) -> dict[str, Any]:
    done = fill.order.remaining == 0
    return _order_row(fill.order, "trade", fill.wall) | {
        "exec_id": venue_id("T", fill.fill_id),
        "trade_id": fill.fill_id,
        "last_qty": float(fill.quantity),
        "last_price": float(fill.price),
        "cost": float(fill.quantity * fill.price),
        "liquidity_ind": "t",
        "order_status": "filled" if done else "partially_filled",
        "avg_price": float(fill.price),
        "fees": [{"asset": asset, "qty": float(fee)}],
    }
