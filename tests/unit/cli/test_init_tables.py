"""What `init` found: what is not known is not nothing, and no name is cut."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from risk_daemon.app.inventory import Holding, Inventory, OpenOrders, OpenPosition
from risk_daemon.cli import init_tables, render
from risk_daemon.model.events import Position


def shown(report: Any) -> str:
    file = io.StringIO()
    init_tables.init_report(render.console(file), report)
    return file.getvalue()


def line(text: str, label: str) -> str:
    return next(found.rstrip() for found in text.splitlines() if found.startswith(label))


def init_report(*inventories: Inventory) -> str:
    report = SimpleNamespace(
        venues=[("kraken", Decimal(9)), ("dead", None)], capital=None, equity=Decimal(9), difference_ratio=None,
        state_dir=Path("/srv/risk"), warnings=(), reference="USDT", inventories=inventories,
    )  # fmt: skip
    return shown(report)


def test_what_was_not_found_at_init_is_unknown() -> None:
    text = init_report()

    assert "auto" in line(text, "Initial capital")
    assert line(text, "dead").split() == ["dead", "unknown"]
    assert "Difference" not in text
    assert "Position" not in text
    assert "Open orders" not in text


def rows(text: str, venue: str) -> list[list[str]]:
    return [found.split() for found in text.splitlines() if found.startswith(f"{venue} ")]


def test_the_parts_of_an_account_at_init() -> None:
    inverse = Position(
        symbol="BTC/USD:BTC",
        quantity=Decimal(-100),
        entry=Decimal(100),
        settle="BTC",
        underlying="BTC",
        contract_size=Decimal(10),
        inverse=True,
    )
    linear = Position(
        symbol="BTC/USDT:USDT", quantity=Decimal("0.5"), entry=Decimal(100), settle="USDT", underlying="BTC"
    )
    text = init_report(
        Inventory(
            venue="kraken",
            holdings=(
                Holding(asset="ABC", amount=Decimal("3.50"), worth=None),
                Holding(asset="BTC", amount=Decimal("0.0300"), worth=Decimal(3000)),
            ),
            positions=(
                OpenPosition(position=inverse, mark=Decimal("50.10"), pnl=Decimal(-500)),
                OpenPosition(position=linear, mark=None, pnl=None),
            ),
            orders=(
                OpenOrders(scope="plain", count=0),
                OpenOrders(scope="trigger", count=None, reason="<html>\x1b[2J"),
            ),
        ),
        Inventory(venue="empty", holdings=(), positions=(), orders=()),
        Inventory(venue="spot", holdings=(), positions=None, orders=()),
    )

    assert rows(text, "kraken") == [
        ["kraken", "9.00"],
        ["kraken", "ABC", "3.5", "unknown"],
        ["kraken", "BTC", "0.03", "3,000.00"],
        ["kraken", "BTC/USD:BTC", "-100", "x", "10", "50.1", "-500.00"],
        ["kraken", "BTC/USDT:USDT", "0.5", "unknown", "unknown"],
        ["kraken", "plain", "0"],
        ["kraken", "trigger", "NOT", "LISTED"],
    ]
    assert rows(text, "empty") == [["empty", "none"]] * 2, "holdings and positions"
    assert rows(text, "spot") == [["spot", "none"]], "its positions are not read, which is not none"
    assert line(text, "Orders of").endswith("kraken, trigger: <html> [2J")
    assert "Unrealised PnL in USDT" in text


def test_a_long_asset_is_not_cut_at_init() -> None:
    name = "A" * 90
    text = init_report(
        Inventory(venue="kraken", holdings=(Holding(asset=name, amount=Decimal(1), worth=None),), positions=None)
    )

    assert ["kraken", name, "1", "unknown"] in rows(text, "kraken")
