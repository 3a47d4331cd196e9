"""The card: the packages, the layout, the chain from a breach to exit code 1, and the three who use it."""

from __future__ import annotations

from tests.seeds.row import Document, Row

_MAIN_JOB = "tests/e2e/test_main_job.py::test_warns_trips_cancels_proves_and_exits_1"
_DEMO = "tests/e2e/test_demo.py::"

DOCUMENT = Document(
    "card",
    "the card",
    19,
    {
        "card-01": Row("Python 3.11 or later"),
        "card-02": Row(
            "asyncio, driven by events",
            also=("tests/contract/test_venue_adapter.py::test_a_change_of_balance_reaches_the_feed_at_once",),
        ),
        "card-03": Row("ccxt", note="markets, REST and signing; the sockets of exchanges without a file"),
        "card-04": Row("aiohttp", note="the API, a middleware, and the simulated exchanges"),
        "card-05": Row("structlog", note="every line that the daemon logs"),
        "card-06": Row("uvloop", note="the daemon's loop"),
        "card-07": Row("pytest-asyncio"),
        "card-08": Row("websockets", note="the streams of every exchange with calls of its own, one task a socket"),
        "card-09": Row("pydantic-settings", note="the keys of the accounts"),
        "card-10": Row("The layout at the top: rooms for the guard, adapters, orders, examples, tests, documents"),
        "card-11": Row(
            "Balances, positions and prices are streamed from several exchanges and valued in USDT",
            also=("tests/contract/test_venue_adapter.py::test_the_first_frame_is_a_snapshot_and_changes_follow",),
            note="against simulated exchanges; see 002-40",
        ),
        "card-12": Row(
            "At 5 % of initial capital the gate is shut",
            also=("tests/e2e/test_gate.py::test_another_process_sees_the_lock_at_once",),
        ),
        "card-13": Row(
            "Every spot and perp order on every exchange is cancelled",
            also=(
                _DEMO + "test_every_order_is_cancelled_in_the_exchanges_own_books",
                "tests/cards/test_orders.py::test_card_05_250_plain_and_30_conditional_orders_go_at_few_calls",
            ),
            to_come="testnet: so on seven simulated exchanges; on others `check` names what is missing",
        ),
        "card-14": Row(
            "It is proven that they are gone",
            also=("tests/e2e/test_main_job.py::test_odd_listings_prove_nothing_until_they_heal",),
        ),
        "card-15": Row(
            "People are alerted",
            also=(
                "tests/e2e/test_alerts.py::test_the_first_alert_of_a_trip_is_there_within_a_second_though_nine_of_ten_hang",
                "tests/e2e/test_alerts.py::test_a_trip_that_nobody_could_be_told_of_before_a_kill_is_told_after_it",
            ),
        ),
        "card-16": Row("It exits with code 1", also=(_MAIN_JOB,)),
        "card-17": Row(
            "A systemd unit beside the bots",
            also=(
                "tests/unit/test_deploy_unit.py::test_systemd_understands_all_of_it",
                "tests/e2e/test_systemd.py::test_ready_watchdog_status_and_stopping",
            ),
        ),
        "card-18": Row(
            "An operator who tails the log",
            also=("tests/unit/cli/test_commands.py::test_tail_goes_on_without_a_gap_or_a_repetition",),
        ),
        "card-19": Row(
            "A demo of losses that grow until it trips",
            also=(_DEMO + "test_the_four_losses_with_their_states", _DEMO + "test_it_ends_with_one"),
        ),
    },
)
