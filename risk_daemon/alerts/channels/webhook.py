"""A webhook as Standard Webhooks 1.0.0 has it: a POST of JSON with an id, a time, and a signature or a token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.channels.base import Attempted, WebhookSettings
from risk_daemon.alerts.channels.posting import Poster, judged
from risk_daemon.alerts.channels.trying import secrets_of_url, tried
from risk_daemon.alerts.outbound import LookUp
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock
from risk_daemon.state.files import json_text

KEY_PREFIX = "whsec_"
KEY_BYTES = range(24, 65)
BODY_BYTES = 20_000  # what Standard Webhooks advises; many servers refuse a body that is much longer
_SUMMARY_CHARACTERS = 1_000


class WebhookChannel:
    """Tells one URL."""

    def __init__(self, settings: WebhookSettings, *, clock: Clock, look_up: LookUp) -> None:
        """Raises ConfigError for a secret that signs nothing."""
        self.name = settings.name
        self._timeout_s = settings.timeout_s
        self._clock = clock
        self._keys = () if settings.bearer else keys_of(settings.secret)
        self._bearer = bearer_of(settings.secret) if settings.bearer else ""
        self._secrets = (*settings.secret.split(), *secrets_of_url(settings.url))
        self._poster = Poster(
            settings.url, allow=settings.allow, look_up=look_up, clock=clock, ca_file=settings.ca_file
        )

    async def send(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        return await tried(self._post(alert, payload), self._timeout_s, self._secrets)

    async def close(self) -> None:
        await self._poster.close()

    async def _post(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        body = body_of(payload)
        # The time of this try, not of the alert: a receiver refuses what is older than some minutes.
        stamp = str(int(self._clock.now().wall))
        headers = {"Content-Type": "application/json", "webhook-id": alert.alert_id, "webhook-timestamp": stamp}
        if self._bearer:
            headers["Authorization"] = f"Bearer {self._bearer}"
        else:
            headers["webhook-signature"] = signatures(self._keys, alert.alert_id, stamp, body)
        return judged(await self._poster.post(body, headers), self._secrets)


def body_of(payload: Mapping[str, Any]) -> bytes:
    """The alert, however long it is: rather without details than refused by a receiver that takes no more."""
    body = _utf8(payload)
    if len(body) <= BODY_BYTES:
        return body
    details = {"left_out": "they are too long: see the event log"}
    return _utf8({**payload, "summary": payload["summary"][:_SUMMARY_CHARACTERS], "details": details})


def _utf8(payload: Mapping[str, Any]) -> bytes:
    """JSON without halves of signs, which a venue may say and many a receiver refuses to read."""
    plain = json.loads(json_text(payload))
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")


def signatures(keys: tuple[bytes, ...], alert_id: str, stamp: str, body: bytes) -> str:
    """One signature for each key: while a key is replaced, a receiver takes whichever it knows."""
    signed = f"{alert_id}.{stamp}.".encode() + body
    macs = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


def keys_of(secret: str) -> tuple[bytes, ...]:
    """The keys in `whsec_BASE64`, or in several with spaces between. Raises ConfigError without showing any."""
    keys = tuple(_key(word) for word in secret.split())
    if not keys:
        raise ConfigError(f"A webhook needs a secret to sign with: {KEY_PREFIX} and base64 of at least 24 bytes.")
    return keys


def _key(word: str) -> bytes:
    try:
        key = base64.b64decode(word.removeprefix(KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not word.startswith(KEY_PREFIX) or len(key) not in KEY_BYTES:
        raise ConfigError(f"A webhook's secret is {KEY_PREFIX} and base64 of 24 to 64 bytes; this one is not.")
    return key


def bearer_of(secret: str) -> str:
    """The token. Raises ConfigError for what can't stand in a header."""
    token = secret.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("A webhook with bearer = true needs a token without spaces as its secret.")
    return token
