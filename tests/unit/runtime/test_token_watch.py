"""A bot whose token is revoked is told of, once, and only where that is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore
from risk_daemon.engine.decision import Decision
from risk_daemon.model.events import Input, Tick, TokenRevoked
from risk_daemon.runtime.token_watch import TokenWatch
from tests.core_world import World


class Watched:
    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self.tokens = TokenStore.open(self.path)
        self.told: list[Input] = []
        self.watch = TokenWatch(self.tokens, self.told.append)
        self.world = World()

    def tick(self, event: Any = None) -> Decision:
        decision = self.world.send(event or Tick())
        self.watch.heard(decision)
        return decision


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_bot_that_lost_its_token_is_told_of_once(watched: Watched) -> None:
    watched.tokens.create(Role.BOT, "grid")
    watched.tokens.create(Role.OPERATOR, "anna")
    watched.tick()
    watched.tokens.revoke("grid")
    watched.tokens.revoke("anna")
    watched.tick()
    watched.tick()
    assert watched.told == [TokenRevoked("grid")]


def test_a_new_token_under_the_old_name_is_another_bot(watched: Watched) -> None:
    watched.tokens.create(Role.BOT, "grid")
    watched.tick()
    watched.tokens.revoke("grid")
    watched.world.clock.advance(5.0)
    watched.tokens.create(Role.BOT, "grid")
    watched.tick()
    assert watched.told == [TokenRevoked("grid")]


def test_a_file_that_can_t_be_read_tells_nothing(watched: Watched) -> None:
    watched.tokens.create(Role.BOT, "grid")
    watched.tick()
    good = watched.path.read_bytes()
    watched.path.write_text("{")
    watched.tick()
    assert watched.told == []
    watched.path.write_bytes(good)
    watched.tick()
    assert watched.told == []


def test_only_time_makes_it_look(watched: Watched) -> None:
    watched.tokens.create(Role.BOT, "grid")
    watched.tick()
    watched.tokens.revoke("grid")
    watched.tick(TokenRevoked("other"))
    assert watched.told == []
