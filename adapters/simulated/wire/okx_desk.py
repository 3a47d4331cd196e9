"""Where okx's orders are listed, placed and cancelled, over REST and sockets alike: one account's order desk.

A cancel reaches the ids that it names and nothing else; each id gets a row of its own. Listings show the newest first,
a hundred to a page, without a count. Attached orders rest with their parent, unlisted, until it is filled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Bot, OpenOrder, OrderDraft, Refused
from adapters.simulated.wire import okx_words as words
from adapters.simulated.wire.base import decimal
from adapters.simulated.wire.okx_books import (
    ADVANCED,
    ALGOS,
    PLAIN,
    SPREAD,
    Sent,
    algo_row,
    book_of,
    fill_row,
    is_hidden,
    kind_of,
    plain_row,
    spread_row,
    strategy_row,
)
from adapters.simulated.wire.okx_words import Denied, Rows, outcome

PAGE = 100
_BATCH = 20
_ALGO_BATCH = 10
_TAGS = 20
_AT_ONCE = frozenset({"market", "ioc", "fok", "optimal_limit_ioc"})
_RUNNING = frozenset({"iceberg", "smart_iceberg", "twap", "chase"})
_ALGO_IDS = 1_753_184_812_254_216_192
# Where the documentation is silent, or an account may choose. advance: whether cancel-algos reaches iceberg, twap and
# trailing orders (shared) or cancel-advance-algos alone (apart). children: what a stopped algo placed goes with it or
# stays. cancel_lag_s: how long an order rests on after a yes. unknown_types: algo types that this account does not
# know. algo_state: live, or pause. caa_reach: plain, or all algos as well.
SWITCHES = {
    "advance": "apart",
    "children": "go",
    "cancel_lag_s": "0",
    "unknown_types": "",
    "algo_state": "live",
    "caa_reach": "plain",
}


class Desk:
    """Orders of one account. switches: see SWITCHES, and `posMode` of the account."""

    def __init__(self, exchange: Exchange, switches: Mapping[str, str]) -> None:
        self.exchange = exchange
        self.switches = switches
        self._sent: dict[str, Sent] = {}
        self._algo_ids = itertools.count(_ALGO_IDS)

    def sent(self, order: OpenOrder) -> Sent:
        """What a client sent of an order; nothing of one that is simply there."""
        return self._sent.get(order.order_id, {})

    # --- listings --------------------------------------------------------------------------------------

    def pending(self, form: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`trade/orders-pending`: plain orders of all instruments, but for what bots of the venue's own placed."""
        self._check_instrument(form)
        found = (order for order in self._of_book(PLAIN) if not is_hidden(self.exchange, order))
        rows = (plain_row(self.exchange, order, self.sent(order)) for order in found)
        return page(rows, form, "ordId", ("instType", "instId", "ordType", "state"))

    def algo_pending(self, form: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`trade/orders-algo-pending`: of one type; conditional and oco may be asked for together."""
        asked = str(form.get("ordType", ""))
        types = ("conditional", "oco") if asked == "conditional,oco" else (asked,)
        if not set(types) <= set(ALGOS) - set(self.switches["unknown_types"].split(",")):
            raise Denied("51000", "ordType")
        self._check_instrument(form)
        return page(self.algo_rows(types), form, "algoId", ("instType", "instId", "algoId", "algoClOrdId"))

    def algo_rows(self, types: Iterable[str]) -> list[dict[str, Any]]:
        """Algo orders of these types, and the algos of these types that place orders themselves."""
        state = self.switches["algo_state"]
        orders = (order for kind in types for order in self._of_book(kind))
        resting = [algo_row(self.exchange, order, self.sent(order), state=state) for order in orders]
        bots = self.exchange.strategies(*types)
        return resting + [strategy_row(self.exchange, bot, state=state) for bot in bots]

    def spreads(self, form: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`sprd/orders-pending`: no other listing shows them. Its pages go by `beginId` and `endId`."""
        rows = (spread_row(self.exchange, order) for order in self._of_book(SPREAD))
        renamed = {"after": form.get("endId", ""), "before": form.get("beginId", ""), "limit": form.get("limit", "")}
        return page(rows, {**form, **renamed}, "ordId", ("sprdId", "ordType", "state"))

    def find(self, form: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`trade/order`: an order that rests, or what became of it."""
        self._check_instrument(form)
        wanted = str(form.get("ordId") or form.get("clOrdId") or "")
        exchange = self.exchange
        filled = [fill.order for fill in reversed(exchange.fills) if fill.order.remaining == 0]
        gone = [cancelled.order for cancelled in reversed(exchange.cancelled)]
        for orders, state in ((exchange.orders.values(), ""), (filled, "filled"), (gone, "canceled")):
            for order in orders:
                if wanted in (order.order_id, order.draft.client_order_id) and book_of(order.draft) == PLAIN:
                    return [plain_row(exchange, order, self.sent(order), state=state)]
        raise Denied("51603")

    def find_algo(self, form: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`trade/order-algo`."""
        wanted = str(form.get("algoId") or form.get("algoClOrdId") or "")
        rows = [row for row in self.algo_rows(ALGOS) if wanted in (row["algoId"], row["algoClOrdId"])]
        if not rows:
            raise Denied("51603")
        return rows

    def fills(self, form: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`trade/fills-history`: executions of one type of instruments, between `begin` and `end`."""
        if not form.get("instType"):
            raise Denied("51000", "instType")
        begin, end = decimal(form, "begin") or Decimal(0), decimal(form, "end")
        executed = (fill for fill in self.exchange.fills if book_of(fill.order.draft) != SPREAD)
        rows = (fill_row(self.exchange, fill) for fill in executed)
        within = (row for row in rows if int(row["ts"]) >= begin and (end is None or int(row["ts"]) <= end))
        return page(within, form, "billId", ("instType", "instId", "ordId"))

    def _of_book(self, book: str) -> list[OpenOrder]:
        return [order for order in self.exchange.orders.values() if book_of(order.draft) == book]

    def _check_instrument(self, form: Mapping[str, Any]) -> None:
        """An instrument that is no longer listed is unknown to a listing that names it."""
        name = form.get("instId")
        if name and self.exchange.instrument(str(name)).symbol in self.exchange.delisted:
            raise Denied("51001")

    # --- cancels ---------------------------------------------------------------------------------------

    def cancel(self, asked: Any, now: float) -> Rows:
        """`trade/cancel-order` and `trade/cancel-batch-orders`: plain orders alone."""
        return Rows([self._cancel_plain(row, now) for row in _many(asked, _BATCH)])

    def cancel_spread(self, asked: Mapping[str, Any], now: float) -> Rows:
        """`sprd/cancel-order`."""
        return Rows([self._cancel_in((SPREAD,), asked, now)])

    def cancel_spreads(self, now: float) -> list[dict[str, Any]]:
        """`sprd/mass-cancel`: all of them."""
        self.exchange.cancel_where(lambda order: book_of(order.draft) == SPREAD, now)
        return [{"result": True}]

    def cancel_algos(self, asked: Any, now: float) -> Rows:
        """`trade/cancel-algos`; whether it reaches the advanced ones is a switch."""
        kinds = [kind for kind in ALGOS if self.switches["advance"] == "shared" or kind not in ADVANCED]
        return Rows([self._cancel_algo(kinds, words.GONE, row, now) for row in _many(asked, _ALGO_BATCH)])

    def cancel_advanced(self, asked: Any, now: float) -> Rows:
        """`trade/cancel-advance-algos`: iceberg, twap and trailing orders."""
        kinds = sorted(ADVANCED)
        return Rows([self._cancel_algo(kinds, words.ADVANCE_GONE, row, now) for row in _many(asked, _ALGO_BATCH)])

    def _cancel_plain(self, row: Mapping[str, Any], now: float) -> dict[str, Any]:
        return self._cancel_in((PLAIN,), row, now)

    def _cancel_in(self, books: Iterable[str], row: Mapping[str, Any], now: float) -> dict[str, Any]:
        names = {"ordId": str(row.get("ordId", "")), "clOrdId": str(row.get("clOrdId", "")), "ts": str(int(now * 1000))}
        order = self._resting(names["ordId"] or names["clOrdId"], books, row)
        if order is None or is_hidden(self.exchange, order):
            return outcome(words.GONE, **names)
        self._let_go(order, now)
        return outcome(**names | {"ordId": order.order_id})

    def _cancel_algo(self, kinds: list[str], gone: str, row: Mapping[str, Any], now: float) -> dict[str, Any]:
        names = {"algoId": str(row.get("algoId", "")), "algoClOrdId": str(row.get("algoClOrdId", ""))}
        names |= {"clOrdId": "", "tag": ""}
        if self._stop(names["algoId"], kinds, now):
            return outcome(**names)
        order = self._resting(names["algoId"] or names["algoClOrdId"], kinds, row)
        if order is None:
            return outcome(gone, **names)
        self._let_go(order, now)
        return outcome(**names | {"algoId": order.order_id})

    def _let_go(self, order: OpenOrder, now: float) -> None:
        lag_s = float(self.switches["cancel_lag_s"])
        self.exchange.cancel_later(lambda resting: resting.order_id == order.order_id, now, lag_s, how="cancel")

    def _stop(self, algo_id: str, kinds: list[str], now: float) -> bool:
        """Stop an algo that places orders itself, if that is one."""
        if not any(bot.bot_id == algo_id for bot in self.exchange.strategies(*kinds)):
            return False
        if self.switches["children"] == "go":
            self.exchange.stop_strategy(algo_id, now)
        elif not self.exchange.ignore_cancels:
            self.exchange.stop_bots(algo_id)
        return True

    def _resting(self, name: str, books: Iterable[str], row: Mapping[str, Any]) -> OpenOrder | None:
        """The order of that name in one of the books, in the instrument that the row names (by id, or on sockets by
        a number; a spread by neither)."""
        try:
            order = self.exchange.find(name)
        except Refused:
            return None
        wire_id = self.exchange.instruments[order.draft.symbol].wire_id
        is_it = str(row.get("instId", wire_id)).lower() == wire_id.lower()
        return order if is_it and book_of(order.draft) in books else None

    def arm(self, form: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
        """`trade/cancel-all-after`: a timer for the account, and one for each tag; none of them reaches spreads."""
        tag = str(form.get("tag", ""))
        if tag and tag not in self.exchange.dead_men and len(self.exchange.dead_men) > _TAGS:
            raise Denied("51071")
        is_wide = self.switches["caa_reach"] == "all"

        def reaches(order: OpenOrder) -> bool:
            book = book_of(order.draft)
            is_reached = book == PLAIN or (is_wide and book != SPREAD)
            return is_reached and not is_hidden(self.exchange, order) and tag in ("", self.sent(order).get("tag"))

        return [self._armed(tag, form, now, reaches) | {"tag": tag}]

    def arm_spreads(self, form: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
        """`sprd/cancel-all-after`."""
        return [self._armed(SPREAD, form, now, lambda order: book_of(order.draft) == SPREAD)]

    def _armed(
        self, name: str, form: Mapping[str, Any], now: float, reaches: Callable[[OpenOrder], bool]
    ) -> dict[str, Any]:
        raw = str(form.get("timeOut", ""))
        if not raw:
            raise Denied("50014", "timeOut")
        if not raw.isdigit() or not (int(raw) == 0 or 10 <= int(raw) <= 120):
            raise Denied("51000", "timeOut")
        due = self.exchange.arm_dead_man(float(raw), now, name=name, reaches=reaches)
        return {"triggerTime": "0" if due is None else str(int(due * 1000)), "ts": str(int(now * 1000))}

    # --- placing ---------------------------------------------------------------------------------------

    def place(self, asked: Any, now: float) -> Rows:
        """`trade/order` and `trade/batch-orders`."""
        return Rows([self._place(row, now) for row in _many(asked, _BATCH)])

    def place_algo(self, asked: Mapping[str, Any], now: float) -> Rows:
        """`trade/order-algo`."""
        names = {"algoClOrdId": str(asked.get("algoClOrdId", "")), "clOrdId": "", "tag": str(asked.get("tag", ""))}
        try:
            return Rows([outcome(algoId=self._placed_algo(asked, now), **names)])
        except Refused as refused:
            return Rows([outcome(words.code_of(refused), str(refused), algoId="", **names)])

    def attach(self, now: float) -> None:
        """Place what was attached to orders that are filled by now, and forget it of those that are gone."""
        parents = [name for name, sent in self._sent.items() if sent.get("attachAlgoOrds")]
        for name in parents:
            if name in self.exchange.orders:
                continue
            sent = self._sent.pop(name)
            fill = next((fill for fill in self.exchange.fills if fill.order.order_id == name), None)
            if fill is not None and not any(gone.order.order_id == name for gone in self.exchange.cancelled):
                for attached in sent["attachAlgoOrds"]:
                    self._placed_algo(_protection(sent, attached), now)

    def _place(self, row: Mapping[str, Any], now: float) -> dict[str, Any]:
        names = {"clOrdId": str(row.get("clOrdId", "")), "tag": str(row.get("tag", "")), "ts": str(int(now * 1000))}
        try:
            order, _ = self.exchange.place(self._plain_draft(row), now)
        except Refused as refused:
            return outcome(words.code_of(refused), str(refused), ordId="", **names)
        self._sent[order.order_id] = row
        self.attach(now)
        return outcome(ordId=order.order_id, **names)

    def _placed_algo(self, row: Mapping[str, Any], now: float) -> str:
        """The id of the algo order that a row asks for. Raises Refused."""
        if row.get("ordType") in _RUNNING:
            return self._start(row, now)
        order, _ = self.exchange.place(self._algo_draft(row), now, checked=False)
        self._sent[order.order_id] = row
        return order.order_id

    def _start(self, row: Mapping[str, Any], now: float) -> str:
        limit = decimal(row, "pxLimit") or self.exchange.quotes[self._symbol(row)].bid
        size = decimal(row, "szLimit") or decimal(row, "sz") or Decimal(0)
        draft = self._draft(row, "limit", size, limit, None, "")
        bot_id = str(next(self._algo_ids))
        every_s = float(decimal(row, "timeInterval") or 10)
        self.exchange.start_bot(Bot(bot_id, draft, every_s, f"a{bot_id[-6:]}", str(row["ordType"])), now)
        return bot_id

    def _plain_draft(self, row: Mapping[str, Any]) -> OrderDraft:
        size, price = decimal(row, "sz") or Decimal(0), decimal(row, "px")
        if row.get("ordType") in _AT_ONCE:
            is_spot = self.exchange.instruments[self._symbol(row)].settle is None
            if is_spot and row.get("side") == "buy" and row.get("tgtCcy") != "base_ccy":
                size /= self.exchange.quotes[self._symbol(row)].ask
            return self._draft(row, "market", size, None, None, "")
        if row.get("ordType") not in ("limit", "post_only"):
            raise Refused("invalid", "ordType")
        return self._draft(row, "limit", size, price, None, "")

    def _algo_draft(self, row: Mapping[str, Any]) -> OrderDraft:
        book, size = str(row.get("ordType", "")), decimal(row, "sz") or Decimal(0)
        mark = self.exchange.quotes[self._symbol(row)].mark
        if book == "move_order_stop":
            return self._draft(row, "trailing_stop", size, None, decimal(row, "activePx") or mark, book)
        if book == "trigger":
            return self._draft(row, "stop_loss", size, _limit(row, "orderPx"), decimal(row, "triggerPx"), book)
        if book not in ("conditional", "oco"):
            raise Refused("invalid", "ordType")
        if (stop := decimal(row, "slTriggerPx")) is not None:
            return self._draft(row, "stop_loss", size, _limit(row, "slOrdPx"), stop, book)
        return self._draft(row, "take_profit", size, _limit(row, "tpOrdPx"), decimal(row, "tpTriggerPx"), book)

    def _draft(
        self,
        row: Mapping[str, Any],
        order_type: str,
        size: Decimal,
        price: Decimal | None,
        trigger: Decimal | None,
        book: str,
    ) -> OrderDraft:
        instrument = self.exchange.instruments[self._symbol(row)]
        mode, leg = str(row.get("tdMode", "")), str(row.get("posSide", "net"))
        draft = OrderDraft(
            instrument.symbol,
            str(row.get("side", "")),
            order_type + ("_limit" if trigger is not None and price is not None else ""),
            size,
            price,
            trigger,
            row.get("clOrdId") or row.get("algoClOrdId"),
            str(row.get("reduceOnly", "")).lower() == "true",
            leveraged=instrument.settle is None and mode in ("cross", "isolated") and not book,
            isolated=mode == "isolated",
            book=book,
            position_side="" if leg == "net" else leg,
        )
        has_legs = self.switches["posMode"] == "long_short_mode" and kind_of(instrument, draft) in ("SWAP", "FUTURES")
        if bool(draft.position_side) != has_legs:
            raise Refused("invalid", "posSide")
        return draft

    def _symbol(self, row: Mapping[str, Any]) -> str:
        symbol = self.exchange.instrument(str(row.get("instId", ""))).symbol
        if symbol in self.exchange.delisted:
            raise Refused("unknown_symbol", "it is listed no longer")
        return symbol


def page(
    rows: Iterable[dict[str, Any]], form: Mapping[str, Any], name: str, filters: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """The newest first, at most a hundred. `after` asks for older rows than that id, `before` for newer ones."""
    kept = [row for row in rows if all(not form.get(key) or str(form[key]) == row.get(key) for key in filters)]
    kept.sort(key=lambda row: _order(row[name]), reverse=True)
    if older := form.get("after"):
        kept = [row for row in kept if _order(row[name]) < _order(older)]
    if newer := form.get("before"):
        kept = [row for row in kept if _order(row[name]) > _order(newer)]
    limit = decimal(form, "limit")
    return kept[: PAGE if limit is None else max(1, min(PAGE, int(limit)))]


def _order(name: Any) -> tuple[int, str]:
    """By number; what is no number (a bot that was given a name of its own) comes last."""
    name = str(name)
    return (int(name), "") if name.isdigit() else (-1, name)


def _many(asked: Any, most: int) -> list[Mapping[str, Any]]:
    """The rows of a request. Raises Denied unless each names an instrument, or there are too many."""
    rows = asked if isinstance(asked, list) else [asked]
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise Denied("50002")
    if len(rows) > most:
        raise Denied("51406", str(most))
    if not all(row.get("instId") for row in rows):
        raise Denied("50014", "instId")
    return rows


def _limit(row: Mapping[str, Any], name: str) -> Decimal | None:
    """The price of what is triggered; -1 is the market's."""
    price = decimal(row, name)
    return None if price is None or price < 0 else price


def _protection(sent: Sent, attached: Mapping[str, Any]) -> dict[str, Any]:
    """An attached order as an order of its own: it closes what its parent opened."""
    both = attached.get("slTriggerPx") and attached.get("tpTriggerPx")
    return {
        **attached,
        "instId": sent["instId"],
        "tdMode": sent.get("tdMode", ""),
        "posSide": sent.get("posSide", "net"),
        "side": "sell" if sent.get("side") == "buy" else "buy",
        "ordType": "oco" if both else "conditional",
        "sz": attached.get("sz") or sent.get("sz"),
    }
