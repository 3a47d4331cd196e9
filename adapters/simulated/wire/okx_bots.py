"""okx's trading bots: the listings and the stops of grids, DCA, recurring purchases and signals.

What a bot places is in no listing of orders; while it runs, it places again whatever is cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import okx_words as words
from adapters.simulated.wire.okx_books import bot_row, plain_row
from adapters.simulated.wire.okx_desk import page
from adapters.simulated.wire.okx_words import Denied, Rows, outcome

# The first part of the path, the `algoOrdType` that a request names there, and the strategy that it means.
KINDS: dict[str, dict[str, str]] = {
    "grid": {"grid": "grid", "contract_grid": "contract_grid", "moon_grid": "moon_grid"},
    "dca": {"spot_dca": "spot_dca", "contract_dca": "contract_dca"},
    "recurring": {"": "recurring"},
    "signal": {"contract": "signal"},
}
_BATCH = 10


def listed(exchange: Exchange, family: str, form: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Bots that run: a page of a hundred, by `algoId`. The type is required where there is more than one.

    The reference calls `after` required of signals, too: it is, here.
    """
    strategy = _strategy(family, form)
    if family == "signal" and not form.get("after"):
        raise Denied("50014", "after")
    rows = (bot_row(exchange, bot) for bot in exchange.strategies(strategy))
    return page(rows, form, "algoId", ("algoId", "instType"))


def sub_orders(exchange: Exchange, family: str, form: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a bot has placed and what still rests."""
    if not form.get("algoId"):
        raise Denied("50014", "algoId")
    _strategy(family, form)
    found = (order for order in exchange.orders.values() if order.strategy == form["algoId"])
    return page((plain_row(exchange, order, {}) for order in found), form, "ordId", ("instId",))


def stopped(exchange: Exchange, family: str, asked: Any, now: float) -> Rows:
    """Stop bots; a bot that is not of the type named, or runs no longer, is not there."""
    rows = asked if isinstance(asked, list) else [asked]
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise Denied("50002")
    if len(rows) > _BATCH:
        raise Denied("51406", str(_BATCH))
    return Rows([_stopped(exchange, family, row, now) for row in rows])


def _stopped(exchange: Exchange, family: str, row: Mapping[str, Any], now: float) -> dict[str, Any]:
    names = {"algoId": str(row.get("algoId", "")), "algoClOrdId": "", "algoOrdType": str(row.get("algoOrdType", ""))}
    strategies = [_strategy(family, row)] if family in ("grid", "dca") else list(KINDS[family].values())
    if family in ("grid", "dca") and str(row.get("stopType")) not in ("1", "2", "3", "4"):
        return outcome("51000", "stopType", **names)
    if not any(bot.bot_id == names["algoId"] for bot in exchange.strategies(*strategies)):
        return outcome(words.BOT_GONE, **names)
    exchange.stop_strategy(names["algoId"], now)
    return outcome(**names, tag="")


def _strategy(family: str, form: Mapping[str, Any]) -> str:
    asked = "" if family == "recurring" else str(form.get("algoOrdType", ""))
    if not asked and family != "recurring":
        raise Denied("50014", "algoOrdType")
    if asked not in KINDS[family]:
        raise Denied("51000", "algoOrdType")
    return KINDS[family][asked]
