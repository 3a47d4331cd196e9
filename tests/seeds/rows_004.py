"""The guide: five breakers, their coordinator, custom breakers, practice."""

from __future__ import annotations

from tests.seeds.row import Document, Row

_DOCS = "tests/unit/test_docs.py::"
_RULES = "tests/unit/test_site.py::"
_AT_LIMIT = "5.3: at the limit itself it trips as well, as 000, 001 and 002 have it"

_DRILL = "tests/e2e/test_drill.py::"
_ALERTS = "tests/unit/alerts/"
_CALLED_LAST = "test_a_trip_is_repeated_until_somebody_acknowledges_it_and_goes_to_those_who_are_called_last"

DOCUMENT = Document(
    "004",
    "a guide",
    55,
    {
        "004-01": Row("The last line of defence, always on"),
        "004-02": Row("A loop that runs away is stopped after ten orders; trouble of an interface is noticed"),
        "004-03": Row("Drawdown: a ratio and a lookback, 30 days by default"),
        "004-04": Row("The peak lies within the lookback"),
        "004-05": Row("Trips above the limit", different=_AT_LIMIT),
        "004-06": Row("Asked with the worth alone, no time"),
        "004-07": Row("The reason can be asked for"),
        "004-08": Row("Recommended limits and lookbacks"),
        "004-09": Row("Daily loss: an amount of money"),
        "004-10": Row("Asked with the worth and the day's start; tells the current loss"),
        "004-11": Row("A day begins at market open, or at midnight UTC"),
        "004-12": Row("Trips above the limit", different=_AT_LIMIT),
        "004-13": Row("Money only, never percent", different="4.4: money or percent, one of them"),
        "004-14": Row("Recommended: 5 to 10 % of the portfolio"),
        "004-15": Row("Order rate: ask, send, record; clears by itself"),
        "004-16": Row(
            "Trips when the count exceeds the limit",
            different="5.3: a program hears no before the order that would be one too many",
        ),
        "004-17": Row("Recommended 5, 10 and 30 a minute"),
        "004-18": Row(
            "Error rate: a limit and a window, 300 s by default",
            note="of the class; the daemon's table has 10 in 60 s by default, as 003 has it",
        ),
        "004-19": Row("An error is recorded without an argument"),
        "004-20": Row("Clears as errors age out"),
        "004-21": Row(
            "On a trip the engine is paused",
            different='4.4: the gate is shut for every bot while it lasts, or for good with `action = "trip"`',
        ),
        "004-22": Row("Recommended 3 in 300 s, 10 in 600 s"),
        "004-23": Row(
            "Errors of connection, submission, feed and strategy",
            different="4.4: as bots report them, and each outage of a venue or feed that the daemon sees, once",
        ),
        "004-24": Row("Expected errors are kept apart"),
        "004-25": Row("Halt by hand with reason and operator, look, reset"),
        "004-26": Row(
            "Within reach from dashboard, command line and HTTP",
            also=(
                "tests/unit/cli/test_commands.py::test_halt_reaches_the_daemon",
                "tests/e2e/test_page.py::test_a_day_at_the_page",
            ),
        ),
        "004-27": Row("A coordinator with its eight methods"),
        "004-28": Row(
            "The coordinator is asked without values",
        ),
        "004-29": Row("Status by name; types as words"),
        "004-30": Row("All can be reset at once"),
        "004-31": Row("The engine asks before each order, logs, tells; pausing is configurable"),
        "004-32": Row(
            "The engine is given the coordinator",
            different="3: an engine of orders is ccxt here, and is given it by `guard(exchange, coordinator)`; the"
            " daemon's engine is given the rules and makes its own",
        ),
        "004-33": Row("Four states and their transitions"),
        "004-34": Row(
            "A trip is logged and alerted, a halt told to all operators",
            also=(
                "tests/e2e/test_alerts.py::test_the_first_alert_of_a_trip_is_there_within_a_second_though_nine_of_ten_hang",
                "tests/e2e/test_alerts.py::test_a_halt_goes_to_all_and_is_acknowledged_with_and_without_a_daemon",
            ),
        ),
        "004-35": Row("Never live without breakers"),
        "004-36": Row(
            "Drawdown, daily loss and manual are always present",
            different="4.4: manual, capital loss and blindness are; `check` says loudly when the other two are off",
        ),
        "004-37": Row("Start with 5 %, 2500 a day, 5 orders a minute"),
        "004-38": Row(
            "Try it in paper trading with 1 %: trip, halt, log, alert, reset",
            also=(
                "tests/e2e/test_drill.py::test_the_command",
                f"{_DRILL}test_people_are_told_that_it_is_a_drill_and_a_channel_that_does_not_deliver_fails_it",
            ),
        ),
        "004-39": Row("Paper and testnet accounts"),
        "004-40": Row(
            "Look at the status every minute, alert while tripped",
            also=(
                f"{_ALERTS}test_manager.py::test_a_trip_is_repeated_until_it_is_acknowledged_also_after_a_restart",
                f"{_ALERTS}test_routing.py::{_CALLED_LAST}",
            ),
        ),
        "004-41": Row("A trip is logged with type, state, reason and time"),
        "004-42": Row(
            "A separate audit log in /var/log",
            different="5.5: one log for everything, events.jsonl, hash-chained, in the state directory",
            also=(
                "tests/unit/cli/test_logs.py::test_what_was_done_is_named_by_piece_and_line",
                "tests/unit/cli/test_logs.py::test_a_token_that_is_made_and_revoked_has_its_lines_at_once",
                "tests/unit/app/test_noting.py::test_a_flood_of_them_is_two_lines_with_counts",
            ),
        ),
        "004-43": Row("Details of a trip can be asked for"),
        "004-44": Row("Orders of several strategies count together"),
        "004-45": Row("Configuration and answer of every breaker can be seen"),
        "004-46": Row(
            "Help for: tripped unexpectedly, did not trip, stays tripped",
            also=(_RULES + "test_each_rule_of_the_guide_answers_its_four_questions",),
            note="of each rule in docs/rules.md",
        ),
        "004-47": Row("Reset only when conditions are normal again"),
        "004-48": Row("Custom breakers by subclassing"),
        "004-49": Row(
            "A custom breaker of volatility: 0.30 a year, 60 minutes, times 15.87",
            note="the daemon's own rule counts log returns of each minute, times the root of 525,600",
        ),
        "004-50": Row("Other limits in other sessions", note="`active_hours`"),
        "004-51": Row("The minimum: 10 %, 5000 a day, 10 orders a minute, manual"),
        "004-52": Row("Never bypass, never reset blindly"),
        "004-53": Row(
            "An overview and a page on production",
            different="3: README.md, docs/index.md and docs/operations.md",
            also=(
                _DOCS + "test_every_command_line_is_one_the_program_takes",
                _DOCS + "test_every_command_and_option_named_exists",
                _DOCS + "test_make_targets_exist",
                _DOCS + "test_links_lead_somewhere",
                _DOCS + "test_paths_lead_somewhere",
                _DOCS + "test_the_exit_codes_are_all_there",
            ),
        ),
        "004-54": Row("The loss of the day is reset at the start of the next trading day", note="in the class itself"),
        "004-55": Row("A breaker's configuration can be printed", note="`rules` of risk.json and over HTTP as well"),
    },
)
