"""The REST face of Binance's futures: USD-M (`binanceusdm`, /fapi) and COIN-M (`binancecoinm`, /dapi).

After developers.binance.com (derivatives: USD-M and COIN-M futures, their change logs to October 2026) and the
docstrings of binance-connector-python; where these are silent, after what ccxt reads. Two books, and no call reaches
both: plain orders, and conditional ones (`algo`), which become plain when they are triggered.

Guessed: that a cancel by symbol is answered alike when nothing is open; that the dead man's switch reaches plain
orders only; that income without a start is that of seven days, oldest first; that a delisted contract's orders can
still be listed and cancelled by its id; the code of an unknown conditional order; what too long a batch is told.
Left out: tiers of margin, isolated margin, liquidation, counts of orders, amending, placing in batches, /papi.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import ONE, ZERO, HeldPosition, OpenOrder, OrderDraft, Refused
from adapters.simulated.wire import binanceusdm_markets as markets
from adapters.simulated.wire import binanceusdm_rows as rows
from adapters.simulated.wire.base import Key, Request, decimal, milliseconds, text
from adapters.simulated.wire.binance_common import (
    BinanceFace,
    Endpoint,
    listed_ids,
    missing,
    refusal,
    wanted,
    whole,
)
from adapters.simulated.wire.binanceusdm_rows import COINM, USDM, Half
from adapters.simulated.wire.binanceusdm_sapi import SAPI_HOST, sapi_endpoints
from adapters.simulated.wire.binanceusdm_ws import FuturesSession, ListenKeys, MarketSession, UserSession

_ALL_DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}
_NOT_HERE = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
_BATCH, _MOST_CONDITIONAL = 10, 200
_INCOME_PAGE, _INCOME_MOST = 100, 1000
_INCOME_DAYS_MS, _INCOME_KEPT_MS = 7 * 86_400_000, 90 * 86_400_000
_SUMMED = ("walletBalance", "unrealizedProfit", "marginBalance", "initialMargin", "maintMargin", "availableBalance")
_TYPES = {word: name for name, word in rows.WORDS.items()}

Handler = Callable[[Request, dict[str, Any]], Any]


class BinanceFuturesFace(BinanceFace):
    """Answers the calls of one half of the futures."""

    weight_ceiling = 2_400

    def __init__(self, exchange: Exchange, key: Key, half: Half = USDM) -> None:
        self.half = half
        self.kind = half.kind
        self.hosts = frozenset({half.host, half.stream_host, USDM.host, SAPI_HOST})
        self.multi_assets = False
        self.listen_keys = ListenKeys()
        super().__init__(exchange, key)

    def session(self, _host: str, path: str = "", /) -> FuturesSession:
        """`/private/ws?listenKey=..`, `/market/ws/3`, `/public/ws/3`; COIN-M: `/ws/<listenKey>`, `/ws`, `/ws/3`."""
        place, _, query = path.partition("?")
        name = place.rpartition("/")[2]
        if "/private/" in place or (self.half is COINM and name != "ws" and not name.isdigit()):
            key = query.partition("listenKey=")[2].partition("&")[0] or name
            return UserSession(self.exchange, self.half, self.listen_keys, key)
        category = place.strip("/").partition("/")[0] if self.half is USDM else ""
        return MarketSession(self.exchange, category)

    def table(self) -> Mapping[tuple[str, str], Endpoint]:
        return self._public() | self._account() | self._order_calls() | self._settings() | sapi_endpoints(self)

    def _public(self) -> dict[tuple[str, str], Endpoint]:
        calls: dict[str, tuple[Call, Handler, Any]] = {
            "ping": (Call.OTHER, lambda _, __: {}, 1),
            "time": (Call.OTHER, lambda request, _: {"serverTime": milliseconds(request.wall)}, 1),
            "exchangeInfo": (Call.MARKETS, self._exchange_info, 1),
            "premiumIndex": (Call.PRICES, self._each(rows.mark_price), _by_symbol(10)),
            "ticker/24hr": (Call.PRICES, self._each(rows.day_ticker), _by_symbol(40)),
            "ticker/bookTicker": (Call.PRICES, self._each(rows.book_ticker), _by_symbol(5, 2)),
        }
        index = Endpoint(Call.PRICES, self._asset_index, private=False, weight=_by_symbol(10))
        return {("GET", f"{USDM.prefix}/v1/assetIndex"): index} | {
            ("GET", f"{self.half.prefix}/v1/{name}"): Endpoint(call, handler, private=False, weight=weight)
            for name, (call, handler, weight) in calls.items()
        }

    def _account(self) -> dict[tuple[str, str], Endpoint]:
        linear = self.half is USDM
        calls: dict[str, tuple[Call, Handler, int]] = {
            "v1/income": (Call.LEDGER, self._income, 30 if linear else 20),
            "v1/leverageBracket": (Call.OTHER, lambda _, __: _brackets(self.half.listing), 1),
            "v2/leverageBracket": (Call.OTHER, lambda _, __: _brackets(self.half.listing), 1),
        }
        for version in ("v2", "v3") if linear else ("v1",):
            calls[f"{version}/account"] = (Call.BALANCES, self._accounts, 5)
            calls[f"{version}/balance"] = (Call.BALANCES, self._balance, 5)
            calls[f"{version}/positionRisk"] = (Call.POSITIONS, self._positions, 5)
        return self._signed({("GET", name): call for name, call in calls.items()})

    def _order_calls(self) -> dict[tuple[str, str], Endpoint]:
        listing = _by_symbol(40) if self.half is USDM else _by_symbol(5)
        calls: dict[tuple[str, str], tuple[Call, Handler, Any]] = {
            ("GET", "v1/openOrders"): (Call.OPEN_ORDERS, self._open_orders, listing),
            ("GET", "v1/openAlgoOrders"): (Call.OPEN_ORDERS, self._open_algo_orders, listing),
            ("GET", "v1/order"): (Call.OTHER, self._query, 1),
            ("GET", "v1/userTrades"): (Call.FILLS, self._trades, 5),
            ("POST", "v1/order"): (Call.PLACE, self._place, 0),
            ("POST", "v1/algoOrder"): (Call.PLACE, self._place_algo, 0),
            ("DELETE", "v1/order"): (Call.CANCEL, self._cancel, 1),
            ("DELETE", "v1/algoOrder"): (Call.CANCEL, self._cancel_algo, 1),
            ("DELETE", "v1/batchOrders"): (Call.CANCEL, self._cancel_batch, 1),
            ("DELETE", "v1/allOpenOrders"): (Call.CANCEL, self._cancel_all, 1),
            ("DELETE", "v1/algoOpenOrders"): (Call.CANCEL, self._cancel_all_algo, 1),
            ("POST", "v1/countdownCancelAll"): (Call.DEAD_MAN, self._countdown, 10),
        }
        return self._signed(calls)

    def _settings(self) -> dict[tuple[str, str], Endpoint]:
        calls: dict[tuple[str, str], tuple[Call, Handler, Any]] = {
            ("GET", "v1/positionSide/dual"): (Call.OTHER, lambda _, __: {"dualSidePosition": self.exchange.hedged}, 30),
            ("POST", "v1/positionSide/dual"): (Call.OTHER, self._set_hedged, 1),
            ("GET", "v1/multiAssetsMargin"): (Call.OTHER, lambda _, __: {"multiAssetsMargin": self.multi_assets}, 30),
            ("POST", "v1/multiAssetsMargin"): (Call.OTHER, self._set_multi_assets, 1),
        }
        keys: dict[str, Handler] = {"POST": self._new_key, "PUT": self._renew_key, "DELETE": self._end_key}
        return self._signed(calls) | {
            (method, f"{self.half.prefix}/v1/listenKey"): Endpoint(Call.TOKEN, handler, private=False, keyed=True)
            for method, handler in keys.items()
        }

    def _signed(self, calls: Mapping[tuple[str, str], tuple[Call, Handler, Any]]) -> dict[tuple[str, str], Endpoint]:
        return {
            (method, f"{self.half.prefix}/{name}"): Endpoint(call, handler, weight=weight)
            for (method, name), (call, handler, weight) in calls.items()
        }

    # --- market ----------------------------------------------------------------------------------------

    def _exchange_info(self, request: Request, _: dict[str, Any]) -> bytes:
        return markets.exchange_info(self.exchange, self.half.listing, request.wall)

    def _asset_index(self, request: Request, _: dict[str, Any]) -> Any:
        """What an asset is worth as collateral, in USD."""
        return [
            {"symbol": f"{asset}USD", "time": milliseconds(request.wall), "index": text(price, 8)}
            for asset, price in self.exchange.asset_prices.items()
            if asset != "USD"
        ]

    def _each(self, row: Callable[[Exchange, str, float], dict[str, Any]]) -> Handler:
        """One row if a symbol is named (COIN-M: a list of one), else those of all that is listed."""

        def answer(request: Request, form: dict[str, Any]) -> Any:
            symbol = self._symbol(form)
            if symbol is not None and self.half is USDM:
                return row(self.exchange, symbol, request.wall)
            symbols = [symbol] if symbol is not None else [each.symbol for each in self.exchange.listed()]
            return [row(self.exchange, each, request.wall) for each in symbols]

        return answer

    def _symbol(self, form: Mapping[str, Any]) -> str | None:
        return self.exchange.instrument(str(form["symbol"])).symbol if form.get("symbol") else None

    # --- account ---------------------------------------------------------------------------------------

    def _accounts(self, request: Request, _: dict[str, Any]) -> Any:
        assets = rows.assets(self.exchange, self.half, request.wall)
        positions = [rows.position(self.exchange, held) for held in self._told_positions()]
        answer = {"assets": assets, "positions": positions, "canTrade": True, "canDeposit": True, "canWithdraw": True}
        if self.half is COINM:
            return answer | {"feeTier": 0, "updateTime": 0}
        return {f"total{name[0].upper()}{name[1:]}": self._sum(assets, name) for name in _SUMMED} | answer

    def _sum(self, assets: Iterable[Mapping[str, Any]], name: str) -> str:
        """Of USDT alone; of an account whose every asset is margin, the value of all in USD."""
        prices = self.exchange.asset_prices if self.multi_assets else {"USDT": ONE}
        worth = (Decimal(row[name]) * prices.get(row["asset"], ZERO) for row in assets)
        return text(sum(worth, ZERO), 8)

    def _balance(self, request: Request, _: dict[str, Any]) -> Any:
        named = ("asset", "crossWalletBalance", "crossUnPnl", "availableBalance", "maxWithdrawAmount", "updateTime")
        return [
            {"accountAlias": "SgsR", "balance": row["walletBalance"], "marginAvailable": True}
            | {name: row[name] for name in named}
            for row in rows.assets(self.exchange, self.half, request.wall)
        ]

    def _positions(self, _: Request, form: dict[str, Any]) -> Any:
        symbol = self._symbol(form)
        told = (held for held in self._told_positions() if symbol in (None, held.symbol))
        return [rows.position(self.exchange, held) for held in told]

    def _told_positions(self) -> list[HeldPosition]:
        """USD-M: of contracts with a position or an order; COIN-M: of every contract."""
        held = [position.symbol for position in self.exchange.positions.values()]
        held += [order.draft.symbol for order in self.exchange.orders.values()]
        listed = [each.symbol for each in self.exchange.listed()] if self.half is COINM else []
        return rows.held_positions(self.exchange, dict.fromkeys((*held, *listed)))

    def _income(self, request: Request, form: dict[str, Any]) -> Any:
        """Ascending; what is older than three months is gone."""
        now = milliseconds(request.wall)
        end = whole(form, "endTime", now) or now
        start = whole(form, "startTime", end - _INCOME_DAYS_MS) or 0
        limit = min(whole(form, "limit", _INCOME_PAGE) or _INCOME_PAGE, _INCOME_MOST)
        kind, symbol = form.get("incomeType"), form.get("symbol")
        told = (
            income
            for row in sorted(self.exchange.ledger, key=lambda row: (row.wall, row.number))
            if row.wallet == self.half.wallet and milliseconds(row.wall) >= now - _INCOME_KEPT_MS
            for income in rows.incomes(self.exchange, row)
            if start <= income["time"] <= end
            and kind in (None, income["incomeType"])
            and symbol in (None, income["symbol"])
        )
        return list(itertools.islice(told, limit))

    # --- orders ----------------------------------------------------------------------------------------

    def _open_orders(self, _: Request, form: dict[str, Any]) -> Any:
        return [rows.plain_order(self.exchange, order) for order in self._book(form, algo=False)]

    def _open_algo_orders(self, _: Request, form: dict[str, Any]) -> Any:
        return [rows.algo_order(self.exchange, order) for order in self._book(form, algo=True)]

    def _trades(self, _: Request, form: dict[str, Any]) -> Any:
        """Of one contract, the eldest first: the newest, or from a time or an id on."""
        wanted(form, "symbol")
        symbol, start, first = self._symbol(form), whole(form, "startTime"), whole(form, "fromId")
        fills = [fill for fill in self.exchange.fills if fill.order.draft.symbol == symbol]
        found = [rows.trade(self.exchange, fill) for fill in fills]
        found = [row for row in found if row["time"] >= (start or 0) and row["id"] >= (first or 0)]
        limit = min(whole(form, "limit", 500) or 500, 1000)
        return found[-limit:] if start is None and first is None else found[:limit]

    def _book(self, form: Mapping[str, Any], *, algo: bool) -> list[OpenOrder]:
        symbol = self._symbol(form)
        return [
            order
            for order in self.exchange.orders.values()
            if rows.is_algo(order) is algo and symbol in (None, order.draft.symbol)
        ]

    def _query(self, _: Request, form: dict[str, Any]) -> Any:
        try:
            return rows.plain_order(self.exchange, self._named(form, form.get("orderId") or "", algo=False))
        except Refused as refused:
            raise refusal(-2013, "Order does not exist.") from refused

    def _named(self, form: Mapping[str, Any], name: str, *, algo: bool) -> OpenOrder:
        """An order of one of the books, by its id or the client's. Raises Refused."""
        symbol, order = self._symbol(form), self.exchange.find(name)
        if rows.is_algo(order) is not algo or symbol not in (None, order.draft.symbol):
            raise Refused("unknown_order", f"{name} is in another book")
        return order

    def _cancel(self, request: Request, form: dict[str, Any]) -> Any:
        wanted(form, "symbol")
        name = str(form.get("orderId") or form.get("origClientOrderId") or "")
        if not name:
            raise refusal(-1102, "Either orderId or origClientOrderId must be sent.")
        order = self._named(form, name, algo=False)
        self.exchange.cancel(order.order_id, request.wall)
        return rows.cancelled_order(self.exchange, order, request.wall)

    def _cancel_algo(self, request: Request, form: dict[str, Any]) -> Any:
        name = str(form.get("algoId") or form.get("clientAlgoId") or "")
        if not name:
            raise missing("algoId")
        order = self._named(form, name, algo=True)
        self.exchange.cancel(order.order_id, request.wall)
        done = {"code": "200", "msg": "success"}
        return {"algoId": int(order.order_id), "clientAlgoId": rows.client_id(order), **done}

    def _cancel_batch(self, request: Request, form: dict[str, Any]) -> Any:
        """Each row says for itself whether it was done; the reply is a 200 whatever they say."""
        names = listed_ids(form, "orderidlist", "orderIdList")
        names = names or listed_ids(form, "origclientorderidlist", "origClientOrderIdList")
        if not 0 < len(names) <= _BATCH:
            raise refusal(-1130, "Data sent for parameter 'orderIdList' is not valid.")
        return [self._cancel_row(request, {"symbol": wanted(form, "symbol"), "orderId": name}) for name in names]

    def _cancel_row(self, request: Request, form: dict[str, Any]) -> Any:
        try:
            return self._cancel(request, form)
        except Refused as refused:
            code, said = self.code(refused)
            return {"code": code, "msg": said}

    def _cancel_all(self, request: Request, form: dict[str, Any]) -> Any:
        return self._cancel_book(request, form, algo=False)

    def _cancel_all_algo(self, request: Request, form: dict[str, Any]) -> Any:
        return self._cancel_book(request, form, algo=True)

    def _cancel_book(self, request: Request, form: Mapping[str, Any], *, algo: bool) -> Any:
        symbol = self.exchange.instrument(wanted(form, "symbol")).symbol
        self.exchange.cancel_where(lambda o: rows.is_algo(o) is algo and o.draft.symbol == symbol, request.wall)
        return _ALL_DONE

    def _countdown(self, request: Request, form: dict[str, Any]) -> Any:
        """A switch for each symbol; another call replaces it, 0 stops it."""
        instrument = self.exchange.instrument(wanted(form, "symbol"))
        countdown = whole(form, "countdownTime")
        if countdown is None:
            raise missing("countdownTime")

        def reaches(order: OpenOrder) -> bool:
            return order.draft.symbol == instrument.symbol and not rows.is_algo(order)

        self.exchange.arm_dead_man(countdown / 1000, request.wall, name=instrument.symbol, reaches=reaches)
        return {"symbol": instrument.wire_id, "countdownTime": str(countdown)}

    def _place(self, request: Request, form: dict[str, Any]) -> Any:
        if str(form.get("type")) in rows.CONDITIONAL:
            raise refusal(-4120, _NOT_HERE)
        order, _ = self.exchange.place(self._draft(form), request.wall)
        return rows.plain_order(self.exchange, order) | {"cumQty": text(order.filled)}

    def _place_algo(self, request: Request, form: dict[str, Any]) -> Any:
        if str(form.get("algoType")) != "CONDITIONAL" or str(form.get("type")) not in rows.CONDITIONAL:
            raise refusal(-1116, "Invalid orderType.")
        if len(self._book({}, algo=True)) >= _MOST_CONDITIONAL:
            raise refusal(-4045, "Reach max stop order limit.")
        order, _ = self.exchange.place(self._draft(form), request.wall)
        return rows.algo_order(self.exchange, order)

    def _draft(self, form: Mapping[str, Any]) -> OrderDraft:
        side = str(form.get("positionSide") or "BOTH").lower().replace("both", "")
        if bool(side) is not self.exchange.hedged:
            raise refusal(-4061, "Order's position side does not match user's setting.")
        closes, word = _is_true(form, "closePosition"), wanted(form, "type")
        if side and _is_true(form, "reduceOnly"):
            raise refusal(-1106, "Parameter 'reduceonly' sent when not required.")
        trailing = word == "TRAILING_STOP_MARKET"
        trigger = decimal(form, "activatePrice" if trailing else "triggerPrice")
        symbol = self.exchange.instrument(wanted(form, "symbol")).symbol
        return OrderDraft(
            symbol,
            wanted(form, "side").lower(),
            _TYPES.get(word, word),
            ONE if closes else decimal(form, "quantity") or ZERO,
            decimal(form, "price"),
            trigger or (self.exchange.quotes[symbol].mark if trailing else None),
            form.get("newClientOrderId") or form.get("clientAlgoId"),
            _is_true(form, "reduceOnly"),
            position_side=side,
            close_position=closes,
        )

    # --- settings and listen keys ----------------------------------------------------------------------

    def _set_hedged(self, _: Request, form: dict[str, Any]) -> Any:
        hedged = wanted(form, "dualSidePosition").lower() == "true"
        if hedged is self.exchange.hedged:
            raise refusal(-4059, "No need to change position side.")
        if self.exchange.orders:
            raise refusal(-4067, "Position side cannot be changed if there exists open orders.")
        if self.exchange.positions:
            raise refusal(-4068, "Position side cannot be changed if there exists position.")
        self.exchange.hedged = hedged
        return {"code": 200, "msg": "success"}

    def _set_multi_assets(self, _: Request, form: dict[str, Any]) -> Any:
        self.multi_assets = wanted(form, "multiAssetsMargin").lower() == "true"
        return {"code": 200, "msg": "success"}

    def _new_key(self, request: Request, _: dict[str, Any]) -> Any:
        return {"listenKey": self.listen_keys.give(request.wall)}

    def _renew_key(self, request: Request, _: dict[str, Any]) -> Any:
        if not self.listen_keys.renew(request.wall):
            raise refusal(-1125, "This listenKey does not exist.")
        return {"listenKey": self.listen_keys.key} if self.half is USDM else {}

    def _end_key(self, _: Request, __: dict[str, Any]) -> Any:
        self.listen_keys.end()
        return {}


def _by_symbol(bare: int, named: int = 1) -> Callable[[Mapping[str, Any]], int]:
    return lambda form: named if form.get("symbol") else bare


def _is_true(form: Mapping[str, Any], name: str) -> bool:
    return str(form.get(name, "")).lower() == "true"


@cache
def _brackets(listing: markets.Listing) -> bytes:
    floor = "qtyFloor" if listing is markets.INVERSE else "notionalFloor"
    tiers = [{"bracket": 1, "initialLeverage": 50, floor: 0, "maintMarginRatio": 0.004, "cum": 0.0}]
    return json.dumps([{"symbol": each.wire_id, "brackets": tiers} for each in listing.instruments()]).encode()
