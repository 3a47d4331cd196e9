"""Values as people read them."""

from __future__ import annotations

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
