"""Notices that a bot's token was revoked, so that what it told ends with it."""

from __future__ import annotations

from collections.abc import Callable

from risk_daemon.auth.tokens import Role, TokenStore
from risk_daemon.engine.decision import Decision
from risk_daemon.errors import StateError
from risk_daemon.model.events import Input, Tick, TokenRevoked


class TokenWatch:
    """`heard` is told of every decision, and looks at the tokens when time passes."""

    def __init__(self, tokens: TokenStore, emit: Callable[[Input], None]) -> None:
        self._tokens = tokens
        self._emit = emit
        self._version = -1
        self._good: frozenset[tuple[str, float]] = frozenset()

    def heard(self, decision: Decision) -> None:
        """A file that can't be read tells nothing: its tokens are refused, and nobody's is known to be revoked."""
        if not isinstance(decision.event, Tick):
            return
        version = self._tokens.version()
        if version == self._version:
            return
        try:
            rows = self._tokens.list()
        except StateError:
            return
        self._version = version
        good = frozenset((row.name, row.created_wall) for row in rows if row.role is Role.BOT)
        for name, _ in sorted(self._good - good):
            self._emit(TokenRevoked(name))
        self._good = good
