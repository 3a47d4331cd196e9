from __future__ import annotations

from decimal import Decimal

from risk_daemon.covers import Covers


def test_what_was_paid_shortly_before_covers_what_was_bought() -> None:
    covers = Covers()
    assert covers.moved(Decimal(-400), 0.0) == 0
    covers.bought("NEWT", 0.5)
    assert covers.moved(Decimal(0), 0.5) == 400
    assert covers.total == 400


def test_what_was_paid_long_before_or_after_does_not() -> None:
    covers = Covers()
    covers.moved(Decimal(-400), 0.0)
    covers.bought("NEWT", 3.0)
    assert covers.moved(Decimal(0), 3.0) == 0
    assert covers.moved(Decimal(-500), 9.0) == 0
    assert covers.total == 0


def test_many_small_rows_of_one_purchase_add_up() -> None:
    covers = Covers()
    for second in range(10):
        covers.bought("NEWT", float(second))
        assert covers.moved(Decimal(-100), float(second)) == 100
    assert covers.total == 1_000


def test_the_other_row_of_another_trade_takes_its_part_back() -> None:
    covers = Covers()
    covers.bought("DUST", 0.0)
    assert covers.moved(Decimal(-5_000), 0.1) == 5_000
    assert covers.moved(Decimal(4_999), 0.2) == -4_999
    assert covers.total == 1


def test_a_sale_gives_its_part_back() -> None:
    covers = Covers()
    covers.bought("NEWT", 0.0)
    covers.moved(Decimal(-400), 0.0)
    assert covers.sold("NEWT", Decimal("0.25")) == 300
    assert covers.total == 100
    covers.priced("NEWT")
    assert covers.total == 0
    assert covers.sold("NEWT", Decimal(0)) == 0


def test_two_purchases_one_after_the_other_are_not_covered_twice() -> None:
    covers = Covers()
    covers.bought("A", 0.0)
    covers.moved(Decimal(-100), 0.0)
    covers.bought("B", 0.5)
    covers.moved(Decimal(-50), 0.5)
    assert covers.snapshot() == {"A": 100, "B": 50}


def test_it_survives_a_restart() -> None:
    covers, again = Covers(), Covers()
    covers.bought("NEWT", 0.0)
    covers.moved(Decimal(-400), 0.0)
    again.restore(covers.snapshot())
    assert again.total == 400
