"""A short message to each number, through Twilio's API of 2010-04-01."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.channels.base import Attempted, SmsSettings, delivered, later, refused
from risk_daemon.alerts.channels.posting import Answer, Poster, judged
from risk_daemon.alerts.channels.recipients import Owed, together
from risk_daemon.alerts.channels.trying import said, tried
from risk_daemon.alerts.channels.wording import short
from risk_daemon.alerts.outbound import LookUp
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock

_CREATED = 201
# What a message that was taken may already be; failed and undelivered are not among them.
_UNDER_WAY = frozenset({"accepted", "scheduled", "queued", "sending", "sent", "delivered"})


class SmsChannel:
    """Tells everybody's telephone at once, each by a request of its own."""

    def __init__(self, settings: SmsSettings, *, clock: Clock, look_up: LookUp) -> None:
        """Raises ConfigError for an account that can't be one."""
        if not settings.account_sid.isalnum() or not settings.password or not settings.recipients:
            raise ConfigError(f"{settings.name}: SMS needs an account's SID, its auth token, and somebody to tell.")
        self.name = settings.name
        self._timeout_s = settings.timeout_s
        self._sender = settings.sender
        self._owed = Owed(settings.recipients)
        login = base64.b64encode(f"{settings.account_sid}:{settings.password}".encode()).decode()
        self._secrets = (settings.password, login)
        self._headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {login}"}
        url = f"{settings.url.rstrip('/')}/2010-04-01/Accounts/{quote(settings.account_sid)}/Messages.json"
        self._poster = Poster(url, allow=settings.allow, look_up=look_up, clock=clock)

    async def send(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        owed = self._owed.of(alert.alert_id)
        tries = await asyncio.gather(*(self._tell(number, alert, payload) for number in owed))
        return together(dict(zip(owed, tries, strict=True)))

    async def close(self) -> None:
        await self._poster.close()

    async def _tell(self, number: str, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        one = await tried(self._post(number, alert, payload), self._timeout_s, self._secrets)
        if one.delivered:
            self._owed.reached(alert.alert_id, number)
        return one

    async def _post(self, number: str, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        sender = "MessagingServiceSid" if self._sender.startswith("MG") else "From"
        form = {"To": number, sender: self._sender, "Body": short(alert, payload)}
        return self._judged(await self._poster.post(urlencode(form).encode(), self._headers))

    def _judged(self, answer: Answer) -> Attempted:
        """A message may have failed at once; and a 200 with something else in it is not from the API.

        201 is only said of a message that was made, and what can't be read of a 2xx denies nothing: each further try
        would be another message, and paid.
        """
        one = judged(answer, self._secrets)
        reply = _object(answer.text)
        if not one.delivered:
            return _explained(one, reply, self._secrets)
        sid, status = reply.get("sid"), reply.get("status")
        if not isinstance(sid, str) or not isinstance(status, str):
            is_taken = answer.status == _CREATED or answer.is_cut
            return one if is_taken else later(one.status, f"no answer of the API: {one.answer}")
        if status not in _UNDER_WAY:
            return refused(f"{one.status} {said(status)}", said(str(reply.get("error_message") or ""), self._secrets))
        return delivered(one.status, f"{said(sid)} {status}")


def _explained(one: Attempted, reply: Mapping[str, Any], secrets: tuple[str, ...]) -> Attempted:
    """The API's own code and words where it gives them."""
    if "code" not in reply:
        return one
    answer = said(f"{reply['code']}: {reply.get('message')}", secrets)
    if one.may_retry:
        return later(one.status, answer, retry_after_s=one.retry_after_s)
    return refused(one.status, answer)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
