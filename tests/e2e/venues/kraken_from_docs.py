"""Kraken spot on loopback, written from Kraken's public API documentation alone.

A second opinion on what the venue does: it shares no code with the project. Original URLs are served
below their host name (`/api.kraken.com/0/private/OpenOrders`, `/ws-auth.kraken.com/v2`). Nothing is
matched: an order, a stop-loss too, stays open until it is cancelled.

`GET /control` tells the truth; `POST /control` takes any of these keys and answers with it too:
    {"reset": true}
    {"price": {"BTC/USDT": 40000}} one pair; {"price": {"BTC": 40000}} all pairs of the base, in USD
    {"balance": {"USDT": 5000}, "ledger": true, "stream": true} one `trade` row an asset, in one frame; ledger false:
        no row, a number: a row that many seconds later
    {"trade": {"pair": "BTC/USDT", "side": "buy", "volume": 0.02, "price": 50000, "fee": 2.6, "count": 1}}
        and, if wanted, "ago": the seconds since the first of them, the others evenly after it
    {"order": {"pair": "BTC/USDT", "side": "sell", "type": "stop-loss", "volume": 0.02, "price": 45000}}
        and, if wanted, "price2" and "cl_ord_id"
    {"entry": {"type": "withdrawal", "asset": "USDT", "amount": -500, "fee": 1, "effect": true}}
        and, if wanted, "listed": a number of seconds after which the row is there
    {"counter": {"limit": 15, "decay": 0.33}} calls are counted, and refused above the limit; null: no more
    {"streams": {"balances": "repeat"}}, or "ticker": what is true now, said 20 times a second whatever becomes
        true; "insist": what is true; "lag 30": what was true 30 s ago, as often; "ok" ends it
    {"delay_s": 0.2}: how long every call takes
    {"frozen": ["balances", "prices"]}: what REST answers now it goes on answering, until the kind is not named
    {"listing": MODE, "balances": MODE, "Ledgers": MODE}: ok, html, object, empty_result, list, empty, 500,
        hang, huge, odd, 429 (Retry-After: a day), or an error code such as EService:Busy
    {"short": [1, 0, 1]} which of the next BalanceEx replies leave out the USDT; streams never do
    {"once": {"CancelAll": MODE}} that mode for the next call of that name only
    {"refuse_every": 2} every second signed call, whatever its name, is an EAPI:Invalid nonce; 0 ends it
    {"api_key": "another"} the account's first key is replaced, its secret stays; the second one has nonces of its own
    {"key": "ok"}: or "read_only" (it may not create, modify, cancel or close orders), or "revoked"
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import sys
import time
from collections import Counter, deque
from decimal import Decimal
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web
from kraken_shapes import (
    ASSETS,
    PAIRS,
    ApiError,
    Json,
    asset_row,
    execution,
    held,
    nothing_booked,
    order_row,
    pair_row,
    rest_amount,
    rest_ticker,
    rfc3339,
    stream_ticker,
    wanted_pairs,
)

KEY, SECOND_KEY, SECRET = "docs-key", "docs-key-2", base64.b64encode(b"kraken, as its documentation has it").decode()
PAGE, TOKEN_VALID_S, MAX_TIMEOUT_S, HEARTBEAT_S = 50, 900, 86_400, 1.0
CALL_COSTS = {"Ledgers": 2, "AddOrder": 0, "CancelOrder": 0}
SAY_EVERY_S = 0.05
HOLDINGS = {"USDT": Decimal(6000), "BTC": Decimal("0.08"), "USD": Decimal(0)}
MODE_OF = {"OpenOrders": "listing", "BalanceEx": "balances", "Balance": "balances"}
NEEDS_ORDERS = frozenset({"CancelAll", "CancelOrder", "CancelAllOrdersAfter"})
BROKEN = {
    "html": (200, "<html><body>Checking your browser</body></html>", "text/html"),
    "object": (200, "{}", "application/json"),
    "empty_result": (200, '{"error":[],"result":{}}', "application/json"),
    "list": (200, "[]", "application/json"),
    "huge": (200, '{"error":[],"result":{"USDT":{"balance":"1e100","hold_trade":"0"}}}', "application/json"),
    "odd": (200, '{"error":[],"result":{"USDT":{"balance":"1_0","hold_trade":"0"}}}', "application/json"),
    "empty": (200, "", "application/json"),
    "500": (500, "Internal Server Error", "text/plain"),
    "429": (429, "Too Many Requests", "text/plain"),
}
HEADERS = {"429": {"Retry-After": "86400"}}


class Socket:
    """One stream connection. Frames leave in order; a second of silence is filled by a heartbeat."""

    def __init__(self, ws: web.WebSocketResponse, private: bool) -> None:
        self.ws, self.private = ws, private
        self.frames: asyncio.Queue[Json] = asyncio.Queue()
        self.subscribed: set[str] = set()
        self.sequence: Counter[str] = Counter()

    def push(self, channel: str, kind: str, rows: list[Json]) -> None:
        self.sequence[channel] += 1
        numbered = {"sequence": self.sequence[channel]} if self.private else {}
        self.frames.put_nowait({"channel": channel, "type": kind, "data": rows} | numbered)

    async def write(self) -> None:
        while not self.ws.closed:
            try:
                frame = await asyncio.wait_for(self.frames.get(), HEARTBEAT_S)
            except TimeoutError:
                frame = {"channel": "heartbeat"} if self.subscribed else {}
            if frame:
                await self.ws.send_json(frame)


class Account:
    """The state behind one API key, and the calls that read and change it."""

    def __init__(self) -> None:
        self.prices = {symbol: Decimal(row[2]) for symbol, row in PAIRS.items()}
        self.balances = dict(HOLDINGS)
        self.open: dict[str, Json] = {}
        self.cancelled: list[str] = []
        self.ledger: dict[str, Json] = {}
        self.modes: dict[str, str] = {}
        self.short: list[int] = []
        self.once: dict[str, str] = {}
        self.refuse_every = self.signed = 0
        self.calls: Counter[str] = Counter()
        self.tokens: dict[str, float] = {}
        self.sockets: set[Socket] = set()
        self.nonces: Counter[str] = Counter()
        self.ids = 0
        self.dead_man: asyncio.TimerHandle | None = None
        self.counter: Json | None = None
        self.key, self.second_key = KEY, SECOND_KEY
        self.streams: dict[str, str] = {}
        self.sayers: list[asyncio.Task[None]] = []
        self.frozen: dict[str, dict[str, Decimal]] = {}
        self.delay_s = 0.0

    def next_id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}{self.ids:05d}-DOCSV-{self.ids:06d}"

    def publish(self, channel: str, rows: list[Json], symbol: str = "") -> None:
        how = self.streams.get(channel, "ok")
        for socket in self.sockets:
            if channel + symbol in socket.subscribed and how in ("ok", "insist"):
                socket.push(channel, "update", rows)

    async def say(self, channel: str, how: str) -> None:
        """The same again and again: what was true when it began, some seconds ago, or now."""
        symbols = list(PAIRS) if channel == "ticker" else [""]
        truths: deque[Json] = deque()
        late = int(float(how.removeprefix("lag ")) / SAY_EVERY_S) if how.startswith("lag ") else 0
        while self.streams.get(channel) == how:
            if how != "repeat" or not truths:
                truths.append({symbol: self.row_now(channel, symbol) for symbol in symbols})
            if how != "repeat" and len(truths) > late + 1:
                truths.popleft()
            for socket in self.sockets:
                for symbol in symbols:
                    if channel + symbol in socket.subscribed:
                        socket.push(channel, "update", truths[0][symbol])
            await asyncio.sleep(SAY_EVERY_S)

    def row_now(self, channel: str, symbol: str) -> list[Json]:
        """What is true now, as an update."""
        if channel == "ticker":
            return [stream_ticker(symbol, self.prices[symbol])]
        return [nothing_booked(name, value) for name, value in self.balances.items()]

    def freeze(self, names: list[str]) -> None:
        """What is answered now is answered as long as the kind is named."""
        now = {"balances": lambda: dict(self.balances), "prices": lambda: dict(self.prices)}
        self.frozen = {name: self.frozen.get(name) or now[name]() for name in names}

    def shown(self, kind: str) -> dict[str, Decimal]:
        """What REST tells of the balances or prices."""
        return self.frozen.get(kind) or (self.balances if kind == "balances" else self.prices)

    def set_streams(self, how: dict[str, str]) -> None:
        self.streams |= how
        for channel, mode in how.items():
            if mode != "ok":
                self.sayers.append(asyncio.create_task(self.say(channel, mode)))

    def admit(self, path: str, headers: Any, body: str, nonce: str) -> None:
        """API-Sign is HMAC-SHA512 over path and SHA256(nonce + body); only an accepted call moves the nonce."""
        message = path.encode() + hashlib.sha256((nonce + body).encode()).digest()
        sign = base64.b64encode(hmac.digest(base64.b64decode(SECRET), message, "sha512")).decode()
        self.signed += 1
        if self.refuse_every and self.signed % self.refuse_every == 0:
            raise ApiError("EAPI:Invalid nonce")  # a bot with the same key was quicker
        key = headers.get("API-Key")
        if key not in (self.key, self.second_key):
            raise ApiError("EAPI:Invalid key")
        if not hmac.compare_digest(headers.get("API-Sign", ""), sign):
            raise ApiError("EAPI:Invalid signature")
        if not nonce.isdecimal() or int(nonce) <= self.nonces[key]:
            raise ApiError("EAPI:Invalid nonce")
        self.nonces[key] = int(nonce)
        self.count(path.rpartition("/")[2])

    def level(self) -> float:
        counter = self.counter or {"level": 0.0, "at": 0.0, "decay": 0.0}
        return max(0.0, counter["level"] - (time.monotonic() - counter["at"]) * counter["decay"])

    def count(self, name: str) -> None:
        """Ledger and trade history calls add 2, placing and cancelling nothing, others 1; it decays by the second."""
        if self.counter is None:
            return
        level, cost = self.level(), CALL_COSTS.get(name, 1)
        self.counter |= {"level": min(level + cost, self.counter["limit"]), "at": time.monotonic()}
        if cost and level + cost > self.counter["limit"]:
            raise ApiError("EAPI:Rate limit exceeded")

    def permit(self, name: str) -> None:
        if self.modes.get("key") == "revoked":
            raise ApiError("EAPI:Invalid key")
        if self.modes.get("key") == "read_only" and name in NEEDS_ORDERS:
            raise ApiError("EGeneral:Permission denied")

    # The calls of the REST API

    def balance_ex(self, _: Json) -> Json:
        hold = dict.fromkeys(ASSETS, Decimal(0))
        for asset, value in map(held, self.open.values()):
            hold[asset] += value
        is_short = self.short.pop(0) if self.short else 0
        told = {name: value for name, value in self.shown("balances").items() if not (is_short and name == "USDT")}
        rows = {name: {"balance": value, "hold_trade": hold[name]} for name, value in told.items()}
        return {ASSETS[n][0]: {k: rest_amount(n, v) for k, v in row.items()} for n, row in rows.items()}

    def open_orders(self, form: Json) -> Json:
        wanted = form.get("cl_ord_id")
        return {"open": {k: row for k, row in self.open.items() if wanted in (None, row.get("cl_ord_id"))}}

    def cancel(self, txids: list[str]) -> Json:
        for txid in txids:
            self.cancelled.append(txid)
            self.publish("executions", [execution(txid, self.open.pop(txid), "canceled")])
        return {"count": len(txids)}

    def cancel_order(self, form: Json) -> Json:
        wanted = {form.get("txid"), form.get("cl_ord_id")} - {None}
        doomed = [txid for txid, row in self.open.items() if wanted & {txid, row.get("cl_ord_id")}]
        if not doomed:
            raise ApiError("EOrder:Unknown order" if wanted else "EGeneral:Invalid arguments")
        return self.cancel(doomed)

    def cancel_all_orders_after(self, form: Json) -> Json:
        """One shot: once it has fired it stays off until the next call; 0 turns it off."""
        timeout = str(form.get("timeout", ""))
        if not timeout.isdecimal() or int(timeout) > MAX_TIMEOUT_S:
            raise ApiError("EGeneral:Invalid arguments")
        self.disarm()
        if int(timeout):
            self.dead_man = asyncio.get_running_loop().call_later(int(timeout), self.fire)
        trigger = rfc3339(int(timeout), "seconds") if int(timeout) else "0"
        return {"currentTime": rfc3339(timespec="seconds"), "triggerTime": trigger}

    def disarm(self) -> None:
        if self.dead_man:
            self.dead_man.cancel()
        self.dead_man = None

    def fire(self) -> None:
        self.disarm()
        self.cancel(list(self.open))

    def ledgers(self, form: Json) -> Json:
        """Newest first, 50 a page; `start` is exclusive, `end` inclusive: a time in seconds or a ledger id."""
        times = {txid: row["time"] for txid, row in self.ledger.items()}
        bounds = (form.get("start", "-inf"), form.get("end", "inf"))
        start, end = (times[bound] if bound in times else float(bound) for bound in bounds)
        assets = {ASSETS[n][0] for n in ASSETS if {"all", *ASSETS[n]} & set(form.get("asset", "all").split(","))}
        rows = [
            (txid, row)
            for txid, row in sorted(self.ledger.items(), key=lambda item: (item[1]["time"], item[0]), reverse=True)
            if start < row["time"] <= end and row["asset"] in assets and form.get("type", "all") in ("all", row["type"])
        ]
        first = int(form.get("ofs", 0))
        counted = {} if form.get("without_count") == "true" else {"count": len(rows)}
        return {"ledger": dict(rows[first : first + PAGE])} | counted

    def websockets_token(self, _: Json) -> Json:
        token = secrets.token_urlsafe(32)
        self.tokens[token] = time.monotonic()
        return {"token": token, "expires": TOKEN_VALID_S}

    # The streams

    def snapshot(self, channel: str, symbol: str) -> list[Json]:
        if channel == "ticker":
            return [stream_ticker(symbol, self.prices[symbol])]
        if channel == "executions":
            return [execution(txid, row, "new") for txid, row in self.open.items()]
        amounts = {name: {"balance": float(value)} for name, value in self.balances.items()}
        wallet = {"type": "spot", "id": "main"}
        return [{"asset": n, "asset_class": "currency", "wallets": [wallet | b]} | b for n, b in amounts.items()]

    def refusal(self, socket: Socket, channel: str, symbol: str, token: str) -> str | None:
        if channel == "ticker":
            return None if symbol in PAIRS else f"Currency pair not supported {symbol}"
        if channel not in ("balances", "executions"):
            return "Subscription name invalid"
        age_s = time.monotonic() - self.tokens.get(token, float("-inf"))
        in_use = token in self.tokens and bool(socket.subscribed)  # then it does not run out
        return None if socket.private and (in_use or age_s < TOKEN_VALID_S) else "ESession:Invalid session"

    def on_message(self, socket: Socket, message: Json) -> None:
        method, params = message.get("method"), message.get("params", {})
        stamp: Json = {"time_in": rfc3339(), "time_out": rfc3339()}
        stamp |= {"req_id": message["req_id"]} if "req_id" in message else {}
        channel = params.get("channel", "")
        if method not in ("subscribe", "unsubscribe"):
            failed = {"method": method, "success": False, "error": "Malformed request"}
            socket.frames.put_nowait(({"method": "pong"} if method == "ping" else failed) | stamp)
            return
        for symbol in params.get("symbol", []) if channel == "ticker" else [""]:
            error = self.refusal(socket, channel, symbol, params.get("token", ""))
            flag = "snap_orders" if channel == "executions" else "snapshot"
            result = {"channel": channel, flag: params.get(flag, True)} | ({"symbol": symbol} if symbol else {})
            outcome = {"success": False, "error": error} if error else {"success": True, "result": result}
            socket.frames.put_nowait({"method": method} | outcome | stamp)
            if method == "unsubscribe":
                socket.subscribed.discard(channel + symbol)
            elif not error:
                self.calls[f"ws:{channel}"] += 1
                socket.subscribed.add(channel + symbol)
                if result[flag]:
                    socket.push(channel, "snapshot", self.snapshot(channel, symbol))

    # The control face

    def set_price(self, name: str, price: Decimal) -> None:
        for symbol in [s for s in PAIRS if name in (s, s.split("/")[0])]:
            quote_usd = self.prices.get(f"{symbol.split('/')[1]}/USD", Decimal(1))
            self.prices[symbol] = price if name == symbol else price / quote_usd
            self.publish("ticker", [stream_ticker(symbol, self.prices[symbol])], symbol)

    def book(
        self, kind: str, asset: str, change: Decimal, fee: Decimal, effect: bool, listed: bool | float, refid: str = ""
    ) -> Json:
        """Book a change, a fee coming on top of it; returns the row of the `balances` channel."""
        change, fee = (Decimal(rest_amount(asset, value)) for value in (change, fee))
        total = self.balances.get(asset, Decimal(0)) + (change - fee if effect else 0)
        self.balances |= {asset: total} if effect else {}
        txid, money = self.next_id("L"), {"amount": change, "fee": fee, "balance": total}
        row = {"refid": refid or f"R{txid[1:]}", "time": time.time(), "type": kind, "subtype": "", "aclass": "currency"}
        row |= {"asset": ASSETS[asset][0]} | {key: rest_amount(asset, value) for key, value in money.items()}
        if listed is True:
            self.ledger[txid] = row
        elif listed is not False:
            asyncio.get_running_loop().call_later(listed, self.ledger.__setitem__, txid, row)
        seen = {"ledger_id": txid, "ref_id": row["refid"], "timestamp": rfc3339(), "type": kind, "category": kind}
        seen |= {"asset": asset, "asset_class": "currency", "wallet_type": "spot", "wallet_id": "main"}
        return seen | {key: float(value) for key, value in money.items()}

    def set_balances(self, wanted: Json, listed: bool | float, streamed: bool) -> None:
        changes = {n: Decimal(str(v)) - self.balances.get(n, Decimal(0)) for n, v in wanted.items()}
        rows = [self.book("trade", n, change, Decimal(0), True, listed) for n, change in changes.items()]
        if streamed and rows:
            self.publish("balances", rows)

    def add_trade(self, spec: Json) -> None:
        base, quote = spec["pair"].split("/")
        volume, price, fee = (Decimal(str(spec.get(key, 0))) for key in ("volume", "price", "fee"))
        sign = 1 if spec["side"] == "buy" else -1
        count, ago_s = spec.get("count", 1), spec.get("ago", 0)
        for number in range(count):
            refid = self.next_id("T")
            legs = ((quote, -sign * volume * price, fee), (base, sign * volume, Decimal(0)))
            rows = [self.book("trade", name, change, cost, True, True, refid) for name, change, cost in legs]
            for row in rows:
                self.ledger[row["ledger_id"]]["time"] -= ago_s * (1 - number / count)
            self.publish("balances", rows)

    def add_entry(self, spec: Json) -> None:
        change, fee = Decimal(str(spec["amount"])), Decimal(str(spec.get("fee", 0)))
        row = self.book(spec["type"], spec["asset"], change, fee, spec.get("effect", True), spec.get("listed", True))
        if spec.get("effect", True):
            self.publish("balances", [row])

    def add_order(self, spec: Json) -> None:
        txid, row = self.next_id("O"), order_row(spec)
        self.open[txid] = row
        for status in ("pending_new", "new"):
            self.publish("executions", [execution(txid, row, status)])

    def control(self, command: Json) -> None:
        for name, price in command.pop("price", {}).items():
            self.set_price(name, Decimal(str(price)))
        if "counter" in command:
            counter = command.pop("counter")
            self.counter = counter and counter | {"level": 0.0, "at": time.monotonic()}
        self.set_balances(command.pop("balance", {}), command.pop("ledger", True), command.pop("stream", True))
        for key, add in (
            ("order", self.add_order),
            ("entry", self.add_entry),
            ("trade", self.add_trade),
            ("frozen", self.freeze),
            ("streams", self.set_streams),
        ):
            if key in command:
                add(command.pop(key))
        self.short = command.pop("short", self.short)
        self.delay_s = command.pop("delay_s", self.delay_s)
        self.key = command.pop("api_key", self.key)
        self.refuse_every = int(command.pop("refuse_every", self.refuse_every))
        once = command.pop("once", {})
        if any(not known_mode(name, mode) for name, mode in (command | once).items()):
            raise web.HTTPBadRequest(text=f"no such command: {command} {once}")
        self.modes |= command
        self.once |= once

    def truth(self) -> Json:
        balances = {name: str(value) for name, value in self.balances.items()}
        shown: Json = {"open": self.open, "cancelled": self.cancelled, "ledger": self.ledger, "modes": self.modes}
        shown |= {"counter": self.counter and self.counter | {"level": self.level()}}
        shown |= {"balances": balances, "short": self.short, "calls": self.calls}
        return shown | {"dead_man": self.dead_man is not None}


def known_mode(name: str, mode: str) -> bool:
    if name == "key":
        return mode in ("ok", "read_only", "revoked")
    endpoint = name in MODE_OF.values() or (name in PUBLIC | PRIVATE and name not in MODE_OF)
    return endpoint and (mode in BROKEN or mode in ("ok", "hang") or mode.startswith("E"))


PUBLIC = {
    "Time": lambda _, q: {"unixtime": int(time.time()), "rfc1123": formatdate(usegmt=True)},
    "SystemStatus": lambda _, q: {"status": "online", "timestamp": rfc3339(timespec="seconds")},
    "Assets": lambda _, q: {ASSETS[name][0]: asset_row(name) for name in ASSETS},
    "AssetPairs": lambda _, q: {PAIRS[symbol][0]: pair_row(symbol) for symbol in wanted_pairs(q)},
    "Ticker": lambda account, q: {PAIRS[s][0]: rest_ticker(s, account.shown("prices")[s]) for s in wanted_pairs(q)},
}
PRIVATE = {
    "Balance": lambda account, f: {k: row["balance"] for k, row in account.balance_ex(f).items()},
    "BalanceEx": Account.balance_ex,
    "OpenOrders": Account.open_orders,
    "OpenPositions": lambda _, form: [] if form.get("consolidation") else {},  # a cash account
    "CancelAll": lambda account, _: account.cancel(list(account.open)),
    "CancelOrder": Account.cancel_order,
    "CancelAllOrdersAfter": Account.cancel_all_orders_after,
    "Ledgers": Account.ledgers,
    "GetWebSocketsToken": Account.websockets_token,
}


class Server:
    """The HTTP and websocket face."""

    def __init__(self) -> None:
        self.account = Account()
        self.app = web.Application()
        self.app.router.add_get("/api.kraken.com/0/public/{name}", self.public)
        self.app.router.add_post("/api.kraken.com/0/private/{name}", self.private)
        self.app.router.add_get("/{host:ws(?:-auth)?.kraken.com}/v2", self.stream)
        self.app.router.add_get("/control", self.truth)
        self.app.router.add_post("/control", self.control)

    async def public(self, request: web.Request) -> web.Response:
        return await self.answer(request.match_info["name"], PUBLIC, dict(request.query))

    async def private(self, request: web.Request) -> web.Response:
        body = await request.text()
        form = json.loads(body) if request.content_type == "application/json" else dict(parse_qsl(body))
        path = request.path.removeprefix("/api.kraken.com")
        try:
            self.account.admit(path, request.headers, body, str(form.get("nonce", "")))
            self.account.permit(request.match_info["name"])
        except ApiError as refused:
            self.account.calls[str(refused)] += 1
            return web.json_response({"error": [str(refused)]})
        return await self.answer(request.match_info["name"], PRIVATE, form)

    async def answer(self, name: str, calls: Json, form: Json) -> web.Response:
        self.account.calls[name] += 1
        kind = MODE_OF.get(name, name)
        mode = self.account.once.pop(kind, None) or self.account.modes.get(kind, "ok")
        await asyncio.sleep(self.account.delay_s)
        if mode == "hang":
            await asyncio.Event().wait()
        if mode in BROKEN:
            status, text, content_type = BROKEN[mode]
            headers = HEADERS.get(mode)
            return web.Response(status=status, text=text, content_type=content_type, headers=headers)
        try:
            if mode != "ok" or name not in calls:
                raise ApiError(mode if mode != "ok" else "EGeneral:Unknown method")
            return web.json_response({"error": [], "result": calls[name](self.account, form)})
        except ApiError as refused:
            return web.json_response({"error": [str(refused)]})

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        socket = Socket(ws, private="auth" in request.match_info["host"])
        status = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": id(socket)}
        socket.frames.put_nowait({"channel": "status", "type": "update", "data": [status]})
        self.account.sockets.add(socket)
        writer = asyncio.create_task(socket.write())
        try:
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    self.account.on_message(socket, message.json())
        finally:
            self.account.sockets.discard(socket)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer
        return ws

    async def truth(self, _: web.Request) -> web.Response:
        return web.json_response(self.account.truth())

    async def control(self, request: web.Request) -> web.Response:
        command = await request.json()
        if command.pop("reset", False):
            self.account.disarm()
            self.account.streams.clear()
            sockets, self.account = self.account.sockets, Account()
            self.account.sockets = sockets
        self.account.control(command)
        return await self.truth(request)


async def serve(host: str, port: int, socket: str | None) -> None:
    """Says the port really bound in one JSON line, then serves until it is ended. socket: a second way to it."""
    runner = web.AppRunner(Server().app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    bound = runner.addresses[0][1]
    if socket is not None:
        await web.UnixSite(runner, socket).start()
    sys.stdout.write(json.dumps({"port": bound}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--socket", help="a path of a Unix socket to listen on as well")
    words = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(words.host, words.port, words.socket))
