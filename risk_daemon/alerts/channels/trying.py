"""One try, whatever happens in it: an answer with nobody's secrets, and never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

import aiohttp
from yarl import URL

from risk_daemon.alerts.channels.base import ANSWER_CHARACTERS, Attempted, later, refused
from risk_daemon.alerts.outbound import Disallowed
from risk_daemon.alerts.threads import Busy

_HIDDEN = "***"
_SECRET_CHARACTERS = 6  # what is shorter is no secret, and would tear every sentence


async def tried(trying: Awaitable[Attempted], timeout_s: float, secrets: Iterable[str] = ()) -> Attempted:
    """What became of it. What nobody foresaw is tried again: rather twice than not at all."""
    try:
        async with asyncio.timeout(timeout_s):
            return await trying
    except TimeoutError:
        return later("timeout", f"no answer within {timeout_s:g} s")
    except Disallowed as error:
        return refused("disallowed", said(str(error), secrets))
    except Busy as error:
        return later("busy", str(error))
    except (OSError, aiohttp.ClientError) as error:
        return later("connection", said(f"{type(error).__name__}: {error}", secrets))
    except Exception as error:
        return later("error", said(f"{type(error).__name__}: {error}", secrets))


def said(text: str, secrets: Iterable[str] = ()) -> str:
    """The beginning of what somebody else wrote, on one line, without what must not be written down."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_CHARACTERS:
            text = text.replace(secret, _HIDDEN)
    words = "".join(sign if sign.isprintable() else " " for sign in text).split()
    return " ".join(words)[:ANSWER_CHARACTERS]


def secrets_of_url(url: str) -> tuple[str, ...]:
    """What may be a token in it: its parts behind the host."""
    parsed = URL(url)
    return (parsed.raw_path_qs, *parsed.raw_parts[1:], *parsed.parts[1:], *parsed.query.values())
