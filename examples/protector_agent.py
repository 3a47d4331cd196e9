"""An agent that hears of a trip over Kafka and cancels the orders of one account, on whatever machine it runs.

On simulated money, in a checkout (`export PATH=$PWD/.venv/bin:$PATH`), with a broker of yours:

    risk-daemon simulate-venue kraken --port 9001
    python examples/protector_agent.py --bootstrap 127.0.0.1:9092 --endpoint http://127.0.0.1:9001

and a guard with [broadcast.kafka] (docs/scale.md); `risk-daemon halt --reason "trying it out"` is a trip too.

Without --endpoint it cancels on the exchange itself, with AGENT_API_KEY and AGENT_SECRET from the environment. Put what
else is to happen into `cancel_all`. AGENT_KAFKA_PASSWORD is the password of --username.

A broadcast may come twice: what was done is remembered in --done, a small file, by the trip's id; each agent has one of
its own. The place in the topic is committed only after the orders are gone, so that an agent that was killed, or could
not reach its exchange, begins where it was. Each agent needs a --group of its own: two of one group would share the
messages. The first start ever, without that file, begins with what comes from then on. An agent whose place the broker
has forgotten since begins with all that is still in the topic: rather too much.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ccxt
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

ACTION = "CANCEL_ALL_OPEN_ORDERS"
FORMAT = 1
AHEAD_S = 300.0  # a guard's clock may be so much ahead of this one; what is further ahead was made up
REMEMBERED = 10_000
ROUNDS = 10
PAUSES_S = (1.0, 2.0, 5.0, 10.0)
STOP_WITHIN_S = 5.0
A_DAY_MS = 24 * 3_600_000  # for so long the broker waits for an agent that can't reach its exchange


# --- what happens -----------------------------------------------------------------------------------


def cancel_all(exchange: Any) -> int:
    """Cancel until the exchange lists no open order. Returns how many were cancelled. Raises whatever goes wrong."""
    cancelled = 0
    for _ in range(ROUNDS):
        orders = open_orders(exchange)
        if not orders:
            return cancelled
        for order in orders:
            try:
                exchange.cancel_order(order["id"], order["symbol"])
                cancelled += 1
            except ccxt.OrderNotFound:
                continue  # filled or cancelled meanwhile: the next listing says so
    raise RuntimeError(f"there are open orders after {ROUNDS} rounds")


def open_orders(exchange: Any) -> list[Any]:
    """Raises for an answer that is no JSON: ccxt takes a web page, or nothing at all, for an empty list.

    JSON of another shape it takes for one too. Check here what your exchange says when it lists nothing; the proof that
    nothing is left is the guard's, not this agent's.
    """
    orders = exchange.fetch_open_orders()
    answer = json.loads(exchange.last_http_response or "")
    if not isinstance(answer, dict | list):
        raise TypeError("the exchange's answer lists nothing and says nothing")
    return list(orders)


# --- what is believed -------------------------------------------------------------------------------


class NotForUs(Exception):
    """Why a message is passed over, as a sentence."""


def understood(value: bytes | None, event_type: str, now: float) -> Mapping[str, Any]:
    """The trip. Raises NotForUs for what is no message of a guard, not of this kind, or from the future."""
    try:
        message = json.loads(value or b"")
    except (ValueError, RecursionError):
        raise NotForUs("it is no JSON") from None
    if not isinstance(message, dict):
        raise NotForUs("it is no JSON object")
    if message.get("event_type") != event_type:
        raise NotForUs(f"its event type is {shown(message.get('event_type'))}, and this agent hears {event_type}")
    if message.get("action") != ACTION:
        raise NotForUs(f"its action is {shown(message.get('action'))}, and this agent only knows {ACTION}")
    trip_id = message.get("trip_id")
    if not isinstance(trip_id, str) or not 0 < len(trip_id) <= 200:
        raise NotForUs("it names no trip")
    ahead_s = moment(message.get("timestamp")) - now
    if ahead_s > AHEAD_S:
        raise NotForUs(f"it is {ahead_s:.0f} s from the future: it was made up, or one of two clocks is wrong")
    return message


def moment(text: object) -> float:
    try:
        stamp = datetime.fromisoformat(text if isinstance(text, str) else "")
        if stamp.tzinfo is None:
            raise ValueError
        return stamp.timestamp()
    except (ValueError, OverflowError):
        raise NotForUs("it has no timestamp") from None


def shown(value: object) -> str:
    """Anybody may have written it."""
    return ascii(value)[:100]


# --- what was done ----------------------------------------------------------------------------------


class Done:
    """The ids of trips for which everything was cancelled, in a file that is replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: dict[str, None] = {}
        self.is_new = False  # there was no file: nothing ran here before
        try:
            self._ids = dict.fromkeys(map(str, json.loads(path.read_text())))
        except FileNotFoundError:
            self.is_new = True
        except (OSError, ValueError, TypeError) as error:
            say(f"{path} can't be read ({error}): what was done already may be done once more")

    def __contains__(self, trip_id: str) -> bool:
        return trip_id in self._ids

    def add(self, trip_id: str) -> None:
        """On disk when it returns. Raises OSError."""
        self._ids[trip_id] = None
        self.keep()

    def keep(self) -> None:
        """From now on there is a file. Raises OSError."""
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("w") as file:
            json.dump(list(self._ids)[-REMEMBERED:], file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        self.is_new = False


# --- the agent --------------------------------------------------------------------------------------


class Agent:
    """cancels: cancels everything, and returns how many orders; it runs on a thread, and may raise anything."""

    def __init__(self, consumer: Any, event_type: str, done: Done, cancels: Callable[[], int]) -> None:
        self._consumer = consumer
        self._event_type = event_type
        self._done = done
        self._cancels = cancels

    async def run(self) -> None:
        """For ever. Raises KafkaError where the place in the topic can't be read any more."""
        await self._begin()
        async for record in self._consumer:
            where = f"partition {record.partition}, offset {record.offset}"
            try:
                trip = understood(record.value, self._event_type, time.time())
            except NotForUs as why:
                say(f"passed over: {why} ({where})")
            else:
                await self._protect(trip, where)
            await self._consumer.commit()

    async def _begin(self) -> None:
        """At its first start ever it begins now; what was broadcast before it was there is not its affair.

        A place that the broker does not know is no first start where the file is there: brokers forget the places of a
        group that was away for some days.
        """
        parts = self._consumer.assignment()
        committed = [await self._consumer.committed(part) for part in parts]
        if self._done.is_new and all(place is None for place in committed):
            await self._consumer.seek_to_end(*parts)
            await self._consumer.commit({part: await self._consumer.position(part) for part in parts})
        if self._done.is_new:
            try:
                self._done.keep()
            except OSError as error:  # it cancels all the same
                say(f"what is done can't be remembered: {error}")
        say(f"listening for {self._event_type}")

    async def _protect(self, trip: Mapping[str, Any], where: str) -> None:
        trip_id = trip["trip_id"]
        if trip_id in self._done:
            say(f"done already: {shown(trip_id)} ({where})")
            return
        loss = trip.get("equity_loss")
        lost = "an unknown amount" if loss is None else f"{shown(loss)} {shown(trip.get('currency'))}"
        say(f"TRIP {shown(trip_id)}: lost {lost}: {shown(trip.get('reason'))}: cancelling everything")
        if trip.get("format") != FORMAT:
            say(f"its format is {shown(trip.get('format'))}, and this agent is made for {FORMAT}: look at a newer one")
        tries = 0
        while True:
            try:
                cancelled = await asyncio.to_thread(self._cancels)
                self._done.add(trip_id)
            except Exception as error:  # whatever it is: it is tried until it is done
                say(f"NOT DONE, it is tried again: {type(error).__name__}: {error}")
                await asyncio.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
                tries += 1
            else:
                say(f"done: {shown(trip_id)}: {cancelled} orders were cancelled, and none is open")
                return


def say(sentence: str) -> None:
    print(sentence, flush=True)


def connect(arguments: argparse.Namespace) -> Any:
    """The exchange, or a simulated one at --endpoint."""
    if not arguments.endpoint:
        keys = {"apiKey": os.environ["AGENT_API_KEY"], "secret": os.environ["AGENT_SECRET"]}
        return getattr(ccxt, arguments.exchange)(keys)
    from adapters.endpoint import rewrite_all
    from adapters.simulated import API_KEY, API_SECRET

    keys = {"apiKey": API_KEY, "secret": API_SECRET, "enableRateLimit": False}
    exchange = getattr(ccxt, arguments.exchange)(keys)
    exchange.urls["api"] = rewrite_all(exchange.urls["api"], arguments.endpoint)
    return exchange


def consumer_of(arguments: argparse.Namespace) -> Any:
    encrypted = arguments.security_protocol.endswith("SSL")
    return AIOKafkaConsumer(
        arguments.topic,
        bootstrap_servers=arguments.bootstrap,
        group_id=arguments.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # a partition that is new, or a place that was forgotten: rather too much
        max_poll_records=1,
        max_poll_interval_ms=A_DAY_MS,
        security_protocol=arguments.security_protocol,
        ssl_context=ssl.create_default_context(cafile=arguments.ca_file) if encrypted else None,
        sasl_mechanism=arguments.sasl_mechanism,
        sasl_plain_username=arguments.username,
        sasl_plain_password=os.environ.get("AGENT_KAFKA_PASSWORD"),
    )


async def listen(arguments: argparse.Namespace) -> None:
    exchange, done = connect(arguments), Done(arguments.done)
    while True:
        try:
            await hear(consumer_of(arguments), arguments.event_type, done, lambda: cancel_all(exchange))
        except KafkaError as error:
            say(f"the broker can't be heard, it is tried again: {error}")
        except Exception as error:  # whatever it is: an agent that has ended cancels nothing
            say(f"NOT LISTENING, it is tried again: {type(error).__name__}: {error}")
        await asyncio.sleep(PAUSES_S[0])


async def hear(consumer: Any, event_type: str, done: Done, cancels: Callable[[], int]) -> None:
    """Until it fails. Raises whatever went wrong; what hangs at the end is left where it is."""
    try:
        await consumer.start()
        await Agent(consumer, event_type, done, cancels).run()
    finally:
        stopping = asyncio.ensure_future(consumer.stop())
        await asyncio.wait({stopping}, timeout=STOP_WITHIN_S)
        stopping.cancel()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cancels all orders of an account when a guard trips.")
    parser.add_argument("--bootstrap", required=True, help="brokers, such as kafka-1:9093,kafka-2:9093")
    parser.add_argument("--topic", default="system-events")
    parser.add_argument("--event-type", default="The3PercentFreeze")
    parser.add_argument("--group", default=f"protector-{socket.gethostname()}", help="of this agent alone")
    parser.add_argument("--done", type=Path, help="a file for what was done; else protector-done-GROUP.json, here")
    parser.add_argument("--exchange", default="kraken", help="a ccxt id")
    parser.add_argument("--endpoint", help="a simulated venue, such as http://127.0.0.1:9001")
    parser.add_argument("--security-protocol", default="PLAINTEXT", help="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
    parser.add_argument("--sasl-mechanism", default="PLAIN")
    parser.add_argument("--username")
    parser.add_argument("--ca-file")
    arguments = parser.parse_args()
    arguments.done = arguments.done or Path(f"protector-done-{quote(arguments.group, safe='')}.json")
    return arguments


if __name__ == "__main__":
    try:
        asyncio.run(listen(parse()))
    except KeyboardInterrupt:
        sys.exit(0)
