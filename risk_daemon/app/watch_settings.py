"""What a watch goes by: the configuration of its guard, and the last good one where that can't be read.

A typing error in it keeps the guard from starting. It must not keep the watch from saying so.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import ValidationError

from risk_daemon.app.salvage import salvage
from risk_daemon.config.load import Settings, load
from risk_daemon.config.notation import Refused
from risk_daemon.config.regular_file import read_regular
from risk_daemon.config.settings import as_file
from risk_daemon.errors import ConfigError
from risk_daemon.state.files import replace_file

KEPT = "config.last-good.toml"
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """directory: for what the watch keeps. refusal: why the file of today is not what it goes by."""

    settings: Settings
    directory: Path
    refusal: str | None = None


def watch_settings(config: Path, directory: Path | None) -> WatchSettings:
    """directory None: beside the guard's own. Raises ConfigError where there is no good one either."""
    try:
        settings = load(config)
    except ConfigError as error:
        own = directory or salvage(config).state_dir / "watch"
        return WatchSettings(_kept(config, own, error), own, str(error))
    return WatchSettings(settings, directory or settings.state.dir / "watch")


def keep(config: Path, directory: Path) -> None:
    """Remember a file that was good. It has no secrets. What can't be kept is logged."""
    try:
        replace_file(directory / KEPT, read_regular(config), mode=0o600, durable=True)
    except OSError as error:
        _LOG.error("configuration_not_kept", error=str(error))


def _kept(config: Path, directory: Path, refusal: ConfigError) -> Settings:
    """As if it stood in `config`, whose place its paths are relative to. Raises `refusal`."""
    try:
        tables = tomllib.loads((directory / KEPT).read_text("utf-8"))
        return Settings.model_validate(tables, context=as_file(config))
    except (OSError, ValueError, ValidationError, Refused):
        raise refusal from None
