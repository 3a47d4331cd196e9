"""Whoever is to be told by a file that is taken is told from then on, and nothing of what comes meanwhile is lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.app import alerts as wiring
from risk_daemon.app.hearers import Hearers
from risk_daemon.app.reload import Reloader
from risk_daemon.config.settings import Settings
from risk_daemon.engine.decision import Answer
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.directory import Paths
from tests.receivers.webhook import SECRET, WebhookReceiver
from tests.unit.app.test_alerts import Place, configured, events
from tests.unit.runtime.fakes import FakeStore

LOST = RiskEvent(EventName.VENUE_LOST, {"venue": "kraken", "reason": "no answer"})
SEEN = RiskEvent(EventName.BLIND_STARTED)


class TakesAll:
    """A daemon whose engine takes everything, and tells of it as the real one does."""

    def __init__(self, hearers: Hearers) -> None:
        self._hearers = hearers
        self.engine = SimpleNamespace(trip=None, why_not_reload=lambda _: None, passed_already=lambda _, __: ())
        orders = SimpleNamespace(reconfigure=lambda **_: None)
        self.parts = SimpleNamespace(orders=orders, clock=SystemClock())

    def is_guarding(self) -> bool:
        return True

    def reloading(self) -> AsyncExitStack:
        return _Nothing()  # type: ignore[return-value]

    async def command(self, event: Any, *, first: Any) -> dict[str, Any]:
        first(SimpleNamespace(answer=Answer(True, "")))
        self._hearers.tell([RiskEvent(EventName.CONFIGURATION_RELOADED, event.facts)], SystemClock().now().wall)
        return {"accepted": True}


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class Told:
    """Alerts that are open by a file, and what reloads it."""

    def __init__(self, directory: Path, settings: Settings, opened: Any, hearers: Hearers) -> None:
        daemon: Any = TakesAll(hearers)
        opened.engine, opened.store, opened.paths = daemon.engine, FakeStore(), Paths(directory)
        venue = SimpleNamespace(capabilities=SimpleNamespace(has_flows=True, has_positions=False, ledger_lag_s=0.0))
        venue.scopes = ()
        opened.site.adapters = {"kraken": venue}
        self.hearers = hearers
        self.reloader = Reloader(daemon, settings, opened, hearers)


@pytest.fixture
async def told(tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RISK_DAEMON_ALERTS_OTHER_SECRET", SECRET)
    settings = configured(tmp_path, receiver.url)
    async with AsyncExitStack() as stack:
        opened = Place(tmp_path).opened(stack)
        hearers = await stack.enter_async_context(Hearers())
        await hearers.open(lambda inner: wiring.open_alerts(settings, opened, inner, takes_what_it_gets=False))
        yield Told(tmp_path, settings, opened, hearers)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("RISK_DAEMON_ALERTS_ONCALL_SECRET", SECRET)
    with WebhookReceiver() as one:
        yield one


async def test_a_channel_that_is_new_hears_what_comes_and_the_old_ones_of_the_change(
    tmp_path: Path, told: Told, receiver: WebhookReceiver
) -> None:
    with WebhookReceiver() as other:
        before = told.hearers.alerts
        configured(tmp_path, receiver.url, other.url)
        taking = asyncio.get_running_loop().create_task(told.reloader.reload("anna"))
        told.hearers.tell([LOST], 1_000.0)
        said = await taking
        assert said["taken"], said
        assert [change["key"] for change in said["changes"]] == ["alerts.channels.other"]
        assert told.hearers.alerts is not before
        told.hearers.tell([SEEN], 2_000.0)
        assert told.hearers.alerts is not None
        assert await told.hearers.alerts.flushed(10.0)
        assert events(receiver) == ["venue_lost", "configuration_reloaded", "blind_started"]
        assert events(other) == ["blind_started"]
        assert "changed while the guard runs, by anna: alerts.channels.other (none) -> {" in str(receiver.alerts[1])


async def test_what_is_told_while_they_are_opened_waits_for_them(
    tmp_path: Path, told: Told, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, receiver.url)
    (tmp_path / "config.toml").write_text((tmp_path / "config.toml").read_text() + '[alerts]\nstrategy_name = "x"\n')
    opening = wiring.open_alerts

    async def open_and_tell(*arguments: Any, **how: Any) -> Any:
        told.hearers.tell([LOST], 1_000.0)
        return await opening(*arguments, **how)

    monkeypatch.setattr("risk_daemon.app.reload.open_alerts", open_and_tell)
    assert (await told.reloader.reload("anna"))["taken"]
    assert told.hearers.alerts is not None
    assert await told.hearers.alerts.flushed(10.0)
    assert events(receiver) == ["configuration_reloaded", "venue_lost"]


async def test_the_same_channels_are_not_opened_anew(tmp_path: Path, told: Told) -> None:
    before = told.hearers.alerts
    file = tmp_path / "config.toml"
    file.write_text(file.read_text() + "[gate]\nmax_notional = 100\n")
    assert (await told.reloader.reload("anna"))["taken"]
    assert told.hearers.alerts is before
    assert before is not None
    assert before.memo["configuration"]["gate"]["max_notional"] == "100"  # the next start finds nothing changed


async def test_a_channel_that_could_tell_nobody_refuses_the_file(
    tmp_path: Path, told: Told, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = told.hearers.alerts
    monkeypatch.setattr(told.reloader, "_note_refused", no_note)
    configured(tmp_path, receiver.url, "http://127.0.0.1:1")
    monkeypatch.delenv("RISK_DAEMON_ALERTS_OTHER_SECRET")
    said = await told.reloader.reload("anna")
    assert not said["accepted"]
    assert "alerts.channels.other" in said["reason"]
    assert told.hearers.alerts is before


async def no_note(_by: str, _reason: str) -> None: ...
