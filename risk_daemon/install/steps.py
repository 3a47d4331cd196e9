"""Putting the files of an installation where they belong: looked at first, so that nothing is half done.

What stands already as it should is left alone. A file that somebody has changed is never replaced unasked, and never
without a copy. Below another root (a package's, a test's) no user is made and nothing belongs to anybody.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from risk_daemon.errors import UsageError
from risk_daemon.install.units import Names, WrittenFile, is_as_written
from risk_daemon.install.wanted import check_safe
from risk_daemon.state.files import replace_file

Say = Callable[[str], None]
_SYSUSERS = "systemd-sysusers"
_MACHINE = Path("/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """One directory as it shall be. owner: user and group."""

    path: Path
    mode: int
    owner: tuple[str, str] = ("root", "root")


def directories(names: Names, state: Path) -> tuple[Directory, ...]:
    """Everything that is made where it is not there. The state is for its user; all may pass through to the gate."""
    return (
        Directory(path=names.etc, mode=0o755),
        Directory(path=names.etc / "credentials", mode=0o750, owner=("root", names.own)),
        Directory(path=names.etc / "alerts", mode=0o700),
        Directory(path=names.etc / "bots", mode=0o755),
        Directory(path=state, mode=0o711, owner=(names.own, names.own)),
    )


class Steps:
    """Installs below `root`; `/` is this machine."""

    def __init__(self, root: Path, say: Say, *, replace: bool) -> None:
        self._root = root
        self._say = say
        self._replace = replace
        self._is_this_machine = root == _MACHINE

    def check(self, names: Names, files: Sequence[WrittenFile]) -> None:
        """Everything that would refuse it, before anything is written. Raises UsageError."""
        if self._is_this_machine and os.geteuid() != 0:
            raise UsageError("this takes root: use sudo. --print shows everything and changes nothing")
        if self._is_this_machine and shutil.which(_SYSUSERS) is None:
            raise UsageError(
                f"there is no {_SYSUSERS} here: is this a machine with systemd? --root DIR writes elsewhere"
            )
        for path in {names.etc, names.state.parent, *(file.path.parent for file in files)}:
            self._check_place(path)
        changed = [file for file in files if self._is_changed(file)]
        if changed and not self._replace:
            places = ", ".join(str(self._at(file.path)) for file in changed)
            raise UsageError(
                f"{self._differences(changed)}\n{places}: changed since this command wrote it, and not replaced. Put"
                " your changes into a drop-in (`systemctl edit UNIT`) and give --replace, which keeps a copy; or leave"
                " it as it is. Nothing was written"
            )

    def make(self, files: Sequence[WrittenFile], wanted: Sequence[Directory], config: WrittenFile) -> None:
        """Do it. Raises UsageError where the system refuses."""
        try:
            for file in files:
                self._write(file)
            if self._is_this_machine:
                self._make_users([file.path for file in files if file.path.parent.name == "sysusers.d"])
            for directory in wanted:
                self._make_directory(directory)
            if self._at(config.path).exists():
                self._say(f"{self._at(config.path)}: is there, and was read")
            else:
                self._write(config)
        except OSError as error:
            raise UsageError(f"it could not be done: {error}; what was said before is done") from None

    def _at(self, path: Path) -> Path:
        return self._root / path.relative_to("/")

    def _check_place(self, path: Path) -> None:
        """Whoever may change a place could change what is written into it. Below another root, links lead out of it."""
        for at in map(self._at, (path, *path.parents)):
            if at.exists() and not at.is_dir():
                raise UsageError(f"{at}: it is no directory: take it away")
            if at.is_symlink() and not self._is_this_machine and at != self._root:
                raise UsageError(f"{at}: it is a link, and what is written there would be elsewhere: take it away")
            if at.exists() and self._is_this_machine:
                check_safe(at)

    def _is_changed(self, file: WrittenFile) -> bool:
        found = self._text(file)
        return found is not None and found != file.text and not is_as_written(found)

    def _text(self, file: WrittenFile) -> str | None:
        """What is there now; a link has none of its own."""
        at = self._at(file.path)
        if at.is_symlink():
            raise UsageError(f"{at}: it is a link: a unit that is masked or linked stays as it is. Take it away first")
        return at.read_text(encoding="utf-8", errors="replace") if at.exists() else None

    def _differences(self, changed: Sequence[WrittenFile]) -> str:
        lines: list[str] = []
        for file in changed:
            there, wanted = (self._text(file) or "").splitlines(), file.text.splitlines()
            lines += difflib.unified_diff(there, wanted, str(self._at(file.path)), "as it would be", lineterm="", n=1)
        return "\n".join(lines)

    def _write(self, file: WrittenFile) -> None:
        at, found = self._at(file.path), self._text(file)
        if found == file.text and at.stat().st_mode & 0o777 == file.mode:
            self._say(f"{at}: stands as it should")
            return
        if found is not None and found != file.text and not is_as_written(found):
            copy = _beside(at)
            shutil.copy2(at, copy)
            self._say(f"{at}: was changed by somebody; as it was: {copy}")
        at.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(at, file.text.encode(), mode=file.mode, durable=True)
        self._say(f"{at}: written{'' if found is None else ', anew'}")

    def _make_users(self, confs: Sequence[Path]) -> None:
        done = subprocess.run([_SYSUSERS, *map(str, confs)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"{_SYSUSERS} ended with {done.returncode}: {done.stderr.strip()}")
        self._say(f"users: {done.stderr.strip() or 'are there'}")

    def _make_directory(self, directory: Directory) -> None:
        at = self._at(directory.path)
        if at.is_dir():
            self._say(f"{at}: is there (mode {at.stat().st_mode & 0o777:o})")
            return
        at.mkdir(mode=directory.mode, parents=True)
        at.chmod(directory.mode)
        if self._is_this_machine:
            shutil.chown(at, *directory.owner)
        self._say(f"{at}: made, mode {directory.mode:o}, for {':'.join(directory.owner)}")


def missing(root: Path, names: Names, keys: Sequence[str], secrets: Sequence[str]) -> list[Path]:
    """Credentials that the units name and nobody has put there."""
    etc = root / names.etc.relative_to("/")
    places = [etc / "credentials" / key for key in keys] + [etc / "alerts" / secret for secret in secrets]
    return [place for place in places if not _is_there(place)]


def _is_there(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size > 0
    return False


def _beside(path: Path) -> Path:
    """A name for a copy that systemd does not read, and that is free."""
    number = 1
    while (copy := path.with_name(f"{path.name}.before-{number}")).exists():
        number += 1
    return copy
