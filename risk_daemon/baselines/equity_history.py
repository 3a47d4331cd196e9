"""Equity over time: a sample a minute, and the returns between them without what flowed in or out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from risk_daemon.model.clock import Instant
from risk_daemon.model.units import ONE, finite, plain
from risk_daemon.portfolio.manager import Equity

SAMPLE_EVERY_S = 60.0
KEEP_S = 30 * 86400.0
KEEP = int(KEEP_S / SAMPLE_EVERY_S)


@dataclass(frozen=True, slots=True)
class Sample:
    """Equity at one moment (Unix seconds). flow_factor: what flows multiplied it by since the sample before."""

    wall: float
    equity: Equity
    flow_factor: Decimal = ONE

    def document(self) -> dict[str, Any]:
        """As a JSON object: amounts are decimal strings."""
        equity = {"equity": plain(self.equity.value), "low": plain(self.equity.low), "high": plain(self.equity.high)}
        return {"time": self.wall, **equity, "flow_factor": plain(self.flow_factor)}

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Sample:
        """Raises KeyError or ValueError for what is none."""
        equity = Equity(finite(data["equity"]), finite(data["low"]), finite(data["high"]))
        return cls(float(data["time"]), equity, finite(data["flow_factor"]))


class EquityHistory:
    """The samples of `KEEP_S` seconds, oldest first.

    So many of a minute each, whatever their age: no clock makes history old. What lies ahead of the clock is put aside
    until it does not, for it may be the clock that is wrong. Where there are too many, those farthest from now go.
    """

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()
        self._ahead: deque[Sample] = deque()  # later than all of these
        self._looked_wall = -math.inf
        self._flow_factor = ONE
        self._minute: float | None = None

    @property
    def samples(self) -> Sequence[Sample]:
        return self._samples

    @property
    def last(self) -> Sample | None:
        """The newest sample."""
        return self._samples[-1] if self._samples else None

    def rescale(self, before: Decimal, after: Decimal) -> None:
        """A flow took the equity from `before` to `after`."""
        if before > 0 and after > 0:
            self._flow_factor *= after / before

    def observe(self, equity: Equity, now: Instant) -> Sample | None:
        """Take a sample if one is due: the first of each minute. Returns it."""
        minute = now.wall // SAMPLE_EVERY_S
        if minute == self._minute:
            return None
        self._put_aside(now.wall)
        if self._samples and minute <= self._samples[-1].wall // SAMPLE_EVERY_S:
            return None
        self._minute = minute
        sample = Sample(now.wall, equity, self._flow_factor)
        self._flow_factor = ONE
        self._samples.append(sample)
        if len(self._samples) + len(self._ahead) > KEEP:
            self._forget_farthest(now.wall)
        return sample

    def _put_aside(self, wall: float) -> None:
        """Samples from ahead of the clock would keep new ones from being taken.

        Where the clock comes to them step by step, new ones take their place; where it jumps past them, it is right
        again, and so are they.
        """
        while self._samples and self._samples[-1].wall > wall + SAMPLE_EVERY_S:
            self._ahead.appendleft(self._samples.pop())
        is_jump = wall - self._looked_wall > 2 * SAMPLE_EVERY_S
        while self._ahead and self._ahead[0].wall <= wall + SAMPLE_EVERY_S:
            sample = self._ahead.popleft()
            if is_jump:
                self._samples.append(sample)
        self._looked_wall = wall

    def _forget_farthest(self, wall: float) -> None:
        if self._ahead and self._ahead[-1].wall - wall > wall - self._samples[0].wall:
            self._ahead.pop()
        else:
            self._samples.popleft()

    def log_returns(self, window_s: float, now: Instant) -> list[float]:
        """ln(equity / equity before), net of flows, between the samples of the last `window_s` seconds.

        Only samples a minute apart make a return: a gap is no information, and nothing at or below zero has one.
        """
        recent: list[Sample] = []
        for sample in reversed(self._samples):
            if sample.wall < now.wall - window_s:
                break
            recent.append(sample)
        recent.reverse()
        return [change for older, newer in pairwise(recent) if (change := _log_return(older, newer)) is not None]

    def restore(self, samples: Iterable[Mapping[str, Any]]) -> None:
        """Take back what was persisted, oldest first. A sample that can't be read is a gap."""
        self._samples.clear()
        self._ahead.clear()
        self._minute = None
        for document in samples:
            with suppress(KeyError, ValueError, TypeError):
                self._samples.append(Sample.from_document(document))


def _log_return(older: Sample, newer: Sample) -> float | None:
    before, after = older.equity.value * newer.flow_factor, newer.equity.value
    if newer.wall - older.wall > 2 * SAMPLE_EVERY_S or before <= 0 or after <= 0:
        return None
    return math.log(after / before)
