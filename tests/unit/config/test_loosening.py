"""Which way of changing a key is looser: every key of the model has an answer, and a row here."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.config.breakers import OWN, Breakers
from risk_daemon.config.load import effective
from risk_daemon.config.loosening import (
    ANSWERS,
    CHANNEL_ANSWERS,
    RULE_ANSWERS,
    Each,
    May,
    is_named,
    kind_of_table,
    loosened,
    tables_of,
)
from risk_daemon.config.notation import Table
from risk_daemon.config.own_rule import OwnRule
from risk_daemon.config.registry import RULES
from risk_daemon.config.settings import Settings, as_file

ABSENT = object()

WHOLE = tomllib.loads("""
[portfolio]
initial_capital = 10000
[circuit_breaker]
[breakers.drawdown]
lookback_days = 30
[breakers.daily_loss]
[breakers.weekly_loss]
limit = "10%"
[breakers.venue_loss]
limit = "10%"
[breakers.position_loss]
limit = "10%"
[breakers.volatility]
limit = "80%"
[breakers.order_rate]
max_orders_total = "off"
[breakers.error_rate]
max_errors_total = "off"
[breakers.spread]
class = "my_rules:Spread"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
[venues.kraken.dead_man]
timeout = "60s"
exclusive = true
[venues.other]
exchange = "okx"
markets = ["spot"]
[alerts.channels.webhook]
kind = "webhook"
url = "https://hooks.example.org/risk"
[alerts.channels.email]
kind = "email"
host = "mail.example.org"
sender = "guard@example.org"
recipients = ["alice@example.org"]
[alerts.channels.sms]
kind = "sms"
account_sid = "AC1"
sender = "+100"
recipients = ["+1", "+2"]
[alerts.channels.apprise]
kind = "apprise"
[broadcast.kafka]
bootstrap = "kafka:9092"
[fund]
name = "alpha"
limit = "20%"
member = "a"
budget = 400
ledger = "redis://127.0.0.1:6379/0"
""")


def read(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """A document as it is kept, through the model."""
    return effective(Settings.model_validate(tables, context=as_file(Path("/nowhere/config.toml"))))


def changed(tables: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The tables with another value of one key; ABSENT takes it out."""
    name, _, rest = key.partition(".")
    inner = dict(tables)
    if rest:
        inner[name] = changed(inner.get(name, {}), rest, value)
    elif value is ABSENT:
        inner.pop(name, None)
    else:
        inner[name] = value
    return inner


# --- rows: from the strictest value to the loosest ---------------------------------------------------

