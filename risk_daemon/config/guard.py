"""The table [guard]: the name under which this guard stands in places that several guards share."""

from __future__ import annotations

import re

from pydantic import field_validator

from risk_daemon.config.notation import Table

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)


class GuardTable(Table):
    """name: letters, digits, - and _, 63 at most. Two guards that share a place have two names."""

    name: str = "main"

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if _NAME.fullmatch(value) is None:
            raise ValueError(f'{value!r} is not a name: write 1 to 63 letters, digits, - or _, such as "main"')
        return value
