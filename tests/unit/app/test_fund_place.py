"""Which place a state is: the same after whatever a place outlives, and another for every copy."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from risk_daemon.app import fund_place
from risk_daemon.app.fund_place import place_of
from risk_daemon.errors import StateError

MACHINE = "3d1219c7c4c5404aaa1f6d2a48adfda4"


@pytest.fixture(autouse=True)
def machine_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "machine-id"
    file.write_text(f"{MACHINE}\n")
    monkeypatch.setattr(fund_place, "MACHINE_ID", file)
    return file


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    (made / "state.db").write_text("rows")
    return made


def test_it_is_two_hashes(state: Path) -> None:
    place = place_of(state)
    assert re.fullmatch(r"machine-[0-9a-f]{8}\.state-[0-9a-f]{8}", place)
    assert MACHINE[:8] not in place, "a machine's id is not to be published"


def test_what_is_in_it_a_link_and_a_new_name_change_nothing(state: Path, tmp_path: Path) -> None:
    place = place_of(state)
    (state / "more").write_text("more")
    assert place_of(state) == place
    (tmp_path / "link").symlink_to(state)
    assert place_of(tmp_path / "link") == place
    assert place_of(state.rename(tmp_path / "renamed")) == place


def test_a_copy_is_another_place_on_the_same_machine(state: Path, tmp_path: Path) -> None:
    here, there = place_of(state), place_of(Path(shutil.copytree(state, tmp_path / "copy")))
    assert here.partition(".")[0] == there.partition(".")[0]
    assert here.partition(".")[2] != there.partition(".")[2]


def test_another_machine_is_another_place(state: Path, machine_id: Path) -> None:
    here = place_of(state)
    machine_id.write_text("4" * 32)
    assert place_of(state).partition(".")[2] == here.partition(".")[2]
    assert place_of(state) != here


@pytest.mark.parametrize("text", [None, "", "uninitialized\n", "localhost\n", MACHINE + "0", MACHINE.upper(), "\xff"])
def test_a_machine_without_an_id_is_no_place(text: str | None, state: Path, machine_id: Path) -> None:
    machine_id.unlink()
    if text is not None:
        machine_id.write_text(text, "latin-1")
    with pytest.raises(StateError, match="it has no id of this machine"):
        place_of(state)


def test_a_directory_that_is_not_there_is_no_place(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="it can't be said which directory this is"):
        place_of(tmp_path / "nothing")
