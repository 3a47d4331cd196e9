"""How those stand whom this guard heeds beside its own rules: guards of the same accounts, members of the same fund.

What is not known is null, never absent and never 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FundMemberStatus:
    """A member's row in the fund's ledger, as it was read last. Amounts in the fund's currency."""

    name: str
    budget: str | None
    wants: str | None
    asks: str | None
    trip_id: str | None
    has_left: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FundSumStatus:
    """What all members have lost together, between `least` and `most`; null: not known. silent: who is not heard."""

    least: str | None
    most: str | None
    is_breached: bool | None
    is_undecided: bool | None
    silent: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FundStatus:
    """This guard as a member of a fund. Amounts in `currency`; null: not known, or not joined yet.

    why_not: why it may not trade by the fund; null where it may. least, most: between these is what was lost of the
    budget; headroom: what of it is surely left. told: whether the ledger has the trip; null without one. why_still: why
    no headroom moves. ledger_error: why the ledger can't be read, `read_s` ago it was. total: null without readings.
    """

    name: str
    member: str
    limit: str
    currency: str
    is_joined: bool | None
    may_trade: bool | None
    why_not: str | None
    budget: str | None
    least: str | None
    most: str | None
    headroom: str | None
    asks: str | None
    trip_id: str | None
    told: bool | None
    why_still: str | None
    ledger_error: str | None
    read_s: float | None
    members: tuple[FundMemberStatus, ...]
    total: FundSumStatus | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """Another guard over the same accounts. heard: it said anything where they meet. here: it spoke a moment ago.

    cause, reason: what it holds against all new orders; null: nothing.
    """

    name: str
    heard: bool | None
    here: bool | None
    cause: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardsStatus:
    """This guard among those over the same accounts. opens: which has the right to open, with the number `epoch`,
    `since` then as far as this run knows; null: nobody, or it is not known.

    answered_s ago the place where they meet answered; reason: why nothing is known from it now.
    """

    name: str
    opens: str | None
    epoch: int | None
    since: str | None
    answered_s: float | None
    reason: str | None
    peers: tuple[PeerStatus, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """For people: who opens, and then each peer."""
        if self.reason is not None or self.answered_s is None:
            why = self.reason or "nothing is told of it"
            return (f"who has the right to open is not known: {why}", *map(_peer_words, self.peers))
        whose = "this guard has" if self.opens == self.name else f"guard {self.opens} has"
        opens = f"{whose} the right to open, epoch {self.epoch}" if self.opens else "nobody has the right to open"
        return (opens, *map(_peer_words, self.peers))


def _peer_words(peer: PeerStatus) -> str:
    if peer.heard is not True:
        return f"guard {peer.name} was not heard of"
    there = {True: "is there", False: "is NOT THERE", None: "may be there"}[peer.here]
    holds = "holds nothing" if peer.cause is None else f"keeps all shut: {peer.cause}: {peer.reason}"
    return f"guard {peer.name} {there}, and {holds}"
