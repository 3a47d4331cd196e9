"""Halts of one venue, one bot, or one bot on one venue: each by its exact scope."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from risk_daemon.gate.halts import Halt, Halts
from risk_daemon.gate.restraints import OrderRequest, check_order, gate_of

KRAKEN = Halt("kraken", None, "it lags", "anna", 1_700_000_000.0)
ALPHA = Halt(None, "alpha", "it runs away", "bert", 1_700_000_001.0)
BOTH = Halt("kraken", "alpha", "both", "carl", 1_700_000_002.0)


def halted(*halts: Halt) -> Halts:
    found = Halts()
    for halt in halts:
        found.add(halt)
    return found


def order(venue: str, bot: str | None) -> OrderRequest:
    return OrderRequest(venue, "BTC/USDT", "buy", Decimal(1), bot=bot)


@pytest.mark.parametrize(
    ("halt", "held", "free"),
    [
        (KRAKEN, [("kraken", "alpha"), ("kraken", None)], [("other", "alpha")]),
        (ALPHA, [("kraken", "alpha"), ("other", "alpha")], [("kraken", "beta"), ("kraken", None)]),
        (BOTH, [("kraken", "alpha")], [("kraken", "beta"), ("other", "alpha")]),
    ],
)
def test_it_holds_against_its_scope_and_nobody_else(
    halt: Halt, held: list[tuple[str, str | None]], free: list[tuple[str, str | None]]
) -> None:
    restraints = halted(halt).restraints()
    for scope in held:
        veto = check_order(order(*scope), restraints, is_reducing=True)
        assert veto is not None
        assert veto.veto_reason == "manual_halt"
    assert [check_order(order(*scope), restraints) for scope in free] == [None] * len(free)
    assert not gate_of(restraints, 0.0).locked


def test_a_reason_names_the_scope_and_who_said_so() -> None:
    told = [restraint.reason for restraint in halted(KRAKEN, ALPHA, BOTH).restraints()]
    assert told == [
        "venue kraken halted by anna: it lags",
        "bot alpha halted by bert: it runs away",
        "bot alpha on venue kraken halted by carl: both",
    ]


def test_only_the_exact_scope_releases() -> None:
    halts = halted(KRAKEN, ALPHA, BOTH)
    assert halts.release("other", None) is None
    assert halts.release("kraken", None) is KRAKEN
    assert halts.release("kraken", None) is None
    assert [restraint.bot for restraint in halts.restraints()] == ["alpha", "alpha"]


def test_a_newer_one_of_the_same_scope_takes_its_place() -> None:
    newer = Halt("kraken", None, "it lags still", "anna", 1_700_000_009.0)
    assert [restraint.reason for restraint in halted(KRAKEN, newer).restraints()] == [
        "venue kraken halted by anna: it lags still"
    ]


def test_bots_that_are_halted_everywhere() -> None:
    assert halted(KRAKEN, BOTH).bots() == frozenset()
    assert halted(KRAKEN, ALPHA, BOTH).bots() == {"alpha"}


def test_they_come_back_after_a_restart() -> None:
    before, after = halted(KRAKEN, ALPHA), Halts()
    after.restore(json.loads(json.dumps(before.snapshot())))
    assert after.restraints() == before.restraints()
