"""Alerts of the whole process, to real receivers on loopback."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import datetime

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for
from tests.receivers.http import hanging
from tests.receivers.webhook import SECRET, WebhookReceiver

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
TRIGGERED = "circuit_breaker_triggered"


@pytest.fixture
def receivers():
    """As many as are asked for."""
    with ExitStack() as stack:
        yield lambda count: [stack.enter_context(WebhookReceiver()) for _ in range(count)]


def channels(*found, **settings: str) -> str:
    """A webhook for each, named c0, c1, ..."""
    more = "".join(f"{key} = {value}\n" for key, value in settings.items())
    return "".join(
        f'[alerts.channels.c{number}]\nkind = "webhook"\nurl = "{one.url}"\nallow = ["127.0.0.1"]\n{more}'
        for number, one in enumerate(found)
    )


def started(venue, daemon_for, found, extra: str = "", config: str = "", **circuit_breaker: str) -> Daemon:
    text = kraken_config(venue.endpoint, **circuit_breaker) + config + channels(*found) + extra
    daemon = daemon_for(text, KEYS)
    daemon.environment |= {f"RISK_DAEMON_ALERTS_C{number}_SECRET": SECRET for number in range(len(found))}
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()
    return daemon


def crash(venue) -> None:
    venue.post(price={"BTC": 43000})


def told(receiver, event: str = TRIGGERED) -> list:
    """What a receiver took of one kind, as bodies."""
    return [body for body in receiver.alerts if body["event_type"] == event]


def wait_told(receiver, event: str = TRIGGERED, count: int = 1):
    return wait_for(lambda: told(receiver, event)[count - 1 : count], f"{event} at a receiver")[0]


def came_after_s(receiver, event: str = TRIGGERED) -> float:
    """How long after it happened."""
    took = next(one for one in receiver.taken if one.content["event_type"] == event)
    now_wall, now_mono = time.time(), time.monotonic()
    return now_wall - (now_mono - took.at) - datetime.fromisoformat(took.content["timestamp"]).timestamp()


def test_the_first_alert_of_a_trip_is_there_within_a_second_though_nine_of_ten_hang(
    documented_kraken, daemon_for, receivers
):
    good, *others = receivers(10)
    for other in others:
        other.answering = hanging
    daemon = started(documented_kraken, daemon_for, [good, *others])
    documented_kraken.post(price={"BTC": 45500})
    wait_told(good, "warning_triggered")
    crash(documented_kraken)
    body = wait_told(good)
    assert came_after_s(good) <= 1.0
    assert daemon.exit_code() == 1, daemon.output()
    (trip,) = daemon.of(TRIGGERED)
    assert (body["trip_id"], body["severity"], body["strategy_name"]) == (trip["trip_id"], "critical", "risk-daemon")
    assert body["circuit_breaker_type"] == trip["breaker"]
    assert trip["trip_id"] in good.ids
