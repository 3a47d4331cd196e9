"""Alerts beside a daemon: what a log still tells, what changed in the configuration, a log that can't be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.channels.base import AnySettings, Channel
from risk_daemon.alerts.channels.build import opened
from risk_daemon.alerts.manager import FILE_NAME, AlertManager
from risk_daemon.app import alerts as wiring
from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.directory import Paths
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.journals import LogJournal
from tests.receivers.webhook import SECRET, WebhookReceiver

BASE = (
    '[portfolio]\ninitial_capital = 10000\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
)
LOST = RiskEvent(EventName.VENUE_LOST, {"venue": "kraken", "reason": "no answer"})


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookReceiver]:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("RISK_DAEMON_ALERTS_ONCALL_SECRET", SECRET)
    with WebhookReceiver() as one:
        yield one


def configured(directory: Path, *urls: str) -> Settings:
    path = directory / "config.toml"
    names = ("oncall", "other")
    path.write_text(
        BASE
        + "".join(
            f'[alerts.channels.{name}]\nkind = "webhook"\nurl = "{url}"\nallow = ["127.0.0.1"]\n'
            for name, url in zip(names, urls, strict=False)
        )
    )
    return load_config(path)


class Place:
    """A state directory with an event log in it, as a start finds it."""

    def __init__(self, directory: Path, *, trip: Trip | None = None) -> None:
        self.paths = Paths(directory)
        self.trip = trip

    def write(self, *events: RiskEvent, wall: float | None = None) -> None:
        log = EventLog.open(self.paths.events)
        for event in events:
            log.append(event, SystemClock().now().wall if wall is None else wall)
        log.close()

    def opened(self, stack: AsyncExitStack) -> Any:
        journal = LogJournal(EventLog.open(self.paths.events))
        stack.push_async_callback(journal.close)
        return SimpleNamespace(
            paths=self.paths,
            journal=journal,
            engine=SimpleNamespace(trip=self.trip),
            site=SimpleNamespace(clock=SystemClock()),
        )

    async def run(self, settings: Settings, *, takes_what_it_gets: bool = False) -> AlertManager | None:
        """Alerts are opened, everything is tried, and they are closed."""
        async with AsyncExitStack() as stack:
            opened = self.opened(stack)
            alerts = await wiring.open_alerts(settings, opened, stack, takes_what_it_gets=takes_what_it_gets)
            if alerts is not None:
                assert await alerts.flushed(10.0)
            return alerts


def events(receiver: WebhookReceiver) -> list[str]:
    return [body["event_type"] for body in receiver.alerts]


async def test_nobody_is_told_without_a_channel(tmp_path: Path) -> None:
    assert await Place(tmp_path).run(configured(tmp_path)) is None
    assert not (tmp_path / FILE_NAME).exists()


async def test_the_first_start_tells_nothing_of_old_and_the_next_what_was_logged_meanwhile(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    settings, place = configured(tmp_path, receiver.url), Place(tmp_path)
    place.write(LOST)
    await place.run(settings)
    assert events(receiver) == []

    a_week_ago = SystemClock().now().wall - 7 * 86_400
    place.write(RiskEvent(EventName.KEY_MAY_WITHDRAW, {"venue": "kraken"}), wall=a_week_ago)
    place.write(LOST, RiskEvent(EventName.BLIND_STARTED))
    await place.run(settings)
    assert sorted(events(receiver)) == ["blind_started", "venue_lost"], "what is a week old is no news"
    await place.run(settings)
    assert len(events(receiver)) == 2


async def test_a_glass_that_was_broken_on_friday_is_told_on_monday(tmp_path: Path, receiver: WebhookReceiver) -> None:
    settings, place = configured(tmp_path, receiver.url), Place(tmp_path)
    place.write(LOST)
    await place.run(settings)
    three_days_ago = SystemClock().now().wall - 3 * 86_400
    asked = RiskEvent(EventName.OVERRIDE_ASKED, {"purpose": "reset", "who": "root", "why": "x"})
    begun = RiskEvent(EventName.BREAK_GLASS_BEGUN, {"who": "root", "outcome": "waiting", "due": "x"})
    place.write(LOST, asked, begun, wall=three_days_ago)
    await place.run(settings)
    assert sorted(events(receiver)) == ["break_glass_begun", "override_asked"]


async def test_a_log_that_was_cut_is_read_from_where_it_begins(tmp_path: Path, receiver: WebhookReceiver) -> None:
    settings, place = configured(tmp_path, receiver.url), Place(tmp_path)
    place.write(*[RiskEvent(EventName.PORTFOLIO_UPDATE)] * 20)
    await place.run(settings)
    place.paths.events.unlink()
    place.write(RiskEvent(EventName.LOG_CUT, {"message": "19 lines are gone"}))
    await place.run(settings)
    assert events(receiver) == ["log_cut"]


async def test_a_trip_that_no_line_tells_of_is_told_and_one_that_is_over_is_forgotten(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    settings = configured(tmp_path, receiver.url)
    trip = Trip("trip-1", "drawdown", "10.2 %", SystemClock().now().wall, 0.0)
    alerts = await Place(tmp_path, trip=trip).run(settings)
    assert alerts is not None
    assert (receiver.ids, alerts.status()["standing"]["trip_id"]) == (["trip-1"], "trip-1")
    await Place(tmp_path, trip=trip).run(settings)
    assert receiver.ids == ["trip-1"]
    alerts = await Place(tmp_path).run(settings)
    assert alerts is not None
    assert alerts.status()["standing"] is None


async def test_a_channel_that_can_not_be_used_refuses_the_start_but_not_the_end_of_a_trip(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    settings = configured(tmp_path, receiver.url, receiver.url)
    with pytest.raises(ConfigError, match=r"alerts\.channels\.other: its secret is missing"):
        await Place(tmp_path).run(settings)
    alerts = await Place(tmp_path).run(settings, takes_what_it_gets=True)
    assert alerts is not None
    assert [one.name for one in alerts.channels] == ["oncall"]
    told = {one["details"]["channel"]: one["summary"] for one in receiver.alerts}
    assert "its secret is missing" in told["other"]


async def test_whatever_is_wrong_with_a_channel_leaves_out_that_one_alone(
    tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISK_DAEMON_ALERTS_OTHER_SECRET", SECRET)
    settings = configured(tmp_path, receiver.url, receiver.url)
    times: Counter[str] = Counter()

    def old(channel: AnySettings, clock: Clock) -> Channel:
        times[channel.name] += 1
        if channel.name == "other":
            raise AttributeError("module has no PersistentStoreMode")
        return opened(channel, clock)

    monkeypatch.setattr("risk_daemon.alerts.channels.build.opened", old)
    with pytest.raises(ConfigError, match=r"alerts\.channels\.other: .*PersistentStoreMode"):
        await Place(tmp_path).run(settings)
    assert list(wiring.channels_of(settings).unusable) == ["other"]
    times.clear()
    alerts = await Place(tmp_path).run(settings, takes_what_it_gets=True)
    assert alerts is not None
    assert [one.name for one in alerts.channels] == ["oncall"]
    assert times == {"oncall": 1, "other": 1}, "each is opened once"


async def test_a_trip_that_is_told_while_no_channel_can_be_used_is_sent_once_one_can(
    tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configured(tmp_path, receiver.url)
    trip = Trip("trip-1", "drawdown", "10.2 %", SystemClock().now().wall, 0.0)
    monkeypatch.delenv("RISK_DAEMON_ALERTS_ONCALL_SECRET")
    await Place(tmp_path, trip=trip).run(settings, takes_what_it_gets=True)
    assert receiver.ids == []
    monkeypatch.setenv("RISK_DAEMON_ALERTS_ONCALL_SECRET", SECRET)
    await Place(tmp_path, trip=trip).run(settings)
    assert receiver.ids == ["trip-1"]


async def test_what_is_told_once_they_are_open_stands_beside_the_trip_that_is_finished(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    trip = Trip("trip-1", "drawdown", "10.2 %", SystemClock().now().wall, 0.0)
    place = Place(tmp_path, trip=trip)
    place.write(LOST)
    async with AsyncExitStack() as stack:
        alerts = await wiring.open_alerts(
            configured(tmp_path, receiver.url),
            place.opened(stack),
            stack,
            takes_what_it_gets=True,
            alive=lambda: False,
        )
        assert alerts is not None
        alerts.tell([RiskEvent(EventName.BLIND_STARTED)])
        assert await alerts.flushed(10.0)
    assert sorted(events(receiver)) == ["blind_started", "circuit_breaker_triggered"]


async def test_a_log_that_could_not_be_read_is_read_by_the_next_start(
    tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, place = configured(tmp_path, receiver.url), Place(tmp_path)
    await place.run(settings)
    place.write(LOST)

    def broken(*_: object) -> None:
        raise OSError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(wiring, "lines_since", broken)
        await place.run(settings)
    assert events(receiver) == ["alert_lost"]
    await place.run(settings)
    assert events(receiver) == ["alert_lost", "venue_lost"]


async def test_after_a_spoilt_file_the_last_day_is_told_again_and_that_something_is_lost(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    settings, place = configured(tmp_path, receiver.url), Place(tmp_path)
    place.write(LOST, wall=SystemClock().now().wall - 2 * 86_400)
    place.write(RiskEvent(EventName.BREAK_GLASS_BEGUN, {"who": "root"}), wall=SystemClock().now().wall - 2 * 86_400)
    place.write(RiskEvent(EventName.BLIND_STARTED))
    (tmp_path / FILE_NAME).write_text("{")
    await place.run(settings)
    assert sorted(events(receiver)) == ["alert_lost", "blind_started", "break_glass_begun"]


async def test_of_a_log_that_is_too_long_people_are_told_that_some_is_missing(
    tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, place = configured(tmp_path, receiver.url), Place(tmp_path)
    await place.run(settings)
    place.write(LOST, *[RiskEvent(EventName.PORTFOLIO_UPDATE)] * 1_000, RiskEvent(EventName.BLIND_STARTED))
    monkeypatch.setattr(wiring, "_CATCH_UP_BYTES", 1_000)
    await place.run(settings)
    assert sorted(events(receiver)) == ["alert_lost", "blind_started"]


async def test_the_keys_that_changed_are_named(tmp_path: Path, receiver: WebhookReceiver) -> None:
    settings = configured(tmp_path, receiver.url)
    alerts = await Place(tmp_path).run(settings)
    assert alerts is not None
    assert wiring.changed_settings(alerts, settings) == ()
    other = settings.model_copy(update={"data": settings.data.model_copy(update={"call_timeout": 3.0})})
    assert wiring.changed_settings(alerts, other) == ("data.call_timeout",)
    assert wiring.changed_settings(alerts, other) == ()


async def test_a_log_that_can_not_be_written_is_told() -> None:
    class Full:
        def anchor(self) -> dict[str, Any]:
            return {"seq": 1}

        async def append(self, events: Sequence[RiskEvent], wall: float, *, durable: bool) -> None:
            raise RecordError("disk full")

    sent: list[Alert] = []
    journal = wiring.TellingJournal(Full(), sent.append)
    with pytest.raises(RecordError):
        await journal.append([LOST], 1.0, durable=True)
    assert [(one.event, one.summary) for one in sent] == [
        ("event_log_failed", "The event log can't be written: disk full")
    ]
    assert journal.anchor() == {"seq": 1}
