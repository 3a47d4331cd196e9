"""Rows of a venue's book that wait for the holdings to show them, and how what waits is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from risk_daemon.model.events import Flow
from risk_daemon.model.units import finite, plain
from risk_daemon.portfolio.unexplained import Lot


@dataclass(slots=True, kw_only=True, eq=False)
class Pending:
    """A flow's row that waits for its change. lot: its change, where only its price is missing.

    is_certain: it was written since the baselines began. Else it may lie behind us, and counts only if the holdings
    show just this amount. is_told: they did not show it in time; it is left out unless they show just this amount.
    is_counted: the start of a fund rose by it already.
    """

    flow: Flow
    listed_mono: float
    is_certain: bool = True
    is_told: bool = False
    lot: Lot | None = None
    is_counted: bool = False

    @property
    def is_awaited(self) -> bool:
        """Whether the holdings should show it any moment."""
        return self.is_certain and not self.is_told and self.lot is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """Rows of one trade that were not booked yet. is_certain: as of `Pending`."""

    rows: tuple[Flow, ...]
    listed_mono: float
    is_certain: bool


def pending_to_json(row: Pending, now_mono: float) -> dict[str, Any]:
    waited_s = 0.0 if row.is_certain else round(max(0.0, now_mono - row.listed_mono), 3)
    return {
        **flow_to_json(row.flow),
        "is_told": row.is_told,
        "is_certain": row.is_certain,
        "is_counted": row.is_counted,
        "waited_s": waited_s,
    }


def pending_from_json(row: Mapping[str, Any], now_mono: float) -> Pending:
    return Pending(
        flow=flow_from_json(row),
        listed_mono=now_mono - float(row.get("waited_s", 0.0)),
        is_certain=row.get("is_certain", True),
        is_told=row["is_told"],
        is_counted=row.get("is_counted", False),
    )


def lot_to_json(lot: Lot, now_mono: float) -> dict[str, Any]:
    return {
        "asset": lot.asset,
        "units": plain(lot.units),
        "value": plain(lot.value),
        "waited_s": round(max(0.0, now_mono - lot.mono), 3),
        "grown": [plain(lot.grown), plain(lot.grown_there)],
        "equity_then": None if lot.by_prices is None else plain(lot.by_prices + lot.total),
        "in_baselines": lot.in_baselines,
        "in_fund": lot.in_fund,
        "hidden": [lot_to_json(part, now_mono) for part in lot.hidden],
    }


def lot_from_json(row: Mapping[str, Any], now_mono: float) -> Lot:
    """What a lot has waited already, counts: no chain of restarts keeps it in question for ever."""
    grown, grown_there = map(finite, row.get("grown", ("1", "1")))
    seen_mono = now_mono - float(row["waited_s"])
    return Lot(
        asset=row["asset"],
        units=finite(row["units"]),
        value=finite(row["value"]),
        mono=seen_mono,
        seen_mono=seen_mono,
        by_prices=None if row.get("equity_then") is None else finite(row["equity_then"]),
        hidden=tuple(lot_from_json(part, now_mono) for part in row.get("hidden", ())),
        grown=grown,
        grown_there=grown_there,
        in_baselines=row.get("in_baselines", False),
        in_fund=row.get("in_fund", False),
    )


def flow_to_json(flow: Flow) -> dict[str, Any]:
    return {
        "flow_id": flow.flow_id,
        "venue": flow.venue,
        "asset": flow.asset,
        "amount": plain(flow.amount),
        "wall": flow.wall,
        "kind": flow.kind,
    }


def flow_from_json(data: Mapping[str, Any]) -> Flow:
    return Flow(
        flow_id=data["flow_id"],
        venue=data["venue"],
        asset=data["asset"],
        amount=finite(data["amount"]),
        wall=data["wall"],
        kind=data["kind"],
    )
