"""What is wanted of one connection, what was asked for and what the venue answered: one question at a time."""

from __future__ import annotations

from adapters.wire import Ask, Refused, Taken, Wire
from risk_daemon.model.account import Kind

_NONE: frozenset[str] = frozenset()


class Subscriptions:
    """The questions of one connection, in the order in which streams were first wanted.

    wanted: what each stream is to show.
    """

    def __init__(self) -> None:
        self.wanted: dict[Kind, frozenset[str]] = {}
        self._taken: dict[Kind, frozenset[str]] = {}
        self._refused: dict[Kind, frozenset[str]] = {}
        self._alone: set[str] = set()
        self._asked: Ask | None = None
        self._unanswered = _NONE

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is awaited."""
        return self._asked is not None

    def next(self, wire: Wire) -> Ask | None:
        """What to say now; None while an answer is awaited, or if nothing is missing."""
        if self._asked is not None:
            return None
        for kind, names in self.wanted.items():
            missing = names - self._taken.get(kind, _NONE) - self._refused.get(kind, _NONE)
            if missing:
                together = missing - self._alone
                ask = wire.ask(kind, together or frozenset({min(missing)}))
                if ask is not None:
                    self._asked, self._unanswered = ask, ask.names
                    return ask
                self._taken[kind] = names
        return None

    def answer(self, said: Taken | Refused) -> tuple[Kind, str] | None:
        """Take an answer. The stream and the reason, if it is now known that nothing of it can be had."""
        asked = self._asked
        if asked is None or said.key not in (None, asked.key):
            return None
        names = self._of(said)
        if names is None:
            # One of several is refused, and nobody says which: each is asked for by itself.
            self._alone |= self._unanswered
            self._asked = None
            return None
        self._unanswered -= names
        if not self._unanswered:
            self._asked = None
        if isinstance(said, Taken):
            self._taken[asked.kind] = self._taken.get(asked.kind, _NONE) | names
            return None
        refused = names if asked.names else self.wanted.get(asked.kind, _NONE)
        self._refused[asked.kind] = self._refused.get(asked.kind, _NONE) | refused
        is_lost = not self._taken.get(asked.kind) and self.wanted.get(asked.kind, _NONE) <= self._refused[asked.kind]
        return (asked.kind, said.reason) if is_lost else None

    def _of(self, said: Taken | Refused) -> frozenset[str] | None:
        """Which of the names in question an answer is about; None: one of them, nobody knows which."""
        if said.names is not None and (isinstance(said, Taken) or said.names & self._unanswered):
            return said.names & self._unanswered
        return self._unanswered if isinstance(said, Taken) or len(self._unanswered) <= 1 else None

    def forget(self, kind: Kind) -> None:
        """Nobody wants this stream any more; whoever does next asks for it anew."""
        for known in (self.wanted, self._taken, self._refused):
            known.pop(kind, None)
