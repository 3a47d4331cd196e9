"""Which addresses are this machine's."""

from __future__ import annotations

import pytest

from risk_daemon.model.addresses import check_loopback


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9001", "http://127.8.9.1:1/", "http://localhost:9001/x", "http://[::1]:9001"]
)
def test_this_machine_s_endpoints_are_accepted(endpoint: str) -> None:
    check_loopback(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["", "127.0.0.1:9001", "ws://127.0.0.1", "http://[::1", "http://0.0.0.0:1", "http://2130706433:1",
     "http://127.0.0.1:0", "http://127.0.0.1:99999", "http://127.0.0.1@example.com", "http://127.0.0.1?x"],
)  # fmt: skip
def test_other_endpoints_are_not(endpoint: str) -> None:
    with pytest.raises(ValueError):
        check_loopback(endpoint)
