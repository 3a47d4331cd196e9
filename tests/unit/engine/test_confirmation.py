from __future__ import annotations

from dataclasses import replace

import pytest

from risk_daemon.engine.confirmation import Confirmation, ConfirmationSettings, Evidence, Judgement, judge

AT = 1_000.0
SETTINGS = ConfirmationSettings(within_s=2.0)
BREACH = Evidence(breached=True, suspected=True, clear=False, by_prices=False, all_read=False)
SUSPICION = replace(BREACH, breached=False)
DOUBT = replace(SUSPICION, suspected=False)
CLEAR = replace(DOUBT, clear=True)


def find(confirmation: Confirmation, evidence: Evidence, after_s: float = 0.5) -> Judgement:
    return judge(confirmation, evidence, AT + after_s, SETTINGS)[0]


def test_fresh_reads_confirm_at_once_and_the_deadline_without_them() -> None:
    question = Confirmation(AT, breached=True)
    assert find(question, BREACH) is Judgement.WAIT
    assert find(question, replace(BREACH, all_read=True)) is Judgement.CONFIRMED
    assert find(question, BREACH, 1.99) is Judgement.WAIT
    assert find(question, BREACH, 2.0) is Judgement.CONFIRMED


@pytest.mark.parametrize("after_s", [0.0, 100.0])
def test_the_worst_case_being_fine_disproves(after_s: float) -> None:
    assert find(Confirmation(AT, breached=True), CLEAR, after_s) is Judgement.DISPROVED


def test_doubt_and_suspicion_wait_for_ever() -> None:
    for evidence in (SUSPICION, DOUBT):
        assert find(Confirmation(AT, breached=False), replace(evidence, all_read=True), 1e6) is Judgement.WAIT


def test_a_suspicion_whose_fall_was_verified_is_confirmed_by_the_reads_it_asked_for() -> None:
    question = Confirmation(AT, breached=False)
    assert find(question, replace(BREACH, all_read=True), 3.0) is Judgement.CONFIRMED
    assert find(question, BREACH, 60.0) is Judgement.CONFIRMED


def test_a_price_that_makes_a_suspicion_a_breach_is_read_again() -> None:
    question = Confirmation(AT, breached=False)
    finding, again = judge(question, replace(BREACH, by_prices=True, all_read=True), AT + 50, SETTINGS)
    assert finding is Judgement.READ_AGAIN
    assert again == Confirmation(AT + 50, breached=True)
    assert judge(again, replace(BREACH, by_prices=True), AT + 51, SETTINGS)[0] is Judgement.WAIT


def test_a_breach_that_returns_after_a_doubt_is_read_again() -> None:
    _, lapsed = judge(Confirmation(AT, breached=True), DOUBT, AT + 1, SETTINGS)
    assert lapsed.lapsed
    finding, again = judge(lapsed, replace(BREACH, all_read=True), AT + 99, SETTINGS)
    assert finding is Judgement.READ_AGAIN
    assert not again.lapsed


def test_a_price_breach_that_goes_on_is_not_asked_again() -> None:
    question = Confirmation(AT, breached=True)
    assert find(question, replace(BREACH, by_prices=True)) is Judgement.WAIT
