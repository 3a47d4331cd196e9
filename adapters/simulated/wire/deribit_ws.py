"""deribit's websocket face: public/auth, test, subscribe; tickers, portfolios and changes of the account.

After docs.deribit.com/articles/notifications and .../subscriptions: a channel that can't be had is left out of the
answer. Only `any` and `raw` or `100ms` are simulated of what the account's channels take.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.simulated.model import (
    BalanceChanged,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderFilled,
    OrderOpened,
    PositionChanged,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire import deribit_markets as markets
from adapters.simulated.wire import deribit_rows as rows
from adapters.simulated.wire.base import Key, milliseconds

_PRIVATE = frozenset({"user.portfolio.any", "user.changes.any.any.raw", "user.changes.any.any.100ms"})


class DeribitSession:
    """One connection."""

    def __init__(self, session: rows.Session, key: Key) -> None:
        self._session = session
        self._exchange = session.exchange
        self._key = key
        self._is_signed_in = False
        self._channels: set[str] = set()
        self._methods: dict[str, Callable[[Mapping[str, Any], float], Any]] = {
            "public/auth": self._auth,
            "public/test": lambda _, __: {"version": "1.2.26"},
            "public/subscribe": lambda params, _: self._subscribe(params, private=False),
            "private/subscribe": lambda params, _: self._subscribe(params, private=True),
        }

    def opened(self, _: float) -> Sequence[Any]:
        return []

    def idle(self, _: float) -> Sequence[Any]:
        return []

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            method, params = message["method"], message.get("params") or {}
        except (ValueError, KeyError, TypeError):
            return [{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}}]
        told: dict[str, Any] = {"jsonrpc": "2.0", "id": message.get("id"), "testnet": False}
        handler = self._methods.get(str(method))
        if handler is None:
            return [told | {"error": {"code": -32601, "message": "Method not found"}}]
        try:
            result = handler(params, now)
        except Refused as refused:
            return [told | {"error": {"code": int(refused.code), "message": str(refused)}}]
        channels = result if isinstance(result, list) else []
        return [told | {"result": result}, *(frame for each in channels for frame in self._first(each, now))]

    def _auth(self, params: Mapping[str, Any], now: float) -> Any:
        signed = f"{params.get('timestamp')}\n{params.get('nonce', '')}\n{params.get('data', '')}"
        made = hmac.new(self._key.api_secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        is_ours = params.get("client_id") == self._key.api_key and params.get("signature") == made
        if not is_ours or abs(milliseconds(now) - int(params.get("timestamp") or 0)) > 60_000:
            raise Refused("13004", "invalid_credentials")
        self._is_signed_in = True
        return {"access_token": "t", "refresh_token": "r", "expires_in": 900, "scope": "c", "token_type": "bearer"}

    def _subscribe(self, params: Mapping[str, Any], *, private: bool) -> list[str]:
        if private and not self._is_signed_in:
            raise Refused("13009", "unauthorized")
        wanted = [str(each) for each in params.get("channels", [])]
        taken = [each for each in wanted if (private and each in _PRIVATE) or self._symbol(each) is not None]
        self._channels.update(taken)
        return taken

    def _symbol(self, channel: str) -> str | None:
        head, _, rest = channel.partition(".")
        name, _, pace = rest.rpartition(".")
        if head != "ticker" or pace not in ("100ms", "raw"):
            return None
        try:
            return self._exchange.instrument(name).symbol
        except Refused:
            return None

    def _first(self, channel: str, now: float) -> list[Any]:
        """Tickers and portfolios begin with how things stand."""
        if channel.startswith("user.portfolio."):
            return [_told(channel, self._session.summary(code)) for code in markets.CURRENCIES]
        symbol = self._symbol(channel)
        return [] if symbol is None else [_told(channel, self._ticker(symbol, now))]

    # --- pushes ----------------------------------------------------------------------------------------

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        return [frame for notice in notices for frame in self._push(notice, now)]

    def _push(self, notice: Notice, now: float) -> list[Any]:
        if isinstance(notice, PriceChanged):
            named = [each for each in self._channels if self._symbol(each) == notice.symbol]
            return [_told(each, self._ticker(notice.symbol, now)) for each in named]
        if isinstance(notice, BalanceChanged):
            assets = dict.fromkeys(row.asset for row in notice.rows if row.wallet == markets.MAIN)
            named = [each for each in self._channels if each.startswith("user.portfolio.")]
            return [_told(each, self._session.summary(asset)) for each in named for asset in assets]
        changes = self._changes(notice)
        named = [each for each in self._channels if each.startswith("user.changes.")]
        return [] if changes is None else [_told(each, changes) for each in named]

    def _changes(self, notice: Notice) -> dict[str, Any] | None:
        if isinstance(notice, OrderOpened):
            return self._order(notice.order, None)
        if isinstance(notice, OrderCancelled):
            return self._order(notice.cancelled.order, "cancelled")
        if isinstance(notice, OrderFilled):
            order = notice.fill.order
            trade = rows.trade_row(self._exchange, notice.fill)
            told = self._order(order, "filled" if order.remaining == 0 else None)
            return told | {"trades": [trade]}
        if isinstance(notice, PositionChanged):
            instrument, held = self._exchange.instruments[notice.symbol], self._exchange.positions.get(notice.symbol)
            empty = {"instrument_name": instrument.wire_id, "size": 0.0, "direction": "zero"}
            row = empty if held is None else self._session.position(held, instrument)
            return {"instrument_name": instrument.wire_id, "trades": [], "positions": [row], "orders": []}
        return None

    def _order(self, order: OpenOrder, state: str | None) -> dict[str, Any]:
        row = rows.order_row(self._exchange, order, state)
        return {"instrument_name": row["instrument_name"], "trades": [], "positions": [], "orders": [row]}

    def _ticker(self, symbol: str, now: float) -> dict[str, Any]:
        return rows.ticker(self._exchange, self._exchange.instruments[symbol], now)


def _told(channel: str, data: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}
