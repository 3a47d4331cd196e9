"""The daemon behind the API."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.base import Instrument
from risk_daemon.daemon_control import DaemonControl


def control(listed: Instrument | None, *, locked: bool, connected: bool) -> DaemonControl:
    engine = SimpleNamespace(gate=SimpleNamespace(locked=locked), connected={"perp": connected})
    unused = SimpleNamespace()
    daemon: Any = SimpleNamespace(
        parts=SimpleNamespace(engine=engine), is_ready=unused, is_alive=unused, command=unused
    )
    site: Any = SimpleNamespace(adapters={"perp": SimpleNamespace(instrument=lambda _symbol: listed)})
    settings: Any = SimpleNamespace(venues={"perp": unused})
    vetoes: Any = unused
    return DaemonControl(daemon, settings, site, vetoes)


@pytest.mark.parametrize("connected", [True, False])
def test_a_lost_venue_keeps_its_contract_sizes(connected: bool) -> None:
    found = control(Instrument(Decimal(100), inverse=True), locked=False, connected=connected).instrument("perp", "X")
    assert found is not None
    assert (found.contract_size, found.inverse) == (Decimal(100), True)


@pytest.mark.parametrize("connected", [True, False])
def test_a_symbol_that_is_not_listed_is_known_only_to_a_shut_gate(connected: bool) -> None:
    assert control(None, locked=False, connected=connected).instrument("perp", "X") is None
    assert control(None, locked=True, connected=connected).instrument("perp", "X") is not None
