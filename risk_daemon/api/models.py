"""What bots and people send and get: the one source of validation and of `/openapi.json`.

Strict: no text for a boolean, no number for a text, nothing unknown. Amounts are texts or JSON numbers and
become Decimals exactly as they are written.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from risk_daemon.api.values import Ago, Amount, Name, OrderId, OrderType, OwnWords, Seconds, Side, Text
from risk_daemon.model.events import ErrorKind


class Body(BaseModel):
    """Something sent to the daemon."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Document(BaseModel):
    """Something the daemon answers; for the description only."""

    model_config = ConfigDict(extra="allow")


# --- what bots send --------------------------------------------------------------------------------


class RefusedOrder(Body):
    """An order that was refused before anybody looked at it closely."""

    venue: Name = Field(description="As the daemon's configuration calls it.", examples=["kraken"])
    symbol: Name = Field(description="As ccxt writes it.", examples=["BTC/USDT"])
    side: Side
    type: OrderType = Field("limit", description="`limit` needs a price; a `market` order's price is not looked at.")
    quantity: Amount = Field(description="In the venue's own unit.", examples=["0.01"])
    price: Amount | None = Field(None, examples=["60000"])
    reduce_only: bool = False
    client_order_id: OrderId | None = None


class OrderCheck(RefusedOrder):
    """An order that a bot wants to send, or to amend: as it would be afterwards."""

    @model_validator(mode="after")
    def _limit_has_price(self) -> Self:
        if self.price is None and self.type == "limit":
            raise ValueError("is of a limit order without a price")
        return self


class SentReport(Body):
    """An order was sent to the venue."""

    kind: Literal["sent"]
    venue: Name
    symbol: Name
    side: Side
    order_id: OrderId | None = None
    client_order_id: OrderId | None = None


class RejectedReport(Body):
    """The venue rejected an order. Counts as an error of the kind `order_rejected`."""

    kind: Literal["rejected"]
    error_kind: Literal["order_rejected"] = "order_rejected"
    venue: Name | None = None
    detail: OwnWords = ""


class ErrorReport(Body):
    """Something went wrong for the bot. `expected` (insufficient funds and the like) does not count."""

    kind: Literal["error"]
    error_kind: Annotated[ErrorKind, Field(strict=False)]
    venue: Name | None = None
    detail: OwnWords = ""


class VetoedReport(Body):
    """The gate's memory map refused an order, or what was not read as one: for the file of vetoes."""

    kind: Literal["vetoed"]
    veto_reason: Name
    detail: OwnWords = ""
    order: RefusedOrder | None = None
    ago_s: Ago = Field(0.0, description="How long ago it was refused, in seconds.")
    untold: int = Field(0, ge=0, le=1_000_000_000, description="How many before it found no room and are not told.")


OrderReport = Annotated[SentReport | RejectedReport | ErrorReport | VetoedReport, Field(discriminator="kind")]


# --- what operators send ---------------------------------------------------------------------------


class Halt(Body):
    """Stop everything; or, with `venue` or `bot`, refuse the new orders of that one."""

    reason: Text
    operator: Text | None = Field(None, description="Who asks, beside what the token or the socket says.")
    venue: Name | None = None
    bot: Name | None = None

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        if self.venue is not None and self.bot is not None:
            raise ValueError("names a venue and a bot: halt one after the other")
        return self


class Release(Body):
    """End the halt of one venue or one bot, or the one of everything that a state from a server begins with."""

    reason: Text
    operator: Text | None = None
    venue: Name | None = None
    bot: Name | None = None
    everything: bool = False

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        if (self.venue is not None) + (self.bot is not None) + self.everything != 1:
            raise ValueError("must name a venue, a bot or everything; a trip by a halt is ended by a reset")
        return self


class Reset(Body):
    """End a trip. `keep` the baselines, or measure from the `current` equity. `dry_run` only says whether it may."""

    reason: Text
    rebaseline: Literal["keep", "current"]
    dry_run: bool = False


class CancelAll(Body):
    """Cancel every open order, of one venue or one market where these are named. The lock stays as it is."""

    venue: Name | None = None
    market: Literal["spot", "perp"] | None = None


class ClosePositions(Body):
    """Cancel every open order and close every position, of one venue where it is named. The lock stays as it is."""

    venue: Name | None = None


class FundTransfer(Body):
    """Give another member of the fund a part of this one's budget, in the fund's currency."""

    to: Name
    amount: Amount


class Disable(Body):
    """Watch without acting, for a time."""

    for_s: Seconds
    reason: Text


class Enable(Body):
    """End a disable before its time."""


class Reload(Body):
    """Read the configuration again and take it, whole or not at all. `dry_run` only says what would come of it."""

    dry_run: bool = False
    acts: bool = Field(False, description="Take it also where a limit in it is passed already, and so acts at once.")
    digest: str | None = Field(None, max_length=64, description="Only the file that a dry run has looked at.")


