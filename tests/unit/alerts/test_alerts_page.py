"""docs/alerts.md: what it shows is what the channels take."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apprise
import pytest
from aiohttp import web

from risk_daemon.alerts.channels.base import AppriseSettings, EmailSettings, Security, SmsSettings, WebhookSettings
from risk_daemon.alerts.channels.build import opened
from risk_daemon.alerts.channels.webhook import keys_of
from risk_daemon.model.clock import ManualClock
from tests.receivers.http import HttpReceiver, status
from tests.receivers.webhook import SECRET, WebhookReceiver
from tests.unit.alerts.channels.worlds import PAYLOAD, told

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "alerts.md").read_text()
KINDS: dict[str, Any] = {
    "email": EmailSettings,
    "sms": SmsSettings,
    "webhook": WebhookSettings,
    "apprise": AppriseSettings,
}
# What the page says is a credential, by kind.
SECRETS = {
    "email": {"password": "hush"},
    "sms": {"password": "hush"},
    "webhook": {"secret": SECRET},
    "apprise": {"url": "json://hooks.example.org/"},
}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def tables() -> Iterator[tuple[str, dict[str, Any]]]:
    for block in blocks("toml"):
        yield from tomllib.loads(block)["alerts"]["channels"].items()


async def test_every_table_is_a_channel() -> None:
    kinds = []
    for name, table in tables():
        kind = table.pop("kind")
        lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
        security = {"security": Security(table["security"])} if "security" in table else {}
        channel = opened(KINDS[kind](name=name, **table | lists | security | SECRETS[kind]), ManualClock())
        await channel.close()
        kinds.append(kind)
    assert set(kinds) == set(KINDS)


def test_every_address_of_a_service_is_one_that_apprise_knows() -> None:
    found = re.findall(r"^\| [A-Z][^|]* \| `(\w+://[^`]+)` \|", PAGE, re.MULTILINE | re.IGNORECASE)
    assert len(found) == 6
    assert [url for url in found if apprise.Apprise.instantiate(url) is None] == []


async def test_the_body_has_the_keys_that_are_shown() -> None:
    (shown,) = (json.loads(block) for block in blocks("json"))
    assert shown.keys() == PAYLOAD.keys()
    with WebhookReceiver() as receiver:
        await told(WebhookSettings(name="hook", url=receiver.url, secret=SECRET, allow=("127.0.0.1",)))
        assert receiver.alerts[0].keys() == shown.keys()


async def test_the_receiver_of_the_page_believes_what_is_signed() -> None:
    (code,) = (block for block in blocks("python") if "def received" in block)
    heard: list[tuple[str, str]] = []
    seen: list[str] = []

    def seen_before(alert_id: str) -> bool:
        seen.append(alert_id)
        return seen.count(alert_id) > 1

    names: dict[str, Any] = {
        "seen_before": seen_before,
        "tell_somebody": lambda *what: heard.append(what),
    }
    exec(code, names)
    assert keys_of(names["KEY"])

    class Receiver(HttpReceiver):
        async def judge(self, request: web.Request, body: bytes) -> Any:
            return web.Response(status=names["received"](dict(request.headers), body)), {}

    with Receiver() as receiver:
        plain = WebhookSettings(name="hook", url=receiver.url, secret=SECRET, allow=("127.0.0.1",))
        right = WebhookSettings(name="hook", url=receiver.url, secret=names["KEY"], allow=("127.0.0.1",))
        tries = [await told(plain), await told(right), await told(right)]
    assert [one.status for one in tries] == ["401", "204", "204"]
    assert heard == [("critical", "Drawdown reached 10.2 % of 10 %: everything is cancelled.")]


async def test_the_program_of_the_page_tells(tmp_path: Path) -> None:
    (code,) = (block for block in blocks("python") if "AlertManager" in block)
    names: dict[str, Any] = {}
    exec(code, names)
    with WebhookReceiver() as receiver:
        await names["tell_of_a_halt"](receiver.url, SECRET, tmp_path)
        (alert,) = receiver.alerts
    assert (alert["event_type"], alert["details"]["reason"]) == ("manual_halt", "a drill")


@pytest.mark.parametrize("code", [*range(200, 209), *range(301, 309), *range(400, 430), *range(500, 512)])
async def test_what_is_tried_again_is_what_the_page_says(code: int) -> None:
    rows = dict(re.findall(r"^\| ([^|]*(?:2xx|3xx|5xx)[^|]*) \| (delivered|tried again|given up)", PAGE, re.MULTILINE))
    assert sorted(rows.values()) == ["delivered", "given up", "tried again"]
    again = next(row for row, what in rows.items() if what == "tried again")
    named = {int(number) for number in re.findall(r"\b\d{3}\b", again)}
    with WebhookReceiver() as receiver:
        receiver.answering = status(code)
        attempted = await told(WebhookSettings(name="hook", url=receiver.url, secret=SECRET, allow=("127.0.0.1",)))
    assert (attempted.delivered, attempted.may_retry) == (code < 300, code in named or code >= 500)
