"""The table [guard]: what this guard is called where others see it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from risk_daemon.config.notation import Table

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", re.ASCII)


def _a_name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a name: use letters, digits, - and _")
    return value


Name = Annotated[str, AfterValidator(_a_name)]


class Guard(Table):
    """Who this is. No two guards of a group have one name. group: whose gates a bot elsewhere asks together."""

    name: Name = "main"
    group: Name = "main"
