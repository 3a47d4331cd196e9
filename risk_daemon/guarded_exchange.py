"""A ccxt exchange that asks the gate before it sends an order.

    exchange = guard(ccxt.kraken({...}), TradingGate("/var/lib/risk-daemon", url=URL, token=TOKEN), venue="kraken")
    exchange.create_order(...)      # raises OrderVetoed, or sends

In a program with breakers of its own their coordinator takes the gate's place: `guard(exchange, coordinator)`.
The exchange stays the object it was, of a class made for it: whoever holds it holds the guarded one. Every method
that sends or changes orders asks first, whatever it is called by; cancels and reads pass. The question is put when
ccxt has waited for its rate limiter and is about to send, so that the lease has not run out by then. Not touched:
transfers, withdrawals, and what bypasses the object (another client of the same account).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from decimal import Decimal
from functools import partial, wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from risk_daemon.bot.answers import INVALID_ORDER, GateAnswer, no_answer
from risk_daemon.bot.ccxt_calls import (
    CLOSING,
    CalledOrder,
    closing_orders,
    endpoint_names,
    endpoint_of,
    orders_of,
    sending_endpoints,
    sends_orders,
    snake,
)
from risk_daemon.bot.ccxt_reports import Teller
from risk_daemon.bot.orders import ProposedOrder
from risk_daemon.bot.port import OrderGate
from risk_daemon.model.units import finite

if TYPE_CHECKING:
    from risk_daemon.breakers import CircuitBreakerManager

T = TypeVar("T")
Step = Callable[[], Any]
Steps = Generator[Step, Any, Any]

RAW_ENDPOINT: Final = "raw_endpoint"
_LOG = logging.getLogger(__name__)


class OrderVetoed(Exception):
    """The gate said no, and nothing was sent. answer: why. order: which one; None where it could not be told."""

    def __init__(self, answer: GateAnswer, order: ProposedOrder | None = None) -> None:
        super().__init__(f"{answer.veto_reason}: {answer.detail}")
        self.answer = answer
        self.order = order


def guard(exchange: T, gate: OrderGate | CircuitBreakerManager, *, venue: str | None = None) -> T:
    """`exchange` (of ccxt, ccxt.async_support or ccxt.pro), guarded by `gate` from now on.

    gate: a gate, or the coordinator of the program's own breakers. venue: its name in the daemon's configuration;
    else ccxt's id. Raises ValueError for an exchange that is guarded already, TypeError for an object whose class
    can't be changed, and for a gate that is neither.
    """
    base = type(exchange)
    if hasattr(base, "_risk_guard"):
        raise ValueError(f"{exchange!r} is guarded already")
    watch = _Watch(base, _order_gate(gate), venue or str(getattr(exchange, "id", base.__name__)))
    namespace = {"_risk_guard": watch, "__module__": base.__module__, "__doc__": base.__doc__}
    own = {name: method for name, method in vars(exchange).items() if sends_orders(name) and callable(method)}
    exchange.__class__ = type(base.__name__, (base,), namespace | _overrides(watch, base))
    for name, method in own.items():  # set on the object itself, they would hide those of the class
        guarded = watch.asking(name, _without_self(method), getattr(base, name, method))
        setattr(exchange, name, MethodType(guarded, exchange))
    return exchange


def _order_gate(gate: Any) -> OrderGate:
    """`gate`, or a gate for it. The breakers are loaded only for who has some: a bot of the daemon has none."""
    if hasattr(gate, "check"):
        return cast(OrderGate, gate)
    from risk_daemon.coordinator_gate import CoordinatorGate

    return CoordinatorGate(gate)


def _without_self(method: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *args, **kwargs: method(*args, **kwargs)


def _overrides(watch: _Watch, base: type) -> dict[str, Any]:
    """What the guarded class does differently."""
    sending = {name: watch.asking(name, getattr(base, name)) for name in dir(base) if sends_orders(name)}
    overrides = dict(sending)
    for name, steps in (("fetch2", watch.fetch2), ("fetch", watch.fetch)):
        if (method := getattr(base, name, None)) is not None:
            overrides[name] = watch.carrying(method, steps(method))
    if watch.is_async and hasattr(base, "client"):
        overrides["client"] = watch.opening(base.client)
    return overrides


class _Call:
    """One call that sends orders, from its start to its end."""

    def __init__(self, exchange: Any, orders: list[ProposedOrder]) -> None:
        self.exchange = exchange
        self.orders = orders
        self.answers: list[GateAnswer] = []
        self.is_over = False
        self.is_spent = False

    def is_clear(self) -> bool:
        """Whether there is a valid lease for every order, that nothing was sent under yet."""
        return (
            not self.is_spent
            and len(self.answers) == len(self.orders)
            and all(answer.is_valid() for answer in self.answers)
        )


_CALL: ContextVar[_Call | None] = ContextVar("call", default=None)
_IS_SENDING: ContextVar[bool] = ContextVar("is_sending", default=False)


def _current(exchange: Any) -> _Call | None:
    """The call of `exchange` that this code runs in. Tasks that a call left behind don't run in it any more."""
    call = _CALL.get()
    return call if call is not None and call.exchange is exchange and not call.is_over else None


