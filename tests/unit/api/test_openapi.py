"""docs/api.md says what is true."""

from __future__ import annotations

import json
import re
import shlex
from http import HTTPStatus
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from risk_daemon.api import feed, models, orders
from risk_daemon.api.limits import Limits
from risk_daemon.api.routes import ROUTES
from risk_daemon.auth.tokens import CREATABLE
from risk_daemon.gate.restraints import CAUSES, severity
from risk_daemon.model.events import ErrorKind
from tests.api_world import DOCUMENT

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The table whose first column is called `heading`."""
    _, _, rest = TEXT.partition(f"| {heading} |")
    lines = rest.split("\n")[2:]
    table = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_every_reason_is_there_in_its_order() -> None:
    told = [row[0].strip("`") for row in rows("`veto_reason`")]

    assert [reason for reason in told if not reason.startswith(("custom:", "unlistable:"))] == list(CAUSES)
    assert told == sorted(told, key=severity)
    assert {"custom:<name>", "unlistable:<venue>"} <= set(told)


def test_every_field_of_an_order_is_there() -> None:
    assert [row[0].strip("`") for row in rows("field")] == list(models.OrderCheck.model_fields)


def test_every_role_and_every_kind_is_there() -> None:
    assert [row[0].strip("`") for row in rows("role")] == [role.value for role in CREATABLE]
    kinds = {row[0].strip("`"): row[1] for row in rows("`kind`")}
    assert list(kinds) == ["sent", "rejected", "error", "vetoed"]
    assert all(f"`{kind}`" in kinds["error"] for kind in ErrorKind)


def test_every_status_is_there() -> None:
    told = {int(status) for row in rows("status") for status in row[0].split(",")}
    documented = {
        int(status)
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
        for status in operation["responses"]
    }

    assert told == {status for status in documented if status >= HTTPStatus.BAD_REQUEST} | {404, 405}


def test_every_path_is_there() -> None:
    for route in ROUTES:
        assert route.path in TEXT or f"`{route.path.rpartition('/')[2]}`" in TEXT, route.path


def test_the_numbers_are_those_in_force() -> None:
    limits = Limits()
    rates = [limits.checks, limits.reports, limits.reads, limits.commands]

    assert "{:,.0f} checks, {:.0f} reports, {:.0f} reads and {:.0f} commands".format(*(r.per_s for r in rates)) in TEXT
    assert f"too slow ({limits.body_within_s:g} s) or too large ({limits.body_bytes // 1024} KiB)" in TEXT
    assert f"Every {limits.heartbeat_every_s:g} s" in TEXT
    assert f"room for {feed.READERS} readers" in TEXT


@pytest.mark.parametrize(
    ("path", "model"), [("check", models.OrderCheck), ("report", models.OrderReport), ("halt", models.Halt)]
)
def test_the_examples_are_valid(path: str, model: object) -> None:
    found = re.search(rf"```sh\n(curl [^`]*/{path} [^`]*)```", TEXT)
    assert found is not None
    words = shlex.split(found[1])

    assert TypeAdapter(model).validate_python(json.loads(words[words.index("-d") + 1]))


def test_the_answers_have_the_members_they_really_have() -> None:
    lease, veto = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))

    assert lease.keys() == models.Lease.model_fields.keys()
    assert lease["valid_for_ms"] == orders.MAX_VALID_MS
    assert veto.keys() == models.Vetoed.model_fields.keys()
    assert veto["veto_reason"] in CAUSES
