"""The examples of a receiver, as processes, against the channel that they are for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.alerts.channels.base import Attempted, WebhookSettings
from risk_daemon.alerts.channels.webhook import keys_of, signatures
from tests.e2e import harness
from tests.receivers.webhook import SECRET
from tests.unit.alerts.channels.worlds import PAYLOAD, TRIP, told

OTHER = "whsec_" + "A" * 44
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def run(*command: str, **environment: str) -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(
                [sys.executable, *command],
                cwd=harness.ROOT,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
            )
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def plain(start: Start, tmp_path: Path) -> tuple[subprocess.Popen[str], str]:
    """The one that needs nothing, and where it listens."""
    (tmp_path / "webhook.key").write_text(SECRET + "\n")
    process = start("examples/webhook_receiver.py", "--key-file", str(tmp_path / "webhook.key"), "--port", "0")
    return process, line_of(process).removeprefix("listening on ").strip()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def settings_of(url: str, **changed: Any) -> WebhookSettings:
    return replace(WebhookSettings(name="here", url=url, secret=SECRET, allow=("127.0.0.1",)), **changed)


async def test_the_plain_receiver_prints_each_alert_once(plain: tuple[subprocess.Popen[str], str]) -> None:
    process, url = plain
    assert [(await told(settings_of(url))).status for _ in range(2)] == ["204", "204"]
    second = replace(TRIP, alert_id="trip-1.2")
    assert (await told(settings_of(url), second)).delivered
    first_line, second_line = json.loads(line_of(process)), json.loads(line_of(process))
    assert first_line == {"id": "trip-1", **PAYLOAD}
    assert second_line["id"] == "trip-1.2"


async def test_the_plain_receiver_takes_both_keys_while_one_replaces_the_other(
    plain: tuple[subprocess.Popen[str], str],
) -> None:
    assert (await told(settings_of(plain[1], secret=f"{OTHER} {SECRET}"))).delivered


async def test_the_plain_receiver_believes_no_other_key(plain: tuple[subprocess.Popen[str], str]) -> None:
    wrong = await told(settings_of(plain[1], secret=OTHER))
    bearer = await told(settings_of(plain[1], secret="a-token", bearer=True))
    assert [wrong.status, bearer.status] == ["401", "401"]


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda sent: sent | {"body": sent["body"].replace(b"momentum", b"MOMENTUM")},
        lambda sent: sent | {"id": "trip-2"},
        lambda sent: sent | {"stamp": str(int(sent["stamp"]) + 1)},
        lambda sent: sent | {"signature": ""},
        lambda sent: sent | {"signature": "v1,"},
        lambda sent: sent | {"signature": sent["signature"].replace("v1,", "v2,")},
    ],
    ids=["body", "id", "time", "none", "empty", "version"],
)
def test_the_plain_receiver_believes_nothing_that_was_touched(
    plain: tuple[subprocess.Popen[str], str], spoilt: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    sent = signed(time.time())
    assert posted(plain[1], spoilt(sent)) == 401
    assert posted(plain[1], sent) == 204


@pytest.mark.parametrize("age_s", [600.0, -600.0])
def test_the_plain_receiver_believes_no_copy_of_long_ago(
    plain: tuple[subprocess.Popen[str], str], age_s: float
) -> None:
    assert posted(plain[1], signed(time.time() - age_s)) == 401


async def test_the_fastapi_receiver_believes_what_is_signed(start: Start) -> None:
    process = start("-m", "uvicorn", "examples.fastapi_webhook_receiver:app", "--port", "0", ALERT_KEY=SECRET)
    while "Uvicorn running on" not in (line := line_of(process)):
        assert line, process.poll()
    url = line.partition("running on ")[2].split()[0] + "/risk"
    tries: list[Attempted] = [await told(settings_of(url, secret=secret)) for secret in (OTHER, SECRET, SECRET)]
    assert [one.status for one in tries] == ["401", "204", "204"]
    process.terminate()
    output = process.communicate(timeout=30)[0]
    assert output.count("critical Drawdown reached") == 1


def signed(wall: float) -> dict[str, Any]:
    body = json.dumps(PAYLOAD).encode()
    stamp = str(int(wall))
    return {
        "body": body,
        "id": "trip-1",
        "stamp": stamp,
        "signature": signatures(keys_of(SECRET), "trip-1", stamp, body),
    }


def posted(url: str, sent: dict[str, Any]) -> int:
    headers = {"webhook-id": sent["id"], "webhook-timestamp": sent["stamp"], "webhook-signature": sent["signature"]}
    request = urllib.request.Request(url, data=sent["body"], headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
