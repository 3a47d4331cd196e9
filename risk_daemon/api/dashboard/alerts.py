"""Who is told of what, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.api.dashboard.grid import columns, table
from risk_daemon.api.dashboard.html import Markup, joined, tag, text
from risk_daemon.api.dashboard.words import shown, truth, when

_SHOWN = 50


def alerts(document: Mapping[str, Any]) -> Markup:
    """The trip that is not over, the channels, the last attempts."""
    return joined(_standing(document.get("standing")), _channels(document), _attempts(document))


def _standing(standing: Mapping[str, Any] | None) -> Markup:
    if standing is None:
        return tag("p", "No trip waits for somebody to hear of it.", class_="none")
    who = standing.get("acknowledged_by")
    heard = (
        tag("strong", f"acknowledged by {who}", class_="badge good")
        if who
        else tag("strong", "NOBODY HAS ACKNOWLEDGED IT", class_="badge bad")
    )
    told = tag("span", "told ", shown(standing.get("told")), " times since ", when(standing.get("since")))
    return tag("p", heard, " ", shown(standing.get("summary")), " ", told)


def _channels(document: Mapping[str, Any]) -> Markup:
    channels: Mapping[str, Any] = document.get("channels") or {}
    rows = [
        (text(name), *(shown(one.get(key)) for key in ("kind", "severity", "owed", "missed", "failures")))
        for name, one in channels.items()
    ]
    heads = columns("Channel", "Kind", "From", "#Owed", "#Missed", "#Failures in a row")
    return table("Alert channels", heads, rows, empty="Nobody is told of anything: no channel is configured.")


def _attempts(document: Mapping[str, Any]) -> Markup:
    attempts = list(document.get("attempts") or ())[-_SHOWN:]
    rows = [
        (
            when(one.get("time")),
            shown(one.get("channel")),
            shown(one.get("event")),
            truth(one.get("delivered"), "delivered", tag("strong", "FAILED", class_="badge bad")),
            joined(shown(one.get("status")), " ", text(one.get("answer") or "")),
        )
        for one in reversed(attempts)
    ]
    heads = columns("Time", "Channel", "About", "Outcome", "Answer")
    return table("Last alerts", heads, rows, empty="No alert was sent yet.")
