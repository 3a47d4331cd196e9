"""[guard]: names that can stand in a key of Redis."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from risk_daemon.config.guard import Guard


def test_who_says_nothing_is_main() -> None:
    assert (Guard().name, Guard().group) == ("main", "main")


@pytest.mark.parametrize("name", ["a", "guard-1", "A_b", "7", "x" * 41])
def test_names(name: str) -> None:
    assert Guard(name=name, group=name).name == name


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "-a", "_a", "é", "x" * 42, "a\n", 7, None])
def test_what_is_no_name(name: object) -> None:
    for key in ("name", "group"):
        with pytest.raises(ValidationError):
            Guard.model_validate({key: name})
