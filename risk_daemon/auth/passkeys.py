"""Passkeys: what a browser is asked for, and whether what it brings is right.

The person must be verified by the authenticator (a finger, a PIN), on the page of this origin and no other, not inside
another site's frame, and a counter that went back is a copy of the key.

Heavy to import: only where somebody is asked, never with the guard.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, parse_authentication_credential_json, parse_client_data_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from risk_daemon.auth.override import CHALLENGE_LASTS_S, OverrideRefused
from risk_daemon.auth.page_site import PageSite
from risk_daemon.auth.wardens import Passkey

_TIMEOUT_MS = int(CHALLENGE_LASTS_S * 1_000)


def registration_options(site: PageSite, name: str, challenge: bytes, present: Iterable[Passkey]) -> Mapping[str, Any]:
    """What `navigator.credentials.create` is asked for. present: keys that are somebody's already."""
    options = generate_registration_options(
        rp_id=site.host,
        rp_name="risk-daemon",
        user_id=sha256(name.encode()).digest(),
        user_name=name,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=passkey.credential_id) for passkey in present],
    )
    return _document(options)


def registered(site: PageSite, challenge: bytes, answer: Mapping[str, Any]) -> Passkey:
    """The new passkey in `answer`. Raises OverrideRefused for anything else."""
    try:
        _check_frame(answer["response"]["clientDataJSON"])
        found = verify_registration_response(
            credential=dict(answer),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except Exception as error:
        raise OverrideRefused(f"the passkey is refused: {_reason(error)}") from error
    return Passkey(
        credential_id=found.credential_id,
        public_key=found.credential_public_key,
        sign_count=found.sign_count,
        host=site.host,
    )


def authentication_options(site: PageSite, passkey: Passkey, challenge: bytes) -> Mapping[str, Any]:
    """What `navigator.credentials.get` is asked for."""
    options = generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        allow_credentials=[PublicKeyCredentialDescriptor(id=passkey.credential_id)],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return _document(options)


def authenticated(site: PageSite, passkey: Passkey, challenge: bytes, answer: Mapping[str, Any]) -> int:
    """The counter of a signature that is right. Raises OverrideRefused for anything else."""
    try:
        given = parse_authentication_credential_json(dict(answer))
        if given.raw_id != passkey.credential_id:
            raise ValueError("it is another key than the one that was enrolled")
        _check_frame(answer["response"]["clientDataJSON"])
        found = verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except Exception as error:
        raise OverrideRefused(f"the passkey is refused: {_reason(error)}") from error
    return found.new_sign_count


def _document(options: Any) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(options_to_json(options))
    return document


def _check_frame(client_data: str) -> None:
    """A page inside another site's frame may be dressed up as something else."""
    if parse_client_data_json(base64url_to_bytes(client_data)).cross_origin:
        raise ValueError("the page was inside another site's frame")


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text[:1].lower() + text[1:200]
