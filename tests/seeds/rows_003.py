"""The story: five breakers, states, alerts, a dashboard, profiles."""

from __future__ import annotations

from tests.seeds.row import Document, Row

_METRICS = "tests/unit/metrics/test_table.py::"
_ALERTS = "tests/unit/alerts/test_manager.py::"
_ALERT_E2E = "tests/e2e/test_alerts.py::"
_FIRST = f"{_ALERT_E2E}test_the_first_alert_of_a_trip_is_there_within_a_second_though_nine_of_ten_hang"
_FLOOD = (
    f"{_ALERT_E2E}test_100_vetoes_in_a_minute_are_ten_messages_and_one_summary_and_a_trip_after_them_arrives_at_once"
)
_EVERY_STEP = f"{_ALERT_E2E}test_a_warning_a_veto_and_a_freeze_are_told_each_with_its_rule"
_CHANNELS = "tests/unit/alerts/channels/"
_EVERY_KIND = "tests/e2e/test_alert_channels.py::test_every_kind_of_channel_has_the_trip_in_a_second"
_AT_THE_PAGE = "tests/e2e/test_page.py::test_a_day_at_the_page"
_CHART = "tests/unit/api/dashboard/test_chart.py::test_every_limit_is_a_line_with_its_name"
_TYPO = "tests/unit/api/dashboard/test_site.py::test_a_typo_halts_nothing_and_is_told"
_PAGE = "tests/unit/config/test_load.py::"
_PER_BOT = (
    '4.4: by default counted for each bot, and over everything with one bot at most half; `scope = "all"` counts all'
)

