"""Only the exchanges that are asked for are imported, and what is imported is ccxt all the same.

Each test is a process of its own: in this one other tests have imported ccxt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]

SITE = """
import asyncio, json, sys
from pathlib import Path
from adapters.guarded import Shell, build_client
from adapters.lean_ccxt import ccxt_pro
from risk_daemon.app.composition import Site
from risk_daemon.config.load import load
from risk_daemon.errors import ConfigError

async def build():
    async with Site(load(Path("config.toml"))) as site:
        return list(site.adapters)

venues = asyncio.run(build())
loaded = [name.split(".") for name in sys.modules if name.startswith("ccxt")]
known = set(ccxt_pro().exchanges) | set(sys.modules["ccxt"].exchanges)
refusals = []
for wrong in ("nowhere", "errors", "Exchange", "base"):
    try:
        build_client(wrong, {}, None)
    except ConfigError as refusal:
        refusals.append(str(refusal))
print(json.dumps([venues, sorted({parts[-1] for parts in loaded} & known), refusals]))
"""
CONFIG = """
[portfolio]
initial_capital = 10000
[venues.main]
exchange = "kraken"
markets = ["spot"]
endpoint = "http://127.0.0.1:1"
"""

EVERYTHING = """
import json
from adapters.lean_ccxt import ccxt_pro
pro = ccxt_pro()
import ccxt, ccxt.async_support
from ccxt.base import errors
packages = [ccxt, ccxt.async_support, pro]
wrong = [
    f"{package.__name__}.{name}"
    for package in packages
    for name in package.exchanges
    if getattr(getattr(package, name), "__module__", None) != f"{package.__name__}.{name}"
]
names = set(errors.__all__)
apart = [
    f"{package.__name__}.{name}"
    for package in packages
    for name in names & set(dir(package))
    if getattr(package, name) is not getattr(errors, name)
]
from ccxt import *
from ccxt.pro import kraken as by_name
import ccxt.pro.kraken as by_path
same = kraken is ccxt.kraken and by_name is by_path is pro.kraken and issubclass(pro.kraken, ccxt.async_support.kraken)
print(json.dumps([[len(package.exchanges) for package in packages], len(names), wrong, apart, same]))
"""

# A ccxt of two exchanges; {twist} is what makes it another than the one we know.
MADE_UP = """
__version__ = "0"
class Exchange: ...
{imports}
exchanges = ["first", "second"]
{twist}
"""
ASK = """
import json, sys
from adapters.lean_ccxt import ccxt_pro
pro = ccxt_pro()
first = pro.first.__name__
print(json.dumps([type(pro).__name__, first, sorted(name for name in sys.modules if name.startswith("ccxt."))]))
"""
WHOLE = ["ccxt.first", "ccxt.pro", "ccxt.pro.first", "ccxt.pro.second", "ccxt.second"]


@pytest.fixture
def told(tmp_path: Path) -> Callable[[str], Any]:
    """What a script says that runs in a directory of its own, whose packages come first."""

    def run(script: str) -> Any:
        environment = os.environ | {
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
            "RISK_DAEMON_MAIN_API_KEY": "key",
            "RISK_DAEMON_MAIN_SECRET": "c2VjcmV0",
        }
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., None]:
    def write(twist: str = "") -> None:
        for package in ("ccxt", "ccxt.async_support", "ccxt.pro"):
            folder = tmp_path / package.replace(".", "/")
            folder.mkdir()
            imports = "\n".join(f"from {package}.{name} import {name}  # noqa" for name in ("first", "second"))
            (folder / "__init__.py").write_text(MADE_UP.format(imports=imports, twist=twist))
            for name in ("first", "second"):
                (folder / f"{name}.py").write_text(f"from {package} import Exchange\nclass {name}(Exchange): ...\n")

    return write


def test_a_site_of_one_venue_imports_no_other_exchange(told: Callable[[str], Any], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    venues, loaded, refusals = told(SITE)
    assert venues == ["main"]
    assert loaded == ["kraken"]
    assert len(refusals) == 4
    assert all("is not an exchange of ccxt 4." in refusal for refusal in refusals), refusals


def test_every_exchange_and_error_of_the_pinned_release_is_the_one_it_would_be(told: Callable[[str], Any]) -> None:
    counts, errors, wrong, apart, same = told(EVERYTHING)
    assert min(counts) > 50
    assert errors > 30
    assert wrong == []
    assert apart == []
    assert same


def test_one_is_imported_when_it_is_asked_for(told: Callable[[str], Any], made_up: Callable[..., None]) -> None:
    made_up()
    assert told(ASK) == ["_Package", "first", ["ccxt.async_support", "ccxt.pro", "ccxt.pro.first"]]


@pytest.mark.parametrize(
    "twist",
    [
        pytest.param("exchanges.append('third')", id="it names more than it imports"),
        pytest.param("first.of = second", id="it needs them itself"),
    ],
)
def test_a_release_built_otherwise_is_imported_whole(
    twist: str, told: Callable[[str], Any], made_up: Callable[..., None]
) -> None:
    made_up(twist)
    assert told(ASK) == ["module", "first", WHOLE]


def test_who_has_imported_it_keeps_it(told: Callable[[str], Any], made_up: Callable[..., None]) -> None:
    made_up()
    assert told(f"import ccxt; mine = ccxt.first\n{ASK}\nassert mine is ccxt.first") == ["module", "first", WHOLE]


def test_what_is_really_wrong_with_it_is_said(told: Callable[[str], Any], made_up: Callable[..., None]) -> None:
    made_up("raise RuntimeError('not on this machine')")
    with pytest.raises(AssertionError, match="RuntimeError: not on this machine"):
        told(ASK)
