"""Where the test of a module is: in the folder and file of its name, or where `elsewhere.py` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.elsewhere import ELSEWHERE

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("risk_daemon", "adapters", "oms")


def modules(root: Path = ROOT) -> list[str]:
    found = (path for package in PRODUCT for path in (root / package).rglob("*.py"))
    return sorted(str(path.relative_to(root)) for path in found if path.name != "__init__.py")


def mirrored(module: str) -> Path:
    """`risk_daemon/gate/halts.py` is tested in `tests/unit/gate/test_halts.py`, `oms/proof.py` in `tests/unit/oms/`."""
    path = Path(module)
    inside = path.relative_to("risk_daemon") if path.parts[0] == "risk_daemon" else path
    return Path("tests/unit") / inside.parent / f"test_{inside.stem.strip('_')}.py"


def astray(root: Path = ROOT) -> list[str]:
    """Modules that have neither a file of their name nor a row."""
    return [module for module in modules(root) if not (root / mirrored(module)).exists() and module not in ELSEWHERE]


def test_every_module_has_its_test_or_a_row() -> None:
    assert len(modules()) > 200
    assert not astray(), "each has a test file of its name, or a row in tests/unit/elsewhere.py"


def test_a_module_without_either_is_found(tmp_path: Path) -> None:
    (tmp_path / "risk_daemon" / "alerts").mkdir(parents=True)
    (tmp_path / "risk_daemon" / "alerts" / "mail.py").touch()
    assert astray(tmp_path) == ["risk_daemon/alerts/mail.py"]


@pytest.mark.parametrize("module", ELSEWHERE)
def test_a_row_is_of_a_module_without_a_file_of_its_name(module: str) -> None:
    assert (ROOT / module).exists(), "the module is gone: take its row out"
    assert not (ROOT / mirrored(module)).exists(), "it has a test of its name: take its row out"


@pytest.mark.parametrize("module", ELSEWHERE)
def test_a_row_names_a_test_that_is_there(module: str) -> None:
    named, _, why = ELSEWHERE[module].partition(": ")
    assert why
    assert named == "none" or (ROOT / "tests" / named).exists()
