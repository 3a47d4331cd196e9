"""The same as webhook_receiver.py in a service of FastAPI, verified by the library. Needs fastapi, uvicorn and

pip install standardwebhooks
ALERT_KEY=whsec_... uvicorn examples.fastapi_webhook_receiver:app --port 9000
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

app = FastAPI()
alerts: dict[str, dict[str, Any]] = {}  # by id, so that one that comes twice is there once; yours is a database


@app.post("/risk", status_code=204)
async def risk(request: Request, later: BackgroundTasks) -> None:
    """Answer at once; what takes time is done after it."""
    try:
        alert = Webhook(os.environ["ALERT_KEY"]).verify(await request.body(), dict(request.headers))
    except WebhookVerificationError as error:
        raise HTTPException(401, str(error)) from None
    alert_id = request.headers["webhook-id"]
    if alert_id not in alerts:
        alerts[alert_id] = alert
        later.add_task(page_somebody, alert)


def page_somebody(alert: dict[str, Any]) -> None:
    """Yours."""
    print(alert["severity"], alert["summary"], flush=True)
