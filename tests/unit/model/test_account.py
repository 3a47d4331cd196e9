"""What the records of an account make of odd words."""

from __future__ import annotations

import pytest

from risk_daemon.model.account import OrderSide, side_of


@pytest.mark.parametrize("side", [OrderSide.BUY, OrderSide.SELL])
def test_a_side_is_known_by_its_word(side: OrderSide) -> None:
    assert side_of(str(side)) is side


@pytest.mark.parametrize("word", ["", "BUY", "borrow", None, 1, ["buy"]])
def test_any_other_word_is_no_side(word: object) -> None:
    assert side_of(word) is OrderSide.UNTOLD
