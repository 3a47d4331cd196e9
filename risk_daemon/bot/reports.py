"""What a bot tells the daemon of its orders, so that the rates of orders and errors are the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ERROR_KINDS: Final = ("order_rejected", "broker", "connection", "data_feed", "strategy", "expected")
_MAX_TEXT = 256


class Reporter:
    """The reports, sync and async. Each returns whether the daemon heard it, and raises nothing but ValueError.

    A subclass carries a report over in `_tell` and `_atell`.
    """

    def report_sent(
        self, *, venue: str, symbol: str, side: str, order_id: str | None = None, client_order_id: str | None = None
    ) -> bool:
        """An order that the venue took."""
        return self._tell(_sent(venue, symbol, side, order_id, client_order_id))

    def report_rejected(self, *, venue: str | None = None, detail: str = "") -> bool:
        """An order that the venue refused."""
        return self._tell(_document("rejected", venue=venue, detail=detail))

    def report_error(self, kind: str, *, venue: str | None = None, detail: str = "") -> bool:
        """An error, of one of ERROR_KINDS. Raises ValueError for another."""
        return self._tell(_error(kind, venue, detail))

    async def areport_sent(
        self, *, venue: str, symbol: str, side: str, order_id: str | None = None, client_order_id: str | None = None
    ) -> bool:
        """As `report_sent`, without blocking the event loop."""
        return await self._atell(_sent(venue, symbol, side, order_id, client_order_id))

    async def areport_rejected(self, *, venue: str | None = None, detail: str = "") -> bool:
        """As `report_rejected`, without blocking the event loop."""
        return await self._atell(_document("rejected", venue=venue, detail=detail))

    async def areport_error(self, kind: str, *, venue: str | None = None, detail: str = "") -> bool:
        """As `report_error`, without blocking the event loop."""
        return await self._atell(_error(kind, venue, detail))

    def _tell(self, document: Mapping[str, Any]) -> bool:
        raise NotImplementedError

    async def _atell(self, document: Mapping[str, Any]) -> bool:
        raise NotImplementedError


def _sent(venue: str, symbol: str, side: str, order_id: str | None, client_order_id: str | None) -> Mapping[str, Any]:
    return _document("sent", venue=venue, symbol=symbol, side=side, order_id=order_id, client_order_id=client_order_id)


def _error(kind: str, venue: str | None, detail: str) -> Mapping[str, Any]:
    if kind not in ERROR_KINDS:
        raise ValueError(f"{kind!r} is no kind of error: write one of {', '.join(ERROR_KINDS)}")
    return _document("error", error_kind=kind, venue=venue, detail=detail)


def _document(kind: str, **members: str | None) -> Mapping[str, Any]:
    """Without what is None or empty. Texts are cut: a detail may hold a whole page of an exchange."""
    told = {name: value[:_MAX_TEXT] for name, value in members.items() if value}
    return {"kind": kind, **told}