RISING = {
    "portfolio.dust_below": [1, 2, 100],
    "circuit_breaker.loss_threshold": ["4%", "5%", "50%"],
    "circuit_breaker.warning_threshold": ["1%", "3%", "off"],
    "circuit_breaker.warnings": [["1%", "2%", "4%"], ["2%", "3%"], ["3%"], []],
    "circuit_breaker.action": ["trip", "freeze"],
    "circuit_breaker.confirm": [False, True],
    "circuit_breaker.confirm_within": ["1s", "2s", "1m"],
    "circuit_breaker.resweep_every": ["10s", "30s", "1h"],
    "breakers.blind.warn_after": ["1s", "10s", "20s"],
    "breakers.blind.veto_after": ["10s", "30s", "1h"],
    "breakers.blind.trip_after": ["1m", "2m", "never"],
    "breakers.drawdown": [{"limit": "10%"}, ABSENT],
    "breakers.drawdown.limit": ["9%", "10%", "20%"],
    "breakers.drawdown.lookback_days": ["all", 30, 7],
    "breakers.drawdown.action": ["trip", "freeze", "veto"],
    "breakers.drawdown.active_hours": [ABSENT, "14:30-21:00"],
    "breakers.drawdown.warnings": [["5%"], ["6%"], []],
    "breakers.daily_loss.limit": ["2%", "5%", "6%"],
    "breakers.weekly_loss.limit": ["100 USDT", "200 USDT"],
    "breakers.venue_loss.limit": ["2%", "5%"],
    "breakers.venue_loss.venue": [ABSENT, "kraken"],
    "breakers.position_loss.limit": ["2%", "5%"],
    "breakers.volatility.limit": ["80%", "150%"],
    "breakers.order_rate.max_orders": [10, 50, 100],
    "breakers.order_rate.max_orders_total": [10, 100, "off"],
    "breakers.order_rate.window": ["1h", "60s", "1s"],
    "breakers.error_rate.max_errors": [3, 10],
    "breakers.error_rate.max_errors_total": [10, 100, "off"],
    "breakers.error_rate.window": ["10m", "60s"],
    "breakers.spread.action": ["trip", ABSENT, "veto"],
    "breakers.spread.active_hours": [ABSENT, "14:30-21:00"],
    "gate.allow_reduce_only": [False, True],
    "gate.max_notional": [100, 2000, ABSENT],
    "gate.max_quantity": [0.5, 2, ABSENT],
    "gate.price_collar": ["1%", "3%", ABSENT],
    "gate.duplicate_window": ["1m", "1s", ABSENT],
    "gate.max_orders_per_second_per_bot": [1, 5, ABSENT],
    "baselines.lookback_days": ["all", 30, 7],
    "venues.kraken.allow_unproven": [False, True],
    "venues.kraken.dead_man": [{"timeout": "60s", "exclusive": True}, ABSENT],
    "venues.kraken.dead_man.timeout": ["30s", "60s", "1h"],
    "alerts.rate": [100, 10, 1],
    "alerts.escalate_after": ["1m", "5m", "off"],
    "alerts.heartbeat_every": ["1m", "5m", "off"],
    "alerts.channels.webhook": [{"kind": "webhook"}, ABSENT],
    "alerts.channels.webhook.severity": ["info", "warning", "critical"],
    "alerts.channels.webhook.events": [[], ["manual_halt", "venue_lost"], ["manual_halt"]],
    "alerts.channels.webhook.escalation": [True, False],
    "alerts.channels.webhook.heartbeat": [True, False],
    "alerts.channels.email.recipients": [["a@example.org", "b@example.org"], ["b@example.org"]],
    "alerts.channels.sms.recipients": [["+1", "+2"], ["+1"]],
    "broadcast.kafka": [{"bootstrap": "kafka:9092"}, ABSENT],
    "api.listen": ["127.0.0.1:8787", "0.0.0.0:8787"],
    "warden.quorum": [3, 2, 1],
    "warden.break_glass_after": ["1d", "1h", "1s"],
    "state.keep_logs": ["never", "400d", "30d", "1d"],
    "fund": [
        {"name": "alpha", "limit": "5%", "member": "a", "budget": 400, "ledger": "redis://127.0.0.1:6379/0"},
        ABSENT,
    ],
    "fund.limit": ["1000 USDT", "2000 USDT", "2000.5 USDT"],
    "fund.budget": ["100 USDT", 400, 401],
}
EITHER = {
    "data.reconcile_every": ["5s", "15s", "20s"],
    "data.balance_stale": ["30s", "45s", "1h"],
    "data.position_stale": ["30s", "45s", "1h"],
    "data.price_stale": ["20s", "30s", "1h"],
    "venues.kraken.reconcile_every": ["5s", ABSENT, "20s"],
    "venues.kraken.balance_stale": ["30s", ABSENT, "1h"],
    "venues.kraken.position_stale": ["30s", "45s", "1h"],
    "venues.kraken.price_stale": ["20s", ABSENT, "1h"],
    "circuit_breaker.settle": ["5s", "2s", "10ms"],
    "circuit_breaker.order_flight": ["1m", "5s", "1s"],
    "guard.name": ["main", "b"],
    "guard.group": ["main", "fund-1"],
    "state.locks": [["file"], ["file", "redis://127.0.0.1:6379/0"]],
    "portfolio.reference_currency": ["USDT", "USDC"],
    "portfolio.initial_capital": [10_000, 9_000, "auto"],
    "portfolio.ignore_assets": [[], ["BTC"]],
    "circuit_breaker.auto_close_positions": [False, True],
    "circuit_breaker.protective_orders": ["cancel", "keep"],
    "circuit_breaker.cancel_deadline": ["300s", "10s"],
    "breakers.daily_loss.limit": ["5%", "500 USDT"],
    "breakers.weekly_loss.warnings": [["1%"], ["2%", "3%"]],
    "breakers.volatility.window": ["1h", "2h"],
    "breakers.order_rate.scope": ["bot", "venue"],
    "breakers.error_rate.scope": ["bot", "venue"],
    "breakers.venue_loss.venue": ["kraken", "other"],
    "breakers.drawdown.active_hours": ["14:30-21:00", "21:00-14:30"],
    "breakers.spread.class": ["my_rules:Spread", "my_rules:Other"],
    "breakers.spread.action": [ABSENT, "freeze"],
    "breakers.spread.max_spread": [0.02, 0.01, ABSENT],
    "breakers.session": [{"rule": "drawdown"}, {"rule": "daily_loss"}],
    "baselines.reset_at": ["00:00", "12:00"],
    "baselines.timezone": ["UTC", "Europe/Prague"],
    "baselines.peak_hold": ["10s", "20s"],
    "baselines.flow_wait": ["60s", "1s"],
    "data.stale_band": ["20%", "10%"],
    "data.price_skew": ["1s", "2s"],
    "data.settle_legs": ["250ms", "1s"],
    "data.call_timeout": ["10s", "20s"],
    "prices.pegs": [{}, {"USDC": 1}],
    "alerts.channels.webhook.timeout": ["10s", "1s"],
    "alerts.channels.webhook.url": ["https://hooks.example.org/risk", "https://elsewhere.example.org/"],
    "alerts.channels.webhook.allow": [[], ["hooks.example.org"]],
    "alerts.channels.webhook.bearer": [False, True],
    "alerts.channels.webhook.ca_file": [ABSENT, __file__],
    "alerts.channels.email.host": ["mail.example.org", "127.0.0.1"],
    "alerts.channels.email.port": [587, 25],
    "alerts.channels.email.security": ["starttls", "tls", "none"],
    "alerts.channels.email.username": ["", "guard"],
    "alerts.channels.email.sender": ["guard@example.org", "x@example.org"],
    "alerts.channels.email.ca_file": [ABSENT, __file__],
    "alerts.channels.email.recipients": [["a@example.org"], ["b@example.org"]],
    "alerts.channels.sms.account_sid": ["AC1", "AC2"],
    "alerts.channels.sms.sender": ["+100", "+200"],
    "alerts.channels.sms.url": ["https://api.twilio.com", "http://127.0.0.1:9"],
    "alerts.channels.sms.allow": [[], ["api.twilio.com"]],
    "alerts.channels.apprise.allow": [[], ["api.example.org"]],
    "venues.kraken.exchange": ["kraken", "okx"],
    "venues.kraken.markets": [["spot"], ["spot", "margin"]],
    "venues.kraken.simulated": [False, True],
    "venues.kraken.endpoint": [ABSENT, "http://127.0.0.1:9"],
    "venues.kraken.sandbox": [False, True],
    "venues.kraken.local_address": [ABSENT, "127.0.0.2"],
    "state.store": ["sqlite", "postgresql://guard@127.0.0.1/risk"],
    "broadcast.kafka.bootstrap": ["kafka:9092", "kafka:9093"],
    "broadcast.kafka.topic": ["system-events", "other-events"],
    "broadcast.kafka.event_type": ["The3PercentFreeze", "TheFreeze"],
    "fund.name": ["alpha", "beta"],
    "fund.member": ["a", "b"],
    "fund.limit": ["1000 USDT", "5%"],
    "fund.ledger": ["redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1", "postgresql://guard@127.0.0.1/risk"],
    "venues.third": [ABSENT, {"exchange": "bybit", "markets": ["spot"]}],
}
NEITHER = {
    "alerts.strategy_name": ["risk-daemon", "night shift"],
    "api.socket": ["risk-daemon.sock", "other.sock"],
    "warden.host": ["localhost", "guard.example.org"],
    "state.dir": ["var", "/srv/var"],
    "state.keep_snapshots": ["90d", "1d", "never"],
}
# One value is allowed, or a file must be there: compared as documents, past the model.
NOT_TO_BE_SET = {
    "breakers.*.rule",
    "venues.*.dead_man.exclusive",
    "broadcast.kafka.security_protocol",
    "broadcast.kafka.sasl_mechanism",
    "broadcast.kafka.username",
    "broadcast.kafka.ca_file",
    "api.tls_certificate",
    "api.tls_key",
    "guard.peers",
}


