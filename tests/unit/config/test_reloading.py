"""Every key of the settings is taken by a running guard or needs a restart, and a table says which."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.config.reloading import AT_ONCE, AT_START, Change, changes, is_taken_at_once
from risk_daemon.config.settings import Settings
from tests.unit.config.test_loosening import ABSENT, WHOLE, changed, keys_of_model, read


def is_under(key: str, answers: frozenset[str]) -> bool:
    """Whether a key of the model has its own answer, or its table has one that holds for all in it."""
    parts = key.split(".")
    parts = [*parts[:1], "*", *parts[2:]] if key.startswith(("breakers.<", "venues.")) else parts
    if key.startswith("alerts.channels."):
        parts[2] = "*"
    whole = {"breakers.*", "alerts.channels.*", "venues.*.dead_man", "broadcast.kafka"}
    return ".".join(parts) in answers or any(
        ".".join(parts[:length]) in whole & answers for length in range(1, len(parts))
    )


@pytest.mark.parametrize("key", sorted(keys_of_model(Settings)))
def test_every_key_has_one_answer(key: str) -> None:
    """A new key fails here until it is said in config/reloading.py, and done in app/reload.py."""
    assert is_under(key, AT_ONCE) is not is_under(key, AT_START)


def test_no_answer_is_of_a_key_that_is_not_there() -> None:
    known = list(keys_of_model(Settings))
    tables = {"breakers.*", "alerts.channels.*", "venues.*", "venues.*.dead_man", "broadcast.kafka"}
    assert (AT_ONCE | AT_START) - tables <= set(known)
    assert AT_ONCE.isdisjoint(AT_START)


ROWS: list[tuple[str, Any, tuple[Any, Any], bool]] = [
    ("circuit_breaker.loss_threshold", "4%", ("5%", "4%"), True),
    ("breakers.drawdown.limit", "12%", ("10%", "12%"), True),
    ("breakers.blind.veto_after", "20s", ("30s", "20s"), True),
    ("breakers.blind.trip_after", "2m", ("never", "120s"), True),
    ("gate.max_notional", 100, (None, "100"), True),
    ("venues.kraken.price_stale", "40s", (None, "40s"), True),
    ("venues.kraken.endpoint", "http://127.0.0.1:9", (None, "http://127.0.0.1:9"), False),
    ("venues.kraken.dead_man.timeout", "30s", ("60s", "30s"), False),
    ("alerts.channels.email.port", 25, (587, 25), True),
    ("broadcast.kafka.topic", "other-events", ("system-events", "other-events"), False),
    ("api.listen", "127.0.0.1:1", ("127.0.0.1:8787", "127.0.0.1:1"), False),
    ("portfolio.initial_capital", 9_000, ("10000", "9000"), False),
    ("prices.pegs", {"USDC": 1}, ({}, {"USDC": "1"}), False),
    ("guard.name", "other", ("main", "other"), False),
    ("guard.group", "other", ("main", "other"), False),
    ("fund.budget", 300, ("400", "300"), False),
    ("state.dir", "/srv/var", ("/nowhere/var", "/srv/var"), False),
]


@pytest.mark.parametrize(("key", "value", "told", "at_once"), ROWS, ids=[row[0] for row in ROWS])
def test_a_change_is_one_row_that_says_whether_it_needs_a_restart(
    key: str, value: Any, told: tuple[Any, Any], at_once: bool
) -> None:
    [change] = changes(read(WHOLE), read(changed(WHOLE, key, value)))
    assert (change.key, (change.old, change.new), change.needs_restart) == (key, told, not at_once)


def test_a_table_that_is_new_or_gone_is_one_row() -> None:
    less = changed(changed(WHOLE, "breakers.drawdown", ABSENT), "venues.other", ABSENT)
    rule, venue = changes(read(WHOLE), read(less))
    assert (rule.key, rule.new, rule.needs_restart) == ("breakers.drawdown", None, False)
    assert (venue.key, venue.new, venue.needs_restart) == ("venues.other", None, True)
    more = changed(WHOLE, "alerts.channels.more", {"kind": "apprise"})
    [channel] = changes(read(WHOLE), read(more))
    assert (channel.key, channel.old, channel.needs_restart) == ("alerts.channels.more", None, False)
    assert channel.document()["old"] == "(none)"
    assert changes(read(WHOLE), read(WHOLE)) == ()


def test_what_nobody_has_an_answer_for_needs_a_restart() -> None:
    assert not is_taken_at_once(("brand_new",))
    assert not is_taken_at_once(("gate", "brand_new"))
    assert not is_taken_at_once(("venues", "kraken", "brand_new"))
    assert Change(("gate", "brand_new"), None, 1).needs_restart
    assert is_taken_at_once(("breakers", "drawdown", "brand_new"))
