"""Who operates the daemon."""

from __future__ import annotations

from risk_daemon.auth.operators import operator_name


def test_a_user_has_a_name_where_there_is_one() -> None:
    assert operator_name(0) == "uid:0 (root)"
    assert operator_name(4_000_000) == "uid:4000000"
