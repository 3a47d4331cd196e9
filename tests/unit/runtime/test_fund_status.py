"""How a member stands, in words: why it may not trade. As a whole in test_member.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from risk_daemon.fund.escrow import step
from risk_daemon.fund.messages import LossUnknown
from risk_daemon.runtime.fund_status import MemberSettings, fund_status, why_not
from tests.unit.fund.fund import lost, two

SETTINGS = MemberSettings(fund="alpha", member="b", limit="10%", currency="USDT")


def test_each_reason_has_its_words_and_none_where_there_is_none() -> None:
    _, _, b = two()
    unfunded = replace(b, kept=replace(b.kept, taken={}), wanted=replace(b.wanted, taken={}))
    said = {
        "has not joined": None,
        "no budget yet": unfunded,
        "not known yet": step(b, LossUnknown())[0],
        "up to 400 of a budget of 400 may be lost": step(b, lost(0, 400))[0],
        "the fund has tripped": step(b, lost(400))[0],
        "was restored": replace(b, superseded="this state was restored"),
    }
    for words, state in said.items():
        assert words in str(why_not(state, is_confirming=False))
    assert "being confirmed" in str(why_not(step(b, LossUnknown())[0], is_confirming=True))
    assert why_not(b, is_confirming=False) is None


@pytest.mark.parametrize("is_told", [False, True])
def test_a_trip_is_shown_with_whether_the_ledger_has_it(is_told: bool) -> None:
    _, _, b = two()
    tripped = step(b, lost(400))[0]
    shown = fund_status(SETTINGS, tripped, why_not="x", is_told=is_told, ledger_error=None, read_s=1.0)
    assert (shown.told, shown.trip_id, shown.least, shown.budget) == (is_told, tripped.wanted.trip, "400", "400")
    assert fund_status(SETTINGS, b, why_not=None, is_told=False, ledger_error=None, read_s=1.0).told is None


def test_who_has_not_joined_knows_no_budget() -> None:
    shown = fund_status(SETTINGS, None, why_not="x", is_told=False, ledger_error="gone", read_s=None)
    assert (shown.is_joined, shown.budget, shown.members, shown.limit) == (False, None, (), "10%")
