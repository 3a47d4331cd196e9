"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Only who asks for a server starts one.
pytest_plugins = ("tests.postgres",)

# One commit, one answer: the properties try the same cases each time. `make explore` tries others.
# How long an example takes to draw is the machine's affair.
settings.register_profile("same", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that was run in the test's own process sets up logging for a stream that is gone afterwards."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
