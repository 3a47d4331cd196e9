"""The table written out as Prometheus reads it, text or OpenMetrics, by prometheus-client.

A family at a time, with a turn for everybody else between two: a scrape keeps no order, no frame and no trip waiting.
"""

from __future__ import annotations

import asyncio
import gzip
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from risk_daemon.metrics.counters import Buckets
from risk_daemon.metrics.reading import Reading
from risk_daemon.metrics.table import FAMILIES, PREFIX, Family, Kind

_END = b"# EOF\n"  # OpenMetrics ends with it, once
_FAST = 1  # gzip's level: a scrape is read once, on the same machine or the next


@dataclass(frozen=True, slots=True)
class Scrape:
    """A scrape, written out. encoding: None for none."""

    body: bytes
    content_type: str
    encoding: str | None


@dataclass(frozen=True, slots=True)
class _One(Collector):
    """A collector of some families that are ready."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


async def written(reading: Reading, *, accept: str = "", accept_encoding: str = "") -> Scrape:
    """In the form that the headers `Accept` and `Accept-Encoding` ask for."""
    encode, content_type = choose_encoder(accept)
    pieces = []
    for family in FAMILIES:
        pieces.append(encode(_One([metric_of(family, reading)])).removesuffix(_END))
        await asyncio.sleep(0)
    last = encode(_One(ProcessCollector(registry=None).collect()))  # memory, processor, open files
    body = b"".join((*pieces, last))
    if gzip_accepted(accept_encoding):
        return Scrape(gzip.compress(body, _FAST), content_type, "gzip")
    return Scrape(body, content_type, None)


def metric_of(family: Family, reading: Reading) -> Metric:
    """One family with its samples. What is not known has none."""
    name, rows = PREFIX + family.name, family.read(reading)
    match family.kind:
        case Kind.COUNTER:
            return _with_samples(CounterMetricFamily(name, family.help, labels=family.labels), rows)
        case Kind.GAUGE:
            return _with_samples(GaugeMetricFamily(name, family.help, labels=family.labels), rows)
        case Kind.INFO:
            info = InfoMetricFamily(name, family.help, labels=())
            for labels, _ in rows:
                info.add_metric([], dict(zip(family.labels, labels, strict=True)))
            return info
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, family.help)
            for _, buckets in rows:
                histogram.add_metric([], _bounds(buckets), buckets.sum_s)
            return histogram


def _with_samples(metric: CounterMetricFamily | GaugeMetricFamily, rows: Iterable[tuple[Sequence[str], Any]]) -> Metric:
    for labels, value in rows:
        number = number_of(value)
        if number is not None:
            metric.add_metric(list(labels), number)
    return metric


def number_of(value: Any) -> float | None:
    """A sample's value; None for what is not known, or is no number that could be compared with another."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _bounds(buckets: Buckets) -> list[tuple[str, float]]:
    return [("+Inf" if math.isinf(bound) else str(bound), count) for bound, count in buckets.reached.items()]
