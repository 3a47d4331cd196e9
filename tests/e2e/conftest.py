"""Venues and daemons that end with the test, whatever happens in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e import harness


@pytest.fixture
def documented_kraken() -> Iterator[harness.Venue]:
    venue = harness.documented_kraken()
    yield venue
    venue.kill()


@pytest.fixture
def simulate() -> Iterator[Callable[[str], harness.Venue]]:
    venues: list[harness.Venue] = []

    def start(kind: str) -> harness.Venue:
        venues.append(harness.simulated(kind))
        return venues[-1]

    yield start
    for venue in venues:
        venue.kill()


@pytest.fixture
def daemon_for(tmp_path: Path) -> Iterator[Callable[[str, Mapping[str, tuple[str, str]]], harness.Daemon]]:
    daemons: list[harness.Daemon] = []

    def make(config: str, keys: Mapping[str, tuple[str, str]]) -> harness.Daemon:
        daemons.append(harness.Daemon(tmp_path, config, keys))
        return daemons[-1]

    yield make
    for daemon in daemons:
        daemon.close()
