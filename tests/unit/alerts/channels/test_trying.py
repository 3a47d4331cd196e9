"""One try becomes an answer, whatever happens in it."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest

from risk_daemon.alerts.channels.base import Attempted, delivered
from risk_daemon.alerts.channels.trying import said, secrets_of_url, tried
from risk_daemon.alerts.outbound import Disallowed
from risk_daemon.alerts.threads import Busy


async def raising(error: BaseException) -> Attempted:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "may_retry"),
    [
        (Disallowed("not in allow"), "disallowed", False),
        (Busy("they hang"), "busy", True),
        (ConnectionRefusedError(111, "refused"), "connection", True),
        (ssl.SSLCertVerificationError("expired"), "connection", True),
        (aiohttp.ServerDisconnectedError(), "connection", True),
        (TimeoutError(), "timeout", True),
        (RuntimeError("whatever"), "error", True),
        (RecursionError(), "error", True),
    ],
)
async def test_an_error_is_no_delivery(error: Exception, status: str, may_retry: bool) -> None:
    attempted = await tried(raising(error), 1.0)
    assert (attempted.delivered, attempted.status, attempted.may_retry) == (False, status, may_retry)


async def test_a_secret_in_an_error_is_not_written_down() -> None:
    attempted = await tried(raising(OSError("https://host/token-1 refused")), 1.0, ["token-1"])
    assert attempted.answer == "OSError: https://host/*** refused"


async def test_a_cancel_goes_through() -> None:
    with pytest.raises(asyncio.CancelledError):
        await tried(raising(asyncio.CancelledError()), 1.0)


async def test_what_takes_too_long_is_given_up() -> None:
    async def forever() -> Attempted:
        await asyncio.Event().wait()
        return delivered("204")

    attempted = await tried(forever(), 0.01)
    assert (attempted.delivered, attempted.status) == (False, "timeout")


def test_an_answer_is_one_short_line_of_signs_that_do_nothing() -> None:
    assert said("  a\x1b[2J\r\nb\x00 c\u202e ") == "a [2J b c"
    assert len(said("x" * 500)) == 200


def test_the_longest_secret_goes_first_and_short_ones_tear_nothing() -> None:
    assert said("secret-and-more secret-and a", ["secret-and", "secret-and-more", "a"]) == "*** *** a"


def test_a_url_may_have_its_token_in_any_part() -> None:
    found = secrets_of_url("https://host/services/T%2F0/B?key=abc")
    assert {"/services/T%2F0/B?key=abc", "T%2F0", "T/0", "abc"} <= set(found)
