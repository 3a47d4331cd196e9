"""Halts without a trip, of one venue, one bot or everything: a veto for its orders, until somebody releases it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from risk_daemon.gate.restraints import MANUAL_HALT, Restraint

Scope = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Halt:
    """One of them: of a venue, a bot, one bot on one venue, or of everything where neither is named.

    One of everything comes with a state that was set up from a server's; nothing is cancelled by it. since_wall: Unix
    seconds.
    """

    venue: str | None
    bot: str | None
    reason: str
    operator: str
    since_wall: float

    @property
    def text(self) -> str:
        """What is halted, in words."""
        parts = (f"bot {self.bot}" if self.bot else "", f"venue {self.venue}" if self.venue else "")
        return " on ".join(part for part in parts if part) or "everything"


class Halts:
    """The scoped halts in force, one a scope."""

    def __init__(self) -> None:
        self._halts: dict[Scope, Halt] = {}

    def add(self, halt: Halt) -> None:
        """Put a halt in force; a newer one of the same scope takes its place."""
        self._halts[(halt.venue, halt.bot)] = halt

    def find(self, venue: str | None, bot: str | None) -> Halt | None:
        """The halt of exactly this scope."""
        return self._halts.get((venue, bot))

    def release(self, venue: str | None, bot: str | None) -> Halt | None:
        """End the halt of exactly this scope. None if there is none."""
        return self._halts.pop((venue, bot), None)

    def restraints(self) -> tuple[Restraint, ...]:
        """What the gate makes of them."""
        return tuple(
            Restraint(
                MANUAL_HALT,
                f"{halt.text} halted by {halt.operator}: {halt.reason}",
                observed={"operator": halt.operator, "since_wall": halt.since_wall},
                venue=halt.venue,
                bot=halt.bot,
            )
            for halt in self._halts.values()
        )

    def bots(self) -> frozenset[str]:
        """The bots that are halted everywhere."""
        return frozenset(bot for venue, bot in self._halts if venue is None and bot is not None)

    def documents(self) -> list[dict[str, Any]]:
        """As JSON-able data."""
        return [asdict(halt) for halt in self._halts.values()]

    def snapshot(self) -> dict[str, Any]:
        return {"halts": self.documents()}

    def restore(self, data: Mapping[str, Any]) -> None:
        for saved in data["halts"]:
            self.add(Halt(**saved))
