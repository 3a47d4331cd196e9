"""The table [fund] at a start. This version has the budgets and no way yet to hold one: so it refuses to look as if."""

from __future__ import annotations

from collections.abc import Iterator

from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError

_WHY = "this version can't guard a fund's limit yet, and a limit that nobody holds is worse than none: take [fund] out"


def refuse_fund(settings: Settings) -> None:
    """Raises ConfigError where a fund is configured."""
    for sentence in fund_problems(settings):
        raise ConfigError(f"{settings.file}: fund: {sentence}.")


def fund_problems(settings: Settings) -> Iterator[str]:
    """Why a start would be refused, in sentences."""
    if settings.fund is not None:
        yield _WHY
