"""A service that takes orders over HTTP, and answers 423 while the gate is shut. Needs fastapi and uvicorn.

The guard, its simulated venue on port 9001 and the token as at the top of ccxt_bot.py; then

    python examples/fastapi_order_service.py --port 8000 --endpoint http://127.0.0.1:9001 \\
        --state-dir examples/var/bot --url http://127.0.0.1:8787 --token-file bot.token
    curl -X POST http://127.0.0.1:8000/orders -H 'Content-Type: application/json' \\
        -d '{"symbol": "BTC/USDT", "side": "buy", "quantity": "0.0001", "price": "50000"}'

With --url every order is asked about; without it the middleware looks at the memory map only. It listens on this
machine and asks nobody for a password: put your own authentication in front before it sees a network.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import ccxt.async_support as ccxt
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

from adapters.endpoint import rewrite_all
from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.client import TradingGate
from risk_daemon.middleware.asgi import ANSWER, CircuitBreakerMiddleware, HeldRequest


class Order(BaseModel):
    symbol: str
    side: Literal["buy", "sell"]
    quantity: Decimal = Field(gt=0)
    price: Decimal = Field(gt=0)


def order_fields(request: HeldRequest) -> dict[str, Any]:
    """What the daemon is asked about."""
    order = Order.model_validate(request.json())
    return {"venue": "kraken", **order.model_dump()}


def service(gate: TradingGate, exchange: Any, *, asks_orders: bool) -> FastAPI:
    """The application. exchange: a client of ccxt.async_support."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await exchange.load_markets()  # now, and not between an order's question and the order
        yield
        await exchange.close()

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(
        CircuitBreakerMiddleware,
        gate=gate,
        guard=("POST /orders",),
        order_from=order_fields if asks_orders else None,
    )

    @app.post("/orders", status_code=201)
    async def place(order: Order, request: Request) -> dict[str, Any]:
        if not request.scope[ANSWER].is_valid():  # what came between has taken too long
            raise HTTPException(503, "the lease ran out: send the order again")
        try:
            placed = await exchange.create_order(
                order.symbol, "limit", order.side, float(order.quantity), float(order.price)
            )
        except ccxt.NetworkError as error:  # not heard of again is not refused: look before it is sent again
            await gate.areport_error("connection", venue="kraken", detail=str(error)[:200])
            raise HTTPException(504, "it is not known whether the order was placed") from error
        except ccxt.InsufficientFunds as error:
            await gate.areport_error("expected", venue="kraken", detail=str(error)[:200])
            raise HTTPException(422, "the venue refused the order: not enough funds") from error
        except ccxt.ExchangeError as error:
            await gate.areport_rejected(venue="kraken", detail=str(error)[:200])
            raise HTTPException(422, f"the venue refused the order: {type(error).__name__}") from error
        await gate.areport_sent(venue="kraken", symbol=order.symbol, side=order.side, order_id=str(placed["id"]))
        return {"id": placed["id"]}

    @app.delete("/orders")
    async def cancel_all() -> dict[str, Any]:
        await exchange.cancel_all_orders()
        return {"cancelled": "all"}

    return app


def main() -> None:
    arguments = parse()
    token = arguments.token_file.read_text().strip() if arguments.token_file else None
    exchange = ccxt.kraken({"apiKey": API_KEY, "secret": API_SECRET, "enableRateLimit": False})
    exchange.urls["api"] = rewrite_all(exchange.urls["api"], arguments.endpoint)
    gate = TradingGate(arguments.state_dir, arguments.url, token)
    app = service(gate, exchange, asks_orders=arguments.url is not None)
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="info")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Takes orders over HTTP while the gate is open.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--endpoint", required=True, help="a simulated venue, such as http://127.0.0.1:9001")
    parser.add_argument("--state-dir", type=Path, required=True, help="the daemon's state directory")
    parser.add_argument("--url", help="the daemon's address, such as http://127.0.0.1:8787")
    parser.add_argument("--token-file", type=Path, help="a file with a token of the role bot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
