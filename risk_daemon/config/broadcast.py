"""The table [broadcast.kafka]: where other programs hear of a trip. Its password is not in it, see `credentials.py`."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from risk_daemon.config.notation import ExistingFile, Refused, Table

_TABLE = "broadcast.kafka"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})?|\[[0-9A-Fa-f:.]+\]", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
_EVENT_TYPE = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_PORT_MAX = 65_535
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


def _servers(value: str) -> str:
    """Raises ValueError for what names no broker."""
    for server in value.split(","):
        host, colon, port = server.strip().rpartition(":")
        is_port = bool(colon) and _PORT.fullmatch(port) is not None and 1 <= int(port) <= _PORT_MAX
        if not is_port or _HOST.fullmatch(host) is None:
            raise ValueError(f'{server.strip()!r} is no broker: write "host:port", several with commas between them')
    return ",".join(server.strip() for server in value.split(","))


def _topic(value: str) -> str:
    if _TOPIC.fullmatch(value) is None or value in (".", ".."):
        raise ValueError(f'{value!r} is no topic: up to 249 letters, digits, ".", "_" and "-"')
    return value


def _event_type(value: str) -> str:
    if _EVENT_TYPE.fullmatch(value) is None:
        raise ValueError(f'{value!r} is no event type: up to 100 letters, digits, ".", "_" and "-"')
    return value


class Kafka(Table):
    """ca_file: trusted instead of the system's certificates. username: whoever has one has a password too."""

    bootstrap: Annotated[str, AfterValidator(_servers)]
    topic: Annotated[str, AfterValidator(_topic)] = "system-events"
    event_type: Annotated[str, AfterValidator(_event_type)] = "The3PercentFreeze"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: Annotated[str, Field(min_length=1)] | None = None
    ca_file: ExistingFile | None = None

    @property
    def is_encrypted(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def logs_in(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """A key that would do nothing is a mistake about what protects whom."""
        protocol = self.security_protocol
        for key in ("sasl_mechanism", "username"):
            given = getattr(self, key) is not None
            if self.logs_in and not given:
                raise Refused(f"{_TABLE}.{key}", f"it is missing, and {protocol} logs in: add it")
            if given and not self.logs_in:
                raise Refused(
                    f"{_TABLE}.{key}",
                    f'nobody logs in with security_protocol = "{protocol}": write "SASL_SSL", or take it out',
                )
        if self.ca_file is not None and not self.is_encrypted:
            raise Refused(
                f"{_TABLE}.ca_file",
                f'nothing is encrypted with security_protocol = "{protocol}": write "SASL_SSL", or take it out',
            )
        return self


class Broadcast(Table):
    """kafka None: no trip is broadcast."""

    kafka: Kafka | None = None
