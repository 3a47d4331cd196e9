"""Seeds: clean on the product as it is, and each planted bug is found by some of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.simulated.generate import generate
from tests.simulated.planted import PLANTS, Plant
from tests.simulated.run import play, quiet

CLEAN_SEEDS = range(1, 121)
FIND_WITHIN = 120


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("first", range(CLEAN_SEEDS.start, CLEAN_SEEDS.stop, 20))
def test_seeds_are_clean(first: int) -> None:
    """Nothing forbidden happens, and what must happen does."""
    found = {seed: play(generate(seed)).violations for seed in range(first, first + 20)}

    assert {seed: violations for seed, violations in found.items() if violations} == {}


def test_seeds_tell_different_stories() -> None:
    """Among a few seeds there are trips, kills, exits 4 and 0, and days without any of these."""
    outcomes = [play(generate(seed)) for seed in range(1, 41)]

    assert {0, 1, 4, 9} <= {code for outcome in outcomes for code in outcome.ends}
    assert {outcome.trips > 0 for outcome in outcomes} == {True, False}
    assert len({outcome.digest for outcome in outcomes}) == len(outcomes)


@pytest.mark.long
@pytest.mark.parametrize("plant", [pytest.param(plant, id=name) for name, plant in PLANTS.items()])
def test_planted_bug_is_found(plant: Plant) -> None:
    """With the bug some seed shows a violation; without it the same seed is clean."""
    for seed in range(1, FIND_WITHIN + 1):
        scenario = generate(seed)
        with plant():
            outcome = play(scenario)
        if outcome.violations:
            assert play(scenario).violations == []
            return

    pytest.fail(f"not found by seeds 1 to {FIND_WITHIN}")


def test_same_seed_same_decisions() -> None:
    """In this process, and in another one whose hashes differ."""
    seeds = (2, 5, 9, 28)
    here = [play(generate(seed)).digest for seed in seeds]
    code = f"from tests.simulated.run import *; quiet(); print([play(generate(s)).digest for s in {seeds}])"
    root = Path(__file__).parents[2]
    there = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout.strip()
        for hash_seed in ("1", "2")
    ]

    assert here == [play(generate(seed)).digest for seed in seeds]
    assert there == [str(here), str(here)]
