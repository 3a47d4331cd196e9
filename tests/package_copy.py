"""A copy of the packages, to plant mistakes in and see them found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("risk_daemon", "adapters", "oms")


class PackageCopy:
    """The packages and pyproject.toml below `directory`; what is installed is not looked at."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for package in PACKAGES:
            shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", directory)

    def write(self, path: str, text: str) -> None:
        """A file, with its folder."""
        (self.directory / path).parent.mkdir(exist_ok=True)
        (self.directory / path).write_text(text)

    def append(self, path: str, text: str) -> None:
        with (self.directory / path).open("a") as file:
            file.write(text)

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.directory / path).read_text()
        assert old in text, f"{old!r} stands no longer in {path}"
        (self.directory / path).write_text(text.replace(old, new))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Python with `words`, which imports the copy."""
        bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        environment = bare | {"PYTHONPATH": str(self.directory), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
