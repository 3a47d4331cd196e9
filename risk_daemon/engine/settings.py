"""Everything the engine may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from risk_daemon.baselines.baselines import BaselineSettings
from risk_daemon.breakers.blind import BlindSettings
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.engine.confirmation import ConfirmationSettings
from risk_daemon.gate.pretrade import PreTradeSettings
from risk_daemon.portfolio.flows import FlowSettings
from risk_daemon.portfolio.manager import PortfolioSettings


@dataclass(frozen=True, slots=True)
class ListingSettings:
    """Which order scopes are listed, by venue, and how often; and after how long without it nobody may trade."""

    scopes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    every_s: Mapping[str, float] = field(default_factory=dict)
    default_every_s: float = 15.0
    veto_after_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManSettings:
    """A venue's own switch. covers, leaves: what it cancels when it fires, and what not, as sentences."""

    timeout_s: float
    covers: str
    leaves: str
    call_timeout_s: float = 10.0

    @property
    def refresh_every_s(self) -> float:
        """Three refreshes in a row may be lost before it fires."""
        return self.timeout_s / 4


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Seconds and ratios.

    price_skew_s: how far apart in time the prices of one underlying's legs may be.
    close_positions: a trip ends only when every position is closed, too; a freeze closes none.
    resweep_every_s: while frozen, every venue is emptied again so often.
    allow_reduce_only: orders that surely only make a position smaller may pass a veto or a freeze.
    dead_men: the venues whose own switch is kept from firing, for as long as this engine thinks.
    leases: by whom this guard must be let for its gate to open: see outside.py.
    """

    reference: str = "USDT"
    portfolio: PortfolioSettings = field(default_factory=PortfolioSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
    flows: FlowSettings = field(default_factory=FlowSettings)
    capital_loss: CapitalLossSettings = field(default_factory=CapitalLossSettings)
    blind: BlindSettings = field(default_factory=BlindSettings)
    listing: ListingSettings = field(default_factory=ListingSettings)
    confirmation: ConfirmationSettings = field(default_factory=ConfirmationSettings)
    price_skew_s: float = 1.0
    cancel_deadline_s: float = 300.0
    close_positions: bool = False
    warning_hold_s: float = 1.0
    update_every_s: float = 1.0
    resweep_every_s: float = 30.0
    allow_reduce_only: bool = False
    pretrade: PreTradeSettings = field(default_factory=PreTradeSettings)
    dead_men: Mapping[str, DeadManSettings] = field(default_factory=dict)
    leases: frozenset[str] = frozenset()
