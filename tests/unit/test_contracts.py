"""The contracts on imports have no holes: what must not be imported is planted in a copy, and found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.package_copy import PackageCopy

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"
PURE = "the core is pure"
ROOMS = "a room may import only rooms below it, and no room is without a line"
OUTER = "venues and orders know the words and nothing else of the daemon"
LIGHT = "what a bot imports is light"

# Where, what is written there, the contract that it breaks, and what is said of it.
PLANTED = [
    ("risk_daemon/engine/figures.py", "from rich import print", PURE, "risk_daemon.engine.figures -> rich"),
    ("risk_daemon/portfolio/prices.py", "import socket", PURE, "risk_daemon.portfolio.prices -> socket"),
    ("risk_daemon/portfolio/quotes.py", "import aiohttp", PURE, "risk_daemon.portfolio.quotes -> aiohttp"),
    ("risk_daemon/portfolio/flows.py", "from oms import proof", PURE, "risk_daemon.portfolio.flows -> oms.proof"),
    ("risk_daemon/breakers/drawdown.py", "import pydantic", PURE, "risk_daemon.breakers.drawdown -> pydantic"),
    ("risk_daemon/gate/halts.py", "def late():\n    import asyncio", PURE, "risk_daemon.gate.halts -> asyncio"),
    ("risk_daemon/fund/escrow.py", "import random", PURE, "risk_daemon.fund.escrow -> random"),
    ("risk_daemon/model/units.py", "import time", PURE, "risk_daemon.model.units -> time"),
    (
        "risk_daemon/gate/activity.py",
        "from risk_daemon.breakers import base",
        ROOMS,
        "risk_daemon.gate.activity -> risk_daemon.breakers.base",
    ),
    ("oms/proof.py", "from risk_daemon.engine import trip", OUTER, "oms.proof -> risk_daemon.engine.trip"),
    ("risk_daemon/bot/answers.py", "import pydantic", LIGHT, "risk_daemon.bot.answers -> pydantic"),
    ("risk_daemon/bot/orders.py", "import pydantic_settings", LIGHT, "risk_daemon.bot.orders -> pydantic_settings"),
]


def linted(copy: PackageCopy) -> tuple[int, str]:
    done = copy.run("-c", LINT, "--no-cache")
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a copy with all of them."""
    copy = PackageCopy(tmp_path_factory.mktemp("planted"))
    for path, code, _, _ in PLANTED:
        copy.append(path, f"\n{code}\n")
    code, text = linted(copy)
    assert code == 1
    return text


def of_contract(text: str, name: str) -> str:
    """What is said below the heading of a broken contract."""
    headings_and_texts = re.split(r"^(.+)\n-{4,}\n", text, flags=re.MULTILINE)
    return dict(zip(headings_and_texts[1::2], headings_and_texts[2::2], strict=True))[name]


def test_a_copy_as_it_is_keeps_every_contract(tmp_path: Path) -> None:
    code, text = linted(PackageCopy(tmp_path))
    assert code == 0, text
    assert "5 kept, 0 broken" in text


@pytest.mark.parametrize(("contract", "named"), [plant[2:] for plant in PLANTED], ids=[plant[3] for plant in PLANTED])
def test_a_planted_import_is_named(contract: str, named: str, said: str) -> None:
    assert f"{contract} BROKEN" in said
    assert named in of_contract(said, contract)


def test_a_room_without_a_line_is_named(tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    copy.write("risk_daemon/rumours/__init__.py", '"""A new room."""\n')
    code, text = linted(copy)
    assert code == 1
    assert f"{ROOMS} BROKEN" in text
    assert "rumours" in of_contract(text, ROOMS)
