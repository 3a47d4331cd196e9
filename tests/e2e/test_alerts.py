"""Alerts of the whole process, to real receivers on loopback."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import time
from contextlib import ExitStack
from datetime import datetime

import pytest

from risk_daemon.client import DaemonGate
from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for
from tests.receivers.http import hanging, status
from tests.receivers.mail import MailServer
from tests.receivers.webhook import SECRET, WebhookReceiver

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"', "cancel_deadline": '"60s"'}
EVERY, INFO = 'allow = ["127.0.0.1"]\n', 'severity = "info"\n'
OUTAGE_S = 60.0
SLACK_S = 0.5  # of two runs on a machine that does other things too
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


def url_of(daemon: Daemon) -> str:
    addresses = [event["address"] for event in daemon.of("api_listening")]
    return "http://" + next(address for address in reversed(addresses) if not address.startswith("unix:"))


def shown(daemon: Daemon) -> dict:
    """What `risk-daemon alerts` says."""
    said = daemon.command("alerts", "--json")
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


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


@pytest.mark.long
def test_a_warning_a_veto_and_a_freeze_are_told_each_with_its_rule(documented_kraken, daemon_for, receivers):
    (one,) = receivers(1)
    veto = '[breakers.drawdown]\nlimit = "4%"\naction = "veto"\n'
    daemon = started(documented_kraken, daemon_for, [one], config=veto, action='"freeze"', **QUICK)
    documented_kraken.post(price={"BTC": 45500})
    assert wait_told(one, "warning_triggered")["severity"] == "warning"
    documented_kraken.post(price={"BTC": 44500})
    assert wait_told(one, "breaker_tripped")["circuit_breaker_type"] == "drawdown"
    crash(documented_kraken)
    frozen = wait_told(one)
    assert frozen["summary"].startswith("FROZEN by capital_loss")
    assert (frozen["severity"], frozen["details"]["action"]) == ("critical", "freeze")
    assert "proven gone" in wait_told(one, "sweep_finished")["summary"]
    assert daemon.command("alerts", "ack").returncode == 0
    assert daemon.command("reset", "--reason", "drill", "--rebaseline", "current", "--yes").returncode == 0
    assert wait_told(one, "circuit_breaker_reset")["trip_id"] == frozen["trip_id"]
    assert shown(daemon)["standing"] is None


@pytest.mark.long
def test_a_trip_that_nobody_could_be_told_of_before_a_kill_is_told_after_it(documented_kraken, daemon_for, receivers):
    found = receivers(2)
    daemon = started(documented_kraken, daemon_for, found, **{**QUICK, "cancel_deadline": '"300s"'})
    for one in found:
        one.shut()
    documented_kraken.post(listing="empty_result")  # not proven, so it lasts
    crash(documented_kraken)
    trip_id = daemon.wait_for("sweep_started")["trip_id"]
    daemon.signal(signal.SIGKILL)
    killed = time.monotonic()
    daemon.exit_code()

    daemon.start()
    wait_for(lambda: len(daemon.of("alert_failed")) >= 4, "tries by the second process")
    wait_for(lambda: time.monotonic() - killed > OUTAGE_S, "the end of the outage", 2 * OUTAGE_S)
    for one in found:
        one.open()
    for one in found:
        assert wait_told(one)["trip_id"] == trip_id
        told_ids = [one.ids[number] for number, body in enumerate(one.alerts) if body["event_type"] == TRIGGERED]
        assert told_ids[0] == trip_id, "the same as of every try before"
        assert {body["trip_id"] for body in told(one)} == {trip_id}
    tried = {line["alert_id"] for line in daemon.of("alert_failed") if line["alert_event"] == TRIGGERED}
    assert tried == {trip_id}
    assert "restarted in the middle of" in wait_told(found[0], "sweep_started")["summary"]
    documented_kraken.post(listing="ok")
    assert daemon.exit_code() == 1, daemon.output()


@pytest.mark.long
def test_100_vetoes_in_a_minute_are_ten_messages_and_one_summary_and_a_trip_after_them_arrives_at_once(
    documented_kraken, daemon_for, receivers
):
    (one,) = receivers(1)
    daemon = started(documented_kraken, daemon_for, [one])
    made = daemon.command("token", "create", "--role", "bot", "--name", "evil")
    assert daemon.command("halt", "--bot", "evil", "--reason", "it floods").returncode == 0
    gate = DaemonGate(url_of(daemon), token=made.stdout.strip().splitlines()[-1])
    for _ in range(20):
        before = len(daemon.of("order_vetoed"))
        for _ in range(5):
            assert not gate.check(venue="kraken", symbol="BTC/USDT", side="buy", quantity="0.1", price="1").allowed
        daemon.wait_for("order_vetoed", before + 1)
    wait_told(one, "order_vetoed", 11)
    counts = [body["details"]["count"] for body in told(one, "order_vetoed")]
    assert len(counts) == 11
    assert sum(counts) == 100
    assert "more of order_vetoed" in told(one, "order_vetoed")[-1]["summary"]
    crash(documented_kraken)
    wait_told(one)
    assert came_after_s(one) <= 1.0
    assert daemon.exit_code() == 1, daemon.output()


@pytest.mark.long
def test_a_halt_goes_to_all_and_is_acknowledged_with_and_without_a_daemon(documented_kraken, daemon_for, receivers):
    found = receivers(2)
    extra = 'events = ["venue_lost"]\n'  # of the last one
    daemon = started(documented_kraken, daemon_for, found, extra, **QUICK)
    documented_kraken.post(listing="empty_result")
    assert daemon.command("halt", "--reason", "drill").returncode == 0
    for one in found:
        assert wait_told(one)["circuit_breaker_type"] == "manual"
    trip_id = told(found[0])[0]["trip_id"]
    assert wait_for(lambda: shown(daemon)["standing"], "a trip")["acknowledged_by"] is None
    assert daemon.command("alerts", "ack", "another").returncode == 78
    assert daemon.command("alerts", "ack").returncode == 0
    assert shown(daemon)["standing"]["trip_id"] == trip_id
    assert "uid:" in shown(daemon)["standing"]["acknowledged_by"]
    assert [(line["trip_id"], line["operator"][:4]) for line in daemon.of("alert_acknowledged")] == [(trip_id, "uid:")]
    documented_kraken.post(listing="ok")
    assert daemon.exit_code() == 1, daemon.output()


@pytest.mark.long
def test_whoever_was_called_by_a_trip_is_told_at_once_what_became_of_it(documented_kraken, daemon_for):
    """By mail, to a channel that asks for what is critical alone. The guard ends with the proof: nobody else could."""
    with MailServer() as server:
        daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK) + pager(server), KEYS)
        assert daemon.command("init", "--yes").returncode == 0
        daemon.start()
        daemon.wait_open()
        crash(documented_kraken)
        assert daemon.exit_code() == 1, daemon.output()
        (proof,) = wait_mail(server, "Every order is proven gone")
        assert proof.startswith("CRITICAL")
        assert daemon.command("alerts", "ack").returncode == 0
        assert len(wait_mail(server, "was acknowledged by uid:", within_s=1.0)) == 1
        assert daemon.command("reset", "--reason", "seen", "--rebaseline", "current", "--yes").returncode == 0
        assert len(wait_mail(server, "was reset by", within_s=1.0)) == 1


def pager(server: MailServer) -> str:
    return f"""
