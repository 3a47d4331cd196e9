"""What Apprise talks to: its own JSON, Slack's webhooks, and PagerDuty's events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp import web

from tests.receivers.http import HttpReceiver

ROUTING_KEY = "0123456789abcdef0123456789abcdef"


class AppriseJson(HttpReceiver):
    """Takes what Apprise's `json://` sends."""

    @property
    def apprise_url(self) -> str:
        return f"json://{self.host}:{self.port}/"

    async def judge(self, request: web.Request, body: bytes) -> tuple[web.Response, Mapping[str, Any] | None]:
        content = json.loads(body)
        if not {"version", "title", "message", "type"} <= content.keys():
            return web.Response(status=400), None
        return web.Response(status=200), content


class Slack(HttpReceiver):
    """A face of Slack's incoming webhooks."""

    tokens = ("T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ")

    @property
    def apprise_url(self) -> str:
        """As Slack shows it."""
        return "https://hooks.slack.com/services/" + "/".join(self.tokens)

    @contextmanager
    def called(self) -> Iterator[None]:
        """In this process, Apprise calls this one."""
        from apprise.plugins.slack import NotifySlack

        with patch.object(NotifySlack, "webhook_url", f"{self.url}services"):
            yield

    async def judge(self, request: web.Request, body: bytes) -> tuple[web.Response, Mapping[str, Any] | None]:
        if request.path != "/services/" + "/".join(self.tokens):
            return web.Response(status=404, text="no_team"), None
        content = json.loads(body)
        if not any(content.get(key) for key in ("text", "blocks", "attachments")):
            return web.Response(status=400, text="no_text"), None
        return web.Response(text="ok"), content


class PagerDuty(HttpReceiver):
    """A face of PagerDuty's Events API v2."""

    apprise_url = f"pagerduty://{ROUTING_KEY}@apikey"

    @property
    def events_url(self) -> str:
        return f"{self.url}v2/enqueue"

    def known_in(self, directory: Path) -> str:
        """A directory for PYTHONPATH: Apprise of a process that has it calls this one."""
        directory.mkdir(exist_ok=True)
        (directory / "sitecustomize.py").write_text(
            "from apprise.plugins import pagerduty\n"
            f"pagerduty.PAGERDUTY_API_LOOKUP.update(us={self.events_url!r}, eu={self.events_url!r})\n"
        )
        return str(directory)

    @contextmanager
    def called(self) -> Iterator[None]:
        """In this process, Apprise calls this one."""
        from apprise.plugins import pagerduty

        everywhere = dict.fromkeys(pagerduty.PAGERDUTY_API_LOOKUP, self.events_url)
        with patch.dict(pagerduty.PAGERDUTY_API_LOOKUP, everywhere):
            yield

    async def judge(self, request: web.Request, body: bytes) -> tuple[web.Response, Mapping[str, Any] | None]:
        event = json.loads(body)
        payload = event.get("payload", {})
        problems = [
            *([] if request.path == "/v2/enqueue" else ["path"]),
            *([] if event.get("routing_key") == ROUTING_KEY else ["routing_key"]),
            *([] if event.get("event_action") == "trigger" else ["event_action"]),
            *([] if payload.get("summary") and payload.get("source") else ["payload"]),
            *([] if payload.get("severity") in ("critical", "error", "warning", "info") else ["severity"]),
        ]
        if problems:
            answer = {"status": "invalid event", "message": "Event object is invalid", "errors": problems}
            return web.json_response(answer, status=400), None
        answer = {"status": "success", "message": "Event processed", "dedup_key": f"{len(self.requests):032x}"}
        return web.json_response(answer, status=202), event
