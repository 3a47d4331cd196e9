"""The site of `make docs`: every page is on it, links that leave it are put right. And docs/rules.md has each rule."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from risk_daemon.model.breaker_types import CircuitBreakerType

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "docs" / "rules.md").read_text()
OF_THE_GUIDE = ("drawdown", "daily_loss", "order_rate", "error_rate")
ASKED = ("Setting it", "It tripped unexpectedly", "It did not trip", "It stays tripped")


def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("outside", ROOT / "docs" / "outside.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(markdown: str) -> str:
    page = SimpleNamespace(file=SimpleNamespace(abs_src_path=str(ROOT / "docs" / "bots.md"), src_path="bots.md"))
    text: str = hook().on_page_markdown(markdown, page=page)
    return text


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r"^ +- (?:\w+: )?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))


def test_a_link_that_leaves_the_site_becomes_a_path() -> None:
    assert (
        shown("see [profiles](../examples/profiles/minimum.toml).")
        == "see profiles (`examples/profiles/minimum.toml`)."
    )
    assert shown("[README](../README.md)") == "README (`README.md`)"
    assert shown("[bots](../docs/bots.md) [api](api.md#a-token)") == "[bots](../docs/bots.md) [api](api.md#a-token)"
    with pytest.raises(FileNotFoundError, match="leads nowhere"):
        shown("[gone](../examples/gone.py)")


def test_the_site_is_strict_and_of_this_machine_alone(tmp_path: Path) -> None:
    """Built where mkdocs is (`make docs` brings it); the links themselves are looked at in test_docs.py anywhere."""
    text = (ROOT / "mkdocs.yml").read_text()
    assert "\nstrict: true\n" in text
    assert "font: false" in text
    mkdocs = shutil.which("mkdocs", path=str(ROOT / ".venv-docs" / "bin"))
    if mkdocs is None:
        return
    subprocess.run(
        [mkdocs, "build", "--strict", "--quiet", "--site-dir", str(tmp_path)], cwd=ROOT, check=True, timeout=120
    )
    pages = [path.read_text() for path in tmp_path.rglob("*.html")]
    assert len(pages) > 20
    loaded = {url for page in pages for url in re.findall(r'<(?:script|img)[^>]* src="(https?:[^"]+)"', page)}
    loaded |= {
        url for page in pages for url in re.findall(r'<link[^>]* rel="stylesheet"[^>]* href="(https?:[^"]+)"', page)
    }
    assert loaded == set()


def section(name: str) -> str:
    found = re.search(rf"^## [^\n]*\b{name}\b[^\n]*\n(.*?)(?=^## |\Z)", RULES, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize("rule", CircuitBreakerType)
def test_every_rule_has_a_section(rule: CircuitBreakerType) -> None:
    assert section("A rule of your own" if rule is CircuitBreakerType.CUSTOM else rule.value).strip()


@pytest.mark.parametrize("rule", OF_THE_GUIDE)
def test_each_rule_of_the_guide_answers_its_four_questions(rule: str) -> None:
    assert re.findall(r"^\*\*([^*]+)\.\*\*", section(rule), re.MULTILINE) == list(ASKED)
