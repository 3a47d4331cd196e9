"""Short messages, to a face of Twilio's API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from risk_daemon.alerts.channels.base import SmsSettings
from risk_daemon.errors import ConfigError
from tests.receivers.http import Answering, cut, hanging, slow, status
from tests.receivers.twilio import SENDER, SID, TOKEN, TwilioFace
from tests.unit.alerts.channels.worlds import ODD, PAYLOAD, TRIP, channel_of, told

TEXT = "CRITICAL momentum: Drawdown reached 10.2 % of 10 %: everything is cancelled. (trip trip-1)"


@pytest.fixture
def face() -> Iterator[TwilioFace]:
    with TwilioFace() as face:
        yield face


def settings_of(face: TwilioFace, **changed: Any) -> SmsSettings:
    plain = SmsSettings(
        name="phone",
        account_sid=SID,
        password=TOKEN,
        sender=SENDER,
        recipients=("+15551230001", "+15551230002"),
        url=face.url,
        allow=("127.0.0.1",),
    )
    return replace(plain, **changed)


async def test_everybody_gets_a_message(face: TwilioFace) -> None:
    attempted = await told(settings_of(face))
    assert (attempted.delivered, attempted.status) == (True, "201")
    assert attempted.answer.endswith(" queued")
    assert sorted(face.messages) == [("+15551230001", TEXT), ("+15551230002", TEXT)]
    assert {request.content["From"] for request in face.taken} == {SENDER}


async def test_through_a_messaging_service(face: TwilioFace) -> None:
    assert (await told(settings_of(face, sender="MG" + "1" * 32))).delivered
    assert {request.content["MessagingServiceSid"] for request in face.taken} == {"MG" + "1" * 32}
    assert not any("From" in request.content for request in face.taken)


async def test_signs_of_every_language_and_of_forms_arrive(face: TwilioFace) -> None:
    await told(settings_of(face), replace(TRIP, summary="Größe & Co: 100 % = 日本?", trip_id=None))
    assert {text for _, text in face.messages} == {"CRITICAL momentum: Größe & Co: 100 % = 日本?"}


async def test_whatever_a_venue_said_arrives(face: TwilioFace) -> None:
    assert (await told(settings_of(face), ODD)).delivered
    assert {len(text) for _, text in face.messages} == {480}


async def test_a_wrong_token_is_final_and_not_shown(face: TwilioFace) -> None:
    attempted = await told(settings_of(face, password="wrong-token"))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, False, "401")
    assert "20003: Authenticate" in attempted.answer
    assert "wrong-token" not in attempted.answer


async def test_one_number_that_is_none_is_told_of_and_the_other_has_it(face: TwilioFace) -> None:
    face.unreachable = {"+15551230001"}
    attempted = await told(settings_of(face))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, False, "400")
    assert attempted.answer.startswith("+15551230001: 21211: ")
    assert [to for to, _ in face.messages] == ["+15551230002"]


async def test_who_has_it_is_not_told_again(face: TwilioFace) -> None:
    async with channel_of(settings_of(face)) as channel:
        face.unreachable = {"+15551230001"}
        await channel.send(TRIP, PAYLOAD)
        face.unreachable = set()
        assert (await channel.send(TRIP, PAYLOAD)).delivered
    assert [to for to, _ in face.messages] == ["+15551230002", "+15551230001"]


@pytest.mark.parametrize(
    ("answering", "may_retry", "code"),
    [
        (status(429, '{"code": 20429, "message": "Too Many Requests", "status": 429}', Retry_After="3"), True, "429"),
        (status(503), True, "503"),
        (status(200, "<html>sign in to the network</html>"), True, "200"),
        (status(200, "<html>" * 100_000), True, "200"),
        (status(201, '{"sid": "SM1", "status": "failed", "error_message": "no"}'), False, "201 failed"),
        (status(302, Location="http://127.0.0.1/"), False, "302"),
        (hanging, True, "timeout"),
    ],
)
async def test_only_a_message_that_is_under_way_is_delivered(
    face: TwilioFace, answering: Answering, may_retry: bool, code: str
) -> None:
    face.answering = answering
    attempted = await told(settings_of(face, timeout_s=0.5, recipients=("+15551230001",)))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, may_retry, code)


@pytest.mark.parametrize(
    "answering",
    [status(201, '{"sid": "SM1"}'), status(201, "[" * 100_000), status(201), slow(201), slow(200), cut(201)],
)
async def test_a_message_that_was_taken_is_not_paid_twice_for_an_answer_that_can_not_be_read(
    face: TwilioFace, answering: Answering
) -> None:
    face.answering = answering
    attempted = await told(settings_of(face, recipients=("+15551230001",)))
    assert attempted.delivered
    assert len(face.requests) == 1


async def test_the_api_says_when_to_come_again(face: TwilioFace) -> None:
    face.answering = status(429, Retry_After="3")
    assert (await told(settings_of(face))).retry_after_s == 3.0


async def test_it_goes_nowhere_private_that_is_not_named(face: TwilioFace) -> None:
    attempted = await told(settings_of(face, allow=()))
    assert (attempted.status, attempted.may_retry, face.requests) == ("disallowed", False, [])


@pytest.mark.parametrize("wrong", [{"account_sid": "../x"}, {"account_sid": ""}, {"password": ""}, {"recipients": ()}])
async def test_what_could_never_be_sent_is_refused(face: TwilioFace, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="phone:"):
        await told(settings_of(face, **wrong))
