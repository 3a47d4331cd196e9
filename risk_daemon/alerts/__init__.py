"""People are told: what alerts, to whom, and that it arrived or did not. Public names are imported when first used."""

# ruff: isort: skip_file
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from risk_daemon.alerts.alert import Alert as Alert, Severity as Severity
    from risk_daemon.alerts.channels.base import (
        AppriseSettings as AppriseSettings,
        EmailSettings as EmailSettings,
        SmsSettings as SmsSettings,
        WebhookSettings as WebhookSettings,
    )
    from risk_daemon.alerts.manager import AlertManager as AlertManager
    from risk_daemon.alerts.settings import AlertSettings as AlertSettings
    from risk_daemon.alerts.routing import RoutingSettings as RoutingSettings

_HOMES = {
    "Alert": "alert",
    "AlertManager": "manager",
    "AlertSettings": "settings",
    "AppriseSettings": "channels.base",
    "EmailSettings": "channels.base",
    "RoutingSettings": "routing",
    "Severity": "alert",
    "SmsSettings": "channels.base",
    "WebhookSettings": "channels.base",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
