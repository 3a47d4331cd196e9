"""The admin face, `/_sim/`: JSON in, JSON out, 400 with a sentence for anything that makes no sense.

GET    state
POST   balance   asset, amount, wallet?, kind?, delay_ledger_ms?, delay_balance_ms?      kind "none": no book shows it
POST   price     symbol | asset, price   or   prices {symbol: price}
POST   position  symbol, quantity (signed, 0 removes), entry, side?, isolated?   side: long or short, where both may be
POST   order     symbol, side, type, quantity, price?, trigger_price?, client_order_id?, reduce_only?, leveraged?,
                 isolated?, book?, position_side?, close_position?, count?, age_s?
                 book: the venue's own name of the one that holds it
DELETE order     order_id?                  without: all
POST   fill      order_id, quantity?
POST   depth     symbol, quantity, rests?, count?   of a market order only this much is executed; the rest rests or
                 expires; for the next `count` of them. DELETE depth ends it
POST   trigger   order_id, gap_ms?          leaves its book; a plain order stands for it, gap_ms later
POST   flow      asset, amount, kind?, wallet?, fee?, effect?, delay_ledger_ms?, delay_balance_ms?
                 kind internal: from or to another user of the venue, over no chain
                 effect false: a row that no balance ever shows, such as a withdrawal that was cancelled
POST   transfer  asset, amount, source, target      between two wallets
POST   debt      asset, amount, wallet?             borrowed, or below zero given back
POST   delist    symbol                     gone from the market lists; what rests in it goes on resting
POST   clock     skew_s                     how far the venue's clock is ahead
POST   key       may_withdraw?, bound_to?, read_only?      what it tells of the key
POST   switch    switch, value              what its documentation leaves open, or an account may choose: by the face
POST   trade     symbol, side, quantity, price?, fee?, rows_apart_ms?, delay_ledger_ms?, delay_balance_ms?
POST   funding   symbol, amount
POST   limit     ceiling, decay_per_s       kraken counts calls from now on: 15 and 0.33, or 20 and 0.5; DELETE ends it
POST   fees      ratio                      what executed orders cost from now on
POST   fault     how, target?, count?, delay_ms?, retry_after_s?, field?, text?, carried_out?
DELETE fault     id?                        without: all
POST   bot       symbol, side?, type?, quantity?, price?, trigger_price?, every_ms, prefix?, id?, strategy?
                 strategy: the venue's own bot, of this kind: it outlives every cancel of its orders
DELETE bot       id?                        without: all
POST   socket    action: drop | half | garbage | silent | frozen | close | heal; code?: of a close, 1001
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from adapters.simulated.accounts import Late
from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import FaultBook
from adapters.simulated.model import Bot, Depth, OrderDraft, Refused
from adapters.simulated.wire.base import CallCounter, Key

_B = TypeVar("_B", bound=BaseModel)


class BadRequest(Exception):
    """The admin request is refused; the text says why."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Dated(_Body):
    delay_ledger_ms: FiniteFloat = Field(0, ge=0)
    delay_balance_ms: FiniteFloat = Field(0, ge=0)

    def late(self, *, has_effect: bool = True) -> Late:
        return Late(self.delay_balance_ms / 1000, self.delay_ledger_ms / 1000, has_effect)


class _Balance(_Dated):
    asset: str
    amount: Decimal
    wallet: str | None = None
    kind: str = "trade"


class _Price(_Body):
    symbol: str | None = None
    asset: str | None = None
    price: Decimal | None = None
    prices: dict[str, Decimal] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_form(self) -> _Price:
        named = (self.symbol is not None) + (self.asset is not None)
        if bool(self.prices) == bool(named) or named > 1 or (named == 1) != (self.price is not None):
            raise ValueError("give symbol and price, or asset and price, or prices")
        return self


class _Position(_Body):
    symbol: str
    quantity: Decimal
    entry: Decimal = Decimal(0)
    side: Literal["", "long", "short"] = ""
    isolated: bool = False


