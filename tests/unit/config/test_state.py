"""[state] locks: the file first and always, then each Redis once. What the whole file says of it: test_load.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from risk_daemon.config.load import load
from risk_daemon.config.settings import as_file
from risk_daemon.config.state import State
from tests.unit.config.files import PORTFOLIO, SIMULATED, write


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


def test_alone_a_guard_is_in_no_place_that_others_see(tmp_path: Path) -> None:
    shared = """
[guard]
name = "a"
peers = ["b"]
[broadcast.kafka]
bootstrap = "127.0.0.1:9092"
[state]
keep_logs = "2d"
store = "postgresql://guard@127.0.0.1/risk"
locks = ["file", "redis://127.0.0.1:6379/0"]
"""
    alone = load(write(tmp_path, PORTFOLIO, SIMULATED, shared)).alone(tmp_path / "drill")
    assert (alone.guard.peers, alone.broadcast.kafka) == ((), None)
    assert (alone.state.server, alone.state.redis_locks) == (None, ())
    assert (alone.state.dir, alone.state.keep_logs) == (tmp_path / "drill", 2 * 86_400.0)
