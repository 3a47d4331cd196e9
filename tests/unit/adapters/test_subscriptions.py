"""One question at a time: who was refused what, also where the venue's word names nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from adapters.subscriptions import Subscriptions
from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.model.account import Kind

ACCOUNT = frozenset({"account"})
A, B, C = "A/USD", "B/USD", "C/USD"


class Talk:
    """A wire that signs in first, if it must, and keys its questions by their kind."""

    url = "ws://x"
    silent_after_s = 1.0

    def __init__(self, *, signs_in: bool = False) -> None:
        self.signs_in = signs_in

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask | None:
        if self.signs_in:
            return Ask(key="login", kind=kind, names=frozenset(), message={})
        return Ask(key=kind, kind=kind, names=names, message={})

    def hear(self, message: Mapping[str, Any]) -> Said:
        pytest.fail("nothing is heard here")


def asked(subscriptions: Subscriptions, talk: Talk | None = None) -> tuple[Kind, frozenset[str]] | None:
    ask = subscriptions.next(talk or Talk())
    return None if ask is None else (ask.kind, ask.names)


def wanting(**wanted: frozenset[str]) -> Subscriptions:
    subscriptions = Subscriptions()
    subscriptions.wanted = {Kind(kind): names for kind, names in wanted.items()}
    return subscriptions


def test_the_next_is_asked_when_the_last_was_answered() -> None:
    subscriptions = wanting(balances=ACCOUNT, orders=ACCOUNT)
    assert asked(subscriptions) == (Kind.BALANCES, ACCOUNT)
    assert subscriptions.is_waiting
    assert asked(subscriptions) is None
    assert subscriptions.answer(Taken()) is None
    assert asked(subscriptions) == (Kind.ORDERS, ACCOUNT)
    assert subscriptions.answer(Taken()) is None
    assert asked(subscriptions) is None
    assert not subscriptions.is_waiting


def test_an_answer_to_something_else_answers_nothing() -> None:
    subscriptions = wanting(balances=ACCOUNT)
    assert subscriptions.answer(Refused("nobody asked")) is None
    asked(subscriptions)
    assert subscriptions.answer(Refused("old", key="another")) is None
    assert subscriptions.is_waiting
    assert subscriptions.answer(Refused("no", key=Kind.BALANCES)) == (Kind.BALANCES, "no")


def test_each_name_is_answered_by_itself() -> None:
    subscriptions = wanting(prices=frozenset({A, B}))
    asked(subscriptions)
    subscriptions.answer(Taken(names=frozenset({A})))
    assert subscriptions.is_waiting
    assert subscriptions.answer(Refused("no such pair", names=frozenset({B}))) is None, "one of two streams"
    assert asked(subscriptions) is None, "and is not asked for again"
    subscriptions.wanted[Kind.PRICES] = frozenset({A, B, C})
    assert asked(subscriptions) == (Kind.PRICES, frozenset({C}))


def test_a_refusal_that_names_none_of_several_asks_for_each_alone() -> None:
    subscriptions = wanting(prices=frozenset({A, B}))
    asked(subscriptions)
    assert subscriptions.answer(Refused("Invalid product id")) is None
    assert asked(subscriptions) == (Kind.PRICES, frozenset({A}))
    assert subscriptions.answer(Refused("Invalid product id")) is None
    assert asked(subscriptions) == (Kind.PRICES, frozenset({B}))
    assert subscriptions.answer(Taken()) is None


def test_when_nothing_is_taken_it_is_told() -> None:
    subscriptions = wanting(prices=frozenset({A, B}))
    asked(subscriptions)
    subscriptions.answer(Refused("Invalid product id"))
    asked(subscriptions)
    subscriptions.answer(Refused("first"))
    asked(subscriptions)
    assert subscriptions.answer(Refused("last")) == (Kind.PRICES, "last")


def test_who_may_not_sign_in_gets_nothing_of_that_stream() -> None:
    subscriptions, talk = wanting(balances=ACCOUNT, orders=ACCOUNT), Talk(signs_in=True)
    assert asked(subscriptions, talk) == (Kind.BALANCES, frozenset())
    assert subscriptions.answer(Refused("Invalid API key")) == (Kind.BALANCES, "Invalid API key")
    assert asked(subscriptions, talk) == (Kind.ORDERS, frozenset())
    subscriptions.answer(Taken("login"))
    talk.signs_in = False
    assert asked(subscriptions, talk) == (Kind.ORDERS, ACCOUNT)


def test_what_was_forgotten_is_asked_for_anew() -> None:
    subscriptions = wanting(orders=ACCOUNT)
    asked(subscriptions)
    assert subscriptions.answer(Refused("no")) == (Kind.ORDERS, "no")
    assert asked(subscriptions) is None
    subscriptions.forget(Kind.ORDERS)
    assert asked(subscriptions) is None
    subscriptions.wanted[Kind.ORDERS] = ACCOUNT
    assert asked(subscriptions) == (Kind.ORDERS, ACCOUNT)


class HalfTalk(Talk):
    """A wire on which one name is told and another is not."""

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask | None:
        ours = names - {A}
        return Ask(key=kind, kind=kind, names=ours, message={}) if ours else None


def test_what_another_line_tells_does_not_hide_what_is_to_be_asked_for_by_itself() -> None:
    subscriptions = wanting(prices=frozenset({A, B, C}))
    talk = HalfTalk()
    assert asked(subscriptions, talk) == (Kind.PRICES, {B, C})
    assert subscriptions.answer(Refused("one of them")) is None
    assert asked(subscriptions, talk) == (Kind.PRICES, {B})
    assert subscriptions.answer(Taken()) is None
    assert asked(subscriptions, talk) == (Kind.PRICES, {C})
    assert subscriptions.answer(Refused("that one")) is None
    assert asked(subscriptions, talk) is None
