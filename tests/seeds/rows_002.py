"""The implementation summary: four states, two thresholds, cancel everything, exit 1."""

from __future__ import annotations

from tests.seeds.row import Document, Row

_DEMO = "tests/e2e/test_demo.py::"
_DEPLOY = "tests/unit/test_deploy_metrics.py::"
_ADAPTER = "tests/contract/test_venue_adapter.py::"

DOCUMENT = Document(
    "002",
    "a summary of an implementation in Rust",
    65,
    {
        "002-01": Row(
            "Trading is shut down when more than 5 % of initial capital is lost",
            different="5.3: at 5.00 % exactly it is shut down as well",
        ),
        "002-02": Row("Balances across assets and venues"),
        "002-03": Row("Positions with their profit and loss"),
        "002-04": Row("Everything is converted to USDT"),
        "002-05": Row("Total value, unrealised profit, percent of initial capital"),
        "002-06": Row("Realised profit"),
        "002-07": Row("Four states"),
        "002-08": Row("The limit can be set, 5 % by default"),
        "002-09": Row("The warning is optional, 3 % by default"),
        "002-10": Row("It looks regularly, in real time"),
        "002-11": Row("An event for every change of state"),
        "002-12": Row(
            "Safe to use from several threads",
            different="5.3: the library is for one event loop; TradingGate may be shared by threads",
            also=("tests/unit/test_client.py::test_no_open_is_seen_after_a_lock",),
        ),
        "002-13": Row("A configuration that is built step by step, in percent"),
        "002-14": Row("A flag to close positions"),
        "002-15": Row("Five kinds of events"),
        "002-16": Row("One order manager for several adapters"),
        "002-17": Row("Cancel all spot orders, all perp orders, everything"),
        "002-18": Row("An adapter that fails stops no other"),
        "002-19": Row("The results of cancelling are logged"),
        "002-20": Row("Four losses from 2 % to 5.5 % with their states"),
        "002-21": Row(
            "The demo cancels everything, logs each step and ends with exit code 1 at -550.00",
            also=(
                _DEMO + "test_it_ends_with_one",
                _DEMO + "test_the_four_losses_with_their_states",
                _DEMO + "test_every_order_is_cancelled_in_the_exchanges_own_books",
                _DEMO + "test_the_result",
            ),
        ),
        "002-22": Row("The demo is a program of its own", also=(_DEMO + "test_it_ends_with_one",)),
        "002-23": Row("Shut down without a person, warned before"),
        "002-24": Row("Cancelling starts instantly"),
        "002-25": Row("Events over an asynchronous channel"),
        "002-26": Row(
            "Several exchanges: Kraken, MEXC and more",
            also=(
                "tests/unit/adapters/test_ccxt_venue.py::test_an_adapter_is_built_for_any_exchange_that_can_do_what_is_required",
                "tests/cards/test_orders.py::test_card_05_250_plain_and_30_conditional_orders_go_at_few_calls",
                "tests/cards/test_daemon.py::test_card_41_flows_move_no_ratio_and_a_real_loss_after_them_trips",
            ),
            to_come="testnet: seven exchanges are tried against servers written from their documentation, not yet"
            " against the exchanges themselves",
        ),
        "002-27": Row(
            "Fit for production: errors, logs, cleaning up",
            also=(
                "tests/e2e/test_exit_codes.py::test_an_exception_in_the_engine_exits_70_with_the_lock_shut",
                "tests/e2e/test_restart.py::test_sigterm_cancels_nothing_and_exits_0",
                "tests/unit/state/test_event_log.py::test_kill_9_in_the_middle_of_writing_leaves_a_good_log",
            ),
            note="tried on simulated exchanges, not yet with money",
        ),
        "002-28": Row("From the portfolio over the breaker and the order manager to spot and perp adapters"),
        "002-29": Row("Crates for risk, orders, adapters and the demo", different="3: packages of other names"),
        "002-30": Row("A portfolio of capital and currency"),
        "002-31": Row("A balance without naming a venue"),
        "002-32": Row(
            "Making a breaker gives the breaker and its events",
            different="5.3: it gives the breaker; event_stream(breaker) is the channel, from the call on",
        ),
        "002-33": Row("check() after an update triggers"),
        "002-34": Row("Events are awaited one after the other"),
        "002-35": Row("When triggered: cancel everything, exit with 1"),
        "002-36": Row(
            "A class for each exchange, made with its keys",
            note="KrakenSpotAdapter, KrakenPerpAdapter, MexcSpotAdapter, and venue_adapter for every other",
        ),
        "002-37": Row("Adapters are added for spot and for perps"),
        "002-38": Row(
            "Balances arrive as user events",
            note="`next_frame(Kind.BALANCES)`, free and locked added",
            also=(_ADAPTER + "test_a_change_of_balance_reaches_the_feed_at_once",),
        ),
        "002-39": Row("Build, run the demo, see exit code 1", also=(_DEMO + "test_it_ends_with_one",)),
        "002-40": Row(
            "Real exchanges are connected",
            also=(
                _ADAPTER + "test_it_is_an_adapter_that_names_what_it_is",
                "tests/e2e/test_main_job.py::test_warns_trips_cancels_proves_and_exits_1",
            ),
            to_come="testnet: a testnet run; until now against servers written from the exchanges' documentation",
        ),
        "002-41": Row(
            "Subscriptions over websockets", also=(_ADAPTER + "test_the_first_frame_is_a_snapshot_and_changes_follow",)
        ),
        "002-42": Row(
            "Prices for converting many assets",
            also=("tests/unit/portfolio/test_prices.py::test_direct_inverse_and_over_hubs",),
        ),
        "002-43": Row(
            "Positions are closed if that is wanted",
            also=(
                "tests/e2e/test_closing_positions.py::test_a_trip_closes_everything_and_names_what_is_left",
                "tests/unit/oms/test_closing.py::test_proof_first_then_closing_then_proof_again",
            ),
        ),
        "002-44": Row("Initial capital is remembered"),
        "002-45": Row(
            "Alerts by mail, SMS, Slack",
            also=(
                "tests/e2e/test_alert_channels.py::test_every_kind_of_channel_has_the_trip_in_a_second",
                "tests/unit/alerts/channels/test_apprise_urls.py::test_slack_has_it_in_its_channel",
            ),
        ),
        "002-46": Row("Every trigger is in an audit log"),
        "002-47": Row(
            "A reset by hand, with authentication",
            also=(
                "tests/e2e/test_override.py::test_enrol_trip_and_reset_with_the_daemon_stopped",
                "tests/e2e/test_override_attacks.py::test_the_socket_s_own_words_are_no_consent",
                "tests/unit/api/test_app.py::test_another_user_is_refused",
            ),
            note="by wardens, once one is enrolled; without, by root and the daemon's own user",
        ),
        "002-48": Row(
            "Tried on historical market data",
            also=("tests/e2e/test_drill.py::test_a_real_crash_trips_and_ends_with_1",),
            note="every profile on seven real days: docs/history.md",
        ),
        "002-49": Row(
            "Tried under extreme conditions", also=("tests/simulated/test_simulation.py::test_seeds_are_clean",)
        ),
        "002-50": Row(
            "How to recover is documented",
            also=("tests/e2e/test_restart.py::test_resumes_proves_and_then_leaves_new_orders_alone",),
        ),
        "002-51": Row(
            "Dashboards for monitoring",
            also=(
                _DEPLOY + "test_every_metric_of_the_dashboard_and_each_of_its_labels_is_exported",
                _DEPLOY + "test_it_begins_with_how_much_may_still_be_lost",
            ),
            note="the page, docs/page.md; docs/metrics.md, deploy/grafana/risk-daemon.json",
        ),
        "002-52": Row("Other thresholds"),
        "002-53": Row("More warning levels"),
        "002-54": Row("Limits for each venue"),
        "002-55": Row("Limits for a day and a week"),
        "002-56": Row("Limits for each position"),
        "002-57": Row("A limit on the drawdown"),
        "002-58": Row("A limit on volatility"),
        "002-59": Row("About a millisecond for each check", note="a row of `make bench`; no test is timed"),
        "002-60": Row(
            "Event channels without bound",
            different="3: a program's are, from event_stream() on; the daemon's inbox is bounded and merges prices"
            " that nobody has read",
        ),
        "002-61": Row(
            "Little memory",
            note="`make bench` holds it to 250 MB with five venues, flat within 2 % over a million events",
            also=(
                "tests/unit/portfolio/test_flows.py::test_a_million_trades_leave_nothing_behind",
                "tests/unit/baselines/test_baselines.py::test_peaks_stay_one_an_hour_at_most",
            ),
        ),
        "002-62": Row("No race, whole transitions, no silent failure"),
        "002-63": Row("Exit code 1 means an abnormal end", note="and a proven one; unproven is 4"),
        "002-64": Row(
            "The running system tracks its profit, realised and unrealised",
            also=(
                "tests/unit/runtime/test_worth.py::test_total_is_realized_and_unrealized_by_venue_and_in_all",
                "tests/unit/runtime/test_worth.py::test_what_was_realised_survives_a_restart",
            ),
            note="`profit` in the state, on the page, in `top` and in the metrics",
        ),
        "002-65": Row("How a program uses the parts is documented", note="docs/library.md, examples/library.py"),
    },
)
