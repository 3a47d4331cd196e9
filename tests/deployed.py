"""`deploy/` is what `install-service` writes, for the venues of config.toml as live ones and one channel of alerts.

python -m tests.deployed        writes it anew
"""

from __future__ import annotations

from pathlib import Path

from risk_daemon.install.units import Installation, Names, WrittenFile, files

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
EXAMPLE = Installation(
    names=Names(),
    program=Path("/opt/risk-daemon/.venv/bin/risk-daemon"),
    state=Names().state,
    keys=tuple(f"{venue}.{part}" for venue in ("kraken", "krakenfutures") for part in ("api_key", "secret")),
    secrets=("alerts.oncall.url", "alerts.oncall.secret"),
)


def deployed() -> dict[Path, WrittenFile]:
    """What stands in `deploy/`, and what should. The users' file is for sysusers.d alone."""
    return {DEPLOY / file.path.name: file for file in files(EXAMPLE) if file.path.parent.name != "sysusers.d"}


def main() -> None:
    for path, file in deployed().items():
        path.write_text(file.text)
        path.chmod(file.mode)


if __name__ == "__main__":
    main()
