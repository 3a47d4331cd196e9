"""The table [warden]: how many must agree before trading resumes, and where they are asked."""

from __future__ import annotations

import re

from pydantic import field_validator

from risk_daemon.config.notation import Count, Seconds, Table, as_written

LOCAL = "localhost"
QUORUM_MAX = 20
BREAK_GLASS_MAX_S = 30 * 86_400.0
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.ASCII)
_ADDRESS = re.compile(r"[0-9.]+", re.ASCII)


class WardenTable(Table):
    """Nothing of it counts until the first warden is enrolled.

    quorum: of those enrolled. host: what the page's address calls this machine; passkeys are made for it.
    """

    quorum: Count = 1
    break_glass_after: Seconds = as_written("1h")
    host: str = LOCAL

    @field_validator("quorum")
    @classmethod
    def _can_be_met(cls, value: int) -> int:
        if value > QUORUM_MAX:
            raise ValueError(f"what counts once can't be taken back without as many: at most {QUORUM_MAX}")
        return value

    @field_validator("break_glass_after")
    @classmethod
    def _comes_to_an_end(cls, value: float) -> float:
        if value > BREAK_GLASS_MAX_S:
            raise ValueError('it is for the day all keys are lost: at most "30d"')
        return value

    @field_validator("host")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if _HOST.fullmatch(value) is None or _ADDRESS.fullmatch(value) is not None:
            raise ValueError(
                f'{value!r} is not a name: passkeys are made for a name in small letters, such as "localhost" or'
                ' "guard.example.org", never for an address'
            )
        return value
