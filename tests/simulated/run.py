"""Run scenarios from seeds: `python -m tests.simulated.run --seeds 2000`, or `--seed 17 -v` for one."""

from __future__ import annotations

import argparse
import gc
import shutil
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from risk_daemon.errors import ExitCode
from risk_daemon.state.event_log import read_log
from tests.simulated.checker import Checker
from tests.simulated.generate import generate
from tests.simulated.life import End, Life
from tests.simulated.scenario import Scenario
from tests.simulated.world import World

_RESTART_S = {ExitCode.TRIGGERED_UNPROVEN: 2.0, ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START: 2.0, ExitCode.STOPPED: 4.0}
_MOST_LIVES = 60


@dataclass(slots=True)
class Outcome:
    """What came of one scenario. ends: how each life ended; 9 stands for killed. digest: of all decisions."""

    seed: int
    violations: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    trips: int = 0
    decisions: int = 0
    digest: int = 0
    virtual_s: float = 0.0
    log: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)


class Run:
    """One scenario, from the first start to the end that was wanted."""

    def __init__(self, scenario: Scenario, directory: Path, *, traced: bool = False) -> None:
        self.trace: list[str] | None = [] if traced else None
        self.scenario = scenario
        self.world = World(scenario)
        self.checker = self.world.checker = Checker(self.world)
        self.outcome = Outcome(scenario.seed)
        self.log_path = directory / f"events-{scenario.seed}.jsonl"

    def play(self) -> Outcome:
        """Start it, restart it as systemd would, until exit 1, an open gate in peace, or a violation."""
        while not self.checker.violations and not self.checker.is_satisfied:
            life, end = self._live()
            if end.code == ExitCode.TRIGGERED_AND_PROVEN:
                self._after_exit_1(life)
                break
            if len(self.outcome.ends) > _MOST_LIVES:
                self.checker.fail(f"{_MOST_LIVES} lives and no end")
            if not self.checker.is_satisfied:
                self._wait(end)
        return self._close()

    def _live(self) -> tuple[Life, End]:
        life = Life(self.world, len(self.outcome.ends) + 1, self.log_path)
        life.trace = self.trace
        end = life.run()
        self.outcome.ends.append(9 if end.code is None else end.code)
        self.outcome.decisions += life.decisions
        self.outcome.digest = (self.outcome.digest * 31 + life.digest) % 2**32
        self.checker.ended(life, end, self.log_path)
        if end.kill is not None:
            self._tear_log()
        return life, end

    def _wait(self, end: End) -> None:
        world = self.world
        if end.kill is not None:
            down_s = end.kill.down_s
            if end.kill.reboot:
                world.timeline.reboot()
        else:
            down_s = _RESTART_S.get(ExitCode(end.code), 2.0) if end.code is not None else 0.0
        world.idle_until(world.elapsed_s + down_s)

    def _tear_log(self) -> None:
        """Whoever is killed while writing leaves half a line."""
        if self.world.rng.random() < 0.3:
            with self.log_path.open("ab") as file:
                file.write(b'{"seq":')

    def _after_exit_1(self, before: Life) -> None:
        """Started again it must end at once, and cancel nothing that a person placed since."""
        if self.checker.violations:
            return
        venue = next(iter(self.world.venues.values()))
        self.world.heal()
        self.world.idle_until(self.world.elapsed_s + 3.0)
        order = venue.place("plain", "person")
        life, end = self._live()
        if end.code != ExitCode.TRIGGERED_AND_PROVEN:
            self.checker.fail(f"started again after exit 1 it ended with {end.code}")
        if order.order_id not in venue.exchange.orders or life.tripped_mono is not None:
            self.checker.fail("started again after exit 1 it cancelled what a person placed since")

    def _close(self) -> Outcome:
        outcome = self.outcome
        outcome.violations = self.checker.violations
        outcome.trips = self.checker.trips
        outcome.virtual_s = self.world.elapsed_s
        if self.trace is not None and self.log_path.exists():
            outcome.log = [f"{line.time} {line.event} {line.fields}" for line in read_log(self.log_path)]
            outcome.trace = self.trace
        self.world.store.connection.close()
        for path in self.log_path.parent.glob(self.log_path.name + "*"):
            path.unlink()
        return outcome


def play(scenario: Scenario, *, traced: bool = False) -> Outcome:
    """Run one scenario in a directory of its own, in memory where there is such a place."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="risk-daemon-sim-", dir=memory if memory.is_dir() else None))
    try:
        return Run(scenario, directory, traced=traced).play()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def quiet() -> None:
    """The product's own log lines about faults would drown everything here."""
    structlog.configure(processors=[_drop])
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")  # it died before it began


def _drop(_logger: object, _method: str, _event: structlog.typing.EventDict) -> structlog.typing.ProcessorReturnValue:
    raise structlog.DropEvent


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _play_seeds(seeds: range) -> list[Outcome]:
    quiet()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return [play(generate(seed)) for seed in seeds]


def _chunks(first: int, count: int, size: int = 25) -> list[range]:
    return [range(at, min(at + size, first + count)) for at in range(first, first + count, size)]


def _show_one(seed: int, verbose: int) -> int:
    quiet()
    scenario = generate(seed)
    outcome = play(scenario, traced=verbose > 0)
    if verbose:
        _say("\n".join(outcome.trace if verbose > 1 else outcome.log))
        _say(scenario.describe())
    _say(f"ends {outcome.ends}, {outcome.decisions} decisions, digest {outcome.digest:08x}, {outcome.virtual_s:.1f} s")
    for violation in outcome.violations:
        _say(f"VIOLATION {violation}")
    return 1 if outcome.violations else 0


def _show_many(first: int, count: int, jobs: int) -> int:
    started, done, failed, ends = time.perf_counter(), 0, 0, {}
    with ProcessPoolExecutor(jobs) as pool:
        for outcomes in pool.map(_play_seeds, _chunks(first, count)):
            for outcome in outcomes:
                done += 1
                last = outcome.ends[-1]
                ends[last] = ends.get(last, 0) + 1
                if outcome.violations:
                    failed += 1
                    _say(f"seed {outcome.seed}: {outcome.violations[0]}")
                    _say(f"  again: python -m tests.simulated.run --seed {outcome.seed} -v")
            if done % 250 < len(outcomes):
                _say(f"{done} seeds, {failed} with violations")
    took_s = time.perf_counter() - started
    _say(f"{done} seeds in {took_s:.1f} s ({done / took_s:.0f} a second), last ends {ends}, {failed} with violations")
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 if any seed shows a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="with --seed: the event log and the scenario; -vv: every input",
    )
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _show_one(options.seed, options.verbose)
    return _show_many(options.first, options.seeds, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
