"""Streams that repeat the past or lag, and REST that is frozen: the daemon, against the venue as documented."""

from __future__ import annotations

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}

# REST is read every 3 s, and a second read confirms; a stream that lags would need 30 s.
TOLD_S = 20.0
LOSSES = {
    "ticker": {"price": {"BTC": 40_000}},
    "balances": {"balance": {"USDT": 5_000}, "ledger": True, "stream": True},
}
KIND_OF = {"ticker": "prices", "balances": "balances"}


@pytest.fixture
def daemon(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    documented_kraken.post(order={"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30_000})
    daemon.start()
    daemon.wait_open()
    wait_for(lambda: documented_kraken.get()["calls"].get("ws:ticker"), "the price stream")
    documented_kraken.post(delay_s=0.2)  # the stream speaks while REST is asked
    return daemon


def ends(daemon, documented_kraken):
    """Exit 1, and no order is left."""
    assert daemon.exit_code() == 1, daemon.output()
    assert documented_kraken.get()["open"] == {}


@pytest.mark.parametrize("channel", ["ticker", "balances"])
def test_a_stream_that_repeats_the_past_hides_no_loss(documented_kraken, daemon, channel):
    documented_kraken.post(streams={channel: "repeat"})
    documented_kraken.post(**LOSSES[channel])
    daemon.wait_for("circuit_breaker_triggered", within_s=TOLD_S)
    contradicted = daemon.of("stream_contradicted")[0]
    assert (contradicted["venue"], contradicted["kind"]) == ("kraken", KIND_OF[channel])
    ends(daemon, documented_kraken)


@pytest.mark.parametrize("channel", ["ticker", "balances"])
def test_a_lag_of_30_s_hides_no_loss(documented_kraken, daemon, channel):
    documented_kraken.post(streams={"ticker": "lag 30", "balances": "lag 30"})
    documented_kraken.post(**LOSSES[channel])
    daemon.wait_for("circuit_breaker_triggered", within_s=TOLD_S)
    ends(daemon, documented_kraken)


@pytest.mark.parametrize("channel", ["ticker", "balances"])
def test_the_truth_is_heard_against_a_frozen_rest(documented_kraken, daemon, channel):
    documented_kraken.post(streams={channel: "insist"}, frozen=[KIND_OF[channel]])
    calls, name = documented_kraken.get()["calls"], {"ticker": "Ticker", "balances": "BalanceEx"}[channel]
    wait_for(lambda: documented_kraken.get()["calls"][name] > calls[name] + 1, "reads that agree")
    documented_kraken.post(**LOSSES[channel])
    daemon.wait_for("circuit_breaker_triggered", within_s=TOLD_S)
    assert daemon.of("stream_contradicted") == []
    ends(daemon, documented_kraken)


def test_a_stream_that_was_wrong_is_believed_again(documented_kraken, daemon):
    """A loss below the limit: REST's word counts, once; then the stream tells the truth, and the next loss at once."""
    documented_kraken.post(streams={"balances": "repeat"})
    documented_kraken.post(balance={"USDT": 5_700})
    daemon.wait_for("stream_contradicted")
    wait_for(lambda: daemon.of("portfolio_update")[-1]["equity"] == "9700", "the equity that REST tells")
    documented_kraken.post(streams={"balances": "insist"})
    wait_for(lambda: daemon.of("portfolio_update")[-1]["trusted"], "an equity without a question")
    documented_kraken.post(balance={"USDT": 5_000})
    ends(daemon, documented_kraken)
    assert len(daemon.of("stream_contradicted")) == 1