class Acknowledge(Body):
    """Somebody has heard of a trip: it is not repeated any more. Without `trip_id` it is the one that is not over."""

    trip_id: Name | None = None


class TestAlerts(Body):
    """Send a test through every channel, or the one that is named."""

    channel: Name | None = None


class EnrollWarden(Body):
    """Somebody is to be a warden."""

    name: Name


class RevokeWarden(EnrollWarden):
    """Somebody is to be one no more."""

    reason: Text


class BreakGlass(Body):
    """Forget every warden, after a waiting time. `stop` leaves the glass whole instead, and needs no sentence."""

    sentence: str = Field("", max_length=200)
    stop: bool = False


class Withdraw(Body):
    """End the attempt of that name."""

    attempt: str = Field(max_length=64)


# --- what is answered ------------------------------------------------------------------------------


class Problem(Document):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


class Lease(Document):
    """This one order may be sent, within `valid_for_ms` from `time`."""

    allowed: Literal[True]
    time: str = Field(description="ISO 8601, UTC.")
    time_wall: float = Field(description="The same, in Unix seconds.")
    lease_id: str
    valid_for_ms: int


class Vetoed(Problem):
    """This order may not be sent."""

    veto_reason: str
    observed: dict[str, Any]
    limits: dict[str, Any]
    trip_id: str | None
    locked_until: str | None = Field(description="ISO 8601, UTC; null where no end is known.")
    time: str
    time_wall: float


class Taken(Document):
    """The report is in the queue."""

    accepted: Literal[True]


class Commanded(Document):
    """A command was carried out."""

    accepted: Literal[True]
    reason: str
    state: str | None = None
    trip_id: str | None = None


class NotCommanded(Problem):
    """A command was refused, and why."""

    accepted: bool | None = None
    state: str | None = None
    trip_id: str | None = None


class Asked(Document):
    """Nothing was done yet: wardens are asked, at `address`, with `code`. uri: of a new one's codes."""

    attempt: str
    address: str
    code: str
    needed: int
    lasts_s: float
    uri: str | None


class Attempted(Document):
    """How an attempt stands. Only where `end` has `done` true, it was done."""

    attempt: str
    purpose: str
    stage: Literal["agree", "enroll", "ended"]
    needed: int
    given: list[str]
    left_s: float
    end: dict[str, Any] | None


class Withdrawn(Document):
    """The attempt has ended."""

    accepted: Literal[True]


class Glass(Document):
    """Whether the waiting has begun, and when it ends; `done`: every warden is forgotten."""

    begun: bool
    done: bool
    due: str | None


class Swept(Document):
    """What a sweep found. Only `proven` true means that no order is open."""

    proven: bool
    venues: dict[str, Any] = {}


class Closed(Document):
    """What became of positions. Only `flat` true means that none is open, residuals apart."""

    flat: bool
    venues: dict[str, Any] = {}
    remaining: dict[str, str] | None = None


class KeyChanged(Document):
    """A key of the configuration, with its value before and after, as in the file."""

    key: str
    old: str
    new: str


class Breach(Document):
    """A limit that is passed already, and what it does."""

    breaker: str
    action: str
    reason: str


class Reloaded(Document):
    """What changed, or would; `taken` false: nothing was, for a dry run or a file that says what is in force."""

    accepted: Literal[True]
    taken: bool
    file: str
    digest: str
    changes: list[KeyChanged]
    looser: list[str]
    acts_at_once: list[Breach]


class Alerts(Document):
    """Who is told of what. standing: the trip that is not over; unusable: by channel, why; attempts: oldest first."""

    standing: dict[str, Any] | None
    channels: dict[str, Any]
    unusable: dict[str, str]
    attempts: list[dict[str, Any]]


class Acknowledged(Document):
    """It is not repeated any more."""

    accepted: Literal[True]
    trip_id: str


class AlertsTested(Document):
    """What came of it, by channel: `delivered`, `status`, `answer`."""

    channels: dict[str, Any]


_LINE_SCHEMA = {
    "type": "object",
    "properties": {"seq": {"type": "integer"}, "time": {"type": "string"}, "event": {"type": "string"}},
    "required": ["seq", "time", "event"],
}


class Event(Document):
    """One server-sent event: a line of the event log, without the hashes."""

    id: str = Field(description="The line's `seq`.")
    event: str = Field(description="The line's `event`.")
    data: Annotated[
        str, WithJsonSchema({"type": "string", "contentMediaType": "application/json", "contentSchema": _LINE_SCHEMA})
    ]


class History(Document):
    """Equity, a point a minute, oldest first."""

    points: list[dict[str, Any]]


class Alive(Document):
    """The evaluation loop turns."""

    alive: Literal[True]


class Ready(Document):
    """The baseline is complete, or a trip is being finished."""

    ready: Literal[True]
