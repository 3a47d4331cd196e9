"""A row of the table: what is measured, what should hold, what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """at_most, at_least: what holds; neither: told for comparison. unit: what `measured` is in; empty for a ratio."""

    name: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    @property
    def hold_at(self) -> str:
        """The bound in words; empty where there is none."""
        if self.at_most is not None:
            return f"<= {self.at_most:,g}"
        return "" if self.at_least is None else f">= {self.at_least:,g}"

    @property
    def held(self) -> bool | None:
        """None where there is nothing to hold."""
        if self.at_most is not None:
            return self.measured <= self.at_most
        return None if self.at_least is None else self.measured >= self.at_least

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"name": self.name, "measured": self.measured, "hold_at": self.hold_at, "held": self.held}
