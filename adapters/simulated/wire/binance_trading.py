"""What can be done with orders of binance's spot and margin, and with algo orders of spot.

An order belongs to spot, to the cross account or to a pair's own wallet, and every call is about one of the three.
A TWAP of the venue's own outlives every cancel of its orders; it is listed and stopped in a book of its own.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adapters.simulated.model import ZERO, Bot, Cancelled, OpenOrder, OrderDraft, Refused
from adapters.simulated.wire import binance_orders as orders
from adapters.simulated.wire import binance_wallets as wallets
from adapters.simulated.wire.base import Request, decimal, milliseconds, text
from adapters.simulated.wire.binance_common import refusal, wanted, whole
from adapters.simulated.wire.binance_wallets import SpotAndMargin

_ALGOS = ("twap", "vp")
CONVERT = "convert"
"""The book of limit orders that are not traded but converted: no listing of orders shows them."""

_DAY_MS = 86_400_000
_SLICES = 100


class Trading:
    """The calls of orders."""

    def __init__(self, account: SpotAndMargin) -> None:
        self.account = account
        self._numbers = itertools.count(1)

    def cancel_id(self) -> str:
        """The client id of a cancel that names none."""
        return f"simcancel{next(self._numbers)}"

    def chosen(self, form: Mapping[str, Any], margin: bool) -> Callable[[OpenOrder], bool]:
        """Which orders a call is about: of its account, and of its symbol if it names one. Raises Refused."""
        symbol = self.account.instrument(str(form["symbol"])).symbol if form.get("symbol") else None
        isolated = margin and orders.is_isolated(form)
        return lambda order: (
            order.draft.book != CONVERT
            and order.draft.leveraged == margin
            and order.draft.isolated == isolated
            and symbol in (None, order.draft.symbol)
        )

    def found(self, form: Mapping[str, Any], margin: bool, among: Iterable[OpenOrder]) -> OpenOrder | None:
        """The order of `orderId` or `origClientOrderId`. Raises Refused."""
        wanted(form, "symbol")
        number, own = whole(form, "orderId"), form.get("origClientOrderId")
        if number is None and not own:
            raise refusal(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        fits = self.chosen(form, margin)
        return next(
            (
                order
                for order in among
                if fits(order) and (orders.client_id(order) == own if number is None else order.order_id == str(number))
            ),
            None,
        )

    def open_orders(self, form: Mapping[str, Any], margin: bool) -> list[dict[str, Any]]:
        if margin and orders.is_isolated(form):
            wanted(form, "symbol")
        resting = filter(self.chosen(form, margin), self.account.orders.values())
        return [orders.open_row(self.account, order) for order in resting if not self.account.is_pending(order)]

    def open_lists(self, request: Request, form: Mapping[str, Any], margin: bool) -> list[dict[str, Any]]:
        if margin and orders.is_isolated(form):
            wanted(form, "symbol")
        resting = filter(self.chosen(form if margin else {}, margin), self.account.orders.values())
        return [orders.order_list(self.account, legs, request.wall) for legs in orders.lists_of(resting)]

    def order(self, form: Mapping[str, Any], margin: bool) -> dict[str, Any]:
        """One order, whatever became of it."""
        ended = [(gone.order, _end(gone)) for gone in reversed(self.account.cancelled)]
        ended += [(fill.order, "FILLED") for fill in reversed(self.account.fills) if not fill.order.remaining]
        resting = self.found(form, margin, self.account.orders.values())
        order = resting or self.found(form, margin, [order for order, _ in ended])
        if order is None:
            raise refusal(-2013, "Order does not exist.")
        row = orders.open_row(self.account, order)
        return row if resting else row | {"status": next(end for gone, end in ended if gone is order)}

    def place(self, request: Request, form: Mapping[str, Any], margin: bool) -> dict[str, Any]:
        draft = orders.draft_of(self.account, form, margin=margin)
        if margin and form.get("sideEffectType") in ("MARGIN_BUY", "AUTO_BORROW_REPAY"):
            self._borrow(draft, request.wall)
        order, fill = self.account.place(draft, request.wall)
        return orders.placed_row(self.account, order, fill, request.wall)

    def _borrow(self, draft: OrderDraft, wall: float) -> None:
        """Take a loan of what the order lacks."""
        pair, wallet = self.account.instruments[draft.symbol], self.account.wallet_of(draft) or ""
        price = draft.price or self.account.quotes[draft.symbol].ask
        asset, needed = (pair.base, draft.quantity) if draft.side == "sell" else (pair.quote, draft.quantity * price)
        lacking = needed - wallets.free_and_locked(self.account, wallet, asset)[0]
        if lacking > 0:
            self.account.borrow(asset, lacking, wall, wallet=wallet)

    def place_oco(self, request: Request, form: Mapping[str, Any], margin: bool) -> dict[str, Any]:
        """Both legs, above and below; neither crosses, whatever their prices."""
        book = f"oco-{next(self._numbers)}"
        drafts = [orders.draft_of(self.account, form, margin=margin, leg=leg, book=book) for leg in ("above", "below")]
        legs = [self.account.place(draft, request.wall, checked=False)[0] for draft in drafts]
        reports = [orders.placed_row(self.account, leg, None, request.wall) for leg in legs]
        return orders.order_list(self.account, legs, request.wall) | {"orderReports": reports}

    def cancel(self, request: Request, form: Mapping[str, Any], margin: bool) -> dict[str, Any]:
        order = self.found(form, margin, self.account.orders.values())
        if order is None:
            raise Refused("unknown_order", "there is none")
        self.account.cancel(order.order_id, request.wall)
        cancel_id = str(form.get("newClientOrderId") or self.cancel_id())
        row = orders.cancelled_row(self.account, order, cancel_id, request.wall)
        return row | ({"orderId": order.order_id} if margin else {})

    def cancel_all(self, request: Request, form: Mapping[str, Any], margin: bool) -> list[dict[str, Any]]:
        """Every order of a symbol and every list: a list is one row with a report for each leg."""
        wanted(form, "symbol")
        gone = self.account.cancel_where(self.chosen(form, margin), request.wall)
        if not gone:
            raise Refused("unknown_order", "there is none")
        single = [order for order in gone if not wallets.is_listed(order)]
        rows = [orders.cancelled_row(self.account, order, self.cancel_id(), request.wall) for order in single]
        return rows + [self._ended(legs, request.wall) for legs in orders.lists_of(gone)]

    def cancel_list(self, request: Request, form: Mapping[str, Any], margin: bool) -> dict[str, Any]:
        wanted(form, "symbol")
        number, own = whole(form, "orderListId"), str(form.get("listClientOrderId", ""))
        fits = self.chosen(form, margin)
        for legs in orders.lists_of(filter(fits, self.account.orders.values())):
            if wallets.list_id(legs[0]) == number or own == f"list{wallets.list_id(legs[0])}":
                self.account.cancel(legs[0].order_id, request.wall)
                return self._ended(legs, request.wall)
        raise Refused("unknown_order", "there is no such list")

    def _ended(self, legs: list[OpenOrder], wall: float) -> dict[str, Any]:
        reports = [orders.cancelled_row(self.account, leg, self.cancel_id(), wall) for leg in legs]
        return orders.order_list(self.account, legs, wall, is_done=True) | {"orderReports": reports}

    def trades(self, form: Mapping[str, Any], margin: bool) -> list[dict[str, Any]]:
        """Of one symbol: the newest, or from a time or an id on, the eldest; a day at most."""
        pair = self.account.instrument(wanted(form, "symbol"))
        wallet = self.account.wallet_of(
            OrderDraft(pair.symbol, "", "", ZERO, leveraged=margin, isolated=margin and orders.is_isolated(form))
        )
        start, end, first = whole(form, "startTime"), whole(form, "endTime"), whole(form, "fromId")
        if start is not None and end is not None and end - start > _DAY_MS:
            raise refusal(-1127, "More than 24 hours between startTime and endTime.")
        rows = [
            row
            for row in orders.trades(self.account, wallet or "", pair.symbol, margin)
            if (start or 0) <= row["time"] <= (end or row["time"]) and (first or 0) <= row["id"]
        ]
        limit = min(whole(form, "limit", 500) or 500, 1000)
        return rows[-limit:] if start is None and first is None else rows[:limit]

    # --- limit orders of Convert -----------------------------------------------------------------------

    def conversions(self) -> dict[str, Any]:
        return {"list": [self._conversion(order) for order in self.account.orders.values() if _is_converted(order)]}

    def _conversion(self, order: OpenOrder) -> dict[str, Any]:
        draft, pair = order.draft, self.account.instruments[order.draft.symbol]
        price = draft.price or self.account.quotes[draft.symbol].mark
        legs = [(pair.base, draft.quantity), (pair.quote, draft.quantity * price)]
        (given, gives), (got, gets) = legs if draft.side == "sell" else legs[::-1]
        return {
            "quoteId": f"sim{order.order_id}",
            "orderId": int(order.order_id),
            "orderStatus": "PROCESS",
            "fromAsset": given,
            "fromAmount": text(gives),
            "toAsset": got,
            "toAmount": text(gets),
            "ratio": text(price),
            "inverseRatio": text(1 / price, 8),
            "createTime": milliseconds(order.placed_wall),
            "expiredTimestamp": milliseconds(order.placed_wall) + 30 * _DAY_MS,
        }

    def cancel_conversion(self, request: Request, form: Mapping[str, Any]) -> dict[str, Any]:
        order = self.account.orders.get(wanted(form, "orderId"))
        if order is None or not _is_converted(order):
            raise Refused("unknown_order", "there is none")
        self.account.cancel(order.order_id, request.wall)
        return {"orderId": int(order.order_id), "status": "CANCELED"}

    # --- algo orders -----------------------------------------------------------------------------------

    def algos(self) -> dict[str, Any]:
        rows = [self._algo(bot) for bot in self.account.strategies(*_ALGOS)]
        return {"total": len(rows), "orders": rows}

    def _algo(self, bot: Bot) -> dict[str, Any]:
        return {
            "algoId": algo_id(bot.bot_id),
            "symbol": self.account.instrument(bot.draft.symbol).wire_id,
            "side": bot.draft.side.upper(),
            "totalQty": text(bot.draft.quantity * _SLICES, 8),
            "executedQty": "0.00000000",
            "executedAmt": "0.00000000",
            "avgPrice": "0.00",
            "clientAlgoId": bot.bot_id,
            "bookTime": milliseconds(bot.began_wall),
            "endTime": 0,
            "algoStatus": "WORKING",
            "algoType": bot.strategy.upper(),
            "urgency": "LOW",
        }

    def start_twap(self, request: Request, form: Mapping[str, Any]) -> dict[str, Any]:
        """A TWAP that places a hundredth every hundredth of its time."""
        duration = whole(form, "duration") or 300
        quantity = decimal(form, "quantity") or ZERO
        pair = self.account.instrument(wanted(form, "symbol"))
        price = decimal(form, "limitPrice") or self.account.quotes[pair.symbol].mark
        side, name = wanted(form, "side").lower(), str(form.get("clientAlgoId") or f"simalgo{next(self._numbers)}")
        draft = OrderDraft(pair.symbol, side, "limit", quantity / _SLICES, price)
        self.account.start_bot(Bot(name, draft, duration / _SLICES, name, "twap"), request.wall)
        return {"clientAlgoId": name, "success": True, "code": 0, "msg": "OK"}

    def stop_algo(self, request: Request, form: Mapping[str, Any]) -> dict[str, Any]:
        number = wanted(form, "algoId")
        bot = next((bot for bot in self.account.strategies(*_ALGOS) if str(algo_id(bot.bot_id)) == number), None)
        if bot is None:
            raise refusal(-20124, "Invalid algo id or it has been completed.")
        self.account.stop_strategy(bot.bot_id, request.wall)
        return {"algoId": int(number), "success": True, "code": 0, "msg": "OK"}


def _is_converted(order: OpenOrder) -> bool:
    return order.draft.book == CONVERT


def algo_id(name: str) -> int:
    """The venue's number of an algo order."""
    return int(name) if name.isdigit() else zlib.crc32(name.encode())


def _end(gone: Cancelled) -> str:
    return "EXPIRED" if gone.how == "oco" else "CANCELED"
