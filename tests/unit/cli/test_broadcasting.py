"""`risk-daemon broadcast`: what it prints, and that what is owed is no success."""

from __future__ import annotations

import io

from rich.console import Console

from risk_daemon.broadcast.message import Message
from risk_daemon.cli import broadcasting

OWED = Message(trip_id="trip-1", wall=1.0, reason="too \x1b[31mmuch").document()


def printed(**document: object) -> str:
    out = io.StringIO()
    whole = {"topic": "t", "bootstrap": "k:1", "owed": [], "acknowledged": ("trip-0",), **document}
    broadcasting._render(Console(file=out, width=200), whole)
    return out.getvalue()


def test_what_is_owed_is_loud_and_what_is_not_known_is_said_so() -> None:
    text = printed(owed=[OWED])
    assert "Topic t at k:1." in text
    assert "NOT ACKNOWLEDGED: trip-1" in text
    assert "lost: unknown" in text
    assert "\x1b" not in text
    assert "Nothing is owed" not in text


def test_nothing_owed_is_said() -> None:
    assert "Nothing is owed; 1 were acknowledged." in printed()


def test_without_a_table_nothing_is_broadcast() -> None:
    assert "there is no table [broadcast.kafka]" in printed(topic=None, bootstrap=None)
