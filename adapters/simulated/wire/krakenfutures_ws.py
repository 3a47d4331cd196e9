"""krakenfutures' websocket face, version 1: challenge, ticker, balances, open_positions, open_orders, heartbeat.

Wire formats after docs.kraken.com/exchange/api-reference/futures-websocket. Each feed is one frame
shape; private feeds need a challenge signed with the API secret.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import (
    BalanceChanged,
    Fill,
    HeldPosition,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderFilled,
    OrderOpened,
    PositionChanged,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire import krakenfutures_markets as markets
from adapters.simulated.wire.base import Key
from adapters.simulated.wire.krakenfutures_wallets import flex_account

_PRIVATE = ("balances", "open_positions", "open_orders", "open_orders_verbose", "fills")
_FILLS = 100
_REASONS = {"dead_man": "dead_man_switch", "admin": "cancelled_by_admin"}


def fill_uid(fill: Fill) -> str:
    """The id of an execution."""
    return str(uuid.UUID(int=fill.fill_id))


class KrakenFuturesSession:
    """One connection."""

    def __init__(self, exchange: Exchange, key: Key, account: str, challenge: str) -> None:
        self.exchange = exchange
        self._key = key
        self._account = account
        self._challenge = challenge
        self._symbols: set[str] = set()
        self._sequences: dict[str, int] = {}

    def opened(self, _: float) -> Sequence[Any]:
        return [{"event": "info", "version": 1}]

    def idle(self, now: float) -> Sequence[Any]:
        if "heartbeat" not in self._sequences:
            return []
        return [{"feed": "heartbeat", "time": _milliseconds(now)}]

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            event = message["event"]
        except (ValueError, KeyError, TypeError):
            return [{"event": "error", "message": "Json Error"}]
        if event == "challenge":
            return self._answer_challenge(message)
        if event not in ("subscribe", "unsubscribe"):
            return [{"event": "alert", "message": "Bad request"}]
        handler = self._subscribe if event == "subscribe" else self._unsubscribe
        return handler(message, str(message.get("feed")), now)

    def _answer_challenge(self, message: Mapping[str, Any]) -> list[Any]:
        if message.get("api_key") != self._key.api_key:
            return [{"event": "error", "message": "Invalid API key"}]
        return [{"event": "challenge", "message": self._challenge}]

    def _subscribe(self, message: Mapping[str, Any], feed: str, now: float) -> list[Any]:
        if feed == "ticker":
            return self._subscribe_ticker(message, now)
        if feed == "heartbeat":
            self._sequences[feed] = 0
            return [{"event": "subscribed", "feed": feed}]
        if feed not in _PRIVATE:
            return [{"event": "error", "message": "Invalid feed"}]
        if not self._is_signed(message):
            return [{"event": "alert", "message": "Failed to subscribe to authenticated feed"}]
        if feed in self._sequences:
            return [{"event": "alert", "message": "Already subscribed to feed, re-requesting"}]
        self._sequences[feed] = -1
        echo = ("api_key", "original_challenge", "signed_challenge")
        ack = {"event": "subscribed", "feed": feed} | {name: message[name] for name in echo}
        return [ack, self._snapshot(feed, now)]

    def _is_signed(self, message: Mapping[str, Any]) -> bool:
        challenge = message.get("original_challenge")
        if challenge != self._challenge or message.get("api_key") != self._key.api_key:
            return False
        digest = hashlib.sha256(self._challenge.encode()).digest()
        return self._key.verifies(digest, str(message.get("signed_challenge", "")))

    def _subscribe_ticker(self, message: Mapping[str, Any], now: float) -> list[Any]:
        names = [str(name) for name in message.get("product_ids", [])]
        try:
            symbols = [self.exchange.instrument(name).symbol for name in names]
        except Refused:
            return [{"event": "error", "message": "Invalid product id"}]
        self._symbols.update(symbols)
        ack = {"event": "subscribed", "feed": "ticker", "product_ids": names}
        return [ack, *(self._ticker(symbol, now) for symbol in symbols)]

    def _unsubscribe(self, message: Mapping[str, Any], feed: str, _: float) -> list[Any]:
        self._sequences.pop(feed, None)
        if feed == "ticker":
            names = [str(name) for name in message.get("product_ids", [])]
            self._symbols -= {self.exchange.instrument(name).symbol for name in names}
        return [{"event": "unsubscribed", "feed": feed}]

    # --- pushes ----------------------------------------------------------------------------------------

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        return [frame for notice in notices for frame in self._push(notice, now)]

    def _push(self, notice: Notice, now: float) -> list[Any]:
        if isinstance(notice, PriceChanged):
            frames = [self._ticker(notice.symbol, now)] if notice.symbol in self._symbols else []
            return frames + (self._positions_feed(now) if notice.symbol in self.exchange.positions else [])
        if isinstance(notice, PositionChanged):
            return self._positions_feed(now)
        if isinstance(notice, BalanceChanged):
            wallets = dict.fromkeys(row.wallet for row in notice.rows)
            return [frame for wallet in wallets for frame in self._balance_feed(wallet, now)]
        executed = [self._fills_feed([notice.fill])] if isinstance(notice, OrderFilled) else []
        told = [frame for frame in executed if "fills" in self._sequences]
        return told + [frame for feed in self._order_feeds() for frame in self._order_frames(notice, feed)]

    def _fills_feed(self, fills: Sequence[Fill]) -> dict[str, Any]:
        return {"feed": "fills", "username": self._account, "fills": [self._fill(fill) for fill in fills]}

    def _order_feeds(self) -> list[str]:
        return [feed for feed in ("open_orders", "open_orders_verbose") if feed in self._sequences]

    def _positions_feed(self, now: float) -> list[Any]:
        if "open_positions" not in self._sequences:
            return []
        return [self._sequenced("open_positions", {"positions": self._positions()}, now)]

    def _balance_feed(self, wallet: str, now: float) -> list[Any]:
        if "balances" not in self._sequences:
            return []
        if wallet == markets.FLEX:
            body = {"flex_futures": self._flex()}
        elif wallet == "cash":
            body = {"holding": self._holding(), "futures": {}}
        else:
            body = {"holding": {}, "futures": self._margin_wallets()}
        return [self._sequenced("balances", body, now)]

    def _order_frames(self, notice: Notice, feed: str) -> list[Any]:
        if isinstance(notice, OrderOpened):
            return [self._alive(feed, notice.order, "new_placed_order_by_user")]
        if isinstance(notice, OrderCancelled):
            gone = notice.cancelled
            return [self._gone(feed, gone.order, _REASONS.get(gone.how, "cancelled_by_user"))]
        if isinstance(notice, OrderFilled):
            done = notice.fill.order.remaining == 0
            order = notice.fill.order
            return [self._gone(feed, order, "full_fill") if done else self._alive(feed, order, "partial_fill")]
        return []

    def _alive(self, feed: str, order: OpenOrder, reason: str) -> dict[str, Any]:
        return {"feed": feed, "order": self._order(order), "is_cancel": False, "reason": reason}

    def _gone(self, feed: str, order: OpenOrder, reason: str) -> dict[str, Any]:
        row = {"feed": feed, "order_id": order.order_id, "is_cancel": True, "reason": reason}
        client_id = order.draft.client_order_id
        return row | ({} if client_id is None else {"cli_ord_id": client_id})

    def _sequenced(self, feed: str, body: dict[str, Any], now: float) -> dict[str, Any]:
        self._sequences[feed] += 1
        stamp = {"timestamp": _milliseconds(now), "seq": self._sequences[feed]}
        return {"feed": feed, "account": self._account} | body | stamp

    # --- snapshots -------------------------------------------------------------------------------------

    def _snapshot(self, feed: str, now: float) -> dict[str, Any]:
        if feed == "open_positions":
            return self._sequenced(feed, {"positions": self._positions()}, now)
        if feed == "balances":
            body = {"holding": self._holding(), "futures": self._margin_wallets(), "flex_futures": self._flex()}
            return self._sequenced(feed, body, now) | {"feed": "balances_snapshot"}
        if feed == "fills":
            newest = [self._fill(fill) for fill in reversed(self.exchange.fills[-_FILLS:])]
            return {"feed": "fills_snapshot", "account": self._account, "fills": newest}
        orders = [self._order(order) for order in self.exchange.orders.values()]
        return {"feed": f"{feed}_snapshot", "account": self._account, "orders": orders}

    def _holding(self) -> dict[str, float]:
        return {markets.wire_asset(c): float(a) for c, a in self.exchange.wallets.get("cash", {}).items()}

    def _flex(self) -> dict[str, Any]:
        rest = flex_account(self.exchange)
        currencies = {
            code: {
                "quantity": row["quantity"],
                "value": row["value"],
                "collateral_value": row["collateral"],
                "available": row["available"],
                "haircut": 0.0,
                "conversion_spread": 0.0,
            }
            for code, row in rest["currencies"].items()
        }
        return {
            "currencies": currencies,
            "balance_value": rest["balanceValue"],
            "portfolio_value": rest["portfolioValue"],
            "collateral_value": rest["collateralValue"],
            "initial_margin": 0.0,
            "initial_margin_without_orders": 0.0,
            "maintenance_margin": 0.0,
            "pnl": rest["pnl"],
            "unrealized_funding": 0.0,
            "total_unrealized": rest["totalUnrealized"],
            "total_unrealized_as_margin": rest["totalUnrealizedAsMargin"],
            "margin_equity": rest["marginEquity"],
            "available_margin": rest["availableMargin"],
            "isolated": {},
        }

    def _margin_wallets(self) -> dict[str, Any]:
        wallets: dict[str, Any] = {}
        for name, wallet in self.exchange.wallets.items():
            if name.startswith("fi_"):
                code, balance = next(iter(wallet.items()))
                unit = markets.wire_asset(code)
                wallets[f"F-{unit}:USD"] = _margin_wallet(unit, balance)
        return wallets

    def _positions(self) -> list[dict[str, Any]]:
        return [self._position(held) for held in self.exchange.positions.values()]

    def _position(self, held: HeldPosition) -> dict[str, Any]:
        instrument = self.exchange.instruments[held.symbol]
        mark = self.exchange.quotes[held.symbol].mark
        return {
            "instrument": instrument.wire_id,
            "balance": float(held.quantity),
            "pnl": float(instrument.profit(held.quantity, held.entry, mark)),
            "entry_price": float(held.entry),
            "mark_price": float(mark),
            "index_price": float(mark),
            "liquidation_threshold": 0.0,
            "effective_leverage": 0.0,
            "return_on_equity": 0.0,
            "unrealized_funding": 0.0,
            "initial_margin": 0.0,
            "initial_margin_with_orders": 0.0,
            "maintenance_margin": 0.0,
            "pnl_currency": markets.wire_asset(instrument.settle or instrument.quote),
        }

    def _order(self, order: OpenOrder) -> dict[str, Any]:
        draft = order.draft
        kind = "limit" if draft.trigger_price is None else "stop"
        row: dict[str, Any] = {
            "instrument": self.exchange.instruments[draft.symbol].wire_id,
            "time": _milliseconds(order.placed_wall),
            "last_update_time": _milliseconds(order.placed_wall),
            "qty": float(order.remaining),
            "filled": float(order.filled),
            "limit_price": float(draft.price or 0),
            "stop_price": float(draft.trigger_price or 0),
            "type": "take_profit" if draft.order_type.startswith("take_profit") else kind,
            "order_id": order.order_id,
            "direction": 0 if draft.side == "buy" else 1,
            "reduce_only": draft.reduce_only,
        }
        if draft.client_order_id is not None:
            row["cli_ord_id"] = draft.client_order_id
        if draft.trigger_price is not None:
            row["triggerSignal"] = "last"
        return row

    def _fill(self, fill: Fill) -> dict[str, Any]:
        draft, (fee, asset) = fill.order.draft, self.exchange.fee_of(fill)
        row: dict[str, Any] = {
            "instrument": self.exchange.instruments[draft.symbol].wire_id,
            "time": _milliseconds(fill.wall),
            "price": float(fill.price),
            "seq": fill.fill_id,
            "buy": draft.side == "buy",
            "qty": float(fill.quantity),
            "remaining_order_qty": float(fill.order.remaining),
            "order_id": fill.order.order_id,
            "fill_id": fill_uid(fill),
            "fill_type": "taker",
            "fee_paid": float(fee),
            "fee_currency": markets.wire_asset(asset),
            "taker_order_type": "ioc",
            "order_type": "limit",
        }
        return row | ({} if draft.client_order_id is None else {"cli_ord_id": draft.client_order_id})

    def _ticker(self, symbol: str, now: float) -> dict[str, Any]:
        instrument, quote = self.exchange.instruments[symbol], self.exchange.quotes[symbol]
        last = float(quote.mark)
        return {
            "time": _milliseconds(now),
            "product_id": instrument.wire_id,
            "funding_rate": 0.0,
            "feed": "ticker",
            "bid": float(quote.bid),
            "ask": float(quote.ask),
            "bid_size": 10.0,
            "ask_size": 10.0,
            "volume": 1000.0,
            "dtm": 0,
            "leverage": "50x",
            "index": last,
            "premium": 0.0,
            "last": last,
            "change": 0.0,
            "suspended": False,
            "tag": "perpetual",
            "pair": f"{markets.wire_asset(instrument.base)}:USD",
            "openInterest": 1000.0,
            "markPrice": last,
            "maturityTime": 0,
            "post_only": False,
            "volumeQuote": 1000.0,
        }


def _margin_wallet(unit: str, balance: Decimal) -> dict[str, Any]:
    return {
        "name": f"F-{unit}:USD",
        "pair": f"{unit}/USD",
        "unit": unit,
        "portfolio_value": float(balance),
        "balance": float(balance),
        "maintenance_margin": 0.0,
        "initial_margin": 0.0,
        "available": float(balance),
        "unrealized_funding": 0.0,
        "pnl": 0.0,
    }


def _milliseconds(wall: float) -> int:
    return round(wall * 1000)
