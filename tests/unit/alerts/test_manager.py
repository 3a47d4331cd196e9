"""Everything together, to real receivers: what is told arrives, survives, and is told again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.alerts.alert import Severity
from risk_daemon.alerts.channels.base import AnySettings, Channel, ChannelSettings, WebhookSettings
from risk_daemon.alerts.channels.build import opened
from risk_daemon.alerts.delivery import DeliverySettings
from risk_daemon.alerts.earlier import Turns
from risk_daemon.alerts.manager import FILE_NAME, AlertManager
from risk_daemon.alerts.routing import RoutingSettings
from risk_daemon.alerts.settings import AlertSettings
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock
from risk_daemon.model.event_names import EventName, RiskEvent
from tests.receivers.http import hanging, status
from tests.receivers.webhook import SECRET, WebhookReceiver
from tests.unit.alerts.scripted import alert

TRIP = RiskEvent(
    EventName.CIRCUIT_BREAKER_TRIGGERED,
    {"trip_id": "trip-1", "breaker": "drawdown", "reason": "10.2 %", "action": "trip"},
)
LOST = RiskEvent(EventName.VENUE_LOST, {"venue": "kraken", "reason": "no answer"})
QUICK = AlertSettings(delivery=DeliverySettings(first_pause_s=0.05), look_every_s=0.02)

POLL_S = 0.01

Receive = Callable[[], WebhookReceiver]


@pytest.fixture
def receive() -> Iterator[Receive]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(WebhookReceiver())


def hook(receiver: WebhookReceiver, name: str = "hook", **settings: Any) -> WebhookSettings:
    return WebhookSettings(name=name, url=receiver.url, secret=SECRET, allow=("127.0.0.1",), **settings)


async def until(condition: Callable[[], Any], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the receiver is in a thread of its own
            await asyncio.sleep(POLL_S)


class Log:
    """The event log, as a list."""

    def __init__(self) -> None:
        self.events: list[RiskEvent] = []

    def __call__(self, event: RiskEvent, wall: float) -> None:
        self.events.append(event)

    def of(self, name: EventName) -> list[dict[str, Any]]:
        return [dict(event.fields) for event in self.events if event.name is name]


async def test_what_is_told_arrives_signed_and_each_try_is_written_down(receive: Receive, tmp_path: Path) -> None:
    receiver, log = receive(), Log()
    async with AlertManager([hook(receiver)], QUICK, directory=tmp_path, record=log) as alerts:
        alerts.tell([TRIP])
        await until(lambda: receiver.alerts)
    assert receiver.ids == ["trip-1"]
    assert receiver.alerts[0]["summary"].startswith("TRIPPED by drawdown: 10.2 %")
    (line,) = map(json.loads, (tmp_path / "alerts.jsonl").read_text().splitlines())
    assert (line["channel"], line["event"], line["id"], line["attempt"], line["status"], line["delivered"]) == (
        "hook",
        "circuit_breaker_triggered",
        "trip-1",
        1,
        "204",
        True,
    )
    (sent,) = log.of(EventName.ALERT_SENT)
    assert (sent["channel"], sent["alert_id"], sent["alert_event"]) == ("hook", "trip-1", "circuit_breaker_triggered")


async def test_nine_that_hang_hold_up_nobody(receive: Receive) -> None:
    good, others = receive(), [receive() for _ in range(9)]
    for other in others:
        other.answering = hanging
    channels = [hook(other, f"c{number}") for number, other in enumerate(others)] + [hook(good, "good")]
    alerts = AlertManager(channels, QUICK)
    await alerts.start()
    alerts.tell([LOST])
    alerts.tell([TRIP])
    await until(lambda: "trip-1" in good.ids, within_s=1.0)
    await alerts.aclose()


async def test_what_nobody_got_is_sent_by_the_next_process_under_the_same_id(receive: Receive, tmp_path: Path) -> None:
    receiver = receive()
    receiver.shut()
    first = AlertManager([hook(receiver)], QUICK, directory=tmp_path)
    await first.start()
    first.tell([LOST], 1_700_000_000.0)
    first.tell([TRIP], 1_700_000_000.0)
    await until(lambda: b"trip-1" in ((tmp_path / FILE_NAME).read_bytes() if (tmp_path / FILE_NAME).exists() else b""))
    copy = (tmp_path / FILE_NAME).read_bytes()
    await first.aclose()
    (tmp_path / FILE_NAME).write_bytes(copy)  # as kill -9 would have left it

    receiver.open()
    async with AlertManager([hook(receiver)], QUICK, directory=tmp_path) as second:
        await until(lambda: len(receiver.ids) >= 2)
        assert second.status()["standing"]["trip_id"] == "trip-1"
        second.tell([LOST], 1_700_000_000.0)
        second.tell_standing("trip-1", "drawdown", "10.2 %", 1_700_000_000.0)
        assert await second.flushed(5.0)
    assert sorted(set(receiver.ids)) == sorted(receiver.ids), "the log and the latch told nothing new"
    assert set(receiver.ids) == {"trip-1", "venue_lost-20231114T221320.000000Z"}


async def test_what_only_the_log_or_the_latch_still_tells_is_told(receive: Receive, tmp_path: Path) -> None:
    receiver = receive()
    async with AlertManager([hook(receiver)], QUICK, directory=tmp_path) as alerts:
        alerts.tell([LOST], 1_700_000_000.0)
        alerts.tell_standing("trip-9", "drawdown", "10.2 %", 1_700_000_000.0)
        await until(lambda: len(receiver.ids) >= 2)
    assert set(receiver.ids) == {"trip-9", "venue_lost-20231114T221320.000000Z"}


async def test_a_trip_is_repeated_until_it_is_acknowledged_also_after_a_restart(
    receive: Receive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("risk_daemon.alerts.routing.REPEAT_EVERY_S", 0.05)
    receiver, log = receive(), Log()
    async with AlertManager([hook(receiver)], QUICK, directory=tmp_path, record=log) as first:
        first.tell([TRIP])
        await until(lambda: "trip-1.3" in receiver.ids)
        assert first.acknowledge("trip-7", "ann") is None
    async with AlertManager([hook(receiver)], QUICK, directory=tmp_path, record=log) as second:
        since = len(receiver.ids)
        await until(lambda: len(receiver.ids) > since + 1)
        assert second.acknowledge(None, "ann") == "trip-1"
        assert second.acknowledge("trip-1", "bob") == "trip-1", "once more is no news"
        assert await second.flushed(5.0)
        told = len(receiver.ids)
        second.tell([LOST])
        await until(lambda: len(receiver.ids) > told)
        assert second.status()["standing"]["acknowledged_by"] == "ann"
    async with AlertManager([hook(receiver)], QUICK, directory=tmp_path, record=log) as third:
        assert third.status()["standing"]["acknowledged_by"] == "ann"
    assert log.of(EventName.ALERT_ACKNOWLEDGED) == [{"trip_id": "trip-1", "operator": "ann"}]
    assert len(receiver.ids) == len(set(receiver.ids))


async def test_a_trip_that_ended_while_nobody_looked_is_not_repeated(
    receive: Receive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = hook(receive())
    async with AlertManager([channel], QUICK, directory=tmp_path) as first:
        first.tell([TRIP])
    async with AlertManager([channel], QUICK, directory=tmp_path) as second:
        assert second.status()["standing"] is not None
        second.tell_nothing_stands()
        assert second.status()["standing"] is None
    async with AlertManager([channel], QUICK, directory=tmp_path) as third:
        assert third.status()["standing"] is None


async def test_what_a_freeze_proves_again_and_again_is_told_once_and_again_once_it_was_lost(receive: Receive) -> None:
    receiver = receive()
    proven = RiskEvent(EventName.SWEEP_FINISHED, {"trip_id": "trip-1", "proven": True, "cancelled": 3})
    lost = RiskEvent(EventName.VENUE_UNPROVEN, {"trip_id": "trip-1", "venue": "okx", "reason": "no answer"})
    async with AlertManager([hook(receiver)], QUICK) as alerts:
        for event in (TRIP, proven, proven, lost, proven, proven):
            alerts.tell([event])
        await until(lambda: "trip-1" in receiver.ids)
        assert await alerts.flushed(5.0)
    assert sorted(body["event_type"] for body in receiver.alerts) == sorted([TRIP.name, *2 * [proven.name], lost.name])
    assert {"trip-1", "trip-1.proven", "trip-1.proven.2"} < set(receiver.ids)


async def test_an_acknowledgement_may_come_by_the_log(receive: Receive) -> None:
    async with AlertManager([hook(receive())], QUICK) as alerts:
        alerts.tell([TRIP])
        alerts.tell([RiskEvent(EventName.ALERT_ACKNOWLEDGED, {"trip_id": "trip-1", "operator": "ann"})])
        assert alerts.status()["standing"]["acknowledged_by"] == "ann"


async def test_a_channel_that_fails_for_good_is_told_by_the_others_once(receive: Receive) -> None:
    good, bad, log = receive(), receive(), Log()
    bad.answering = status(404, "no such hook")
    async with AlertManager([hook(good, "good"), hook(bad, "bad")], QUICK, record=log) as alerts:
        alerts.tell([TRIP])
        await until(lambda: [one for one in good.alerts if one["event_type"] == "alert_failed"])
        alerts.tell([LOST])
        await until(lambda: "venue_lost" in [one["event_type"] for one in good.alerts])
        await until(lambda: len(bad.requests) == 2)
    (told,) = [one for one in good.alerts if one["event_type"] == "alert_failed"]
    assert told["severity"] == "critical"
    assert "can't be delivered by bad: 404 no such hook" in told["summary"]
    assert {one["channel"] for one in log.of(EventName.ALERT_FAILED)} == {"bad"}


async def test_that_a_channel_fails_is_told_to_all_whatever_they_asked_for_but_not_to_a_snitch(
    receive: Receive,
) -> None:
    phone, snitch, bad = receive(), receive(), receive()
    bad.answering = status(404)
    channels = [
        hook(phone, "phone", severity=Severity.CRITICAL, events=frozenset({"circuit_breaker_triggered"})),
        hook(snitch, "snitch", heartbeat=True, events=frozenset({"heartbeat"})),
        hook(bad, "bad"),
    ]
    async with AlertManager(channels, QUICK) as alerts:
        alerts.tell([LOST])
        await until(lambda: phone.ids)
    assert [one["event_type"] for one in phone.alerts] == ["alert_failed"]
    assert snitch.ids == [], "it would take it for a heartbeat"


async def test_what_is_given_up_is_counted_by_the_channel_itself_when_it_works_again(receive: Receive) -> None:
    bad = receive()
    bad.answering = status(401)
    async with AlertManager([hook(bad)], QUICK) as alerts:
        for number in range(3):
            alerts.tell([LOST], 1_700_000_000.0 + number)
        await until(lambda: alerts.status()["channels"]["hook"]["missed"] == 3)
        bad.answering = None
        alerts.tell([TRIP])
        await until(lambda: len(bad.alerts) == 2)
        assert alerts.status()["channels"]["hook"]["missed"] == 0
    assert bad.alerts[1]["summary"] == "3 earlier alerts never got here: see the event log."


async def test_a_channel_has_the_time_that_was_set_for_it(receive: Receive) -> None:
    receiver = receive()
    channels = [hook(receiver, "slow", timeout_s=30.0), hook(receiver, "quick", timeout_s=0.1)]
    async with AlertManager(channels, QUICK) as alerts:
        assert {name: one.timeout_s for name, one in alerts._deliverers.items()} == {"slow": 30.0, "quick": 0.1}


async def test_a_channel_that_never_answers_is_told_by_the_others(receive: Receive) -> None:
    good, bad = receive(), receive()
    bad.shut()
    async with AlertManager([hook(good, "good"), hook(bad, "bad")], QUICK) as alerts:
        alerts.tell([TRIP])
        await until(lambda: "alert_failed" in [one["event_type"] for one in good.alerts])
        bad.open()
        await until(lambda: "trip-1" in bad.ids)


async def test_10_000_events_in_a_second_are_ten_messages_of_each_and_cost_no_trip(receive: Receive) -> None:
    receiver = receive()
    async with AlertManager([hook(receiver)], QUICK) as alerts:
        for number in range(10_000):
            alerts.tell([LOST], 1_700_000_000.0 + number)
        alerts.tell([TRIP])
        await until(lambda: "trip-1" in receiver.ids)
        assert await alerts.flushed(10.0)
        assert alerts.status()["channels"]["hook"]["missed"] == 0
    assert len(receiver.ids) == 11


async def test_heartbeats_go_on(receive: Receive) -> None:
    receiver = receive()
    settings = AlertSettings(routing=RoutingSettings(heartbeat_every_s=0.05), look_every_s=0.02)
    async with AlertManager([hook(receiver, heartbeat=True, severity=Severity.CRITICAL)], settings):
        await until(lambda: len(receiver.ids) >= 3)
    assert {one["event_type"] for one in receiver.alerts} == {"heartbeat"}
    assert len(set(receiver.ids)) == len(receiver.ids)


async def test_no_heartbeat_of_a_guard_that_does_not_look(receive: Receive) -> None:
    receiver, is_alive = receive(), [True]
    settings = AlertSettings(routing=RoutingSettings(heartbeat_every_s=0.05), look_every_s=0.02)
    asked = 0

    def alive() -> bool:
        nonlocal asked
        asked += 1
        if not is_alive:
            raise RuntimeError("whoever can't say so is not alive")
        return is_alive[0]

    async with AlertManager([hook(receiver, heartbeat=True)], settings, alive=alive) as alerts:
        await until(lambda: len(receiver.ids) >= 2)
        for dead in ([False], []):
            is_alive[:] = dead
            assert await alerts.flushed(5.0)
            told, since = len(receiver.ids), asked
            await until(lambda since=since: asked > since + 10)
            assert len(receiver.ids) == told
        is_alive[:] = [True]
        await until(lambda: len(receiver.ids) > told)


async def test_one_may_be_sent_to_see_whether_it_arrives(receive: Receive) -> None:
    good, bad = receive(), receive()
    bad.answering = status(401)
    async with AlertManager([hook(good, "good"), hook(bad, "bad")], QUICK) as alerts:
        tried = await alerts.test()
        assert {name: one.delivered for name, one in tried.items()} == {"good": True, "bad": False}
        assert list(await alerts.test("good")) == ["good"]
        with pytest.raises(KeyError):
            await alerts.test("nobody")
        assert alerts.status()["channels"]["bad"]["owed"] == 0


async def test_nothing_that_is_told_ever_raises_and_what_has_no_words_is_named(receive: Receive) -> None:
    receiver = receive()
    async with AlertManager([hook(receiver)], QUICK) as alerts:
        with capture_logs() as logs:
            alerts.tell([TRIP], float("nan"))
            alerts.tell([TRIP], float("inf"))
            alerts.send(None)  # type: ignore[arg-type]
        assert [log["event"] for log in logs] == ["alert_lost"] * 3
        await until(lambda: len(receiver.ids) == 1)
        assert receiver.alerts[0]["severity"] == "critical"
        assert receiver.alerts[0]["summary"].endswith("see the event log: circuit_breaker_triggered")
        alerts.send(alert("mine", event="my_own"))
        await until(lambda: receiver.ids[1:] == ["mine"])


@pytest.mark.parametrize("spoilt", ["{", "{}", '{"format": 2}', '{"format": 1, "cursor": "x", "memo": {}}'])
async def test_what_can_not_be_understood_is_set_aside_and_alerts_go_on(
    receive: Receive, tmp_path: Path, spoilt: str
) -> None:
    receiver = receive()
    (tmp_path / FILE_NAME).write_text(spoilt)
    with capture_logs() as logs:
        async with AlertManager([hook(receiver)], QUICK, directory=tmp_path) as alerts:
            assert alerts.cursor == 0, "the log is read again instead"
            alerts.tell([TRIP])
            await until(lambda: "trip-1" in receiver.ids)
            await until(lambda: "alert_lost" in [one["event_type"] for one in receiver.alerts])
    assert "alerts_not_restored" in [log["event"] for log in logs]
    assert (tmp_path / f"{FILE_NAME}.damaged").read_text() == spoilt


async def test_a_disk_that_takes_nothing_keeps_nobody_from_being_told(receive: Receive, tmp_path: Path) -> None:
    receiver = receive()
    with capture_logs() as logs:
        async with AlertManager([hook(receiver)], QUICK, directory=tmp_path / "gone") as alerts:
            alerts.tell([TRIP])
            await until(lambda: receiver.ids == ["trip-1"])
    assert [log["event"] for log in logs].count("alert_attempts_not_written") == 1
    assert [log["event"] for log in logs].count("alerts_not_kept") == 1


async def test_what_its_owner_remembers_and_how_far_the_log_was_heard_survive(receive: Receive, tmp_path: Path) -> None:
    channel = hook(receive())
    async with AlertManager([channel], QUICK, directory=tmp_path, position=lambda: 17) as first:
        first.memo["configuration"] = {"x": 1}
    async with AlertManager([channel], QUICK, directory=tmp_path, position=lambda: 18) as second:
        assert (second.cursor, second.memo) == (17, {"configuration": {"x": 1}})


# --- before it has begun -----------------------------------------------------------------------------------


async def test_what_is_told_before_the_start_is_over_waits_and_is_told_then(receive: Receive, tmp_path: Path) -> None:
    receiver, log = receive(), Log()
    alerts = AlertManager([hook(receiver)], QUICK, directory=tmp_path, record=log, takes_what_it_gets=True)
    alerts.tell([LOST], 1_700_000_000.0)
    alerts.tell([TRIP], 1_700_000_000.0)
    alerts.send(alert("mine", event="my_own"))
    assert alerts.acknowledge(None, "ann") == "trip-1"
    assert alerts.status()["standing"] is None
    assert not await alerts.flushed(0.05), "nothing was started"
    starting = asyncio.create_task(alerts.start())
    assert receiver.ids == []
    assert await alerts.flushed(10.0)
    assert alerts.status()["standing"]["acknowledged_by"] == "ann"
    assert {"venue_lost-20231114T221320.000000Z", "trip-1", "mine"} < set(receiver.ids)
    assert [one["operator"] for one in log.of(EventName.ALERT_ACKNOWLEDGED)] == ["ann"]
    await starting
    await alerts.aclose()


async def test_it_may_be_closed_before_it_was_started_and_owes_what_it_was_told(
    receive: Receive, tmp_path: Path
) -> None:
    receiver = receive()
    async with AlertManager([hook(receiver)], QUICK, directory=tmp_path, position=lambda: 7):
        pass
    kept = (tmp_path / FILE_NAME).read_bytes()
    early = AlertManager([hook(receiver)], QUICK, directory=tmp_path, position=lambda: 9)
    early.tell([TRIP])
    await early.aclose()
    assert (tmp_path / FILE_NAME).read_bytes() == kept, "what was not read is not written over"
    cut_off = AlertManager([hook(receiver)], QUICK, directory=tmp_path, takes_what_it_gets=True)
    starting = asyncio.create_task(cut_off.start())
    starting.cancel()
    await asyncio.wait({starting})
    await cut_off.aclose()
    assert (tmp_path / FILE_NAME).read_bytes() == kept


async def test_a_file_that_is_read_late_is_not_written_over_and_owes_what_it_did(
    receive: Receive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, log_read = receive(), list[int]()
    receiver.shut()
    async with AlertManager([hook(receiver, timeout_s=0.1)], QUICK, directory=tmp_path, position=lambda: 7) as first:
        first.tell([RiskEvent(TRIP.name, {**TRIP.fields, "trip_id": "trip-0"})])
    kept = (tmp_path / FILE_NAME).read_bytes()
    receiver.open()
    monkeypatch.setattr("risk_daemon.alerts.earlier.AGAIN_AFTER_S", 0.05)
    monkeypatch.setattr("risk_daemon.alerts.earlier.READ_WITHIN_S", 0.05)
    may_read = threading.Event()

    async def read_log(seq: int) -> Turns:
        log_read.append(seq)
        return Turns(turns=[([RiskEvent(EventName.CIRCUIT_BREAKER_RESET, {"trip_id": "trip-0"})], 1_700_000_000.0)])

    second = AlertManager([hook(receiver)], QUICK, directory=tmp_path, position=lambda: 9, read_log=read_log)
    waiting = asyncio.create_task(second._worker.run(may_read.wait))
    with capture_logs():
        await second.start()
    second.tell([TRIP])
    await until(lambda: "trip-1" in receiver.ids)
    await until(lambda: "alert_lost" in [one["event_type"] for one in receiver.alerts])
    assert (tmp_path / FILE_NAME).read_bytes() == kept
    may_read.set()
    await waiting
    await until(lambda: {"trip-0"} <= set(receiver.ids))
    await until(lambda: "circuit_breaker_reset" in [one["event_type"] for one in receiver.alerts])
    assert second.standing_trip == "trip-1", "what is read late ends no trip of now"
    await until(lambda: json.loads((tmp_path / FILE_NAME).read_text())["cursor"] == 9)
    await second.aclose()
    assert log_read == [7]


async def test_the_log_is_not_said_to_be_read_before_it_was(receive: Receive, tmp_path: Path) -> None:
    channel = hook(receive())
    async with AlertManager([channel], QUICK, directory=tmp_path, position=lambda: 17):
        pass

    async def read_log(seq: int) -> Turns:
        raise OSError("broken")

    with capture_logs():
        async with AlertManager([channel], QUICK, directory=tmp_path, position=lambda: 18, read_log=read_log):
            pass
    assert json.loads((tmp_path / FILE_NAME).read_text())["cursor"] == 17


# --- channels that can't be used ---------------------------------------------------------------------------


def broken(one: AnySettings, clock: Clock) -> Channel:
    """A library that is too old."""
    if one.name == "bad":
        raise AttributeError(f"no such mode for {SECRET}")
    return opened(one, clock)


async def test_a_channel_that_can_not_be_opened_is_named_or_left_out_and_told_by_the_others(receive: Receive) -> None:
    good, bad = receive(), receive()
    channels = [hook(good, "good"), hook(bad, "bad")]
    with pytest.raises(ConfigError, match=r"bad: it can't be opened: AttributeError: no such mode for \*\*\*"):
        async with AlertManager(channels, QUICK, build=broken):
            raise AssertionError
    with capture_logs():
        async with AlertManager(channels, QUICK, build=broken, takes_what_it_gets=True) as alerts:
            alerts.tell([TRIP])
            await until(lambda: len(good.ids) == 2)
            assert list(alerts.status()["channels"]) == ["good"]
        beside = AlertManager(channels, QUICK, build=broken, takes_what_it_gets=True)
        await beside.start()
        assert await beside.flushed(10.0)
        assert list(beside.status()["channels"]) == ["good"]
        await beside.aclose()
    told = [one for one in good.alerts if one["event_type"] == "alert_failed"]
    assert [(one["severity"], one["details"]["channel"]) for one in told] == [("critical", "bad")] * 2


async def test_what_a_channel_should_have_heard_waits_until_it_can_be_used(receive: Receive, tmp_path: Path) -> None:
    good, bad = receive(), receive()
    absent = [(ChannelSettings(name="bad"), "its secret is missing")]
    with capture_logs():
        async with AlertManager([hook(good, "good")], QUICK, directory=tmp_path, absent=absent) as without:
            without.tell([TRIP])
            assert without.status()["unusable"] == {"bad": "its secret is missing"}
        async with AlertManager([hook(good, "good")], QUICK, directory=tmp_path):
            pass  # it is not even in the configuration
    async with AlertManager([hook(good, "good"), hook(bad, "bad")], QUICK, directory=tmp_path):
        await until(lambda: bad.ids)
    assert bad.ids == ["trip-1"]
