"""Whatever is written comes back, and whatever byte is changed is found."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.state.event_log import RESERVED, EventLog, read_log, verify_log

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fields = st.dictionaries(st.text().filter(lambda name: name not in RESERVED), values, max_size=4)


def write(folder: str, rows: list[dict[str, object]]) -> Path:
    path = Path(folder) / "events.jsonl"
    log = EventLog.open(path)
    for row in rows:
        log.append(RiskEvent(EventName.FLOW_DETECTED, row), 1.7e9)
    log.close()
    return path


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(fields, max_size=4))
def test_round_trip(rows: list[dict[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, rows)
        assert [line.fields for line in read_log(path)] == rows
        assert verify_log(path).lines == len(rows)
        assert verify_log(path).ok


@settings(max_examples=150, deadline=None)
@given(data=st.data(), row=fields)
def test_any_changed_byte_is_found(data: st.DataObject, row: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, [row, {"n": 1}, row])
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 2))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        found = verify_log(path)
        assert not found.ok
        assert found.problem_line is not None
