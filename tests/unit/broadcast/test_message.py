"""What is broadcast of a trip: the loss that the rule measured, and nothing that is not known."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.broadcast.message import Message, Voice, message_of
from risk_daemon.model.event_names import EventName, RiskEvent

WALL = 1_790_000_000.25
VOICE = Voice(event_type="The3PercentFreeze", currency="USDT", guard="night shift")


def triggered(**fields: Any) -> RiskEvent:
    facts = {"trip_id": "trip-1", "breaker": "daily_loss", "reason": "too much", "action": "trip", "until_wall": None}
    return RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, {**facts, **fields})


def made(**fields: Any) -> Message:
    message = message_of(triggered(**fields), WALL)
    assert message is not None
    return message


def test_a_freeze_says_what_to_do_when_why_and_until_when() -> None:
    observed = {"loss_ratio": 0.03, "equity": "9700"}
    message = made(action="freeze", until_wall=WALL + 60, observed=observed, equity="1", loss_ratio=0.9, trusted=True)
    assert json.loads(VOICE.body(message)) == {
        "format": 1,
        "event_type": "The3PercentFreeze",
        "trip_id": "trip-1",
        "action": "CANCEL_ALL_OPEN_ORDERS",
        "urgency": "high",
        "timestamp": "2026-09-21T14:13:20.250000Z",
        "equity_loss": "300",
        "loss_ratio": "0.03",
        "currency": "USDT",
        "kind": "freeze",
        "until": "2026-09-21T14:14:20.250000Z",
        "rule": "daily_loss",
        "reason": "too much",
        "guard": "night shift",
    }
    assert datetime.fromisoformat(VOICE.payload(message)["timestamp"]) == datetime.fromtimestamp(WALL, UTC)


LOSSES: dict[str, tuple[dict[str, Any], tuple[str | None, str | None]]] = {
    "the rule's money": ({"observed": {"loss": "412.5", "loss_ratio": 0.04, "equity": "1"}}, ("412.5", "0.04")),
    "money alone": ({"observed": {"loss": "412.5"}}, ("412.5", None)),
    "a drawdown": ({"observed": {"drawdown_ratio": 0.1, "equity": "9000"}}, ("1000", "0.1")),
    "of a part, whose worth is not told": ({"observed": {"venue": "kraken", "loss_ratio": 0.1}}, (None, "0.1")),
    "a halt": ({"observed": {}, "trusted": True, "equity": "9900", "loss_ratio": 0.01}, ("100", "0.01")),
    "a gain": ({"observed": {}, "trusted": True, "equity": "11000", "loss_ratio": -0.1}, ("-1000", "-0.1")),
    "nothing lost": ({"observed": {}, "trusted": True, "equity": "10000", "loss_ratio": 0.0}, ("0", "0")),
    "blind": ({"observed": {"blind_s": 60}, "trusted": False, "equity": "10000", "loss_ratio": 0.0}, (None, None)),
    "no figures": ({}, (None, None)),
    "figures of None": ({"observed": None, "trusted": True, "equity": None, "loss_ratio": None}, (None, None)),
    "all is lost": ({"observed": {"loss_ratio": 1.0, "equity": "0"}}, (None, "1")),
    "not a number": ({"observed": {"loss_ratio": float("nan"), "equity": "9000"}}, (None, None)),
    "without end": ({"observed": {"loss": "Infinity", "loss_ratio": "x"}}, (None, None)),
    "a flag": ({"observed": {"loss": True, "loss_ratio": False}}, (None, None)),
}


@pytest.mark.parametrize("case", LOSSES)
def test_the_loss_is_what_was_measured_and_never_0_for_what_is_not_known(case: str) -> None:
    fields, expected = LOSSES[case]
    message = made(**fields)
    assert (message.equity_loss, message.loss_ratio) == expected


@given(
    base=st.decimals("0.01", "1e12", places=2),
    lost=st.integers(0, 9_999),
)
def test_money_is_what_is_gone_to_the_last_digit_that_a_ratio_has(base: Decimal, lost: int) -> None:
    ratio = Decimal(lost) / 10_000
    message = made(observed={"loss_ratio": float(ratio), "equity": str(base * (1 - ratio))})
    assert message.equity_loss is not None
    assert abs(Decimal(message.equity_loss) - base * ratio) <= max(Decimal("1e-8"), base * Decimal("1e-12"))


@pytest.mark.parametrize("name", [name for name in EventName if name is not EventName.CIRCUIT_BREAKER_TRIGGERED])
def test_nothing_else_is_broadcast(name: EventName) -> None:
    assert message_of(RiskEvent(name, triggered().fields), WALL) is None


@pytest.mark.parametrize("trip_id", [None, "", 7])
def test_what_has_no_id_is_no_trip(trip_id: Any) -> None:
    assert message_of(triggered(trip_id=trip_id), WALL) is None


def test_a_reason_without_end_is_cut_and_any_text_can_be_sent() -> None:
    message = made(reason="Ж" * 100_000, until_wall="never")
    assert len(VOICE.body(message)) < 10_000
    assert message.until_wall is None


@given(st.builds(made, reason=st.text(max_size=50), action=st.sampled_from(["trip", "freeze"]), until_wall=st.floats()))
def test_it_is_the_same_after_it_was_kept(message: Message) -> None:
    assert Message.restored(json.loads(json.dumps(message.document()))) == message


@pytest.mark.parametrize(
    "wrong", [{"trip_id": ""}, {"trip_id": None}, {"wall": "x"}, {"equity_loss": "a lot"}, {"until_wall": []}], ids=str
)
def test_what_never_was_one_is_not_restored(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Message.restored({**made().document(), **wrong})
