"""What holds for all channels."""

from __future__ import annotations

from dataclasses import dataclass, field

from risk_daemon.alerts.delivery import DeliverySettings
from risk_daemon.alerts.routing import RoutingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """What holds for all channels. look_every_s: how often time is looked at for repeats and summaries."""

    strategy_name: str = "risk-daemon"
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    look_every_s: float = 0.5