class _Order(_Body):
    symbol: str
    side: Literal["buy", "sell"] = "buy"
    type: str = "limit"
    quantity: Decimal = Decimal("0.001")
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    client_order_id: str | None = None
    reduce_only: bool = False
    leveraged: bool = False
    isolated: bool = False
    book: str = ""
    position_side: Literal["", "long", "short"] = ""
    close_position: bool = False

    def draft(self) -> OrderDraft:
        return OrderDraft(
            self.symbol,
            self.side,
            _ORDER_TYPES.get(self.type, self.type),
            self.quantity,
            self.price,
            self.trigger_price,
            self.client_order_id,
            self.reduce_only,
            self.leveraged,
            self.isolated,
            self.book,
            self.position_side,
            self.close_position,
        )


class _Orders(_Order):
    count: int = Field(1, ge=1, le=10_000)
    age_s: FiniteFloat = Field(0, ge=0)


class _OneOrder(_Body):
    order_id: str | None = None


class _Fill(_Body):
    order_id: str
    quantity: Decimal | None = None


class _Depth(_Body):
    symbol: str
    quantity: Decimal = Field(ge=0)
    rests: bool = False
    count: int | None = Field(None, ge=1)


class _Trigger(_Body):
    order_id: str
    gap_ms: FiniteFloat = Field(0, ge=0)


class _Flow(_Dated):
    asset: str
    amount: Decimal
    kind: (
        Literal["deposit", "withdrawal", "transfer", "sub_transfer", "internal", "rebate", "airdrop", "interest"] | None
    ) = None
    wallet: str | None = None
    fee: Decimal = Field(Decimal(0), ge=0)
    effect: bool = True


class _Transfer(_Body):
    asset: str
    amount: Decimal = Field(gt=0)
    source: str
    target: str


class _Debt(_Body):
    asset: str
    amount: Decimal
    wallet: str | None = None


class _Symbol(_Body):
    symbol: str


class _Skew(_Body):
    skew_s: FiniteFloat


class _Key(_Body):
    may_withdraw: bool = False
    bound_to: str = ""
    read_only: bool = False


class _Switch(_Body):
    switch: str
    value: str


class _Trade(_Dated):
    symbol: str
    side: Literal["buy", "sell"]
    quantity: Decimal
    price: Decimal | None = None
    fee: Decimal = Field(Decimal(0), ge=0)
    rows_apart_ms: FiniteFloat = Field(0, ge=0)


class _Funding(_Body):
    symbol: str
    amount: Decimal


class _Fees(_Body):
    ratio: Decimal = Field(ge=0, lt=1)


class _Limit(_Body):
    ceiling: FiniteFloat = Field(gt=0)
    decay_per_s: FiniteFloat = Field(gt=0)


class _Bot(_Order):
    every_ms: FiniteFloat = Field(gt=0)
    prefix: str = "bot"
    id: str | None = None
    strategy: str = ""


class _Named(_Body):
    id: str | None = None


class _Socket(_Body):
    action: Literal["drop", "half", "garbage", "silent", "frozen", "close", "heal"]
    code: int = Field(1001, ge=1000, le=4999)


_ORDER_TYPES = {"stop": "stop_loss", "stop_limit": "stop_loss_limit"}


