"""bybit's strategies: parents that it runs itself, and that place their orders again when those are cancelled.

Chase, TWAP, iceberg and POV are listed and stopped here. Its bots (grid, martingale, DCA) are listed by no
endpoint at all: only their orders are seen.
"""

from __future__ import annotations

from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import Bot, Instrument
from adapters.simulated.wire.base import Request, Route, milliseconds, text
from adapters.simulated.wire.bybit_words import Outcome, page, refused

LISTED = ("twap", "chaseOrder", "iceberg", "pov")
_RUNNING = 2


class Strategies:
    """Lists and stops them."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v5/strategy/list"): Route(Call.OPEN_ORDERS, self._list),
            ("POST", "/v5/strategy/stop"): Route(Call.CANCEL, self._stop),
        }

    def _list(self, _: Request, form: dict[str, Any]) -> Any:
        """What runs; what has ended is forgotten."""
        wanted = form.get("strategyType") or ""
        found = self.exchange.strategies(*((wanted,) if wanted in LISTED else LISTED))
        if str(form.get("status") or _RUNNING) != str(_RUNNING) or wanted not in ("", *LISTED):
            found = []
        found = [
            bot
            for bot in found
            if form.get("symbol") in (None, "", self._instrument(bot).wire_id)
            and form.get("category") in (None, "", _category(self._instrument(bot)))
            and form.get("strategyId") in (None, "", bot.bot_id)
        ]
        shown, cursor = page(found, form, _key, is_encoded=True, ends=True)
        told = {"list": [self._row(bot) for bot in shown], "nextCursor": cursor, "prevCursor": ""}
        return Outcome(told, "success")

    def _row(self, bot: Bot) -> dict[str, Any]:
        instrument, draft, at = self._instrument(bot), bot.draft, str(milliseconds(bot.began_wall))
        return {
            "strategyId": bot.bot_id,
            "category": _category(instrument),
            "symbol": instrument.wire_id,
            "side": draft.side.capitalize(),
            "size": text(draft.quantity * 100),
            "strategyType": bot.strategy,
            "status": _RUNNING,
            "executedSize": "0",
            "executedAvgPrice": "0",
            "executedStartTimeE3": at,
            "executedEndTimeE3": "0",
            "createdTimeE3": at,
            "updatedTimeE3": at,
            "reduceOnly": draft.reduce_only,
            "triggerPrice": "",
            "isTriggered": False,
            "leverageType": int(draft.leveraged),
            "terminateType": 0,
            "terminateRemark": "",
            "interval": int(bot.every_s),
        }

    def _stop(self, request: Request, form: dict[str, Any]) -> Any:
        """Stops it for good, and cancels what it has placed."""
        name = str(form.get("strategyId", ""))
        if name not in {bot.bot_id for bot in self.exchange.strategies(*LISTED)}:
            raise refused(60065)
        self.exchange.stop_strategy(name, request.wall)
        return Outcome({"strategyId": name}, "success")

    def _instrument(self, bot: Bot) -> Instrument:
        return self.exchange.instrument(bot.draft.symbol)


def _category(instrument: Instrument) -> str:
    if instrument.settle is None:
        return "UTA_SPOT"
    is_dated = "-" in instrument.symbol
    family = "INVERSE" if instrument.inverse else instrument.settle
    return f"UTA_{family}_FUTURE" if is_dated else f"UTA_{family}"


def _key(bot: Bot) -> tuple[int, str]:
    return milliseconds(bot.began_wall), bot.bot_id
