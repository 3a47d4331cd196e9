"""A receiver of webhooks that believes only what the reference library of Standard Webhooks verifies."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.receivers.http import HttpReceiver

SECRET = "whsec_" + base64.b64encode(b"a key of a test, no secret at all").decode()


class WebhookReceiver(HttpReceiver):
    """token: by bearer instead of a signature."""

    def __init__(
        self, secret: str = SECRET, *, token: str = "", host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(host=host, tls=tls)
        self.secret = secret
        self.token = token

    @property
    def ids(self) -> list[str]:
        """Of what was taken, in its order."""
        return [request.headers["webhook-id"] for request in self.taken]

    @property
    def alerts(self) -> list[Mapping[str, Any]]:
        """The bodies of what was taken, in their order."""
        return [request.content for request in self.taken]

    async def judge(self, request: web.Request, body: bytes) -> tuple[web.Response, Mapping[str, Any] | None]:
        if request.method != "POST" or request.content_type != "application/json":
            return web.Response(status=415), None
        if self.token:
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                return web.Response(status=401), None
            return web.Response(status=204), await request.json()
        try:
            return web.Response(status=204), Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            return web.Response(status=401, text=str(error)), None
