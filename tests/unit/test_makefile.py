"""`make` says what it waits for: the first build takes minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.seeds.common import ROOT

# Takes the place of Python: an environment is a copy of this, and every package is installed at once.
PYTHON = """#!/bin/sh
if [ "$2" = venv ]; then mkdir -p .venv/bin && cp "$0" .venv/bin/python; fi
echo "$@" >> asked
"""


def make(room: Path, target: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", target, f"PYTHON={room / 'python'}"]
    return subprocess.run(command, cwd=room, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_first_build_has_a_line_for_each_step_and_the_next_has_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "requirements").mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements/dev.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    told = make(tmp_path, "venv").splitlines()
    steps = (tmp_path / "asked").read_text().splitlines()
    assert [words.split()[1] for words in steps] == ["venv", "pip", "pip"]
    assert len(told) == 1 + len(steps)
    assert "minutes" in told[0]
    assert [line.split(":")[0].strip() for line in told[1:]] == ["1 of 3", "2 of 3", "3 of 3"]
    packages = sum(line[:1].isalnum() for line in (ROOT / "requirements" / "dev.txt").read_text().splitlines())
    assert f"{packages} packages" in told[2]
    assert make(tmp_path, "venv") == "make: Nothing to be done for 'venv'.\n"
