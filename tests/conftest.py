"""For all tests: tracing lines makes virtual hours take minutes, so the long ones run without it."""

from __future__ import annotations

import pytest

# Their lines are covered by shorter tests as well; the processes that end-to-end tests start are not traced.
NOT_TRACED = ("tests/e2e/", "tests/property/", "tests/simulated/", "tests/unit/test_engine_freeze.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(NOT_TRACED):
            item.add_marker(pytest.mark.no_cover)
