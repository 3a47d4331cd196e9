"""What Apprise talks to: its own JSON, and PagerDuty's events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


class PagerDuty(HttpReceiver):
    """A face of PagerDuty's Events API v2."""

    apprise_url = f"pagerduty://{ROUTING_KEY}@apikey"

    @property
    def events_url(self) -> str:
        return f"{self.url}v2/enqueue"

    @property
    def program(self) -> str:
        """The daemon, as the text of a Python program, whose Apprise knows no PagerDuty but this one."""
        return (
            "from apprise.plugins import pagerduty\n"
            f"pagerduty.PAGERDUTY_API_LOOKUP.update(us={self.events_url!r}, eu={self.events_url!r})\n"
            "from risk_daemon.__main__ import process\n"
            "process()\n"
        )

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
