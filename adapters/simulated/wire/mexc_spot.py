"""mexc's spot house, API v3: account, orders, tickers, listen keys, the key's own permissions.

The listing of orders is a bare list of all of them. One cancel takes a pair, conditional orders and all;
the other takes the plain orders of all pairs, and leaves what waits for a price.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import ZERO, Instrument, OpenOrder, OrderDraft, Refused
from adapters.simulated.wire import mexc_markets as markets
from adapters.simulated.wire.base import Key, Request, Route, decimal, milliseconds, text
from adapters.simulated.wire.mexc_names import SPOT_WALLET, book_of, is_conditional
from adapters.simulated.wire.mexc_rules import no

LISTEN_KEY_LIFE_S = 3600.0
_LISTEN_KEYS = 60
_TYPES = {
    "LIMIT": "limit",
    "LIMIT_MAKER": "limit",
    "MARKET": "market",
    "IMMEDIATE_OR_CANCEL": "limit",
    "FILL_OR_KILL": "limit",
}
_HOUSES = ("SPOT", "CONTRACT")
_MAY = ("ACCOUNT_READ", "DEAL_READ", "DEAL_WRITE")


class Spot:
    """Answers the spot house's calls."""

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key
        self.listen_keys: dict[str, float] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> dict[tuple[str, str], Route]:
        private: dict[tuple[str, str], tuple[Call, Callable[[Request, dict[str, Any]], Any]]] = {
            ("GET", "account"): (Call.BALANCES, self._account),
            ("GET", "openOrders"): (Call.OPEN_ORDERS, self._open_orders),
            ("GET", "order"): (Call.OTHER, self._order),
            ("POST", "order"): (Call.PLACE, self._place),
            ("POST", "order/test"): (Call.PLACE, lambda _, __: {}),
            ("DELETE", "order"): (Call.CANCEL, self._cancel),
            ("DELETE", "openOrders"): (Call.CANCEL, self._cancel_pair),
            ("DELETE", "order/all"): (Call.CANCEL, self._cancel_plain),
            ("GET", "apiKeyInfo"): (Call.OTHER, self._key_info),
            ("GET", "capital/config/getall"): (Call.MARKETS, self._coins),
            ("POST", "userDataStream"): (Call.TOKEN, self._open_stream),
            ("GET", "userDataStream"): (Call.TOKEN, lambda _, __: {"listenKey": list(self.listen_keys)}),
            ("PUT", "userDataStream"): (Call.TOKEN, self._keep_stream),
            ("DELETE", "userDataStream"): (Call.TOKEN, self._end_stream),
        }
        public: dict[str, tuple[Call, Callable[[Request, dict[str, Any]], Any]]] = {
            "ping": (Call.OTHER, lambda _, __: {}),
            "time": (Call.OTHER, lambda request, _: {"serverTime": milliseconds(request.wall)}),
            "exchangeInfo": (Call.MARKETS, self._exchange_info),
            "symbol/offline": (Call.MARKETS, self._offline),
            "ticker/24hr": (Call.PRICES, self._tickers),
            "ticker/bookTicker": (Call.PRICES, self._tickers),
            "ticker/price": (Call.PRICES, self._tickers),
        }
        routes = {(method, f"/api/v3/{name}"): Route(*row) for (method, name), row in private.items()}
        return routes | {("GET", f"/api/v3/{name}"): Route(*row, False) for name, row in public.items()}

    def orders(self) -> list[OpenOrder]:
        """What rests in pairs."""
        return [order for order in self.exchange.orders.values() if book_of(order) == "spot"]

    # --- account -----------------------------------------------------------------------------------------

    def _account(self, request: Request, _: dict[str, Any]) -> Any:
        return {
            "makerCommission": None,
            "takerCommission": None,
            "buyerCommission": None,
            "sellerCommission": None,
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "updateTime": None,
            "accountType": "SPOT",
            "balances": self._balances(),
            "permissions": ["SPOT"],
        }

    def _balances(self) -> list[dict[str, Any]]:
        held = self.exchange.held()
        return [
            {
                "asset": asset,
                "free": text(total - held.get(asset, ZERO)),
                "locked": text(held.get(asset, ZERO)),
                "available": text(total - held.get(asset, ZERO)),
            }
            for asset, total in self.exchange.wallets.get(SPOT_WALLET, {}).items()
            if total != 0
        ]

    def _key_info(self, _: Request, form: dict[str, Any]) -> Any:
        if form.get("accessKey") != self.key.api_key:
            raise no(730706, "API KEY information does not exist")
        words = [f"{house}_{word}" for house in _HOUSES for word in _MAY]
        words += ["SPOT_TRANSFER_READ", "SPOT_WITHDRAW_READ"]
        words += ["SPOT_WITHDRAW_WRITE"] if self.key.may_withdraw else []
        return {
            "note": "simulated",
            "accessKey": self.key.api_key,
            "permissions": ",".join(sorted(words)),
            "remainingValidity": -1 if self.key.bound_to else 82,
            "ipWhiteList": self.key.bound_to,
            "status": "VALID",
        }

    def _coins(self, _: Request, __: dict[str, Any]) -> Any:
        return [
            {
                "coin": coin,
                "Name": coin,
                "networkList": [
                    {
                        "coin": coin,
                        "network": "Tron(TRC20)",
                        "netWork": "TRX",
                        "depositEnable": True,
                        "withdrawEnable": True,
                        "withdrawFee": "1",
                        "withdrawMin": "1",
                        "withdrawMax": "1000000",
                    }
                ],
            }
            for coin in markets.asset_prices()
        ]

    # --- orders ------------------------------------------------------------------------------------------

    def _open_orders(self, _: Request, form: dict[str, Any]) -> Any:
        return [self._row(order) for order in self._of_pair(form)] if form.get("symbol") else self._all_rows()

    def _all_rows(self) -> list[dict[str, Any]]:
        return [self._row(order) for order in self.orders()]

    def _of_pair(self, form: Mapping[str, Any]) -> list[OpenOrder]:
        symbol = self.exchange.instrument(str(form["symbol"])).symbol
        return [order for order in self.orders() if order.draft.symbol == symbol]

    def _row(self, order: OpenOrder, status: str | None = None) -> dict[str, Any]:
        draft = order.draft
        waits = is_conditional(draft)
        return {
            "symbol": self.exchange.instrument(draft.symbol).wire_id,
            "orderId": order.order_id,
            "orderListId": 1 if draft.book == "oco" else -1,
            "clientOrderId": draft.client_order_id or "",
            "price": text(draft.price or draft.trigger_price or ZERO),
            "origQty": text(draft.quantity),
            "executedQty": text(order.filled),
            "cummulativeQuoteQty": text(order.filled * (draft.price or ZERO)),
            "status": status or ("PARTIALLY_FILLED" if order.filled else "NEW"),
            "timeInForce": None,
            "type": "STOP_LIMIT" if waits else "MARKET" if draft.order_type == "market" else "LIMIT",
            "side": draft.side.upper(),
            "stopPrice": None if draft.trigger_price is None else text(draft.trigger_price),
            "icebergQty": None,
            "time": milliseconds(order.placed_wall),
            "updateTime": milliseconds(order.placed_wall),
            "isWorking": not waits,
            "origQuoteOrderQty": text(draft.quantity * (draft.price or ZERO)),
        }

    def _order(self, _: Request, form: dict[str, Any]) -> Any:
        """One order: open, or by what became of it."""
        name = self._named(form)
        try:
            order = self.exchange.find(name)
        except Refused:
            return self._ended(name)
        return self._row(order)

    def _ended(self, name: str) -> dict[str, Any]:
        gone = {each.order.order_id: (each.order, "CANCELED") for each in self.exchange.cancelled}
        done = {each.order.order_id: (each.order, "FILLED") for each in self.exchange.fills}
        found = (gone | done).get(name)
        if found is None:
            raise no(-2013, "Order does not exist.")
        return self._row(*found)

    def _place(self, request: Request, form: dict[str, Any]) -> Any:
        pair = self._pair(form)
        order, _ = self.exchange.place(self._draft(pair, form), request.wall)
        draft = order.draft
        return {
            "symbol": pair.wire_id,
            "orderId": order.order_id,
            "orderListId": -1,
            "price": text(draft.price or ZERO),
            "origQty": text(draft.quantity),
            "type": str(form.get("type")),
            "side": draft.side.upper(),
            "transactTime": milliseconds(request.wall),
        }

    def _draft(self, pair: Instrument, form: Mapping[str, Any]) -> OrderDraft:
        order_type = _TYPES.get(str(form.get("type")), "")
        price, quantity = decimal(form, "price"), decimal(form, "quantity")
        worth = decimal(form, "quoteOrderQty")
        if quantity is None and worth is not None:
            quantity = worth / self.exchange.quotes[pair.symbol].ask
        return OrderDraft(
            pair.symbol,
            str(form.get("side", "")).lower(),
            order_type,
            quantity or ZERO,
            None if order_type == "market" else price,
            client_order_id=form.get("newClientOrderId"),
        )

    def _pair(self, form: Mapping[str, Any]) -> Instrument:
        """A pair that is traded: what rests in one that is not can still be cancelled."""
        pair = self.exchange.instrument(str(form.get("symbol", "")))
        if pair.settle is not None or pair.symbol in self.exchange.delisted:
            raise no(10007, "symbol not support api")
        return pair

    def _named(self, form: Mapping[str, Any]) -> str:
        name = form.get("orderId") or form.get("origClientOrderId")
        if not name or not form.get("symbol"):
            raise no(700004, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        self.exchange.instrument(str(form["symbol"]))
        return str(name)

    def _cancel(self, request: Request, form: dict[str, Any]) -> Any:
        name = self._named(form)
        order = self.exchange.find(name)
        symbol = self.exchange.instrument(str(form["symbol"])).symbol
        if order.draft.symbol != symbol or book_of(order) != "spot":
            raise Refused("unknown_order", "an order of another market")
        return _cancelled(self._row(self.exchange.cancel(name, request.wall), "CANCELED"), form)

    def _cancel_pair(self, request: Request, form: dict[str, Any]) -> Any:
        """Every order of one pair. The list of pairs of older documentation is gone from it: it is refused."""
        symbol = self.exchange.instrument(str(form.get("symbol", ""))).symbol
        return self._swept(lambda order: order.draft.symbol == symbol, request)

    def _cancel_plain(self, request: Request, _: dict[str, Any]) -> Any:
        """Every pair. The documentation is silent on what waits for a price: that stays."""
        self._swept(lambda order: not is_conditional(order.draft) and not order.draft.book, request)
        return {"code": 200, "msg": "success", "timestamp": milliseconds(request.wall)}

    def _swept(self, reaches: Callable[[OpenOrder], bool], request: Request) -> list[dict[str, Any]]:
        gone = self.exchange.cancel_where(lambda order: book_of(order) == "spot" and reaches(order), request.wall)
        return [_cancelled(self._row(order, "CANCELED"), {}) for order in gone]

    # --- listen keys -------------------------------------------------------------------------------------

    def is_alive(self, listen_key: str, wall: float) -> bool:
        """Whether a socket may still listen by this key."""
        return self.listen_keys.get(listen_key, 0.0) > wall

    def _open_stream(self, request: Request, _: dict[str, Any]) -> Any:
        self.listen_keys = {key: until for key, until in self.listen_keys.items() if until > request.wall}
        if len(self.listen_keys) >= _LISTEN_KEYS:
            raise no(730003, "The number of listen keys is at its limit")
        listen_key = f"pqia{next(self._numbers):060x}"
        self.listen_keys[listen_key] = request.wall + LISTEN_KEY_LIFE_S
        return {"listenKey": listen_key}

    def _keep_stream(self, request: Request, form: dict[str, Any]) -> Any:
        listen_key = self._known(request, form)
        self.listen_keys[listen_key] = request.wall + LISTEN_KEY_LIFE_S
        return {"listenKey": listen_key}

    def _end_stream(self, request: Request, form: dict[str, Any]) -> Any:
        listen_key = self._known(request, form)
        del self.listen_keys[listen_key]
        return {"listenKey": listen_key}

    def _known(self, request: Request, form: Mapping[str, Any]) -> str:
        listen_key = str(form.get("listenKey", ""))
        if not self.is_alive(listen_key, request.wall):
            raise no(730000, "This listenKey does not exist.")
        return listen_key

    # --- market ------------------------------------------------------------------------------------------

    def _exchange_info(self, request: Request, form: dict[str, Any]) -> Any:
        wanted = {name for name in str(form.get("symbols") or form.get("symbol") or "").split(",") if name}
        listed = [each for each in self.exchange.listed() if not wanted or each.wire_id in wanted]
        return markets.exchange_info(listed, milliseconds(request.wall))

    def _offline(self, request: Request, _: dict[str, Any]) -> Any:
        gone = [self.exchange.instruments[symbol] for symbol in sorted(self.exchange.delisted)]
        rows = [
            {"symbol": each.wire_id, "state": 3, "offlineTime": milliseconds(request.wall)}
            for each in gone
            if each.settle is None
        ]
        return {"data": rows}

    def _tickers(self, request: Request, form: dict[str, Any]) -> Any:
        """All pairs as a list, or one as an object."""
        if form.get("symbol"):
            return self._ticker(self._pair(form), request.wall)
        return [self._ticker(pair, request.wall) for pair in self._pairs()]

    def _pairs(self) -> Iterable[Instrument]:
        return (each for each in self.exchange.listed() if each.settle is None)

    def _ticker(self, pair: Instrument, wall: float) -> dict[str, Any]:
        quote = self.exchange.quotes[pair.symbol]
        last, now = text(quote.mark), milliseconds(wall)
        return {
            "symbol": pair.wire_id,
            "priceChange": "0",
            "priceChangePercent": "0",
            "prevClosePrice": last,
            "price": last,
            "lastPrice": last,
            "bidPrice": text(quote.bid),
            "bidQty": "10",
            "askPrice": text(quote.ask),
            "askQty": "10",
            "openPrice": last,
            "highPrice": last,
            "lowPrice": last,
            "volume": "1000",
            "quoteVolume": text(Decimal(1000) * quote.mark),
            "openTime": now - 86_400_000,
            "closeTime": now,
            "count": None,
        }


def _cancelled(row: dict[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    """What a cancel tells of an order is less than the listing does."""
    names = (
        "symbol",
        "orderId",
        "price",
        "origQty",
        "executedQty",
        "cummulativeQuoteQty",
        "status",
        "timeInForce",
        "type",
        "side",
    )
    client_id = form.get("origClientOrderId") or row["clientOrderId"]
    return {name: row[name] for name in names} | {"origClientOrderId": client_id, "clientOrderId": ""}
