"""An alert as people read it: a line for a subject or a telephone, and a page with everything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from risk_daemon.alerts.alert import Alert

SUBJECT_CHARACTERS = 150
SMS_CHARACTERS = 480  # three parts of a long one; the API takes 1,600
PAGE_CHARACTERS = 20_000
VALUE_CHARACTERS = 1_000


def headline(alert: Alert, payload: Mapping[str, Any], most: int = SUBJECT_CHARACTERS) -> str:
    """`CRITICAL momentum: Drawdown reached ...`, on one line."""
    return _cut(f"{alert.severity.upper()} {payload['strategy_name']}: {alert.summary}", most)


def short(alert: Alert, payload: Mapping[str, Any]) -> str:
    """For a telephone: what happened, and the trip to acknowledge."""
    tail = f" (trip {alert.trip_id})" if alert.trip_id else ""
    return headline(alert, payload, SMS_CHARACTERS - len(tail)) + tail


def page(alert: Alert, payload: Mapping[str, Any]) -> str:
    """Everything that is known, a line each."""
    return _writable("\n".join(_lines(alert, payload)))[:PAGE_CHARACTERS] + "\n"


def _lines(alert: Alert, payload: Mapping[str, Any]) -> Iterator[str]:
    yield _cut(alert.summary, VALUE_CHARACTERS)
    yield ""
    yield f"event: {payload['event_type']}"
    yield f"severity: {payload['severity']}"
    if alert.rule:
        yield f"circuit breaker: {alert.rule}"
    if alert.trip_id:
        yield f"trip: {alert.trip_id}"
        yield f"acknowledge: risk-daemon alerts ack {alert.trip_id}"
    yield f"strategy: {payload['strategy_name']}"
    yield f"time: {payload['timestamp']}"
    yield f"id: {alert.alert_id}"
    if alert.details:
        yield ""
        yield from (f"{name}: {_cut(_value(value), VALUE_CHARACTERS)}" for name, value in alert.details.items())


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _cut(text: str, most: int) -> str:
    line = " ".join(_writable(text).split())
    return line if len(line) <= most else line[: most - 3] + "..."


def _writable(text: str) -> str:
    """What a venue said may hold halves of signs, which no mail and no form can carry, and signs that do things."""
    whole = text.encode("utf-8", errors="replace").decode()
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in whole)
