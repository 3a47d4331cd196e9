"""[state] locks: the file first and always, then each Redis once. What the whole file says of it: test_load.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from risk_daemon.config.settings import as_file
from risk_daemon.config.state import State


def state(**keys: object) -> State:
    return State.model_validate(keys, context=as_file(Path("/nowhere/config.toml")))


def test_the_file_alone_is_the_default() -> None:
    assert state().locks == ("file",)
    assert state().redis_locks == ()


def test_several_stores() -> None:
    found = state(locks=["file", "redis://a", "redis://a/1", "rediss://b:7"]).redis_locks
    assert [str(one) for one in found] == ["redis://a:6379/0", "redis://a:6379/1", "rediss://b:7/0"]
    assert [one.is_in_the_clear for one in found] == [True, True, False]


@pytest.mark.parametrize(
    "locks",
    [[], ["redis://a"], ["redis://a", "file"], ["file", "file"], ["file", "redis://a", "redis://A"], "file", None,
     ["file", None], ["file", ["redis://a"]], {"file": 1}, ["File"], ["file", ""], ["file", "redis://:pw@a"]],
)  # fmt: skip
def test_what_is_no_list_of_locks(locks: object) -> None:
    with pytest.raises(ValidationError):
        state(locks=locks)
