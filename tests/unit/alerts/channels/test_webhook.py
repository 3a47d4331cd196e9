"""Webhooks, to a receiver that verifies them with the reference library of Standard Webhooks."""

from __future__ import annotations

import base64
import gzip
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from risk_daemon.alerts.channels.base import WebhookSettings
from risk_daemon.alerts.channels.webhook import bearer_of, keys_of, signatures
from risk_daemon.errors import ConfigError
from tests.receivers.certificates import made_in
from tests.receivers.http import Answering, endless, hanging, silent, status
from tests.receivers.webhook import SECRET, WebhookReceiver
from tests.unit.alerts.channels.worlds import ODD, PAYLOAD, TRIP, channel_of, told

OTHER = "whsec_" + base64.b64encode(b"another key of a test, as long").decode()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


def settings_of(receiver: WebhookReceiver, **changed: Any) -> WebhookSettings:
    plain = WebhookSettings(name="hook", url=f"{receiver.url}hook", secret=SECRET, allow=("127.0.0.1",))
    return replace(plain, **changed)


async def test_the_receiver_verifies_it_and_has_the_whole_alert(receiver: WebhookReceiver) -> None:
    attempted = await told(settings_of(receiver))
    assert (attempted.delivered, attempted.status) == (True, "204")
    assert (receiver.ids, receiver.alerts) == (["trip-1"], [PAYLOAD])


async def test_every_try_has_the_same_id_and_a_time_of_its_own(receiver: WebhookReceiver) -> None:
    async with channel_of(settings_of(receiver)) as channel:
        receiver.answering = status(503)
        assert (await channel.send(TRIP, PAYLOAD)).may_retry
        receiver.answering = None
        assert (await channel.send(TRIP, PAYLOAD)).delivered
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "trip-1"
    assert int(second.headers["webhook-timestamp"]) > TRIP.wall + 1_000


async def test_a_receiver_with_another_key_takes_nothing(receiver: WebhookReceiver) -> None:
    attempted = await told(settings_of(receiver, secret=OTHER))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, False, "401")
    assert receiver.taken == []


@pytest.mark.parametrize("secret", [f"{OTHER} {SECRET}", f"{SECRET} {OTHER}"])
async def test_while_a_key_is_replaced_both_sign(receiver: WebhookReceiver, secret: str) -> None:
    assert (await told(settings_of(receiver, secret=secret))).delivered


async def test_a_bearer_token_instead_of_a_signature() -> None:
    with WebhookReceiver(token="token-of-a-test") as receiver:
        wrong = await told(settings_of(receiver, bearer=True, secret="another-token"))
        right = await told(settings_of(receiver, bearer=True, secret="token-of-a-test"))
    assert [(wrong.status, wrong.delivered), (right.status, right.delivered)] == [("401", False), ("204", True)]
    assert "webhook-signature" not in receiver.taken[0].headers


def test_the_example_of_the_specification_is_signed_as_there() -> None:
    """As the reference library's own tests have it."""
    keys = keys_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = signatures(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


# --- receivers that misbehave -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answering", "delivered", "may_retry", "code"),
    [
        (status(200, "ok"), True, False, "200"),
        (status(200, "<html>ok</html>"), True, False, "200"),
        (status(500, "<html>oops</html>"), False, True, "500"),
        (status(503), False, True, "503"),
        (status(429), False, True, "429"),
        (status(408), False, True, "408"),
        (status(302, Location="http://169.254.169.254/"), False, False, "302"),
        (status(404), False, False, "404"),
        (status(410), False, False, "410"),
        (silent, False, True, "connection"),
        (endless, True, False, "200"),
    ],
)
async def test_an_answer_says_whether_to_try_again(
    receiver: WebhookReceiver, answering: Answering, delivered: bool, may_retry: bool, code: str
) -> None:
    receiver.answering = answering
    attempted = await told(settings_of(receiver))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (delivered, may_retry, code)
    assert len(receiver.requests) == 1


async def test_a_redirect_is_not_followed(receiver: WebhookReceiver) -> None:
    with WebhookReceiver() as elsewhere:
        receiver.answering = status(307, Location=elsewhere.url)
        attempted = await told(settings_of(receiver))
        assert (attempted.delivered, attempted.may_retry) == (False, False)
        assert "mend the url" in attempted.answer
        assert elsewhere.requests == []


async def test_a_receiver_that_hangs_is_given_up(receiver: WebhookReceiver) -> None:
    receiver.answering = hanging
    attempted = await told(settings_of(receiver, timeout_s=0.2))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, True, "timeout")


