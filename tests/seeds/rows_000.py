"""The phase plan: a portfolio that freezes at 3 % in a day."""

from __future__ import annotations

from tests.seeds.row import Document, Row

_FILES = "3: the house has rooms of its own"
_ATTACKS = "tests/e2e/test_override_attacks.py::"
_FAULTS = "tests/contract/test_redis_faults.py::"
_BROADCASTS = "tests/e2e/test_broadcast.py::"
_MESSAGE = "tests/unit/broadcast/test_message.py::"
_RELAY = "tests/unit/broadcast/test_relay.py::"

DOCUMENT = Document(
    "000",
    "a phase plan",
    37,
    {
        "000-01": Row("A global breaker that freezes all trading when 3.0 % are lost in a day"),
        "000-02": Row(
            "A middleware in front of every interface that sends orders",
            note="which routes those are is said by patterns; cancels pass",
        ),
        "000-03": Row("The freeze is a mode with a name, Zen Mode", note="a profile, and the sentence of the refusal"),
        "000-04": Row("Realised and unrealised losses of the day added up over all accounts"),
        "000-05": Row(
            "In less than 100 ms",
            note="`python -m benchmarks store` measures it: p99 from a change on one of 100 accounts to the answer from"
            " the table, when a snapshot is due; the guard itself judges in the turn that takes the change in",
        ),
        "000-06": Row(
            "A table of daily snapshots by account, amounts with two decimals",
            also=("tests/unit/state/store/test_snapshots.py::test_two_decimals_never_make_a_loss_smaller",),
        ),
        "000-07": Row(
            "Generated columns for the drawdown and whether it is breached, id as the only key",
            note="in the form that runs (13.1): the key is id and snapshot_time, for a hypertable takes no other; the"
            " limit is a column, 3 % where the configuration has none",
            also=("tests/unit/state/store/test_snapshots.py::test_it_is_breached_at_the_limit_unrounded",),
        ),
        "000-08": Row(
            "The table is a TimescaleDB hypertable",
            note="where the extension is loaded. The tests run against it where a server has it, and against a stand-in"
            " that is asked the same where none has",
        ),
        "000-09": Row("A compose service for TimescaleDB", note="in `deploy/compose.yaml`"),
        "000-10": Row("A migration file", note="`0010_21_circuit_breaker.sql`, run by `risk-daemon migrate`"),
        "000-11": Row("A file for the drawdown aggregator", different=_FILES + ": baselines.py and portfolio.py"),
        "000-12": Row("`POST /orders` is answered 423 Locked for the rest of a breached day"),
        "000-13": Row("A class CircuitBreakerMiddleware with check_breaker(account_id)"),
        "000-14": Row(
            "The breaker is asked for each account",
            note="there is one gate for all; an account that is a venue of the configuration is judged with its own"
            " halt as well, any other by the gate alone",
        ),
        "000-15": Row(
            "CircuitBreakerException with the sentence of the Zen Mode and the limit in it",
        ),
        "000-16": Row(
            "A service that tells an account's daily drawdown",
            note="`check-drawdown --venue V`, and venues.V.daily_loss_ratio in risk.json and over HTTP",
        ),
        "000-17": Row("A file for the Zen Mode", different=_FILES + ": freeze.py and a profile"),
        "000-18": Row("A file for the middleware", different=_FILES + ": risk_daemon/middleware/"),
        "000-19": Row(
            "Redis remembers the breach for the rest of the trading day",
            also=(
                f"{_FAULTS}test_a_lock_is_kept_over_the_guards_end_and_a_restart_of_the_server",
                "tests/e2e/test_redis.py::test_halts_ends_and_restarts_reach_a_bot_elsewhere",
            ),
            note="with its end as data, which opens nothing by itself; on the guard's machine the state directory does",
        ),
        "000-20": Row("It expires at 00:00 UTC", note="`reset_at` and `timezone` can be set"),
        "000-21": Row(
            "Any breach ends at 00:00 UTC by itself",
            different="4.4: only a freeze does; a trip ends by a reset alone",
        ),
        "000-22": Row("Asking often does not hammer a database", note="bots look at a memory map"),
        "000-23": Row(
            "A file for the Redis lock",
            note="risk_daemon/state/lock/redis.py, in a room of the house",
            also=("tests/contract/test_locks.py::test_it_follows_what_is_written",),
        ),
        "000-24": Row(
            "A warden ends a freeze with several factors, one of them biometric",
            also=(
                f"{_ATTACKS}test_two_wardens_end_a_freeze_and_one_does_not",
                "tests/e2e/test_override.py::test_enrol_trip_and_reset_with_the_daemon_stopped",
                "tests/unit/auth/test_passkeys.py::test_what_is_not_quite_it_is_refused",
            ),
            note="a passkey whose device verifies the person, and a one-time code",
        ),
        "000-25": Row(
            "Only in extreme emergencies",
            also=(
                f"{_ATTACKS}test_no_token_resumes_anything_by_any_path",
                f"{_ATTACKS}test_five_wrong_codes_lock_also_over_a_restart_and_are_told",
                f"{_ATTACKS}test_the_glass_is_told_waits_and_then_breaks",
            ),
            note="a freeze ends by itself; before that only a quorum, with a reason, is heard, and everything is told",
        ),
        "000-26": Row(
            "Files for the factors and the override",
            different=_FILES,
            also=("tests/unit/auth/test_desk.py::test_what_is_agreed_to_is_done_once_and_told",),
        ),
        "000-27": Row(
            "The freeze is broadcast over Kafka",
            also=(
                f"{_BROADCASTS}test_a_freeze_is_broadcast_as_one_and_the_trip_that_follows_it_too",
                f"{_BROADCASTS}test_killed_between_latch_and_send_it_is_sent_by_the_next_start",
            ),
            note="every trip and freeze is; owed in the state, with the latch, until the broker has acknowledged it",
        ),
        "000-28": Row(
            "To every mobile and desktop agent",
            also=(
                "tests/e2e/test_protector_agent.py::test_it_cancels_everything_and_a_repeat_cancels_nothing_more",
                "tests/e2e/test_protector_agent.py::test_killed_in_the_middle_it_begins_where_it_was",
            ),
            note="examples/protector_agent.py is one to begin with",
        ),
        "000-29": Row(
            "With high urgency",
            also=(
                f"{_BROADCASTS}test_a_trip_is_on_the_topic_within_a_second_with_its_loss",
                f"{_BROADCASTS}test_a_broker_that_is_stopped_makes_no_step_of_a_trip_longer",
                f"{_RELAY}test_a_new_trip_waits_for_no_pause_and_for_no_other_that_is_refused",
            ),
            note="within a second where a broker is there, acknowledged by every replica, tried again without end",
        ),
        "000-30": Row("On the topic system-events", note="`[broadcast.kafka] topic`, by default"),
        "000-31": Row(
            "With event type, loss, time and the action to cancel all orders",
            also=(f"{_MESSAGE}test_the_loss_is_what_was_measured_and_never_0_for_what_is_not_known",),
            note="and the trip's id, for whoever hears it twice; what is not known is null",
        ),
        "000-32": Row("A freeze cancels all open orders"),
        "000-33": Row(
            "A command that shows the drawdown of the moment",
            also=(
                "tests/unit/cli/test_commands.py::test_check_drawdown",
                "tests/unit/cli/test_commands.py::test_check_drawdown_of_the_day",
                "tests/unit/cli/test_commands.py::test_check_drawdown_of_venues",
            ),
        ),
        "000-34": Row(
            "A command that simulates a breach",
            also=("tests/e2e/test_drill.py::test_the_command",),
            note="`risk-daemon simulate-breach`",
        ),
        "000-35": Row("Status, owner and place in a roadmap", different="1: another project's planning"),
        "000-36": Row(
            "A file for the freeze publisher",
            different=_FILES,
            also=("tests/unit/broadcast/test_relay.py::test_what_is_owed_goes_out_at_once_and_is_told_and_kept",),
        ),
        "000-37": Row(
            "Realised and unrealised profit for each account",
            also=("tests/unit/runtime/test_worth.py::test_total_is_realized_and_unrealized_by_venue_and_in_all",),
            note="an account is a venue of the configuration",
        ),
    },
)
