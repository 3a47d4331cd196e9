"""What happens to a member of a fund, and what is to be done about it: plain records."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.fund.ledger import JsonObject, LedgerRead
from risk_daemon.fund.sum import Verdict

# --- what happens ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRead:
    """What was lost since the member was funded, flows taken out, in money: between `least` and `most`."""

    least: Decimal
    most: Decimal


@dataclass(frozen=True, slots=True)
class LossUnknown:
    """What was lost can't be said any more. That is not "nothing was"."""


@dataclass(frozen=True, slots=True)
class SumRead:
    """What all members have lost together, as this one judges it now: said again whenever it may have changed, and as
    time goes by without a word of anybody."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Durable:
    """The document of that sequence is on disk."""

    sequence: int


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The document of that sequence is on disk or not. It is tried again with the next event."""

    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Give:
    """Headroom for another member, by an operator or by `lending`."""

    to: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Ask:
    """How much headroom this member lacks; zero: none."""

    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Out of the fund, what is left of the budget to another member, if there is one.

    loss: what was lost, for good. is_proven: every account was proven to have no order, and no holding or position
    whose worth moves.
    """

    to: str | None
    loss: Decimal
    is_proven: bool


Event = LossRead | LossUnknown | SumRead | LedgerRead | Durable | WriteFailed | Give | Ask | Leave


# --- what is to be done ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MakeDurable:
    """Write the member's document; then `Durable` or `WriteFailed` with its sequence."""

    sequence: int
    document: JsonObject


@dataclass(frozen=True, slots=True)
class Publish:
    """Put it into the ledger if its revision is still this one; then read it, and `LedgerRead`."""

    revision: str | None
    document: JsonObject


@dataclass(frozen=True, slots=True)
class TripFund:
    """Stop everything here, under this id, whatever becomes of the other actions. Again after a restart."""

    trip_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """What was asked or read is refused and changed nothing; a sentence that says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tell:
    """A sentence for people: something is as it should not be."""

    what: str


Action = MakeDurable | Publish | TripFund | Refuse | Tell
Actions = tuple[Action, ...]
