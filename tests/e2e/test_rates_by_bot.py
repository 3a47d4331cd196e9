"""One bot's token can't stop the others, unless that is configured: through the real HTTP face and the commands."""

from __future__ import annotations

import pytest

from risk_daemon.client import DaemonGate, TradingGate
from tests.e2e.harness import wait_for
from tests.e2e.test_gate import started, token, url

pytestmark = pytest.mark.long

ORDER = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.001", "price": "49000"}


def gates(daemon, *names):
    return [DaemonGate(url(daemon), token(daemon, name=name)) for name in names]


def report_rejections(gate: DaemonGate, count: int = 12) -> None:
    for _ in range(count):
        assert gate.report_rejected(venue="kraken", detail="no")


def why(gate: DaemonGate) -> str | None:
    answer = gate.check(**ORDER)
    return None if answer.allowed else answer.veto_reason


def test_rejections_of_one_bot_stop_that_bot_and_no_other_by_default(documented_kraken, daemon_for):
    daemon = started(documented_kraken, daemon_for, "[breakers.error_rate]\n[breakers.order_rate]\nmax_orders = 30\n")
    evil, good = gates(daemon, "evil", "good")
    report_rejections(evil)
    wait_for(lambda: why(evil) == "error_rate", "the veto of the bot that fails")
    assert why(good) is None
    assert TradingGate(daemon.state).is_open()
    tripped = daemon.wait_for("breaker_tripped")
    assert tripped["observed"]["held"] == [{"bot": "evil", "venue": None, "count": 11}]
    told = daemon.command("status").stdout
    assert "new orders are allowed, but not those of evil" in told
    assert "error_rate" in told
    for _ in range(60):
        evil.report_sent(venue="kraken", symbol="BTC/USDT", side="buy")
    daemon.wait_for("breaker_tripped", count=2)
    assert why(good) is None, "nor do its orders"


def test_where_all_are_counted_together_a_halt_or_a_revoked_token_ends_what_a_bot_does_to_others(
    documented_kraken, daemon_for
):
    daemon = started(documented_kraken, daemon_for, '[breakers.error_rate]\nscope = "all"\nwindow = "1h"\n')
    evil, other, good = gates(daemon, "evil", "other", "good")
    report_rejections(evil)
    wait_for(lambda: why(good) == "error_rate", "the veto of everybody, as it was configured")
    assert "the errors age out" in daemon.command("status").stdout
    halted = daemon.command("halt", "--bot", "evil", "--reason", "it floods")
    assert halted.returncode == 0, halted.stderr
    wait_for(lambda: why(good) is None, "the others go on")
    assert why(evil) == "manual_halt"
    report_rejections(evil, 5)
    report_rejections(other)
    wait_for(lambda: why(good) == "error_rate", "another bot's errors")
    revoked = daemon.command("token", "revoke", "other")
    assert revoked.returncode == 0, revoked.stderr
    wait_for(lambda: why(good) is None, "what a revoked token told is forgotten")
