"""Kraken's websockets, version 2: tickers in public, the account with a token.

https://docs.kraken.com/exchange/api-reference/spot-websocket-v2
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind

_CHANNELS = {Kind.BALANCES: "balances", Kind.PRICES: "ticker", Kind.ORDERS: "executions"}
_KINDS = {channel: kind for kind, channel in _CHANNELS.items()}


class KrakenWire:
    """One connection. token: for the account's channels; it must be used within 15 minutes."""

    silent_after_s = 30.0
    """Once something is subscribed to, there is a heartbeat a second."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._token = token
        self._number = 0
        self._token_was_taken = False

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        self._number += 1
        params: dict[str, Any] = {"channel": _CHANNELS[kind]}
        if kind is Kind.PRICES:
            # By default this channel speaks only when there is a trade, and a mid moves without one.
            params |= {"symbol": sorted(names), "event_trigger": "bbo"}
        else:
            params["token"] = self._token
        if kind is Kind.ORDERS:
            params["snap_orders"] = True
        message = {"method": "subscribe", "params": params, "req_id": self._number}
        return Ask(key=str(self._number), kind=kind, names=names, message=message)

    def hear(self, message: Mapping[str, Any]) -> Said:
        kind = _KINDS.get(str(message.get("channel")))
        if kind is not None:
            return kind
        if message.get("method") == "subscribe" or message.get("success") is False:
            return self._answer(message)
        return None

    def _answer(self, message: Mapping[str, Any]) -> Said:
        key = str(message["req_id"]) if "req_id" in message else None
        reason = str(message.get("error", "no reason given"))
        if message.get("success") is True or "lready subscribed" in reason:
            result = message.get("result")
            symbol = message.get("symbol", result.get("symbol") if isinstance(result, dict) else None)
            self._token_was_taken = self._token is not None
            return Taken(key, None if symbol is None else frozenset({str(symbol)}))
        if "Invalid session" in reason and self._token_was_taken:
            raise VenueUnavailable("the token has run out: the socket is dialled anew, with another")
        if self._token is not None:
            return Refused(reason, key)
        # Where no field names the pair, its refusal ends with it.
        return Refused(reason, key, frozenset({str(message.get("symbol", reason.rpartition(" ")[2]))}))
