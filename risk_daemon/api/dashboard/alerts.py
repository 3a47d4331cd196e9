"""Who is told of what, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.api.dashboard.grid import columns, table
from risk_daemon.api.dashboard.html import Markup, joined, tag, text
from risk_daemon.api.dashboard.words import shown, truth, unknown, when
from risk_daemon.model.status import State

_SHOWN = 50
_NOBODY = "NOBODY WAS TOLD"


def waits(document: Mapping[str, Any]) -> bool:
    """Whether there is a trip that somebody may still acknowledge."""
    standing = document.get("standing")
    return isinstance(standing, Mapping) and not standing.get("acknowledged_by")


def alerts(document: Mapping[str, Any], state: State) -> Markup:
    """The trip that is not over, the channels, the last attempts. An empty `document`: nothing is known of them."""
    if "channels" not in document:
        return tag("p", unknown("Who was told of what is not known."), class_="none")
    return joined(_standing(document, state), _channels(document), _left_out(document), _attempts(document))


def _standing(document: Mapping[str, Any], state: State) -> Markup:
    """Never that all is quiet while the gate is shut by a trip."""
    standing: Mapping[str, Any] | None = document.get("standing")
    trip_id = state.lock.trip_id
    if standing is None and not trip_id:
        return tag("p", "No trip waits for somebody to hear of it.", class_="none")
    if standing is None and not document.get("channels"):
        words = f" of trip {trip_id} but whoever looks here: no alert channel can be used. Tell the others yourself."
        return tag("p", tag("strong", _NOBODY, class_="badge bad"), words)
    if standing is None:
        words = f" of trip {trip_id} is not known: it is not among the alerts. Tell the others yourself."
        return tag("p", tag("strong", "WHO WAS TOLD", class_="badge bad"), words)
    who = standing.get("acknowledged_by")
    heard = (
        tag("strong", f"acknowledged by {who}", class_="badge good")
        if who
        else tag("strong", "NOBODY HAS ACKNOWLEDGED IT", class_="badge bad")
    )
    count = tag("span", "told ", shown(standing.get("told")), " times since ", when(standing.get("since")))
    return tag("p", heard, " ", shown(standing.get("summary")), " ", count)


def _channels(document: Mapping[str, Any]) -> Markup:
    channels: Mapping[str, Any] = document.get("channels") or {}
    rows = [
        (text(name), *(shown(one.get(key)) for key in ("kind", "severity", "owed", "missed", "failures")))
        for name, one in channels.items()
    ]
    heads = columns("Channel", "Kind", "From", "#Owed", "#Missed", "#Failures in a row")
    nobody = "none that is configured can be used" if document.get("unusable") else "no alert channel is configured"
    return table("Alert channels", heads, rows, empty=f"Nobody is told of anything: {nobody}.")


def _left_out(document: Mapping[str, Any]) -> Markup | None:
    """Channels that somebody counts on, and that tell nobody."""
    unusable: Mapping[str, Any] = document.get("unusable") or {}
    badge = tag("strong", "LEFT OUT", class_="badge bad")
    rows = [tag("li", badge, f" {name}: {why}") for name, why in unusable.items()]
    return tag("ul", *rows, class_="halts") if rows else None


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
