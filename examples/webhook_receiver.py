"""A receiver of alerts that believes only what is signed. Needs nothing but Python.

    openssl rand -base64 32 | sed 's/^/whsec_/' > webhook.key
    python examples/webhook_receiver.py --key-file webhook.key --port 9000

and in the daemon's config.toml, with the same file as credential `alerts.here.secret`:

    [alerts.channels.here]
    kind = "webhook"
    url = "http://127.0.0.1:9000/"
    allow = ["127.0.0.1"]

It prints each alert once, as a line of JSON: the same one may come twice, as the sender rather repeats itself than be
silent. Put what you want to happen into `heard`. It listens on this machine; for a network put a server with TLS in
front of it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

TOLERANCE_S = 300  # what is older may be a copy that somebody kept
BODY_BYTES = 1_000_000
IDS_KEPT = 10_000


def heard(alert_id: str, alert: Mapping[str, Any]) -> None:
    """Once for each alert. Be quick: the sender waits for an answer, and tries again without one."""
    print(json.dumps({"id": alert_id, **alert}), flush=True)


class Verifier:
    """Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`, and a time that is not long ago."""

    def __init__(self, key: str) -> None:
        self._key = base64.b64decode(key.strip().removeprefix("whsec_"), validate=True)

    def refusal(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        """Why this is not believed. None: it is. headers: their names in small letters."""
        alert_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        moment = number(stamp)
        if not alert_id or moment is None:
            return "webhook-id or webhook-timestamp is missing"
        if abs(now - moment) > TOLERANCE_S:
            return "webhook-timestamp is too old, or this clock is wrong"
        mac = hmac.new(self._key, f"{alert_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
        expected = b"v1," + base64.b64encode(mac)
        # Several, while the sender's key is replaced by another.
        signatures = headers.get("webhook-signature", "").encode().split(b" ")
        if not any(hmac.compare_digest(signature, expected) for signature in signatures):
            return "no signature in webhook-signature is right"
        return None


def number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 20 else None


class Once:
    """Ids that came already."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, alert_id: str) -> bool:
        with self._lock:
            is_new = alert_id not in self._ids
            self._ids[alert_id] = None
            while len(self._ids) > IDS_KEPT:
                self._ids.popitem(last=False)
            return is_new


def handler_of(verifier: Verifier, once: Once) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            length = number(headers.get("content-length", ""))
            if length is None or length > BODY_BYTES:
                self.send_error(413)
                return
            body = self.rfile.read(length)
            refusal = verifier.refusal(headers, body, time.time())
            if refusal is not None:
                self.send_error(401, refusal)
                return
            if once.is_new(headers["webhook-id"]):
                heard(headers["webhook-id"], json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """The alerts are the log."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description="Print alerts that are signed with a key.")
    parser.add_argument("--key-file", type=Path, required=True, help="a file with whsec_ and base64")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()
    handler = handler_of(Verifier(options.key_file.read_text()), Once())
    with ThreadingHTTPServer(("127.0.0.1", options.port), handler) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