DOCUMENT = Document(
    "003",
    "a story",
    78,
    {
        "003-01": Row("A drawdown beyond 10 % halts"),
        "003-02": Row("A loss of the day beyond its limit halts"),
        "003-03": Row("At most 100 orders a minute"),
        "003-04": Row(
            "Ten rejected orders in a minute halt",
            different='5.3: more than ten do, as 004 says; by default of each bot and over all; or `scope = "all"`',
        ),
        "003-05": Row(
            "A halt by hand: over HTTP or by command",
            also=(
                "tests/unit/cli/test_commands.py::test_halt_reaches_the_daemon",
                "tests/e2e/test_restart.py::test_a_halt_by_an_operator_trips",
            ),
        ),
        "003-06": Row("A button for it", also=(_AT_THE_PAGE,)),
        "003-07": Row("States are tracked"),
        "003-08": Row("Alerts when something trips", also=(_FIRST, _EVERY_STEP)),
        "003-09": Row("A dashboard with positions, profit and status"),
        "003-10": Row("Tests that each trips under adverse conditions"),
        "003-11": Row(
            "Configuration and good practice are documented",
            also=(
                _PAGE + "test_every_key_and_default_stands_in_the_document",
                _PAGE + "test_every_key_of_a_venue_stands_in_the_document",
                _PAGE + "test_every_key_of_blindness_stands_in_the_document",
                _PAGE + "test_every_key_of_a_rule_stands_in_the_document",
                _PAGE + "test_what_every_rule_takes_stands_in_the_document",
                _PAGE + "test_every_table_in_the_document_is_there",
                _PAGE + "test_every_example_in_the_document_loads",
            ),
        ),
        "003-12": Row(
            "The high-water mark is the highest worth ever",
            different='4.4: of the last 30 days; `lookback_days = "all"` remembers everything',
        ),
        "003-13": Row(
            "Drawdowns and limits are negative numbers",
            different="4.4: the size of the loss, without a sign; a negative limit is refused with a hint",
        ),
        "003-14": Row("Ten percent by default"),
        "003-15": Row(
            "An event CircuitBreakerTrippedEvent with worth and drawdown",
            different="5.5: it is called breaker_tripped, and a trip or freeze circuit_breaker_triggered as well",
        ),
        "003-16": Row("Pending orders are cancelled, new ones refused"),
        "003-17": Row("The day's start is taken at market open, daily"),
        "003-18": Row("The limit is money or percent", note="positive numbers"),
        "003-19": Row(
            "The event has the loss as an amount and in percent",
        ),
        "003-20": Row(
            "Trading resumes with the next day",
            different="4.4: after a veto or a freeze; the daemon's trip ends by a reset alone. In a program the class"
            " resumes whatever its action, see 004-54",
        ),
        "003-21": Row("A sliding window; the event has count and window"),
        "003-22": Row("Orders are blocked until the window clears"),
        "003-23": Row("Ten errors in a sliding minute", different=_PER_BOT),
        "003-24": Row("Kinds of errors are told apart and logged"),
        "003-25": Row(
            "Too many errors need a person",
            different='4.4: by default it clears as errors age out, as 004 has it; `action = "trip"` needs one',
        ),
        "003-26": Row("ManualCircuitBreaker with trip() and reset()"),
        "003-27": Row(
            "A command that stops one strategy", different="5.1: `risk-daemon halt --bot NAME`, or all without it"
        ),
        "003-28": Row(
            "Halts at once: orders cancelled, strategies stopped",
            different="1: bots are processes of their own: they are refused every order and not killed",
        ),
        "003-29": Row("An event with reason and operator", note="`manual_halt`"),
        "003-30": Row("Only a reset by hand resumes"),
        "003-31": Row("From NORMAL over TRIPPED and RESETTING to NORMAL"),
        "003-32": Row("Nothing is submitted while tripped or halted"),
        "003-33": Row(
            "reset_circuit_breaker() with a confirmation",
            different="5.1: `risk-daemon reset`; it wants a reason, a typed word, and the proof that nothing is open",
            also=("tests/unit/cli/test_commands.py::test_reset_is_typed_out",),
        ),
        "003-34": Row(
            "Every transition is logged with its context",
        ),
        "003-35": Row(
            "State survives a restart",
            also=("tests/unit/engine/test_engine_restart.py::test_an_unproven_trip_goes_on_under_the_same_id",),
        ),
        "003-36": Row(
            "A class for alerts", also=(f"{_ALERTS}test_what_is_told_arrives_signed_and_each_try_is_written_down",)
        ),
        "003-37": Row(
            "Mail over SMTP",
            also=(
                _EVERY_KIND,
                f"{_CHANNELS}test_email.py::test_encrypted_and_logged_in",
            ),
        ),
        "003-38": Row(
            "SMS over Twilio",
            also=(
                _EVERY_KIND,
                f"{_CHANNELS}test_sms.py::test_everybody_gets_a_message",
            ),
        ),
        "003-39": Row(
            "Webhooks",
            also=(
                _EVERY_KIND,
                f"{_CHANNELS}test_webhook.py::test_the_receiver_verifies_it_and_has_the_whole_alert",
            ),
        ),
        "003-40": Row(
            "What an alert says",
            also=("tests/unit/alerts/test_alert.py::test_the_body_is_what_receivers_are_promised", _FIRST),
        ),
        "003-41": Row("Sent at once", also=(_FIRST, f"{_ALERTS}test_nine_that_hang_hold_up_nobody")),
        "003-42": Row(
            "Over several channels",
            also=(_EVERY_KIND,),
        ),
        "003-43": Row(
            "Every delivery is logged",
            also=(
                f"{_ALERTS}test_what_is_told_arrives_signed_and_each_try_is_written_down",
                f"{_ALERTS}test_a_disk_that_takes_nothing_keeps_nobody_from_being_told",
                f"{_ALERT_E2E}test_a_trip_that_nobody_could_be_told_of_before_a_kill_is_told_after_it",
            ),
        ),
        "003-44": Row("At most ten an hour for each breaker", also=(_FLOOD,)),
        "003-45": Row(
            "Webhooks are signed or carry a token",
            also=(
                _EVERY_KIND,
                f"{_CHANNELS}test_webhook.py::test_a_receiver_with_another_key_takes_nothing",
                f"{_CHANNELS}test_webhook.py::test_a_bearer_token_instead_of_a_signature",
            ),
        ),
        "003-46": Row(
            "Webhooks go to allowed addresses only",
            also=(
                f"{_CHANNELS}test_webhook.py::test_this_machine_is_not_called_unless_it_is_named",
                f"{_CHANNELS}test_webhook.py::test_a_redirect_is_not_followed",
                "tests/unit/alerts/test_outbound.py::test_a_name_that_leads_to_this_machine_is_not_called",
            ),
        ),
        "003-47": Row("A page with worth, profit, positions, status", note="docs/page.md"),
        "003-48": Row("Recent orders, fills and errors on it"),
        "003-49": Row(
            "A halt button; refreshed every 5 s", note="live; polled every 3 s where it is not", also=(_AT_THE_PAGE,)
        ),
        "003-50": Row(
            "Grafana is documented",
            also=(
                f"{_METRICS}test_the_page_is_the_table",
                "tests/unit/test_deploy_metrics.py::test_every_metric_of_the_dashboard_and_each_of_its_labels_is_exported",
            ),
            note="docs/metrics.md",
        ),
        "003-51": Row("Tests: each at its threshold, transitions, submission blocked"),
        "003-52": Row("Tests that alerts are sent", also=(_FIRST, _EVERY_KIND)),
        "003-53": Row(
            "Mocks of engine, ledger and order manager for the tests",
            different="7: the real engine on virtual time in a small world; alerts come with theirs",
        ),
        "003-54": Row(
            "Documentation of types, calculations, profiles, alerts, halts, practice, trouble",
            also=(
                "tests/unit/alerts/test_alerts_page.py::test_every_table_is_a_channel",
                "tests/unit/alerts/test_alerts_page.py::test_the_receiver_of_the_page_believes_what_is_signed",
                "tests/unit/test_site.py::test_every_rule_has_a_section",
                "tests/unit/test_runbooks.py::test_each_page_answers_the_same_questions",
            ),
            note="docs/configuration.md, docs/rules.md, docs/operations.md, docs/runbooks/, docs/alerts.md; a site by"
            " `make docs`",
        ),
        "003-55": Row("Examples of three profiles"),
        "003-56": Row("Decimals for amounts"),
        "003-57": Row(
            "mypy --strict",
            different="5.1: `make test` runs it over everything; a test tries its settings on what they must refuse",
        ),
        "003-58": Row("Structured logs of breaker events"),
        "003-59": Row("CircuitBreakerError"),
        "003-60": Row("Immutable tracking of state"),
        "003-61": Row(
            "Part of a graceful shutdown",
            also=(
                "tests/e2e/test_restart.py::test_sigterm_cancels_nothing_and_exits_0",
                "tests/e2e/test_restart.py::test_sigterm_during_a_trip_exits_4",
            ),
        ),
        "003-62": Row(
            "An optional Streamlit page, run by itself",
            different="5.4: a page that the daemon serves itself: nothing to install, and there when it is needed",
        ),
        "003-63": Row("Which files", different="3: the house has rooms of its own"),
        "003-64": Row("Conservative: 5 %, 2 % a day, 50 orders and 5 errors a minute"),
        "003-65": Row("Moderate: 10 %, 5 %, 100, 10"),
        "003-66": Row("Aggressive: 20 %, 10 %, 200, 20"),
        "003-67": Row(
            "Breakers as a dictionary with negative thresholds",
            different="5.2: tables [breakers.NAME] of the configuration file; the keys are keywords of the classes,"
            " without the sign",
        ),
        "003-68": Row(
            "Settings of alerts in an .env file",
            different="5.2: in config.toml, secrets from credentials; `convert-alert-env` converts such a file",
            also=("tests/e2e/test_alert_channels.py::test_channels_that_were_converted_from_a_env_hear_of_a_trip",),
        ),
        "003-69": Row("A chart of the worth over time", also=(_CHART,)),
        "003-70": Row("A halt that asks back, errors to filter, colours", also=(_TYPO,)),
        "003-71": Row(
            "At least 90 % of the code is covered",
            different="5.1: `make cover` fails below, a command of its own; a test tries its settings on ten lines",
        ),
        "003-72": Row(
            "Mocks of mail, SMS and webhook servers",
            note="real servers over loopback, in tests/receivers/",
            also=(_EVERY_KIND,),
        ),
        "003-73": Row("Integration tests: drawdown, rapid orders, errors"),
        "003-74": Row("Scenarios: 10 %, the day, 150 orders, 15 errors, a halt, blocked, reset"),
        "003-75": Row(
            "Alerts on every trip",
            also=(
                _FIRST,
                _EVERY_STEP,
                f"{_ALERT_E2E}test_a_halt_goes_to_all_and_is_acknowledged_with_and_without_a_daemon",
                _FLOOD,
            ),
        ),
        "003-76": Row(
            "A reset asks for confirmation",
            also=(
                "tests/unit/cli/test_commands.py::test_reset_is_typed_out",
                "tests/unit/cli/test_commands.py::test_reset_without_a_terminal_needs_yes",
            ),
        ),
        "003-77": Row(
            "Metrics of the moment: worth, positions, orders, errors",
            also=(
                f"{_METRICS}test_a_loss_moves_equity_ratios_and_what_may_still_be_lost",
                "tests/unit/api/test_metrics_route.py::test_a_viewer_is_told_everything_and_who_was_turned_away",
                f"{_METRICS}test_positions_and_the_profit_of_the_day_with_nothing_unknown_as_zero",
            ),
        ),
        "003-78": Row("An error of any bot and of the feed counts towards one limit", different=_PER_BOT),
    },
)
