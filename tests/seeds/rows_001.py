"""The patch set: a drawdown of the peak that vetoes new orders."""

from __future__ import annotations

from tests.seeds.row import Document, Row

_SUITE = "5.1: `make test` runs everything; a test can't say it of itself"

DOCUMENT = Document(
    "001",
    "a patch set",
    44,
    {
        "001-01": Row("Drawdown as a part of the highest net asset value"),
        "001-02": Row("All new orders are vetoed at the limit; nothing is cancelled", note='`action = "veto"`'),
        "001-03": Row("The circuit's status is published for a dashboard"),
        "001-04": Row("The veto has the reason portfolio_dd_circuit"),
        "001-05": Row(
            "No contract of that system changes",
            different="1: that system is another one; its configuration is read, and risk.json has its fields",
        ),
        "001-06": Row("Which files to touch", different="3: the house has rooms of its own"),
        "001-07": Row("A block with the limit as a fraction in risk_limits.json"),
        "001-08": Row("Missing or null means disabled", note="the converter says so loudly"),
        "001-09": Row("One function reads percentages"),
        "001-10": Row("load_risk_limits gives the limit as an optional float"),
        "001-11": Row("A configuration class for the circuit"),
        "001-12": Row("Other fields are not affected"),
        "001-13": Row("A dataclass with drawdown, peak and latest value, as floats"),
        "001-14": Row("get_portfolio_dd_state with a stable signature"),
        "001-15": Row("None for an empty history and for one without a sound sample"),
        "001-16": Row("Peak is the maximum, latest the last, drawdown what lies between over the peak"),
        "001-17": Row(
            "A drawdown of 0 where the peak is not above zero",
            different="5.3: None, as the document has it elsewhere; a last sample of zero or below counts in full",
        ),
        "001-18": Row(
            "One computation of the drawdown",
            different="3: floats here, Decimals in the daemon and in the rule; a test holds them to one answer",
        ),
        "001-19": Row("Tests: rising is 0, ten percent off the peak is 0.10, empty is None"),
        "001-20": Row("The check comes before the limits of single orders"),
        "001-21": Row("It vetoes at the limit and above"),
        "001-22": Row(
            "The veto says what was observed and which limit holds",
        ),
        "001-23": Row("Without a limit nothing happens"),
        "001-24": Row(
            "Without a drawdown nothing is blocked",
            different="1: no data is not no loss: the order is refused as `starting` or `blind`, never for drawdown",
        ),
        "001-25": Row("Below the limit the other checks go on"),
        "001-26": Row("One veto an order, and this one first"),
        "001-27": Row(
            "Every veto is a line of risk_vetoes.jsonl",
            also=(
                "tests/e2e/test_gate.py::test_not_one_200_after_the_lock_and_every_veto_is_a_line",
                "tests/e2e/test_gate.py::test_every_veto_of_the_memory_map_is_a_line",
                "tests/unit/bot/test_refusals.py::test_an_exchange_that_looked_at_the_map_tells",
                "tests/unit/bot/test_refusals.py::test_a_middleware_tells_what_it_refused",
            ),
            note="a bot that was given no url looks at the map alone and can tell nobody",
        ),
        "001-28": Row("portfolio_dd_pct in risk.json", note="in the state directory"),
        "001-29": Row(
            "circuit_breaker with the limit, and whether it is reached",
        ),
        "001-30": Row("The drawdown is a JSON number"),
        "001-31": Row("Nothing that was there is removed"),
        "001-32": Row("Disabled and unknown are null and false, and not absent"),
        "001-33": Row("A small widget with drawdown, limit and a badge"),
        "001-34": Row("A hint that it re-opens by itself"),
        "001-35": Row("Test cases of the function"),
        "001-36": Row("Test cases of the veto: no circuit, below, above"),
        "001-37": Row("Test cases of the risk state"),
        "001-38": Row("All existing tests stay green", different=_SUITE),
        "001-39": Row("Accepted when the limit is configurable and normalised"),
        "001-40": Row("Accepted when the function is right on samples"),
        "001-41": Row("Accepted when it vetoes above the limit, and never without limit or data"),
        "001-42": Row("Accepted when risk.json has the three fields"),
        "001-43": Row("Accepted when the panel shows them"),
        "001-44": Row("Accepted when all tests pass", different=_SUITE),
    },
)
