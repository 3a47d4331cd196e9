"""The table [api]: where the daemon listens. From elsewhere only over TLS: tokens would be read on the way."""

from __future__ import annotations

from typing import Self

from pydantic import field_validator, model_validator

from risk_daemon.config.notation import ExistingFile, Refused, Table
from risk_daemon.config.place import is_socket_name
from risk_daemon.model.addresses import host_and_port, is_loopback


class Api(Table):
    """`listen` is for bots and people with a token, `socket` for the daemon's own user and root. Port 0: any."""

    listen: str = "127.0.0.1:8787"
    socket: str = "risk-daemon.sock"
    tls_certificate: ExistingFile | None = None
    tls_key: ExistingFile | None = None

    @property
    def host(self) -> str:
        return host_and_port(self.listen)[0]

    @property
    def port(self) -> int:
        return host_and_port(self.listen)[1]

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        host_and_port(value)
        return value

    @field_validator("socket")
    @classmethod
    def _has_a_name(cls, value: str) -> str:
        if not is_socket_name(value):
            raise ValueError('it is no name of a file in the state directory: write "risk-daemon.sock"')
        return value

    @model_validator(mode="after")
    def _whole_tls(self) -> Self:
        if self.tls_certificate is not None and self.tls_key is None:
            raise Refused("api.tls_key", "it is missing beside tls_certificate: add it")
        if self.tls_key is not None and self.tls_certificate is None:
            raise Refused("api.tls_certificate", "it is missing beside tls_key: add it")
        if not self.is_local and self.tls_certificate is None:
            raise Refused(
                "api.listen",
                f"{self.listen!r} is reachable from elsewhere, and that needs TLS: set tls_certificate and tls_key,"
                ' or write "127.0.0.1:8787"',
            )
        return self