[alerts.channels.pager]
kind = "email"
host = "127.0.0.1"
port = {server.port}
security = "none"
sender = "risk@example.org"
recipients = ["desk@example.org"]
severity = "critical"
"""


def wait_mail(server: MailServer, words: str, within_s: float = 20.0) -> list[str]:
    """The subjects with these words."""

    def found() -> list[str]:
        return [subject for one in server.mails if words in (subject := str(one.message["Subject"]))]

    return wait_for(found, lambda: f"{words!r} in {[one.message['Subject'] for one in server.mails]}", within_s)


@pytest.mark.long
def test_with_a_full_disk_people_are_told_all_the_same(documented_kraken, daemon_for, receivers):
    """Worse than full: no line, no latch, no lock, no list of what is owed, not even standard error can be written."""
    (one,) = receivers(1)
    daemon = started(documented_kraken, daemon_for, [one], cancel_deadline='"10s"')
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    crash(documented_kraken)
    wait_told(one)
    assert came_after_s(one) <= 1.0
    assert wait_told(one, "event_log_failed")["severity"] == "critical"
    assert wait_told(one, "sweep_finished")["details"]["proven"] is True
    assert daemon.exit_code() == 4, "no latch is durable"
    assert wait_told(one, "system_shutdown")["severity"] == "critical"
    assert daemon.of(TRIGGERED) == []


@pytest.mark.long
def test_the_phases_of_a_trip_take_no_longer_with_nine_channels_that_hang(documented_kraken, daemon_for, receivers):
    found = receivers(10)
    for other in found[1:]:
        other.answering = hanging
    phases = [_phases(documented_kraken, daemon_for, channels_of) for channels_of in ((), found)]
    without, with_alerts = phases
    assert with_alerts["shut"] <= without["shut"] + SLACK_S
    assert with_alerts["proven"] <= without["proven"] + SLACK_S
    assert told(found[0])


def _phases(venue, daemon_for, found) -> dict[str, float]:
    """Seconds from the breach that was suspected to the shut gate, and from the trip to the proof."""
    venue.post(price={"BTC": 50000})
    daemon = started(venue, daemon_for, found, **QUICK)
    crash(venue)
    assert daemon.exit_code() == 1, daemon.output()
    moments = {
        name: datetime.fromisoformat(daemon.of(name)[-1]["time"]).timestamp()
        for name in ("breach_confirming", TRIGGERED, "sweep_finished")
    }
    shutil.rmtree(daemon.state)
    return {
        "shut": moments[TRIGGERED] - moments["breach_confirming"],
        "proven": moments["sweep_finished"] - moments[TRIGGERED],
    }


@pytest.mark.long
def test_a_trip_is_acknowledged_after_its_daemon_has_ended(documented_kraken, daemon_for, receivers):
    (one,) = receivers(1)
    daemon = started(documented_kraken, daemon_for, [one])
    assert daemon.command("alerts", "ack").returncode == 78, "there is no trip"
    crash(documented_kraken)
    assert daemon.exit_code() == 1, daemon.output()
    trip_id = told(one)[0]["trip_id"]
    left = shown(daemon)
    assert (left["running"], left["standing"]["trip_id"], left["standing"]["acknowledged_by"]) == (False, trip_id, None)
    assert [line["delivered"] for line in left["attempts"] if line["id"] == trip_id] == [True]
    assert daemon.command("alerts", "ack", "another").returncode == 78
    assert daemon.command("alerts", "ack", trip_id).returncode == 0
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert "uid:" in shown(daemon)["standing"]["acknowledged_by"]
    assert len(told(one)) == 1, "it was not told again"
    assert daemon.command("verify-log").returncode == 0


@pytest.mark.long
def test_a_channel_without_its_secret_is_refused_and_a_trip_is_finished_and_told_all_the_same(
    documented_kraken, daemon_for, receivers
):
    found = receivers(2)
    daemon = started(documented_kraken, daemon_for, found, **QUICK)
    documented_kraken.post(listing="empty_result")
    crash(documented_kraken)
    daemon.wait_for("sweep_started")
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    seen = [len(one.ids) for one in found]
    secret = daemon.environment.pop("RISK_DAEMON_ALERTS_C1_SECRET")
    documented_kraken.post(listing="ok")
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert "alert_channel_left_out" in daemon.output()
    assert [body["event_type"] for body in found[0].alerts[seen[0] :]].count("sweep_finished") == 1
    assert len(found[1].ids) == seen[1]

    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert "alerts.channels.c1: its secret is missing" in daemon.output()
    daemon.environment["RISK_DAEMON_ALERTS_C1_SECRET"] = secret
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()


@pytest.mark.long
def test_a_trip_that_is_finished_with_a_refused_file_is_told_all_the_same(documented_kraken, daemon_for, receivers):
    """A typo beside the channels, and then one in the only channel: who was told before is told."""
    found = receivers(1)
    daemon = started(documented_kraken, daemon_for, found, **QUICK)
    documented_kraken.post(listing="empty_result")
    crash(documented_kraken)
    daemon.wait_for("sweep_started")
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace('kind = "webhook"', 'kind = "webhock"'))
    daemon.start()
    assert "restarted in the middle of" in wait_told(found[0], "sweep_started")["summary"]
    assert "alert_channel_left_out" in daemon.output()
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    daemon.config.write_text(text + "[circuit_braker]\n")
    documented_kraken.post(listing="ok")
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert [body["event_type"] for body in found[0].alerts].count("sweep_finished") == 1


@pytest.mark.long
def test_a_test_a_changed_configuration_and_an_address_that_is_not_allowed(documented_kraken, daemon_for, receivers):
    found = receivers(2)
    daemon = started(documented_kraken, daemon_for, found)
    found[1].answering = status(500, "on fire")
    sent = daemon.command("alerts", "test", "--json")
    assert sent.returncode == 78, sent.stdout
    tried = json.loads(sent.stdout)["channels"]
    assert (tried["c0"]["delivered"], tried["c1"]["status"], tried["c1"]["answer"]) == (True, "500", "on fire")
    assert [body["event_type"] for body in found[0].alerts][-1:] == ["test"]
    assert daemon.command("alerts", "test", "c0").returncode == 0
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    assert told(found[0], "system_shutdown")[0]["severity"] == "warning"
    assert daemon.command("alerts", "test", "c0").returncode == 0, "without a daemon too"

    text = daemon.config.read_text()
    daemon.config.write_text(text.replace('peak_hold = "1s"', 'peak_hold = "2s"').replace(EVERY, EVERY + INFO, 1))
    daemon.start()
    changed = wait_told(found[0], "configuration_loaded")
    assert "the configuration changed: alerts.channels.c0.severity, baselines.peak_hold." in changed["summary"]
    daemon.signal(signal.SIGTERM)
    daemon.exit_code()

    daemon.config.write_text(text.replace('allow = ["127.0.0.1"]', 'allow = ["hooks.example.org"]'))
    daemon.start()
    assert daemon.exit_code() == 78
    assert "alerts.channels.c0: 127.0.0.1 is not in allow" in daemon.output()
