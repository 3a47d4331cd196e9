"""Whatever else Apprise knows: Slack, Telegram, PagerDuty and a hundred more, each by its URL.

Apprise blocks, so it runs on threads of its own. It holds a second message back for as long as the first one's
service asks, up to 5.5 s, which a trip can't wait for: so each alert has an Apprise of its own.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.channels.base import AppriseSettings, Attempted, delivered, later
from risk_daemon.alerts.channels.trying import said, tried
from risk_daemon.alerts.channels.wording import headline, page
from risk_daemon.alerts.outbound import Disallowed, is_named, refusal_of_addresses
from risk_daemon.alerts.threads import Threads
from risk_daemon.errors import ConfigError

if TYPE_CHECKING:
    import apprise

_TYPES = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}


class AppriseChannel:
    """Tells one service."""

    def __init__(self, settings: AppriseSettings, *, threads: Threads) -> None:
        """Loads Apprise, which takes about a second, so that no alert waits for it.

        Raises ConfigError without the extra, and for a URL that Apprise does not know.
        """
        self.name = settings.name
        self._settings = settings
        self._threads = threads
        self._secrets = _secrets(settings.url)
        self._opened()

    async def send(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        return await tried(self._threads.run(self._notify, alert, payload), self._settings.timeout_s, self._secrets)

    async def close(self) -> None:
        """Nothing is open. A thread that still hangs holds up no exit."""

    def _notify(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        """On a thread. Apprise says yes or no; why, only in its log; and it raises nothing."""
        service = self._opened()
        refuse_host(service, self._settings.allow)
        one = _apprise().Apprise()
        one.add(service)
        result = one.notify(
            page(alert, payload),
            title=headline(alert, payload),
            notify_type=_TYPES[alert.severity],
            body_format="text",
            log_level=logging.WARNING,
        )
        if bool(result):
            return delivered("apprise")
        why = " ".join(str(getattr(entry, "message", entry)) for entry in result.logs())
        return later("apprise", said(why, self._secrets) or "it was not sent")

    def _opened(self) -> apprise.NotifyBase:
        library = _apprise()
        asset = library.AppriseAsset(http_redirects=False, storage_mode=library.PersistentStoreMode.MEMORY)
        service: apprise.NotifyBase | None = library.Apprise.instantiate(
            self._settings.url, asset=asset, suppress_exceptions=True
        )
        if service is None:
            raise ConfigError(f"{self.name}: Apprise does not know this url: see its list of services.")
        service.redirects = False  # also where the url itself asks for them
        # Each service takes so many signs and no more; the sentence comes first.
        service.overflow_mode = library.OverflowMode.TRUNCATE
        return service


def refuse_host(service: apprise.NotifyBase, allow: tuple[str, ...]) -> None:
    """As for a webhook, where the url names the host; most services have one of their own. Raises Disallowed.

    Apprise connects by itself, so that what a name stands for may change between this look and its own.
    """
    if "host" not in service.template_tokens:
        return
    host = str(service.host)
    if allow and not is_named(host, allow):
        raise Disallowed(f"{host} is not in allow")
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # it is a name of the service's own, or Apprise will not find it either
    refusal = refusal_of_addresses(host, [str(row[4][0]) for row in rows], allow)
    if refusal is not None:
        raise Disallowed(refusal)


def _apprise() -> Any:
    try:
        import apprise
    except ImportError:
        raise ConfigError(
            'Apprise is not installed: `pip install "apprise>=2.2,<3"` with the python that runs risk-daemon.'
        ) from None
    logger = logging.getLogger("apprise")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # or each failure would be on stderr, beside the daemon's own log
    return apprise


def _secrets(url: str) -> tuple[str, ...]:
    """All of its parts: a token may stand anywhere in it."""
    rest = url.partition("://")[2]
    for sign in "/@:?&=":
        rest = rest.replace(sign, " ")
    return (url, *rest.split())
