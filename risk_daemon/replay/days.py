"""Where the days of history and the profiles are: in a checkout below examples/, where it is installed in its share."""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from pathlib import Path

from risk_daemon.errors import UsageError

_CHECKOUT = Path(__file__).resolve().parents[2] / "examples"
_TABLE = ".csv.gz"


def places() -> tuple[Path, ...]:
    """Where to look, first what is nearest."""
    return (_CHECKOUT, Path(sysconfig.get_path("data")) / "share" / "risk-daemon")


def days() -> Mapping[str, Path]:
    """The days there are, by name."""
    return _found("history", _TABLE)


def profiles() -> Mapping[str, Path]:
    """The profiles there are, by name."""
    return _found("profiles", ".toml")


def _found(folder: str, ending: str) -> Mapping[str, Path]:
    for place in places():
        files = sorted((place / folder).glob(f"*{ending}"))
        if files:
            return {file.name.removesuffix(ending): file for file in files}
    return {}


def day(name: str) -> Path:
    """The file of the day with that name, or the one whose name begins so. Raises UsageError."""
    found = days()
    fits = [name] if name in found else [other for other in found if name and other.startswith(name)]
    if len(fits) == 1:
        return found[fits[0]]
    if not found:
        raise UsageError(f"{name}: there is no such file, and no day of history was found in {_places('history')}")
    known = ", ".join(fits or found)
    many = "several days begin so" if fits else "there is no such file and no such day; the days are"
    raise UsageError(f"{name}: {many}: {known}")


def profile(name: str) -> Path:
    """The file of a profile. Raises UsageError."""
    found = profiles()
    if name not in found:
        known = ", ".join(found) or f"none was found in {_places('profiles')}"
        raise UsageError(f"--profile: there is no profile {name!r}: {known}")
    return found[name]


def _places(folder: str) -> str:
    return " or ".join(str(place / folder) for place in places())
