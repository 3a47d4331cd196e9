"""A bot that places small orders far below the market, and stops when the gate says no.

On simulated money, in a checkout (`export PATH=$PWD/.venv/bin:$PATH`), three terminals:

    risk-daemon simulate-venue kraken --port 9001              # 1: prints two `export` lines, for the other two

    risk-daemon init --yes --config examples/bot.toml          # 2, once
    risk-daemon run --config examples/bot.toml                 # the gate opens after some ten seconds

    (umask 077; risk-daemon token create --role bot --name demo --config examples/bot.toml | tail -1 > bot.token)   # 3
    python examples/ccxt_bot.py --endpoint http://127.0.0.1:9001 \\
        --state-dir examples/var/bot --url http://127.0.0.1:8787 --token-file bot.token

Then `risk-daemon halt --reason "trying it out" --config examples/bot.toml`: the bot's next order is vetoed, and the
guard ends with code 1. What else can be done to the simulated exchange (prices, balances, faults) stands at the top of
adapters/simulated/admin.py.

Without --url only the memory map is asked, without --state-dir only
HTTP. Without --endpoint it trades on the exchange itself, with BOT_API_KEY and BOT_SECRET from the environment.

Ends with 0 when all orders were placed, 3 on a veto.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import ccxt

from adapters.endpoint import rewrite_all
from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.client import DaemonGate, OrderGate, TradingGate
from risk_daemon.guarded_exchange import OrderVetoed, guard

VETOED = 3


def main() -> int:
    arguments = parse()
    exchange = guard(connect(arguments), gate_of(arguments), venue=arguments.venue)
    exchange.load_markets()
    price = float(exchange.fetch_ticker(arguments.symbol)["last"]) * 0.9
    for number in range(1, arguments.orders + 1):
        try:
            order = exchange.create_limit_buy_order(arguments.symbol, arguments.amount, price)
            print(f"order {number}: {order['id']}", flush=True)
        except OrderVetoed as veto:
            print(f"stopped before order {number}: {sentence(veto)}", flush=True)
            return VETOED
        except ccxt.NetworkError as error:  # not heard of again is not refused: look before you send it again
            print(f"order {number}: unknown, {type(error).__name__}", flush=True)
        time.sleep(arguments.every)
    return 0


def sentence(veto: OrderVetoed) -> str:
    """Why, and until when."""
    answer = veto.answer
    until = f", locked until {answer.locked_until}" if answer.locked_until else ""
    return f"{answer.veto_reason}{until} ({answer.detail})"


def gate_of(arguments: argparse.Namespace) -> OrderGate:
    token = arguments.token_file.read_text().strip() if arguments.token_file else None
    if arguments.state_dir:
        return TradingGate(arguments.state_dir, arguments.url, token)
    return DaemonGate(arguments.url, token)


def connect(arguments: argparse.Namespace) -> Any:
    """The exchange, or a simulated one at --endpoint."""
    key = os.environ.get("BOT_API_KEY", API_KEY if arguments.endpoint else "")
    secret = os.environ.get("BOT_SECRET", API_SECRET if arguments.endpoint else "")
    limited = arguments.endpoint is None  # nobody minds how often a simulated venue is asked
    exchange = getattr(ccxt, arguments.exchange)({"apiKey": key, "secret": secret, "enableRateLimit": limited})
    if arguments.endpoint:
        exchange.urls["api"] = rewrite_all(exchange.urls["api"], arguments.endpoint)
    return exchange


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Places small orders until the gate says no.")
    parser.add_argument("--state-dir", type=Path, help="the daemon's state directory")
    parser.add_argument("--url", help="the daemon's address, such as http://127.0.0.1:8787")
    parser.add_argument("--token-file", type=Path, help="a file with a token of the role bot")
    parser.add_argument("--endpoint", help="a simulated venue, such as http://127.0.0.1:9001")
    parser.add_argument("--exchange", default="kraken", help="a ccxt id")
    parser.add_argument("--venue", help="the venue's name in the daemon's configuration; else the ccxt id")
    parser.add_argument("--symbol", default="BTC/USDT")
    parser.add_argument("--amount", type=float, default=0.0001)
    parser.add_argument("--orders", type=int, default=1000, help="how many")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between orders")
    arguments = parser.parse_args()
    if not (arguments.state_dir or arguments.url):
        parser.error("say where the gate is: --state-dir, --url, or both")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
