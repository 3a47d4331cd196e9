"""The table of a rule of the user's own: `class = "package.module:Class"`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Unpack

from pydantic import ConfigDict, Field, field_validator

from risk_daemon.breakers.base import BaseCircuitBreaker, Common
from risk_daemon.breakers.custom import load_rule
from risk_daemon.config.rule import ActionWord, Rule
from risk_daemon.config.wording import Premises

_CLASS = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


class OwnRule(Rule):
    """Keys that are not known here are handed to the constructor of the class."""

    model_config = ConfigDict(extra="allow")

    class_path: str = Field(alias="class")
    action: ActionWord | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """Keywords for the constructor."""
        return dict(self.model_extra or {})

    def build(self, **common: Unpack[Common]) -> BaseCircuitBreaker:
        name, action, hours = str(common["name"]), common["action"], common["active_hours"]
        return load_rule(self.class_path, name, action, self.options, active_hours=hours)

    def condition(self, premises: Premises) -> str:
        return f"your own rule {self.class_path} says so"

    def warning_levels(self) -> tuple[()]:
        """What the keyword `warnings` means, only the class knows."""
        return ()

    @field_validator("class_path")
    @classmethod
    def _names_a_class(cls, value: str) -> str:
        if not re.fullmatch(_CLASS, value):
            raise ValueError(f'{value!r} names no class: write "package.module:Class"')
        return value
