"""The shared record: what is read back as it was written, what is refused, and what can't be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.fund.ledger import Books, Charter, Row
from tests.unit.fund.fund import CHARTER, LIMIT, row, two


def books(*rows: Row) -> Books:
    return Books(CHARTER, {one.seat: one for one in rows})


A = row("a", minted=LIMIT, given={"b.00000001": Decimal("400.5")}, sequence=3)
B = row("b", taken={"a.00000001": Decimal("400.5")}, trip="alpha-1", sequence=2)
BOTH = books(A, B)


def test_a_record_comes_back_through_json_as_it_was() -> None:
    assert Books.of(json.loads(json.dumps(BOTH.document()))) == BOTH
    assert Charter.of(CHARTER.document()) == CHARTER


def test_a_budget_is_what_was_minted_and_taken_less_what_was_given() -> None:
    assert (A.budget, B.budget) == (Decimal("599.5"), Decimal("400.5"))
    winner = row("c", taken={"a.00000001": Decimal(10)}, given={"b.00000001": Decimal(30)})
    assert winner.budget == -20
    assert winner.is_funded
    assert not row("d").is_funded


def test_a_budget_is_exact_however_large_and_small_its_parts() -> None:
    huge, tiny = Decimal("1" + "0" * 29), Decimal("1e-12")
    rich = row("c", taken={"a.00000001": huge, "b.00000001": tiny}, given={"d.00000001": huge})
    assert rich.budget == tiny


def test_the_first_of_several_trips_is_the_one() -> None:
    assert BOTH.trip == "alpha-1"
    assert books(row("a", trip="z"), row("b", trip="y")).trip == "y"
    assert books(A).trip is None


def test_what_those_had_lost_who_left_is_spent() -> None:
    gone = row("c", taken={"a.00000001": Decimal(70)}, has_left=True)
    assert books(A, B, gone).spent == 70
    assert BOTH.spent == 0


def test_a_member_is_found_by_its_name_if_there_is_one_of_it() -> None:
    assert BOTH.find("a") == A
    assert BOTH.find("c") is None
    assert books(A, B, row("b", 2)).find("b") is None


# --- what is refused ---------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], Any]


def at(*path: str, value: Any) -> Change:
    def change(document: dict[str, Any]) -> Any:
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return document

    return change


SEAT = "b.00000001"
ODD: dict[str, tuple[Change, str]] = {
    "nothing": (lambda _: None, "is no table"),
    "a list": (lambda _: [], "is no table"),
    "a text": (lambda _: "{}", "is no table"),
    "an empty table": (lambda _: {}, "format 'None'"),
    "another format": (at("format", value=2), "format '2', and this version knows 1"),
    "a format that is true": (at("format", value=True), "format 'True'"),
    "a key nobody knows": (at("news", value=1), "keys too many or too few: news"),
    "no charter": (at("charter", value=None), "the charter: 'None' is no table"),
    "a charter with more": (at("charter", "more", value=1), "keys too many"),
    "a fund without a name": (at("charter", "fund", value=""), "the charter's fund is no name"),
    "a founder that is a name": (at("charter", "founder", value="a"), "founder is no seat"),
    "a limit that is a number": (at("charter", "limit", value=1000), "limit is no amount"),
    "a limit of zero": (at("charter", "limit", value="0"), "limit is zero"),
    "a limit that is endless": (at("charter", "limit", value="Infinity"), "limit is no amount"),
    "a currency in small letters": (at("charter", "currency", value="usdt"), "is no asset"),
    "a founding nobody can read": (at("charter", "founding", value="\x00"), "is no text"),
    "rows in a list": (at("rows", value=[]), "is no table"),
    "half a row": (at("rows", SEAT, value={"seat": SEAT}), "keys too many or too few"),
    "a row of another one": (at("rows", "c.00000001", value=B.document()), "is that of b.00000001"),
    "a debt": (at("rows", SEAT, "taken", value={"a.00000001": "-5"}), "what was taken in the row of b.00000001"),
    "an amount finer than any": (at("rows", SEAT, "asks", value="0." + "0" * 12 + "1"), "what is asked"),
    "an amount that is none": (at("rows", SEAT, "minted", value="NaN"), "what was minted"),
    "an amount beyond all": (at("rows", SEAT, "minted", value="1e40"), "what was minted"),
    "a gift to oneself": (at("rows", SEAT, "given", value={SEAT: "5"}), "names the member itself"),
    "a gift to nobody": (at("rows", SEAT, "given", value={"": "5"}), "is no seat"),
    "a sequence below zero": (at("rows", SEAT, "sequence", value=-1), "is no count"),
    "a sequence that is true": (at("rows", SEAT, "sequence", value=True), "is no count"),
    "a sequence in the far future": (at("rows", SEAT, "sequence", value=10**30), "is no count"),
    "a place of two lines": (at("rows", SEAT, "place", value="a\nb"), "is no text"),
    "accounts in one text": (at("rows", SEAT, "accounts", value="one"), "are no list"),
    "an account that is a number": (at("rows", SEAT, "accounts", value=[1]), "is no text"),
    "left or not": (at("rows", SEAT, "has_left", value=0), "whether it has left"),
    "a trip that is true": (at("rows", SEAT, "trip", value=True), "the trip in"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_record_is_refused_with_a_sentence(name: str) -> None:
    change, said = ODD[name]
    document = change(json.loads(json.dumps(BOTH.document())))
    with pytest.raises(ValueError) as refused:
        Books.of(document)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400


# --- what can't be -----------------------------------------------------------------------------------

WRONG: Mapping[str, tuple[Books, str]] = {
    "a mint of one's own": (books(A, row("b", minted=Decimal(5))), "only the founder's limit is"),
    "a founder with another limit": (books(row("a", minted=Decimal(5))), "a says that 5 was minted"),
    "more taken than given": (
        books(A, row("b", taken={"a.00000001": Decimal(401)})),
        "whose row says that it gave 400.5",
    ),
    "taken from nobody": (books(A, row("b", taken={"c.00000001": Decimal(1)})), "whose row says that it gave 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_can_not_be_is_told(name: str) -> None:
    record, said = WRONG[name]
    assert said in next(record.wrong())


def test_budgets_above_the_limit_are_told() -> None:
    more = books(A, row("b", taken={"a.00000001": Decimal("400.5"), "c.00000001": Decimal(1)}))
    assert any("the budgets sum to 1001, above the fund's limit of 1000" in said for said in more.wrong())


def test_a_record_that_can_be_has_nothing_wrong() -> None:
    assert list(BOTH.wrong()) == []
    assert list(books(A).wrong()) == [], "what is given and not taken yet is missing from the sum, not too much"
    _, a, _ = two()
    assert a.books is not None
    assert list(a.books.wrong()) == []
