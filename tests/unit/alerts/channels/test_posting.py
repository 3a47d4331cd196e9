"""What an answer asks for, and whose certificates are believed. Posting itself: test_webhook.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.alerts.channels.posting import retry_after_s, trusting
from risk_daemon.errors import ConfigError

WALL = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("\u0661", None),
        ("", None),
    ],
)
def test_when_to_come_again(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, WALL) == seconds


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"authority\.pem"):
        trusting(str(path))