async def test_nobody_listens() -> None:
    with WebhookReceiver() as receiver:
        settings = settings_of(receiver)
    attempted = await told(settings)
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, True, "connection")


async def test_how_long_to_wait_is_heard(receiver: WebhookReceiver) -> None:
    receiver.answering = status(429, Retry_After="7")
    assert (await told(settings_of(receiver))).retry_after_s == 7.0


async def test_what_a_receiver_says_is_kept_short_and_without_the_secret(receiver: WebhookReceiver) -> None:
    receiver.answering = status(500, f"\x1b[31mkey {SECRET} at /hook-token-1\n" + "x" * 5_000)
    attempted = await told(settings_of(receiver, url=f"{receiver.url}hook-token-1"))
    assert SECRET not in attempted.answer
    assert "hook-token-1" not in attempted.answer
    assert attempted.answer.startswith("[31mkey *** at ***")
    assert len(attempted.answer) == 200


async def test_whatever_a_venue_said_arrives_and_no_longer_than_servers_take(receiver: WebhookReceiver) -> None:
    assert (await told(settings_of(receiver), ODD)).delivered
    (alert,) = receiver.alerts
    assert len(receiver.requests[0].body) < 20_000
    assert alert["details"] == {"left_out": "they are too long: see the event log"}
    assert alert["summary"].startswith("half ? ")


async def test_no_half_of_a_sign_is_left_in_what_is_signed(receiver: WebhookReceiver) -> None:
    alert = replace(TRIP, summary="größe \ud83d", details={"\udc00": ["\ud800", "😀"]})
    assert (await told(settings_of(receiver), alert)).delivered
    (heard,) = receiver.alerts
    assert (heard["summary"], heard["details"]) == ("größe ?", {"?": ["?", "😀"]})


async def test_a_packed_answer_is_not_unpacked(receiver: WebhookReceiver) -> None:
    receiver.answering = packed
    attempted = await told(settings_of(receiver))
    assert (attempted.delivered, attempted.status) == (True, "200")
    assert "x" * 50 not in attempted.answer
    assert receiver.requests[0].headers["Accept-Encoding"] == "identity"


async def packed(_: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(b"x" * 10_000_000), headers={"Content-Encoding": "gzip"})


# --- where it may go --------------------------------------------------------------------------------


@pytest.mark.parametrize("allow", [(), ("hooks.example.org",)])
async def test_this_machine_is_not_called_unless_it_is_named(receiver: WebhookReceiver, allow: tuple[str, ...]) -> None:
    attempted = await told(settings_of(receiver, allow=allow))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, False, "disallowed")
    assert "allow" in attempted.answer
    assert receiver.requests == []


async def test_tls_is_verified_and_an_authority_of_ones_own_is_believed(tmp_path: Path) -> None:
    certificates = made_in(tmp_path, "localhost")
    with WebhookReceiver(tls=certificates.server()) as receiver:
        url = f"https://localhost:{receiver.port}/"
        stranger = await told(settings_of(receiver, url=url, allow=("localhost",)))
        believed = await told(settings_of(receiver, url=url, allow=("localhost",), ca_file=str(certificates.authority)))
    assert (stranger.delivered, stranger.status) == (False, "connection")
    assert believed.delivered


async def test_a_certificate_of_another_host_is_not_believed(tmp_path: Path) -> None:
    certificates = made_in(tmp_path, "hooks.example.org")
    with WebhookReceiver(tls=certificates.server()) as receiver:
        url = f"https://localhost:{receiver.port}/"
        attempted = await told(
            settings_of(receiver, url=url, allow=("localhost",), ca_file=str(certificates.authority))
        )
    assert (attempted.delivered, attempted.status, receiver.requests) == (False, "connection", [])


async def test_a_variable_of_the_environment_sends_nothing_elsewhere(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert (await told(settings_of(receiver, timeout_s=5.0))).delivered


# --- secrets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    ["", "   ", "hush", "whsec_", "whsec_!!!!", "whsec_aHVzaA==", SECRET.removeprefix("whsec_"), f"{SECRET} hush"],
)
def test_a_key_that_signs_nothing_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ConfigError, match="whsec_") as refusal:
        keys_of(secret)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("secret", ["", "two words", "line\nbreak", "größe"])
def test_a_token_that_fits_no_header_is_refused(secret: str) -> None:
    with pytest.raises(ConfigError, match="token"):
        bearer_of(secret)
