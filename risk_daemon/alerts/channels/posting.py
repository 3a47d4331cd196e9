"""A POST to somebody else's server: where it may go, how long it may take, and what its answer means."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp

from risk_daemon.alerts.channels.base import Attempted, delivered, later, refused
from risk_daemon.alerts.channels.trying import said
from risk_daemon.alerts.outbound import CheckedResolver, Disallowed, LookUp, refusal_of_url
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock

_ANSWER_BYTES = 4_096
_ANSWER_WITHIN_S = 1.0
_LATER = frozenset({408, 425, 429})
# Whatever is packed may be a bomb, and an answer of a line needs no packing.
_HEADERS = {"User-Agent": "risk-daemon", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: its status, the beginning of its body, and when it wants to be asked again.

    is_cut: more of it was to come, and did not in time.
    """

    status: int
    text: str
    is_cut: bool = False
    retry_after_s: float | None = None


class Poster:
    """Posts to one URL. It follows no redirect, keeps no cookie, asks no proxy, and keeps no connection.

    No connection: one that was left open may have died unseen, and the first alert of a trip would find out.
    """

    def __init__(self, url: str, *, allow: Iterable[str], look_up: LookUp, clock: Clock, ca_file: str = "") -> None:
        self._url = url
        self._allow = tuple(allow)
        self._look_up = look_up
        self._clock = clock
        self._tls = trusting(ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises Disallowed, OSError or aiohttp's errors."""
        refusal = refusal_of_url(self._url, self._allow)
        if refusal is not None:
            raise Disallowed(refusal)
        session = self._opened()
        request = session.post(self._url, data=body, headers={**_HEADERS, **headers}, allow_redirects=False)
        async with request as response:
            wait = retry_after_s(response.headers.get("Retry-After"), self._clock.now().wall)
            text, is_cut = await _beginning(response)
            return Answer(status=response.status, text=text, is_cut=is_cut, retry_after_s=wait)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=CheckedResolver(self._allow, self._look_up),
                ssl=self._tls,
                force_close=True,
                use_dns_cache=False,
                limit=0,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # whoever asks sets the limit
                trust_env=False,
                auto_decompress=False,
            )
        return self._session


def trusting(ca_file: str) -> ssl.SSLContext:
    """Whose certificates are believed: the system's, or those of a file. Raises ConfigError for one that is none."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{ca_file}: no certificates can be read from it: {type(error).__name__}.") from None


def judged(answer: Answer, secrets: Iterable[str]) -> Attempted:
    """By the status alone: whoever says 2xx has it."""
    status, text = str(answer.status), said(answer.text, secrets)
    if 200 <= answer.status < 300:
        return delivered(status, text)
    if answer.status in _LATER or answer.status >= 500:
        return later(status, text, retry_after_s=answer.retry_after_s)
    if 300 <= answer.status < 400:
        return refused(status, "it sends us elsewhere, and we follow nobody: mend the url")
    return refused(status, text)


def retry_after_s(header: str | None, wall: float) -> float | None:
    """Seconds or a date. What can't be read asks for nothing."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - wall)


async def _beginning(response: aiohttp.ClientResponse) -> tuple[str, bool]:
    """And whether more was to come. Its status is known by now, so a body that never ends changes nothing."""
    body, is_cut = bytearray(), False
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            while len(body) < _ANSWER_BYTES and (part := await response.content.read(_ANSWER_BYTES - len(body))):
                body += part
    except (TimeoutError, aiohttp.ClientError, OSError):
        body += b" ..."
        is_cut = True
    return body.decode("utf-8", errors="replace"), is_cut
