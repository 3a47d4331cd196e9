"""Every rule is whole: its line, its breaker and its table. Half a rule is refused when the program starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.config.registry import RULES
from risk_daemon.model.breaker_types import CircuitBreakerType
from tests.package_copy import PackageCopy

TYPES = "risk_daemon/model/breaker_types.py"
LINE = '    ORDER_RATE = "order_rate"\n'
BREAKER = """
from risk_daemon.breakers.base import Action, BaseCircuitBreaker


class SpreadLossCircuitBreaker(BaseCircuitBreaker):
    default_action = Action.VETO
"""
TABLE = """
from typing import Literal

from risk_daemon.breakers.spread_loss import SpreadLossCircuitBreaker
from risk_daemon.config.rule import Rule


class SpreadLoss(Rule):
    rule: Literal["spread_loss"]
    warnings: tuple[float, ...] = ()

    def build(self, **common):
        return SpreadLossCircuitBreaker("spread_loss", **common)

    def condition(self, premises):
        return "the spread is wide"
"""


def test_every_type_with_a_table_is_a_rule_in_the_order_of_severity() -> None:
    assert list(RULES) == [kind.value for kind in CircuitBreakerType if kind.has_table]
    assert [table.__name__ for table in RULES.values()] == [CircuitBreakerType(kind).stem for kind in RULES]
    assert {kind for kind, table in RULES.items() if table.model_fields["action"].default == "trip"} == {
        "drawdown",
        "daily_loss",
    }


def started(copy: PackageCopy) -> str:
    """The last line that an import of the configuration ends with; empty where it goes well."""
    done = copy.run("-c", "import risk_daemon.config.load, risk_daemon.app.rules")
    assert (done.returncode == 0) is (done.stderr == "")
    return done.stderr.strip().rpartition("\n")[2]


def with_rule(
    directory: Path, *, line: str = '    SPREAD_LOSS = "spread_loss"\n', breaker: str = BREAKER, table: str = TABLE
) -> PackageCopy:
    """A copy with a rule more; an empty part is left out."""
    copy = PackageCopy(directory)
    if line:
        copy.replace(TYPES, LINE, LINE + line)
    if breaker:
        copy.write("risk_daemon/breakers/spread_loss.py", breaker)
    if table:
        copy.write("risk_daemon/config/rules/spread_loss.py", table)
    return copy


def test_two_files_and_a_line_are_a_rule(tmp_path: Path) -> None:
    copy = with_rule(tmp_path)
    assert started(copy) == ""
    said = copy.run("-c", "from risk_daemon.config.registry import RULES; print(*RULES)").stdout.split()
    assert said[said.index("order_rate") + 1] == "spread_loss"


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"line": ""}, "config/rules/spread_loss.py is no rule: give it a line in model/breaker_types.py"),
        ({"breaker": ""}, "half a rule: risk_daemon.breakers.spread_loss has no SpreadLossCircuitBreaker"),
        ({"table": ""}, "half a rule: risk_daemon.config.rules.spread_loss has no SpreadLoss "),
        ({"table": TABLE.replace("class SpreadLoss(", "class Spread(")}, "has no SpreadLoss "),
        ({"table": TABLE.replace("def condition", "def told")}, "the table of spread_loss lacks condition"),
        ({"table": TABLE.replace("SpreadLoss(Rule)", "SpreadLoss")}, "SpreadLoss of spread_loss is no Rule"),
        ({"table": TABLE.replace('Literal["spread_loss"]', 'Literal["order_rate"]')}, 'Literal["spread_loss"]'),
        ({"table": TABLE.replace("warnings:", "levels:")}, "must have the key warnings"),
        ({"breaker": BREAKER.replace("Action.VETO", "Action.TRIP")}, "does not do the same by default"),
        ({"line": '    SPREAD_LOSS = "order_rate"\n'}, "duplicate values"),
        ({"line": '    SPREAD_LOSS = "spread_loss", "daily_loss"\n'}, "give the same reason"),
        ({"line": '    SPREAD_LOSS = "spread_loss", "locked"\n'}, "give the same reason"),
    ],
)
def test_half_a_rule_and_one_twice_are_refused_at_import(parts: dict[str, str], sentence: str, tmp_path: Path) -> None:
    assert sentence in started(with_rule(tmp_path, **parts))
