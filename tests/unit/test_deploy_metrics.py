"""The rules for Prometheus and the dashboard for Grafana ask for what a scrape really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.metrics_world import scraped, troubled

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES, RULES_TEST = DEPLOY / "prometheus" / "rules.yaml", DEPLOY / "prometheus" / "rules_test.yaml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "risk-daemon.json").read_text())
METRIC = re.compile(r"\b(?:risk_daemon|process)_\w+")
PROMTOOL = shutil.which("promtool")
# The pages that a person at night is sent to.
RUNBOOKS = {
    "tripped", "unproven", "blind", "confirming", "unlistable", "override", "store-lost", "down",
    "near-the-limit", "alerts-failing",
}  # fmt: skip


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


async def exported() -> set[str]:
    """Every name that a scrape of a guard in trouble has a sample of."""
    return {name for name, _ in await scraped(troubled())}


async def labels_of() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, labels in await scraped(troubled()):
        found.setdefault(name, {"job", "instance"}).update(label for label, _ in labels)
    return found


def labels_asked(expression: str) -> list[tuple[str, str]]:
    """Metric and label, of all that stands in braces."""
    selectors = re.findall(r"((?:risk_daemon|process)_\w+)\{([^}]*)\}", expression)
    return [(name, label) for name, inside in selectors for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)]


def expressions() -> list[str]:
    targets = [target["expr"] for panel in panels() for target in panel["targets"]]
    others = [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    variables = [one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    return [*targets, *others, *variables]


# --- rules ---------------------------------------------------------------------------------------------


async def test_every_metric_of_the_rules_and_each_of_its_labels_is_exported() -> None:
    there, labels = await exported(), await labels_of()
    for rule in rules():
        asked = set(METRIC.findall(rule["expr"]) + METRIC.findall(rule["annotations"]["summary"]))
        assert asked, rule["alert"]
        assert asked <= there, rule["alert"]
        assert all(label in labels[name] for name, label in labels_asked(rule["expr"])), rule["alert"]


async def test_summaries_use_labels_that_are_there() -> None:
    labels = await labels_of()
    for rule in rules():
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        asked = METRIC.findall(rule["expr"])
        assert all(used <= labels[name] for name in asked), rule["alert"]


def test_each_rule_says_what_it_means_and_which_page_to_open() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        page = re.fullmatch(r"docs/runbooks/([a-z-]+)\.md", rule["annotations"]["runbook_url"])
        assert page is not None
        assert page[1] in RUNBOOKS
    assert {Path(rule["annotations"]["runbook_url"]).stem for rule in rules()} == RUNBOOKS
    assert {page.stem for page in (DEPLOY.parent / "docs" / "runbooks").glob("*.md")} >= RUNBOOKS


def test_what_is_absent_wakes_somebody() -> None:
    absences = {rule["alert"] for rule in rules() if re.search(r"\babsent\(|\bunless\b", rule["expr"])}
    assert absences == {
        "RiskDaemonNotRunning",
        "RiskDaemonNotEvaluating",
        "RiskDaemonEquityUnknown",
        "RiskDaemonDataAbsent",
        "RiskDaemonNobodyIsTold",
        "RiskDaemonTripped",
    }


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
@pytest.mark.parametrize("line", [["check", "rules", "--lint-fatal"], ["test", "rules"]], ids=" ".join)
def test_promtool_agrees(line: list[str]) -> None:
    file = RULES if line[0] == "check" else RULES_TEST
    done = subprocess.run(
        [str(PROMTOOL), *line, file.name], cwd=file.parent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_of_the_rules_are_of_rules_that_are_there() -> None:
    cases = [case for test in yaml.safe_load(RULES_TEST.read_text())["tests"] for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    critical = {rule["alert"] for rule in rules() if rule["labels"]["severity"] == "critical"}
    assert {case["alertname"] for case in cases} <= {rule["alert"] for rule in rules()}
    assert critical <= fired


# --- dashboard -----------------------------------------------------------------------------------------


def test_the_dashboard_is_one() -> None:
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"} <= DASHBOARD.keys()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert {"title", "description", "gridPos", "datasource", "targets", "fieldConfig"} <= panel.keys()
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"] == "unknown", panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


async def test_every_metric_of_the_dashboard_and_each_of_its_labels_is_exported() -> None:
    there, labels = await exported(), await labels_of()
    for expression in expressions():
        asked = set(METRIC.findall(expression))
        assert asked, expression
        assert asked <= there, expression
        assert all(label in labels[name] for name, label in labels_asked(expression)), expression


def test_it_begins_with_how_much_may_still_be_lost() -> None:
    first = min(panels(), key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"]))
    assert first["type"] == "stat"
    assert "risk_daemon_rule_headroom" in first["targets"][0]["expr"]


def test_no_panel_lies_on_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for cell in [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]:
            assert cell not in taken, (panel["title"], taken[cell])
            taken[cell] = panel["title"]
