"""Passkeys: what is asked of a browser, and every answer that is not quite it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from risk_daemon.auth import passkeys
from risk_daemon.auth.override import OverrideRefused
from risk_daemon.auth.page_site import PageSite
from risk_daemon.auth.wardens import Passkey
from tests.authenticator import PRESENT, Authenticator

SITE = PageSite.at("localhost", 8787, is_tls=False)
CHALLENGE = bytes(range(32))


@pytest.fixture
def device() -> Authenticator:
    return Authenticator()


@pytest.fixture
def passkey(device: Authenticator) -> Passkey:
    options = passkeys.registration_options(SITE, "alice", CHALLENGE, [])
    return passkeys.registered(SITE, CHALLENGE, device.create(options, SITE.origin))


def options_for(passkey: Passkey, challenge: bytes = CHALLENGE, site: PageSite = SITE) -> Any:
    return passkeys.authentication_options(site, passkey, challenge)


def test_the_origin_is_what_a_browser_says_of_the_page() -> None:
    assert SITE.origin == "http://localhost:8787"
    assert PageSite.at("guard.example.org", 8443, is_tls=True).origin == "https://guard.example.org:8443"
    assert PageSite.at("guard.example.org", 443, is_tls=True).origin == "https://guard.example.org"
    assert PageSite.at("localhost", 80, is_tls=False).origin == "http://localhost"


def test_the_browser_is_asked_for_a_verified_person(passkey: Passkey) -> None:
    made = passkeys.registration_options(SITE, "bob", CHALLENGE, [passkey])
    asked = options_for(passkey)

    assert made["rp"]["id"] == asked["rpId"] == "localhost"
    assert made["authenticatorSelection"]["userVerification"] == asked["userVerification"] == "required"
    assert [row["id"] for row in made["excludeCredentials"]] == [row["id"] for row in asked["allowCredentials"]]


def test_a_passkey_that_was_made_here_is_known_again(device: Authenticator, passkey: Passkey) -> None:
    first = passkeys.authenticated(SITE, passkey, CHALLENGE, device.get(options_for(passkey), SITE.origin))
    counted = replace(passkey, sign_count=first)

    assert first == 1
    assert passkeys.authenticated(SITE, counted, CHALLENGE, device.get(options_for(passkey), SITE.origin)) == 2


def test_a_device_that_never_counts_is_known_as_well(passkey: Passkey, device: Authenticator) -> None:
    device.count = -1
    assert passkeys.authenticated(SITE, passkey, CHALLENGE, device.get(options_for(passkey), SITE.origin)) == 0


def of_another_page(device: Authenticator, passkey: Passkey) -> Any:
    return device.get(options_for(passkey), "http://localhost:9999")


def of_another_site(device: Authenticator, passkey: Passkey) -> Any:
    return device.get(options_for(passkey), "https://evil.example")


def over_tls_that_is_none(device: Authenticator, passkey: Passkey) -> Any:
    return device.get(options_for(passkey), "https://localhost:8787")


def of_another_host(device: Authenticator, passkey: Passkey) -> Any:
    return device.get({**options_for(passkey), "rpId": "evil.example"}, SITE.origin)


def of_another_challenge(device: Authenticator, passkey: Passkey) -> Any:
    return device.get(options_for(passkey, os.urandom(32)), SITE.origin)


def without_verification(device: Authenticator, passkey: Passkey) -> Any:
    device.flags = PRESENT
    return device.get(options_for(passkey), SITE.origin)


def without_presence(device: Authenticator, passkey: Passkey) -> Any:
    device.flags = 0
    return device.get(options_for(passkey), SITE.origin)


def in_a_frame(device: Authenticator, passkey: Passkey) -> Any:
    return device.get(options_for(passkey), SITE.origin, crossOrigin=True)


def of_a_registration(device: Authenticator, passkey: Passkey) -> Any:
    return device.get(options_for(passkey), SITE.origin, type="webauthn.create")


def of_another_device(device: Authenticator, passkey: Passkey) -> Any:
    return Authenticator().get(options_for(passkey), SITE.origin)


def of_another_device_under_its_name(device: Authenticator, passkey: Passkey) -> Any:
    thief = Authenticator()
    thief.credential_id = device.credential_id
    return thief.get(options_for(passkey), SITE.origin)


def with_a_changed_signature(device: Authenticator, passkey: Passkey) -> Any:
    answer = device.get(options_for(passkey), SITE.origin)
    text = answer["response"]["signature"]
    answer["response"]["signature"] = text[:10] + ("A" if text[10] != "A" else "B") + text[11:]
    return answer


def nothing(device: Authenticator, passkey: Passkey) -> Any:
    return {}


def without_a_response(device: Authenticator, passkey: Passkey) -> Any:
    return {**device.get(options_for(passkey), SITE.origin), "response": {}}


def odd(device: Authenticator, passkey: Passkey) -> Any:
    return {**device.get(options_for(passkey), SITE.origin), "response": {"clientDataJSON": 7}}


WRONG: list[Callable[[Authenticator, Passkey], Any]] = [
    of_another_page, of_another_site, over_tls_that_is_none, of_another_host, of_another_challenge,
    without_verification, without_presence, in_a_frame, of_a_registration, of_another_device,
    of_another_device_under_its_name, with_a_changed_signature, nothing, without_a_response, odd,
]  # fmt: skip


@pytest.mark.parametrize("answer", WRONG, ids=lambda answer: answer.__name__)
def test_what_is_not_quite_it_is_refused(answer: Any, device: Authenticator, passkey: Passkey) -> None:
    with pytest.raises(OverrideRefused, match="the passkey is refused: "):
        passkeys.authenticated(SITE, passkey, CHALLENGE, answer(device, passkey))


@pytest.mark.parametrize("known", [5, 6])
def test_a_counter_that_went_back_or_stands_still_is_a_copy(
    known: int, device: Authenticator, passkey: Passkey
) -> None:
    device.count = 4
    with pytest.raises(OverrideRefused, match="sign count"):
        passkeys.authenticated(
            SITE, replace(passkey, sign_count=known), CHALLENGE, device.get(options_for(passkey), SITE.origin)
        )


@pytest.mark.parametrize("flags", [PRESENT, 0])
def test_a_passkey_is_not_made_without_a_verified_person(flags: int, device: Authenticator) -> None:
    device.flags = flags
    options = passkeys.registration_options(SITE, "alice", CHALLENGE, [])
    with pytest.raises(OverrideRefused, match="the passkey is refused: "):
        passkeys.registered(SITE, CHALLENGE, device.create(options, SITE.origin))


def test_a_passkey_is_not_made_on_another_page_or_for_another_question(device: Authenticator) -> None:
    options = passkeys.registration_options(SITE, "alice", CHALLENGE, [])
    other = passkeys.registration_options(SITE, "alice", bytes(32), [])
    answers = [
        device.create(options, "https://evil.example"),
        device.create(options, SITE.origin, crossOrigin=True),
        device.create(other, SITE.origin),
        device.create({**options, "rp": {"id": "evil.example"}}, SITE.origin),
        {},
    ]
    for answer in answers:
        with pytest.raises(OverrideRefused, match="the passkey is refused: "):
            passkeys.registered(SITE, CHALLENGE, answer)
