"""An authenticator in software: makes passkeys and signs, and can be told to do it wrong."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pyotp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

from risk_daemon.auth.wardens import STEP_S

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Authenticator:
    """One key on one device. count: of signatures so far."""

    def __init__(self, *, count: int = 0) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = secrets.token_bytes(32)
        self.count = count
        self.flags = PRESENT | VERIFIED

    def create(self, options: Mapping[str, Any], origin: str, **client: Any) -> dict[str, Any]:
        """What `navigator.credentials.create` gives. client: what else the browser says, or says instead."""
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + encode_cbor(cose)
        data = self._data(options["rp"]["id"], ATTESTED) + attested
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        said = _client("webauthn.create", options["challenge"], origin, client)
        return self._answer(clientDataJSON=said, attestationObject=attestation)

    def get(self, options: Mapping[str, Any], origin: str, **client: Any) -> dict[str, Any]:
        """What `navigator.credentials.get` gives."""
        self.count += 1
        data, said = self._data(options["rpId"], 0), _client("webauthn.get", options["challenge"], origin, client)
        signature = self.key.sign(data + sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(clientDataJSON=said, authenticatorData=data, signature=signature)

    def _data(self, host: str, more: int) -> bytes:
        return sha256(host.encode()).digest() + bytes([self.flags | more]) + self.count.to_bytes(4, "big")

    def _answer(self, **response: bytes) -> dict[str, Any]:
        name = bytes_to_base64url(self.credential_id)
        said = {key: bytes_to_base64url(value) for key, value in response.items()}
        return {"id": name, "rawId": name, "type": "public-key", "response": said, "clientExtensionResults": {}}


def _client(kind: str, challenge: str, origin: str, more: Mapping[str, Any]) -> bytes:
    base64url_to_bytes(challenge)
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False, **more}).encode()


def code_at(secret_or_uri: str, wall: float, *, steps: int = 0) -> str:
    """What an app shows at that time. steps: so many times 30 s later."""
    secret = pyotp.parse_uri(secret_or_uri).secret if "://" in secret_or_uri else secret_or_uri
    return pyotp.TOTP(secret).generate_otp(int(wall // STEP_S) + steps)
