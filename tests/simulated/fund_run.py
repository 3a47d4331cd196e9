"""Schedules of a fund from seeds: `python -m tests.simulated.fund_run --seeds 100000`, or `--seed 17` for one."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulated.fund_planted import PLANTS
from tests.simulated.fund_world import World, play, warm

_CHUNK = 500


@dataclass(slots=True)
class Tally:
    """What came of some schedules. violations: by seed. sorts: how many had what in them."""

    violations: dict[int, str] = field(default_factory=dict)
    sorts: Counter[str] = field(default_factory=Counter)


def tally(seeds: range) -> Tally:
    warm()
    result = Tally()
    for seed in seeds:
        world = play(seed)
        result.sorts.update(sorts_of(world))
        if world.violation is not None:
            result.violations[seed] = world.violation
    return result


def sorts_of(world: World) -> set[str]:
    """What a schedule was about, so that nobody counts on schedules in which nothing happens."""
    return set(world.seen) | ({"tripped"} if world.trips else {"never tripped"})


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _show_one(seed: int, plant: str | None) -> int:
    warm()
    if plant is None:
        world = play(seed)
    else:
        with PLANTS[plant]():
            world = play(seed)
    _say("\n".join(world.story))
    for machine in world.machines.values():
        kept = "nothing" if machine.disk is None else machine.disk["row"]
        _say(f"{machine.name}, {machine.loss} lost, on disk {kept}")
    _say(f"seed {seed}: {world.violation or 'clean'}")
    return 1 if world.violation else 0


def _show_many(first: int, count: int, jobs: int) -> int:
    started, done, all_of = time.perf_counter(), 0, Tally()
    chunks = [range(at, min(at + _CHUNK, first + count)) for at in range(first, first + count, _CHUNK)]
    with ProcessPoolExecutor(jobs) as pool:
        for seeds, result in zip(chunks, pool.map(tally, chunks), strict=True):
            done += len(seeds)
            all_of.violations.update(result.violations)
            all_of.sorts.update(result.sorts)
            for seed, violation in result.violations.items():
                _say(f"seed {seed}: {violation}")
                _say(f"  again: python -m tests.simulated.fund_run --seed {seed}")
            if done % 10_000 < len(seeds):
                _say(f"{done} schedules, {len(all_of.violations)} with violations")
    took_s = time.perf_counter() - started
    _say(", ".join(f"{count} {sort}" for sort, count in sorted(all_of.sorts.items())))
    _say(f"{done} schedules in {took_s:.1f} s ({done / took_s:.0f} a second), {len(all_of.violations)} with violations")
    return 1 if all_of.violations else 0


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 if any schedule shows a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, told in full")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="with --seed: this bug is in it")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _show_one(options.seed, options.plant)
    return _show_many(options.first, options.seeds, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
