"""CARD-50: what a venue answers can be taken down without giving anybody away, and plays back as it was."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from adapters import recording
from adapters.registry import build_adapter
from adapters.simulated import API_KEY, API_PASSPHRASE, API_SECRET
from adapters.simulated.playback import Playback
from adapters.venue import VenueSettings
from risk_daemon.app.check import Probe, probe
from risk_daemon.config.load import Settings
from risk_daemon.errors import UsageError
from risk_daemon.model.clock import SystemClock
from tests.cards.card import CardVenue, Table


def settings_of(kind: CardVenue) -> Settings:
    markets = tuple(market.value for market in sorted(kind.markets))
    venue = {"exchange": kind.kind, "markets": markets, "endpoint": "http://127.0.0.1:9"}
    return Settings.model_validate({"portfolio": {"initial_capital": 5000}, "venues": {kind.kind: venue}})


async def played(kind: CardVenue, endpoint: str) -> tuple[Probe, Any]:
    keys = {"api_key": "other", "secret": API_SECRET, "password": API_PASSPHRASE}
    adapter: Any = build_adapter(VenueSettings(kind.kind, kind.kind, kind.markets, endpoint, **keys), SystemClock())
    adapter._client.timeout_on_exit = 0
    try:
        return await probe(adapter, settings_of(kind)), adapter
    finally:
        await adapter.close()


async def test_card_50_a_recording_hides_the_account_and_plays_back_as_it_was(table: Table, tmp_path: Path) -> None:
    kind, file = table.venue, tmp_path / "venue.recording.gz"
    placed = {*table.plain(client_order_id="bot-secret-1"), *table.conditional()}
    table.admin("balance", asset="BTC", amount="0.12345678", wallet=kind.wallet)
    table.admin("flow", asset=kind.asset, amount="777.125", wallet=kind.wallet)
    if kind.perp is not None:
        table.admin("position", symbol=kind.perp, quantity="3", entry=str(table.mark(kind.perp)))

    tape = recording.Tape()
    keys = {"api_key": API_KEY, "secret": API_SECRET, "password": API_PASSPHRASE}
    settings = VenueSettings(kind.kind, kind.kind, kind.markets, table.server.endpoint, **keys)
    adapter: Any = build_adapter(settings, SystemClock())
    adapter._client.timeout_on_exit = 0
    adapter.record(tape)
    seen = await probe(adapter, settings_of(kind))
    await adapter.close()
    assert not seen.failures
    made = recording.Recording(exchange=kind.kind, markets=("spot",), calls=tuple(tape.calls))
    recording.write(file, made)

    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    signed = json.dumps([call for call in map(json.loads, lines) if call.get("signed")])
    for secret in (API_KEY + '"', API_SECRET, API_PASSPHRASE, "bot-secret-1", "0.12345678", "777.125", *placed):
        assert secret not in signed, f"{secret} can be read"

    back = Playback(recording.read(file))
    await back.start()
    again, _ = await played(kind, back.endpoint)
    await back.stop()
    assert not back.missing
    assert [f"{what}: {error}" for what, error in again.failures] == []
    assert {scope: len(orders) for scope, orders in again.orders.items()} == {
        scope: len(orders) for scope, orders in seen.orders.items()
    }
    assert again.balances is not None
    assert seen.balances is not None
    assert again.balances.amounts.keys() == seen.balances.amounts.keys()
    assert again.balances.amounts != seen.balances.amounts
    held = [row.symbol for row in seen.positions.positions] if seen.positions else []
    assert ([row.symbol for row in again.positions.positions] if again.positions else []) == held
    assert again.flows is not None
    assert seen.flows is not None
    assert len(again.flows.flows) == len(seen.flows.flows) >= 1


@pytest.mark.parametrize("content", [None, b"", b"no json", b"{}", b'{"risk-daemon recording": 9}'])
def test_a_file_that_is_no_recording_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "x.gz"
    file.write_bytes(b"no gzip" if content is None else gzip.compress(content))
    with pytest.raises(UsageError):
        recording.read(file)
