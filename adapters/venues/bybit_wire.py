"""Bybit's websockets, v5: the private one, signed in to, and the public one of a category.

https://bybit-exchange.github.io/docs/v5/ws/connect. Pings of the protocol do not count: it wants its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import Kind

_TOPICS = {Kind.BALANCES: "wallet", Kind.POSITIONS: "position", Kind.ORDERS: "order"}
EXECUTIONS = "execution"
_KINDS = {topic: kind for kind, topic in _TOPICS.items()} | {EXECUTIONS: Kind.ORDERS}
_NOTHING: frozenset[str] = frozenset()
_SIGN_IN_WITHIN_MS = 10_000
_MOST_TOPICS = 10
"""In one request of the public socket of spot."""


class BybitWire:
    """What both have: answers name nothing but the operation, so one thing is asked at a time."""

    silent_after_s = 45.0
    """It is pinged every 15 s, and answers."""

    ping_every_s = 15.0
    ping = json.dumps({"op": "ping"})
    pong = ""

    def __init__(self, url: str) -> None:
        self.url = url

    def _answer(self, message: Mapping[str, Any]) -> Taken | Refused | None:
        """An answer; None for a pong."""
        op, success = message.get("op"), message.get("success")
        if op in ("ping", "pong") or message.get("ret_msg") == "pong":
            return None
        if op not in ("auth", "subscribe", "unsubscribe"):
            raise MalformedReply(f"a message without a topic, of the operation {op!r}")
        if success is not True:
            return Refused(str(message.get("ret_msg") or "no reason given"))
        return Taken()


class BybitPrivateWire(BybitWire):
    """Orders, wallet and positions. now_ms: the venue's time.

    asks_fills: it is asked for what is executed, before its orders. They do without: a refusal is taken for a yes, and
    waits_for_fills tells, when it has ended, that there was no answer.
    """

    def __init__(
        self, url: str, api_key: str, secret: str, now_ms: Callable[[], int], *, asks_fills: bool = True
    ) -> None:
        super().__init__(url)
        self._api_key = api_key
        self._secret = secret
        self._now_ms = now_ms
        self._is_signed_in = False
        self._asks_fills = asks_fills
        self.waits_for_fills = False

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        if not self._is_signed_in:
            return Ask(key="auth", kind=kind, names=_NOTHING, message=self._sign_in())
        if kind is Kind.ORDERS and self._asks_fills:
            self.waits_for_fills = True
            fills = {"op": "subscribe", "args": [EXECUTIONS]}
            return Ask(key=EXECUTIONS, kind=kind, names=_NOTHING, message=fills)
        topic = _TOPICS[kind]
        return Ask(key=topic, kind=kind, names=names, message={"op": "subscribe", "args": [topic]})

    def hear(self, message: Mapping[str, Any]) -> Said:
        topic = message.get("topic")
        if topic is not None:
            return _KINDS.get(str(topic))
        answer = self._answer(message)
        if message.get("op") == "auth" and isinstance(answer, Taken):
            self._is_signed_in = True
        if self.waits_for_fills and answer is not None:
            self._asks_fills = self.waits_for_fills = False
            return Taken()
        return answer

    def _sign_in(self) -> Mapping[str, Any]:
        expires = str(self._now_ms() + _SIGN_IN_WITHIN_MS)
        signature = hmac.new(self._secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
        return {"op": "auth", "args": [self._api_key, expires, signature]}


class BybitPublicWire(BybitWire):
    """Prices of one category. topic_of: what a symbol's prices are told on; None: not here."""

    def __init__(self, url: str, topic_of: Callable[[str], str | None]) -> None:
        super().__init__(url)
        self._topic_of = topic_of

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask | None:
        topics = {name: topic for name in sorted(names) if (topic := self._topic_of(name)) is not None}
        asked = dict(list(topics.items())[:_MOST_TOPICS])
        if not asked:
            return None
        message = {"op": "subscribe", "args": list(asked.values())}
        return Ask(key="prices", kind=kind, names=frozenset(asked), message=message)

    def hear(self, message: Mapping[str, Any]) -> Said:
        return Kind.PRICES if "topic" in message else self._answer(message)
