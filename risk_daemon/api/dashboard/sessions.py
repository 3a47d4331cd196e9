"""Who is logged in at the page. A session is a random name that a browser keeps, and a token that made it.

Kept in memory only, so a restart ends them all. With the token, its sessions end at once.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from risk_daemon.auth.tokens import Role, TokenStore
from risk_daemon.model.clock import Clock

ROLES = frozenset({Role.OPERATOR, Role.VIEWER})


@dataclass(slots=True, eq=False)
class Session:
    """csrf: stands in every form. used_mono: when its browser last asked for something."""

    name: str
    role: Role
    token: str = field(repr=False)
    key: str = field(repr=False)
    csrf: str = field(repr=False)
    since_mono: float = 0.0
    used_mono: float = 0.0
    is_over: bool = False

    @property
    def may_act(self) -> bool:
        """A viewer sees everything and can do nothing."""
        return self.role is Role.OPERATOR

    def signs(self, csrf: str) -> bool:
        """Whether a form is one that this session was given."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode())


class Sessions:
    """All of them. idle_s: without an open page. lasts_s: at the longest. of_one: of one token; the oldest goes."""

    def __init__(
        self, tokens: TokenStore, clock: Clock, *, idle_s: float = 3_600.0, lasts_s: float = 86_400.0, of_one: int = 32
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._idle_s = idle_s
        self._lasts_s = lasts_s
        self._of_one = of_one
        self._version = -1
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, token: str) -> Session | Role | None:
        """A new one; the role of a token that is none of a page's; None for a token that is not valid."""
        principal = self._tokens.authenticate(token)
        if principal is None:
            return None
        if principal.role not in ROLES:
            return principal.role
        self.sweep()
        same = sorted((one for one in self._sessions.values() if one.token == token), key=lambda one: one.used_mono)
        for one in same[: max(0, len(same) - self._of_one + 1)]:
            self.end(one)
        key, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(32), self._clock.now().mono
        session = Session(principal.name, principal.role, token, key, csrf, since_mono=now, used_mono=now)
        self._sessions[key] = session
        return session

    def of(self, key: str) -> Session | None:
        """Whose browser asks, which counts as use."""
        self.sweep()
        session = self._sessions.get(key)
        if session is not None:
            session.used_mono = self._clock.now().mono
        return session

    def end(self, session: Session) -> None:
        """A second call does nothing."""
        session.is_over = True
        self._sessions.pop(session.key, None)

    def sweep(self) -> None:
        """End what is too old, and what lost its token."""
        now, version = self._clock.now().mono, self._tokens.version()
        for one in tuple(self._sessions.values()):
            is_old = now - one.used_mono > self._idle_s or now - one.since_mono > self._lasts_s
            if is_old or (version != self._version and not self._is_good(one)):
                self.end(one)
        self._version = version

    def _is_good(self, session: Session) -> bool:
        principal = self._tokens.authenticate(session.token)
        return principal is not None and (principal.name, principal.role) == (session.name, session.role)
