"""A face of Twilio's Messages API: who may, what a message needs, and how it says no."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from tests.receivers.http import HttpReceiver

SID = "AC" + "0" * 32
TOKEN = "token-of-a-test"
SENDER = "+15005550006"
_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}")


class TwilioFace(HttpReceiver):
    """unreachable: numbers that it says no to."""

    def __init__(self) -> None:
        super().__init__()
        self.unreachable: set[str] = set()

    @property
    def messages(self) -> list[tuple[str, str]]:
        """To whom, and what."""
        return [(request.content["To"], request.content["Body"]) for request in self.taken]

    async def judge(self, request: web.Request, body: bytes) -> tuple[web.Response, Mapping[str, Any] | None]:
        login = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if not hmac.compare_digest(request.headers.get("Authorization", ""), f"Basic {login}"):
            return _problem(401, 20003, "Authenticate"), None
        if request.method != "POST" or request.path != f"/2010-04-01/Accounts/{SID}/Messages.json":
            return _problem(404, 20404, f"The requested resource {request.path} was not found"), None
        if request.content_type != "application/x-www-form-urlencoded":
            return _problem(415, 20415, "Unsupported Media Type"), None
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        problem = self._problem_of(form)
        if problem is not None:
            return problem, None
        return web.json_response(_message(form, len(self.requests)), status=201), form

    def _problem_of(self, form: Mapping[str, str]) -> web.Response | None:
        to, text = form.get("To", ""), form.get("Body", "")
        if not _NUMBER.fullmatch(to) or to in self.unreachable:
            return _problem(400, 21211, f"The 'To' number {to} is not a valid phone number.")
        if not form.get("From") and not form.get("MessagingServiceSid", "").startswith("MG"):
            return _problem(400, 21603, "A 'From' phone number is required.")
        if not text:
            return _problem(400, 21602, "Message body is required.")
        if len(text) > 1_600:
            return _problem(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        return None


def _problem(status: int, code: int, message: str) -> web.Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return web.json_response({"code": code, "message": message, "more_info": more, "status": status}, status=status)


def _message(form: Mapping[str, str], count: int) -> dict[str, Any]:
    sid = f"SM{count:032x}"
    return {
        "sid": sid,
        "account_sid": SID,
        "messaging_service_sid": form.get("MessagingServiceSid"),
        "to": form["To"],
        "from": form.get("From"),
        "body": form["Body"],
        "status": "queued",
        "direction": "outbound-api",
        "num_segments": "1",
        "num_media": "0",
        "date_created": "Sun, 22 Nov 2026 08:00:00 +0000",
        "date_updated": "Sun, 22 Nov 2026 08:00:00 +0000",
        "date_sent": None,
        "error_code": None,
        "error_message": None,
        "price": None,
        "price_unit": "USD",
        "api_version": "2010-04-01",
        "uri": f"/2010-04-01/Accounts/{SID}/Messages/{sid}.json",
    }