def compare(key: str, old: Any, new: Any) -> tuple[str, ...]:
    tls = {"tls_certificate": __file__, "tls_key": __file__} if key in ("api.listen", "warden.host") else {}
    whole = changed(WHOLE, "api", tls)
    return loosened(read(changed(whole, key, old)), read(changed(whole, key, new)))


def pairs(rows: Mapping[str, list[Any]]) -> list[Any]:
    return [pytest.param(key, one, other, id=key) for key, values in rows.items() for one, other in pairwise(values)]


@pytest.mark.parametrize(("key", "strict", "loose"), pairs(RISING))
def test_loosening_is_told_and_tightening_is_not(key: str, strict: Any, loose: Any) -> None:
    found = compare(key, strict, loose)
    assert len(found) == 1
    assert found[0].startswith(key.removeprefix("breakers.").removesuffix(".limit"))
    assert compare(key, loose, strict) == ()


@pytest.mark.parametrize(("key", "one", "other"), pairs(EITHER))
def test_where_the_direction_is_not_known_both_are_looser(key: str, one: Any, other: Any) -> None:
    assert len(compare(key, one, other)) == 1
    assert len(compare(key, other, one)) == 1


@pytest.mark.parametrize(("key", "one", "other"), pairs(NEITHER))
def test_what_says_nothing_of_the_guard_may_change(key: str, one: Any, other: Any) -> None:
    assert compare(key, one, other) == compare(key, other, one) == ()


