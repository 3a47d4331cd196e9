"""Values as people read them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from risk_daemon.cli import words
from risk_daemon.model.status import State


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (119.9, "119.9 s"),
        (120, "2 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
        (None, "unknown"),
        (True, "unknown"),
    ],
)
def test_age(seconds: object, text: str) -> None:
    assert words.age(seconds) == text


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's zone, in words that need no table of zones."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-11-22T02:14:07.467Z", "2026-11-22 03:14:07 CET, 10.5 s ago"),
        ("2026-11-22T02:02:07+00:00", "2026-11-22 03:02:07 CET, 12 min ago"),
        ("2026-07-22T02:14:07Z", "2026-07-22 04:14:07 CEST, 123 d ago"),
        ("2026-11-22T08:14:18Z", "2026-11-22 09:14:18 CET, in 6 h"),
        ("2026-11-22T02:14:07", "2026-11-22T02:14:07"),
        ("never\x1b[2J", "never [2J"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("", ""),
    ],
)
@pytest.mark.usefixtures("in_berlin")
def test_a_moment_by_the_clock_on_the_wall(text: str, told: str) -> None:
    assert words.moment(text, 1_795_313_657.967) == told


@pytest.mark.parametrize(
    ("value", "text"),
    [("9400.5", "9,400.50"), (Decimal(0), "0.00"), (None, "unknown"), ("x", "unknown"), ("-1234567", "-1,234,567.00")],
)
def test_amount(value: object, text: str) -> None:
    assert words.amount(value) == text


def test_control_characters_drive_no_terminal() -> None:
    assert words.safe("a\x1b[31mb\r\nc\x07") == "a [31mb  c "


def test_a_profit_has_its_sign_or_is_unknown() -> None:
    known = State.shown({"profit": {"total": "100", "realized": "-50.5", "unrealized": None}}).profit
    assert words.profit(known, "USDT") == "+100.00 USDT (realised -50.50, unrealised unknown)"
    assert words.signed("nonsense") == words.UNKNOWN


def test_what_a_daemon_allowed_that_is_gone_is_not_allowed() -> None:
    last = {"state": "ACTIVE", "locked": False, "equity": "9400"}
    assert (words.gone(last).locked, words.gone(last).equity) == (True, "9400")
