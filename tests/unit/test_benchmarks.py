"""What `make bench` prints and which parts it measures; what is measured is not for a test."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import PARTS, chosen, line
from benchmarks.rows import Row


def test_all_parts_are_measured_where_none_is_named() -> None:
    assert chosen([]) == list(PARTS)


def test_named_parts_only_each_once_and_in_their_order() -> None:
    assert chosen(["wire", "engine", "wire"]) == ["engine", "wire"]


def test_an_unknown_part_ends_it_and_the_known_are_named() -> None:
    with pytest.raises(SystemExit, match="no part speed; known are engine, gate, http, wire, sweep, process"):
        chosen(["engine", "speed"])


@pytest.mark.parametrize(
    ("row", "held", "words"),
    [
        (Row(name="a", measured=1.5, at_most=2), True, ["1.5", "<= 2", "hold"]),
        (Row(name="a", measured=2.5, at_most=2, unit="ms"), False, ["2.5 ms", "<= 2", "miss"]),
        (Row(name="a", measured=3, at_least=2), True, [">= 2", "hold"]),
        (Row(name="a", measured=12_345, unit="a second"), None, ["1.234e+04 a second"]),
    ],
)
def test_a_row_says_what_was_measured_and_whether_it_holds(row: Row, held: bool | None, words: list[str]) -> None:
    assert row.held is held
    assert all(word in line(row) for word in words)
