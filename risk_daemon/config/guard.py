"""The table [guard]: the name under which this guard stands in places that several guards share."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, field_validator

from risk_daemon.config.notation import Table, listed

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", re.ASCII)


def _a_name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a name: use letters, digits, - and _")
    return value


Name = Annotated[str, AfterValidator(_a_name)]


class Guard(Table):
    """Who this is. No two guards of a group have one name. group: whose gates a bot elsewhere asks together.

    peers: the other guards over the same accounts; where there are some, one of them all opens at a time.
    """

    name: Name = "main"
    group: Name = "main"
    peers: Annotated[tuple[Name, ...], BeforeValidator(listed)] = ()

    @field_validator("peers")
    @classmethod
    def _others_once(cls, peers: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("name") in peers or len(set(peers)) != len(peers):
            raise ValueError("name each of the other guards once, and not this one")
        return peers
