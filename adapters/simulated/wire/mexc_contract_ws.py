"""mexc's contract socket: tickers in public; after a login orders of every book, positions and wallets come unasked.

JSON, never compressed. There is no snapshot: what rested before the login is not told.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import (
    ZERO,
    BalanceChanged,
    Fill,
    HeldPosition,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderFilled,
    OrderOpened,
    OrderTriggered,
    PositionChanged,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire.base import Key, hmac_sha256, milliseconds
from adapters.simulated.wire.mexc_contract import Contract
from adapters.simulated.wire.mexc_contract_rows import asset_row, order_row, position_row, ticker_row
from adapters.simulated.wire.mexc_names import CONTRACT_WALLET, book_of, positions_of, side_number

_CHANNELS = {
    "limit": "push.personal.order",
    "plan": "push.personal.plan.order",
    "stop": "push.personal.stop.planorder",
    "track": "push.personal.track.order",
}
_LOGIN_WINDOW_S = 10.0


class ContractSession:
    """One connection."""

    def __init__(self, exchange: Exchange, key: Key, contract: Contract) -> None:
        self.exchange = exchange
        self._key = key
        self._contract = contract
        self._is_signed_in = False
        self._all_tickers = False
        self._symbols: set[str] = set()
        self._legs: dict[str, list[HeldPosition]] = {}

    def opened(self, _: float) -> Sequence[Any]:
        return []

    def idle(self, now: float) -> Sequence[Any]:
        """Tickers come every second or two, whether they changed or not."""
        rows = [ticker_row(self.exchange, each, now) for each in self._contract.listed()] if self._all_tickers else []
        listed = [_pushed("push.tickers", [_slim(row) for row in rows], now)] if rows else []
        return listed + [self._ticker(symbol, now) for symbol in sorted(self._symbols)]

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            method = str(message["method"])
        except (ValueError, KeyError, TypeError):
            return [_pushed("rs.error", "Invalid message", now)]
        param = message.get("param") or message.get("params") or {}
        if method == "ping":
            return [{"channel": "pong", "data": milliseconds(now)}]
        if method == "login":
            return [self._login(param, now)]
        if method in ("sub.tickers", "unsub.tickers"):
            self._all_tickers = method == "sub.tickers"
            return [_pushed(f"rs.{method}", "success", now)]
        if method in ("sub.ticker", "unsub.ticker"):
            return [self._subscribed(method, str(param.get("symbol", "")), now)]
        if method == "personal.filter":
            return [_pushed("rs.personal.filter", "success", now)]
        return [_pushed("rs.error", f"Method {method} not found", now)]

    def _login(self, param: Mapping[str, Any], now: float) -> dict[str, Any]:
        key, stamp = str(param.get("apiKey", "")), str(param.get("reqTime", ""))
        signature = hmac_sha256(self._key.api_secret, key + stamp).hex()
        is_on_time = stamp.isdigit() and abs(now - int(stamp) / 1000) <= _LOGIN_WINDOW_S
        is_right = hmac.compare_digest(signature, str(param.get("signature", ""))) and key == self._key.api_key
        if not is_right or not is_on_time:
            return _pushed("rs.error", "Confirming signature failed", now)
        self._is_signed_in = True
        self._legs = {
            held.symbol: positions_of(self.exchange, held.symbol) for held in self.exchange.positions.values()
        }
        return _pushed("rs.login", "success", now) | {"ts": str(milliseconds(now))}

    def _subscribed(self, method: str, name: str, now: float) -> dict[str, Any]:
        try:
            symbol = self.exchange.instrument(name).symbol
        except Refused:
            return _pushed("rs.error", f"Contract [{name}] not exists", now)
        (self._symbols.add if method == "sub.ticker" else self._symbols.discard)(symbol)
        return _pushed(f"rs.{method}", "success", now)

    # --- pushes ------------------------------------------------------------------------------------------

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        frames = self._priced([each.symbol for each in notices if isinstance(each, PriceChanged)], now)
        personal = notices if self._is_signed_in else ()
        return frames + [frame for notice in personal for frame in self._personal(notice, now)]

    def _priced(self, symbols: Sequence[str], now: float) -> list[Any]:
        contracts = [self.exchange.instruments[symbol] for symbol in dict.fromkeys(symbols)]
        contracts = [each for each in contracts if each.settle is not None]
        rows = [_slim(ticker_row(self.exchange, each, now)) for each in contracts]
        listed = [_pushed("push.tickers", rows, now)] if rows and self._all_tickers else []
        return listed + [self._ticker(each.symbol, now) for each in contracts if each.symbol in self._symbols]

    def _ticker(self, symbol: str, now: float) -> dict[str, Any]:
        row = ticker_row(self.exchange, self.exchange.instruments[symbol], now)
        return _pushed("push.ticker", row, now) | {"symbol": row["symbol"]}

    def _personal(self, notice: Notice, now: float) -> list[Any]:
        if isinstance(notice, BalanceChanged):
            coins = dict.fromkeys(row.asset for row in notice.rows if row.wallet == CONTRACT_WALLET)
            return [self._asset(coin, now) for coin in coins]
        if isinstance(notice, PositionChanged):
            return self._positions(notice.symbol, now)
        if isinstance(notice, OrderOpened):
            return self._order(notice.order, "open", now)
        if isinstance(notice, OrderCancelled):
            return self._order(notice.cancelled.order, "cancelled", now)
        if isinstance(notice, OrderTriggered) and notice.became:
            return self._order(notice.order, "done", now)
        if isinstance(notice, OrderFilled):
            became = "open" if notice.fill.order.remaining else "done"
            return self._order(notice.fill.order, became, now) + self._deal(notice.fill, now)
        return []

    def _asset(self, coin: str, now: float) -> dict[str, Any]:
        """No equity: what is open is not told here."""
        row = asset_row(self.exchange, coin)
        names = ("availableBalance", "bonus", "currency", "frozenBalance", "positionMargin", "cashBalance")
        return _pushed("push.personal.asset", {name: row[name] for name in names}, now)

    def _positions(self, symbol: str, now: float) -> list[Any]:
        """The legs as they are; one that is gone comes a last time with nothing in it."""
        if self.exchange.instruments[symbol].settle is None:
            return []
        legs = positions_of(self.exchange, symbol)
        open_sides = {held.quantity > 0 for held in legs}
        ended = [held for held in self._legs.get(symbol, []) if (held.quantity > 0) not in open_sides]
        self._legs[symbol] = legs
        rows = [position_row(self.exchange, held, now) for held in legs]
        rows += [position_row(self.exchange, held, now) | _ENDED for held in ended]
        return [_pushed("push.personal.position", row, now) for row in rows]

    def _order(self, order: OpenOrder, became: str, now: float) -> list[Any]:
        book = book_of(order)
        if book == "spot":
            return []
        row = order_row(self.exchange, order, became)
        if book == "limit":
            left = order.remaining if became == "open" else ZERO
            row |= {"remainVol": float(left), "version": 1}
        return [_pushed(_CHANNELS[book], row, now)]

    def _deal(self, fill: Fill, now: float) -> list[Any]:
        order = fill.order
        if book_of(order) == "spot":
            return []
        fee, asset = self.exchange.fee_of(fill)
        data = {
            "id": str(fill.fill_id),
            "symbol": self.exchange.instruments[order.draft.symbol].wire_id,
            "orderId": order.order_id,
            "externalOid": order.draft.client_order_id or "",
            "side": side_number(order.draft),
            "vol": float(fill.quantity),
            "price": float(fill.price),
            "fee": float(fee),
            "feeCurrency": asset,
            "profit": 0,
            "isTaker": True,
            "category": 1,
            "timestamp": milliseconds(fill.wall),
        }
        return [_pushed("push.personal.order.deal", data, now)]


_ENDED = {"state": 3, "holdVol": 0.0, "im": 0.0, "oim": 0.0}


def _slim(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the list of all tickers has neither bid nor ask."""
    names = ("symbol", "lastPrice", "riseFallRate", "fairPrice", "indexPrice", "volume24", "amount24", "timestamp")
    return {name: row[name] for name in names}


def _pushed(channel: str, data: Any, now: float) -> dict[str, Any]:
    return {"channel": channel, "data": data, "ts": milliseconds(now)}
