"""`close-positions`: cancel every open order and close every position, by a daemon that runs or without one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli import remote
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, Yes, accepted, app, confirm, load, run_to_end, show
from risk_daemon.cli.operating import OneVenue
from risk_daemon.cli.progress import changes, patience
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, UsageError, VenueError

_TIMEOUT_S = 3_600.0  # the daemon's own deadline ends it sooner
_WORD = "close"


@app.command("close-positions")
def close_positions(
    config: ConfigFile = CONFIG, venue: OneVenue = None, yes: Yes = False, as_json: AsJson = False
) -> ExitCode:
    """Cancel every open order, then close every position by market orders that can only reduce it, and prove both.

    With or without a running daemon. Trading is not locked: `halt` first, or a bot may open positions again. Spot
    holdings are not sold. Ends with 0 only if every position is gone, what is too small to be ordered apart; else
    with 4.
    """
    place = locate(config)
    confirm(_WORD, yes, _consequence(venue))
    try:
        with patience("the daemon cancels every order and closes every position"):
            said = remote.request(
                place.socket, "POST", "/api/v1/close-positions", {"venue": venue}, timeout_s=_TIMEOUT_S
            )
        document = _closed(said)
    except remote.DaemonAbsent:
        document = _close_stopped(config, venue)
    except remote.NotConfirmed as error:
        document = _not_flat(str(error))
    from risk_daemon.cli import render

    show(document, as_json, render.closing)
    return ExitCode.STOPPED if document.get("flat") is True else ExitCode.TRIGGERED_UNPROVEN


def _consequence(venue: str | None) -> str:
    where = "all venues" if venue is None else venue
    return (
        f"Every open order on {where} will be cancelled, stops too, and every position there closed by market orders,"
        " at whatever price they find. Spot holdings are not sold."
    )


def _closed(answer: remote.Answer) -> Mapping[str, Any]:
    """A closing that the daemon began and could not end is not flat; one it refused was never begun."""
    return _not_flat(answer.detail) if answer.status >= 500 else accepted(answer)


def _not_flat(reason: str) -> Mapping[str, Any]:
    return {"flat": False, "reason": reason, "venues": {}, "remaining": None}


def _close_stopped(config: Path, venue: str | None) -> Mapping[str, Any]:
    settings = load(config)
    if venue is not None and venue not in settings.venues:
        raise UsageError(f"there is no venue {venue!r}: one of {', '.join(settings.venues)}")

    from risk_daemon.app import close as closing
    from risk_daemon.cli import render

    operator, progress = operator_name(os.getuid()), changes(render.closing_progress)
    work = closing.close_positions(settings, venue=venue, operator=operator, progress=progress)
    try:
        with patience("no daemon runs: the venues are reached, cancelled, closed and listed from here"):
            result = run_to_end(work)
    except VenueError as error:
        return _not_flat(str(error))
    return result.document()
