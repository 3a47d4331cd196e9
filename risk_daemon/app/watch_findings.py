"""What `check` says of the watch: whether anybody would tell that the guard is gone, as far as that shows from here."""

from __future__ import annotations

from pathlib import Path

from risk_daemon.app.findings import Finding, Level
from risk_daemon.config.settings import Settings
from risk_daemon.state.directory import is_owned

_ROOT = Path("/")
_OWN = "risk-daemon"  # what `install-service` names its guards by, and WATCH their watches
_WATCH = "risk-daemon-watch"


def watch_findings(settings: Settings, root: Path = _ROOT) -> list[Finding]:
    """One sentence. root: of the machine's files.

    A watch holds a directory of its own: beside the guard's state, in the place of the unit that `install-service`
    writes, or wherever `--directory` says, which nobody can know here.
    """
    instance = _instance(settings, root)
    places = [settings.state.dir / "watch"]
    if instance is not None:
        places.append(root / "var" / "lib" / f"{_WATCH}{instance}")
    looks = {place: _is_running(place) for place in places}
    running = [place for place, runs in looks.items() if runs is True]
    hidden = [place for place, runs in looks.items() if runs is None]
    left = [place for place in places if looks[place] is False and place.is_dir()]
    if running:
        return [_finding(Level.OK, f"`risk-daemon watch` runs, its place is {running[0]}")]
    if hidden:
        ask = f"`systemctl is-active {_unit(instance)}` tells, or `check` as root"
        return [_finding(Level.NOTE, f"whether a watch runs can't be seen from here, {hidden[0]} is not ours: {ask}")]
    if left:
        said = f"the watch whose place is {left[0]} does NOT RUN: but for another, nobody tells that the guard is gone"
        return [_finding(Level.WARNING, said)]
    looked = " or ".join(str(place) for place in places)
    said = (
        f"no watch has left a trace here ({looked}), and whether one runs from another place or machine can't be known"
        " here: without `risk-daemon watch` nobody tells when the guard is gone; see docs/alerts.md"
    )
    return [_finding(Level.NOTE, said)]


def _finding(level: Level, sentence: str) -> Finding:
    return Finding(level, "watch", sentence)


def _is_running(place: Path) -> bool | None:
    """None: that can't be seen."""
    try:
        return is_owned(place)
    except OSError:
        return None


def _instance(settings: Settings, root: Path) -> str | None:
    """What follows `risk-daemon` in the names of an installed guard; None for a file elsewhere, such as a checkout.

    The watch of an installed guard watches no other: taken for this one's, it would be said to be there and is not.
    """
    place = settings.file.absolute().parent
    is_installed = place.parent == root / "etc" and (place.name == _OWN or place.name.startswith(f"{_OWN}-"))
    return place.name.removeprefix(_OWN) if is_installed else None


def _unit(instance: str | None) -> str:
    return f"{_WATCH}@{instance[1:]}" if instance else _WATCH
