"""What is written is what Prometheus reads, in each of its formats, and nobody waits for it."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from risk_daemon.metrics.exposition import number_of, written
from risk_daemon.metrics.table import FAMILIES
from tests.metrics_world import guarded, reading_of, samples_of, troubled

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"


async def test_text_is_read_back_by_prometheus_clients_own_parser() -> None:
    scrape = await written(troubled())
    families = {family.name: family for family in plain(scrape.body.decode())}
    assert scrape.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert scrape.encoding is None
    assert families["risk_daemon_equity"].type == "gauge"
    assert families["risk_daemon_gate_checks"].type == "counter"
    assert families["risk_daemon_decision_seconds"].type == "histogram"
    assert "process_resident_memory_bytes" in families


async def test_openmetrics_is_given_to_whoever_asks_for_it_and_ends_once() -> None:
    scrape = await written(troubled(), accept=OPENMETRICS)
    assert scrape.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert scrape.body.count(b"# EOF\n") == 1
    families = {family.name for family in openmetrics(scrape.body.decode())}
    assert {"risk_daemon_equity", "risk_daemon_build", "risk_daemon_alert_failures"} <= families


async def test_gzip_where_it_is_accepted() -> None:
    scrape = await written(troubled(), accept_encoding="gzip, deflate")
    assert scrape.encoding == "gzip"
    assert gzip.decompress(scrape.body).startswith(b"# HELP risk_daemon_equity ")


async def test_a_quiet_guard_has_the_name_and_help_of_every_metric() -> None:
    text = (await written(reading_of(guarded()))).body.decode()
    assert [line for family in FAMILIES for line in [f"# HELP {family.exported} "] if line not in text] == []


async def test_what_bots_are_called_does_not_end_a_line() -> None:
    reading = troubled()
    odd = dict(reading.channels) | {'night "desk"\nup 1': reading.channels["oncall"]}
    told = samples_of((await written(type(reading)(**{**_fields(reading), "channels": odd}))).body.decode())
    assert ("up", frozenset()) not in told


def _fields(reading: object) -> dict[str, object]:
    return {name: getattr(reading, name) for name in reading.__dataclass_fields__}  # type: ignore[attr-defined]


async def test_everybody_has_a_turn_between_two_families() -> None:
    turns = 0

    async def another() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(another())
    await written(troubled())
    other.cancel()
    assert turns >= len(FAMILIES)


@pytest.mark.parametrize(
    ("told", "number"),
    [(None, None), (float("nan"), None), (float("inf"), None), ("NaN", None), ("12.5", 12.5), (True, 1.0), (0, 0.0)],
)
def test_what_is_no_number_is_no_sample(told: object, number: float | None) -> None:
    assert number_of(told) == number
