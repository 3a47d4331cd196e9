"""What a record in Redis means. Real servers say it in contract/test_redis_faults.py; here are the edges."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.state.lock.base import UNREADABLE, LockRecord
from risk_daemon.state.lock.redis_record import LEASE_MS, SHUT, Given, Seen, judge, key_of, text_of

OPEN = LockRecord(locked=False)
SERVER = "a" * 40
SAID_US = 1_795_368_995_271_066
GIVEN = Given(run="r1", seq=7, server=SERVER, said_us=SAID_US, lease_ms=1_500)


def seen(text: object, *, age_us: int = 0, pttl_ms: object = 1_000, server: str = SERVER) -> Seen:
    return Seen(text=text, pttl_ms=pttl_ms, time_us=SAID_US + age_us, server=server)


def judged(text: object, **more: Any) -> Any:
    return judge(seen(text, **more), "main", "a")


OPENED = text_of(OPEN, "main", "a", GIVEN)


def test_the_key() -> None:
    assert key_of("main", "a") == "risk-daemon:main:gate:a"


def test_an_open_as_it_was_given() -> None:
    gate = judged(OPENED)
    assert (gate.record, gate.word, gate.left_ms) == (OPEN, ("r1", 7), 1_000)
    assert judged(OPENED, pttl_ms=LEASE_MS).left_ms == 1_500


def test_nothing_is_no_word() -> None:
    assert judged(None) is None


@pytest.mark.parametrize(
    ("more", "is_open"),
    [
        ({"age_us": -1}, False),
        ({"age_us": 1_499_000}, True),
        ({"age_us": 1_499_001}, False),
        ({"age_us": 1_500_001}, False),
        ({"pttl_ms": 1}, True),
        ({"pttl_ms": 0}, False),
        ({"pttl_ms": -1}, False),
        ({"pttl_ms": -2}, False),
        ({"pttl_ms": LEASE_MS}, True),
        ({"pttl_ms": LEASE_MS + 1}, False),
        ({"pttl_ms": None}, False),
        ({"pttl_ms": "1000"}, False),
        ({"pttl_ms": True}, False),
        ({"server": "b" * 40}, False),
        ({"server": ""}, False),
    ],
)
def test_the_edges_of_an_open(more: dict[str, Any], is_open: bool) -> None:
    assert judged(OPENED, **more).record.locked is not is_open


def test_a_lease_longer_than_any_counts_as_the_longest() -> None:
    text = text_of(OPEN, "main", "a", Given(run="r", seq=1, server=SERVER, said_us=SAID_US, lease_ms=10**9))
    assert judged(text, age_us=LEASE_MS * 1_000 + 1).record.locked
    assert judged(text, age_us=0, pttl_ms=LEASE_MS).left_ms == LEASE_MS


def test_a_lock_needs_no_lease() -> None:
    record = LockRecord(True, "capital_loss", "t-1", 5.0, 9.5)
    gate = judged(text_of(record, "main", "a", None), pttl_ms=-1, server="another", age_us=10**12)
    assert (gate.record, gate.left_ms) == (record, 0)


@pytest.mark.parametrize("name", sorted(json.loads(OPENED).keys() - {"trip_id", "until_wall"}))
def test_a_missing_field_is_locked(name: str) -> None:
    document = json.loads(OPENED)
    del document[name]
    assert judged(json.dumps(document)) == SHUT


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda one: st.lists(one, max_size=3)
)


@given(st.sampled_from(sorted(json.loads(OPENED))), json_values)
def test_whatever_stands_in_a_field_nothing_is_raised_and_no_lease_is_longer(name: str, value: Any) -> None:
    gate = judged(json.dumps(json.loads(OPENED) | {name: value}))
    assert 0 <= gate.left_ms <= LEASE_MS
    assert gate.record.locked or gate.left_ms > 0


@given(st.text() | st.binary() | st.integers() | json_values.map(json.dumps))
def test_garbage_is_locked(text: Any) -> None:
    gate = judged(text)
    assert gate is None if text is None else gate.record in (UNREADABLE, SHUT.record)
