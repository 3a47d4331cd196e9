"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that was run in the test's own process sets up logging for a stream that is gone afterwards."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