class Admin:
    """Carries out admin requests on an exchange, its faults and its sockets.

    sockets: what can be done to all sockets at once: `drop` cuts them, `half` after the first half of a frame,
    `garbage` sends one that is not JSON. close: ends them with a close code. skew: sets the venue's clock.
    switches: of the face, by name.
    """

    def __init__(
        self,
        exchange: Exchange,
        faults: FaultBook,
        key: Key,
        *,
        sockets: Mapping[str, Callable[[], None]],
        close: Callable[[int], None],
        skew: Callable[[float], None],
        switches: dict[str, str] | None = None,
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._key = key
        self._sockets = sockets
        self._close = close
        self._skew = skew
        self._switches = {} if switches is None else switches
        self._handlers: dict[tuple[str, str], Callable[[Any, float], dict[str, Any]]] = {
            ("POST", "balance"): _with(_Balance, self._balance),
            ("POST", "price"): _with(_Price, self._price),
            ("POST", "position"): _with(_Position, self._position),
            ("POST", "order"): _with(_Orders, self._order),
            ("DELETE", "order"): _with(_OneOrder, self._cancel),
            ("POST", "fill"): _with(_Fill, self._fill),
            ("POST", "depth"): _with(_Depth, self._set_depth),
            ("DELETE", "depth"): _with(_Body, self._forget_depths),
            ("POST", "trigger"): _with(_Trigger, self._trigger),
            ("POST", "flow"): _with(_Flow, self._flow),
            ("POST", "transfer"): _with(_Transfer, self._transfer),
            ("POST", "debt"): _with(_Debt, self._debt),
            ("POST", "delist"): _with(_Symbol, self._delist),
            ("POST", "clock"): _with(_Skew, self._set_clock),
            ("POST", "key"): _with(_Key, self._set_key),
            ("POST", "switch"): _with(_Switch, self._set_switch),
            ("POST", "trade"): _with(_Trade, self._trade),
            ("POST", "funding"): _with(_Funding, self._funding),
            ("POST", "fees"): _with(_Fees, self._fees),
            ("POST", "limit"): _with(_Limit, self._limit),
            ("DELETE", "limit"): _with(_Body, self._unlimit),
            ("POST", "bot"): _with(_Bot, self._start_bot),
            ("DELETE", "bot"): _with(_Named, self._stop_bots),
            ("POST", "fault"): self._add_fault,
            ("DELETE", "fault"): _with(_Named, self._heal),
            ("POST", "socket"): _with(_Socket, self._socket),
        }

    def handle(self, method: str, name: str, body: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Carry out one request. Raises BadRequest with a sentence."""
        handler = self._handlers.get((method, name))
        if handler is None:
            known = ", ".join(f"{verb} {path}" for verb, path in self._handlers)
            raise BadRequest(f"{method} /_sim/{name} is unknown; known are GET state, {known}")
        try:
            return handler(body, now)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise BadRequest(f"{where}: {first['msg']}") from None
        except (Refused, ValueError) as error:
            raise BadRequest(str(error)) from None

    def _balance(self, body: _Balance, now: float) -> dict[str, Any]:
        self._exchange.set_balance(body.asset, body.amount, now, wallet=body.wallet, kind=body.kind, late=body.late())
        return {}

    def _price(self, body: _Price, _: float) -> dict[str, Any]:
        if body.asset is not None and body.price is not None:
            self._exchange.set_asset_price(body.asset, body.price)
        named = {body.symbol: body.price} if body.symbol is not None and body.price is not None else {}
        for symbol, price in (body.prices | named).items():
            self._exchange.set_price(symbol, price)
        return {}

    def _position(self, body: _Position, now: float) -> dict[str, Any]:
        self._exchange.set_position(body.symbol, body.quantity, body.entry, now, side=body.side, isolated=body.isolated)
        return {}

    def _order(self, body: _Orders, now: float) -> dict[str, Any]:
        placed_wall = now - body.age_s
        placed = [self._exchange.place(body.draft(), placed_wall, checked=False)[0] for _ in range(body.count)]
        return {"order_id": placed[0].order_id, "order_ids": [order.order_id for order in placed]}

    def _cancel(self, body: _OneOrder, now: float) -> dict[str, Any]:
        if body.order_id is None:
            return {"cancelled": len(self._exchange.cancel_all(now, how="admin"))}
        self._exchange.cancel(body.order_id, now, how="admin")
        return {"cancelled": 1}

    def _fill(self, body: _Fill, now: float) -> dict[str, Any]:
        fill = self._exchange.fill(body.order_id, now, quantity=body.quantity)
        return {"quantity": str(fill.quantity), "price": str(fill.price)}

    def _set_depth(self, body: _Depth, _: float) -> dict[str, Any]:
        symbol = self._exchange.instrument(body.symbol).symbol
        self._exchange.depths[symbol] = Depth(body.quantity, body.rests, body.count)
        return {}

    def _forget_depths(self, _: _Body, __: float) -> dict[str, Any]:
        self._exchange.depths.clear()
        return {}

    def _trigger(self, body: _Trigger, now: float) -> dict[str, Any]:
        self._exchange.trigger(body.order_id, now, gap_s=body.gap_ms / 1000)
        return {}

    def _flow(self, body: _Flow, now: float) -> dict[str, Any]:
        row = self._exchange.flow(
            body.asset,
            body.amount,
            now,
            kind=body.kind,
            wallet=body.wallet,
            fee=body.fee,
            late=body.late(has_effect=body.effect),
        )
        return {"ledger_number": row.number}

    def _transfer(self, body: _Transfer, now: float) -> dict[str, Any]:
        self._exchange.transfer(body.asset, body.amount, now, source=body.source, target=body.target)
        return {}

    def _debt(self, body: _Debt, now: float) -> dict[str, Any]:
        self._exchange.borrow(body.asset, body.amount, now, wallet=body.wallet)
        return {}

    def _delist(self, body: _Symbol, _: float) -> dict[str, Any]:
        self._exchange.delist(body.symbol)
        return {}

    def _set_clock(self, body: _Skew, _: float) -> dict[str, Any]:
        self._skew(body.skew_s)
        return {}

    def _set_key(self, body: _Key, _: float) -> dict[str, Any]:
        self._key.may_withdraw, self._key.bound_to = body.may_withdraw, body.bound_to
        self._key.read_only = body.read_only
        return {}

    def _set_switch(self, body: _Switch, _: float) -> dict[str, Any]:
        if body.switch not in self._switches:
            raise BadRequest(
                f"there is no switch {body.switch!r}; known are {', '.join(sorted(self._switches)) or 'none'}"
            )
        self._switches[body.switch] = body.value
        return {}

    def _trade(self, body: _Trade, now: float) -> dict[str, Any]:
        symbol = self._exchange.instrument(body.symbol).symbol
        price = body.price or self._exchange.quotes[symbol].mark
        apart = body.rows_apart_ms / 1000
        self._exchange.trade(
            symbol, body.side, body.quantity, price, now, fee=body.fee, rows_apart_s=apart, late=body.late()
        )
        return {}

    def _funding(self, body: _Funding, now: float) -> dict[str, Any]:
        self._exchange.pay_funding(body.symbol, body.amount, now)
        return {}

    def _fees(self, body: _Fees, _: float) -> dict[str, Any]:
        self._exchange.fee_ratio = body.ratio
        return {}

    def _limit(self, body: _Limit, now: float) -> dict[str, Any]:
        self._key.counter = CallCounter(body.ceiling, body.decay_per_s, wall=now)
        return {}

    def _unlimit(self, _: _Body, __: float) -> dict[str, Any]:
        self._key.counter = None
        return {}

    def _start_bot(self, body: _Bot, now: float) -> dict[str, Any]:
        bot_id = body.id or body.prefix
        bot = Bot(bot_id, body.draft(), body.every_ms / 1000, body.prefix, body.strategy)
        self._exchange.start_bot(bot, now)
        return {"id": bot_id}

    def _stop_bots(self, body: _Named, _: float) -> dict[str, Any]:
        self._exchange.stop_bots(body.id)
        return {}

    def _add_fault(self, body: Mapping[str, Any], _: float) -> dict[str, Any]:
        fault = self._faults.add(body)
        if fault.how == "socket_drop":
            self._sockets["drop"]()
        return {"id": fault.fault_id}

    def _heal(self, body: _Named, _: float) -> dict[str, Any]:
        self._faults.heal(body.id)
        return {}

    def _socket(self, body: _Socket, _: float) -> dict[str, Any]:
        if body.action in self._sockets:
            self._sockets[body.action]()
        elif body.action == "close":
            self._close(body.code)
        elif body.action == "heal":
            self._faults.heal_sockets()
        else:
            self._faults.add({"how": f"socket_{body.action}"})
        return {}


def _with(model: type[_B], handler: Callable[[_B, float], dict[str, Any]]) -> Callable[[Any, float], dict[str, Any]]:
    return lambda body, now: handler(model.model_validate(body), now)
