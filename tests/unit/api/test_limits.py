"""A token bucket: a burst, then the rate, and a bounded memory."""

from __future__ import annotations

import pytest

from risk_daemon.api.limits import Limits, Rate, RateLimit


def test_a_burst_then_the_rate() -> None:
    limit = RateLimit(Rate(2.0, 4))

    assert [limit.wait_s("a", 100.0) for _ in range(5)] == [0, 0, 0, 0, pytest.approx(0.5)]
    assert limit.wait_s("a", 100.4) == pytest.approx(0.1)
    assert [limit.wait_s("a", 100.5), limit.wait_s("a", 100.5)] == [0, pytest.approx(0.5)]


def test_what_was_refused_does_not_count() -> None:
    limit = RateLimit(Rate(1.0, 1))
    limit.wait_s("a", 0.0)
    for _ in range(100):
        assert limit.wait_s("a", 0.5) > 0

    assert limit.wait_s("a", 1.0) == 0


def test_the_rate_holds_in_the_long_run() -> None:
    limit = RateLimit(Rate(10.0, 5))
    passed = sum(limit.wait_s("a", step / 100) == 0 for step in range(10_000))

    assert passed == pytest.approx(100 * 10 + 5, abs=2)


def test_keys_don_t_share() -> None:
    limit = RateLimit(Rate(1.0, 1))

    assert [limit.wait_s("a", 0.0), limit.wait_s("b", 0.0)] == [0, 0]


def test_a_flood_of_keys_is_refused_and_forgotten() -> None:
    limit = RateLimit(Rate(1.0, 5), keys=3)

    assert [limit.wait_s(key, 0.0) for key in "abcd"] == [0, 0, 0, 1.0]
    assert limit.wait_s("a", 0.0) == 0  # who is known already goes on
    assert limit.wait_s("d", 10.0) == 0


def test_each_rate_has_its_limit() -> None:
    rates = Limits().rate_limits()

    assert set(rates) == {
        "checks",
        "reports",
        "reads",
        "commands",
        "pages",
        "page_strangers",
        "anybody",
        "failed_logins",
    }
    assert rates["checks"].rate.per_s >= 5_000