class _Watch:
    """One exchange's guard. Its generators yield what is to be called, so that sync and async share them."""

    def __init__(self, base: type, gate: OrderGate, venue: str) -> None:
        probe = getattr(base, "fetch2", None) or getattr(base, "create_order", None)
        self.is_async = inspect.iscoroutinefunction(probe)
        self._gate, self._venue = gate, venue
        self._ask: Callable[[ProposedOrder], Any] = gate.acheck if self.is_async else gate.check
        endpoints = sending_endpoints(base)
        self._raw = endpoints.known | endpoints.likely
        self._transport = frozenset({"fetch", "fetch2", "request", *endpoint_names(base)})
        self._asks_late = bool(endpoints.known)
        self._teller = Teller(gate, venue)

    # --- what is put in place of ccxt's methods ----------------------------------------------------

    def asking(
        self, name: str, method: Callable[..., Any], declared: Callable[..., Any] | None = None
    ) -> Callable[..., Any]:
        """`method`, which sends orders, asking first. declared: whose signature names its arguments."""
        signature = inspect.signature(declared or method)

        def steps(exchange: Any, *args: Any, **kwargs: Any) -> Steps:
            run = partial(method, exchange, *args, **kwargs)
            if _current(exchange) is not None:
                return (yield run)  # ccxt's own way from one method to another
            given = signature.bind(exchange, *args, **kwargs).arguments
            orders = yield from self._orders(exchange, name, given)
            return (yield from self._send(_Call(exchange, orders), name, run))

        return self.carrying(method, steps)

    def carrying(self, method: Callable[..., Any], steps: Callable[..., Steps]) -> Callable[..., Any]:
        """A method like `method` that takes the steps."""
        if self.is_async:

            @wraps(method)
            async def asynchronous(exchange: Any, *args: Any, **kwargs: Any) -> Any:
                return await _walk_async(steps(exchange, *args, **kwargs))

            return asynchronous

        @wraps(method)
        def synchronous(exchange: Any, *args: Any, **kwargs: Any) -> Any:
            return _walk(steps(exchange, *args, **kwargs))

        return synchronous

    def opening(self, client: Callable[..., Any]) -> Callable[..., Any]:
        """ccxt.pro's `client(url)`, giving sockets that don't send for a call whose lease has run out."""

        @wraps(client)
        def guarded(exchange: Any, url: Any) -> Any:
            socket = client(exchange, url)
            if not getattr(socket, "is_gated", False):
                socket.is_gated, socket.send = True, self._gated(exchange, socket.send)
            return socket

        return guarded

    def _gated(self, exchange: Any, send: Callable[..., Any]) -> Callable[..., Any]:
        async def gated(message: Any) -> Any:
            call = _current(exchange)
            if call is not None:
                await _walk_async(self._clear(call))
            return await send(message)

        return gated

    def fetch2(self, method: Callable[..., Any]) -> Callable[..., Steps]:
        """ccxt's way to every endpoint. One that only sends orders is refused to callers that did not ask."""

        def steps(exchange: Any, path: Any, api: Any = "public", verb: str = "GET", *args: Any, **kwargs: Any) -> Steps:
            verb, call = kwargs.pop("method", verb), _current(exchange)
            sends = endpoint_of(path, api, verb) in self._raw
            if sends and call is None:
                raise OrderVetoed(
                    GateAnswer(
                        allowed=False, veto_reason=RAW_ENDPOINT, detail=f"{verb} {path} sends orders: use create_order"
                    )
                )
            token = _IS_SENDING.set(sends or verb != "GET")
            try:
                return (yield partial(method, exchange, path, api, verb, *args, **kwargs))
            finally:
                _IS_SENDING.reset(token)
                if sends and call is not None:
                    call.is_spent = True  # whatever is sent next in this call, again or besides, asks anew

        return steps

    def fetch(self, method: Callable[..., Any]) -> Callable[..., Steps]:
        """ccxt's way onto the wire, behind its rate limiter: here the question is put."""

        def steps(exchange: Any, *args: Any, **kwargs: Any) -> Steps:
            call = _current(exchange)
            if call is not None and _IS_SENDING.get():
                yield from self._clear(call)
            return (yield partial(method, exchange, *args, **kwargs))

        return steps

    # --- one call ----------------------------------------------------------------------------------

    def _orders(self, exchange: Any, name: str, given: Mapping[str, Any]) -> Steps:
        """The orders of a call, as they are proposed. Raises OrderVetoed for what can't be told."""
        if snake(name) in CLOSING:
            symbol = given.get("symbol")
            called = closing_orders((yield partial(exchange.fetch_positions, symbol and [symbol])), self._venue)
        else:
            called = orders_of(name, given, self._venue)
        if not called:
            raise OrderVetoed(
                GateAnswer(allowed=False, veto_reason=INVALID_ORDER, detail=f"{name}: there is no order in it")
            )
        orders = []
        for order in called:
            fields = order.fields if order.cost is None else (yield from self._priced(exchange, order))
            try:
                orders.append(ProposedOrder(**fields))
            except ValueError as error:
                raise OrderVetoed(
                    GateAnswer(allowed=False, veto_reason=INVALID_ORDER, detail=f"{name}: {error}")
                ) from error
        return orders

    def _priced(self, exchange: Any, order: CalledOrder) -> Steps:
        """The fields of an order by its cost: as much as that buys at the last price, or its amount if that is more."""
        ticker = yield partial(exchange.fetch_ticker, order.fields["symbol"])
        quotes = ticker if isinstance(ticker, Mapping) else {}
        prices = [quotes[name] for name in ("bid", "last", "ask") if quotes.get(name)]
        try:
            by_cost = finite(order.cost) / min(finite(price) for price in prices)
            amount = order.fields["quantity"]
            return {**order.fields, "quantity": max(by_cost, Decimal(0) if amount is None else finite(amount))}
        except (ValueError, ArithmeticError) as error:
            detail = f"an order by its cost needs a price of {order.fields['symbol']}: {error}"
            raise OrderVetoed(GateAnswer(allowed=False, veto_reason=INVALID_ORDER, detail=detail)) from error

    def _send(self, call: _Call, name: str, run: Step) -> Steps:
        """Let the call do its work inside its question, and tell what became of it."""
        is_late = self._comes_by_fetch(call.exchange, name)
        token = _CALL.set(call)
        try:
            yield from self._look(call) if is_late else self._clear(call)
            result = yield run
        except OrderVetoed:
            raise
        except Exception as error:
            self._teller.tell_error(error)
            raise
        finally:
            call.is_over = True
            _CALL.reset(token)
        if not call.answers:
            self._asks_late = False
            _LOG.critical("%s of %s sent past the gate's question: from now on it asks before", name, self._venue)
        self._teller.tell_result(call.orders, result)
        return result

    def _comes_by_fetch(self, exchange: Any, name: str) -> bool:
        """Whether the call surely sends by `fetch`, and soon. What is set on the object itself may lead elsewhere;
        without markets ccxt would load them first, for an order that may not be sent."""
        is_untouched = self._transport.isdisjoint(vars(exchange))
        is_loaded = bool(getattr(exchange, "markets", None))
        return self._asks_late and is_untouched and is_loaded and not snake(name).endswith("_ws")

    def _look(self, call: _Call) -> Steps:
        """A shut map is a veto at once, before anything is sent for the sake of the order."""
        peek = getattr(self._gate, "peek", None)
        if peek is not None and not all(order.reduce_only for order in call.orders):
            answer = yield peek
            if not answer.is_valid():
                if (tell := getattr(self._gate, "tell_refused", None)) is not None:
                    tell(call.orders[0], answer)
                raise OrderVetoed(answer, call.orders[0])

    def _clear(self, call: _Call) -> Steps:
        """Have a valid lease for every order of the call. Raises OrderVetoed."""
        if call.is_clear():
            return
        call.answers, call.is_spent = [], False
        for order in call.orders:
            try:
                answer = yield partial(self._ask, order)
            except Exception as error:
                raise OrderVetoed(no_answer(f"the gate failed: {error!r}"), order) from error
            if not answer.is_valid():
                raise OrderVetoed(answer, order)
            call.answers.append(answer)
        if not call.is_clear():
            raise OrderVetoed(no_answer(f"leases ran out while {len(call.orders)} orders were asked about"))


def _walk(steps: Steps) -> Any:
    """Call what the generator yields, until it returns."""
    go = partial(next, steps)
    while True:
        try:
            step = go()
        except StopIteration as end:
            return end.value
        try:
            go = partial(steps.send, step())
        except BaseException as error:
            go = partial(steps.throw, error)


async def _walk_async(steps: Steps) -> Any:
    """As `_walk`, awaiting what can be awaited."""
    go = partial(next, steps)
    while True:
        try:
            step = go()
        except StopIteration as end:
            return end.value
        try:
            result = step()
            go = partial(steps.send, await result if inspect.isawaitable(result) else result)
        except BaseException as error:
            go = partial(steps.throw, error)
