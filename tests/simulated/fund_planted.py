"""Bugs planted into the fund's budgets, each a single place that is easily written wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from risk_daemon.fund import escrow, membership
from risk_daemon.fund import sum as fund_sum
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.ledger import Books, Row
from risk_daemon.fund.messages import LossRead, LossUnknown
from tests.simulated import fund_readings

Plant = Callable[[], AbstractContextManager[Any]]


def _row_that_is_wanted(state: Escrow) -> Row | None:
    """What shall be durable is published as if it were."""
    row, books = state.wanted, state.books
    if books is None or state.superseded is not None or state.published == (state.revision, row):
        return None
    return None if books.rows.get(row.seat) == row else row


def published_before_durable() -> AbstractContextManager[Any]:
    """The receiver raises its budget before what lowers the giver's is on disk."""
    return patch.object(escrow, "_row_to_publish", _row_that_is_wanted)


class PublishedBeforeLowered:
    """The giver goes by what it had until the disk has said its word, and tells the others before that."""

    def __init__(self) -> None:
        self.patches = (
            patch.object(escrow, "_row_to_publish", _row_that_is_wanted),
            patch.object(Escrow, "budget", property(lambda self: self.kept.budget)),
        )

    def __enter__(self) -> None:
        for one in self.patches:
            one.start()

    def __exit__(self, *_: object) -> None:
        for one in self.patches:
            one.stop()


def published_before_lowered() -> AbstractContextManager[Any]:
    return PublishedBeforeLowered()


def taken_twice() -> AbstractContextManager[Any]:
    """What a giver's row says is added each time it is read."""

    def added(taken: Mapping[str, Decimal], offered: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        return {**taken, **{seat: taken.get(seat, Decimal(0)) + amount for seat, amount in offered.items() if amount}}

    return patch.object(escrow, "_credited", added)


def restart_forgets_a_debit() -> AbstractContextManager[Any]:
    """What a member has given is not read back from its document."""
    restore = membership.restore

    def forgetful(document: Mapping[str, Any], place: str) -> Any:
        return restore({**document, "row": {**document["row"], "given": {}}}, place)

    return patch.object(membership, "restore", forgetful)


def record_before_state() -> AbstractContextManager[Any]:
    """A member believes what the ledger says of it, not what it has written down itself."""

    def believing(state: Escrow, books: Books) -> Escrow:
        theirs = books.rows.get(state.seat)
        given = {} if theirs is None else theirs.given
        return state if given == state.wanted.given else replace(state, wanted=state.wanted.next(given=given))

    return patch.object(escrow, "_given_as_known", believing)


def limit_is_no_loss() -> AbstractContextManager[Any]:
    """At its budget exactly a member goes on."""

    def later(self: Escrow) -> bool:
        return self.is_guarding and self.loss is not None and self.loss.least > self.budget

    return patch.object(Escrow, "is_breached", property(later))


def unknown_is_nothing() -> AbstractContextManager[Any]:
    """A loss that can't be said is none."""
    step = escrow.step

    def hopeful(state: Escrow, event: Any) -> Any:
        nothing = LossRead(least=Decimal(0), most=Decimal(0))
        return step(state, nothing if isinstance(event, LossUnknown) else event)

    return patch.object(escrow, "step", hopeful)


def leaver_takes_all_along() -> AbstractContextManager[Any]:
    """Whoever leaves hands on its whole budget, as if it had lost nothing."""
    return patch.object(escrow, "_spare_of_a_leaver", lambda state, _loss: state.budget)


def copy_is_acted_on() -> AbstractContextManager[Any]:
    """A state is good wherever it is."""
    restore = membership.restore

    def anywhere(document: Mapping[str, Any], _place: str) -> Any:
        return restore(document, document["row"]["place"])

    return patch.object(membership, "restore", anywhere)


def garbage_is_nothing() -> AbstractContextManager[Any]:
    """What is no record is an empty one."""
    of = Books.of

    def lenient(document: Any) -> Books:
        try:
            return of(document)
        except ValueError:
            return of({**document, "rows": {}}) if isinstance(document, dict) and "charter" in document else _nothing()

    def _nothing() -> Books:
        raise ValueError("not even a charter")

    return patch.object(Books, "of", lenient)


def trip_is_kept_to_oneself() -> AbstractContextManager[Any]:
    """A member that trips tells nobody."""

    def silent(state: Escrow, trip_id: str, reason: str) -> Any:
        from risk_daemon.fund.messages import TripFund

        return state, (TripFund(trip_id, reason),)

    return patch.object(escrow, "_tripped", silent)


def unheard_is_nothing() -> AbstractContextManager[Any]:
    """Who was never heard has lost nothing, and is not missed."""
    judge = fund_sum.judge

    def hopeful(readings: Any, members: Any, *rest: Any) -> Any:
        return judge(readings, [member for member in members if member in readings], *rest)

    return patch.object(fund_sum, "judge", hopeful)


def old_is_new() -> AbstractContextManager[Any]:
    """A reading is believed for as long as there is no other."""
    return patch.object(fund_sum, "_is_fresh", lambda *_: True)


def counts_from_one_again() -> AbstractContextManager[Any]:
    """A guard that was started anew counts its readings from one, and nobody hears it."""
    return patch.object(fund_readings, "sequence_of", lambda _life, count: count)


def sum_trips_nothing() -> AbstractContextManager[Any]:
    """A limit that is surely lost is looked at, and no more."""

    def watching(state: Escrow, verdict: Any) -> Any:
        return escrow.settled(replace(state, sum=verdict))

    return patch.object(escrow, "_summed", watching)


def doubt_opens() -> AbstractContextManager[Any]:
    """A limit that may be lost shuts nothing."""
    return patch.object(Escrow, "is_sum_undecided", property(lambda _self: False))


FOUR: dict[str, Plant] = {
    "the receiver raises before the giver is durable": published_before_durable,
    "the giver publishes before it lowers": published_before_lowered,
    "a credit is taken twice": taken_twice,
    "a restart forgets a debit": restart_forgets_a_debit,
}
"""The orders that a transfer must not have."""

MORE: dict[str, Plant] = {
    "the record goes before the state": record_before_state,
    "the limit itself is no loss": limit_is_no_loss,
    "an unknown loss is none": unknown_is_nothing,
    "a leaver takes all along": leaver_takes_all_along,
    "a copy of a state is acted on": copy_is_acted_on,
    "garbage is an empty record": garbage_is_nothing,
    "a trip is kept to oneself": trip_is_kept_to_oneself,
}

OF_THE_SUM: dict[str, Plant] = {
    "who is not heard has lost nothing": unheard_is_nothing,
    "an old reading is a new one": old_is_new,
    "a restart counts from one again": counts_from_one_again,
    "a lost limit trips nothing": sum_trips_nothing,
    "a limit that may be lost opens": doubt_opens,
}
"""Of what is reckoned beside the budgets."""

PLANTS: dict[str, Plant] = {**FOUR, **MORE, **OF_THE_SUM}