# --- every key ---------------------------------------------------------------------------------------


def keys_of_model(table: type[Table], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every key that can be set, names of the user's as *."""
    for name, field in table.model_fields.items():
        key, inner = (*path, field.alias or name), tables_of(field)
        if not inner:
            yield ".".join(key)
        for one in inner:
            named = f"<{kind_of_table(one)}>" if len(inner) > 1 else "*"
            yield from keys_of_model(one, (*key, named) if is_named(field) else key)
    if table is Breakers:
        for kind, rule in {**RULES, OWN: OwnRule}.items():
            yield from keys_of_model(rule, (*path, f"<{kind}>"))


def keys_of_answers(answer: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(answer, Each) and answer.has_kinds:
        for kind, answers in answer.of.items():
            yield from keys_of_answers(answers, (*path, f"<{kind}>"))
    elif isinstance(answer, Each | May):
        yield from keys_of_answers(answer.of, (*path, "*") if isinstance(answer, Each) else path)
    elif isinstance(answer, Mapping):
        for key, inner in answer.items():
            yield from keys_of_answers(inner, (*path, key))
        if path == ("breakers",):
            for kind, answers in RULE_ANSWERS.items():
                yield from keys_of_answers(answers, (*path, f"<{kind}>"))
    else:
        assert callable(answer), path
        yield ".".join(path)


def test_every_key_of_the_settings_has_an_answer() -> None:
    """A new key fails here until somebody says in config/loosening.py which way of changing it is looser."""
    known, answered = sorted(keys_of_model(Settings)), sorted(keys_of_answers(ANSWERS))
    assert "breakers.<drawdown>.limit" in known
    assert "venues.*.dead_man.timeout" in known
    assert answered == known


def test_every_answer_has_a_row_here() -> None:
    """So that none is an answer without a reason."""

    def kind(key: str) -> str:
        parts = key.split(".")
        if parts[0] == "venues" and len(parts) > 2:
            parts[1] = "*"
        if parts[0] == "breakers" and len(parts) > 2 and parts[1] != "blind":
            parts[1] = f"<{OWN if parts[1] == 'spread' else parts[1]}>"
        if parts[:2] == ["alerts", "channels"]:
            parts[2] = f"<{parts[2]}>"
        return ".".join(parts)

    rows = {kind(key) for key in (*RISING, *EITHER, *NEITHER)}
    # What all rules have in common is one answer, shown by one rule.
    common = {f"breakers.<{rule}>.{key}" for rule in RULES for key in ("action", "active_hours", "warnings")}
    common |= {
        f"alerts.channels.<{kind}>.{key}"
        for kind in CHANNEL_ANSWERS
        for key in ("severity", "events", "escalation", "heartbeat", "timeout")
    }
    assert {"breakers.<drawdown>.action", "alerts.channels.<webhook>.severity"} <= rows
    free = NOT_TO_BE_SET | {f"breakers.<{rule}>.rule" for rule in RULES} | common
    free |= {f"alerts.channels.<{kind}>.kind" for kind in CHANNEL_ANSWERS}
    assert set(keys_of_answers(ANSWERS)) - rows - free == set()


def test_a_key_without_an_answer_is_looser_when_it_changes() -> None:
    old, new = changed(read(WHOLE), "gate.brand_new", 1), changed(read(WHOLE), "gate.brand_new", 2)
    assert loosened(old, new) == ("gate.brand_new 1 -> 2",)
    assert loosened(new, read(WHOLE)) == ("gate.brand_new 2 -> off",)
    assert loosened({**read(WHOLE), "brand_new": {"x": 1}}, read(WHOLE)) == ("brand_new {x = 1} -> off",)


# --- what an answer is -------------------------------------------------------------------------------

SIZES = [None, "off", "never", "all", 1, 30, "5%", "10%", "5 USDT", "500 USDT", "2s", "250ms", "1h"]
WORDS = [True, False, "trip", "freeze", "veto", "cancel", "keep", "14:30-21:00", "", "?"]
VALUES = st.sampled_from([*SIZES, *WORDS, [], ["1%"], ["2%", "3%"], ["1 USDT"], {}])
ALL_ANSWERS = [
    *(answer for answers in CHANNEL_ANSWERS.values() for answer in answers.values()),
    *(answer for answers in RULE_ANSWERS.values() for answer in answers.values()),
    *(answer for table in ("circuit_breaker", "gate", "data") for answer in ANSWERS[table].values()),
]


@given(st.sampled_from(ALL_ANSWERS), VALUES, VALUES, VALUES)
def test_steps_that_loosen_nothing_lead_nowhere_looser(answer: Any, one: Any, two: Any, three: Any) -> None:
    """The state remembers the last configuration that ran: step by step nobody gets past the first one."""
    assert not answer(one, one)
    if not answer(one, two) and not answer(two, three):
        assert not answer(one, three)


@given(st.sampled_from(ALL_ANSWERS), VALUES, VALUES)
def test_no_change_is_harmless_both_ways(answer: Any, one: Any, other: Any) -> None:
    """Of two values that are not the same at least one is looser."""
    is_same = one == other or {str(one), str(other)} <= {"None", "off", "never", "all"}
    assert is_same or answer(one, other) or answer(other, one)


# --- documents ---------------------------------------------------------------------------------------


def test_rules_are_told_by_their_names() -> None:
    renamed = changed(changed(WHOLE, "breakers.drawdown", ABSENT), "breakers.dd", {"rule": "drawdown"})
    assert loosened(read(WHOLE), read(renamed)) == ("drawdown is taken out",)
    other = changed(WHOLE, "breakers.spread", {"rule": "drawdown"})
    assert loosened(read(WHOLE), read(other)) == ("spread is another rule: class -> drawdown",)
    looser = changed(changed(WHOLE, "breakers.drawdown.limit", "20%"), "circuit_breaker.settle", "1s")
    assert loosened(read(WHOLE), read(looser)) == ("circuit_breaker.settle 2 s -> 1 s", "drawdown 10 % -> 20 %")


def test_a_channel_that_is_new_is_nothing_and_one_that_became_another_is_looser() -> None:
    more = changed(WHOLE, "alerts.channels.more", {"kind": "apprise", "severity": "critical"})
    assert loosened(read(WHOLE), read(more)) == ()
    other = changed(WHOLE, "alerts.channels.webhook", {"kind": "apprise"})
    found = loosened(read(WHOLE), read(other))
    assert "alerts.channels.webhook.kind webhook -> apprise" in found


def test_a_venue_that_takes_over_the_common_times_changes_nothing() -> None:
    own = changed(WHOLE, "venues.kraken.price_stale", "30s")
    assert loosened(read(WHOLE), read(own)) == loosened(read(own), read(WHOLE)) == ()
    longer = changed(WHOLE, "data.price_stale", "40s")
    assert loosened(read(WHOLE), read(longer)) == ("data.price_stale 30 s -> 40 s",)


def test_a_document_of_an_older_version_has_the_defaults_of_what_it_does_not_name() -> None:
    old = changed(changed(read(WHOLE), "circuit_breaker.settle", ABSENT), "breakers.daily_loss.limit", ABSENT)
    assert loosened(old, read(WHOLE)) == ()
    assert loosened(old, read(changed(WHOLE, "circuit_breaker.settle", "1s"))) == ("circuit_breaker.settle 2 s -> 1 s",)


@pytest.mark.parametrize("odd", [{}, {"venues": 5}, {"breakers": {"x": 1}}, {"portfolio": None}])
def test_a_document_that_says_little_does_not_allow_much(odd: Mapping[str, Any]) -> None:
    assert "venues.kraken is new" in loosened(odd, read(WHOLE))


ANY_JSON = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, "", "5%", "trip", "drawdown", "webhook"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ANSWERS, "kraken", "limit", "rule", "kind", "class", "channels"]), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*ANSWERS, "brand_new"]), ANY_JSON))
def test_whatever_was_kept_is_compared(old: Mapping[str, Any]) -> None:
    """It is asked while a trip waits to be finished: it must not fail."""
    assert loosened(old, read(WHOLE))
